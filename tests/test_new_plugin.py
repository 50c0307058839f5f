"""A package that ``isocortex new plugin`` writes is whole: it is listed, scored, clean, and passes the kit at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from isocortex.cli.new import KINDS, write_package
from tests.folders import image_folder
from tests.third_party.install import environment, fake_site

ALL = [text for kind in KINDS for text in ("--kind", kind)]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a package of every kind."""
    return write_package("my-lab", list(KINDS), tmp_path_factory.mktemp("written"))


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.long] * (kind == "torch")) for kind in KINDS])
def test_a_package_of_each_kind_passes_the_kit_and_is_listed(isocortex, tmp_path: Path, kind: str) -> None:
    if kind == "torch":
        pytest.importorskip("torch")
    written = write_package("my-lab", [kind], tmp_path / "written")
    env = environment(fake_site(tmp_path, [written.name], written.parent))
    done = isocortex("check", "isocortex-my-lab", "--json", env=env)
    outcomes = json.loads(done.stdout)
    assert done.returncode == 0, [item for item in outcomes if item["status"] == "failed"]
    assert sum(item["status"] == "passed" for item in outcomes) > 5
    rows = [row for rows in json.loads(isocortex("list", "--json", env=env).stdout).values() for row in rows]
    assert any(row.get("package") == "isocortex-my-lab" and row["id"].startswith("my-lab") for row in rows)


def test_what_is_written_can_be_scored(isocortex, tmp_path: Path, written: Path) -> None:
    pytest.importorskip("torch")
    env = environment(fake_site(tmp_path, [written.name], written.parent))
    image_folder(tmp_path / "mine")
    heard = isocortex("score", "-m", "my-lab", "-b", "my-lab-cells.ridge", "--json", env=env)
    seen = isocortex("score", "-m", "my-lab-net@random:0", "-b", "folder:mine:my-lab-nearest", "--json", env=env)
    assert (heard.returncode, seen.returncode) == (0, 0), heard.stderr + seen.stderr
    whole = json.loads(heard.stdout)[0]
    assert (whole["n_stimuli"], whole["n_neuroids"]) == (24, 6)
    assert whole["value"] > 0.3, "cells that are tuned to frequency are predicted by levels in bands"
    assert whole["ceiling"] > whole["value"] - 0.2
    assert np.isfinite(json.loads(seen.stdout)[0]["value"])


def test_what_is_written_is_as_clean_as_ours(written: Path) -> None:
    settings = Path(__file__).parents[1] / "pyproject.toml"
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--config", str(settings), "--no-cache", str(written)],
            capture_output=True,
            text=True,
            check=False,
        )
        if "No module named ruff" in done.stderr:
            pytest.skip("ruff is not installed; 'make lint' installs it")
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["My-Lab", "3d", "a--b", "a_b", "-a", "class", "", "../x", "é"])
def test_a_name_that_no_package_can_have_is_refused(isocortex, tmp_path: Path, name: str) -> None:
    done = isocortex("new", "plugin", "--out", str(tmp_path / "here"), "--", name)
    assert done.returncode == 2
    assert "no name for a package" in done.stderr
    assert not (tmp_path / "here").exists()


def test_a_name_that_is_taken_is_refused(isocortex, tmp_path: Path) -> None:
    done = isocortex("new", "plugin", "pixels", "--out", str(tmp_path))
    assert done.returncode == 2
    assert "isocortex-baselines" in done.stderr


def test_a_folder_that_is_there_is_left_as_it_is(isocortex, tmp_path: Path) -> None:
    (tmp_path / "isocortex-mine").mkdir()
    done = isocortex("new", "plugin", "mine", "--out", str(tmp_path))
    assert done.returncode == 2
    assert "nothing of it was touched" in done.stderr
    assert not list((tmp_path / "isocortex-mine").iterdir())


def test_the_command_says_what_to_do_next(isocortex, tmp_path: Path) -> None:
    done = isocortex("new", "plugin", "isocortex-mine", *ALL, "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "pip install --editable" in done.stdout
    assert (tmp_path / "isocortex-mine" / "src" / "isocortex_mine" / "isocortex.toml").is_file()
