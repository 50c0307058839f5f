"""Reducing a layer's output where it lies, batch by batch: (n_stimuli, …) → (n_stimuli, n_units).

A reduction is named by steps joined with "+": ``time-mean``, ``time-max``, ``time-first``, ``time-last``,
``spatial-mean``, ``spatial-mean-N`` (over the cells of a grid), ``flatten``, ``projection-N`` (sparse random projection
to N units; layers with at most N units are left as they are), ``srp-N`` and ``srp-N-SEED`` (scikit-learn's sparse
random projection, as published). Outputs are numpy arrays or torch tensors: what a GPU computed is reduced there, and
only the result leaves it. Every step works on each stimulus alone, and projections are drawn by layer or by size, so
that batches do not matter. On an accelerator nothing is ever in double precision, which MPS does not know. What is left
over is flattened in the order of its axes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.activations.array_api import device_of_array, namespace
from isocortex.activations.axes import refuse_unknown_axes
from isocortex.activations.precision import real_numbers, without_loss
from isocortex.errors import DataError, PluginError, SettingsError, suggest
from isocortex.typing import Array

if TYPE_CHECKING:
    from isocortex.activations.output import LayerOutput

#: a numpy array; in the functions that work where the output lies, also a torch tensor

Anywhere = Any

#: features whose random signs are drawn together; part of the definition of the projection
PROJECTION_BLOCK = 65_536
#: drawn blocks that are remembered, 9 bytes per feature: at most 150 MB
_REMEMBERED_BLOCKS = 256
_SPATIAL = ("height", "width")
_GRID = re.compile(r"spatial-mean-([1-9][0-9]?)")
_PROJECTION = re.compile(r"projection-(?P<n>[1-9][0-9]*)|srp-(?P<n_srp>[1-9][0-9]*)(?:-(?P<seed>[0-9]{1,9}))?")


def reduce_output(output: LayerOutput, reduction: str, layer: str) -> Array:
    """Apply a reduction to what a layer gave for a batch.

    Parameters
    ----------
    output
        (n_stimuli, …) with named axes.
    reduction
        Steps joined with "+".
    layer
        Name of the layer; seeds the projection.

    Returns
    -------
    (n_stimuli, n_units); float32, or float64 where the output is in double precision or holds integers and single
    precision does not hold each value.

    Raises
    ------
    SettingsError
        A step is unknown.
    PluginError
        The output's axes do not fit its array, it has no numbers, or an axis that the reduction needs has no name.

    Examples
    --------
    >>> from isocortex.activations.output import LayerOutput
    >>> output = LayerOutput(np.array([[[1.0, 3.0, 9.0]]]), ("channel", "time"), lengths=[2])
    >>> reduce_output(output, "time-mean", "layer").tolist()
    [[2.0]]
    """
    array = output.array if hasattr(output.array, "detach") else np.asanyarray(output.array)
    if array.ndim != len(output.axes) + 1:
        raise PluginError(f"Layer {layer!r} gave shape {array.shape} but names the axes {output.axes} after the first.")
    refuse_unknown_axes(output, reduction, layer)
    output = replace(output, array=real_numbers(array, layer))
    is_double = output.array.dtype.itemsize == 8
    projection: re.Match[str] | None = None
    for step in _steps(reduction):
        if step in STEPS:
            output = STEPS[step](output)
        elif grid := _GRID.fullmatch(step):
            output = _grid_mean(output, int(grid[1]))
        else:
            projection = _PROJECTION.fullmatch(step)
    _refuse_padding(output, reduction, layer)
    flat = output.array.reshape(len(array), -1)  # (n_stimuli, n_units)
    reduced = flat if projection is None else _projected(flat, projection, layer)
    if hasattr(reduced, "detach"):
        reduced = (reduced if is_double else reduced.float()).detach().cpu().numpy()
    return without_loss(reduced) if is_double else reduced.astype(np.float32)


def unit_names(output: LayerOutput, reduction: str, layer: str, n_units: int) -> tuple[str, ...] | None:
    """Names of a layer's units after a reduction to ``n_units``; None where it has none, or a projection mixes them.

    Raises
    ------
    PluginError
        There are more or fewer names than units.

    Examples
    --------
    >>> from isocortex.activations.output import LayerOutput
    >>> unit_names(LayerOutput(np.ones((1, 2)), ("unit",), units=("cat", "dog")), "flatten", "logits", 2)
    ('cat', 'dog')
    """
    if output.units is None or output.axes != ("unit",):
        return None
    if len(output.units) != output.array.shape[1]:
        raise PluginError(f"Layer {layer!r} has {output.array.shape[1]} units, but {len(output.units)} names for them.")
    mixed = n_units != len(output.units) or any(step.startswith("srp-") for step in parse_reduction(reduction))
    return None if mixed else tuple(output.units)


def _refuse_padding(output: LayerOutput, reduction: str, layer: str) -> None:
    """What a model pads a batch with depends on the batch, and must not become a feature."""
    if output.lengths is None or "time" not in output.axes:
        return
    n_steps = output.array.shape[output.axes.index("time") + 1]
    if any(length != n_steps for length in output.lengths):
        raise DataError(
            f"The reduction {reduction!r} keeps the time of layer {layer!r}, but of its {n_steps} steps "
            f"{sorted(set(output.lengths))} are valid. Remove time, for example with 'time-mean'."
        )


def parse_reduction(reduction: str) -> list[str]:
    """Split a reduction into its steps and check their names.

    Examples
    --------
    >>> parse_reduction("time-mean+projection-4096")
    ['time-mean', 'projection-4096']
    """
    return list(_steps(reduction))


@lru_cache
def _steps(reduction: str) -> tuple[str, ...]:
    steps = reduction.split("+")
    for step in steps:
        if step not in STEPS and not _GRID.fullmatch(step) and not _PROJECTION.fullmatch(step):
            known = [*STEPS, "spatial-mean-N", "projection-N", "srp-N", "srp-N-SEED"]
            raise SettingsError(f"{step!r} is no reduction.{suggest(step, known)} Known: {', '.join(known)}.")
    if sum(_PROJECTION.fullmatch(step) is not None for step in steps) > 1:
        raise SettingsError(f"{reduction!r} projects more than once; keep one of its projections.")
    return tuple(steps)


def _over_time(
    reduce: Callable[[Anywhere, Array | None], Anywhere],
) -> Callable[[LayerOutput], LayerOutput]:
    """Lift a function of (steps on the last axis, valid lengths) to outputs; without a time axis nothing changes.

    Lengths are None where every step is valid.
    """

    def step(output: LayerOutput) -> LayerOutput:
        if "time" not in output.axes:
            return output
        axis = output.axes.index("time") + 1
        values = namespace(output.array).moveaxis(output.array, axis, -1)
        n_steps = values.shape[-1]
        lengths = np.full(len(values), n_steps) if output.lengths is None else np.asarray(output.lengths)
        if lengths.shape != (len(values),) or n_steps == 0 or (lengths < 1).any() or (lengths > n_steps).any():
            raise PluginError(
                f"Valid lengths must lie in 1 … {n_steps} steps, one for each of {len(values)} stimuli; "
                f"found {lengths.tolist()}."
            )
        rest = tuple(name for name in output.axes if name != "time")
        reduced = reduce(values, None if (lengths == n_steps).all() else lengths)
        return replace(output, array=reduced, axes=rest, lengths=None, step_ms=None)

    return step


def _where_valid(values: Anywhere, lengths: Array, otherwise: float) -> Anywhere:
    """Values with another number at steps that are not valid, which may hold anything."""
    valid = np.arange(values.shape[-1]) < lengths[:, None]
    valid = valid.reshape(len(values), *(1,) * (values.ndim - 2), values.shape[-1])
    if isinstance(values, np.ndarray):
        return np.where(valid, values, otherwise)
    return values.masked_fill(namespace(values).asarray(~valid, device=device_of_array(values)), otherwise)


def _mean(values: Anywhere, axis: int | tuple[int, ...]) -> Anywhere:
    """Mean in double precision on numpy; torch adds in a cascade, and half precision is raised to single."""
    if isinstance(values, np.ndarray):
        return np.mean(values, axis=axis, dtype=np.float64)
    return values.float().mean(axis) if values.element_size() < 4 else values.mean(axis)


def _time_mean(values: Anywhere, lengths: Array | None) -> Anywhere:
    if lengths is None:
        return _mean(values, -1)
    mean = _mean(_where_valid(values, lengths, 0.0), -1)
    scale = (values.shape[-1] / lengths).reshape(-1, *(1,) * (mean.ndim - 1))
    if isinstance(values, np.ndarray):
        return mean * scale
    exact = np.float64 if mean.element_size() == 8 else np.float32
    return mean * namespace(values).asarray(scale.astype(exact), device=device_of_array(values))


def _time_max(values: Anywhere, lengths: Array | None) -> Anywhere:
    valid = values if lengths is None else _where_valid(values, lengths, -np.inf)
    return namespace(values).max(valid, axis=-1)


def _time_first(values: Anywhere, lengths: Array | None) -> Anywhere:
    del lengths
    return values[..., 0]


def _time_last(values: Anywhere, lengths: Array | None) -> Anywhere:
    if lengths is None:
        return values[..., -1]
    rows = [row[..., int(length) - 1] for row, length in zip(values, lengths, strict=True)]
    return namespace(values).stack(rows)


def _spatial_mean(output: LayerOutput) -> LayerOutput:
    axes = tuple(number + 1 for number, name in enumerate(output.axes) if name in _SPATIAL)
    if not axes:
        return output
    rest = tuple(name for name in output.axes if name not in _SPATIAL)
    return replace(output, array=_mean(output.array, axes), axes=rest)


def _grid_mean(output: LayerOutput, n_cells: int) -> LayerOutput:
    """Mean over each cell of a grid, n_cells × n_cells: adaptive average pooling, cell i from ⌊iL/n⌋ up to ⌈(i+1)L/n⌉.

    A side of a map that has no more places than the grid stays as it is.
    """
    if not set(_SPATIAL) <= set(output.axes):
        return output
    array = output.array
    for name in _SPATIAL:
        axis = output.axes.index(name) + 1
        length = array.shape[axis]
        if length > n_cells:
            values = namespace(array).moveaxis(array, axis, 0)
            cells = [
                _mean(values[place * length // n_cells : -(-(place + 1) * length // n_cells)], 0)
                for place in range(n_cells)
            ]
            array = namespace(array).moveaxis(namespace(array).stack(cells), 0, axis)
    return replace(output, array=array)


STEPS: dict[str, Callable[[LayerOutput], LayerOutput]] = {
    "time-mean": _over_time(_time_mean),
    "time-max": _over_time(_time_max),
    "time-first": _over_time(_time_first),
    "time-last": _over_time(_time_last),
    "spatial-mean": _spatial_mean,
    "flatten": lambda output: output,
}


def _projected(flat: Anywhere, projection: re.Match[str], layer: str) -> Anywhere:
    if projection["n"]:
        return project(flat, int(projection["n"]), layer)
    from isocortex.activations.sparse_projection import sparse_projection

    return sparse_projection(flat, int(projection["n_srp"]), int(projection["seed"] or 0))


def project(features: Anywhere, n_components: int, layer: str) -> Anywhere:
    r"""Sparse random projection: each feature is added to one of the components, with a random sign.

    y_k = Σ_{j: h(j) = k} s(j) x_j with h uniform and s = ±1, so that E⟨y, y'⟩ = ⟨x, x'⟩. h and s are drawn from Philox,
    keyed by layer and block of ``PROJECTION_BLOCK`` features, so that the outcome depends on neither batches nor their
    order. Memory: what is drawn, 9 bytes per feature.

    Parameters
    ----------
    features
        (n_stimuli, n_features), numpy or torch; returned as it is where n_features ≤ n_components.

    Returns
    -------
    (n_stimuli, n_components), where the features lie; float64 on numpy and of float64, else float32. Charikar, Chen &
    Farach-Colton 2002; Weinberger et al. 2009, ICML, section 3.

    Examples
    --------
    >>> project(np.ones((2, 10_000), dtype=np.float32), 16, "layer").shape
    (2, 16)
    """
    if features.shape[1] <= n_components:
        return features
    add = _add_numpy if isinstance(features, np.ndarray) else _add_torch
    projected: Anywhere = None
    for block, start in enumerate(range(0, features.shape[1], PROJECTION_BLOCK)):
        part = features[:, start : start + PROJECTION_BLOCK]
        projected = add(projected, part, *_drawn(layer, n_components, block, part.shape[1]))
    return projected


def _add_numpy(projected: Array | None, part: Array, component: Array, sign: Array, n_components: int) -> Array:
    found = np.zeros((len(part), n_components)) if projected is None else projected
    for row, values in zip(found, part, strict=True):
        row += np.bincount(component, weights=values * sign, minlength=n_components)
    return found


def _add_torch(projected: Any, part: Any, component: Array, sign: Array, n_components: int) -> Any:
    import torch

    signed = (part if part.element_size() == 8 else part.float()) * torch.as_tensor(sign, device=part.device)
    found = signed.new_zeros(len(part), n_components) if projected is None else projected
    return found.index_add_(1, torch.as_tensor(component, device=part.device), signed)


@lru_cache(maxsize=_REMEMBERED_BLOCKS)
def _drawn(layer: str, n_components: int, block: int, width: int) -> tuple[Array, Array, int]:
    """Component and sign (int8) of each feature of a block; and the number of components."""
    seed = hashlib.sha256(f"{layer}\0{n_components}".encode()).digest()[:16]
    stream = np.random.Generator(np.random.Philox(key=int.from_bytes(seed, "little"), counter=[0, 0, 0, block]))
    component = stream.integers(0, n_components, width)  # int64, as torch's index_add_ wants it
    return component, 2 * stream.integers(0, 2, width, dtype=np.int8) - 1, n_components
