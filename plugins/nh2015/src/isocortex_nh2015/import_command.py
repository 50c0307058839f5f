"""``isocortex import tuckute``: data, cached activations and results of the release, from a folder or an archive."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from isocortex.errors import DataError, IsocortexError, shorten

if TYPE_CHECKING:
    from isocortex_nh2015.tuckute_activations import CachedModel


@click.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path), metavar="FOLDER|TAR")
@click.option("--out", type=click.Path(path_type=Path), default=Path("tuckute2023"), show_default=True,
              help="Where activations and results go.")  # fmt: skip
@click.option("-m", "--model", "models", multiple=True, metavar="NAME", help="Only these networks.")
def tuckute(source: Path, out: Path, models: tuple[str, ...]) -> None:
    """Bring in the release of Tuckute 2023 and colleagues, or any part of it.

    Data sets are copied to where NH2015 and B2021 are loaded from, and their checksums recorded. Cached activations
    become folders that '-m activations:FOLDER' scores; results become records that 'isocortex show' prints. Pickles are
    read by own code: nothing in them runs.
    """
    from isocortex.files import opened_source

    with opened_source(source) as folder:
        done = [] if models else list(_import_data(folder))
        done += _import_activations(folder, out / "activations", models)
        done += _import_results(folder, out / "results", models)
    if not done:
        of_models = f" of {shorten(models)}" if models else ""
        raise DataError(
            f"{source} holds nothing of the release{of_models}: neither neural/NH2015 or neural/B2021, nor "
            "<network>/natsound_activations.h5 or *_activations.pkl, nor df_output.pkl."
        )
    failed = [line for line, error in done if error is not None]
    if failed:
        raise DataError(f"{len(failed)} of {len(done)} parts could not be brought in: {shorten(failed, 9)}.")


_Done = tuple[str, IsocortexError | None]


def _report(line: str, error: IsocortexError | None = None) -> _Done:
    print(line if error is None else f"failed: {line}: {error}", file=sys.stdout if error is None else sys.stderr)
    return line, error


def _import_data(folder: Path) -> Iterator[_Done]:
    from isocortex_nh2015.release import NEEDED, bring_components, record, release_folder

    as_listed = bring_components(folder)
    if as_listed is not None:
        state = "has the published checksum" if as_listed else "is another file than the published one: left aside"
        yield _report(f"NH2015comp: components.mat {state}")
    for dataset in NEEDED:
        try:
            names = record(folder, dataset)
        except IsocortexError as error:
            yield _report(dataset, error)
            continue
        if names:
            yield _report(f"{dataset}: {len(names)} files with recorded checksums in {release_folder()}")


def _wanted(code: str, shown: str, models: Sequence[str]) -> bool:
    return not models or code in models or shown in models


def _import_activations(folder: Path, out: Path, models: Sequence[str]) -> Iterator[_Done]:
    from isocortex_nh2015.tuckute_activations import find_models

    found = [item for item in find_models(folder) if _wanted(item.model.code, item.model.shown, models)]
    rows = _row_order(folder) if any(not item.by_stimulus for item in found) else None
    for cached in found:
        try:
            n_layers = _import_model(cached, rows, out / cached.name)
        except IsocortexError as error:
            yield _report(cached.name, error)
        else:
            yield _report(f"{cached.name}: {n_layers} layers, score with -m activations:{out / cached.name}")


def _row_order(folder: Path) -> tuple[str, ...] | None:
    """The stimulus of each row, from this folder or from what was brought in before."""
    from isocortex_nh2015.release import STIMULUS_ORDER, find_in, in_release
    from isocortex_nh2015.voxel_files import read_stimulus_order

    path = find_in(folder, STIMULUS_ORDER) or in_release([STIMULUS_ORDER]).get(STIMULUS_ORDER)
    return read_stimulus_order(path) if path is not None else None


def _import_model(cached: CachedModel, rows: tuple[str, ...] | None, folder: Path) -> int:
    from isocortex_nh2015.tuckute_activations import listed_stimuli, read_cached, write_activations

    ids = listed_stimuli()
    layers = read_cached(cached, rows, ids)
    about = {"model": f"tuckute2023/{cached.name}", "stimuli": "natsound165", "reduction": "time-mean"}
    write_activations(folder, layers, ids, about)
    return len(layers)


def _import_results(folder: Path, out: Path, models: Sequence[str]) -> Iterator[_Done]:
    from isocortex_nh2015.tuckute_models import released_model
    from isocortex_nh2015.tuckute_results import find_results, read_results, result_of, write_result

    for where, paths in find_results(folder).items():
        try:
            found = read_results(paths)
        except IsocortexError as error:
            yield _report(f"results in {where}", error)
            continue
        for item in found:
            if _wanted(item.model, released_model(item.model).shown, models):
                result = result_of(item)
                write_result(out, result)
                yield _report(f"{result.model}@{result.variant} on {result.benchmark}: show with isocortex show {out}")
