from __future__ import annotations

import mmap
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from isocortex import devices
from isocortex.devices import free_memory, is_out_of_memory, memory_taken
from isocortex.extraction import batch_size as batching
from isocortex.extraction.batch_size import BatchSize


def test_the_first_number_is_what_is_fast_or_was_asked_for() -> None:
    assert [BatchSize.first(device).now for device in ("cpu", "cuda", "cuda:1", "mps")] == [16, 32, 32, 32]
    assert BatchSize.first("cuda", 5).now == 5


def test_the_next_lower_power_of_two() -> None:
    def after(n_failed: int) -> int:
        size = BatchSize("cpu", 1000)
        size.failed(n_failed)
        return size.now

    assert [after(n) for n in (2, 3, 4, 5, 7, 8, 9, 16, 17, 33)] == [1, 2, 2, 4, 4, 4, 8, 8, 16, 32]
    size = BatchSize("cpu", 4)
    size.failed(32)
    assert size.now == 4, "never more than before"


@pytest.mark.parametrize(
    ("per_stimulus", "expected"), [(None, 16), (0, 16), (1, 16), (50, 8), (51, 4), (150, 2), (900, 1)]
)
def test_half_of_the_free_memory(monkeypatch: pytest.MonkeyPatch, per_stimulus: int | None, expected: int) -> None:
    monkeypatch.setattr(batching, "free_memory", lambda _: 800)
    size = BatchSize.first("cpu")
    size.fit(per_stimulus)
    assert size.now == expected
    monkeypatch.setattr(batching, "free_memory", lambda _: None)
    size = BatchSize.first("cpu")
    size.fit(per_stimulus)
    assert size.now == 16, "nothing is known"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (np._core._exceptions._ArrayMemoryError((9,), np.dtype(float)), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (RuntimeError("Expected all tensors to be on the same device"), False),
    ],
)
def test_messages_about_memory(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) == expected


def test_the_error_of_torchs_own_allocator() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.int8)
    assert is_out_of_memory(caught.value)


def occupied(n_bytes: int, seconds: float) -> None:
    """Pages of the system itself, since an allocator may keep what it is given back."""
    with mmap.mmap(-1, n_bytes) as pages:
        for start in range(0, n_bytes, mmap.PAGESIZE):
            pages[start] = 1
        time.sleep(seconds)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_this_process_is_measured() -> None:
    """A hundred megabytes that were there and are gone, whatever the peak of an earlier time was."""
    occupied(320_000_000, seconds=0)
    with memory_taken("cpu") as taken:
        for _ in range(3):
            occupied(100_000_000, seconds=0.1)
    assert taken.n_bytes is not None
    assert 80e6 < taken.n_bytes < 160e6
    free = free_memory("cpu")
    assert free is not None
    assert 0 < free < 1e14


def group(folder: Path, most: str, used: int, files: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{most}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 7\nfile {files}\nkernel 3\n")


def test_a_cluster_job_or_container_has_less_than_the_machine(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    own.write_text("0::/job/step\n")
    root = tmp_path / "fs"
    group(root / "job" / "step", "max", 100, 10)
    group(root / "job", "1000", 700, 200)
    root.joinpath("memory.stat").write_text("file 3\n")
    assert devices._free_of_control_group(root, own) == 500
    group(root / "job" / "step", "300", 100, 10)
    assert devices._free_of_control_group(root, own) == 210
    own.write_text("1:name=systemd:/\n")
    assert devices._free_of_control_group(root, own) is None
    own.unlink()
    assert devices._free_of_control_group(root, own) is None


def test_a_cluster_with_control_groups_of_version_1_has_less_too(tmp_path: Path) -> None:
    own, root = tmp_path / "cgroup", tmp_path / "fs"
    own.write_text("9:name=systemd:/\n4:cpu,memory:/slurm/uid_0/job_1\n0::/\n")
    for name, most, used in (("slurm/uid_0/job_1", 1000, 700), ("slurm", 1 << 63, 900), (".", 1 << 63, 90_000)):
        folder = root / "memory" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.limit_in_bytes").write_text(f"{most}\n")
        (folder / "memory.usage_in_bytes").write_text(f"{used}\n")
        (folder / "memory.stat").write_text("cache 1\nrss 9\ntotal_cache 200\ntotal_rss 7\n")
    assert devices._free_of_control_group(root, own) == 500
    (root / "memory" / "slurm" / "memory.limit_in_bytes").write_text("1100\n")
    assert devices._free_of_control_group(root, own) == 400
    own.write_text("4:memory:/a/name/outside/of/this/container\n")
    assert devices._free_of_control_group(root, own) == (1 << 63) - 90_000 + 200


def test_memory_of_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "meminfo"
    path.write_text("MemTotal:  9 kB\nMemFree:  2 kB\nMemAvailable:  5 kB\n")
    assert devices._free_of_machine(path) == 5 * 1024
    assert devices._free_of_machine(tmp_path / "nothing") is None


def test_memory_of_accelerators_as_torch_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one here: that the calls exist is checked by name, what is made of them by numbers."""
    torch = pytest.importorskip("torch")
    for name in (
        "mem_get_info",
        "memory_reserved",
        "memory_allocated",
        "max_memory_allocated",
        "reset_peak_memory_stats",
    ):
        assert callable(getattr(torch.cuda, name))
    for name in ("recommended_max_memory", "driver_allocated_memory", "empty_cache"):
        assert callable(getattr(torch.mps, name))
    state = {"peak": 0}
    cuda: Any = SimpleNamespace(
        mem_get_info=lambda _: (1000, 5000), memory_reserved=lambda _: 300, memory_allocated=lambda _: 100,
        max_memory_allocated=lambda _: state["peak"], reset_peak_memory_stats=lambda _: state.update(peak=100),
    )  # fmt: skip
    mps: Any = SimpleNamespace(recommended_max_memory=lambda: 800, driver_allocated_memory=lambda: state["peak"])
    monkeypatch.setattr(torch, "cuda", cuda)
    monkeypatch.setattr(torch, "mps", mps)
    assert free_memory("cuda:1") == 1200
    with memory_taken("cuda") as taken:
        state["peak"] = 450
    assert taken.n_bytes == 350
    assert free_memory("mps") == 350
    with memory_taken("mps") as taken:
        state["peak"] = 500
    assert taken.n_bytes == 50


def test_the_size_needs_no_torch() -> None:
    code = "import sys; from isocortex.devices import *; free_memory('cpu'); release_memory('cpu')"
    code += "; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
