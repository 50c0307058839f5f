from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, strategies as st

from isocortex.activations.layer import Activations
from isocortex.catalogue.cards import BenchmarkCard, LayerRule
from isocortex.errors import DataError, PluginError, SettingsError
from isocortex.interfaces import Ceiling, Comparison, Preparation, Resampled, Rules, Split
from isocortex.scoring.layer_choice import score_layers
from isocortex.scoring.summary import by_region, summarise


class Prepared(Comparison):
    """Scores are given; draws are the value plus given steps."""

    statistic: ClassVar[str] = "r"

    def __init__(self, scores: Sequence[xr.Dataset] = (), **fields: Any) -> None:
        self.scores = {f"l{number}": one for number, one in enumerate(scores)}
        self.steps: np.ndarray | None = fields.pop("steps", None)
        self.n_stimuli = 165
        for name, value in fields.items():
            setattr(self, name, value)

    def score(self, activations: Any) -> xr.Dataset:
        return self.scores[activations.layer]

    def resample(self, scores: xr.Dataset, n_draws: int, seed: int) -> Resampled | None:
        self.asked = (n_draws, seed, scores.sizes.get("neuroid"))
        if self.steps is None:
            return None
        return Resampled(float(scores["readout"].mean()) + self.steps, "stimuli × participants")

    def whole(self) -> xr.Dataset:
        layers = {
            name: Activations(name, ["a"], [np.array([[float(number)]])]) for number, name in enumerate(self.scores)
        }
        return score_layers(self, layers)


def scores(
    r: Any, subjects: Sequence[str] | None = None, regions: Sequence[str] | None = None, **more: Any
) -> xr.Dataset:
    r = np.asarray(r, dtype=float)
    coordinates: dict[str, Any] = {"neuroid_id": ("neuroid", [f"n{unit}" for unit in range(r.shape[-1])])}
    if subjects is not None:
        coordinates["subject"] = ("neuroid", list(subjects))
    if regions is not None:
        coordinates["region"] = ("neuroid", list(regions))
    variables = {name: (("split", "neuroid"), np.asarray(values)) for name, values in {"r": r, **more}.items()}
    return xr.Dataset(variables, coords=coordinates)


def by_hand(r: np.ndarray, subjects: Sequence[str]) -> float:
    """Mean over splits per neuroid, median over neuroids per participant, mean over participants."""
    medians = []
    for subject in dict.fromkeys(subjects):
        per_neuroid = [statistics.fmean(r[:, unit]) for unit in range(r.shape[1]) if subjects[unit] == subject]
        medians.append(statistics.median(per_neuroid))
    return statistics.fmean(medians)


# --- value and counts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("named", "expected"), [({}, "pooled"), ({"target": "group-mean"}, "group-mean")])
def test_a_measure_of_all_participants_together_does_not_pass_for_a_mean_over_them(
    named: dict[str, str], expected: str
) -> None:
    found = xr.Dataset(
        {"r": ("subject", [0.1, 0.2, 0.3]), "together": ((), 0.5, named)},
        coords={"subject": ["a", "b", "c"]},
        attrs={"target": "participant"},
    )
    comparison = Prepared([found], rules=Rules(measure="together"))
    summary = summarise(comparison, comparison.whole())
    assert (summary.value, summary.statistic, summary.target, summary.n_subjects) == (0.5, "together", expected, 3)
    of_each = Prepared([found])
    summary = summarise(of_each, of_each.whole())
    assert (round(summary.value or 0, 12), summary.target, summary.n_subjects) == (0.2, "participant", 3)


def test_the_best_layer_of_an_error_is_the_one_with_the_smallest() -> None:
    comparison = Prepared([xr.Dataset({"r": 0.3}), xr.Dataset({"r": 0.1}), xr.Dataset({"r": 0.2})])
    comparison.smaller_is_better = frozenset({"r"})  # type: ignore[misc]
    summary = summarise(comparison, comparison.whole())
    assert (summary.best_layer, summary.value, summary.better) == ("l1", 0.1, "lower")


