"""Where cells run: several processes of this machine, one shard each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from isocortex.catalogue.rows import Catalogue
from isocortex.errors import EXIT_FAILED, EXIT_USAGE, StoreError
from isocortex.files.file_store import FileStore
from isocortex.loading.resolver import Resolver
from isocortex.run.plan import RunConfig, plan


def run_processes(models: Sequence[str], benchmarks: Sequence[str], config: RunConfig, n_jobs: int) -> None:
    """Score in several processes of this machine, one shard each; their results lie in the results folder then.

    Raises
    ------
    UsageError
        A wrong name; no process is started.
    StoreError
        A process died; what it finished is kept.
    """
    resolver = Resolver(Catalogue.discover(), FileStore(offline=config.offline))
    plan(resolver, list(models), list(benchmarks), config)  # refuse wrong names once, not in every process
    environment = {**os.environ, **_threads(n_jobs)}
    command = [sys.executable, "-m", "isocortex", "score", *_arguments(models, benchmarks, config)]
    running = [
        subprocess.Popen([*command, "--shard", shard], env=environment, stdout=subprocess.DEVNULL)  # noqa: S603
        for shard in shards(config.shard or (1, 1), n_jobs)
    ]
    codes = [process.wait() for process in running]
    if any(code not in (0, EXIT_FAILED, EXIT_USAGE) for code in codes):
        raise StoreError(f"A process ended with exit code {max(codes, key=abs)}; what it finished is kept. Run again.")


def shards(shard: tuple[int, int], n_jobs: int) -> list[str]:
    """A share of the cells cut into one share for each process, as ``--shard`` takes them.

    Cells of the i-th of n shares have the remainder i − 1 modulo n; those of its parts have different remainders modulo
    n × n_jobs.

    Examples
    --------
    >>> shards((1, 1), 2), shards((2, 3), 2)
    (['1/2', '2/2'], ['2/6', '5/6'])
    """
    number, count = shard
    return [f"{number + count * job}/{count * n_jobs}" for job in range(n_jobs)]


def _threads(n_jobs: int) -> dict[str, str]:
    """Share the cores among the processes, unless the user has decided."""
    share = str(max(1, (os.cpu_count() or 1) // n_jobs))
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {name: os.environ.get(name, share) for name in names}


def _arguments(models: Sequence[str], benchmarks: Sequence[str], config: RunConfig) -> list[str]:
    pairs = [("-m", item) for item in models] + [("-b", item) for item in benchmarks]
    pairs += [("--layers", item) for item in config.layers] + [("--keep", item) for item in config.keep]
    pairs += [("--device", config.device), ("--seed", str(config.seed)), ("--out", str(config.out))]
    if config.batch_size:
        pairs.append(("--batch-size", str(config.batch_size)))
    flags = ["--offline"] if config.offline else []
    return [text for pair in pairs for text in pair] + flags
