"""Parts of a recipe that are made of what a package lists as published for a benchmark."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import isocortex
from isocortex.errors import IsocortexError, shorten
from isocortex.interfaces import BenchmarkCard
from isocortex_report.reproduce.recipe import Absent, Number, Part, Recipe, Table

#: ending of a name in a list whose weights were shuffled, and the variant that is
PERMUTED, VARIANT = " (permuted weights)", "@permuted:0"


def with_tables(recipe: Recipe) -> Recipe:
    """A recipe whose tables are written out as parts, and models without a row here as what is absent."""
    if not recipe.table:
        return recipe
    parts: list[Part] = []
    absent: list[Absent] = [*recipe.absent]
    for table in recipe.table:
        try:
            listed = _listed(table)
        except (IsocortexError, OSError) as error:
            absent.append(Absent(title=table.title, why=str(error)))
            continue
        parts += _parts(table, listed)
        without = [name for name in listed if _model(table, name) is None and not name.endswith(PERMUTED)]
        if without:
            why = f"{shorten(without, 30)}: no row of isocortex. 'isocortex import tuckute' brings what was published."
            absent.append(Absent(title=f"{table.title}, {len(without)} more models", why=why))
    parts += recipe.part
    return recipe.model_copy(update={"part": tuple(parts), "absent": tuple(absent), "table": ()})


def _listed(table: Table) -> dict[str, list[dict[str, str]]]:
    """Rows of the list by model."""
    card = isocortex.load_card("benchmark", table.benchmark)
    assert isinstance(card, BenchmarkCard)
    found: dict[str, list[dict[str, str]]] = {}
    if card.published is None:
        return found
    with (card.folder / card.published).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["statistic"].startswith(table.statistic) and table.source in row["source"]:
                found.setdefault(row["model"], []).append(row)
    return found


def _model(table: Table, name: str) -> str | None:
    """The model that is called so in the list; with shuffled weights, as its variant."""
    own = table.models.get(name)
    if own is not None or not name.endswith(PERMUTED):
        return own
    trained = table.models.get(name.removesuffix(PERMUTED))
    return None if trained is None else f"{trained.partition('@')[0]}{VARIANT}"


def _parts(table: Table, listed: dict[str, list[dict[str, str]]]) -> Iterator[Part]:
    for name, rows in listed.items():
        model = _model(table, name)
        if model is None:
            continue
        shuffled = name.endswith(PERMUTED)
        numbers = tuple(
            Number(
                name=row["region"] if row["region"] != "all" else "the whole",
                region=None if row["region"] == "all" else row["region"],
                read=table.read,
                published=float(row["value"]),
                tolerance=None if shuffled else table.tolerance,
                source=row["source"],
                why="weights are shuffled by another draw" if shuffled else table.why,
            )
            for row in rows
        )
        yield Part(title=f"{table.title}: {name}", model=model, benchmark=table.benchmark, number=numbers)
