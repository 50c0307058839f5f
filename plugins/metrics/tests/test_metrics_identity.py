"""``identity``: outputs meet the neuroids that they are named after, and nothing is fitted."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import pearsonr
from sklearn.metrics import explained_variance_score, mean_squared_error

import isocortex
from isocortex.activations import layer as activations
from isocortex.activations.layer import Activations
from isocortex.data.dataset import Dataset, make_responses
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import AlignmentError, DataError, SettingsError
from isocortex.scoring.contract import Rules

N_STIMULI = 40
IDS = [f"stimulus{number:02d}" for number in range(N_STIMULI)]
NEUROIDS = ["a", "b", "c", "d"]


@cache
def metric():
    """The metric, found once."""
    return isocortex.load_metric("identity")


def problem(n_repetitions: int = 1, noise: float = 0.5):
    """Outputs for neuroids b, c, d and two that do not exist, in another order; and responses of a, b, c, d."""
    generator = np.random.default_rng(0)
    signal = generator.standard_normal((N_STIMULI, 4)) + 3
    values = signal + noise * generator.standard_normal((n_repetitions, N_STIMULI, 4))
    responses = make_responses(
        values, IDS, neuroid={"neuroid_id": NEUROIDS, "region": ["IT", "IT", "V4", "V4"], "subject": list("mmnn")}
    )
    outputs = np.stack([signal[:, 3], generator.standard_normal(N_STIMULI), 2 * signal[:, 1], signal[:, 2]], axis=1)
    return Activations("output", IDS, [outputs], units=["d", "x", "b", "c"]), responses


def against(responses, **settings):
    """The comparison with some responses."""
    return metric().against(responses, settings=settings, seed=0)


def test_equal_to_scipy_and_scikit_learn_neuroid_by_neuroid() -> None:
    outputs, responses = problem()
    scores = against(responses).score(outputs)
    assert scores["neuroid_id"].values.tolist() == ["b", "c", "d"]
    assert scores.attrs["neuroids"] == "3 of 4"
    for neuroid, column in zip("bcd", (2, 3, 0), strict=True):
        found = scores.isel(neuroid="bcd".index(neuroid))
        y, output = responses.values[:, NEUROIDS.index(neuroid)], outputs.array()[:, column]
        assert float(found["r"]) == pytest.approx(pearsonr(output, y).statistic, abs=1e-12)
        assert float(found["explained_variance"]) == pytest.approx(explained_variance_score(y, output), abs=1e-12)
        assert float(found["mse"]) == pytest.approx(mean_squared_error(y, output), abs=1e-12)
        assert str(found["region"].values) == responses["region"].values[NEUROIDS.index(neuroid)]


def test_a_wrong_scale_costs_explained_variance_and_no_correlation() -> None:
    _, responses = problem(noise=0.0)
    outputs = Activations("output", IDS, [2 * responses.values + 1], units=NEUROIDS)
    scores = against(responses).score(outputs)
    np.testing.assert_allclose(scores["r"], 1, atol=1e-12)
    np.testing.assert_allclose(scores["explained_variance"], 0, atol=1e-12)  # 1 − Var(−y − 1) / Var(y)


def test_the_row_says_how_many_neuroids_were_kept_and_nothing_was_split() -> None:
    outputs, responses = problem()
    comparison = against(responses)
    comparison.rules = Rules(n_draws=300)
    summary = comparison.summarise(comparison.score_all({"output": outputs}))
    r = {name: pearsonr(outputs.array()[:, column], responses.values[:, NEUROIDS.index(name)]).statistic
         for name, column in zip("bcd", (2, 3, 0), strict=True)}  # fmt: skip
    assert summary.value == pytest.approx(np.mean([r["b"], np.median([r["c"], r["d"]])]), abs=1e-12)
    assert (summary.n_neuroids, summary.n_neuroids_total, summary.n_splits, summary.n_subjects) == (3, 4, None, 2)
    assert (summary.statistic, summary.target, summary.layer_rule) == ("r", "participant", "single layer")
    assert (summary.resampled, summary.error_kind) == ("stimuli × participants", "bootstrap standard deviation")
    assert summary.interval_low < summary.value < summary.interval_high
    assert set(summary.also) == {"r2", "explained_variance", "mse"}


def test_the_bootstrap_is_that_of_repeated_stimuli() -> None:
    outputs, responses = problem()
    comparison = against(responses.isel(neuroid=[1]).drop_vars("subject"))
    comparison.rules = Rules(n_draws=4000)
    summary = comparison.summarise(comparison.score(outputs))
    generator = np.random.default_rng(1)
    x, y, draws = outputs.array()[:, 2], responses.values[:, 1], []
    for _ in range(4000):
        rows = generator.integers(0, N_STIMULI, N_STIMULI)
        draws.append(np.corrcoef(x[rows], y[rows])[0, 1])
    # centred on the value on Fisher's scale, so that the spread is what can be compared
    assert summary.resampled == "stimuli"
    assert summary.error == pytest.approx(np.std(draws, ddof=1), rel=0.1)


@pytest.mark.parametrize("measure", ["explained_variance", "mse", "r2", "r2_corrected"])
def test_other_measures_have_values_and_intervals(measure) -> None:
    outputs, responses = problem(n_repetitions=3)
    comparison = against(responses)
    comparison.rules = Rules(measure=measure, n_draws=200)
    summary = comparison.summarise(comparison.score(outputs))
    assert summary.statistic == measure
    assert summary.better == ("lower" if measure == "mse" else "higher")
    assert summary.interval_low < summary.value < summary.interval_high


def test_repetitions_give_a_ceiling() -> None:
    outputs, responses = problem(n_repetitions=3)
    comparison = against(responses)
    comparison.rules = Rules(ceiling_mode="r_over_sqrt_c", n_draws=50)
    scores = comparison.score(outputs)
    summary = comparison.summarise(scores)
    # the outputs for b, c and d are the signal itself, up to scale
    assert summary.ceiled == pytest.approx(1, abs=0.05)
    assert summary.also["r2_corrected"] == pytest.approx(1, abs=0.1)
    per_neuroid = against(responses, noise_correction="per-neuroid").score(outputs)
    expected = (per_neuroid["r"] ** 2 / per_neuroid["reliability"]).values
    np.testing.assert_allclose(per_neuroid["r2_corrected"], expected, atol=1e-12)


def test_rows_in_any_order_and_blocks_of_any_width(monkeypatch) -> None:
    outputs, responses = problem()
    expected = against(responses).score(outputs)
    order = np.random.default_rng(0).permutation(N_STIMULI)
    shuffled = Activations("output", [IDS[place] for place in order], [outputs.array()[order]], units=outputs.units)
    monkeypatch.setattr(activations, "BLOCK_VALUES", 2 * N_STIMULI)  # two units at a time
    xr.testing.assert_identical(against(responses).score(shuffled), expected)


def test_a_notebook_names_units_by_the_coordinate_neuroid_id() -> None:
    outputs, responses = problem()
    data = xr.DataArray(
        outputs.array(),
        dims=("presentation", "unit"),
        coords={"stimulus_id": ("presentation", IDS), "neuroid_id": ("unit", list(outputs.units))},
    )
    found = against(responses).score(data)
    np.testing.assert_array_equal(found["r"], against(responses).score(outputs)["r"])


def test_the_better_of_several_outputs_is_marked_as_optimistic() -> None:
    outputs, responses = problem()
    noise = np.random.default_rng(0).standard_normal((N_STIMULI, 4))
    comparison = against(responses)
    layers = {"early": Activations("early", IDS, [noise], units=outputs.units), "output": outputs}
    summary = comparison.summarise(comparison.score_all(layers))
    assert (summary.best_layer, summary.layer_rule, summary.n_layers_searched) == ("output", "optimistic", 2)


def test_flat_outputs_and_flat_neuroids_are_null_and_counted() -> None:
    outputs, responses = problem()
    responses[:, 3] = 0.7
    flat = outputs.array().copy()
    flat[:, 2] = 0.1
    comparison = against(responses)
    scores = comparison.score(Activations("output", IDS, [flat], units=outputs.units))
    assert scores["null"].values.tolist() == [True, False, True]
    assert (scores["r"].values[[0, 2]] == 0).all()
    assert comparison.summarise(scores).n_null == 2


def test_noise_outputs_score_nothing() -> None:
    generator = np.random.default_rng(0)
    names = [f"n{number}" for number in range(400)]
    responses = make_responses(generator.standard_normal((N_STIMULI, 400)), IDS, neuroid={"neuroid_id": names})
    outputs = Activations("output", IDS, [generator.standard_normal((N_STIMULI, 400))], units=names)
    r = against(responses).score(outputs)["r"].values
    assert abs(r.mean()) < 3 * r.std() / 20


def test_what_cannot_be_compared_is_refused() -> None:
    outputs, responses = problem()
    values = outputs.array()
    with pytest.raises(DataError, match="units of layer 'output' have no names"):
        against(responses).score(Activations("output", IDS, [values]))
    with pytest.raises(AlignmentError, match=r"None of 4 units of layer 'output' \(p, q, r.*one of 4 neuroids"):
        against(responses).score(Activations("output", IDS, [values], units=list("pqrs")))
    with pytest.raises(DataError, match="1 unit names twice: b"):
        against(responses).score(Activations("output", IDS, [values], units=list("bbcd")))
    with pytest.raises(AlignmentError, match="lack 1 of 40 stimuli: stimulus00"):
        against(responses).score(Activations("output", IDS[1:], [values[1:]], units=outputs.units))
    values = values.copy()
    values[4, 2] = np.nan
    with pytest.raises(DataError, match="stimulus04"):
        against(responses).score(Activations("output", IDS, [values], units=outputs.units))
    with pytest.raises(DataError, match="at least 3 stimuli; found 2"):
        against(responses.isel(presentation=slice(2)))
    with pytest.raises(DataError, match="not finite"):
        against(responses.where(responses != responses[0, 0]))
    with pytest.raises(SettingsError, match="n_folds say how stimuli are split"):
        against(responses, n_folds=5)
    with pytest.raises(SettingsError, match="identity has no setting 'n_fold'"):
        against(responses, n_fold=5)


def test_with_a_scheme_each_split_is_tested_apart() -> None:
    outputs, responses = problem()
    comparison = against(responses, scheme="k-fold", n_folds=4, n_repeats=1)
    scores = comparison.score(outputs)
    assert scores["r"].dims == ("split", "neuroid")
    for number, split in enumerate(comparison.splits):
        for neuroid, column in zip("bcd", (2, 3, 0), strict=True):
            y, output = responses.values[split.test, NEUROIDS.index(neuroid)], outputs.array()[split.test, column]
            found = scores.isel(split=number, neuroid="bcd".index(neuroid))
            assert float(found["r"]) == pytest.approx(pearsonr(output, y).statistic, abs=1e-12)
    comparison.rules = Rules(n_draws=100)
    summary = comparison.summarise(scores)
    assert summary.n_splits == 4
    assert "Nadeau & Bengio" in summary.error_kind


def test_one_declared_split_has_the_spread_of_its_test_part_and_no_more() -> None:
    """Draws over a test part that is tested once are as wide as they should be but for what training adds."""
    outputs, responses = problem()
    table = pd.DataFrame({"split": ["train"] * 20 + ["test"] * 20}, index=IDS)
    pictures = {name: Stimulus(name, "image", np.full((2, 2, 3), number, np.uint8)) for number, name in enumerate(IDS)}
    target = Dataset("made-up", StimulusSet("made-up", "image", pictures, table=table), responses=responses)
    only = against(responses.isel(presentation=slice(20, 40)))
    declared = against(target, scheme="fixed")
    errors = []
    for comparison in (only, declared):
        comparison.rules = Rules(n_draws=1000)
        errors.append(comparison.summarise(comparison.score(outputs)).error)
    assert errors[1] == pytest.approx(np.sqrt(2) * errors[0], rel=0.15)  # 1 + n_test/n_train = 2
