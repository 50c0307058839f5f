"""Runs whose tasks are done on other machines: what is handed over and found, and that nothing is computed here."""

from __future__ import annotations

from isocortex.files.disk import scratch_folder
from isocortex.results.result import Result
from isocortex.run import remote
from tests.lab import Lab, Typed


def score(lab: Lab, models: object, *benchmarks: str, **config: object) -> list[Result]:
    """Run on the executor of the laboratory that works elsewhere; it does all but the models that it loses."""
    import isocortex
    from isocortex.run.plan import RunConfig

    return isocortex.score(models, list(benchmarks), config=RunConfig(**config), quiet=True, executor="lab-far")  # type: ignore[arg-type]


def handed(lab: Lab) -> list[str]:
    """Tasks that were handed over since the last time."""
    return [name for entry in lab.seen("far") for name in entry[1]]


def test_what_is_finished_is_not_handed_over(lab: Lab, typed: Typed) -> None:
    assert lab.score("lab-net", "lab.fit")[0].status == "scored"
    lab.seen()
    first = score(lab, ["lab-net", "lab-net@random:1"], "lab.fit", "lab.again")
    assert handed(lab) == ["lab-net@fixed × lab.again", "lab-net@random:1 × lab.fit", "lab-net@random:1 × lab.again"]
    assert [result.cached for result in first] == [True, False, False, False]
    assert all(result.status == "scored" for result in first)
    again = score(lab, ["lab-net", "lab-net@random:1"], "lab.fit", "lab.again")
    assert lab.seen() == [], "nothing is handed over, and nothing is loaded"
    assert [result.cached for result in again] == [True] * 4
    done = typed("score", "-m", "lab-net", "-m", "lab-net@random:2", "-b", "lab.fit", "--executor", "lab-far")
    assert done.code == 0
    assert "2 cells: 1 computed, 1 cached, 0 failed" in done.err
    assert "far: all have ended" in done.err, "an executor can say something"


def test_each_task_says_what_it_needs(lab: Lab) -> None:
    score(lab, "lab-net", "lab.fit", "lab.again", "lab.mean")
    ((_, _, needs),) = lab.seen("far")
    assert needs == ["iso-lab::lab-net@fixed on lab-images"] * 3


def test_a_task_that_was_killed_is_a_failure_with_its_reason_and_is_not_tried_here(lab: Lab) -> None:
    (good, killed) = score(lab, ["lab-net", "lab-second"], "lab.fit")
    assert good.status == "scored"
    assert killed.failure is not None
    assert killed.failure.kind == "TaskError"
    assert killed.failure.message == "out of memory on n1. What is finished is kept. Run again, and it is tried again."
    assert not any("lab-second" in str(entry) for entry in lab.seen("load"))
    (record,) = lab.records("failures/*.json")
    assert "out of memory on n1" in record.read_text()
    assert lab.score("lab-second", "lab.fit")[0].status == "scored"
    assert lab.records("failures/*.json") == [], "it goes with the success of the cell"


def test_what_a_task_says_of_its_failure_goes_before_what_the_executor_says(lab: Lab) -> None:
    (failed,) = score(lab, "fault-run", "lab.fit")
    assert failed.failure is not None
    assert (failed.failure.kind, failed.failure.message) == ("ZeroDivisionError", "ZeroDivisionError: the tape is torn")


def test_a_failure_of_an_earlier_run_does_not_stand_for_this_one(lab: Lab) -> None:
    before = lab.score("lab-second", "fault.against")
    assert before[0].failure is not None
    assert before[0].failure.kind == "ZeroDivisionError"
    (failed,) = score(lab, "lab-second", "fault.against")
    assert failed.failure is not None
    assert failed.failure.kind == "TaskError"


def test_results_of_a_model_without_digest_are_found_and_made_anew_by_each_run(lab: Lab) -> None:
    for _ in range(2):
        (result,) = score(lab, "lab-unkept", "lab.fit")
        assert (result.status, result.cached) == ("scored", False)
        assert handed(lab) == ["lab-unkept@fixed × lab.fit"]
        for path in lab.records("result.json"):
            path.unlink()


def test_a_result_without_the_arrays_that_are_asked_for_is_handed_over(lab: Lab) -> None:
    lab.score("lab-net", "lab.fit")
    assert score(lab, "lab-net", "lab.fit", keep=("alpha",))[0].status == "scored"
    assert handed(lab) == ["lab-net@fixed × lab.fit"]
    assert len(lab.records("alpha.nc")) == 1
    score(lab, "lab-net", "lab.fit", keep=("alpha",))
    assert handed(lab) == []


def test_a_result_with_fewer_draws_than_are_asked_for_is_handed_over(lab: Lab) -> None:
    assert lab.score("lab-net", "lab.regions")[0].n_draws == 1000
    assert score(lab, "lab-net", "lab.regions", draws=2000)[0].n_draws == 2000
    assert handed(lab) == ["lab-net@fixed × lab.regions"]
    assert score(lab, "lab-net", "lab.regions", draws=1500)[0].n_draws == 2000
    assert handed(lab) == []


def test_a_task_that_leaves_nothing_and_of_which_nobody_knows_is_a_failure(lab: Lab, monkeypatch) -> None:
    monkeypatch.setattr(remote, "PATIENCE_S", 0.0)
    (failed,) = score(lab, "lab-double", "lab.fit")
    assert failed.failure is not None
    assert failed.failure.message.startswith("its task has ended without a result and without a reason. ")


def test_what_lives_no_longer_than_a_run_lies_on_the_disk_that_is_named(lab: Lab, monkeypatch) -> None:
    fast = lab.folder / "fast"
    monkeypatch.setenv("ISOCORTEX_SCRATCH", str(fast))
    assert scratch_folder() == fast
    assert lab.score("lab-unkept", "lab.fit")[0].status == "scored"
    assert fast.is_dir()
    assert list(fast.iterdir()) == []
