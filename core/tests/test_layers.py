from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, strategies as st

from isocortex.activations.layer import Activations
from isocortex.activations.layer_names import choose_layers, match_layers, processing_order
from isocortex.catalogue.cards import LayerRule
from isocortex.errors import DataError, LayerError, SettingsError
from isocortex.interfaces import Comparison, Rules
from isocortex.scoring.layer_choice import as_layered, score_layers

UNITS = ("model", "region", "neuroid")


# --- names ------------------------------------------------------------------------------------------------------------

NAMES = ["conv1", "encoder.0", "encoder.0.norm", "encoder.1", "encoder.10", "encoder.10.mlp.fc", "head"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("head", ["head"]),
        ("*", ["conv1", "head"]),
        ("**", NAMES),
        ("encoder.*", ["encoder.0", "encoder.1", "encoder.10"]),
        ("encoder.?", ["encoder.0", "encoder.1"]),
        ("encoder.**", ["encoder.0", "encoder.0.norm", "encoder.1", "encoder.10", "encoder.10.mlp.fc"]),
        ("encoder.*.norm", ["encoder.0.norm"]),
        ("**.fc", ["encoder.10.mlp.fc"]),
        ("*.10.**", ["encoder.10.mlp.fc"]),
        ("conv?", ["conv1"]),
        ("encoder", []),
        ("encoder.[01]", []),
        ("encoder+", []),
        ("", []),
    ],
)
def test_patterns(pattern: str, expected: list[str]) -> None:
    assert match_layers(pattern, NAMES) == expected


def _matches(pattern: list[str], segments: list[str]) -> bool:
    """The rule by recursion: one ``*`` is one segment here, ``**`` is one or more."""
    if not pattern:
        return not segments
    if not segments:
        return False
    if pattern[0] == "**":
        return any(_matches(pattern[1:], segments[count:]) for count in range(1, len(segments) + 1))
    return (pattern[0] in ("*", segments[0])) and _matches(pattern[1:], segments[1:])


SEGMENTS = st.lists(st.sampled_from(["a", "bc", "1"]), min_size=1, max_size=4)


@given(st.lists(st.sampled_from(["a", "bc", "1", "*", "**"]), min_size=1, max_size=4), st.lists(SEGMENTS, max_size=6))
def test_whole_segments_against_recursion(pattern: list[str], names: list[list[str]]) -> None:
    expected = [".".join(name) for name in names if _matches(pattern, name)]
    assert match_layers(".".join(pattern), [".".join(name) for name in names]) == expected


@given(st.text(alphabet="a.+()|^$\\{}[]", max_size=6), st.text(alphabet="a.+()|^$\\{}[]", max_size=6))
def test_characters_of_regular_expressions_are_plain(pattern: str, name: str) -> None:
    assert match_layers(pattern, [name]) == ([name] if name == pattern else [])


def chosen(patterns: Sequence[str], default: Sequence[str] = NAMES) -> list[str]:
    return choose_layers(patterns, default, lambda pattern: match_layers(pattern, NAMES), "the-model")


def test_other_layers_stand_among_the_default_ones_where_the_model_has_them() -> None:
    known = ["front", "block", "block.conv", "block.relu", "norm", "top", "top.drop", "head"]
    default = ["block.relu", "top", "norm"]  # the module "norm" is made early and runs late
    assert processing_order(known, default, known) == [
        "front", "block", "block.conv", "block.relu", "top", "norm", "top.drop", "head",
    ]  # fmt: skip
    assert processing_order(["head", "block.conv#1", "top[0]", "unknown"], default, known) == [
        "block.conv#1", "top[0]", "head", "unknown",
    ]  # fmt: skip


def test_layers_come_in_processing_order_and_once() -> None:
    assert chosen([]) == NAMES
    assert chosen(["head", "encoder.*", "conv1", "encoder.1"]) == [
        "conv1",
        "encoder.0",
        "encoder.1",
        "encoder.10",
        "head",
    ]
    assert chosen(["encoder.0.norm", "conv1"], default=["conv1", "head"]) == ["conv1", "encoder.0.norm"]


