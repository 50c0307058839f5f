"""Trials: a run on few stimuli, whose results lie by themselves and stand beside no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import isocortex
from isocortex.errors import SettingsError
from isocortex.results.result import read_results
from isocortex.run.plan import RunConfig
from tests.lab import Lab


def test_a_trial_takes_stimuli_from_all_over_the_set_and_says_so(lab: Lab) -> None:
    (result,) = isocortex.score("lab-net", "lab.fit", config=RunConfig(limit=25), quiet=True)
    assert result.status == "scored", result.failure
    assert result.limit == 25
    assert result.benchmark == "lab.fit (trial, 25 stimuli)"
    assert result.summary is not None
    assert result.summary.n_stimuli == 25
    assert "A trial on 25 of 40 stimuli, and no result of the benchmark." in result.warnings
    ran = [name for _, _, names in lab.seen("run") for name in names]
    assert set(ran) == {f"s{number:02d}" for number in (np.arange(25) * 40) // 25}
    assert not Path("results").exists()
    (found,) = read_results(Path("results-trial"))
    assert found.model_dump() == result.model_dump()
    assert isocortex.results("results-trial")["limit"].tolist() == [25]


def test_a_trial_is_the_score_of_these_stimuli_alone(lab: Lab) -> None:
    """The made-up metric tests the stimuli from the 21st on: recomputed with numpy."""
    import iso_lab  # type: ignore[import-not-found]

    (result,) = isocortex.score("lab-net", "lab.fit", config=RunConfig(limit=30, layers=("net.pixels",)), quiet=True)
    places = (np.arange(30) * 40) // 30
    x = iso_lab.IMAGES.astype(float).mean(axis=(1, 2, 3))[places][20:]
    y = isocortex.load_dataset("Lab").responses.values[places][20:]
    expected = [np.corrcoef(x, column)[0, 1] for column in y.T]
    assert result.summary is not None
    assert result.summary.value == pytest.approx(np.median(expected), abs=1e-6)


def test_trials_and_results_never_meet(lab: Lab) -> None:
    (real,) = isocortex.score("lab-net", "lab.fit", quiet=True)
    trials = [
        isocortex.score(["lab-net", "lab-second"], "lab.fit", config=RunConfig(limit=limit), quiet=True)
        for limit in (25, 30)
    ]
    digests = {real.digest, *(item.digest for run in trials for item in run)}
    assert len(digests) == 5
    assert [item.cached for item in isocortex.score("lab-net", "lab.fit", quiet=True)] == [True]
    again = isocortex.score("lab-net", "lab.fit", config=RunConfig(limit=25), quiet=True)
    assert [(item.cached, item.digest) for item in again] == [(True, trials[0][0].digest)]
    table = isocortex.compare([real, *trials[0], *trials[1]], out="results-trial")
    assert set(table["benchmark"]) == {"lab.fit", "lab.fit (trial, 25 stimuli)", "lab.fit (trial, 30 stimuli)"}
    assert len(isocortex.results([real, *trials[0]], benchmarks="lab.fit")) == 1
    assert len(read_results(Path("results"))) == 1


def test_the_id_of_a_cell_and_its_failure_know_the_limit(lab: Lab, typed) -> None:
    asked = ("score", "-m", "fault-run", "-b", "lab.fit", "--limit", "25")
    assert typed(*asked).code == 1
    (failure,) = Path("results-trial").rglob("failures/*.json")
    assert failure.stem in typed(*asked, "--dry-run", "--json").out
    assert failure.stem not in typed(*asked[:-2], "--dry-run", "--json").out
    assert "lab.fit (trial, 25 stimuli)" in typed("show", "results-trial").out


def test_a_trial_is_done_by_other_processes_too(lab: Lab, typed) -> None:
    import json

    from isocortex.run.tasks import run_tasks, task_from_json

    dry = json.loads(typed("score", "-m", "lab-net", "-b", "lab.fit", "--limit", "25", "--dry-run", "--json").out)
    assert all(task["limit"] == 25 for task in dry["tasks"] if task["task"] == "extract")
    for task in dry["tasks"]:
        run_tasks([task_from_json(task)])
    assert len({name for _, _, names in lab.seen("run") for name in names}) == 25
    (found,) = read_results(Path("results-trial"))
    assert found.limit == 25


def test_rdms_of_a_trial_are_those_of_its_pairs(lab: Lab) -> None:
    pairs = isocortex.load_dataset("LabPairs")
    few = pairs.only(pairs.stimuli.ids[:5])
    assert few.rdm is not None
    assert few.rdm.sizes["pair"] == 10
    assert set(few.rdm["stimulus_b"].values) <= set(pairs.stimuli.ids[:5])


def test_a_trial_of_too_few_stimuli_is_refused() -> None:
    with pytest.raises(SettingsError, match="A trial takes 8 stimuli or more; found 3"):
        RunConfig(limit=3)