@given(st.integers(0, 1000), st.lists(st.sampled_from(["S1", "S2", "S3"]), min_size=1, max_size=9), st.integers(1, 4))
def test_value_against_loops(seed: int, subjects: list[str], n_splits: int) -> None:
    r = np.random.default_rng(seed).uniform(-1, 1, (n_splits, len(subjects)))
    comparison = Prepared([scores(r, subjects)])
    summary = summarise(comparison, comparison.whole())
    assert summary.value == pytest.approx(by_hand(r, subjects), abs=1e-12)
    assert (summary.statistic, summary.target) == ("r", "participant")
    assert (summary.n_subjects, summary.n_neuroids, summary.n_splits) == (len(set(subjects)), len(subjects), n_splits)
    assert (summary.n_stimuli, summary.n_neuroids_total, summary.n_null) == (165, len(subjects), 0)
    assert summary.layer_rule == "single layer"


def test_pooled_neuroids_are_one_participant() -> None:
    summary = summarise(Prepared(), scores([[0.1, 0.2, 0.9]]))
    assert (summary.value, summary.target, summary.n_subjects) == (0.2, "pooled", None)


def test_values_keep_their_sign_and_are_not_clipped() -> None:
    assert summarise(Prepared(), scores([[-0.4, -0.6]])).value == pytest.approx(-0.5)
    assert summarise(Prepared(), scores([[1.5, 2.5]])).value == pytest.approx(2.0)


def test_the_target_may_be_named_by_the_metric() -> None:
    named = scores([[0.1]], ["S1"]).assign_attrs(target="group-mean")
    assert summarise(Prepared(), named).target == "group-mean"


def test_scores_by_subject_and_single_numbers() -> None:
    rho = xr.Dataset({"r": ("subject", [0.1, 0.2, 0.6])}, coords={"subject": ["S1", "S2", "S3"]})
    summary = summarise(Prepared(), rho)
    assert summary.value == pytest.approx(0.3)
    assert (summary.target, summary.n_subjects, summary.n_neuroids, summary.n_splits) == ("participant", 3, None, None)
    single = summarise(Prepared(), xr.Dataset({"r": 0.25}))
    assert (single.value, single.target, single.n_neuroids, single.best_layer) == (0.25, "pooled", None, "layer")


def test_no_value_at_all_is_none() -> None:
    summary = summarise(Prepared(), scores([[np.nan, np.nan]]))
    assert summary.value is None
    assert summary.layers[0].value is None
    assert summary.ceiled is None


def test_null_predictions_are_counted_where_the_layer_is_read_out() -> None:
    first = scores([[0.9, 0.0]], null=[[False, True]], selection=[[0.9, 0.1]])
    second = scores([[0.0, 0.5]], null=[[True, False]], selection=[[0.1, 0.9]])
    comparison = Prepared([first, second], rules=Rules(layer_rule=LayerRule(unit="neuroid")))
    assert summarise(comparison, comparison.whole()).n_null == 0
    comparison = Prepared([first, second], rules=Rules(layer_rule=LayerRule(unit="model")))
    assert summarise(comparison, comparison.whole()).n_null == 1
    assert summarise(Prepared(), scores([[0.0, 0.0]], null=[[True, True]])).n_null == 2


def test_neuroids_kept_of_all_that_there_were() -> None:
    summary = summarise(Prepared(n_neuroids_total=40), scores([[0.1, 0.2]]))
    assert (summary.n_neuroids, summary.n_neuroids_total) == (2, 40)


# --- layers -----------------------------------------------------------------------------------------------------------


def test_the_curve_over_layers_and_the_shares_of_the_choice() -> None:
    parts = [
        scores([[0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]], selection=[[1, 0, 0, 0], [0, 0, 0, 0]]),
        scores([[0.5, 0.6, 0.7, 0.8], [0.5, 0.6, 0.7, 0.8]], selection=[[0, 1, 1, 1], [1, 1, 1, 1]]),
        scores([[0.9, 0.9, 0.9, 0.9], [0.9, 0.9, 0.9, 0.9]], selection=[[-1, -1, -1, -1], [-1, -1, -1, -1]]),
    ]
    comparison = Prepared(parts, rules=Rules(layer_rule=LayerRule(unit="neuroid")))
    summary = summarise(comparison, comparison.whole())
    assert [one.name for one in summary.layers] == ["l0", "l1", "l2"]
    np.testing.assert_allclose([one.value for one in summary.layers], [0.25, 0.65, 0.9])  # type: ignore[misc]
    np.testing.assert_allclose([one.read_out for one in summary.layers], [1 / 8, 7 / 8, 0])
    assert (summary.best_layer, summary.n_layers_searched) == ("l1", 3)
    assert summary.layer_rule == "nested by neuroid"
    # per neuroid over both splits: (0.1 + 0.5) / 2, 0.6, 0.7, 0.8
    assert summary.value == pytest.approx(0.65)


