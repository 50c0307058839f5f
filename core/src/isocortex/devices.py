"""Devices: which there are, what memory is free on them, and what a run takes of it."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import sys
import threading
from collections.abc import Generator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from isocortex.errors import UsageError

_SECONDS_BETWEEN_LOOKS = 0.002


_MESSAGES = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed", "unable to allocate")


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


#: what the files of a control group are called in version 2, and in the controller of memory of version 1
_FILES_V2 = ("memory.max", "memory.current", "")
_FILES_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")


def _free_of_control_group(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int | None:
    """What the control groups of this process, of a container or a cluster's job, leave to it; versions 1 and 2."""
    with contextlib.suppress(OSError, ValueError):
        free: list[int | None] = []
        for line in own.read_text().splitlines():
            number, controllers, name = line.strip().split(":", 2)
            if number == "0" and not controllers:
                free += _free_of_groups(root, name, _FILES_V2)
            elif "memory" in controllers.split(","):
                free += _free_of_groups(root / "memory", name, _FILES_V1)
        return min((found for found in free if found is not None), default=None)
    return None


def _free_of_groups(root: Path, name: str, files: tuple[str, str, str]) -> list[int | None]:
    """What a group and those above it leave; in a container only the root is there, and the name one of outside."""
    group = root / name.lstrip("/")
    return [_free_of_group(folder, *files) for folder in (group, *group.parents) if folder.is_relative_to(root)]


def _free_of_group(folder: Path, most_file: str, used_file: str, prefix: str) -> int | None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        most, used = int((folder / most_file).read_text()), int((folder / used_file).read_text())
        lines = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
        told = dict(lines)
        pages = told["file"] if not prefix else told[f"{prefix}cache"]
        return max(0, most - used + int(pages))  # pages of files are given back on demand
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


#: what the drivers of NVIDIA (also on Jetson and below Windows) and AMD put there on Linux
_DRIVERS = ("/dev/nvidiactl", "/dev/nvmap", "/dev/dxg", "/dev/kfd")


def device_of(device: str, *, accelerated: bool = False) -> str:
    """The device that is meant: "auto" is an accelerator for models that use one, where there is one, else the CPU.

    Parameters
    ----------
    device
        "auto", "cpu", "cuda", "cuda:1", "mps".
    accelerated
        Whether "auto" means an accelerator where there is one: for models that use one. Metrics stay on the CPU.

    Raises
    ------
    UsageError
        There is no such device; the message names those that there are.

    Examples
    --------
    >>> device_of("auto")
    'cpu'
    """
    if device == "cpu" or (device == "auto" and not (accelerated and _has_driver())):
        return "cpu"
    there = accelerators()
    if device == "auto":
        return there[0] if there else "cpu"
    if device not in there:
        known = " or ".join(["cpu", *there])
        why = "" if importlib.util.find_spec("torch") else "; accelerators need torch: pip install 'isocortex[torch]'"
        raise UsageError(f"There is no device {device!r} here. Use --device {known}, or auto{why}.")
    return device


@cache
def accelerators() -> tuple[str, ...]:
    """Accelerators of this machine as torch sees them, the best first."""
    if importlib.util.find_spec("torch") is None:
        return ()
    import torch

    n_cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = ["cuda", *(f"cuda:{number}" for number in range(n_cuda))] if n_cuda else []
    return (*found, "mps") if torch.backends.mps.is_available() else tuple(found)


def _has_driver() -> bool:
    """Whether asking torch can be worth its import, which takes longer than finding a cached result."""
    return sys.platform != "linux" or any(Path(path).exists() for path in _DRIVERS)
