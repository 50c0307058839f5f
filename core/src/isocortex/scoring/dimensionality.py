"""Effective dimensionality of layers: along how many directions the activations vary, counted by their variance.

Everything comes from stimuli × stimuli matrices that are accumulated over column blocks, several variants in one pass;
no eigenvalue is computed, because the trace and the squared entries of the matrix hold both sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.activations.layer import Activations
from isocortex.errors import DataError, SettingsError, suggest
from isocortex.typing import Array

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from isocortex.scoring.summary import Summary


#: stimuli without which nothing varies
FEWEST = 2
#: what is left after centring below this share (of the size before) is rounding
_ROUNDING = 64 * float(np.finfo(np.float64).eps)
#: units whose values differ by fewer steps of their own precision are constant
_STEPS = 4
#: values of one block of features: 16 MB in float64
_BLOCK_VALUES = 2_000_000


@dataclass(frozen=True)
class _Variant:
    """How a block is prepared, and whether each stimulus's mean over units is taken off."""

    prepare: Callable[[Array, float], Array]
    centres_stimuli: bool


def _as_it_is(block: Array, _: float) -> Array:
    return block


def _demeaned(block: Array, precision: float) -> Array:
    centred = block - block.mean(axis=0)
    centred[:, np.ptp(block, axis=0) <= _STEPS * precision * np.abs(block).max(axis=0)] = 0.0
    return centred


def _z_scored(block: Array, precision: float) -> Array:
    centred = _demeaned(block, precision)
    spread = np.sqrt(np.mean(centred**2, axis=0))
    return centred / np.where(spread > 0, spread, 1.0)


#: variant → its definition; the first three are those of Tuckute et al. 2023
VARIANTS: Mapping[str, _Variant] = {
    "raw": _Variant(_as_it_is, True),
    "demeaned": _Variant(_demeaned, True),
    "z-scored": _Variant(_z_scored, True),
    "units": _Variant(_demeaned, False),
}


def effective_dimensionality(
    activations: Activations | xr.DataArray | Array,
    variant: str = "units",
    *,
    stimulus_id: Sequence[str] | None = None,
) -> float:
    r"""Participation ratio of the variances along the principal directions of a layer.

    ED = (Σ_i λ_i)² / Σ_i λ_i², λ the eigenvalues of a covariance matrix C: 1 where one direction holds all variance,
    n where n directions hold the same. Computed as tr(C)² / Σ_ij C_ij².

    Parameters
    ----------
    activations
        (n_stimuli, n_units).
    variant
        "units": C is the covariance of the units over the stimuli; the usual definition. The others are those of
        Tuckute et al. 2023, where C = numpy.cov(X) treats stimuli as variables and units as observations, so that
        every stimulus loses its mean over units: "raw" for X as it is, "demeaned" after each unit lost its mean over
        stimuli, "z-scored" after each unit was also divided by its standard deviation (units that do not vary are 0).
    stimulus_id
        Take these stimuli only.

    Returns
    -------
    At most min(n_stimuli − 1, n_units); NaN where nothing varies.

    Raises
    ------
    SettingsError
        An unknown variant.
    DataError
        Fewer than two stimuli, or activations that are not finite.
    AlignmentError
        A stimulus that has no activations.

    References
    ----------
    Gao et al. 2017, bioRxiv 214262 (participation ratio). Tuckute, Feather, Boebinger & McDermott 2023,
    PLOS Biology, supplement.

    Examples
    --------
    >>> square = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])  # two directions, equal variances
    >>> round(effective_dimensionality(square), 12)
    2.0
    >>> round(effective_dimensionality(square * [1.0, 100.0]), 3)  # (1 + 10000)² / (1 + 10000²)
    1.0
    """
    return _dimensionalities(_as_activations(activations), (variant,), stimulus_id)[variant]