def test_the_best_layer_is_marked_optimistic_without_selection() -> None:
    comparison = Prepared([scores([[0.1, 0.3]]), scores([[0.4, 0.2]])])
    summary = summarise(comparison, comparison.whole())
    assert (summary.layer_rule, summary.best_layer, summary.value) == ("optimistic", "l1", pytest.approx(0.3))


def test_further_measures_are_collapsed_like_the_value() -> None:
    parts = [
        scores([[0.1, 0.2]], ["S1", "S2"], r2=[[0.5, 0.7]], selection=[[1.0, 0.0]], count=[[1, 2]]),
        scores([[0.3, 0.4]], ["S1", "S2"], r2=[[0.1, 0.3]], selection=[[0.0, 1.0]], count=[[3, 4]]),
    ]
    comparison = Prepared(parts, rules=Rules(layer_rule=LayerRule(unit="neuroid")))
    summary = summarise(comparison, comparison.whole())
    assert summary.also == {"r2": pytest.approx((0.5 + 0.3) / 2)}
    comparison.rules = Rules(measure="r2", layer_rule=LayerRule(unit="neuroid"))
    other = summarise(comparison, comparison.whole())
    assert (other.statistic, other.value) == ("r2", pytest.approx(0.4))
    assert other.also == {"r": pytest.approx((0.1 + 0.4) / 2)}


# --- interval ---------------------------------------------------------------------------------------------------------


def test_the_interval_is_that_of_the_draws() -> None:
    steps = np.random.default_rng(0).standard_normal(4000)
    comparison = Prepared(steps=steps, rules=Rules(n_draws=77, seed=5))
    summary = summarise(comparison, scores([[0.25, 0.75]]))
    ordered = np.sort(0.5 + steps)
    assert summary.interval_low == pytest.approx(ordered[int(0.025 * 4000)], abs=0.01)
    assert summary.interval_high == pytest.approx(ordered[int(0.975 * 4000)], abs=0.01)
    assert summary.error == pytest.approx(steps.std(ddof=1))
    assert (summary.error_kind, summary.resampled) == ("bootstrap standard deviation", "stimuli × participants")
    assert summary.draws == (0.5 + steps).tolist()
    assert comparison.asked == (77, 5, 2)


def test_a_metric_without_interval_says_so() -> None:
    summary = summarise(Prepared(), scores([[0.5]]))
    assert (summary.error, summary.error_kind, summary.resampled) == (None, "none", "none")
    assert (summary.interval_low, summary.interval_high, summary.draws) == (None, None, None)


# --- ceiling ----------------------------------------------------------------------------------------------------------


def per_neuroid(values: Sequence[float], order: Sequence[int] | None = None, indexed: bool = False) -> xr.DataArray:
    order = range(len(values)) if order is None else order
    names = [f"n{unit}" for unit in order]
    ceiling = xr.DataArray([values[unit] for unit in order], dims="neuroid", coords={"neuroid_id": ("neuroid", names)})
    return ceiling.assign_coords(neuroid=names) if indexed else ceiling


def summary_with(ceiling: Ceiling | None, mode: str = "none", r: Any = ((0.3, 0.5),), **more: Any) -> Any:
    subjects = more.pop("subjects", None)
    comparison = Prepared(ceiling=ceiling, rules=Rules(ceiling_mode=mode, **more))
    return summarise(comparison, scores(r, subjects))


@pytest.mark.parametrize(("mode", "expected"), [("none", None), ("r_over_sqrt_c", 0.4 / 0.8)])
def test_ceiled_values(mode: str, expected: float | None) -> None:
    summary = summary_with(Ceiling("split-half", "r", 0.8), mode)
    assert (summary.value, summary.ceiling, summary.ceiling_estimator) == (0.4, 0.8, "split-half")
    assert summary.ceiled == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(("mode", "expected"), [("r2_over_c", 0.4**2 / 0.8), ("r_over_c_squared", (0.4 / 0.8) ** 2)])
