"""Models that learn from the training part of a benchmark are tested on the rest, and never on what they saw."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import isocortex
from isocortex.api import extract, run
from isocortex.data.stimuli import StimulusSet
from isocortex.files.disk import cache_folder
from isocortex.progress import Reporter
from isocortex.results.result import Result
from isocortex.run.plan import RunConfig
from isocortex.testing import run_checks
from isocortex.training import read_fitted
from tests.learners import write_learners
from tests.third_party.install import environment


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package of ``tests.learners``, installed for this test."""
    place = tmp_path / "site"
    write_learners(place)
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.chdir(tmp_path)
    yield place
    sys.modules.pop("iso_learn", None)


def score(model: str, benchmark: str, **config: object) -> Result:
    """Score in this process without a word."""
    found = run(model, benchmark, RunConfig(**config), Reporter(quiet=True))[0]  # pyright: ignore[reportArgumentType]
    return found[0]


def refusal(model: str, benchmark: str) -> str:
    """Why a model was not scored."""
    result = score(model, benchmark)
    assert result.status == "failed", result.summary
    assert result.failure is not None
    assert result.failure.traceback is None, result.failure.traceback
    return result.failure.message


def kept_fit(result: Result, split: int = 0) -> Path:
    """Where ``--keep fitted`` put the network of a split."""
    (place,) = Path("results").rglob(f"{result.digest[:8]}*/kept/fitted/split-{split:02d}")
    return place.absolute()


@pytest.mark.usefixtures("site")
def test_each_split_is_predicted_by_what_was_fitted_to_its_training_part() -> None:
    result = score("learner", "Brain.folds")
    assert result.summary is not None
    assert result.summary.value > 0.9
    assert (result.variant, result.summary.n_splits) == ("trained:0", 3)
    assert [record.n_stimuli for record in result.training] == [40, 40, 40]
    assert all(len(record.curves["loss"]) == 12 for record in result.training)
    import iso_learn  # pyright: ignore[reportMissingImports]

    for record, (stimuli, responses) in zip(result.training, iso_learn.FITS, strict=True):
        assert len(stimuli) == record.n_stimuli == len(set(responses["stimulus_id"].values))
        assert set(responses["stimulus_id"].values) == set(stimuli.ids)


@pytest.mark.usefixtures("site")
def test_nothing_that_is_handed_over_leads_to_what_is_tested() -> None:
    score("learner", "Brain.fixed")
    import iso_learn  # pyright: ignore[reportMissingImports]

    ((stimuli, responses),) = iso_learn.FITS
    assert responses.values.base is None or responses.values.base.shape == responses.shape
    reached, waiting = set(), [vars(stimuli), responses.attrs, responses.encoding]
    while waiting:  # whatever the training stimuli refer to
        for item in gc.get_referents(waiting.pop()):
            if id(item) not in reached and not isinstance(item, type) and not callable(item):
                reached.add(id(item))
                waiting.append(item)
                assert not (isinstance(item, StimulusSet) and len(item) > 30)
                assert not (
                    isinstance(item, str) and item.startswith("p") and item[1:].isdigit() and int(item[1:]) >= 30
                )


@pytest.mark.usefixtures("site")
def test_responses_that_know_nothing_of_the_pictures_score_nothing() -> None:
    result = score("learner", "Nothing.folds")
    assert result.summary is not None
    assert result.summary.interval_low is not None
    assert result.summary.interval_low < 0 < result.summary.interval_high  # pyright: ignore[reportOptionalOperand]


@pytest.mark.usefixtures("site")
def test_what_was_trained_on_is_never_tested_whatever_it_is_called() -> None:
    result = score("learner", "Brain.folds", keep=("fitted",))
    fit = kept_fit(result)
    for benchmark in ("Brain.all", "Brain.folds", "Brain.fixed", "Brain.ridge", "Brain.rsa", "BrainCopy.all"):
        said = refusal(f"learner@file:{fit}", benchmark)
        assert "has learned from 40 stimuli of 'pictures'" in said, said
    assert score(f"learner@file:{fit}", "BrainOthers.all").status == "scored"


