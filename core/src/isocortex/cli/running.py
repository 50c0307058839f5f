"""Commands that compute or download: score, extract, fetch. What they need is imported when they run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from isocortex.run.plan import RunConfig

_Function = Callable[..., Any]


def _options(*options: Callable[[_Function], _Function]) -> Callable[[_Function], _Function]:
    def add(function: _Function) -> _Function:
        for option in reversed(options):
            function = option(function)
        return function

    return add


_RUN_OPTIONS = _options(
    click.option("--layers", multiple=True, metavar="GLOB", help="Layers to take instead of the model's defaults."),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps."),
    click.option(
        "--batch-size", type=click.IntRange(1), help="Stimuli per batch; halved where memory does not suffice."
    ),
    click.option("--offline", is_flag=True, help="Never use the network."),
)


@click.command()
@click.option("-m", "--model", "models", multiple=True, required=True, metavar="MODEL", help="ID[@VARIANT] or glob.")
@click.option("-b", "--benchmark", "benchmarks", multiple=True, required=True, help="ID, glob or folder:PATH:METRIC.")
@_RUN_OPTIONS
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Draws splits and bootstrap samples."
)
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes on this machine.")
@click.option("--shard", metavar="i/n", help="Only the i-th of n shares of the cells.")
@click.option(
    "--keep", multiple=True, metavar="NAME", help="Raw arrays to keep in scores.nc: prediction, alpha, training_r2."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True)
@click.option("--dry-run", is_flag=True, help="Print cells, disk and memory needed; compute nothing.")
@click.option("--json", "as_json", is_flag=True, help="JSON to stdout.")
def score(models: tuple[str, ...], benchmarks: tuple[str, ...], **options: Any) -> None:
    """Score models on benchmarks; finished cells are not computed again."""
    from isocortex.cli.score import dry_run, score_here, score_in_jobs

    config = _run_config(options)
    as_json = bool(options["as_json"])
    if options["dry_run"]:
        dry_run(models, benchmarks, config, as_json=as_json)
    elif options["jobs"] > 1:
        sys.exit(score_in_jobs(models, benchmarks, config, n_jobs=options["jobs"], as_json=as_json))
    else:
        sys.exit(score_here(models, benchmarks, config, as_json=as_json))


def _run_config(options: dict[str, Any]) -> RunConfig:
    from isocortex.run.plan import RunConfig, parse_shard

    return RunConfig(
        layers=tuple(options["layers"]),
        device=options["device"],
        batch_size=options["batch_size"],
        seed=options["seed"],
        keep=tuple(options["keep"]),
        offline=options["offline"],
        out=options["out"],
        shard=parse_shard(options["shard"]) if options["shard"] else None,
    )


@click.command()
@click.option("-m", "--model", "models", multiple=True, required=True, metavar="MODEL", help="ID[@VARIANT] or glob.")
@click.option("--stimuli", required=True, metavar="ID|FOLDER", help="Stimulus set, or a folder of sounds or images.")
@click.option("--reduction", default="flatten", show_default=True, help="For example time-mean, spatial-mean.")
@click.option("--out", type=click.Path(path_type=Path), help="Copy the activations here; default: only into the cache.")
@_RUN_OPTIONS
def extract(models: tuple[str, ...], stimuli: str, reduction: str, out: Path | None, **options: Any) -> None:
    """Compute activations only; '-m activations:FOLDER' scores what --out wrote."""
    from isocortex.cli.score import extract_only
    from isocortex.run.plan import RunConfig

    config = RunConfig(
        layers=tuple(options["layers"]),
        device=options["device"],
        batch_size=options["batch_size"],
        offline=options["offline"],
    )
    extract_only(models, stimuli, reduction, out, config)


@click.command()
@click.option("-m", "--model", "models", multiple=True, metavar="MODEL", help="Weights: ID[@VARIANT] or glob.")
@click.option("-b", "--benchmark", "benchmarks", multiple=True, metavar="BENCHMARK", help="Data: ID or glob.")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    metavar="FOLDER|ARCHIVE",
    help="What holds the files at any depth; the network is not used.",
)
@click.option("--verify", is_flag=True, help="Only look at what is there; the network is not used.")
def fetch(models: tuple[str, ...], benchmarks: tuple[str, ...], source: Path | None, verify: bool) -> None:
    """Fetch data and weights, for work without network.

    What cannot be had is told at the end, with the reason; the rest is fetched.
    """
    from isocortex.run.fetch import fetch_all

    if not models and not benchmarks:
        raise click.UsageError("Name what to fetch with -m or -b.")
    fetch_all(models, benchmarks, source, verify_only=verify)