def dimensionality_table(
    layers: Mapping[str, Activations | xr.DataArray | Array],
    variants: Sequence[str] = tuple(VARIANTS),
    *,
    stimulus_id: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Effective dimensionality of every layer of a model, all variants in one pass over each layer.

    Parameters
    ----------
    layers
        Name → (n_stimuli, n_units), in processing order.
    variants
        See ``effective_dimensionality``.
    stimulus_id
        Take these stimuli only.

    Returns
    -------
    One row per layer: n_stimuli, n_units and a column per variant. Memory: one stimuli × stimuli matrix per variant and
    one block of the layer.

    Raises
    ------
    SettingsError, DataError, AlignmentError
        As ``effective_dimensionality``.

    Examples
    --------
    >>> stream = np.random.default_rng(0)
    >>> table = dimensionality_table({"narrow": np.outer(stream.normal(size=9), [1, 2, 3]), "wide": np.eye(9)})
    >>> table["units"].round(6).tolist()
    [1.0, 8.0]
    """
    import pandas as pd

    rows: dict[str, dict[str, float]] = {}
    for name, given in layers.items():
        layer = _as_activations(given)
        rows[name] = {
            "n_stimuli": len(layer.rows(stimulus_id)),
            "n_units": layer.n_units,
            **_dimensionalities(layer, variants, stimulus_id),
        }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["n_stimuli", "n_units", *variants])
    return table.astype({"n_stimuli": int, "n_units": int}).rename_axis("layer")


def with_sizes(rows: Sequence[Summary], layers: Mapping[str, Activations], stimulus_id: Sequence[str]) -> list[Summary]:
    """Rows with the number of units and the effective dimensionality of the layer that each reads out.

    A row that reads out several layers, or the layers of several models, has none. A layer that several rows read out
    is looked at once; this takes as long as one matrix (stimuli × stimuli) of its units, and memory for three.

    Parameters
    ----------
    layers
        All that were scored, by name.
    stimulus_id
        The stimuli of the benchmark.
    """
    if len({layer.space for layer in layers.values()}) > 1:
        return list(rows)
    sizes: dict[str, dict[str, Any]] = {}
    found: list[Summary] = []
    for row in rows:
        read_out = [layer.name for layer in row.layers if layer.read_out > 0]
        if len(read_out) != 1 or read_out[0] not in layers or len(stimulus_id) < FEWEST:
            found.append(row)
            continue
        layer = layers[read_out[0]]
        if layer.layer not in sizes:
            size = effective_dimensionality(layer, stimulus_id=stimulus_id)
            sizes[layer.layer] = {"n_units": layer.n_units, "dimensionality": None if np.isnan(size) else size}
        found.append(row.model_copy(update=sizes[layer.layer]))
    return found


def participation_ratio(covariance: Array) -> float:
    r"""(Σ_i λ_i)² / Σ_i λ_i² of the eigenvalues of a covariance matrix, from its trace and its entries.

    Parameters
    ----------
    covariance
        (n, n), symmetric and positive semi-definite, on any scale.

    Returns
    -------
    1 … n; NaN for a matrix of zeros.

    Examples
    --------
    >>> participation_ratio(np.diag([2.0, 2.0, 0.0]))
    2.0
    """
    largest = float(np.abs(covariance).max(initial=0.0))
    if largest == 0:
        return float("nan")
    scaled = covariance / largest  # squares of small numbers must not vanish
    return float(np.trace(scaled) ** 2 / np.sum(scaled**2))


def _as_activations(given: Activations | xr.DataArray | Array) -> Activations:
    if isinstance(given, Activations):
        return given
    if not isinstance(given, np.ndarray):
        return Activations.from_xarray(given)
    if given.ndim != 2:
        raise DataError(f"Activations need the shape (n_stimuli, n_units); found {given.shape}.")
    return Activations("layer", [f"row {number}" for number in range(len(given))], [given])


def _dimensionalities(
    activations: Activations, variants: Sequence[str], stimulus_id: Sequence[str] | None
) -> dict[str, float]:
    for name in variants:
        if name not in VARIANTS:
            raise SettingsError(
                f"Effective dimensionality has no variant {name!r}.{suggest(name, VARIANTS)} "
                f"It has {', '.join(VARIANTS)}."
            )
    n_stimuli = len(activations.rows(stimulus_id))
    if n_stimuli < FEWEST:
        raise DataError(f"Effective dimensionality needs at least 2 stimuli; {activations.layer!r} has {n_stimuli}.")
    precision = _precision(activations)
    blocks = activations.blocks(stimulus_id, max(1, _BLOCK_VALUES // n_stimuli), any_scale=True)
    kernels = _kernels(blocks, n_stimuli, {name: VARIANTS[name] for name in variants}, precision)
    return {name: participation_ratio(kernel) for name, kernel in kernels.items()}


def _precision(activations: Activations) -> float:
    """Of the type that holds the activations; integers are exact."""
    floating = np.issubdtype(activations.dtype, np.floating)
    return float(np.finfo(activations.dtype).eps) if floating else float(np.finfo(np.float64).eps)


class _Kernel:
    """X Xᵀ of a variant, accumulated over blocks, less every stimulus's mean over units where the variant says so."""

    def __init__(self, n_stimuli: int, variant: _Variant) -> None:
        self.variant = variant
        self.products = np.zeros((n_stimuli, n_stimuli))
        self.sums = np.zeros(n_stimuli)
        self.n_units, self.size = 0, 0.0
        self.shift: Array | None = None

    def add(self, block: Array, precision: float) -> None:
        """Take a block (n_stimuli, width) float64."""
        values = self.variant.prepare(block, precision)
        self.size += float(np.sum(values**2))
        if self.variant.centres_stimuli:
            # close to the mean already, so that taking the rest of it off at the end loses no digits
            self.shift = values.mean(axis=1, keepdims=True) if self.shift is None else self.shift
            values = values - self.shift
            self.sums += values.sum(axis=1)
        self.n_units += values.shape[1]
        self.products += values @ values.T

    def result(self) -> Array:
        """The matrix; 0 where nothing is left but rounding."""
        kernel = self.products
        if self.variant.centres_stimuli and self.n_units:
            kernel = kernel - np.outer(self.sums, self.sums) / self.n_units
        return kernel if float(np.trace(kernel)) > _ROUNDING**2 * self.size else np.zeros_like(kernel)


def _kernels(
    blocks: Iterable[Array], n_stimuli: int, variants: Mapping[str, _Variant], precision: float
) -> dict[str, Array]:
    kernels = {name: _Kernel(n_stimuli, variant) for name, variant in variants.items()}
    for block in blocks:
        values = block.astype(np.float64)
        for kernel in kernels.values():
            kernel.add(values, precision)
    return {name: kernel.result() for name, kernel in kernels.items()}