@pytest.mark.usefixtures("site")
def test_a_baseline_is_not_tested_on_what_it_saw_either() -> None:
    fit = kept_fit(score("learner", "Brain.folds", keep=("fitted",)))
    fit.rename("fit")
    said = refusal("pixels", "Brain.beside")
    assert said.startswith("learner@file:fit has learned from 40 stimuli"), said
    assert "cannot be a baseline" in refusal("pixels", "Brain.beside-trained")


@pytest.mark.usefixtures("site")
def test_a_bit_of_a_kept_network_that_turned_over_is_seen() -> None:
    fit = kept_fit(score("learner", "Brain.folds", keep=("fitted",)))
    content = bytearray((fit / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (fit / "weights.safetensors").write_bytes(content)
    assert "is not as it was written" in refusal(f"learner@file:{fit}", "BrainOthers.all")


@pytest.mark.usefixtures("site")
def test_activations_carry_what_their_model_was_trained_on() -> None:
    fit = kept_fit(score("learner", "Brain.folds", keep=("fitted",)), split=1)
    extract(f"learner@file:{fit}", "pictures-renamed", quiet=True)
    (folder,) = [path.parent for path in (cache_folder() / "activations").glob("*/activations.json")
                 if json.loads(path.read_text())["model"].startswith("learner@file")]  # fmt: skip
    assert "has learned from 40 stimuli" in refusal(f"activations:{folder}", "BrainCopy.all")


@pytest.mark.usefixtures("site")
def test_pictures_that_hold_the_same_as_a_tested_one_are_left_out_of_training_and_it_is_said() -> None:
    result = score("learner", "BrainTwice.fixed")
    assert [(record.n_stimuli, record.n_left_out) for record in result.training] == [(25, 5)]
    assert any("5 stimuli were left out of training" in text for text in result.warnings)


@pytest.mark.usefixtures("site")
def test_near_duplicates_by_the_groups_of_the_data_set_are_left_out_too() -> None:
    result = score("learner", "BrainGrouped.fixed", keep=("fitted",))
    # 30 to train on are objects 0 to 7, and objects from 7 on are tested: p28 and p29 are of object 7
    assert [(record.n_stimuli, record.n_left_out) for record in result.training] == [(28, 2)]
    trained_on = read_fitted(kept_fit(result)).trained_on
    assert trained_on is not None
    assert trained_on.groups == {"object": tuple(f"object{number}" for number in range(7))}


@pytest.mark.usefixtures("site")
def test_a_metric_without_training_stimuli_is_refused_and_so_is_extraction() -> None:
    assert "needs training stimuli that are apart" in refusal("learner", "Brain.rsa")
    assert "needs training stimuli that are apart" in refusal("learner", "Brain.all")
    with pytest.raises(Exception, match="one network for each split"):
        extract("learner", "pictures", quiet=True)


@pytest.mark.usefixtures("site")
def test_a_fit_of_another_model_is_refused() -> None:
    fit = kept_fit(score("learner", "Brain.folds", keep=("fitted",)))
    assert "was fitted as 'learner', and is not opened as 'learner-wavers'" in refusal(
        f"learner-wavers@file:{fit}", "BrainOthers.all"
    )


@pytest.mark.usefixtures("site")
def test_what_is_damaged_is_trained_again_and_what_is_whole_is_not() -> None:
    first = score("learner", "Brain.folds")
    import iso_learn  # pyright: ignore[reportMissingImports]

    assert score("learner", "Brain.ridge").status == "scored"
    assert len(iso_learn.FITS) == 3  # the same splits, so the same fits
    (fit, *_) = sorted((cache_folder() / "fitted").glob("*/weights.safetensors"))
    fit.write_bytes(fit.read_bytes()[:-1])
    again = score("learner", "Brain.folds", out=Path("elsewhere"))
    assert len(iso_learn.FITS) == 4
    assert [record.digest for record in again.training] == [record.digest for record in first.training]


@pytest.mark.usefixtures("site")
def test_a_result_of_a_training_is_computed_again_with_the_same_digits() -> None:
    first = score("learner", "Brain.folds")
    (path,) = Path("results").rglob("result.json")
    again = isocortex.rerun(path, out="again").again
    assert again.digest == first.digest
    assert [record.digest for record in again.training] == [record.digest for record in first.training]


@pytest.mark.usefixtures("site")
def test_chance_of_a_training_is_not_offered_and_it_is_said() -> None:
    result = score("learner", "Brain.folds", null="19")
    assert result.summary is not None
    assert (result.summary.permuted, result.summary.p) == ("not offered", None)
    assert any("would have to be trained anew" in text for text in result.warnings)


@pytest.mark.usefixtures("site")
def test_seeds_are_rows_of_their_own() -> None:
    found = run("learner@trained:0..1", "Brain.fixed", RunConfig(), Reporter(quiet=True))[0]
    assert [result.variant for result in found] == ["trained:0", "trained:1"]
    assert found[0].training[0].digest != found[1].training[0].digest


def scored_elsewhere(site: Path, cache: Path, out: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Score the model that dies in a process and a cache of its own."""
    return subprocess.run(
        [sys.executable, "-m", "isocortex", "score", "-m", "learner-dies", "-b", "Brain.fixed", "--out", str(out)],
        env={**os.environ, **environment(site), "ISOCORTEX_CACHE": str(cache), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def weights_in(cache: Path) -> bytes:
    """The weights of the one fit in a cache."""
    (path,) = (cache / "fitted").glob("*/weights.safetensors")
    return path.read_bytes()


def test_a_training_that_was_killed_goes_on_at_its_last_epoch_and_ends_with_the_same_bytes(
    site: Path, tmp_path: Path
) -> None:
    killed = scored_elsewhere(site, tmp_path / "one", tmp_path / "out")
    assert killed.returncode == -signal.SIGKILL
    (record,) = (tmp_path / "one" / "fitted").glob("*.journal/*/epoch.json")
    assert json.loads(record.read_text())["n_done"] == 5
    assert scored_elsewhere(site, tmp_path / "one", tmp_path / "out", ISO_LIVE="1").returncode == 0
    assert not list((tmp_path / "one" / "fitted").glob("*.journal"))
    assert scored_elsewhere(site, tmp_path / "two", tmp_path / "out-two", ISO_LIVE="1").returncode == 0
    assert weights_in(tmp_path / "one") == weights_in(tmp_path / "two")


@pytest.mark.long
def test_two_processes_at_once_leave_one_fit(site: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "isocortex", "score", "-m", "learner", "-b", "Brain.fixed"]
    variables = {**os.environ, **environment(site), "ISOCORTEX_CACHE": str(tmp_path / "cache")}
    running = [
        subprocess.Popen([*command, "--out", str(tmp_path / name)], env=variables, stderr=subprocess.DEVNULL)
        for name in ("one", "two")
    ]
    assert [process.wait(120) for process in running] == [0, 0]
    weights_in(tmp_path / "cache")
    values = [
        json.loads(path.read_text())["summary"]["value"] for path in tmp_path.glob("*/Brain.fixed/*/*/result.json")
    ]
    assert len(values) == 2
    assert np.ptp(values) == 0


# --- the conformance kit ----------------------------------------------------------------------------------------------

LEARNING = ("learns", "same-bytes", "resumes", "remembers-nothing")


@pytest.mark.parametrize(
    ("model", "failing"),
    [
        ("learner", ()),
        ("learner-wavers", ("same-bytes", "resumes", "remembers-nothing")),
        ("learner-forgets", ("resumes",)),
        ("learner-remembers", ("remembers-nothing",)),
    ],
)
@pytest.mark.usefixtures("site")
def test_the_kit_catches_models_that_cheat(model: str, failing: tuple[str, ...]) -> None:
    found = {outcome.id.rpartition(":")[2]: outcome for outcome in run_checks(model) if outcome.id.startswith("model:")}
    assert set(LEARNING) <= set(found)
    assert {name for name in LEARNING if found[name].status == "failed"} == set(failing)
    assert all(found[name].status in ("passed", "failed") for name in LEARNING)


@pytest.mark.usefixtures("site")
def test_under_stricter_splits_a_network_learns_from_other_kinds_alone_and_has_no_drop() -> None:
    """The drop would take as many trainings again, and that is said."""
    result = score("learner", "Brain.ridge", splits="leave-split-out")
    assert result.summary is not None, result.failure
    assert result.summary.value is not None
    assert (result.summary.ordinary, result.summary.drop) == (None, None)
    assert any("There is no drop, because learner learns" in text for text in result.warnings)
    assert len(result.training) == 4, "two halves of two kinds"
