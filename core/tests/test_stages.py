"""Stages against loops over python lists, and as part of a result."""

from __future__ import annotations

import json
import statistics
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, strategies as st
from pydantic import ValidationError

from isocortex.activations.layer import Activations
from isocortex.interfaces import Comparison, Rules
from isocortex.results.result import Result
from isocortex.results.tables import print_csv, print_json
from isocortex.scoring.stages import NESTED, Stage, best_depths, nested_stage, over_splits
from isocortex.scoring.summary import Summary, by_region, summarise


@st.composite
def cases(draw: st.DrawFn) -> SimpleNamespace:
    n_layers, n_splits, n_neuroids = draw(st.integers(2, 6)), draw(st.integers(1, 4)), draw(st.integers(1, 8))
    stream = np.random.default_rng(draw(st.integers(0, 10_000)))
    selection = stream.integers(-4, 5, (n_layers, n_splits, n_neuroids)) / 4  # ties, and exact medians
    if draw(st.booleans()):
        selection[stream.random(selection.shape) < 0.3] = np.nan
    subjects = [str(name) for name in stream.choice(["M1", "M2", "M3"], n_neuroids)]
    return SimpleNamespace(selection=selection, subjects=subjects)


def scores_of(case: Any) -> xr.Dataset:
    n_neuroids = case.selection.shape[2]
    return xr.Dataset(
        {"selection": (("layer", "split", "neuroid"), case.selection)},
        coords={"subject": ("neuroid", case.subjects), "neuroid_id": ("neuroid", [f"n{i}" for i in range(n_neuroids)])},
        attrs={"n_layers_searched": case.selection.shape[0]},
    )


def by_hand(case: Any) -> dict[str, list[float]]:
    """Depths that each participant chose, split by split; only splits in which something could be chosen."""
    n_layers, n_splits, _ = case.selection.shape
    found: dict[str, list[float]] = {}
    for subject in dict.fromkeys(case.subjects):
        inside = [place for place, name in enumerate(case.subjects) if name == subject]
        depths = []
        for split in range(n_splits):
            medians: dict[int, float] = {}
            for layer in range(n_layers):
                values = [float(case.selection[layer, split, place]) for place in inside]
                values = [value for value in values if value == value]
                if values:
                    medians[layer] = statistics.median(values)
            if medians and (len(medians) == 1 or len(set(medians.values())) > 1):
                best = max(medians, key=lambda layer: (medians[layer], -layer))
                depths.append(best / (n_layers - 1))
        found[subject] = depths
    return found


@given(cases())
def test_nested_stages_against_loops(case: SimpleNamespace) -> None:
    stage, expected = nested_stage(scores_of(case)), by_hand(case)
    means = {name: sum(depths) / len(depths) for name, depths in expected.items() if depths}
    if not means:
        assert stage is None
        return
    assert stage is not None
    assert stage.participants == pytest.approx(means, abs=1e-12)
    assert stage.value == pytest.approx(statistics.mean(means.values()), abs=1e-12)
    assert (stage.n_subjects, stage.n_layers, stage.procedure) == (len(means), len(case.selection), NESTED)
    if len(means) > 1:
        assert stage.error == pytest.approx(statistics.stdev(means.values()) / len(means) ** 0.5, abs=1e-12)
    several = [depths for depths in expected.values() if len(depths) > 1]
    if not several:
        assert (stage.spread, stage.agreement) == (None, None)
        return
    assert stage.spread == pytest.approx(statistics.mean(map(statistics.pstdev, several)), abs=1e-12)
    shares = [statistics.mean(a == b for a, b in combinations(depths, 2)) for depths in several]
    assert stage.agreement == pytest.approx(statistics.mean(shares), abs=1e-12)


def test_uniform_choices_have_the_spread_and_the_agreement_of_chance() -> None:
    n_layers, n_splits = 9, 4000
    depths = np.random.default_rng(0).integers(0, n_layers, (n_splits, 1)) / (n_layers - 1)
    stage, spread, agreement = over_splits(depths)
    assert stage[0] == pytest.approx(0.5, abs=0.02)
    assert spread == pytest.approx(np.sqrt((n_layers + 1) / (12 * (n_layers - 1))), abs=0.01)
    assert agreement == pytest.approx(1 / n_layers, abs=0.01)


def test_nothing_to_choose_by_is_no_stage_at_depth_zero() -> None:
    """Layers of constants all have the criterion 0; the first of them is not the best."""
    case = SimpleNamespace(selection=np.zeros((3, 2, 2)), subjects=["a", "b"])
    assert nested_stage(scores_of(case)) is None
    case.selection[2, :, 1] = 0.1
    stage = nested_stage(scores_of(case))
    assert stage is not None
    assert (stage.participants, stage.error, stage.error_kind) == ({"b": 1.0}, None, "none")
    assert np.isnan(best_depths(np.full((3, 1), np.nan))).all()


def test_no_stage_without_a_choice_within_training_stimuli() -> None:
    scores = scores_of(SimpleNamespace(selection=np.random.default_rng(0).random((3, 2, 2)), subjects=["a", "b"]))
    assert nested_stage(scores) is not None
    assert nested_stage(scores.assign_attrs(n_layers_searched=1)) is None
    assert nested_stage(scores.drop_vars("selection")) is None
    assert nested_stage(scores.isel(split=0)) is None


