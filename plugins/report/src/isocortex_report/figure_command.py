"""``isocortex figure``: one figure of results as a file, and what it draws as a table beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from isocortex.errors import StoreError, UsageError, shorten

if TYPE_CHECKING:
    from isocortex_report.figures import Figure, Kind


@click.command(name="figure", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.argument("kind", metavar="KIND")
@click.argument("results", type=click.Path(path_type=Path), default=Path("results"))
@click.option(
    "-o", "--out", "path", type=click.Path(path_type=Path), required=True, metavar="FILE.{svg,pdf,png}",
    help="What to write; a CSV of what is drawn is written beside it. Of surfaces also FILE.gii.",
)  # fmt: skip
@click.option("-b", "--benchmark", "benchmarks", multiple=True, metavar="ID", help="Only these benchmarks; globs too.")
@click.option("-m", "--model", "models", multiple=True, metavar="MODEL", help="Only these: ID[@VARIANT] or glob.")
@click.option("--region", "regions", multiple=True, metavar="NAME", help="Only these regions; the whole is 'all'.")
@click.option("--against", metavar="MODEL", help="Mark what differs from this model, in place of all pairs.")
def figure(
    kind: str,
    results: Path,
    path: Path,
    benchmarks: tuple[str, ...],
    models: tuple[str, ...],
    regions: tuple[str, ...],
    against: str | None,
) -> None:
    """Draw one figure of a folder of results: ranking, layers, …

    Where several could be drawn, they are listed, and -b, -m and --region choose. 'isocortex figure list' shows every
    KIND with the question that it answers.
    """
    from isocortex.results import Selection, read_results, selected_results
    from isocortex_report.figures import KINDS, Material
    from isocortex_report.figures.figure import check_ending
    from isocortex_report.figures.kinds import kind_of

    if kind == "list":
        for one in KINDS.values():
            print(f"{one.name:14} {one.question}")
        return
    chosen = kind_of(kind)
    check_ending(path, (".gii",) if kind == "surface" else ())
    found = read_results(results)
    if not found and kind != "recovery":  # which is about benchmarks, not about results
        raise StoreError(f"{results} holds no results yet. 'isocortex score' makes them.")
    kept = selected_results(found, Selection.of(benchmarks, models, against=against))
    material = Material(kept, results, found, regions or ("all",), against)
    drawn = _the_one(chosen, list(chosen.figures(material)), bool(regions))
    for written in _written(drawn, path):
        print(written)


def _written(figure: Figure, path: Path) -> list[Path]:
    """Write a figure, or the values of a surface as GIFTI."""
    if path.suffix.lower() != ".gii":
        return figure.save(path)
    from isocortex_report.figures.surface import save_gifti

    return [*save_gifti(figure.frame, path), figure.save_table(path.with_suffix(".csv"))]


def _the_one(kind: Kind, figures: Sequence[Figure], with_region: bool) -> Figure:
    """The figure that was asked for.

    Raises
    ------
    UsageError
        There is none, or there are several.
    """
    if not figures:
        where = "" if with_region else " of whole results; --region '*' lists those of regions"
        raise UsageError(f"These results allow no figure {kind.name!r}{where}. {kind.needs}")
    if len(figures) > 1:
        names = shorten((one.title for one in figures), 12)
        raise UsageError(
            f"{len(figures)} figures {kind.name!r} can be drawn: {names}. Choose one with -b, -m or --region."
        )
    return figures[0]
