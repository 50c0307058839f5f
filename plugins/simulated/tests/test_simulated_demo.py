"""``isocortex demo`` from nothing, once, and what can be checked once its activations are there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import isocortex
from isocortex.catalogue.rows import Catalogue
from isocortex_simulated import truth
from isocortex_simulated.datasets import simulate, simulation_of
from isocortex_simulated.demo import CANDIDATES, check, demo
from isocortex_simulated.recovery import recover
from isocortex_simulated.stages import components_of, computed_components

#: one worker runs the demo that these tests share
pytestmark = [pytest.mark.long, pytest.mark.xdist_group("demo")]

AUDITORY = {
    "cochleagram-kell2018": ("cochleagram",),
    "cochleagram-cochcnn9": ("cochleagram",),
    "spectrotemporal": ("avgpool",),
    "spectrotemporal-sqrt": ("avgpool",),
    "threshold-units": ("units",),
    "category": ("category",),
    "noise": ("layer.0",),
}


def run_demo(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with data and cache below a folder."""
    environment = {**os.environ, "ISOCORTEX_CACHE": str(folder / "cache"), "ISOCORTEX_DATA": str(folder / "data")}
    command = [sys.executable, "-m", "isocortex", "demo"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo runs."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def first(folder: Path) -> subprocess.CompletedProcess[str]:
    """The first run, with nothing cached."""
    return run_demo(folder)


@pytest.fixture
def filled(folder: Path, first: object, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The caches that the first run filled, for this process."""
    monkeypatch.setenv("ISOCORTEX_CACHE", str(folder / "cache"))
    return folder


def test_the_demo_passes_all_its_checks(first) -> None:
    assert first.returncode == 0, first.stderr
    assert "12 cells: 12 computed, 0 cached, 0 failed" in first.stdout
    assert first.stdout.count("  passed  ") == 10
    assert "FAILED" not in first.stdout
    assert len(re.findall("  recovered$", first.stdout, re.MULTILINE)) == 4
    assert len(re.findall("  no recovery$", first.stdout, re.MULTILINE)) == 6
    for name in CANDIDATES:
        for region, stage in truth(name).items():
            case = f"{region}, made of nothing" if stage is None else f"{region}, made of {stage.model} {stage.layer}"
            assert case in first.stdout


def test_the_demo_fits_one_screen_and_says_where_its_results_are(first) -> None:
    lines = first.stdout.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "Every check passed. A page of it all: isocortex report results/demo"


def test_results_hold_intervals_ceilings_and_layers(first, folder) -> None:
    records = [json.loads(path.read_text()) for path in sorted((folder / "results/demo").rglob("result.json"))]
    assert len(records) == 12
    for record in records:
        for region, summary in record["regions"].items():
            assert summary["interval_low"] < summary["value"] < summary["interval_high"]
            assert summary["resampled"] == "stimuli × participants"
            assert summary["n_neuroids"] == 40
            if region != "noise":
                assert summary["ceiling"] == pytest.approx(np.sqrt(15 / 16), abs=0.005)
    gabor = next(record for record in records if record["model"] == "gabor-pyramid")
    assert gabor["regions"]["orientation"]["best_layer"] == "sigma.8"
    assert gabor["regions"]["orientation"]["n_layers_searched"] == 4


def test_a_second_run_computes_nothing_and_says_so(first, folder) -> None:
    second = run_demo(folder)
    assert second.returncode == 0, second.stderr
    assert "12 cells: 0 computed, 12 cached, 0 failed (nothing was computed again)" in second.stdout
    # the regions of a result that is read back may come in another order
    before, after = (sorted(run.stdout.partition("12 cells")[0].splitlines()) for run in (first, second))
    assert after == before


def test_the_demo_fails_where_a_score_does_not_fit_the_truth(filled, tmp_path) -> None:
    """The true model's scores are taken for a neighbour's, and the neighbour's for the true model's."""
    out = tmp_path / "results"
    shutil.copytree(filled / "results/demo", out)
    results = isocortex.score(list(AUDITORY), "simulated-auditory.ridge", out=out, quiet=True)
    assert all(finding.right for finding in check("simulated-auditory", results, out))
    swapped = {"spectrotemporal": "spectrotemporal-sqrt", "spectrotemporal-sqrt": "spectrotemporal"}
    by_model = {result.model: result for result in results}
    mixed = [
        by_model[swapped.get(result.model, result.model)].model_copy(update={"model": result.model, "digest": "0" * 16})
        if result.model in swapped
        else result
        for result in results
    ]
    for result in mixed:
        if result.model in swapped:
            source = by_model[swapped[result.model]]
            shutil.copytree(
                out / source.benchmark / f"{source.model}@fixed" / source.digest[:16],
                out / source.benchmark / f"{result.model}@fixed" / ("0" * 16),
            )
    wrong = [finding.case for finding in check("simulated-auditory", mixed, out) if not finding.right]
    assert wrong == [
        "modulation, made of spectrotemporal-sqrt avgpool",
        "modulation, spectrotemporal-sqrt left out",
    ]


def test_a_cell_that_fails_makes_the_demo_fail(filled, tmp_path) -> None:
    results = isocortex.score(["noise"], "simulated-visual.ridge", out=tmp_path, quiet=True)
    broken = [results[0].model_copy(update={"status": "failed"})]
    (finding,) = check("simulated-visual", broken, tmp_path)
    assert not finding.right
    assert "noise" in finding.outcome


def test_the_command_is_listed_with_its_help() -> None:
    (row,) = [row for row in Catalogue.discover().of_kind("command") if row.id == "demo"]
    assert row.package == "isocortex-simulated"
    shown = CliRunner().invoke(demo, ["--help"])
    assert shown.exit_code == 0
    assert "--out" in shown.output


def test_kept_components_of_sounds_are_those_that_the_models_give(filled) -> None:
    stimuli_id, simulation = simulation_of("simulated-auditory")
    stimuli = isocortex.load_stimuli(stimuli_id)
    for stage in simulation.stages.values():
        if stage is not None:
            kept = components_of(stimuli, stage, simulation.reduction, simulation.n_components)
            computed = computed_components(stimuli, stage, simulation.reduction, simulation.n_components)
            np.testing.assert_allclose(kept, computed, atol=1e-5)


def test_auditory_cortices_of_five_seeds_give_their_truth_away(filled, score) -> None:
    name = "simulated-auditory"
    stimuli_id, simulation = simulation_of(name)
    stimuli = isocortex.load_stimuli(stimuli_id)
    n_covering = 0
    for seed in range(5):
        regions = score(simulate(name, stimuli, simulation.model_copy(update={"seed": seed})), AUDITORY)
        for region, stage in truth(name).items():
            verdict = recover(regions[region])
            if stage is None:
                assert verdict.model is None, (seed, verdict)
                n_covering += sum(item.low <= 0 <= item.high for item in regions[region])
                continue
            assert (verdict.model, verdict.layer) == tuple(stage), (seed, region, verdict)
            others = [item for item in regions[region] if item.model != stage.model]
            assert recover(others).model is None, (seed, region, recover(others))
    # 35 intervals of 95 % on pure noise, seven by seven on the same responses
    assert n_covering >= 31
