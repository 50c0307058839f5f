"""Reducing a layer's output where it lies, batch by batch: (n_stimuli, …) → (n_stimuli, n_units) float32.

A reduction is named by steps joined with "+": ``time-mean``, ``time-max``, ``time-first``, ``time-last``,
``spatial-mean``, ``flatten``, ``projection-N`` (sparse random projection to N units; layers with at most N units are
left as they are). Every step but the projection works on each stimulus alone, so that batches do not matter; the
projection is drawn from a counter-based generator, so that they do not matter there either. What is left over is
flattened in the order of its axes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.errors import DataError, PluginError, SettingsError, suggest

if TYPE_CHECKING:
    from isocortex.interfaces import LayerOutput

Array = np.ndarray[Any, Any]

#: features whose random signs are drawn together; part of the definition of the projection
PROJECTION_BLOCK = 65_536
_SPATIAL = ("height", "width")


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
    (n_stimuli, n_units) float32.

    Raises
    ------
    SettingsError
        A step is unknown.
    PluginError
        The output's axes do not fit its array.

    Examples
    --------
    >>> from isocortex.interfaces import LayerOutput
    >>> output = LayerOutput(np.array([[[1.0, 3.0, 9.0]]]), ("channel", "time"), lengths=[2])
    >>> reduce_output(output, "time-mean", "layer").tolist()
    [[2.0]]
    """
    array = np.asarray(output.array)
    if array.ndim != len(output.axes) + 1:
        raise PluginError(f"Layer {layer!r} gave shape {array.shape} but names the axes {output.axes} after the first.")
    output = replace(output, array=array)
    projection: int | None = None
    for step in parse_reduction(reduction):
        if step.startswith("projection-"):
            projection = int(step.removeprefix("projection-"))
        else:
            output = STEPS[step](output)
    _refuse_padding(output, reduction, layer)
    flat = np.ascontiguousarray(output.array, dtype=np.float32).reshape(len(array), -1)  # (n_stimuli, n_units)
    return flat if projection is None else project(flat, projection, layer)


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
    steps = reduction.split("+")
    for step in steps:
        size = step.removeprefix("projection-")
        is_projection = size != step and size.isascii() and size.isdigit() and int(size) > 0
        if step not in STEPS and not is_projection:
            known = [*STEPS, "projection-N"]
            raise SettingsError(f"{step!r} is no reduction.{suggest(step, known)} Known: {', '.join(known)}.")
    return steps


def _over_time(reduce: Callable[[Array, Array], Array]) -> Callable[[LayerOutput], LayerOutput]:
    """Lift a function of (steps on the last axis, valid lengths) to outputs; without a time axis nothing changes."""

    def step(output: LayerOutput) -> LayerOutput:
        if "time" not in output.axes:
            return output
        axis = output.axes.index("time") + 1
        values = np.moveaxis(output.array, axis, -1)
        n_steps = values.shape[-1]
        lengths = np.full(len(values), n_steps) if output.lengths is None else np.asarray(output.lengths)
        if lengths.shape != (len(values),) or n_steps == 0 or (lengths < 1).any() or (lengths > n_steps).any():
            raise PluginError(
                f"Valid lengths must lie in 1 … {n_steps} steps, one for each of {len(values)} stimuli; "
                f"found {lengths.tolist()}."
            )
        rest = tuple(name for name in output.axes if name != "time")
        return replace(output, array=reduce(values, lengths), axes=rest, lengths=None, step_ms=None)

    return step


def _valid(values: Array, lengths: Array) -> Array:
    """Mask of valid steps that broadcasts against (n_stimuli, …, n_steps)."""
    mask = np.arange(values.shape[-1]) < lengths[:, None]
    return mask.reshape(len(values), *(1,) * (values.ndim - 2), values.shape[-1])


def _time_mean(values: Array, lengths: Array) -> Array:
    total = np.sum(values, axis=-1, dtype=np.float64, where=_valid(values, lengths))
    return total / lengths.reshape(-1, *(1,) * (total.ndim - 1))


def _time_max(values: Array, lengths: Array) -> Array:
    return np.max(values.astype(np.float64), axis=-1, where=_valid(values, lengths), initial=-np.inf)


def _time_first(values: Array, lengths: Array) -> Array:
    del lengths
    return values[..., 0]


def _time_last(values: Array, lengths: Array) -> Array:
    return np.stack([row[..., length - 1] for row, length in zip(values, lengths, strict=True)])


def _spatial_mean(output: LayerOutput) -> LayerOutput:
    axes = tuple(number + 1 for number, name in enumerate(output.axes) if name in _SPATIAL)
    if not axes:
        return output
    rest = tuple(name for name in output.axes if name not in _SPATIAL)
    return replace(output, array=np.mean(output.array, axis=axes, dtype=np.float64), axes=rest)


STEPS: dict[str, Callable[[LayerOutput], LayerOutput]] = {
    "time-mean": _over_time(_time_mean),
    "time-max": _over_time(_time_max),
    "time-first": _over_time(_time_first),
    "time-last": _over_time(_time_last),
    "spatial-mean": _spatial_mean,
    "flatten": lambda output: output,
}


def project(features: Array, n_components: int, layer: str) -> Array:
    r"""Sparse random projection, x W with W[j, k] = ±sqrt(s / n_components) at a share 1/s of its entries, else 0.

    s = sqrt(n_features). Entries are drawn from Philox, keyed by layer and block of ``PROJECTION_BLOCK`` features, so
    that the outcome depends on neither batches nor their order. Memory: the non-zero entries of one block.

    Parameters
    ----------
    features
        (n_stimuli, n_features) float32; returned as it is where n_features ≤ n_components.

    Returns
    -------
    (n_stimuli, n_components) float32. Li, Hastie & Church 2006, KDD, section 4.

    Examples
    --------
    >>> project(np.ones((2, 10_000), dtype=np.float32), 16, "layer").shape
    (2, 16)
    """
    n_stimuli, n_features = features.shape
    if n_features <= n_components:
        return features
    sparsity = np.sqrt(n_features)
    projected = np.zeros((n_stimuli, n_components))
    for block, start in enumerate(range(0, n_features, PROJECTION_BLOCK)):
        part = features[:, start : start + PROJECTION_BLOCK]
        rows, columns, signs = _entries(layer, n_components, block, part.shape[1], sparsity)
        order = np.argsort(columns, kind="stable")
        rows, columns, signs = rows[order], columns[order], signs[order]
        present, first = np.unique(columns, return_index=True)
        for row in range(n_stimuli):
            projected[row, present] += np.add.reduceat(part[row, rows].astype(np.float64) * signs, first)
    return (projected * np.sqrt(sparsity / n_components)).astype(np.float32)


def _entries(layer: str, n_components: int, block: int, width: int, sparsity: float) -> tuple[Array, Array, Array]:
    """Feature, component and sign of the non-zero entries of one block."""
    seed = hashlib.sha256(f"{layer}\0{n_components}".encode()).digest()[:16]
    stream = np.random.Generator(np.random.Philox(key=int.from_bytes(seed, "little"), counter=[0, 0, 0, block]))
    n_entries = int(stream.binomial(width * n_components, 1 / sparsity))
    rows = stream.integers(0, width, n_entries)
    columns = stream.integers(0, n_components, n_entries)
    return rows, columns, stream.integers(0, 2, n_entries) * 2.0 - 1.0