def test_a_pattern_without_layers_names_those_that_are_there() -> None:
    with pytest.raises(LayerError) as raised:
        chosen(["conv1", "haed"])
    message = str(raised.value)
    assert message.startswith("the-model has no layer that matches 'haed'. Did you mean head?")
    assert "Its layers are conv1, encoder.0, encoder.0.norm, encoder.1" in message


# --- a metric whose scores are given ----------------------------------------------------------------------------------


class Given(Comparison):
    """Returns prepared scores by name of the layer, and remembers what it was asked."""

    def __init__(self, scores: Mapping[str, xr.Dataset], rules: Rules | None = None) -> None:
        self.scores = scores
        self.rules = rules or Rules()
        self.asked: list[str] = []

    def score(self, activations: Any) -> xr.Dataset:
        self.asked.append(activations.layer)
        return self.scores[activations.layer]


def rules(unit: str, choose: str = "nested", measure: str | None = None) -> Rules:
    return Rules(measure=measure, layer_rule=LayerRule.model_validate({"unit": unit, "choose": choose}))


def layer(name: str, content: float) -> Activations:
    return Activations(name, ["a", "b"], [np.array([[content], [2 * content]])])


def nested_scores(
    r: np.ndarray, selection: np.ndarray, prediction: np.ndarray, regions: Sequence[str], subjects: Sequence[str]
) -> xr.Dataset:
    n_neuroids = r.shape[1]
    return xr.Dataset(
        {
            "r": (("split", "neuroid"), r),
            "selection": (("split", "neuroid"), selection),
            "prediction": (("split", "test", "neuroid"), prediction),
        },
        coords={
            "neuroid_id": ("neuroid", [f"n{unit}" for unit in range(n_neuroids)]),
            "region": ("neuroid", list(regions)),
            "subject": ("neuroid", list(subjects)),
        },
    )


def brute_force_choice(
    selection: np.ndarray, unit: str, regions: Sequence[str], subjects: Sequence[str], distinct: Sequence[int]
) -> list[list[int]]:
    """The chosen layer per split and neuroid, by loops over python lists; ``distinct``: layers that count."""
    _, n_splits, n_neuroids = selection.shape
    groups = {"model": ["all"] * n_neuroids, "region": list(regions), "neuroid": list(range(n_neuroids))}[unit]
    answer = [[-1] * n_neuroids for _ in range(n_splits)]
    for split in range(n_splits):
        for group in set(groups):
            members = [neuroid for neuroid in range(n_neuroids) if groups[neuroid] == group]
            best, best_value = distinct[0], float("-inf")
            for candidate in distinct:
                medians = []
                for subject in dict.fromkeys(subjects[neuroid] for neuroid in members):
                    values = [
                        float(selection[candidate, split, neuroid])
                        for neuroid in members
                        if subjects[neuroid] == subject and not np.isnan(selection[candidate, split, neuroid])
                    ]
                    if values:
                        medians.append(statistics.median(values))
                value = sum(medians) / len(medians) if medians else float("-inf")
                if value > best_value:
                    best, best_value = candidate, value
            for neuroid in members:
                answer[split][neuroid] = best
    return answer


@st.composite
def cases(draw: st.DrawFn) -> SimpleNamespace:
    n_layers, n_splits, n_neuroids = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 7))
    stream = np.random.default_rng(draw(st.integers(0, 10_000)))
    # quarters tie often, and their medians and sums are exact
    selection = stream.integers(-4, 5, (n_layers, n_splits, n_neuroids)) / 4
    if draw(st.booleans()):
        selection[stream.random(selection.shape) < 0.3] = np.nan
    return SimpleNamespace(
        n_layers=n_layers,
        selection=selection,
        r=stream.standard_normal((n_layers, n_splits, n_neuroids)),
        prediction=stream.standard_normal((n_layers, n_splits, 3, n_neuroids)),
        regions=[str(name) for name in stream.choice(["V4", "IT", "A1"], n_neuroids)],
        subjects=[str(name) for name in stream.choice(["M1", "M2", "M3"], n_neuroids)],
        contents=[float(content) for content in stream.integers(0, 4, n_layers)],
    )


