from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import pytest

from isocortex.activations.output import LayerOutput
from isocortex.activations.reductions import parse_reduction, reduce_output
from isocortex.activations.sparse_projection import projection_matrix, sparse_projection
from isocortex.errors import SettingsError, UsageError

random_projection = pytest.importorskip("sklearn.random_projection")


def sklearn_projection(n_components: int, seed: int, features: np.ndarray) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer features than components
        projection = random_projection.SparseRandomProjection(n_components, density="auto", random_state=seed)
        return projection.fit(features)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("n_features", [2, 30, 1000, 20_001])
def test_the_matrix_is_that_of_sklearn(n_features: int, seed: int) -> None:
    expected = sklearn_projection(64, seed, np.zeros((2, n_features))).components_
    found = projection_matrix(n_features, 64, seed)
    assert found.shape == (64, n_features)
    np.testing.assert_array_equal(found.toarray(), expected.toarray())


def test_one_feature() -> None:
    """The matrix is dense then: scikit-learn draws another way."""
    expected = sklearn_projection(5, 3, np.ones((2, 1))).transform(np.ones((2, 1)))
    np.testing.assert_allclose(sparse_projection(np.ones((2, 1)), 5, 3), expected, rtol=1e-12)


def test_the_matrix_never_changes() -> None:
    """Frozen in scikit-learn 1.9: published scores hang on it."""
    matrix = projection_matrix(1000, 16, 1)
    assert matrix.nnz == 495
    assert sorted(matrix[0].nonzero()[1])[:4] == [6, 27, 49, 104]
    assert np.sign(matrix.data[:8]).tolist() == [1, -1, -1, 1, 1, -1, 1, -1]
    assert float(abs(matrix.data).max()) == pytest.approx(np.sqrt(np.sqrt(1000) / 16), rel=1e-12)


@pytest.mark.parametrize(("n_features", "dtype"), [(20_001, "float32"), (20_001, "float64"), (30, "float32")])
def test_what_comes_out_is_that_of_sklearn(n_features: int, dtype: str) -> None:
    features = np.random.default_rng(0).standard_normal((7, n_features)).astype(dtype)
    expected = sklearn_projection(128, 1, features).transform(features)
    found = reduce_output(LayerOutput(features, ("unit",)), "srp-128-1", "any layer")
    assert found.dtype == dtype
    tolerance = 1e-6 * np.abs(expected).max()
    np.testing.assert_allclose(found, np.asarray(expected, dtype=np.float64), rtol=0, atol=tolerance)
    exact = features.astype(np.float64) @ sklearn_projection(128, 1, features.astype(float)).components_.toarray().T
    np.testing.assert_allclose(sparse_projection(features, 128, 1), exact, rtol=0, atol=1e-13 * n_features)


def test_neither_batches_nor_layers_matter() -> None:
    features = np.random.default_rng(0).standard_normal((6, 5000)).astype(np.float32)
    whole = reduce_output(LayerOutput(features, ("unit",)), "srp-64", "one")
    parts = [reduce_output(LayerOutput(features[[row]], ("unit",)), "srp-64-0", "another")[0] for row in range(6)]
    np.testing.assert_array_equal(whole, parts)


def test_on_torch_and_as_on_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from isocortex.activations import sparse_projection as module

    features = np.random.default_rng(0).standard_normal((6, 3, 1500)).astype(np.float32)
    expected = reduce_output(LayerOutput(features, ("channel", "time")), "srp-64-1", "layer")
    found = reduce_output(LayerOutput(torch.from_numpy(features), ("channel", "time")), "srp-64-1", "layer")
    np.testing.assert_array_equal(found, expected)
    monkeypatch.setattr(module, "_BLOCK", 1000)
    gathered = module._on_accelerator(torch.from_numpy(features.reshape(6, -1)), 64, 1)
    assert gathered.dtype == torch.float32
    np.testing.assert_allclose(gathered.numpy(), expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    half = torch.from_numpy(features.reshape(6, -1)).bfloat16()
    assert module.sparse_projection(half, 64, 1).dtype == np.float64


def test_deep_mouse_trap_projects_119_images_to_4096_dimensions() -> None:
    """Also layers with fewer features, as published: distances are kept, zeros are many."""
    assert random_projection.johnson_lindenstrauss_min_dim(119, eps=0.1) == 4096
    features = np.random.default_rng(0).standard_normal((3, 1000)).astype(np.float32)
    found = reduce_output(LayerOutput(features, ("unit",)), "flatten+srp-4096-1", "fc")
    assert found.shape == (3, 4096)
    distance = np.linalg.norm(found[0] - found[1]) / np.linalg.norm(features[0] - features[1])
    assert distance == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    "reduction", ["srp-0", "srp-", "srp-16-", "srp-16--1", "srp--16", "srp-16-x", "srp-16-1-2", "srp"]
)
def test_names_that_are_no_projection(reduction: str) -> None:
    with pytest.raises(SettingsError, match=r"is no reduction.* Known: .*srp-N, srp-N-SEED"):
        parse_reduction(reduction)


def test_one_projection_is_enough() -> None:
    with pytest.raises(SettingsError, match="projects more than once"):
        parse_reduction("projection-8+srp-4")


def test_without_sklearn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(
        UsageError, match=r"'srp-16' needs scikit-learn: pip install scikit-learn\. 'projection-16' does"
    ):
        projection_matrix(77, 16, 5)
