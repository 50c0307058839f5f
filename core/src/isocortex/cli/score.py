"""What ``isocortex score`` and ``isocortex extract`` do around the runner: processes, dry run, tables."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.api import run
from isocortex.catalogue.cards import Variant
from isocortex.catalogue.rows import Catalogue
from isocortex.errors import FilesError, IsocortexError, StoreError, UsageError
from isocortex.extraction import extractor as extraction
from isocortex.extraction.cached import Extraction, device_of
from isocortex.extraction.chunk_rows import HELD_BYTES
from isocortex.files import disk as store
from isocortex.files.file_store import FileStore
from isocortex.loading.resolver import Resolver
from isocortex.progress import Reporter
from isocortex.results.provenance import Stopwatch
from isocortex.run.plan import Cell, RunConfig, choose_models, plan

if TYPE_CHECKING:
    from isocortex.data.stimuli import StimulusSet
    from isocortex.results.result import Result
    from isocortex.run.runner import Outcome

EXIT_FAILED, EXIT_USAGE = 1, 2


def score_here(models: Sequence[str], benchmarks: Sequence[str], config: RunConfig, *, as_json: bool) -> int:
    """Score in this process; print the table; return the exit code."""
    reporter = Reporter()
    outcomes, left_out = run(list(models), list(benchmarks), config, reporter)
    reporter.line(tally(outcomes, left_out))
    results = [outcome.result for outcome in outcomes]
    _print(results, as_json=as_json)
    return exit_code(results)


def exit_code(results: Sequence[Result]) -> int:
    """0: all scored; 1: some failed; 2: none could be done as asked.

    Layers and settings are only known once a plugin is loaded, so that a wrong one shows up as a failed cell.
    """
    failures = [result.failure for result in results if result.failure is not None]
    if not failures:
        return 0
    usage = {kind.__name__ for kind in (UsageError, *UsageError.__subclasses__())}
    return EXIT_USAGE if len(failures) == len(results) and {item.kind for item in failures} <= usage else EXIT_FAILED


def tally(outcomes: Sequence[Outcome], left_out: Sequence[str]) -> str:
    """One line that says what was computed, cached, failed and left out."""
    failed = sum(outcome.result.status == "failed" for outcome in outcomes)
    computed = sum(outcome.computed for outcome in outcomes) - failed
    cached = len(outcomes) - computed - failed
    rest = f", {len(left_out)} pairs left out (another modality)" if left_out else ""
    return f"{len(outcomes)} cells: {computed} computed, {cached} cached, {failed} failed{rest}"


def _print(results: Sequence[Result], *, as_json: bool) -> None:
    from isocortex.results.tables import print_json, print_table

    (print_json if as_json else print_table)(results)


def score_in_jobs(
    models: Sequence[str], benchmarks: Sequence[str], config: RunConfig, *, n_jobs: int, as_json: bool
) -> int:
    """Score in several processes of this machine, one shard each, then print the whole table.

    Cells that failed in their process are tried once more in this one.
    """
    resolver = Resolver(Catalogue.discover(), FileStore(offline=config.offline))
    plan(resolver, list(models), list(benchmarks), config)  # refuse wrong names once, not in every process
    environment = {**os.environ, **_threads(n_jobs)}
    command = [sys.executable, "-m", "isocortex", "score", *_arguments(models, benchmarks, config)]
    running = [
        subprocess.Popen([*command, "--shard", f"{number}/{n_jobs}"], env=environment, stdout=subprocess.DEVNULL)  # noqa: S603
        for number in range(1, n_jobs + 1)
    ]
    codes = [process.wait() for process in running]
    if any(code not in (0, EXIT_FAILED, EXIT_USAGE) for code in codes):
        raise StoreError(f"A process ended with exit code {max(codes, key=abs)}; what it finished is kept. Run again.")
    return score_here(models, benchmarks, config, as_json=as_json)


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


# --- dry run ----------------------------------------------------------------------------------------------------------


def dry_run(models: Sequence[str], benchmarks: Sequence[str], config: RunConfig, *, as_json: bool) -> None:
    """Print the cells, and disk and memory that their extractions need, found by running one stimulus."""
    device_of(config.device)
    resolver = Resolver(Catalogue.discover(), FileStore(offline=True))
    planned = plan(resolver, list(models), list(benchmarks), config)
    needs = [_need(resolver, cell, config) for cell in {cell.extraction: cell for cell in planned.cells}.values()]
    if as_json:
        print(json.dumps({**planned.to_json(), "extractions": needs}, indent=1))
        return
    left_out = f"{len(planned.left_out)} pairs left out (another modality)"
    print(f"{len(planned.cells)} cells, {len(needs)} extractions, {left_out}")
    for cell in planned.cells:
        print(f"  {cell.name}  ({cell.metric} on {cell.dataset}, {cell.reduction}, seed {cell.seed})")
    for need in needs:
        known = need["disk_bytes"] is not None
        amount = (
            f"{need['disk_bytes'] / 1e6:.1f} MB disk, {need['memory_bytes'] / 1e6:.1f} MB memory per chunk"
            if known
            else ""
        )
        print(f"  {need['model']} on {need['stimuli']}: {amount or need['unknown_because']}")


def _need(resolver: Resolver, cell: Cell, config: RunConfig) -> dict[str, Any]:
    about: dict[str, Any] = {
        "model": f"{cell.model}@{cell.variant}",
        "stimuli": cell.stimuli,
        "disk_bytes": None,
        "memory_bytes": None,
    }
    from isocortex.run.fetch import first_line

    absent = _absent(resolver, cell)
    if absent:
        return {**about, "unknown_because": f"not known before {' and '.join(absent)}"}
    try:
        stimuli = resolver.stimuli(cell.stimuli)
        per_stimulus = _bytes_per_stimulus(resolver, cell, stimuli, config)
    except IsocortexError as error:
        return {**about, "unknown_because": f"not known ({first_line(error)})"}
    chunk = min(HELD_BYTES, per_stimulus * min(extraction.CHUNK_SIZE, len(stimuli)))
    return {**about, "disk_bytes": per_stimulus * len(stimuli), "memory_bytes": chunk}


def _absent(resolver: Resolver, cell: Cell) -> list[str]:
    """The data or weights of a cell that are not here, and what was found instead."""
    from isocortex.run.fetch import fetch_model, first_line

    needed: dict[str, Callable[[], object]] = {
        "the data are here": lambda: resolver.stimuli(cell.stimuli),
        "the weights are here": lambda: fetch_model(resolver, cell.model, Variant.parse(cell.variant)),
    }
    absent: list[str] = []
    for what, bring in needed.items():
        try:
            bring()
        except FilesError as error:
            absent.append(f"{what} ({first_line(error)})")
        except Exception:  # noqa: S112 - whatever else is wrong is said where it is used
            continue
    return absent


def _bytes_per_stimulus(resolver: Resolver, cell: Cell, stimuli: StimulusSet, config: RunConfig) -> int:
    from isocortex.activations.reductions import reduce_output
    from isocortex.scoring.layer_choice import choose_layers

    sizes: list[int] = []
    plugin = resolver.model(cell.model)
    with plugin.load(Variant.parse(cell.variant), device=device_of(config.device, plugin)) as model:
        layers = choose_layers(cell.layers, model.layers, model.find, cell.model)
        model.run(
            stimuli.batch([0]),
            layers,
            lambda layer, output: sizes.append(reduce_output(output, cell.reduction, layer).nbytes),
        )
    return sum(sizes)


# --- extraction by itself ---------------------------------------------------------------------------------------------


def extract_only(models: Sequence[str], stimuli: str, reduction: str, out: Path | None, config: RunConfig) -> None:
    """Fill the store of activations; with ``out``, copy each model's folder there."""
    reporter = Reporter()
    resolver = Resolver(Catalogue.discover(), FileStore(offline=config.offline, reporter=reporter))
    named = f"folder:{stimuli}" if Path(stimuli).is_dir() else stimuli
    stimulus_set = resolver.stimuli(named)
    for model_name, variant_text in choose_models(resolver, models):
        model, variant = resolver.model(model_name), Variant.parse(variant_text)
        wanted = Extraction(model, variant, stimulus_set, reduction, config, reporter, Stopwatch())
        folder = store.cache_folder() / "activations" / str(wanted.key)[:16]
        layers = wanted.kept_layers(config.layers, folder)
        if out is not None:
            target = out / store.folder_name(f"{model_name}@{variant}")
            shutil.copytree(folder, target, dirs_exist_ok=True)
            folder = target
        for layer in layers.values():
            print(f"{model_name}@{variant}\t{layer.layer}\t{layer.shape[0]} × {layer.shape[1]}\t{folder}")
