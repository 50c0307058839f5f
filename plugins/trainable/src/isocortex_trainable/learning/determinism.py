"""The same seed, the same bytes: algorithms of torch without chance, and chance that a seed and an epoch decide."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@contextlib.contextmanager
def deterministic() -> Generator[None]:
    """Inside, torch takes algorithms whose results repeat themselves, and refuses where it has none.

    Kernels are not chosen by timing, factors are not rounded (TF32). Bytes repeat on the same machine with the same
    number of threads; another device or number of threads adds in another order, which is seen in the last digits.
    """
    import torch

    cudnn = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, torch refuses products on CUDA
    torch.use_deterministic_algorithms(True)
    try:
        with cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


@contextlib.contextmanager
def seeded(*numbers: int, device: str = "cpu") -> Generator[None]:
    """Inside, torch draws what the numbers decide, on the CPU and on the device; other generators are left alone.

    Parameters
    ----------
    numbers
        Seed, epoch and whatever else tells one draw from another; none negative.
    device
        On which is drawn.

    Examples
    --------
    >>> import torch
    >>> with seeded(0, 3):
    ...     first = torch.rand(2)
    >>> with seeded(0, 3):
    ...     torch.equal(first, torch.rand(2))
    True
    """
    import torch

    place = torch.device(device)
    devices = [place.index or 0] if place.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]))
        yield


def seeded_order(n_items: int, *numbers: int) -> NDArray[np.int64]:
    """The order of items that a seed, an epoch and whatever else decide, ``(n_items,)`` int64.

    Examples
    --------
    >>> [list(seeded_order(9, 0, 1)) == list(seeded_order(9, *numbers)) for numbers in ((0, 1), (0, 2), (1, 1))]
    [True, False, False]
    """
    return np.random.default_rng(numbers).permutation(n_items)