def test_a_ceiling_that_is_a_reliability(mode: str, expected: float) -> None:
    """Brain-Score's formulas, before and since January 2026."""

    class Reliable(Prepared):
        ceiling_modes: ClassVar[tuple[str, ...]] = ("r2_over_c", "r_over_c_squared")

    ceiling = Ceiling("internal consistency", "r", 0.8)
    found = summarise(Reliable(ceiling=ceiling, rules=Rules(ceiling_mode=mode)), scores([[0.3, 0.5]]))
    assert found.ceiled == pytest.approx(expected)
    with pytest.raises(
        SettingsError, match=r"'r_over_sqrt_c' is not offered.*Known: none, r2_over_c, r_over_c_squared"
    ):
        summarise(Reliable(ceiling=ceiling, rules=Rules(ceiling_mode="r_over_sqrt_c")), scores([[0.3]]))


def test_a_measure_whose_name_is_not_its_statistic() -> None:
    class Scored(Prepared):
        measure: ClassVar[str | None] = "score"

    found = scores([[0.3, 0.5]], score=[[0.6, 0.8]])
    comparison = Scored(ceiling=Ceiling("split-half", "r", 0.9))
    summary = summarise(comparison, found)
    assert (summary.statistic, summary.value, summary.ceiling) == ("r", pytest.approx(0.7), 0.9)
    comparison.rules = Rules(measure="r2_corrected")
    other = summarise(comparison, found.assign(r2_corrected=found["r"] * 2))
    assert (other.statistic, other.value, other.ceiling) == ("r2_corrected", pytest.approx(0.8), None)


def test_ceiled_values_are_not_clipped() -> None:
    assert summary_with(Ceiling("x", "r", 0.2), "r_over_sqrt_c").ceiled == pytest.approx(2.0)
    assert summary_with(Ceiling("x", "r", 0.8), "r_over_sqrt_c", r=[[-0.4]]).ceiled == pytest.approx(-0.5)


@pytest.mark.parametrize("value", [0.0, -0.1, None, float("nan")])
def test_a_ceiling_that_is_absent_or_not_above_zero_divides_nothing(value: float | None) -> None:
    summary = summary_with(Ceiling("split-half", "r", value), "r_over_sqrt_c")
    assert summary.ceiled is None
    assert summary.value == 0.4
    assert summary.ceiling in (None, 0.0, -0.1), "not a number is no ceiling"


def test_a_ceiling_of_another_statistic_is_not_shown() -> None:
    for ceiling in (None, Ceiling("split-half", "rho", 0.8, 0.7, 0.9)):
        summary = summary_with(ceiling, "r_over_sqrt_c")
        assert (summary.ceiling, summary.ceiling_lower, summary.ceiling_upper) == (None, None, None)
        assert (summary.ceiling_estimator, summary.ceiled) == ("none", None)


def test_a_band_is_drawn_and_divides_nothing() -> None:
    summary = summary_with(Ceiling("leave one out", "r", None, 0.37, 0.67), "r_over_sqrt_c")
    assert (summary.ceiling, summary.ceiling_lower, summary.ceiling_upper) == (None, 0.37, 0.67)
    assert (summary.ceiling_estimator, summary.ceiled) == ("leave one out", None)


@pytest.mark.parametrize("value", [1, np.float32(0.5), np.float64(0.5), np.array(0.5)])
def test_any_number_is_a_ceiling(value: Any) -> None:
    assert summary_with(Ceiling("x", "r", value)).ceiling == pytest.approx(float(value))


SUBJECTS = ["S1", "S1", "S1", "S2", "S2"]
CEILINGS = [0.1, 0.2, 0.9, 0.5, 0.7]  # medians 0.2 and 0.6, mean 0.4


@pytest.mark.parametrize("indexed", [False, True], ids=["plain", "indexed"])
@pytest.mark.parametrize("order", [None, [4, 3, 2, 1, 0], [3, 0, 4, 1, 2]])
def test_ceilings_per_neuroid_meet_the_scores_by_name(order: list[int] | None, indexed: bool) -> None:
    ceiling = Ceiling("split-half", "r", per_neuroid(CEILINGS, order, indexed))
    summary = summary_with(ceiling, "r_over_sqrt_c", r=[[0.2] * 5], subjects=SUBJECTS)
    assert summary.ceiling == pytest.approx(0.4)
    assert summary.ceiled == pytest.approx(0.5)


def test_ceilings_of_neuroids_that_are_not_scored_do_not_count() -> None:
    ceiling = Ceiling("split-half", "r", per_neuroid([0.2, 0.4, 100.0, 100.0]))
    assert summary_with(ceiling).ceiling == pytest.approx(0.3)


