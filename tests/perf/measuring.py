"""What the scripts of this folder share: fair timing, the speed of the machine, peak memory, a table of ratios.

On a busy machine wall time says little: look at the process's CPU time, compare cases that alternated in one process,
and relate them to the matrix product measured beside them. With several threads, waiting counts as CPU time, so look
at wall time then, on a quiet machine.

    from measuring import alternating, gemm_peak, peak_memory, print_ratios

    times = alternating({"ours": ours, "theirs": theirs}, repeats=5)
    print_ratios(times, reference="ours", floor=4e9 / gemm_peak("float64"))
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

Clock = Literal["cpu", "wall"]
#: variables that say how many threads BLAS and OpenMP use; they are read when a process starts
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass
class Times:
    """Repeated measurements of one case, in seconds, already multiplied by ``scale``.

    Attributes
    ----------
    scale
        By how much a case that was run on a share of the work is scaled up.
    """

    scale: float = 1.0
    cpu: list[float] = field(default_factory=list[float])
    wall: list[float] = field(default_factory=list[float])

    def median(self, clock: Clock = "cpu") -> float:
        """Median over the repeats, scaled."""
        return self.scale * statistics.median(self.cpu if clock == "cpu" else self.wall)

    def best(self, clock: Clock = "cpu") -> float:
        """Smallest of the repeats, scaled."""
        return self.scale * min(self.cpu if clock == "cpu" else self.wall)


def timed(function: Callable[[], Any]) -> tuple[float, float]:
    """Process-CPU and wall seconds of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    function()
    return time.process_time() - cpu, time.perf_counter() - wall


def alternating(
    cases: Mapping[str, Callable[[], Any]],
    *,
    repeats: int = 5,
    scale: Mapping[str, float] | None = None,
    warm_up: bool = True,
) -> dict[str, Times]:
    """Run the cases in turn, ``repeats`` times, so that whatever else the machine does meets all of them.

    Parameters
    ----------
    cases
        Name → call without arguments.
    scale
        Name → factor, for cases that do a share of the work.
    warm_up
        One run of every case before, not counted (imports, first-touch of memory).
    """
    found = {name: Times((scale or {}).get(name, 1.0)) for name in cases}
    for repeat in range(-1 if warm_up else 0, repeats):
        for name, function in cases.items():
            cpu, wall = timed(function)
            if repeat >= 0:
                found[name].cpu.append(cpu)
                found[name].wall.append(wall)
    return found


def gemm_peak(dtype: str = "float64", *, order: int = 1024, clock: Clock = "cpu", repeats: int = 7) -> float:
    """Floating-point operations per second of a square matrix product here and now: the best of some repeats."""
    generator = np.random.default_rng(0)
    left, right = (generator.standard_normal((order, order)).astype(dtype) for _ in range(2))
    product = np.empty((order, order), dtype=dtype)
    times = alternating({"product": lambda: np.matmul(left, right, out=product)}, repeats=repeats)["product"]
    return 2 * order**3 / times.best(clock)


def peak_memory(function: Callable[[], Any]) -> int:
    """Most bytes that numpy and Python held above what they held before, during one call (slower than without)."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        function()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def print_ratios(
    times: Mapping[str, Times],
    *,
    reference: str,
    clock: Clock = "cpu",
    floor: float | None = None,
    bounds: Mapping[str, float] | None = None,
    at_most: Mapping[str, float] | None = None,
) -> None:
    """Print one line per case: seconds, multiple of the reference, multiple of the floor, and how a bound is met.

    Parameters
    ----------
    floor
        Seconds that the arithmetic alone would take at the measured speed.
    bounds
        Name → multiple of the reference that the case should take at least (a rival), or for the reference itself the
        multiple of the floor that it may take at most.
    at_most
        Name → multiple of the reference that the case may take at most.
    """
    of_reference = times[reference].median(clock)
    print(f"{'case':44} {'CPU s':>10} {'wall s':>10} {'× ' + reference:>12} {'× floor':>9}  target")
    for name, case in times.items():
        seconds = case.median(clock)
        over_floor = f"{seconds / floor:9.1f}" if floor else f"{'':9}"
        line = f"{name:44} {case.median('cpu'):10.3f} {case.median('wall'):10.3f} {seconds / of_reference:12.2f} "
        verdict = ""
        if name == reference and floor and bounds and name in bounds:
            verdict = _verdict("≤", bounds[name], "floor", seconds / floor)
        elif name != reference and bounds and name in bounds:
            verdict = _verdict("≥", bounds[name], reference, seconds / of_reference)
        elif at_most and name in at_most:
            verdict = _verdict("≤", at_most[name], reference, seconds / of_reference)
        print(line + over_floor + verdict)
    if floor:
        print(f"{'floor (operations / measured speed)':44} {floor:10.3f} {'':10} {floor / of_reference:12.2f} {1:9.1f}")


def _verdict(sign: Literal["≤", "≥"], bound: float, of: str, found: float) -> str:
    met = found <= bound if sign == "≤" else found >= bound
    return f"  {sign} {bound:g} × {of}: {'met' if met else 'NOT MET'}"


def machine() -> str:
    """One line about what this ran on, for the head of a table."""
    import platform

    threads = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or "default"
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return (
        f"Python {platform.python_version()}, numpy {np.__version__}, {os.cpu_count()} cores, "
        f"BLAS threads {threads}, load {load:.1f}"
    )


def with_threads(script: Path | str, arguments: Sequence[str], n_threads: int) -> None:
    """Run a script in a process of its own with so many BLAS threads; the number cannot be changed afterwards."""
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(n_threads))}
    subprocess.run([sys.executable, str(script), *arguments], check=True, env=environment)
