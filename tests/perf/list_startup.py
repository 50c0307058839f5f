"""CPU time of ``isocortex list --json`` as a multiple of ``python -c pass``, alternating in one run.

    python tests/perf/list_startup.py [repeats]

The bound is 12; the aim is 8. The cost grows with the number of installed distributions, which is printed too.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from importlib import metadata

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "isocortex list --json": [sys.executable, "-m", "isocortex", "list", "--json"],
}


def cpu_seconds(command: list[str]) -> float:
    """User and system time of one run of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Run both commands in turn and print medians and their ratio."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    for command in COMMANDS.values():  # byte code and file cache
        cpu_seconds(command)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(repeats):
        for name, command in COMMANDS.items():
            times[name].append(cpu_seconds(command))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, value in medians.items():
        print(f"{name:24} {1000 * value:7.1f} ms CPU (median of {repeats})")
    bare, listed = medians.values()
    print(f"ratio {listed / bare:.1f} (bound 12, aim 8), {len(list(metadata.distributions()))} distributions installed")


if __name__ == "__main__":
    main()
