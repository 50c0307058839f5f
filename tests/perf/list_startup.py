"""CPU time of ``isocortex list --json`` as a multiple of ``python -c pass``, alternating in one run.

    python tests/perf/list_startup.py [repeats]

The smallest of ten runs counts, because whatever else the computer does only adds to it. The bound is 20. The cost
grows with the number of installed distributions, which is printed too.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from importlib import metadata

BOUND = 20
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


def main() -> int:
    """Run both commands in turn; print the smallest times and their ratio; 1 where it is beyond the bound."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    for command in COMMANDS.values():  # byte code and file cache
        cpu_seconds(command)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(repeats):
        for name, command in COMMANDS.items():
            times[name].append(cpu_seconds(command))
    for name, values in times.items():
        print(f"{name:24} {1000 * min(values):7.1f} ms CPU (smallest of {repeats})")
    bare, listed = map(min, times.values())
    n_installed = len(list(metadata.distributions()))
    print(f"ratio {listed / bare:.1f} (bound {BOUND}), {n_installed} distributions installed")
    return int(listed > BOUND * bare)


if __name__ == "__main__":
    sys.exit(main())
