"""Linear kernels over stimuli, and how well two of them are aligned: HSIC and CKA, biased, unbiased and weighted.

All of it needs stimuli × stimuli matrices only, so that time and memory do not grow with units once K = X Xᵀ is there.
The weighted form serves the whole sample (weights 1), halves of the stimuli (weights 0 and 1) and bootstrap samples
(how often each stimulus was drawn) by a few matrix products.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.activations import Activations, namespace
from isocortex.errors import DataError
from isocortex.typing import Array
from isocortex_metrics.numerics.arrays import on_device, square_of_zeros
from isocortex_metrics.numerics.threads import few_threads

if TYPE_CHECKING:
    import xarray as xr

#: the unbiased estimator divides by n − 3
MIN_STIMULI = 4
#: alignment of a kernel with itself below this share of its entries is rounding
_ROUNDING = 1e-12
#: what Brain-Score adds to the denominator of its unbiased CKA
EPSILON = 1e-12
#: values of one block of features: 32 MB in float64
_BLOCK_VALUES = 4_000_000


def linear_kernel(blocks: Iterable[Array], n_stimuli: int, *, device: str = "cpu") -> Any:
    """K = X̃ X̃ᵀ of features centred by their mean over stimuli, accumulated in float64 over column blocks.

    Centring changes no CKA (that of Brain-Score included, which leaves it out) and keeps digits where means are large.

    Parameters
    ----------
    blocks
        Column blocks (n_stimuli, width) of the features, any real dtype.
    n_stimuli
        Number of rows.
    device
        Where the products are formed; see ``backend.on_device``.

    Returns
    -------
    (n_stimuli, n_stimuli) float64, numpy or torch as the device says.

    Examples
    --------
    >>> linear_kernel([np.array([[1.0], [3.0]])], 2).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    kernel = square_of_zeros(n_stimuli, device)
    for block in blocks:
        values = block if np.issubdtype(block.dtype, np.floating) else block.astype(np.float64)
        centred = on_device(values, device)
        xp = namespace(centred)
        # the first row goes before the mean does, because the rounded mean of equal values may differ from them
        centred = centred - centred[:1, :]
        centred -= xp.mean(centred, axis=0)
        kernel += centred @ centred.T
    return kernel


# --- unweighted, as published -----------------------------------------------------------------------------------------


def unbiased_hsic(kernel: Array, other: Array) -> float:
    r"""Unbiased estimate of the Hilbert–Schmidt independence criterion of two kernels.

    [tr(KL) + (1ᵀK1)(1ᵀL1) / ((n − 1)(n − 2)) − 2 (1ᵀKL1) / (n − 2)] / (n (n − 3)), the diagonals of K and L set to 0.
    Song et al. 2012, Journal of Machine Learning Research 13, equation 5.

    Parameters
    ----------
    kernel, other
        K and L (n_stimuli, n_stimuli) float64, at least four stimuli.

    Raises
    ------
    DataError
        Fewer than four stimuli.

    Examples
    --------
    >>> line = np.array([[-1.0], [-1.0], [1.0], [1.0]])
    >>> round(unbiased_hsic(line @ line.T, line @ line.T), 12)
    2.666666666667
    """
    n = len(kernel)
    _refuse_few(n)
    k, l = _without_diagonal(kernel), _without_diagonal(other)  # noqa: E741 - as in the formula
    product = float((k * l).sum())
    sums = float(k.sum()) * float(l.sum()) / ((n - 1) * (n - 2))
    rows = 2 * float(k.sum(axis=0) @ l.sum(axis=1)) / (n - 2)
    return (product + sums - rows) / (n * (n - 3))


def unbiased_cka(kernel: Array, other: Array) -> float:
    r"""Brain-Score's unbiased CKA: H(K, L) / (√(H(K, K) H(L, L)) + 1e-12), and 0 where that product is not above 0.

    Parameters
    ----------
    kernel, other
        (n_stimuli, n_stimuli) float64, at least four stimuli; see ``unbiased_hsic``.

    Raises
    ------
    DataError
        Fewer than four stimuli.

    Examples
    --------
    >>> line = np.array([[-1.0], [-1.0], [1.0], [1.0]])
    >>> round(unbiased_cka(line @ line.T, line @ line.T), 9)
    1.0
    """
    product = unbiased_hsic(kernel, kernel) * unbiased_hsic(other, other)
    return unbiased_hsic(kernel, other) / (product**0.5 + EPSILON) if product > 0 else 0.0


