"""scikit-learn's sparse random projection, to the digit: for scores that were published with it."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import numpy as np

from isocortex.errors import UsageError

#: matrices that are remembered, 12 · N · √n_features bytes each (44 MB for 4,096 of 802,816 features)
_REMEMBERED = 32
#: non-zeros that are applied together on an accelerator
_BLOCK = 1 << 20


def sparse_projection(features: Any, n_components: int, seed: int) -> Any:
    r"""Project as ``sklearn.random_projection.SparseRandomProjection(N, density="auto", random_state=seed)`` does.

    y = x Rᵀ, R of (N, n_features) with a share of 1 / √n_features of its entries ± √(√n_features / N) and the rest 0.
    The matrix depends on n_features, N and the seed alone, so that neither batches nor layers matter. It is drawn by
    scikit-learn itself, in some seconds for the widest layers.

    Parameters
    ----------
    features
        (n_stimuli, n_features), numpy or torch; with fewer features than N too.

    Returns
    -------
    (n_stimuli, N), float64 on numpy, on the CPU and of float64; else float32. Li, Hastie & Church 2006, KDD.

    Raises
    ------
    UsageError
        scikit-learn is not installed.

    Examples
    --------
    >>> sparse_projection(np.ones((2, 100)), 16, seed=0).shape
    (2, 16)
    """
    if not isinstance(features, np.ndarray) and features.device.type != "cpu":
        return _on_accelerator(features, n_components, seed)
    values = features if isinstance(features, np.ndarray) else _at_least_single(features).numpy()
    matrix = projection_matrix(values.shape[1], n_components, seed)
    # one stimulus at a time in double precision: the sums of one do not depend on the others
    return np.stack([matrix @ row.astype(np.float64) for row in values])


@lru_cache(maxsize=_REMEMBERED)
def projection_matrix(n_features: int, n_components: int, seed: int) -> Any:
    """The matrix of ``sparse_projection``, (n_components, n_features), scipy's CSR, float64.

    Examples
    --------
    >>> projection_matrix(100, 16, 0).shape
    (16, 100)
    """
    try:
        from scipy.sparse import csr_matrix
        from sklearn import random_projection
    except ImportError as error:
        raise UsageError(
            f"The reduction 'srp-{n_components}' needs scikit-learn: pip install scikit-learn. "
            f"'projection-{n_components}' does without."
        ) from error
    library: Any = random_projection
    projection = library.SparseRandomProjection(n_components, density="auto", random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are fewer features than components
        projection.fit(np.zeros((1, n_features)))
    return csr_matrix(projection.components_)


def _at_least_single(features: Any) -> Any:
    """Half precision is raised; what is in double precision stays so."""
    return features.detach() if features.element_size() == 8 else features.detach().float()


def _on_accelerator(features: Any, n_components: int, seed: int) -> Any:
    """The same where sparse matrices are unknown or slow: gather, then add."""
    import torch

    matrix = projection_matrix(features.shape[1], n_components, seed).tocoo()
    device, values = features.device, _at_least_single(features)
    found = values.new_zeros(len(values), n_components)
    for start in range(0, matrix.nnz, _BLOCK):
        part = slice(start, start + _BLOCK)
        exact = np.float64 if values.element_size() == 8 else np.float32
        weight = torch.from_numpy(matrix.data[part].astype(exact)).to(device)
        row, column = (torch.from_numpy(index[part].astype(np.int64)).to(device) for index in (matrix.row, matrix.col))
        found.index_add_(1, row, values[:, column] * weight)
    return found