def test_ceilings_without_a_value_are_left_out() -> None:
    ceiling = Ceiling("split-half", "r", per_neuroid([np.nan, 0.4]))
    assert summary_with(ceiling).ceiling == pytest.approx(0.4)
    assert summary_with(Ceiling("x", "r", per_neuroid([np.nan, np.nan]))).ceiling is None


def test_ceilings_per_subject_are_averaged() -> None:
    values = xr.DataArray([0.5, 0.7], dims="subject", coords={"subject": ["S1", "S2"]})
    comparison = Prepared(ceiling=Ceiling("leave one out", "r", values), rules=Rules(ceiling_mode="r_over_sqrt_c"))
    summary = summarise(comparison, xr.Dataset({"r": ("subject", [0.2, 0.4])}, coords={"subject": ["S1", "S2"]}))
    assert summary.ceiling == pytest.approx(0.6)
    assert summary.ceiled == pytest.approx(0.5)


@pytest.mark.parametrize("mode", ["r_over_c_squared", "r2_over_rv_rvhat", "nonsense"])
def test_a_mode_that_the_metric_does_not_offer_is_refused(mode: str) -> None:
    with pytest.raises(SettingsError, match=f"ceiling_mode '{mode}' is not offered.*Known: none, r_over_sqrt_c"):
        summary_with(Ceiling("x", "r", 0.8), mode)


# --- regions ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def recorded() -> Prepared:
    regions = ["V4", "IT", "IT", "V4", "IT"]
    parts = [
        scores([[0.1, 0.2, 0.3, 0.4, 0.9]], SUBJECTS, regions, selection=[[1, 0, 0, 1, 0]]),
        scores([[0.6, 0.5, 0.7, 0.8, 0.1]], SUBJECTS, regions, selection=[[0, 1, 1, 0, 1]]),
    ]
    return Prepared(
        parts,
        rules=Rules(summary_by=("region",), ceiling_mode="r_over_sqrt_c"),
        ceiling=Ceiling("split-half", "r", per_neuroid(CEILINGS)),
        steps=np.array([-0.1, 0.0, 0.1]),
    )


def test_one_summary_per_region_of_its_own_neuroids(recorded: Prepared) -> None:
    whole = recorded.whole()
    found = by_region(recorded, whole)
    assert list(found) == ["V4", "IT"]
    area, cortex = found["V4"], found["IT"]
    # V4: neuroids 0 (S1) and 3 (S2) read out the first layer; IT: 1, 2 (S1) and 4 (S2) the second
    assert area.value == pytest.approx((0.1 + 0.4) / 2)
    assert cortex.value == pytest.approx(((0.5 + 0.7) / 2 + 0.1) / 2)
    assert (area.best_layer, cortex.best_layer) == ("l0", "l1")
    assert (area.n_neuroids, cortex.n_neuroids, area.n_subjects, cortex.n_subjects) == (2, 3, 2, 2)
    assert area.ceiling == pytest.approx((0.1 + 0.5) / 2)
    assert cortex.ceiling == pytest.approx(((0.2 + 0.9) / 2 + 0.7) / 2)
    assert area.ceiled == pytest.approx(area.value / area.ceiling)
    np.testing.assert_allclose([one.value for one in cortex.layers], [((0.2 + 0.3) / 2 + 0.9) / 2, cortex.value])  # type: ignore[misc]
    assert recorded.asked[2] == 3, "the draws are those of the region's neuroids"
    assert area.draws is not None
    assert area.draws[1] == pytest.approx(0.25)
    both = summarise(recorded, whole)
    assert both.value == pytest.approx((statistics.median([0.1, 0.5, 0.7]) + statistics.median([0.4, 0.1])) / 2)


def test_regions_by_several_coordinates_are_named_with_them(recorded: Prepared) -> None:
    recorded.rules = Rules(summary_by=("region", "subject", "absent"))
    found = by_region(recorded, recorded.whole())
    assert list(found) == ["region=V4", "region=IT", "subject=S1", "subject=S2"]
    assert found["subject=S1"].n_subjects == 1
    assert found["subject=S1"].value == pytest.approx(statistics.median([0.1, 0.5, 0.7]))


def test_neuroids_outside_of_every_region_have_no_row(recorded: Prepared) -> None:
    whole = recorded.whole()
    outside = whole.assign_coords(region=("neuroid", ["", "IT", "IT", "", "IT"]))
    assert list(by_region(recorded, outside)) == ["IT"]


