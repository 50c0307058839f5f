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

import contextlib
import gc
import sys
import threading
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

MOST_ON_CPU = 16
MOST_ON_ACCELERATOR = 32
#: of the free memory that a batch may take: activations and stimuli that are longer than the first need the rest
SHARE = 0.5
_SECONDS_BETWEEN_LOOKS = 0.002
_MESSAGES = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed", "unable to allocate")


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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice, here or on an accelerator.

    Examples
    --------
    >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"))
    True
    """
    text = str(error).lower()
    return isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__ or any(m in text for m in _MESSAGES)


def release_memory(device: str) -> None:
    """Give back what is no longer used, also on the accelerator."""
    gc.collect()
    torch = sys.modules.get("torch")
    kind = device.partition(":")[0]
    if torch is not None and kind != "cpu":
        getattr(torch, kind).empty_cache()


# --- what is free, and what a run takes -------------------------------------------------------------------------------


def free_memory(device: str) -> int | None:
    """Bytes that are free on a device; None where that is not known."""
    if device.startswith("cuda"):
        import torch

        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.startswith("mps"):
        import torch

        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    known = [free for free in (_free_of_machine(), _free_of_control_group()) if free is not None]
    return min(known, default=None)


def _free_of_machine(path: Path = Path("/proc/meminfo")) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in path.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _free_of_control_group(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int | None:
    """What the control groups (version 2) of this process, of a container or a cluster's job, leave to it."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        [name] = [line[3:] for line in own.read_text().splitlines() if line.startswith("0::")]
        group = root / name.strip().lstrip("/")
        free = [_free_of_group(folder) for folder in (group, *group.parents) if folder.is_relative_to(root)]
        return min((found for found in free if found is not None), default=None)
    return None


def _free_of_group(folder: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        most, used = int((folder / "memory.max").read_text()), int((folder / "memory.current").read_text())
        lines = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return max(0, most - used + int(dict(lines)["file"]))  # pages of files are given back on demand
    return None


@dataclass
class Taken:
    """What a run took at its peak above what there was before; None where it cannot be measured."""

    n_bytes: int | None = None


@contextlib.contextmanager
def memory_taken(device: str) -> Generator[Taken]:
    """Measure the memory that the body takes at its peak on a device."""
    taken = Taken()
    if device.startswith("cuda"):
        import torch

        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        yield taken
        taken.n_bytes = torch.cuda.max_memory_allocated(device) - before
    elif device.startswith("mps"):
        import torch

        before = torch.mps.driver_allocated_memory()  # of the pool, which keeps what it once had
        yield taken
        taken.n_bytes = torch.mps.driver_allocated_memory() - before
    else:
        with _resident_taken(taken):
            yield taken


@contextlib.contextmanager
def _resident_taken(taken: Taken) -> Generator[None]:
    """Look at the resident memory of this process every few ms: its own high-water mark may be of an earlier time."""
    before = _resident()
    if before is None:
        yield
        return
    peak, done = [before], threading.Event()

    def look() -> None:
        while not done.wait(_SECONDS_BETWEEN_LOOKS):
            peak.append(max(peak.pop(), _resident() or 0))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    taken.n_bytes = max(peak[0], _resident() or 0) - before


def _resident() -> int | None:
    import os

    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