@pytest.mark.parametrize("unit", UNITS)
@given(case=cases())
def test_nested_choice_against_loops(unit: str, case: SimpleNamespace) -> None:
    names = [f"layer{number}" for number in range(case.n_layers)]
    first = [case.contents.index(content) for content in case.contents]  # the first layer of equal content
    scores = {
        name: nested_scores(
            *(values[number] for values in (case.r, case.selection, case.prediction)), case.regions, case.subjects
        )
        for number, name in enumerate(names)
    }
    untouched = {name: whole.copy(deep=True) for name, whole in scores.items()}
    comparison = Given(scores, rules(unit))
    found = score_layers(
        comparison, {name: layer(name, content) for name, content in zip(names, case.contents, strict=True)}
    )
    distinct = sorted(set(first))
    expected = brute_force_choice(case.selection, unit, case.regions, case.subjects, distinct)
    assert found["chosen"].transpose("split", "neuroid").values.tolist() == expected
    readout, kept = (
        found["readout"].transpose("split", "neuroid"),
        found["prediction"].transpose("split", "test", "neuroid"),
    )
    for split, row in enumerate(expected):
        for neuroid, best in enumerate(row):
            assert readout.values[split, neuroid] == case.r[best, split, neuroid]
            assert kept.values[split, :, neuroid].tolist() == case.prediction[best, split, :, neuroid].tolist()
    assert comparison.asked == [names[number] for number in distinct], "identical layers are scored once"
    assert found.attrs["n_layers_searched"] == len(distinct)
    assert found.attrs["layer_rule"] == ("single layer" if len(distinct) == 1 else f"nested by {unit}")
    assert found["layer"].values.tolist() == names
    for number in range(case.n_layers):
        np.testing.assert_array_equal(found["r"].isel(layer=number).values, case.r[first[number]])
    for name in names:
        xr.testing.assert_identical(scores[name], untouched[name])


def simple(r: Any, selection: Any = None, regions: Sequence[str] | None = None) -> xr.Dataset:
    r = np.atleast_2d(np.asarray(r, dtype=float))
    selection = r if selection is None else np.atleast_2d(np.asarray(selection, dtype=float))
    n_neuroids = r.shape[1]
    prediction = np.zeros((*r.shape[:1], 2, n_neuroids)) + r[:, None, :]
    return nested_scores(r, selection, prediction, regions or ["IT"] * n_neuroids, ["M1"] * n_neuroids)


def test_the_choice_looks_at_the_selection_alone() -> None:
    stream = np.random.default_rng(0)
    selection = stream.standard_normal((6, 4, 10))
    found = []
    for _ in range(2):
        scores = {f"l{n}": simple(stream.standard_normal((4, 10)), selection[n]) for n in range(6)}
        comparison = Given(scores, rules("neuroid"))
        found.append(score_layers(comparison, {name: layer(name, float(n)) for n, name in enumerate(scores)}))
    np.testing.assert_array_equal(found[0]["chosen"].values, selection.argmax(axis=0))
    np.testing.assert_array_equal(found[0]["chosen"].values, found[1]["chosen"].values)
    assert not np.array_equal(found[0]["readout"].values, found[1]["readout"].values)


def test_two_regions_may_read_out_two_layers() -> None:
    """The known answer by hand: V4 prefers the first layer, IT the second, and together the first wins."""
    first = simple([0.1, 0.2, 0.3], [0.9, 0.4, 0.3], ["V4", "IT", "IT"])
    second = simple([0.5, 0.6, 0.7], [0.0, 0.5, 0.6], ["V4", "IT", "IT"])
    layers = {"one": layer("one", 1), "two": layer("two", 2)}
    answers = {}
    for unit in UNITS:
        found = score_layers(Given({"one": first, "two": second}, rules(unit)), layers)
        answers[unit] = (found["chosen"].values.tolist(), found["readout"].values.tolist())
    assert answers["model"] == ([[1, 1, 1]], [[0.5, 0.6, 0.7]])  # medians 0.4 < 0.5
    assert answers["region"] == ([[0, 1, 1]], [[0.1, 0.6, 0.7]])
    assert answers["neuroid"] == ([[0, 1, 1]], [[0.1, 0.6, 0.7]])


