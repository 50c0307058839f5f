"""How many stimuli a model gets at once: as many as are fast, fewer where memory does not suffice.

On a CPU at most 16 (more was not faster for resnet18 and alexnet), on an accelerator a whole chunk of 32. One stimulus
is tried first; the number is then halved until that many would take half of the memory that is free. It is never chosen
by time, so that a machine chooses alike in every run. What runs out of memory all the same is tried again with the next
lower power of two, and never again with as many.

The number changes last bits. Measured on one CPU, sizes 1 to 16 against 16: 4 and more gave equal bytes for powers of
two, others differ by up to 2.2e-6 of the largest value of a layer, and each is up to 3.4e-6 away from what double
precision gives. A stored extraction therefore goes on with the number that it began with; the number is no part of its
key, as no result can depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from isocortex.devices import free_memory

MOST_ON_CPU = 16
MOST_ON_ACCELERATOR = 32
#: of the free memory that a batch may take: activations and stimuli that are longer than the first need the rest
SHARE = 0.5


@dataclass
class BatchSize:
    """Stimuli per batch.

    Parameters
    ----------
    device
        Where the model runs.
    now
        The present number.

    Examples
    --------
    >>> size = BatchSize.first("cpu")
    >>> size.failed(16)
    >>> size.now
    8
    """

    device: str
    now: int

    @classmethod
    def first(cls, device: object, asked: int | None = None) -> BatchSize:
        """The number to begin with: the one that was asked for, or what is fast on the device."""
        name = str(device).partition(":")[0]
        return cls(str(device), asked or (MOST_ON_CPU if name == "cpu" else MOST_ON_ACCELERATOR))

    def fit(self, n_bytes: int | None) -> None:
        """Halve the number until so many stimuli, of ``n_bytes`` each, take no more than a share of what is free."""
        free = free_memory(self.device)
        if not n_bytes or free is None:
            return
        while self.now > 1 and self.now * n_bytes > SHARE * free:
            self.failed(self.now)

    def failed(self, n_stimuli: int) -> None:
        """Remember that so many stimuli are too many: the next lower power of two is the most from now on."""
        self.now = min(self.now, 1 << max(n_stimuli - 1, 1).bit_length() - 1)


# --- what is free, and what a run takes -------------------------------------------------------------------------------