def test_no_regions_where_none_are_asked_for_or_known(recorded: Prepared) -> None:
    recorded.rules = Rules()
    assert by_region(recorded, recorded.whole()) == {}
    recorded.rules = Rules(summary_by=("hemisphere",))
    assert by_region(recorded, recorded.whole()) == {}


def test_rules_come_from_the_card() -> None:
    card = BenchmarkCard(
        id="b",
        dataset="d",
        metric="m",
        measure="r2",
        ceiling_mode="r2_over_c",
        layer_rule=LayerRule(unit="neuroid"),
        summary_by=("region",),
    )
    assert Rules.of(card, seed=3) == Rules("r2", "r2_over_c", LayerRule(unit="neuroid"), ("region",), 1000, 3)


def test_summarise_is_what_a_comparison_does_by_default(recorded: Prepared) -> None:
    whole = recorded.whole()
    assert recorded.summarise(whole) == summarise(recorded, whole)
    assert Comparison.resample(recorded, whole, 10, 0) is None


# --- what a metric says of itself, and how layers meet ----------------------------------------------------------------


class BySplit(Comparison):
    """A metric that scores single splits only."""

    n_stimuli = 6

    def __init__(self, preparation: Preparation = Preparation()) -> None:
        super().__init__(preparation)
        self.splits = [Split(np.arange(3), np.arange(3, 6)), Split(np.arange(4), np.arange(4, 6))]

    def score_split(self, activations: Any, split: Split) -> xr.Dataset:
        del activations
        r = ("neuroid", [float(split.test[0]), float(len(split.test))])
        return xr.Dataset({"r": r, "prediction": (("test", "neuroid"), np.ones((len(split.test), 2)))})


def test_a_score_goes_over_the_splits() -> None:
    found = BySplit().score(None)
    assert found["r"].transpose("split", "neuroid").values.tolist() == [[3.0, 3.0], [4.0, 2.0]]
    assert np.isnan(found["prediction"].transpose("split", "test", "neuroid").values[1, 2]).all()
    assert np.isfinite(found["prediction"].isel(split=0)).all()


def test_a_metric_without_splits_needs_a_score() -> None:
    class Neither(Comparison):
        pass

    with pytest.raises(PluginError, match=r"Neither needs a score\(\), or splits"):
        Neither().score(None)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (["n1", "n0"], "'l0' and 'l1' have the same neuroid_ids in another order, from n0, n1 on"),
        (["n0", "n7"], "'l0' and 'l1' were scored on different neuroid_ids: 2 and 2, of which n1, n7 are in one only"),
    ],
)
def test_layers_meet_by_name(second: list[str], message: str) -> None:
    first = scores([[0.1, 0.2]])
    other = scores([[0.3, 0.4]]).assign_coords(neuroid_id=("neuroid", second))
    with pytest.raises(DataError, match=message):
        Prepared([first, other]).whole()


def test_collapse_leaves_other_dims() -> None:
    values = np.random.default_rng(0).uniform(-1, 1, (3, 2, 5, 4))
    subjects = ["a", "a", "a", "b", "b"]
    data = xr.DataArray(values, dims=("layer", "split", "neuroid", "draw"), coords={"subject": ("neuroid", subjects)})
    for how, within in (("median-mean", np.median), ("mean-mean", np.mean)):
        found = BySplit(Preparation(Rules(aggregate=how))).collapse(data, "r")
        assert found.dims == ("layer", "draw")
        averaged = values.mean(axis=1)
        expected = (within(averaged[:, :3], axis=1) + within(averaged[:, 3:], axis=1)) / 2
        np.testing.assert_allclose(found.values, expected, atol=1e-12)


def test_an_error_of_its_own_stands_in_place_of_the_draws() -> None:
    class Published(Prepared):
        def spread(self, readout: xr.DataArray, measure: str) -> tuple[float, str] | None:
            del measure
            return float(readout.std()), "standard deviation over everything"

    summary = summarise(Published(steps=np.linspace(-1, 1, 5)), scores([[0.1, 0.3]]))
    assert (summary.error, summary.error_kind) == (pytest.approx(0.1), "standard deviation over everything")
    assert summary.interval_low is not None


def test_what_a_row_asks_for_is_refused_where_it_is_not_offered() -> None:
    with pytest.raises(SettingsError, match=r"ceiling = 'inter-subject' is not offered by this metric\. It has 'repet"):
        BySplit(Preparation(Rules(ceiling="inter-subject")))
