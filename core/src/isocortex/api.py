"""The Python calls behind ``isocortex.score``, ``isocortex.extract`` and ``isocortex.compare``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

from isocortex.errors import UsageError, shorten, suggest
from isocortex.files.disk import check_writable, home_expanded
from isocortex.interfaces import ModelPlugin
from isocortex.loading.own_data import OwnBenchmark, OwnSettings, dataset_of
from isocortex.loading.resolver import split_model_name
from isocortex.run.plan import RunConfig, plan

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from isocortex.activations.layer import Activations
    from isocortex.data.dataset import Dataset
    from isocortex.data.stimuli import StimulusSet
    from isocortex.files.file_store import FileStore
    from isocortex.progress import Reporter
    from isocortex.results.result import Result, Results

Models = str | ModelPlugin | Sequence[str | ModelPlugin]


def run(
    models: Models,
    benchmarks: str | Sequence[str] | OwnBenchmark,
    config: RunConfig,
    reporter: Reporter,
    *,
    executor: str | None = None,
    jobs: int = 1,
) -> tuple[list[Result], tuple[str, ...]]:
    """Plan and execute; returns the results and the pairs that were left out because of their modality.

    What another executor than ``local`` has done is found here, and what failed there is tried once more; of one that
    works on other machines, nothing is computed here.
    """
    from isocortex.catalogue.rows import Catalogue
    from isocortex.files.file_store import FileStore
    from isocortex.loading.resolver import Resolver
    from isocortex.run.executors import executor_of, run_on
    from isocortex.run.hook_caller import HookCaller
    from isocortex.run.remote import run_remotely
    from isocortex.run.runner import Runner
    from isocortex.run.tasks import tasks_of

    named, objects = _separate(models)
    catalogue = Catalogue.discover()
    files = FileStore(offline=config.offline, reporter=reporter)
    own = benchmarks if isinstance(benchmarks, OwnBenchmark) else None
    resolver = Resolver(catalogue, files, objects, own)
    asked = own.card.id if own is not None else benchmarks
    wanted = [asked] if isinstance(asked, str) else list(cast("Sequence[str]", asked))
    planned = plan(resolver, named, wanted, config)
    runner = Runner(resolver, config, reporter, HookCaller(catalogue.plugins, reporter.line))
    elsewhere = _executor_name(executor, jobs)
    if elsewhere is not None:
        if objects or own is not None:
            raise UsageError(
                f"{shorten(objects) or asked} is a Python object, which another process cannot be sent: score it "
                f"without {'executor' if executor else 'jobs'}, or install it as a plugin."
            )
        chosen = executor_of(resolver, elsewhere, jobs if jobs > 1 else None)
        chosen.say = reporter.line
        check_writable(config.folder)
        chosen.log = None if reporter.log is None else reporter.log.absolute()
        if chosen.remote:
            return run_remotely(chosen, runner, planned), planned.left_out
        run_on(chosen, tasks_of(planned, config))
    return runner.run(planned), planned.left_out


def _executor_name(executor: str | None, jobs: int) -> str | None:
    """The executor that is meant; None: this process.

    Raises
    ------
    UsageError
        Several jobs in this one process.
    """
    if executor == "local" and jobs > 1:
        raise UsageError(f"The executor 'local' is one process, but {jobs} jobs were asked for. Leave one of them out.")
    return (executor or ("processes" if jobs > 1 else None)) if executor != "local" else None


def _separate(models: Models) -> tuple[list[str], dict[str, ModelPlugin]]:
    """Names of all models in order, and those that were given as objects, by name; no two have one name.

    Raises
    ------
    UsageError
        Two models of one name, or something that is no model.
    """
    listed: list[str | ModelPlugin] = [models] if isinstance(models, (str, ModelPlugin)) else _listed(models)
    objects: dict[str, ModelPlugin] = {}
    for model in listed:
        if not isinstance(model, (str, ModelPlugin)):
            hint = " isocortex.wrap makes a model of it." if callable(model) else ""
            raise UsageError(f"A model is an ID or what isocortex.wrap made; found {type(model).__name__}.{hint}")
        if isinstance(model, ModelPlugin) and objects.setdefault(model.card.id, model) is not model:
            raise UsageError(
                f"Two models are called {model.card.id!r}, and one would take the other's place. Give each a name of "
                "its own, for example isocortex.wrap(…, name=…)."
            )
    twice = [name for name in listed if isinstance(name, str) and split_model_name(name)[0] in objects]
    if twice:
        raise UsageError(
            f"{twice[0]!r} is asked for by name, and a model of your own is called so as well. Give that another name, "
            "for example isocortex.wrap(…, name=…)."
        )
    names = [model if isinstance(model, str) else model.card.id for model in listed]
    return names, {name: _for_one_run(model) for name, model in objects.items()}


def _listed(models: object) -> list[Any]:
    if not isinstance(models, Iterable) or isinstance(models, bytes):
        hint = " isocortex.wrap makes a model of it." if callable(models) else ""
        raise UsageError(f"Models are IDs or what isocortex.wrap made; found {type(models).__name__}.{hint}")
    return list(cast("Iterable[Any]", models))


def _for_one_run(model: ModelPlugin) -> ModelPlugin:
    from isocortex.models.wrap import Wrapped

    return model.for_one_run() if isinstance(model, Wrapped) else model


def score(
    models: Models,
    benchmarks: str | Sequence[str] | Dataset | xr.DataArray,
    *,
    config: RunConfig | None = None,
    out: Path | str | None = None,
    quiet: bool = False,
    executor: str | None = None,
    jobs: int = 1,
    **own: Unpack[OwnSettings],
) -> Results:
    """Score models on benchmarks, as ``isocortex score`` does.

    Parameters
    ----------
    models
        IDs (``ID[@variant]``, globs) or models made by ``isocortex.wrap``.
    benchmarks
        IDs, globs, or ``folder:PATH:METRIC``; or data of your own: an ``isocortex.data.Dataset``, or a DataArray of
        responses with the dims ("stimulus" or "presentation", "neuroid") and ``stimulus_id``.
    config
        Layers, seed, device and so on.
    out
        Results folder; default ``results``.
    quiet
        Write no progress to stderr.
    executor
        Where it is done: "local", "processes", or the ID of an executor that is installed.
    jobs
        Processes of this machine, or what an executor may do at once.
    **own
        For data of your own: ``metric`` (an ID, default "ridge"), ``stimuli`` of an array (a set, an ID or
        ``folder:PATH``; without it the coordinate ``stimulus_file`` names a sound or picture for each row),
        ``settings`` of the metric, ``reduction``, ``ceiling_mode``. ``seed`` stands for that of the config. Results are
        called ``own:NAME.METRIC``, and found again by what the data hold, whatever they are called.

    Returns
    -------
    One result per cell, finished ones from the results folder; failed cells have ``status == "failed"``. It is a list
    that a notebook shows as a table; ``.frame()`` makes it a DataFrame.

    Raises
    ------
    UsageError
        An unknown ID, a model that does not fit a benchmark, or an object with an executor or several jobs.
    DataError, AlignmentError
        Data of your own that are transposed, have rows without names, or do not fit their stimuli.

    Examples
    --------
    >>> # isocortex.score("noise", "NH2015comp.ridge")[0].summary.value
    >>> # isocortex.score("pixels", responses, stimuli="folder:pictures", metric="rsa", seed=1)
    """
    from isocortex.files.file_store import FileStore
    from isocortex.progress import Reporter
    from isocortex.results.result import Results

    chosen = config or RunConfig()
    if out is not None:
        chosen = replace(chosen, out=home_expanded(Path(out)))
    if "seed" in own:
        chosen = replace(chosen, seed=own["seed"])
    with contextlib.closing(Reporter(quiet=quiet)) as reporter:
        asked = _benchmarks(benchmarks, own, FileStore(offline=chosen.offline, reporter=reporter))
        return Results(run(models, asked, chosen, reporter, executor=executor, jobs=jobs)[0])


def _benchmarks(asked: object, own: OwnSettings, files: FileStore) -> str | Sequence[str] | OwnBenchmark:
    """Names as they are, or the benchmark that data of the user are.

    Raises
    ------
    UsageError
        Settings for data beside names, which have theirs; or an argument that nobody knows.
    """
    known = OwnSettings.__annotations__
    unknown = [name for name in own if name not in known]
    if unknown:
        raise UsageError(
            f"score() has no {unknown[0]}=.{suggest(unknown[0], known)} For data there are {', '.join(known)}."
        )
    if isinstance(asked, str) or (isinstance(asked, Sequence) and all(isinstance(name, str) for name in asked)):
        beside = [name for name in own if name != "seed"]
        if beside:
            raise UsageError(f"{', '.join(beside)} belong to data of your own; a benchmark that has a name has them.")
        return cast("str | Sequence[str]", asked)
    stimuli = own.get("stimuli")
    if isinstance(stimuli, str):
        from isocortex.catalogue.rows import Catalogue
        from isocortex.loading.resolver import Resolver

        stimuli = Resolver(Catalogue.discover(), files).stimuli(stimuli)
    return OwnBenchmark.of(dataset_of(asked, stimuli), own)


def extract(
    model: str | ModelPlugin,
    stimuli: str | StimulusSet,
    *,
    reduction: str = "flatten",
    layers: Sequence[str] = (),
    config: RunConfig | None = None,
    quiet: bool = False,
) -> dict[str, Activations]:
    """Run a model on stimuli once, as ``isocortex extract`` does: layer → activations (n_stimuli, n_units).

    They lie in the cache and are memory-mapped; those of a model without digest are not kept and lie in memory.

    Parameters
    ----------
    model
        ``ID[@variant]``, ``activations:FOLDER``, or a model made by ``isocortex.wrap``.
    stimuli
        ID, ``folder:PATH``, or a set of stimuli.
    reduction
        "flatten", "time-mean", "spatial-mean", …
    layers
        Names or patterns; empty: the model's default layers.
    config
        Device, batch size, offline.
    quiet
        Write no progress to stderr.

    Raises
    ------
    UsageError
        An unknown ID, a variant or layer that the model does not have, or stimuli that it does not take.

    Examples
    --------
    >>> # isocortex.extract("noise/2", "simulated-sounds", reduction="time-mean")["layer.0"].shape
    """
    from isocortex.catalogue.rows import Catalogue
    from isocortex.devices import device_of
    from isocortex.extraction.cached import Extraction, check_modality
    from isocortex.files.file_store import FileStore
    from isocortex.loading.resolver import Resolver, variant_of
    from isocortex.progress import Reporter, Stopwatch

    chosen, reporter = config or RunConfig(), Reporter(quiet=quiet)
    named, objects = _separate(model)
    resolver = Resolver(Catalogue.discover(), FileStore(offline=chosen.offline, reporter=reporter), objects)
    name, variant = split_model_name(named[0])
    plugin = resolver.model(name)
    device = device_of(chosen.device, accelerated=plugin.accelerated)
    played = resolver.stimuli(stimuli) if isinstance(stimuli, str) else stimuli
    check_modality(name, plugin.card, played)
    wanted = Extraction(
        plugin, variant_of(plugin.card, variant), played, reduction, device, reporter, Stopwatch(), chosen.batch_size
    )
    with contextlib.closing(reporter):
        return wanted.in_memory(layers) if wanted.folder is None else wanted.kept_layers(layers, wanted.folder)


def compare(
    results: Path | str | Iterable[Result] = "results",
    *,
    benchmarks: str | Sequence[str] = (),
    models: str | Sequence[str] = (),
    regions: str | Sequence[str] = (),
    against: str | None = None,
    out: Path | str = "results",
) -> pd.DataFrame:
    """Compare models within each benchmark and region on the same bootstrap draws, as ``isocortex compare`` does.

    Every pair, or each model against one: difference of the values, its 95 % interval and two-sided p over draws that
    both models share (``scoring.stats.paired_p``), and q after Benjamini & Hochberg over all rows of the table.

    Parameters
    ----------
    results
        A results folder, or what ``isocortex.score`` returned.
    benchmarks, models, regions
        Which take part: IDs or globs; default all. A model is ``ID`` or ``ID@variant``, the region of a whole result
        "all". They decide what the family of tests is: choose them before you look.
    against
        Compare each model with this one only.
    out
        Where ``isocortex.score`` wrote its results; needed for those that it did not compute anew.

    Returns
    -------
    One row per pair, best model first, with ``difference``, ``interval_low``, ``interval_high``, ``p``, ``q``,
    ``n_draws`` and the context of both; and one for whatever could not be compared, with its ``reason`` and no ``p``.

    Raises
    ------
    UsageError
        A name that is not among the results, or nothing that can be compared.
    StoreError
        No such folder, or no results in it.

    Examples
    --------
    >>> # isocortex.compare("results", benchmarks="NH2015comp.ridge", against="spectrotemporal")[["model_a", "q"]]
    """
    from isocortex.results.paired import compare_results
    from isocortex.results.selection import Selection

    return compare_results(results, Selection.of(benchmarks, models, regions, against), out)