def test_pooled_data_have_a_stage_and_no_participants() -> None:
    scores = scores_of(SimpleNamespace(selection=np.eye(3)[:, :, None], subjects=["a"])).drop_vars("subject")
    stage = nested_stage(scores)
    assert stage is not None
    assert (stage.value, stage.n_subjects, stage.participants, stage.error) == (0.5, None, {}, None)


def test_one_number_per_participant_is_a_criterion_too() -> None:
    selection = np.array([[[0.1, 0.9]], [[0.5, 0.2]], [[0.3, 0.3]]])
    scores = xr.Dataset(
        {"selection": (("layer", "split", "subject"), selection)},
        coords={"subject": ["a", "b"]},
        attrs={"n_layers_searched": 3, "target": "participant"},
    )
    stage = nested_stage(scores)
    assert stage is not None
    assert stage.participants == {"a": 0.5, "b": 0.0}
    pooled = nested_stage(scores.isel(subject=[0]).assign_attrs(target="pooled"))
    assert pooled is not None
    assert (pooled.value, pooled.participants) == (0.5, {})


class Ready(Comparison):
    """Gives the scores of a layer by its name."""

    n_stimuli = 9
    rules = Rules(summary_by=("region",))

    def __init__(self, scores: dict[str, xr.Dataset]) -> None:
        self.scores = scores

    def score(self, activations: Any) -> xr.Dataset:
        return self.scores[activations.layer]


def test_layers_of_equal_content_keep_their_places_and_the_first_counts() -> None:
    """Places 0 … 4, the best content stands at 1 and 3: the depth is 1 / 4, in each region of its own."""
    neuroid = {"region": ("neuroid", ["A", "B"]), "neuroid_id": ("neuroid", ["x", "y"])}
    content = {"a": (0.1, 0.2), "b": (0.9, 0.1), "c": (0.3, 0.3), "d": (0.9, 0.1), "e": (0.2, 0.5)}
    scores = {
        name: xr.Dataset(
            {"r": (("split", "neuroid"), [values]), "selection": (("split", "neuroid"), [values])}, neuroid
        )
        for name, values in content.items()
    }
    layers = {
        name: Activations(name, ["s"], [np.array([[first + 10 * second]])]) for name, (first, second) in content.items()
    }
    comparison = Ready(scores)
    whole = comparison.score_all(layers)
    assert whole.attrs["n_layers_searched"] == 4
    regions = by_region(comparison, whole)
    found = {name: part.stage and part.stage.value for name, part in regions.items()}
    assert found == {"A": 0.25, "B": 1.0}
    assert all(part.stage and part.stage.n_layers == 5 for part in regions.values())
    alone = summarise(comparison, comparison.score_all({"a": layers["a"]}))
    assert alone.stage is None


# --- in a result ------------------------------------------------------------------------------------------------------


def result(stage: Stage | None) -> Result:
    summary = Summary(
        statistic="r", target="participant", value=0.5, layer_rule="nested by region", n_layers_searched=2,
        best_layer="a", n_stimuli=9, stage=stage,
    )  # fmt: skip
    return Result(
        status="scored", digest="d", model="m", variant="pretrained", benchmark="b", benchmark_version=1, dataset="d",
        stimuli="s", metric="ridge", summary=summary, regions={"A": summary},
    )  # fmt: skip


def test_stages_come_back_from_json_and_older_results_have_none() -> None:
    stage = Stage(value=0.25, error=0.1, procedure=NESTED, n_layers=5, n_subjects=2, participants={"a": 0.1, "b": 0.4})
    whole = result(stage)
    text = whole.model_dump_json()
    assert Result.model_validate_json(text) == whole
    older = json.loads(text)
    for part in (older["summary"], older["regions"]["A"]):
        del part["stage"]
    read = Result.model_validate(older)
    assert read.summary is not None
    assert read.summary.stage is None
    assert Result.model_validate_json(result(None).model_dump_json()) == result(None)


@pytest.mark.parametrize("change", [{"value": 1.2}, {"value": float("nan")}, {"value": None}, {"depth": 1}])
def test_a_stage_lies_between_the_first_and_the_last_layer(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Stage.model_validate({"value": 0.2, "procedure": NESTED, "n_layers": 3, **change})


def test_json_and_csv_carry_the_stage(capsys: pytest.CaptureFixture[str]) -> None:
    import io

    import pandas as pd

    stage = Stage(value=0.25, error=0.1, procedure=NESTED, n_layers=5, spread=0.2, participants={"a": 0.25})
    made = [result(stage), result(None)]
    print_json(made)
    rows = json.loads(capsys.readouterr().out)
    assert rows[1]["stage"]["participants"] == {"a": 0.25}
    assert rows[2]["stage"] is None
    print_csv(made)
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert table["stage"].tolist()[:2] == [0.25, 0.25]
    assert table["stage"].isna().tolist() == [False, False, True, True]
    assert table.loc[0, ["stage_error", "stage_spread", "stage_n_layers"]].tolist() == [0.1, 0.2, 5]
    assert table.loc[0, "stage_procedure"] == NESTED
    assert "stage_participants" not in table
