"""Random numbers that depend on a seed and a name alone: the same in every process and every release of numpy."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Stream:
    """Independent random numbers under a seed and a name.

    The SHA-256 digest of both keys a counter-based generator (Philox), whose bits are the same in every release of
    numpy; uniform numbers are ``(bits >> 11) / 2^53``, normal ones come from a pair of them (Box & Muller).

    Parameters
    ----------
    seed
        Seed of everything that is drawn together.
    name
        What the numbers are for; another name gives other numbers.

    References
    ----------
    Salmon, Moraes, Dror & Shaw (2011), Parallel random numbers: as easy as 1, 2, 3 (SC11).

    Examples
    --------
    >>> Stream(0, "sounds").uniform(3).round(3)
    array([0.932, 0.008, 0.433])
    """

    def __init__(self, seed: int, name: str) -> None:
        key = hashlib.sha256(f"{seed}\x1f{name}".encode()).digest()[:16]
        self._bits = np.random.Philox(key=int.from_bytes(key, "little"))

    def uniform(self, n: int, low: float = 0.0, high: float = 1.0) -> Floats:
        """Draw ``n`` numbers between `low` and `high`."""
        bits = np.asarray(self._bits.random_raw(n), dtype=np.uint64)
        return low + (high - low) * (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def between(self, low: float, high: float) -> float:
        """Draw one number between `low` and `high`."""
        return float(self.uniform(1, low, high)[0])

    def log_between(self, low: float, high: float) -> float:
        """Draw one number between `low` and `high` whose logarithm is uniform."""
        return float(np.exp(self.between(np.log(low), np.log(high))))

    def integer(self, low: int, high: int) -> int:
        """Draw one whole number from `low` to `high`, both included."""
        return low + int(self.between(0.0, high - low + 1.0))

    def normal(self, *shape: int) -> Floats:
        """Draw standard normal numbers of a shape.

        Examples
        --------
        >>> sample = Stream(0, "noise").normal(200, 100)
        >>> sample.shape, round(float(sample.std()), 2)
        ((200, 100), 1.0)
        """
        n = int(np.prod(shape))
        radius = np.sqrt(-2.0 * np.log1p(-self.uniform(n)))
        return (radius * np.cos(self.uniform(n, 0.0, 2 * np.pi))).reshape(shape)
