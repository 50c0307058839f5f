"""Results as tidy tables, and the seeds of one control as one row."""

from __future__ import annotations

import numpy as np
import pytest

from isocortex.results.frames import layers_frame, row_name, rows_frame, seed_sets
from isocortex.results.result import Failure, Result
from isocortex.scoring.stages import Stage
from isocortex.scoring.summary import LayerValue, Summary


def made(model: str, variant: str, value: float | None, *, digest: str = "", **fields: object) -> Result:
    summary = {
        "statistic": "r",
        "target": "participant",
        "value": value,
        "error": 0.02,
        "interval_low": None if value is None else value - 0.1,
        "interval_high": None if value is None else value + 0.1,
        "resampled": "stimuli",
        "layer_rule": "nested",
        "n_layers_searched": 2,
        "best_layer": "conv2",
        "layers": [LayerValue(name="conv1", value=0.1), LayerValue(name="conv2", value=value, read_out=1.0)],
        "n_stimuli": 165,
        "also": {"r2": 0.04},
        "stage": Stage(value=1.0, procedure="nested", n_layers=2, participants={"a": 1.0}),
    }
    of_result = {
        "status": "scored",
        "benchmark": "bench",
        "benchmark_version": 1,
        "dataset": "data",
        "stimuli": "sounds",
        "metric": "ridge",
        "digests": {"dataset": "d", "stimuli": "s", "metric": "m", "benchmark": "b"},
    }
    part = Summary.model_validate(summary)
    return Result.model_validate(
        {
            **of_result,
            "model": model,
            "variant": variant,
            "digest": digest or f"{model}{variant}",
            "summary": part,
            "regions": {"A1": part, "all": part},
            **fields,
        }
    )


def failed(model: str) -> Result:
    return made(model, "fixed", None, status="failed").model_copy(
        update={"summary": None, "regions": {}, "failure": Failure(kind="DataError", message="no sound")}
    )


def test_no_cell_of_the_tables_holds_anything_but_a_number_a_text_or_a_truth():
    results = [made("a", "fixed", 0.5), failed("b")]
    for frame in (rows_frame(results), layers_frame(results)):
        cells = {type(value) for row in frame.to_dict("records") for value in row.values()}
        assert cells <= {str, float, int, type(None)}
    frame = rows_frame(results)
    assert frame["region"].tolist() == ["all", "A1", "'all'", "all"]
    assert frame["value"].dtype == np.float64
    assert frame["seed"].dtype == "Int64"
    assert frame["stage"].tolist()[:3] == [1.0] * 3
    assert frame.iloc[3][["status", "failure"]].tolist() == ["failed", "no sound"]
    assert frame.loc[0, "also_r2"] == 0.04


def test_the_frame_of_nothing_has_the_columns_and_types_of_any_other():
    for frame_of in (rows_frame, layers_frame):
        none, some = frame_of([]).dtypes, frame_of([made("a", "fixed", 1.0), failed("b")]).dtypes
        assert none.to_dict() == {name: kind for name, kind in some.items() if not str(name).startswith("also_")}


def test_curves_are_one_row_per_layer_with_its_depth():
    curve = layers_frame([made("a", "fixed", 0.5)]).query("region == 'all'")
    assert curve[["layer", "place", "depth", "value", "read_out"]].values.tolist() == [
        ["conv1", 0, 0.0, 0.1, 0.0],
        ["conv2", 1, 1.0, 0.5, 1.0],
    ]


def test_seeds_of_one_control_are_one_row_with_a_range_and_no_interval():
    results = [made("net", f"random:{seed}", value) for seed, value in enumerate((0.1, 0.3, 0.2))]
    results += [made("net", "pretrained", 0.9), made("net", "permuted:0", 0.15)]
    sets = seed_sets(rows_frame(results).query("region == 'all'"), results)
    assert sets["variant"].tolist() == ["random:0..2", "pretrained", "permuted:0"]
    row = sets.iloc[0]
    assert row["value"] == pytest.approx(0.2)
    assert (row["range_low"], row["range_high"], row["n_seeds"]) == (0.1, 0.3, 3)
    assert np.isnan(row["interval_low"])
    assert np.isnan(row["error"])
    assert row["members"].split() == ["netrandom:0", "netrandom:1", "netrandom:2"]
    assert sets.iloc[1]["interval_low"] == pytest.approx(0.8)


@pytest.mark.parametrize(
    "other",
    [
        {"digests": {"dataset": "other", "stimuli": "s", "metric": "m", "benchmark": "b"}},
        {"layers": ["conv1"]},
        {"seed": 1},
    ],
    ids=["data", "layers", "splits"],
)
def test_seeds_that_rest_on_something_else_are_no_set(other: dict[str, object]):
    results = [made("net", "random:0", 0.1), made("net", "random:1", 0.2, **other)]
    sets = seed_sets(rows_frame(results), results)
    assert sets["n_seeds"].tolist() == [1] * 6
    assert sets["value"].tolist() == [0.1] * 3 + [0.2] * 3


def test_a_seed_with_two_results_is_not_averaged_over():
    results = [made("net", "random:0", 0.1), made("net", "random:0", 0.4, digest="again"), made("net", "random:1", 0.2)]
    sets = seed_sets(rows_frame(results).query("region == 'all'"), results)
    assert sets["value"].tolist() == [0.1, 0.4, 0.2]


def test_a_seed_without_a_value_leaves_the_set_without_one():
    results = [made("net", "random:0", 0.1), made("net", "random:1", None)]
    assert np.isnan(seed_sets(rows_frame(results), results)["value"].iloc[0])


def test_a_region_called_all_is_no_whole():
    assert row_name("all") != row_name(None)