def test_order_of_dimensions_does_not_matter() -> None:
    stream = np.random.default_rng(1)
    plain = {f"l{n}": simple(stream.standard_normal((3, 5)), stream.standard_normal((3, 5))) for n in range(3)}
    turned = {name: whole.transpose("neuroid", "test", "split") for name, whole in plain.items()}
    layers = {name: layer(name, float(n)) for n, name in enumerate(plain)}
    expected = score_layers(Given(plain, rules("neuroid")), layers)
    found = score_layers(Given(turned, rules("neuroid")), layers)
    for name in ("chosen", "readout", "prediction"):
        xr.testing.assert_allclose(found[name].transpose(*expected[name].dims), expected[name])


def test_without_regions_the_unit_is_all_neuroids() -> None:
    one = simple([0.1, 0.2], [1.0, 0.0]).drop_vars("region")
    two = simple([0.3, 0.4], [0.0, 2.0]).drop_vars("region")
    found = score_layers(Given({"a": one, "b": two}, rules("region")), {"a": layer("a", 1), "b": layer("b", 2)})
    assert found["chosen"].values.tolist() == [[1, 1]]


def test_participants_weigh_the_same_however_many_neuroids_they_have() -> None:
    subjects = ["M1"] * 5 + ["M2"]
    one = simple([0.0] * 6, [0.6] * 5 + [0.0]).assign_coords(subject=("neuroid", subjects))  # (0.6 + 0.0) / 2 = 0.3
    two = simple([1.0] * 6, [0.1] * 5 + [0.9]).assign_coords(subject=("neuroid", subjects))  # (0.1 + 0.9) / 2 = 0.5
    found = score_layers(Given({"a": one, "b": two}, rules("model")), {"a": layer("a", 1), "b": layer("b", 2)})
    assert set(found["chosen"].values.ravel().tolist()) == {1}


# --- one rule for metrics without selection ---------------------------------------------------------------------------


@given(st.lists(st.lists(st.integers(-3, 3), min_size=4, max_size=4), min_size=1, max_size=5))
def test_without_selection_the_best_layer_is_optimistic(values: list[list[int]]) -> None:
    """Against loops: mean over participants of medians over neuroids; the first of equals."""
    subjects = ["M1", "M2", "M1", "M1"]
    scores = {
        f"l{n}": xr.Dataset(
            {"r": ("neuroid", np.array(row, dtype=float)), "prediction": ("pair", [float(n), -float(n)])},
            coords={"subject": ("neuroid", subjects)},
        )
        for n, row in enumerate(values)
    }
    found = score_layers(Given(scores), {name: layer(name, float(n)) for n, name in enumerate(scores)})
    means = [(statistics.median([row[0], row[2], row[3]]) + row[1]) / 2 for row in values]
    best = means.index(max(means))
    assert int(found["chosen"]) == best
    assert found["chosen"].dims == ()
    assert found["readout"].values.tolist() == values[best]
    assert found["prediction"].values.tolist() == [best, -best]
    assert found.attrs["layer_rule"] == ("optimistic" if len(values) > 1 else "single layer")


def test_scores_by_subject_and_single_numbers() -> None:
    by_subject = {f"l{n}": xr.Dataset({"rho": ("subject", [0.1 * n, 0.4 - 0.05 * n])}) for n in range(3)}
    layers = {name: layer(name, float(n)) for n, name in enumerate(by_subject)}
    found = score_layers(Given(by_subject, rules("region", measure="rho")), layers)
    assert int(found["chosen"]) == 2
    np.testing.assert_allclose(found["readout"].values, [0.2, 0.3])
    assert "prediction" not in found
    single = {f"l{n}": xr.Dataset({"cka": value}) for n, value in enumerate([0.2, 0.7, np.nan])}
    found = score_layers(Given(single, rules("model", measure="cka")), layers)
    assert (int(found["chosen"]), float(found["readout"])) == (1, 0.7)
    assert found.attrs["measure"] == "cka"


