from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from isocortex.errors import StoreError
from isocortex.results.records import write_record
from isocortex.results.result import Failure, Provenance, Result, read_results
from isocortex.scoring.summary import LayerValue, Summary


def summary(value: float | None = 0.5, **more: Any) -> Summary:
    fields: dict[str, Any] = {
        "statistic": "r",
        "target": "participant",
        "value": value,
        "layer_rule": "nested by region",
        "n_layers_searched": 2,
        "best_layer": "conv1",
        "n_stimuli": 165,
        **more,
    }
    return Summary(**fields)


def result(**more: Any) -> Result:
    fields: dict[str, Any] = {
        "status": "scored",
        "digest": "d" * 64,
        "model": "noise",
        "variant": "fixed",
        "benchmark": "NH2015comp.ridge",
        "benchmark_version": 1,
        "dataset": "NH2015comp",
        "stimuli": "natsound165",
        "metric": "ridge",
        "summary": summary(),
        **more,
    }
    return Result(**fields)


def failed(**more: Any) -> Result:
    failure = Failure(kind="DataError", message="The sound is truncated.")
    return result(**{"status": "failed", "summary": None, "failure": failure, **more})


def write(folder: Path, found: Result, name: str) -> Path:
    path = folder / found.benchmark / f"{found.model}@{found.variant}" / found.digest[:16] / name
    write_record(path, found)
    return path


def test_one_row_for_the_whole_and_one_per_region() -> None:
    layers = [LayerValue(name="conv1", value=0.5, read_out=1.0)]
    rows = result(regions={"V4": summary(0.25), "IT": summary(None)}, summary=summary(layers=layers)).rows()
    assert [(row["region"], row["value"]) for row in rows] == [(None, 0.5), ("V4", 0.25), ("IT", None)]
    head = {
        "model": "noise",
        "variant": "fixed",
        "benchmark": "NH2015comp.ridge",
        "status": "scored",
        "digest": "d" * 64,
    }
    assert all({key: row[key] for key in head} == head for row in rows)
    assert rows[0]["layers"] == [{"name": "conv1", "value": 0.5, "read_out": 1.0}]


def test_a_row_holds_all_of_the_summary_but_the_draws() -> None:
    (row,) = result(summary=summary(draws=[1.0, 2.0])).rows()
    assert set(Summary.model_fields) - {"draws"} <= set(row)
    assert "draws" not in row


def test_a_failure_has_one_row_with_its_reason() -> None:
    assert failed().rows() == [
        {
            "model": "noise",
            "variant": "fixed",
            "benchmark": "NH2015comp.ridge",
            "status": "failed",
            "seed": 0,
            "digest": "d" * 64,
            "region": None,
            "failure": "The sound is truncated.",
        }
    ]
    assert failed(failure=None).rows()[0]["failure"] == "unknown"


def test_results_come_back_from_json_as_they_were() -> None:
    provenance = Provenance(started="2026-01-01T00:00:00Z", finished="2026-01-01T00:01:00Z", seconds={"score": 1.5})
    whole = result(
        regions={"IT": summary(-0.1, ceiling=0.8, also={"r2": 0.3})},
        settings={"n_folds": 5, "alphas": [0.1, 1.0]},
        digests={"model": None, "dataset": "x"},
        provenance=provenance,
    )
    assert Result.model_validate_json(whole.model_dump_json()) == whole
    text = result(summary=summary(draws=[0.1])).model_dump_json()
    assert '"draws"' not in text


def test_json_of_a_result_is_json_whatever_its_numbers_are() -> None:
    """NaN is no JSON; a reader in another language must not fail on it."""
    text = result(summary=summary(float("nan"), also={"r2": float("inf")})).model_dump_json()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name))["summary"]["value"] is None