def biased_cka(kernel: Array, other: Array) -> float:
    r"""‖YᵀX‖² / (‖XᵀX‖ ‖YᵀY‖) of centred features, from their kernels: ⟨K, L⟩ / (‖K‖ ‖L‖); NaN where one is 0.

    With few stimuli and many units it is far above 0 for features that have nothing in common. Kornblith et al. 2019,
    ICML, section 3.

    Parameters
    ----------
    kernel, other
        (n_stimuli, n_stimuli) float64, of features centred over the stimuli.

    Examples
    --------
    >>> biased_cka(np.array([[1.0, -1.0], [-1.0, 1.0]]), np.array([[4.0, -4.0], [-4.0, 4.0]]))
    1.0
    """
    size = float(np.linalg.norm(kernel)) * float(np.linalg.norm(other))
    return float((kernel * other).sum()) / size if size > 0 else float("nan")


def _refuse_few(n_stimuli: int) -> None:
    if n_stimuli < MIN_STIMULI:
        raise DataError(
            f"Unbiased CKA needs at least {MIN_STIMULI} stimuli, because its estimator divides by n − 3; found "
            f"{n_stimuli}."
        )


def _without_diagonal(kernel: Any) -> Any:
    xp = namespace(kernel)
    return xp.where(xp.eye(len(kernel), dtype=xp.bool, device=kernel.device) > 0, 0.0, kernel)


# --- weighted: one form for the whole sample, halves and bootstrap samples --------------------------------------------


@dataclass(frozen=True)
class CentredKernel:
    r"""A kernel with what each weighting of the stimuli takes off it.

    For weights w the stimulus effects a minimise Σ_{i≠j} w_i w_j (K_ij − a_i − a_j)²; a stimulus makes no pair with
    itself, however often it was drawn. With weights 1 the rest is the U-centred matrix of Székely & Rizzo 2014 (Annals
    of Statistics 42, section 3), whose products are n (n − 3) times the unbiased HSIC.

    Attributes
    ----------
    kernel
        (n_stimuli, n_stimuli), 0 on the diagonal.
    weights
        w (n_draws, n_stimuli).
    sums
        Σ_j w_j K_ij, (n_draws, n_stimuli).
    effects
        a (n_draws, n_stimuli).
    norm
        (n_draws,): length of the rest; NaN where nothing is left but rounding, or where a draw holds fewer than four
        stimuli or one of them half of the time.
    """

    kernel: Any
    weights: Any
    sums: Any
    effects: Any
    norm: Any


def centre(kernel: Any, weights: Any) -> CentredKernel:
    r"""Take the effects of single stimuli off a kernel, for every row of weights.

    a_i = (r_i − s) / (W − 2 w_i) with r = K w, W = Σ w, s = Σ_i u_i r_i / (1 + Σ_i u_i), u_i = w_i / (W − 2 w_i).

    Parameters
    ----------
    kernel
        (n_stimuli, n_stimuli) float64, symmetric; its diagonal is not used.
    weights
        (n_draws, n_stimuli) float64, ≥ 0, on the same device.

    Examples
    --------
    >>> line = np.array([[-1.0], [-1.0], [1.0], [1.0]])
    >>> whole = centre(line @ line.T, np.ones((1, 4)))
    >>> float(whole.norm[0] ** 2 / (4 * 1)) == unbiased_hsic(line @ line.T, line @ line.T)
    True
    """
    kernel = _without_diagonal(kernel)
    xp = namespace(kernel)
    total = xp.sum(weights, axis=1)[:, None]
    slack = total - 2.0 * weights
    enough = (xp.sum(xp.astype(weights > 0, weights.dtype), axis=1) >= MIN_STIMULI) & xp.all(slack > 0, axis=1)
    slack = xp.where(slack > 0, slack, 1.0)
    with few_threads(len(kernel)):
        sums = weights @ kernel
    share = weights / slack
    common = xp.sum(share * sums, axis=1) / (1.0 + xp.sum(share, axis=1))
    found = CentredKernel(kernel, weights, sums, (sums - common[:, None]) / slack, None)
    squared, size = _product(found, found), _pair_sum(kernel * kernel, weights)
    known = enough & (squared > _ROUNDING * size)
    norm = xp.where(known, xp.sqrt(xp.where(known, squared, 1.0)), xp.nan)
    return CentredKernel(kernel, weights, sums, found.effects, norm)


