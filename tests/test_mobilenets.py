"""Two trained networks of another laboratory on human inferior temporal cortex, beside themselves untrained."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from isocortex.results.result import Result, read_results
from tests.third_party.install import SOURCES, environment, fake_site

pytest.importorskip("torch")

PACKAGE = "isocortex-mobilenets"
BENCHMARK = "Kriegeskorte2008.human-IT.rsa"
MODELS = ("mobilenet-v1-0.5-160", "mobilenet-v2-1.0-224")
SEEDS = range(3)


def best(folder: Path) -> float:
    """The largest correlation with the group-mean matrix over all layers: optimistic, chosen on what it shows."""
    import xarray as xr

    with xr.open_dataset(folder / "scores.nc") as scores:
        return float(scores["group_rho"].max())


def shown_in_the_tutorial() -> list[list[float]]:
    """Numbers of the two rows of the tutorial's table."""
    page = (Path(__file__).parents[1] / "docs" / "tutorials" / "visual-cortex.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| MobileNet v.*$", page, re.MULTILINE)
    return [[float(number) for number in re.findall(r"(?<!\w)\.\d{3}", row)] for row in rows]


def row_of(model: str, results: list[Result]) -> list[float]:
    """Trained: value and group_rho; untrained: lowest and highest value, lowest and highest group_rho."""
    own = [result for result in results if result.model == model]
    found = {r.variant: (r.summary.value or 0, r.summary.also["group_rho"] or 0) for r in own if r.summary}
    value, group = found.pop(next(variant for variant in found if variant.startswith("file:")))
    values, groups = zip(*found.values(), strict=True)
    return [value, group, min(values), max(values), min(groups), max(groups)]


def test_the_trained_network_is_named_where_its_weights_are_absent(isocortex, tmp_path) -> None:
    env = environment(fake_site(tmp_path, [PACKAGE]))
    done = isocortex("list", "models", "--where", f"package={PACKAGE}", "--json", env=env)
    assert all(name in done.stdout for name in MODELS)
    absent = isocortex("fetch", "-m", MODELS[0], env=env)
    assert absent.returncode == 1
    assert f"isocortex fetch -m {MODELS[0]} --from FOLDER" in absent.stderr
    assert "Traceback" not in absent.stderr


@pytest.mark.long
def test_trained_they_are_like_human_it_and_untrained_they_are_not(isocortex, realdata: Path, tmp_path) -> None:
    env = environment(fake_site(tmp_path, [PACKAGE]))
    fetched = isocortex("fetch", "-b", BENCHMARK, "--from", str(realdata / "kriegeskorte2008"), env=env)
    assert fetched.returncode == 0, fetched.stderr
    trained = [f"{model}@file:{realdata / 'networks'}=trained" for model in MODELS]
    untrained = [f"{model}@random:0..{len(SEEDS) - 1}" for model in MODELS]
    names = [text for name in (*trained, *untrained) for text in ("-m", name)]
    done = isocortex("score", *names, "-b", BENCHMARK, "--offline", "--out", "results", env=env)
    assert done.returncode == 0, done.stderr
    folders = {path.parent.parent.name: path.parent for path in (tmp_path / "results").rglob("scores.nc")}
    found = {name: best(folder) for name, folder in folders.items()}
    assert len(found) == 2 * (1 + len(SEEDS))
    assert min(value for name, value in found.items() if "trained" in name) >= 0.33, found
    assert max(value for name, value in found.items() if "random" in name) <= 0.20, found
    results = read_results(tmp_path / "results")
    for model, shown in zip(MODELS, shown_in_the_tutorial(), strict=True):
        assert shown == pytest.approx(row_of(model, results), abs=0.0011), model
    for result in results:
        assert result.summary is not None
        assert result.summary.layer_rule == "nested by model"
        if result.variant.startswith("file:"):  # chosen within the other images, it is hardly less
            assert (result.summary.also["group_rho"] or 0) >= 0.33


@pytest.mark.long
def test_the_package_keeps_the_contract(tmp_path: Path) -> None:
    """Its own tests, the conformance kit among them, in a process that sees it."""
    env = {**os.environ, **environment(fake_site(tmp_path, [PACKAGE])), "OMP_NUM_THREADS": "1"}
    tests = shutil.copytree(SOURCES / PACKAGE / "tests", tmp_path / "tests")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not memory", str(tests)]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split(" passed")[0].split()[-1]) >= 30, done.stdout
