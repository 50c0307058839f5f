"""``brainscore-spantime-pls`` against scikit-learn on bins that are stacked, and what it asks of its target."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from sklearn.cross_decomposition import PLSRegression

import isocortex
from isocortex.activations import Activations
from isocortex.data import make_responses
from isocortex.errors import DataError
from isocortex.interfaces import Preparation, Rules
from isocortex.scoring import Exchangeable, values_of

N_STIMULI, N_SITES, N_BINS = 50, 5, 3
IDS = [f"stimulus{number:02d}" for number in range(N_STIMULI)]


def recorded(order=None, **names) -> xr.DataArray:
    """Responses of five sites in three bins to features; three repetitions of everything."""
    generator = np.random.default_rng(1)
    features = generator.standard_normal((N_STIMULI, 12))
    signal = features @ generator.standard_normal((12, N_SITES * N_BINS))
    values = signal + generator.normal(0, 2, (3, N_STIMULI, N_SITES * N_BINS))
    coords = {
        "site": [f"site{number}" for number in range(N_SITES) for _ in range(N_BINS)],
        "time_bin": [f"{start}-{start + 10}" for _ in range(N_SITES) for start in range(70, 100, 10)],
        **names,
    }
    found = make_responses(values, IDS, neuroid={name: column for name, column in coords.items() if column})
    return found if order is None else found.isel(neuroid=order)


def layer() -> xr.DataArray:
    """What the responses read, with noise of its own."""
    generator = np.random.default_rng(1)
    features = generator.standard_normal((N_STIMULI, 12))
    more = np.hstack([features, np.random.default_rng(2).standard_normal((N_STIMULI, 60))])
    return xr.DataArray(more, dims=("presentation", "unit"), coords={"stimulus_id": ("presentation", IDS)})


def against(target: xr.DataArray, metric: str = "brainscore-spantime-pls", **settings):
    """The comparison with some responses; predictions are kept."""
    preparation = Preparation(Rules(summary_by=("time_bin",) if "time_bin" in target.coords else ()))
    return isocortex.load_metric(metric).against(target, settings=settings, preparation=preparation)


@pytest.mark.parametrize("shuffled", [False, True])
def test_equal_to_scikit_learn_on_stacked_bins(shuffled: bool) -> None:
    order = np.random.default_rng(4).permutation(N_SITES * N_BINS) if shuffled else None
    responses = recorded(order)
    comparison = against(responses, n_components=8)
    scores = comparison.score(layer())
    values = responses.values.reshape(3, N_STIMULI, -1).mean(axis=0)
    site, when = responses["site"].values, responses["time_bin"].values
    sites, bins = list(dict.fromkeys(site)), list(dict.fromkeys(when))
    place = {(one, two): number for number, (one, two) in enumerate(zip(site, when, strict=True))}
    x = layer().values
    for split, (train, test) in enumerate(comparison.splits):
        stacked = np.concatenate([values[train][:, [place[one, two] for one in sites]] for two in bins])
        fit = PLSRegression(8, scale=False).fit(np.tile(x[train], (N_BINS, 1)), stacked)
        predicted = fit.predict(x[test])
        for number, one in enumerate(sites):
            for two in bins:
                column = place[one, two]
                r = np.corrcoef(predicted[:, number], values[test, column])[0, 1]
                assert float(scores["score"][split, column]) == pytest.approx(r, abs=1e-9)
                np.testing.assert_allclose(
                    scores["prediction"][split, : len(test), column], predicted[:, number], rtol=0, atol=1e-9
                )


def test_permutations_are_predicted_from_the_mean_over_bins_as_well() -> None:
    comparison = against(recorded(), n_components=8)
    order = np.random.default_rng(0).permutation(N_STIMULI)
    (found,) = comparison.permuted_readouts({"layer": Activations.from_xarray(layer())}, order[None])
    expected = comparison.permuted(order).score(layer())["score"].values
    np.testing.assert_allclose(found.values[0], expected, atol=1e-9)


def test_every_bin_has_the_ceiling_of_its_own() -> None:
    responses = recorded()
    whole = against(responses).ceiling.raw
    inside = responses["time_bin"].values == "80-90"
    alone = against(responses.isel(neuroid=inside)).ceiling.raw
    np.testing.assert_allclose(whole.values[:, inside], alone.values, rtol=0, atol=1e-12)


def test_responses_without_bins_are_one_bin() -> None:
    responses = recorded(site=None, time_bin=None)
    found = against(responses).score(layer())
    plain = against(responses, "brainscore-pls").score(layer())["score"]
    np.testing.assert_allclose(found["score"], plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"site": None}, "found no 'site'"),
        ({"time_bin": None}, "found no 'time_bin'"),
        ({"time_bin": ["70-80"] * 15}, "'site0' has the time bin '70-80' twice"),
        ({"site": [f"site{number}" for number in range(15)]}, "every site in every time bin; found no responses of"),
    ],
)
def test_sites_that_lack_a_bin_or_have_one_twice_are_refused(names: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        against(recorded(**names))


def test_every_permutation_equals_scoring_rows_that_were_permuted_by_hand() -> None:
    responses, features = recorded(), layer()
    comparison = against(responses, n_components=4)
    orders = Exchangeable.of(IDS).orders(3, seed=1)
    layers = {"layer": Activations("layer", IDS, [features.values])}
    blocks = [values_of(comparison, part)[None] for part in comparison.permuted_readouts(layers, orders)]
    averaged = responses.values.reshape(3, N_STIMULI, -1)
    for found, order in zip(np.concatenate(blocks), orders, strict=True):
        moved = against(responses.copy(data=averaged[:, order].reshape(responses.shape)), n_components=4)
        assert found == pytest.approx(moved.summarise(moved.score_all(layers)).value, abs=1e-9)