def lengths_of_halves(kernel: Array, inside: Array) -> tuple[Array, Array]:
    r"""``centre(kernel, …).norm`` for some sets of stimuli and for the rest of each, at the cost of one of the two.

    With r_i the sum of row i over the m stimuli of a set, the squared length is
    Σ K_ij² − 2 Σ r_i² / (m − 2) + (Σ r_i)² / ((m − 1)(m − 2)).

    Parameters
    ----------
    kernel
        (n_stimuli, n_stimuli) float64, symmetric; its diagonal is not used.
    inside
        (n_sets, n_stimuli) float64, 1 for the stimuli of a set, else 0; at least four on either side.

    Returns
    -------
    Of the sets, and of the rest, (n_sets,) each.

    Examples
    --------
    >>> features, inside = np.random.default_rng(0).normal(size=(9, 5)), np.repeat([[1.0, 0.0]], [5, 4], axis=1)
    >>> kernel = features @ features.T
    >>> halves = np.concatenate([inside, 1 - inside])
    >>> bool(np.allclose(np.concatenate(lengths_of_halves(kernel, inside)), centre(kernel, halves).norm))
    True
    """
    kernel = _without_diagonal(kernel)
    squares = kernel * kernel
    with few_threads(len(kernel)):
        sums, sums_of_squares = inside @ kernel, inside @ squares
    size = (sums_of_squares * inside).sum(axis=1)
    size_of_rest = squares.sum() - 2.0 * (inside @ squares.sum(axis=0)) + size
    return (
        _length(inside, sums, size),
        _length(1.0 - inside, kernel.sum(axis=0) - sums, size_of_rest),
    )


def _length(inside: Array, sums: Array, size: Array) -> Array:
    """Length of the rest of a kernel in each set, from sums of its rows and of its squared entries there."""
    m, own = inside.sum(axis=1), sums * inside
    squared = size - 2.0 * np.einsum("ij,ij->i", own, own) / (m - 2) + own.sum(axis=1) ** 2 / ((m - 1) * (m - 2))
    known = squared > _ROUNDING * size
    return np.where(known, np.sqrt(np.where(known, squared, 1.0)), np.nan)


def alignment(kernel: CentredKernel, other: CentredKernel) -> Any:
    r"""Unbiased CKA for every row of weights: the cosine of two kernels less the effects of single stimuli.

    Parameters
    ----------
    kernel, other
        Over the same stimuli with the same weights.

    Returns
    -------
    (n_draws,), signed; NaN where one of the two is nothing but effects of single stimuli.

    Examples
    --------
    >>> features = np.random.default_rng(0).normal(size=(8, 5))
    >>> whole = centre(features @ features.T, np.ones((1, 8)))
    >>> alignment(whole, whole).round(12).tolist()
    [1.0]
    """
    return _product(kernel, other) / (kernel.norm * other.norm)


def _product(kernel: CentredKernel, other: CentredKernel) -> Any:
    """Σ_{i≠j} w_i w_j of the product of both, effects taken off; (n_draws,)."""
    xp = namespace(kernel.kernel)
    raw = _pair_sum(kernel.kernel * other.kernel, kernel.weights)
    # the rest is orthogonal to effects of stimuli, so that they need to go from one side only
    return raw - 2.0 * xp.sum(kernel.weights * kernel.effects * other.sums, axis=1)


def _pair_sum(pairs: Any, weights: Any) -> Any:
    """Σ_ij w_i w_j of a matrix without diagonal, (n_draws,)."""
    with few_threads(len(pairs)):
        products = weights @ pairs
    return namespace(pairs).sum(products * weights, axis=1)


# --- participants -----------------------------------------------------------------------------------------------------


def participant_band(pairwise: Array) -> tuple[float, float]:
    r"""Bounds of the mean alignment with the participants, from their alignments with each other.

    Kernels, less the effects of single stimuli and brought to length 1, are vectors whose products are ``pairwise``.
    Lower: each participant against the mean of the others; upper: against the mean of all, which no kernel exceeds.
    After Nili et al. 2014, PLOS Computational Biology, "noise ceiling".

    Parameters
    ----------
    pairwise
        (n_participants, n_participants), 1 on the diagonal; at least two participants.

    Returns
    -------
    lower, upper.

    Examples
    --------
    >>> lower, upper = participant_band(np.array([[1.0, 0.5], [0.5, 1.0]]))
    >>> lower, round(upper, 6)
    (0.5, 0.866025)
    """
    rows, total = pairwise.sum(axis=1), float(pairwise.sum())
    others = np.sqrt(np.maximum(total - 2 * rows + 1.0, np.finfo(float).tiny))
    return float(np.mean((rows - 1.0) / others)), float(np.sqrt(max(total, 0.0))) / len(pairwise)


def kernel_of(
    activations: Activations | xr.DataArray, stimulus_id: tuple[str, ...], device: str = "cpu"
) -> tuple[str, Any]:
    """Name of a layer, and its centred linear kernel with the stimuli in the given order.

    Raises
    ------
    AlignmentError, DataError
        Stimuli without activations, or activations that are not finite.

    Examples
    --------
    >>> kernel_of(Activations("layer", ["b", "a"], [np.array([[3.0], [1.0]])]), ("a", "b"))[1].tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    layer = activations if isinstance(activations, Activations) else Activations.from_xarray(activations)
    blocks = layer.blocks(stimulus_id, max(1, _BLOCK_VALUES // len(stimulus_id)))
    return layer.layer, linear_kernel(blocks, len(stimulus_id), device=device)
