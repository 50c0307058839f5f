"""Packages of other people beside ours: a broken one hurts only itself, and two with one ID are told apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.folders import image_folder, sound_folder
from tests.third_party.install import environment, fake_site

BROKEN = ("isocortex-broken-import", "isocortex-broken-manifest", "isocortex-missing-object")
TWINS = ("isocortex-twin-a", "isocortex-twin-b")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set folder of images."""
    return image_folder(tmp_path / "mine")


def test_three_broken_packages_hurt_only_themselves(isocortex, folder, tmp_path) -> None:
    env = environment(fake_site(tmp_path, BROKEN))
    listed = json.loads(isocortex("list", "--json", env=env).stdout)
    assert [item["package"] for item in listed["broken"]] == ["isocortex-broken-manifest"]
    assert "not valid TOML" in listed["broken"][0]["reason"]
    assert "isocortex-broken-manifest" in isocortex("list", env=env).stdout
    assert {"ridge", "missing-module"} <= {row["id"] for row in listed["metrics"]}

    benchmark = f"folder:{folder}:ridge"
    fine = isocortex("score", "-m", "pixels", "-b", benchmark, "--json", env=env)
    assert fine.returncode == 0, fine.stderr
    models = [text for name in ("broken-import", "missing-object", "category") for text in ("-m", name)]
    done = isocortex("score", *models, "-b", benchmark, "--json", env=env)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    rows = {row["model"]: row for row in json.loads(done.stdout)}
    assert {name: row["status"] for name, row in rows.items()} == {
        "broken-import": "failed",
        "missing-object": "failed",
        "category": "scored",
    }
    assert "isocortex-broken-import 0.3.1" in rows["broken-import"]["failure"]
    assert "has no 'Renamed'" in rows["missing-object"]["failure"]
    unknown = isocortex("score", "-m", "broken-manifest", "-b", benchmark, env=env)
    assert unknown.returncode == 2
    assert "isocortex-broken-manifest" in unknown.stderr, "the message says what could not be read"


@pytest.mark.parametrize("name", BROKEN)
def test_check_names_each_broken_package(isocortex, tmp_path, name) -> None:
    done = isocortex("check", name, "--json", env=environment(fake_site(tmp_path, BROKEN)))
    assert done.returncode == 1, done.stderr
    failed = [item for item in json.loads(done.stdout) if item["status"] == "failed"]
    assert failed
    assert all(name in item["id"] or name in item["message"] for item in failed)
    assert "Traceback" not in done.stderr


def test_the_example_passes_and_its_benchmark_is_scored(isocortex, tmp_path) -> None:
    env = environment(fake_site(tmp_path, ["isocortex-example"]))
    listed = json.loads(isocortex("list", "--json", env=env).stdout)
    own = {
        kind: [row["id"] for row in listed[kind] if row["package"] == "isocortex-example"]
        for kind in ("models", "benchmarks", "metrics", "datasets")
    }
    assert all(own.values())
    models = [text for name in (*own["models"], "noise") for text in ("-m", name)]
    done = isocortex("score", *models, "-b", own["benchmarks"][0], "--json", env=env)
    assert done.returncode == 0, done.stderr
    assert {row["status"] for row in json.loads(done.stdout)} == {"scored"}


def test_a_network_without_weights_is_scored_and_its_trained_one_named(isocortex, tmp_path) -> None:
    """The small part of ``test_yamnet``, which installs the package and has its weights."""
    pytest.importorskip("torch")
    env = environment(fake_site(tmp_path, ["isocortex-yamnet"]))
    sound_folder(tmp_path / "mine", n_sounds=6)
    models = [text for name in ("yamnet@random:0", "yamnet") for text in ("-m", name)]
    done = isocortex("score", *models, "-b", "folder:mine:rsa", "--offline", "--json", env=env)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    untrained, trained = json.loads(done.stdout)
    assert (untrained["status"], len(untrained["layers"])) == ("scored", 16)
    assert trained["status"] == "failed"
    assert "isocortex fetch -m yamnet --from FOLDER" in trained["failure"]


def test_two_packages_with_one_id(isocortex, folder, tmp_path) -> None:
    env = environment(fake_site(tmp_path, TWINS))
    conflicts = json.loads(isocortex("list", "models", "--json", env=env).stdout)["conflicts"]
    assert conflicts == [{"kind": "model", "id": "twin", "packages": list(TWINS)}]
    assert "twin" in isocortex("list", env=env).stdout
    benchmark = f"folder:{folder}:ridge"
    refused = isocortex("score", "-m", "twin", "-b", benchmark, env=env)
    assert refused.returncode == 2
    assert "isocortex-twin-a::twin or isocortex-twin-b::twin" in refused.stderr
    both = [text for name in TWINS for text in ("-m", f"{name}::twin")]
    done = isocortex("score", *both, "-b", benchmark, "--json", env=env)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["model"] for row in rows] == [f"{name}::twin" for name in TWINS]
    assert rows[0]["value"] != rows[1]["value"]
    again = isocortex("score", *both, "-b", benchmark, env=env)
    assert "0 computed, 2 cached" in again.stderr
