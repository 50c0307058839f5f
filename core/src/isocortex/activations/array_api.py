"""One code over numpy arrays and torch tensors, through the functions of the array API standard."""

from __future__ import annotations

from typing import Any

import numpy as np

#: numpy 2.1 and newer speak the standard themselves; array_api_compat's numpy costs every process 0.3 s
_NUMPY_IS_ENOUGH = hasattr(np, "astype") and hasattr(np, "permute_dims")


def namespace(*arrays: Any) -> Any:
    """The functions that belong to arrays of one library.

    Examples
    --------
    >>> float(namespace(np.ones(3)).sum(np.ones(3)))
    3.0
    """
    if _NUMPY_IS_ENOUGH and all(isinstance(array, np.ndarray | np.generic) for array in arrays):
        return np
    from array_api_compat import array_namespace

    return array_namespace(*arrays)


def device_of_array(array: Any) -> Any:
    """Where an array lies, as the functions of its namespace want it.

    Examples
    --------
    >>> device_of_array(np.ones(3))
    'cpu'
    """
    return "cpu" if isinstance(array, np.ndarray) else array.device