def test_layers_without_any_value_leave_the_first() -> None:
    scores = {name: simple([np.nan, np.nan], [np.nan, np.nan]) for name in "ab"}
    found = score_layers(Given(scores, rules("neuroid")), {"a": layer("a", 1), "b": layer("b", 2)})
    assert found["chosen"].values.tolist() == [[0, 0]]


# --- what is refused --------------------------------------------------------------------------------------------------


def test_no_layers() -> None:
    with pytest.raises(LayerError, match="no layer to score"):
        score_layers(Given({}), {})


def test_a_measure_that_the_metric_does_not_give() -> None:
    comparison = Given({"a": simple([0.1])}, rules("model", measure="r2"))
    message = "measure 'r2' is not among the scores (r, selection, prediction)"
    with pytest.raises(SettingsError, match=re.escape(message)):
        score_layers(comparison, {"a": layer("a", 1)})


def test_layers_of_different_shapes() -> None:
    scores = {"a": simple([0.1, 0.2]), "b": simple([0.1, 0.2, 0.3])}
    with pytest.raises(DataError, match="different shapes"):
        score_layers(Given(scores, rules("neuroid")), {"a": layer("a", 1), "b": layer("b", 2)})


def test_a_benchmark_that_chooses_no_layer_takes_one_only() -> None:
    scores = {name: simple([0.1]) for name in "ab"}
    only = score_layers(Given(scores, rules("model", "none")), {"a": layer("a", 1), "b": layer("b", 1)})
    assert only.attrs["layer_rule"] == "single layer", "equal layers are one"
    comparison = Given(scores, rules("model", "none"))
    with pytest.raises(SettingsError, match=r"chooses no layer, but 2 were given. Pick one with --layers"):
        score_layers(comparison, {"a": layer("a", 1), "b": layer("b", 2)})


def test_too_many_layers_are_refused_before_any_is_scored() -> None:
    """Hours may lie between the first layer and the last one."""
    comparison = Given({name: simple([0.1]) for name in "ab"}, rules("model", "none"))
    with pytest.raises(SettingsError):
        score_layers(comparison, {"a": layer("a", 1), "b": layer("b", 2)})
    assert comparison.asked == []


# --- a single layer ---------------------------------------------------------------------------------------------------


def test_scores_of_one_layer_take_the_shape_of_many() -> None:
    scores = simple([[0.1, 0.2], [0.3, 0.4]], [[9.0, 9.0], [9.0, 9.0]])
    comparison = Given({"only": scores}, rules("region"))
    alone = as_layered(comparison, scores.assign_attrs(layer="only"))
    together = score_layers(comparison, {"only": layer("only", 1)})
    for name in ("r", "selection", "chosen", "readout", "prediction"):
        xr.testing.assert_equal(alone[name], together[name].transpose(*alone[name].dims))
    assert alone.attrs["layer_rule"] == together.attrs["layer_rule"] == "single layer"
    assert alone["layer"].values.tolist() == ["only"]
    assert as_layered(comparison, scores)["layer"].values.tolist() == ["layer"]
    assert as_layered(comparison, together) is together


def test_score_all_is_the_same_function() -> None:
    scores = {"a": simple([0.1, 0.4]), "b": simple([0.2, 0.3])}
    layers = {"a": layer("a", 1), "b": layer("b", 2)}
    comparison = Given(scores, rules("neuroid"))
    xr.testing.assert_identical(comparison.score_all(layers), score_layers(comparison, layers))


# --- no leak ----------------------------------------------------------------------------------------------------------


