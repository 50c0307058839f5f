"""Partial least squares from cross-products: scikit-learn's predictions, well-behaved input or not."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression

from isocortex.errors import DataError
from isocortex_metrics.brainscore import pls, power_iteration
from isocortex_metrics.brainscore.compact import cholesky_factor, compact_features
from isocortex_metrics.brainscore.pls import pls_components, pls_of_brains, pls_predictions
from isocortex_metrics.brainscore.splits import brainscore_splits
from isocortex_metrics.numerics.arrays import on_device
from isocortex_metrics.target.splits import Split

NEEDS_TORCH = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
N_STIMULI = 60
SPLITS = brainscore_splits(N_STIMULI, None)[:4]


def problem(n_units: int = 50, n_neuroids: int = 20, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Features of unequal variance, and responses that depend on them."""
    stream = np.random.default_rng(1)
    features = stream.standard_normal((N_STIMULI, n_units)) * np.linspace(1, 3, n_units)
    signal = features @ stream.standard_normal((n_units, n_neuroids)) / np.sqrt(4 * n_units)
    return features, signal + noise * stream.standard_normal((N_STIMULI, n_neuroids)) + 5.0


def ours(features, responses, n_components: int, splits=SPLITS, device: str = "cpu") -> list[tuple[np.ndarray, int]]:
    """Predictions less the training mean, and numbers of components."""
    compact = compact_features([features[:, :30], features[:, 30:]], *features.shape, device)
    found = pls_predictions(compact, responses, splits, n_components, device)
    return [(part.deviation, part.n_found) for part in found]


def theirs(features, responses, n_components: int, splits=SPLITS, **settings) -> list[np.ndarray]:
    """The same of scikit-learn."""
    found = []
    for train, test in splits:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = PLSRegression(n_components, scale=False, **settings).fit(features[train], responses[train])
        predicted = model.predict(features[test]).reshape(len(test), -1)
        found.append(predicted - responses[train].mean(axis=0))
    return found


def assert_equal(found, expected, tolerance: float = 1e-11) -> None:
    """Predictions agree to a share of their standard deviation."""
    for (deviation, _), other in zip(found, expected, strict=True):
        assert np.abs(deviation - other).max() <= tolerance * other.std()


@pytest.mark.parametrize(
    ("n_units", "n_neuroids", "n_components"),
    [
        *[(50, 20, 25), (200, 20, 25), (10, 30, 8), (50, 200, 10), (300, 90, 10), (50, 1, 8), (50, 2, 8), (1, 3, 1)],
        *[(50, 6, 25), (200, 16, 25)],
    ],
)
@pytest.mark.parametrize("noise", [1.0, 0.0])
def test_predictions_equal_scikit_learn(n_units, n_neuroids, n_components, noise) -> None:
    features, responses = problem(n_units, n_neuroids, noise)
    found = ours(features, responses, n_components)
    assert_equal(found, theirs(features, responses, n_components))
    assert {n for _, n in found} == {n_components}


@NEEDS_TORCH
@pytest.mark.parametrize(("n_units", "n_neuroids"), [(50, 20), (200, 20), (10, 30), (50, 200)])
def test_torch_gives_what_numpy_gives(n_units, n_neuroids) -> None:
    features, responses = problem(n_units, n_neuroids)
    found = ours(features, responses, 9, device="torch")
    assert_equal(found, [deviation for deviation, _ in ours(features, responses, 9)], 1e-11)


def test_the_stopping_rule_is_theirs_and_not_convergence(monkeypatch) -> None:
    features, responses = problem()
    converged = theirs(features, responses, 25, tol=1e-20, max_iter=20_000)
    early = [deviation for deviation, _ in ours(features, responses, 25)]
    assert max(np.abs(one - other).max() / other.std() for one, other in zip(early, converged, strict=True)) > 1e-3
    monkeypatch.setattr(power_iteration, "TOL", 1e-20)
    monkeypatch.setattr(power_iteration, "MAX_ITERATIONS", 20_000)
    assert_equal(ours(features, responses, 25), converged, 1e-6)


