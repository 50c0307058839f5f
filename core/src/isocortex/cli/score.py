"""``isocortex score`` and ``isocortex extract``: what is asked of a run, and what is printed of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.api import run
from isocortex.catalogue.cards import Variant
from isocortex.catalogue.rows import Catalogue
from isocortex.devices import device_of
from isocortex.errors import EXIT_FAILED, EXIT_USAGE, ModalityError, UsageError, printable, said_of_a_plugin, shorten
from isocortex.extraction.cached import Extraction, check_modality, copy_layers
from isocortex.files import disk as store
from isocortex.files.disk import home_expanded
from isocortex.files.file_store import FileStore
from isocortex.files.interruption import guard_once
from isocortex.files.leftovers import sweep
from isocortex.loading.resolver import Resolver
from isocortex.progress import Reporter, Stopwatch, lasting
from isocortex.results.tables import print_json, print_table, tally
from isocortex.run.choosing import choose_models
from isocortex.run.dry_run import extraction_need
from isocortex.run.plan import RunConfig, plan
from isocortex.run.speed import ScoringSpeed, scoring_speed, seconds_of_run
from isocortex.run.tasks import extractions_of, read_tasks, run_tasks, tasks_of

if TYPE_CHECKING:
    from isocortex.results.result import Result
    from isocortex.run.plan import Cell


def score_here(
    models: Sequence[str],
    benchmarks: Sequence[str],
    config: RunConfig,
    *,
    as_json: bool,
    executor: str | None = None,
    jobs: int = 1,
    log: Path | None = None,
) -> int:
    """Score, in this process or where an executor does it; print the whole table; return the exit code."""
    guard_once()
    reporter = Reporter(log=log)
    results, left_out = run(list(models), list(benchmarks), config, reporter, executor=executor, jobs=jobs)
    reporter.line(tally(results, left_out))
    (print_json if as_json else print_table)(results)
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


def run_file(path: Path, log: Path | None = None) -> int:
    """Do the tasks of a file; return the exit code of their scores."""
    guard_once()
    return exit_code(run_tasks(read_tasks(path), Reporter(log=log)))


# --- dry run ----------------------------------------------------------------------------------------------------------


def dry_run(models: Sequence[str], benchmarks: Sequence[str], config: RunConfig, *, as_json: bool) -> None:
    """Print the cells, and disk, memory and time that they need, found by running a few stimuli."""
    device_of(config.device)
    resolver = Resolver(Catalogue.discover(), FileStore(offline=True, because="a dry run downloads nothing"))
    planned = plan(resolver, list(models), list(benchmarks), config)
    one_each = {cell.extraction: cell for cell in planned.cells}
    by_key = {key: extraction_need(resolver, cell, config) for key, cell in one_each.items()}
    needs = list(by_key.values())
    speeds = _speeds(resolver, planned.cells, by_key, config)
    seconds = seconds_of_run(planned.cells, by_key, speeds)
    if as_json:
        tasks = [task.to_json() for task in (*extractions_of(planned, config), *tasks_of(planned, config))]
        print(json.dumps({**planned.to_json(), "extractions": needs, "tasks": tasks, "seconds": seconds}, indent=1))
        return
    left_out = f"{len(planned.left_out)} pairs left out (another modality)"
    print(f"{len(planned.cells)} cells, {len(needs)} extractions, {left_out}")
    for cell in planned.cells:
        text = f"  {cell.name}  ({cell.metric} on {cell.dataset}, {cell.reduction}, seed {cell.seed})"
        print(printable(text))
    for need in needs:
        known = need["disk_bytes"] is not None
        amount = (
            f"{need['disk_bytes'] / 1e6:.1f} MB disk, {need['memory_bytes'] / 1e6:.1f} MB memory per chunk, "
            f"{need['model_bytes'] / 1e6:.1f} MB model, about {lasting(need['seconds'])}"
            if known
            else ""
        )
        print(printable(f"  {need['model']} on {need['stimuli']}: {amount or need['unknown_because']}"))
    for name, speed in speeds.items():
        if isinstance(speed, str):
            print(printable(f"  {name}: the time of its scores is not known ({speed})"))
    if seconds is not None:
        print(f"about {lasting(seconds)} in all by what a few stimuli take here; what is finished takes none of it")


def _speeds(
    resolver: Resolver, cells: Sequence[Cell], needs: Mapping[str, Mapping[str, Any]], config: RunConfig
) -> dict[str, ScoringSpeed | str]:
    """How long each benchmark takes, as far as the layers of its models are known."""
    found: dict[str, ScoringSpeed | str] = {}
    for name in dict.fromkeys(cell.benchmark for cell in cells):
        own = [cell for cell in cells if cell.benchmark == name]
        units = [n for cell in own for n in needs[cell.extraction].get("units", ())]
        spaces = [needs[cell.extraction].get("spaces", 1) for cell in own]
        found[name] = scoring_speed(resolver, own[0], config, units, spaces) if units else "no model of it could be run"
    return found


# --- extraction by itself ---------------------------------------------------------------------------------------------


def extract_only(models: Sequence[str], stimuli: str, reduction: str, out: Path | None, config: RunConfig) -> None:
    """Fill the store of activations; with ``out``, copy each model's layers there.

    Raises
    ------
    UsageError
        A model without a digest, whose activations are kept nowhere, and no ``out``; stimuli that a model does not
        take, unless a glob named it: then it is left out.
    StoreError
        ``out`` cannot be written to.
    """
    guard_once()
    reporter = Reporter()
    resolver = Resolver(Catalogue.discover(), FileStore(offline=config.offline, reporter=reporter))
    folder = home_expanded(Path(stimuli))
    stimulus_set = resolver.stimuli(f"folder:{folder}" if folder.is_dir() else stimuli)
    wanted: dict[str, Extraction] = {}
    left_out: list[str] = []
    for (name, variant), globbed in choose_models(resolver, models).items():
        model = resolver.model(name)
        try:
            check_modality(name, model.card, stimulus_set)
        except ModalityError:
            if not globbed:
                raise
            left_out.append(name)
            continue
        device = device_of(config.device, accelerated=model.accelerated)
        made = Extraction(
            model,
            Variant.parse(variant),
            stimulus_set,
            reduction,
            device,
            reporter,
            Stopwatch(),
            batch_size=config.batch_size,
        )
        if made.folder is None and out is None:
            raise UsageError(f"{name} has no digest, so that its activations are kept nowhere. Give --out FOLDER.")
        wanted[f"{name}@{made.variant}"] = made
    if not wanted:
        raise UsageError(f"Nothing to extract: every model was left out because of its modality ({shorten(left_out)}).")
    if left_out:
        reporter.line(f"{len(left_out)} models left out (another modality)")
    if out is not None:
        store.check_writable(out)
        sweep(out)
    for name, one in wanted.items():
        with said_of_a_plugin(f"{name} on {stimulus_set.id} cannot be extracted"):
            _extract_one(name, one, out, config)


def _extract_one(name: str, one: Extraction, out: Path | None, config: RunConfig) -> None:
    with one.in_folder(config.layers) as (folder, layers):
        target = folder if out is None else out / store.folder_name(name)
        if target != folder:
            copy_layers(folder, list(layers), target)
        for layer in layers.values():
            print(printable(f"{name}\t{layer.layer}\t{layer.shape[0]} × {layer.shape[1]}\t{target}"))