@pytest.mark.parametrize(
    "change", [{"status": "finished"}, {"summry": None}, {"digest": None}, {"benchmark_version": "one"}]
)
def test_a_result_has_the_fields_of_its_format(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        result(**change)
    with pytest.raises(ValidationError):
        summary(values=1)


def test_results_are_read_in_order_of_benchmark_model_and_variant(tmp_path: Path) -> None:
    made = [
        result(benchmark="b", model="m", variant="random:1", digest="1" * 64),
        result(benchmark="b", model="m", variant="random:0", digest="2" * 64),
        result(benchmark="a", model="z", digest="3" * 64),
        failed(benchmark="b", model="a", digest="4" * 64),
        result(benchmark="b", model="m", variant="random:0", digest="0" * 64),
    ]
    for number, found in enumerate(made):
        write(tmp_path, found, "failure.json" if number == 3 else "result.json")
    (tmp_path / "notes.json").write_text("{}")
    read = read_results(tmp_path)
    assert [found.digest[0] for found in read] == ["3", "4", "0", "2", "1"]
    assert read[0] == made[2]
    assert read[1].failure == made[3].failure


def test_an_empty_folder_has_no_results_and_an_absent_one_is_an_error(tmp_path: Path) -> None:
    assert read_results(tmp_path) == []
    with pytest.raises(
        StoreError, match=r"There is no results folder .*absent\. 'isocortex score --out .*absent' makes"
    ):
        read_results(tmp_path / "absent")


@pytest.mark.parametrize("content", ["", "{", "{}", '{"status": "scored"}', "\x00\xff"])
def test_a_damaged_result_is_named_and_hides_no_other(tmp_path: Path, content: str) -> None:
    path = write(tmp_path, result(), "result.json")
    path.write_bytes(content.encode("latin-1"))
    whole = write(tmp_path, result(model="other"), "result.json")
    damaged, other = read_results(tmp_path)
    assert (damaged.status, damaged.model, damaged.benchmark) == ("failed", "noise", "NH2015comp.ridge")
    assert damaged.failure is not None
    assert re.search(r"result\.json is not what was written: .* Move it away", damaged.failure.message)
    assert (other.status, other.model) == ("scored", "other")
    assert whole.exists()


def test_a_result_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "b" / "result.json").mkdir(parents=True)
    (found,) = read_results(tmp_path)
    assert found.failure is not None
    assert "result.json cannot be read" in found.failure.message


def test_the_table_shows_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    from isocortex.results.long_table import print_long
    from isocortex.results.result import Result
    from isocortex.scoring.summary import LayerValue, Summary

    summary = Summary(
        statistic="r", target="pooled", value=0.5, layer_rule="single layer", n_layers_searched=1,
        best_layer="rnn[0]", layers=[LayerValue(name="rnn[0]", value=0.5)], n_stimuli=9,
    )  # fmt: skip
    result = Result(
        status="scored", digest="d", model="m", variant="fixed", benchmark="b", benchmark_version=1, dataset="d",
        stimuli="s", metric="ridge", summary=summary, regions={"": summary, "IT": summary},
    )  # fmt: skip
    print_long([result])
    shown = capsys.readouterr().out
    assert shown.count("rnn[0]") == 3, "rich takes what stands in brackets for markup"
    assert [shown.count(f"│ {name} ") for name in ("all", "(no region)", "IT")] == [1, 1, 1]


def test_the_curve_over_layers_stands_below_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    from isocortex.results.long_table import print_long
    from isocortex.scoring.summary import LayerValue

    layers = [
        LayerValue(name="rnn[0]", value=0.25, read_out=0.1),
        LayerValue(name="top", value=None),
        LayerValue(name="mid", value=-0.125, read_out=0.9),
    ]
    several = summary(0.5).model_copy(update={"layers": layers})
    print_long([result(summary=several, regions={"IT": several}), result(model="pixels")])
    lines = capsys.readouterr().out.splitlines()
    curves = [line for line in lines if "rnn[0] 0.25" in line]
    assert curves == ["  noise@fixed: rnn[0] 0.25 [10 %], top –, mid -0.12 [90 %]"], "regions have none of their own"
    assert not any("pixels" in line and "[" in line for line in lines), "a single layer is no curve"