@pytest.mark.parametrize("n_units", [50, 10])  # CᵀC is the smaller one, CCᵀ is
def test_the_longest_run_is_theirs(monkeypatch, n_units) -> None:
    features, responses = problem(n_units)
    monkeypatch.setattr(power_iteration, "MAX_ITERATIONS", 3)
    assert_equal(ours(features, responses, 10), theirs(features, responses, 10, max_iter=3))


def test_training_sets_of_any_size_and_many_at_once(monkeypatch) -> None:
    features, responses = problem()
    stream = np.random.default_rng(0)
    splits = []
    for n_train in (55, 40, 25, 12):
        order = stream.permutation(N_STIMULI)
        splits.append(Split(np.sort(order[:n_train]), np.sort(order[n_train : n_train + 5])))
    found = ours(features, responses, 10, splits)
    assert_equal(found, theirs(features, responses, 10, splits))
    monkeypatch.setattr(pls, "_GROUP_BYTES", 1)
    for (one, _), (other, _) in zip(found, ours(features, responses, 10, splits), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


@pytest.mark.parametrize("n_neuroids", [6, 20, 70])
def test_brains_that_advance_together_are_predicted_as_each_alone(monkeypatch, n_neuroids) -> None:
    features, responses = problem(200, n_neuroids)
    stream = np.random.default_rng(3)
    brains = np.stack([responses, responses[::-1], stream.standard_normal(responses.shape), responses, responses])
    brains[1, :, 0] = 7.0  # another neuroid is the first that varies
    brains[3] = 0.3
    brains[4, :, :2] *= 1e5
    splits = [*SPLITS, Split(np.arange(40), np.arange(40, 44))]
    compact = compact_features([features], *features.shape)
    expected = [list(pls_predictions(compact, one, splits, 12)) for one in brains]
    for n_bytes in (128 * 1024**2, 1):
        monkeypatch.setattr(pls, "_GROUP_BYTES", n_bytes)
        found = pls_of_brains(compact, brains, splits, 12)
        assert found.shape == (5, 5, 6, n_neuroids)
        assert np.isnan(found[:, 4, 4:]).all(), "its test part is shorter"
        for brain, own in zip(found, expected, strict=True):
            for part, one in zip(brain, own, strict=True):
                tolerance = 1e-9 * max(1, np.abs(one.deviation).max())
                np.testing.assert_allclose(part[: len(one.deviation)], one.deviation, atol=tolerance)


def test_a_matrix_that_needs_every_step_stops_at_the_last_one() -> None:
    """Eigenvalues that hardly differ turn weights by 1e-3 and more in each of 499 steps, small matrices and larger."""
    small, weights = np.diag([1.0, 0.992]), np.array([np.cos(np.deg2rad(82.5)), np.sin(np.deg2rad(82.5))])
    large = np.zeros((20, 20))
    large[:2, :2] = small
    for stop_before, n_products in ((True, 498), (False, 499)):
        start = np.sqrt(small) @ weights if stop_before else weights
        few = power_iteration.power_iteration(small[None], start[None], np.array([True]), stop_before=stop_before)[0]
        wide = np.r_[start, np.zeros(18)]
        many = power_iteration.power_iteration(large[None], wide[None], np.array([True]), stop_before=stop_before)[0]
        assert few[1] / few[0] == pytest.approx(start[1] / start[0] * 0.992**n_products, rel=1e-9)
        assert many[1] / many[0] == pytest.approx(few[1] / few[0], rel=1e-9)


# --- input that is not well behaved -----------------------------------------------------------------------------------


def test_constant_features_change_nothing() -> None:
    features, responses = problem()
    features[:, [0, 7]] = 0.1
    assert_equal(ours(features, responses, 20), theirs(features, responses, 20))


@pytest.mark.parametrize("value", [1.5, 0.1])
def test_the_iteration_starts_from_the_first_neuroid_that_varies(value) -> None:
    features, responses = problem()
    responses[:, 0] = value
    found = ours(features, responses, 20)
    assert_equal(found, theirs(features, responses, 20))
    assert all((deviation[:, 0] == 0).all() for deviation, _ in found)


def test_a_large_constant_neuroid_is_no_start_where_scikit_learn_starts_from_its_rounding() -> None:
    features, responses = problem()
    responses[:, 0] = 1000.1
    found = [(deviation[:, 1:], n) for deviation, n in ours(features, responses, 20)]
    assert_equal(found, theirs(features, responses[:, 1:], 20))


def test_a_neuroid_may_be_constant_over_the_training_stimuli_only() -> None:
    features, responses = problem()
    responses[:, 0] = 0.0
    responses[SPLITS[0].test[0], 0] = 1.0
    found = ours(features, responses, 20)
    assert_equal(found, theirs(features, responses, 20))
    assert (found[0][0][:, 0] == 0).all()


def test_features_may_be_constant_over_the_training_stimuli_only() -> None:
    features, responses = problem()
    features[:] = 3.3
    features[SPLITS[0].test] += 1.0
    deviation, n_found = ours(features, responses, 5)[0]
    assert n_found == 0
    assert (deviation == 0).all()


def test_tied_columns() -> None:
    features, responses = problem()
    responses[:, 5:10] = responses[:, :5]
    assert_equal(ours(features, responses, 20), theirs(features, responses, 20))
    features[:, 25:] = features[:, :25]
    assert_equal(ours(features, responses, 20), theirs(features, responses, 20))


@pytest.mark.parametrize("rank", [3, 7])
def test_components_end_where_the_features_do(rank) -> None:
    _, responses = problem()
    stream = np.random.default_rng(2)
    features = stream.standard_normal((N_STIMULI, rank)) @ stream.standard_normal((rank, 30))
    found = ours(features, responses, 20)
    assert {n for _, n in found} == {rank}
    assert_equal(found, theirs(features, responses, rank))
    # scikit-learn goes on, on rounding: its predictions are then far from anything
    beyond = theirs(features, responses, 20)
    assert max(np.abs(other).max() for other in beyond) > 10 * max(np.abs(deviation).max() for deviation, _ in found)


def test_one_hot_features_have_one_component_less_than_categories() -> None:
    _, responses = problem()
    features = np.eye(8)[np.arange(N_STIMULI) % 8]
    found = ours(features, responses, 8)
    assert {n for _, n in found} == {7}
    assert_equal(found, theirs(features, responses, 7))


def test_responses_that_depend_on_nothing_left_end_it() -> None:
    features, _ = problem(5)
    deviation, n_found = ours(features, features[:, :2], 5)[0]
    expected = features[SPLITS[0].test, :2] - features[SPLITS[0].train, :2].mean(axis=0)
    np.testing.assert_allclose(deviation, expected, atol=1e-12)
    assert n_found <= 5


@pytest.mark.parametrize("scale", [1e-14, 1e-6, 1e10])
def test_units_of_measurement_do_not_matter(scale) -> None:
    features, responses = problem()
    assert_equal(ours(features, responses * scale, 20), theirs(features, responses * scale, 20))
    if scale > 1e-10:
        assert_equal(ours(features * scale, responses, 20), theirs(features * scale, responses, 20))


def test_scales_that_differ_and_large_means() -> None:
    features, responses = problem()
    stream = np.random.default_rng(0)
    unequal = features * 10.0 ** stream.uniform(-4, 4, 50)
    assert_equal(ours(unequal, responses, 20), theirs(unequal, responses, 20), 1e-9)
    neuroids = responses * 10.0 ** stream.uniform(-4, 4, 20)
    assert_equal(ours(features, neuroids, 20), theirs(features, neuroids, 20), 1e-9)
    assert_equal(ours(features + 1e4, responses + 1e4, 20), theirs(features, responses, 20), 1e-8)


def test_covariances_that_fall_steeply_keep_their_digits() -> None:
    stream = np.random.default_rng(1)
    sizes = 10.0 ** -np.linspace(0, 5, 12)
    sources = stream.standard_normal((N_STIMULI, 12))
    features, responses = sources * sizes, sources @ (sizes[:, None] * stream.standard_normal((12, 20)))
    assert_equal(ours(features, responses, 10), theirs(features, responses, 10))
    features, responses = problem(30)
    features[:, 0] *= 1e4
    responses[:, 3] = 1e4 * features[:, 0]  # its covariance is 1e8 times that of any other
    for (deviation, _), other in zip(ours(features, responses, 15), theirs(features, responses, 15), strict=True):
        assert (np.abs(deviation - other).max(axis=0) <= 1e-5 * other.std(axis=0)).all()


def test_nothing_to_start_from() -> None:
    features, responses = problem()
    deviation, n_found = ours(features, np.full_like(responses, 1e3 / 7), 5)[0]
    assert n_found == 0
    assert (deviation == 0).all()


def test_more_components_than_training_stimuli_are_refused() -> None:
    features, responses = problem()
    splits = [Split(np.arange(25), np.arange(25, 30))]
    assert ours(features, responses, 24, splits)[0][1] == 24
    with pytest.raises(DataError, match="25 components need at least 26 training stimuli; the smallest split has 25"):
        ours(features, responses, 25, splits)


# --- parts ------------------------------------------------------------------------------------------------------------


def test_components_are_orthogonal_and_explain_like_scikit_learns_scores() -> None:
    features, responses = problem()
    train = SPLITS[0].train
    centred = compact_features([features], *features.shape)
    components = next(pls_components(centred, responses - responses.mean(axis=0), SPLITS[:1], 6))
    gram = components.train.T @ components.train
    np.testing.assert_allclose(gram, np.diag(components.norms), atol=1e-12 * components.norms.max())
    model = PLSRegression(6, scale=False).fit(features[train], responses[train])
    np.testing.assert_allclose(np.abs(components.train), np.abs(model.x_scores_), atol=1e-11)


@pytest.mark.parametrize("rank", [1, 5, 59])
def test_the_factor_of_a_gram_matrix_gives_it_back(rank) -> None:
    features = np.random.default_rng(rank).standard_normal((N_STIMULI, rank))
    gram = features @ features.T
    factor = cholesky_factor(gram.copy())
    assert factor.shape == (N_STIMULI, rank)
    np.testing.assert_allclose(factor @ factor.T, gram, atol=1e-12 * gram.max())


def test_blocks_of_any_width_give_the_same_features() -> None:
    wide = np.random.default_rng(0).standard_normal((N_STIMULI, 130)).astype(np.float32)
    whole = compact_features([wide], *wide.shape)
    parts = compact_features([wide[:, start : start + 17] for start in range(0, 130, 17)], *wide.shape)
    np.testing.assert_allclose(parts @ parts.T, whole @ whole.T, atol=1e-11)
    assert whole.shape[1] <= N_STIMULI
    assert on_device(whole, "cpu").dtype == np.float64


@pytest.mark.parametrize("stop_before", [True, False])
@pytest.mark.parametrize(("at_a_time", "kept"), [(1, 0.75), (60**2 * 7, 0.75), (10**9, 0.0), (10**9, 1.0)])
def test_matrices_iterated_together_stop_each_where_it_would_alone(
    monkeypatch: pytest.MonkeyPatch, at_a_time: int, kept: float, stop_before: bool
) -> None:
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(30, 64, 60)) * np.arange(1, 61) ** -rng.uniform(0.1, 2, (30, 1, 1))
    factors[3] = 0
    matrices, start, live = factors.transpose(0, 2, 1) @ factors, rng.normal(size=(30, 60)), rng.random(30) > 0.2
    start /= np.linalg.norm(start, axis=1)[:, None]
    alone = [
        power_iteration.power_iteration(
            matrices[k : k + 1], start[k : k + 1], live[k : k + 1], stop_before=stop_before
        )[0]
        for k in range(30)
    ]
    monkeypatch.setattr(power_iteration, "_CACHED_VALUES", at_a_time)
    monkeypatch.setattr(power_iteration, "_WORTH_KEEPING", kept)
    found = power_iteration.power_iteration(matrices, start, live, stop_before=stop_before)
    np.testing.assert_array_equal(found, alone)
    np.testing.assert_array_equal(found[~live], start[~live])
