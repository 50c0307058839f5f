"""Where arrays are worked on: numpy on the CPU, torch on an accelerator; one code over both through the array API."""

from __future__ import annotations

from typing import Any

import numpy as np

from isocortex.activations import namespace
from isocortex.devices import free_memory
from isocortex.errors import DataError, SettingsError
from isocortex.typing import Array

#: of a matrix of stimuli × stimuli; smaller ones are formed without looking at what is free
_ALWAYS_BYTES = 256 * 1024**2
#: such matrices that a metric holds while it works on one: itself, centred, decomposed or ranked
_AT_WORK = 5


def on_device(array: Any, device: str = "cpu") -> Any:
    """Put an array where it is worked on, as float64 where it holds floats.

    Parameters
    ----------
    array
        numpy array or torch tensor, any shape.
    device
        "cpu": numpy. "cuda", "cuda:1": a torch tensor there. "torch": a torch tensor on the CPU.

    Returns
    -------
    numpy array or torch tensor of the same shape; integers and booleans keep their type.

    Raises
    ------
    SettingsError
        The device has no double precision, or torch or the device is not there.

    Examples
    --------
    >>> on_device(np.array([1.0, 2.0], dtype=np.float32)).dtype.name
    'float64'
    """
    values = to_numpy(array) if device == "cpu" else array
    if device == "cpu":
        return values.astype(np.float64, copy=False) if np.issubdtype(values.dtype, np.floating) else values
    if device.partition(":")[0] == "mps":
        raise SettingsError("Metrics need double precision, which the device 'mps' does not have; use --device cpu.")
    try:
        import torch
    except ImportError as error:
        raise SettingsError(f"The device {device!r} needs torch: pip install 'isocortex-metrics[torch]'.") from error
    try:
        tensor = torch.as_tensor(array, device="cpu" if device == "torch" else device)
    except (AssertionError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"The device {device!r} cannot be used ({reason}). Use --device cpu.") from error
    return tensor.to(torch.float64) if tensor.is_floating_point() else tensor


def square_of_zeros(n_stimuli: int, device: str = "cpu") -> Any:
    """Zeros (n_stimuli, n_stimuli) float64 on a device, to form sums of products of stimuli in.

    Raises
    ------
    DataError
        Memory would not hold what is done with them: five such matrices.

    Examples
    --------
    >>> square_of_zeros(2).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    n_bytes = 8 * n_stimuli**2
    free = free_memory("cpu" if device == "torch" else device) if n_bytes > _ALWAYS_BYTES else None
    if free is not None and _AT_WORK * n_bytes > free:
        raise DataError(
            f"A matrix of {n_stimuli:,} × {n_stimuli:,} stimuli takes {n_bytes / 1e9:,.1f} GB and the work on it about "
            f"{_AT_WORK * n_bytes / 1e9:,.1f} GB, but {free / 1e9:,.1f} GB are free. Use fewer stimuli, or a metric "
            "that needs no such matrix: ridge on the CPU with at most half as many units as training stimuli "
            "(--reduction srp-1024), or pls with fewer units than stimuli."
        )
    return on_device(np.zeros((n_stimuli, n_stimuli)), device)


def to_numpy(array: Any) -> np.ndarray[Any, Any]:
    """Bring an array back to numpy, from wherever it is.

    Examples
    --------
    >>> to_numpy(on_device(np.arange(3))).tolist()
    [0, 1, 2]
    """
    return array.detach().cpu().numpy() if hasattr(array, "detach") else np.asarray(array)


def like(array: Array, other: Array) -> Array:
    """Put a numpy array where another array lies.

    Examples
    --------
    >>> like(np.ones(2), np.zeros(3)).tolist()
    [1.0, 1.0]
    """
    if isinstance(other, np.ndarray):
        return array
    return namespace(other).asarray(array, device=other.device)
