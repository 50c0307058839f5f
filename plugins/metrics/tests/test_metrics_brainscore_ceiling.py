"""Internal consistency: the published package's numbers, the definition written out, and where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.stats import pearsonr
from sklearn.model_selection import ShuffleSplit

import isocortex
from isocortex.data.dataset import make_responses
from isocortex.errors import DataError
from isocortex_metrics.brainscore import ceiling as brainscore_ceiling
from isocortex_metrics.brainscore.ceiling import aggregate_splits, internal_consistency, split_half_consistency

GOLDEN = Path(__file__).parents[3] / "tests" / "golden"


def golden(name: str) -> dict[str, np.ndarray]:
    """One golden file."""
    return dict(np.load(GOLDEN / f"{name}.npz"))


def repeated() -> xr.DataArray:
    """The golden responses, presentations in any order."""
    inputs = golden("bs_inputs")
    responses = make_responses(
        inputs["target_reps"], inputs["stimulus_id"], neuroid={"neuroid_id": inputs["neuroid_id"]}
    )
    return responses.isel(presentation=np.random.default_rng(0).permutation(180))


def test_the_ceiling_is_that_of_the_package() -> None:
    expected = golden("bs_internal_consistency")
    ceiling = internal_consistency(repeated())
    np.testing.assert_allclose(ceiling.raw.values, expected["raw"], rtol=1e-12)
    assert ceiling.value == pytest.approx(float(expected["center"]), rel=1e-13)
    assert ceiling.error == pytest.approx(float(expected["error"]), rel=1e-11)
    assert (ceiling.statistic, ceiling.raw.dims) == ("r", ("split", "neuroid"))
    comparison = isocortex.load_metric("pls").against(repeated(), settings={}, seed=0)
    assert comparison.ceiling.value == ceiling.value


def test_halves_are_those_of_the_package() -> None:
    expected = golden("bs_splits")
    draws = ShuffleSplit(10, train_size=0.5, random_state=1).split(expected["repetition_values"])
    for (first, second), one, other in zip(draws, expected["ceiling_half1"], expected["ceiling_half2"], strict=True):
        assert (sorted(first), sorted(second)) == (sorted(one), sorted(other))


@pytest.mark.parametrize("kind", [np.int64, str])
def test_unequal_repetitions_equal_the_definition_written_out(kind, monkeypatch) -> None:
    stream = np.random.default_rng(0)
    stimulus = np.repeat(np.arange(12), np.where(np.arange(12) % 2, 11, 8))
    repetition = np.concatenate([np.arange(11 if number % 2 else 8) for number in range(12)]).astype(kind)
    values = (stimulus[:, None] % 5 + 2 * stream.standard_normal((len(stimulus), 3)) + 1e3).astype(np.float32)
    expected = np.empty((10, 3))
    names = np.unique(repetition)  # "10" comes before "2" as a word, and halves follow that order
    for row, halves in enumerate(ShuffleSplit(10, train_size=0.5, random_state=1).split(names)):
        means = []
        for half in halves:
            inside = [np.isin(repetition, names[half]) & (stimulus == number) for number in range(12)]
            means.append(np.array([values[rows].astype(float).mean(axis=0) for rows in inside]))
        r = np.array([pearsonr(means[0][:, neuroid], means[1][:, neuroid])[0] for neuroid in range(3)])
        expected[row] = 2 * r / (1 + r)
    monkeypatch.setattr(brainscore_ceiling, "_BLOCK_VALUES", 1)
    np.testing.assert_allclose(split_half_consistency(values, stimulus, repetition), expected, atol=1e-12)


def test_neuroids_that_do_not_vary_leave_the_median() -> None:
    responses = repeated()
    responses[:, 4] = 0.1
    ceiling = internal_consistency(responses)
    assert np.isnan(ceiling.raw.values[:, 4]).all()
    assert ceiling.value == pytest.approx(np.nanmedian(ceiling.raw.values, axis=1).mean())
    some = responses["neuroid_id"].values[[4, 7, 9]]
    found = [aggregate_splits(ceiling.among(names).value.values)[0] for names in (some, some[:1], ["another"])]
    assert found[0] == pytest.approx(np.median(ceiling.raw.values[:, [7, 9]], axis=1).mean())
    assert np.isnan(found[1:]).all()


def test_noise_has_no_ceiling_and_is_not_clipped() -> None:
    noise = np.random.default_rng(0).standard_normal((4, 200, 30))
    ceiling = internal_consistency(make_responses(noise, [str(number) for number in range(200)]))
    assert abs(ceiling.value) < 0.1
    assert ceiling.raw.values.min() < -0.1


def test_there_is_none_without_repetitions_or_with_a_stimulus_in_one_half_only() -> None:
    values = np.random.default_rng(0).standard_normal((60, 2))
    ids = [f"s{number}" for number in range(60)]
    once = make_responses(values, ids)
    assert internal_consistency(once) is None
    assert internal_consistency(once.drop_vars("repetition")) is None
    lacking = make_responses(np.stack([values, values]), ids).isel(presentation=slice(0, 119))
    assert internal_consistency(lacking) is None
    assert isocortex.load_metric("pls").against(lacking, settings={}, seed=0).ceiling is None
    codes = np.arange(119) % 60
    with pytest.raises(DataError, match="1 stimuli are absent from a half"):
        split_half_consistency(lacking.values, codes, lacking["repetition"].values)
    with pytest.raises(DataError, match="at least 2 repetitions; found 1"):
        split_half_consistency(values, np.arange(60), np.zeros(60))


def test_splits_without_a_value_leave_the_mean() -> None:
    raw = np.array([[0.2, 0.4], [np.nan, np.nan], [0.6, np.nan]])
    value, error = aggregate_splits(raw)
    assert value == pytest.approx(0.45)
    assert error == pytest.approx(0.15 / np.sqrt(3))
    assert np.isnan(aggregate_splits(raw[1:2])).all()
    assert aggregate_splits(np.array([1.0, 3.0])) == pytest.approx((2.0, 1 / np.sqrt(2)))
