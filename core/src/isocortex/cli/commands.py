"""The command line. Each command imports what it needs when it runs, so that listing stays light."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isocortex.cli.ending import exit_code_of
from isocortex.cli.list import list_
from isocortex.errors import EXIT_FAILED, FilesError, printable

if TYPE_CHECKING:
    from isocortex.run.plan import RunConfig
    from isocortex.testing import CheckOutcome


class FolderOrFile(click.Path):
    """A path; ``~`` is the home folder also where no shell has seen to it, as in ``--out=~/results``."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Expand ``~``."""
        from isocortex.files.disk import home_expanded

        return home_expanded(Path(os.fsdecode(super().convert(value, param, ctx))))


#: commands of core that are imported when they are asked for
_IN_THEIR_MODULES = {
    "cache": "isocortex.cli.cache",
    "compare": "isocortex.cli.results",
    "new": "isocortex.cli.new",
    "predict": "isocortex.cli.predict",
    "rerun": "isocortex.cli.rerun",
    "show": "isocortex.cli.results",
}


class Group(click.Group):
    """Commands of core, and those that plugins add in their manifests."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run the command line and exit; errors are one message, without a traceback."""
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **extra)
        sys.exit(exit_code_of(lambda: super(Group, self).main(*args, standalone_mode=False, **extra)))

    def invoke(self, ctx: click.Context) -> Any:
        """Run what was asked for; click would print a line of its own, and take any end of a file for Ctrl-C."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise click.exceptions.Abort from interrupt
        except EOFError as error:
            raise FilesError(f"A file ended where more was expected ({error or 'nothing more is known'}).") from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands; those of plugins come from manifests, without importing them."""
        from isocortex.cli.added import added_words

        own = sorted([*super().list_commands(ctx), *_IN_THEIR_MODULES])
        return [*own, *(word for word in added_words() if word not in own)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command of core, or one of a plugin that is imported when it runs."""
        own = super().get_command(ctx, cmd_name)
        if cmd_name in _IN_THEIR_MODULES:
            return getattr(import_module(_IN_THEIR_MODULES[cmd_name]), cmd_name)
        if own is not None:
            return own
        from isocortex.cli.added import added_command

        return added_command(cmd_name)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="isocortex", prog_name="isocortex")
def cli() -> None:
    """Score how well artificial neural networks predict the sensory cortex."""


def main() -> None:
    """Run the command line."""
    cli.main()


cli.add_command(list_)


# --- what is installed ------------------------------------------------------------------------------------------------


@cli.command()
@click.argument("identity", metavar="ID|PACKAGE|FOLDER")
@click.option("--published", is_flag=True, help="The scores that papers report for a benchmark, too.")
def info(identity: str, published: bool) -> None:
    """Show a card with licence and citation; of a benchmark its ceilings, where the data are here.

    Of a metric also its settings and how it is defined, of a package what it brings, of 'folder:PATH' what is there: a
    data set, or results.
    """
    from isocortex.cli.info import describe

    print(printable(describe(identity, published=published)))


@cli.command()
@click.argument("what", required=False, metavar="[PLUGIN|ID]")
@click.option("--json", "as_json", is_flag=True, help="JSON to stdout.")
def check(what: str | None, as_json: bool) -> None:
    """Run the conformance kit on a plugin, an ID, or everything installed."""
    from isocortex.files.interruption import guard_once
    from isocortex.testing import run_checks

    guard_once()
    outcomes = run_checks(what, report=None if as_json else _print_outcome)
    if as_json:
        print(printable(json.dumps([vars(outcome) for outcome in outcomes], indent=1, default=str)))
    sys.exit(EXIT_FAILED if any(outcome.status == "failed" for outcome in outcomes) else 0)


@cli.command()
@click.option("--out", type=FolderOrFile(), default=Path("results"), show_default=True, help="Where results would go.")
@click.option("--json", "as_json", is_flag=True, help="JSON to stdout.")
def doctor(out: Path, as_json: bool) -> None:
    """Show versions, devices, folders, what is installed and broken, and which models can run here.

    It is what a report of a mistake should hold. Nothing is downloaded. Exit code 1 where something is wrong.
    """
    from isocortex.cli.doctor import as_text, examine

    report = examine(out)
    print(json.dumps(report, indent=1) if as_json else as_text(report))
    sys.exit(EXIT_FAILED if report["wrong"] else 0)


def _print_outcome(outcome: CheckOutcome) -> None:
    print(printable(f"{outcome.status:8} {outcome.id}{': ' if outcome.message else ''}{outcome.message}"), flush=True)


# --- running ----------------------------------------------------------------------------------------------------------

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


_LOG = click.option("--log", type=FolderOrFile(), metavar="FILE", help="Add every line and warning to this file, too.")


@cli.command()
@click.option(
    "-m", "--model", "models", multiple=True, required=True, metavar="MODEL", help="ID[@VARIANT], glob, or a+b."
)
@click.option("-b", "--benchmark", "benchmarks", multiple=True, required=True, help="ID, glob or folder:PATH:METRIC.")
@_RUN_OPTIONS
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Draws splits and bootstrap samples."
)
@click.option(
    "--draws",
    type=click.IntRange(1000, 100_000),
    metavar="N",
    help="Bootstrap draws; a finished result that has fewer is given more. Default: 1000, or as many as it has.",
)
@click.option(
    "--null",
    is_flag=False,
    flag_value="default",
    metavar="[N]",
    help="What chance gives, by permuting stimuli: N times, within:COLUMN, or N,within:COLUMN; finished results too.",
)
@click.option("--limit", type=click.IntRange(8), metavar="N", help="A trial on N stimuli, kept in OUT-trial.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes on this machine.")
@click.option("--executor", metavar="ID", help="Where tasks run: local, processes, or one that is installed.")
@click.option("--shard", metavar="i/n", help="Only the i-th of n shares of the cells.")
@click.option("--cell", "cells", multiple=True, metavar="ID", help="Only this cell, by its ID of --dry-run --json.")
@click.option(
    "--keep",
    multiple=True,
    metavar="NAME",
    help="What to keep beside a result: prediction, alpha, training_r2, mapping (for predict), fitted (networks).",
)
@click.option("--out", type=FolderOrFile(), default=Path("results"), show_default=True)
@click.option("--dry-run", is_flag=True, help="Print cells, disk, memory and time needed; compute no score.")
@_LOG
@click.option("--json", "as_json", is_flag=True, help="JSON to stdout.")
def score(models: tuple[str, ...], benchmarks: tuple[str, ...], **options: Any) -> None:
    """Score models on benchmarks; finished cells are not computed again."""
    from isocortex.cli.score import dry_run, score_here

    config = _run_config(options)
    as_json = bool(options["as_json"])
    if options["dry_run"]:
        dry_run(models, benchmarks, config, as_json=as_json)
    else:
        where = {"executor": options["executor"], "jobs": options["jobs"], "log": options["log"]}
        sys.exit(score_here(models, benchmarks, config, as_json=as_json, **where))


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
        cells=tuple(options["cells"]),
        draws=options["draws"],
        null=options["null"],
        limit=options["limit"],
    )


@cli.command("run-task")
@click.argument("file", type=FolderOrFile(), metavar="FILE")
@_LOG
@click.option("--while-input-is-open", is_flag=True, hidden=True)
def run_task(file: Path, log: Path | None, while_input_is_open: bool) -> None:
    """Do the task or tasks of a file; what is finished is not computed again.

    An executor calls it, or a scheduler; 'score --dry-run --json' shows the tasks of a run.
    """
    from isocortex.cli.score import run_file
    from isocortex.files.children import end_with_the_input

    if while_input_is_open:
        end_with_the_input()
    sys.exit(run_file(file, log))


@cli.command()
@click.option("-m", "--model", "models", multiple=True, required=True, metavar="MODEL", help="ID[@VARIANT] or glob.")
@click.option("--stimuli", required=True, metavar="ID|FOLDER", help="Stimulus set, or a folder of sounds or images.")
@click.option("--reduction", default="flatten", show_default=True, help="For example time-mean, spatial-mean.")
@click.option("--out", type=FolderOrFile(), help="Copy the activations here; default: only into the cache.")
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


@cli.command()
@click.option("-m", "--model", "models", multiple=True, metavar="MODEL", help="Weights: ID[@VARIANT] or glob.")
@click.option("-b", "--benchmark", "benchmarks", multiple=True, metavar="BENCHMARK", help="Data: ID or glob.")
@click.option(
    "--from",
    "source",
    type=FolderOrFile(),
    metavar="FOLDER|ARCHIVE",
    help="What holds the files at any depth; the network is not used.",
)
@click.option(
    "--verify", is_flag=True, help="Only look at what is there, at every byte of it; the network is not used."
)
def fetch(models: tuple[str, ...], benchmarks: tuple[str, ...], source: Path | None, verify: bool) -> None:
    """Fetch data and weights, for work without network.

    What cannot be had is told at the end, with the reason; the rest is fetched.
    """
    from isocortex.files.interruption import guard_once
    from isocortex.run.fetch import fetch_all

    guard_once()
    if not models and not benchmarks:
        raise click.UsageError("Name what to fetch with -m or -b.")
    fetch_all(models, benchmarks, source, verify_only=verify)