class LeastSquares(Comparison):
    """Ordinary least squares in 5 folds; within the training stimuli, leave-one-out in closed form."""

    def __init__(self, responses: np.ndarray, coordinates: dict[str, Any], rules: Rules) -> None:
        self.responses, self.coordinates, self.rules = responses, coordinates, rules
        self.folds = np.array_split(np.arange(len(responses)), 5)

    def score(self, activations: Any) -> xr.Dataset:
        design = np.column_stack([np.ones(len(self.responses)), activations.array()])
        r, selection = [], []
        for test in self.folds:
            train = np.setdiff1d(np.arange(len(design)), test)
            inverse = np.linalg.pinv(design[train])
            weights = inverse @ self.responses[train]
            r.append(_correlation(design[test] @ weights, self.responses[test]))
            fitted, leverage = design[train] @ weights, np.diag(design[train] @ inverse)[:, None]
            left_out = self.responses[train] - (self.responses[train] - fitted) / (1 - leverage)
            selection.append(_correlation(left_out, self.responses[train]))
        data = {"r": (("split", "neuroid"), np.array(r)), "selection": (("split", "neuroid"), np.array(selection))}
        return xr.Dataset(data, coords=self.coordinates)


def _correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    return (one * other).sum(axis=0) / np.sqrt((one**2).sum(axis=0) * (other**2).sum(axis=0))


N_LAYERS, N_STIMULI, N_NEUROIDS = 43, 100, 30
COORDINATES = {
    "region": ("neuroid", np.repeat(["A1", "belt", "STG"], 10)),
    "subject": ("neuroid", np.tile(["S1", "S2"], 15)),
}


def _random_layers(stream: np.random.Generator) -> dict[str, Activations]:
    names = [f"s{number}" for number in range(N_STIMULI)]
    return {f"l{n}": Activations(f"l{n}", names, [stream.standard_normal((N_STIMULI, 2))]) for n in range(N_LAYERS)}


@pytest.fixture(scope="module")
def noise_scores() -> list[tuple[LeastSquares, xr.Dataset]]:
    """Pure-noise responses against 43 random layers, 20 seeds."""
    found = []
    for seed in range(20):
        stream = np.random.default_rng(seed)
        responses = stream.standard_normal((N_STIMULI, N_NEUROIDS))
        comparison = LeastSquares(responses, COORDINATES, rules("neuroid"))
        found.append((comparison, score_layers(comparison, _random_layers(stream))))
    return found


@pytest.mark.parametrize("unit", UNITS)
def test_layer_choice_does_not_leak(noise_scores: list[tuple[LeastSquares, xr.Dataset]], unit: str) -> None:
    means = []
    for _, scored in noise_scores:
        single = {
            str(name): scored[["r", "selection"]].isel(layer=n, drop=True) for n, name in enumerate(scored.layer.values)
        }
        layers = {name: layer(name, float(n)) for n, name in enumerate(single)}
        means.append(float(score_layers(Given(single, rules(unit)), layers)["readout"].mean()))
    assert abs(np.mean(means)) <= 0.02
    assert np.std(means, ddof=1) > 0


def test_choosing_on_the_test_stimuli_would_leak(noise_scores: list[tuple[LeastSquares, xr.Dataset]]) -> None:
    """The size of the error that the nested choice avoids: without it, this test could not fail."""
    best = [float(scored["r"].mean("split").max("layer").mean()) for _, scored in noise_scores]
    assert np.mean(best) > 0.15


def test_a_true_layer_among_many_is_found() -> None:
    stream = np.random.default_rng(0)
    layers = _random_layers(stream)
    true = layers["l17"].array()
    responses = true @ stream.standard_normal((2, N_NEUROIDS)) + stream.standard_normal((N_STIMULI, N_NEUROIDS))
    for unit in ("model", "region"):
        found = score_layers(LeastSquares(responses, COORDINATES, rules(unit)), layers)
        assert set(found["chosen"].values.ravel().tolist()) == {17}
        np.testing.assert_array_equal(found["readout"].values, found["r"].sel(layer="l17").values)
