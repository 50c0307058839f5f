"""Results by benchmark, model and region: names, globs, ranges of seeds."""

from __future__ import annotations

import pytest

from isocortex.errors import UsageError
from isocortex.results.frames import rows_frame
from isocortex.results.result import Failure, Result
from isocortex.results.selection import Selection, selected_results, selected_rows
from isocortex.scoring.summary import Summary


def summary(value: float = 0.5) -> Summary:
    rest = {"layer_rule": "single layer", "n_layers_searched": 1, "best_layer": "l", "n_stimuli": 9}
    return Summary.model_validate({"statistic": "r", "target": "pooled", "value": value, **rest})


def result(model: str, variant: str = "fixed", benchmark: str = "b", *, failed: bool = False) -> Result:
    outcome = {"status": "failed", "failure": Failure(kind="DataError", message="no")} if failed else {}
    scored = {"status": "scored", "summary": summary(), "regions": {"V1": summary(0.1), "V4": summary(0.2)}}
    known = {"benchmark_version": 1, "dataset": "d", "stimuli": "s", "metric": "k", "digest": f"{model}{variant}"}
    return Result.model_validate(
        {"model": model, "variant": variant, "benchmark": benchmark, **known, **(outcome or scored)}
    )


NETS = [result("net", f"random:{seed}") for seed in (0, 1, 2, 10)]
OTHERS = [result("net", "pretrained"), result("activations:/data[1]"), result("net2", "fixed", "c", failed=True)]
ALL = [*NETS, *OTHERS]


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ((), ALL),
        (("net",), ALL[:5]),
        (("net*",), [*ALL[:5], ALL[6]]),
        (("net@random:1",), [NETS[1]]),
        (("net@random:1..10",), NETS[1:]),
        (("*@random:*",), NETS),
        (("activations:/data[1]",), [OTHERS[1]]),
        (("net@pretrained", "net2"), [OTHERS[0], OTHERS[2]]),
    ],
)
def test_models_by_name_glob_and_range_of_seeds(models: tuple[str, ...], expected: list[Result]) -> None:
    assert selected_results(ALL, Selection.of(models=models)) == expected


def test_benchmarks_by_name_and_glob() -> None:
    assert selected_results(ALL, Selection.of("c")) == [OTHERS[2]]
    assert selected_results(ALL, Selection.of(["?"], "net2")) == [OTHERS[2]]


def test_the_model_that_others_are_compared_with_stays() -> None:
    assert selected_results(ALL, Selection.of(models="net@pretrained", against="net2")) == [OTHERS[0], OTHERS[2]]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (Selection.of("bb"), "No result has the benchmark 'bb'.*There are b, c"),
        (Selection.of(models="nett"), "No result has the model 'nett'.*Did you mean net"),
        (Selection.of(models="net@random:3..5"), "No result has the model 'net@random:3..5'"),
        (Selection.of(models="net@x..y"), "No result has the model 'net@x..y'"),
    ],
)
def test_a_name_that_no_result_has_is_refused(chosen: Selection, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        selected_results(ALL, chosen)


def test_rows_of_regions_and_whatever_failed() -> None:
    frame = rows_frame(ALL)
    kept = selected_rows(frame, ["V*"])
    assert kept["region"].tolist() == ["V1", "V4"] * 6 + ["all"]
    assert kept["status"].tolist() == ["scored"] * 12 + ["failed"]
    assert kept.index.tolist() == list(range(13))
    assert len(selected_rows(frame, ())) == len(frame)
    assert selected_rows(frame, ["all"])["model"].tolist() == [item.model for item in ALL]
    with pytest.raises(UsageError, match=r"No result has the region 'A1'.*There are all, V1, V4"):
        selected_rows(frame, ["A1"])


def test_failures_alone_stay_whatever_region_is_asked_for() -> None:
    assert selected_rows(rows_frame([OTHERS[2]]), ["V1"])["status"].tolist() == ["failed"]
