"""``isocortex list``: what is installed, from rows alone and without importing any of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import click

from isocortex.catalogue.rows import Catalogue, Row
from isocortex.errors import UsageError, printable

LISTS = ("models", "datasets", "stimuli", "metrics", "benchmarks", "suites", "executors", "plugins")

_KIND_OF = {
    "models": "model",
    "datasets": "dataset",
    "stimuli": "stimuli",
    "metrics": "metric",
    "benchmarks": "benchmark",
    "suites": "suite",
    "executors": "executor",
}
_COLUMNS = {
    "models": ("id", "aliases", "modality", "variants", "package"),
    "stimuli": ("id", "modality", "package"),
    "datasets": ("id", "kind", "stimuli", "package"),
    "metrics": ("id", "accepts", "package"),
    "benchmarks": ("id", "dataset", "metric", "package"),
    "suites": ("id", "version", "benchmarks", "package"),
    "executors": ("id", "package"),
    "plugins": ("package", "version"),
    "conflicts": ("kind", "id", "packages"),
    "broken": ("package", "version", "reason"),
}


@click.command("list")
@click.argument("what", required=False, type=click.Choice(LISTS))
@click.option("--where", multiple=True, metavar="KEY=VALUE", help="Only rows with that field, tag or package.")
@click.option("--json", "as_json", is_flag=True, help="JSON to stdout.")
def list_(what: str | None, where: tuple[str, ...], as_json: bool) -> None:
    """List what is installed, without importing any of it.

    One list where it is named, else all; what cannot be read, and IDs that two packages offer, are always shown.
    """
    found = listing(Catalogue.discover(), what, where)
    print(printable(json.dumps(_plain(found), indent=1) if as_json else as_text(found)))


def _plain(value: Any) -> Any:
    """What JSON can hold of a manifest: dates become text; nan and inf, which TOML knows and JSON does not, none."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int)) else str(value)


def listing(catalogue: Catalogue, what: str | None, where: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Lists by name; conflicts and broken packages are always among them.

    Raises
    ------
    UsageError
        A ``where`` that is not KEY=VALUE.
    """
    conditions = [_condition(text) for text in where]
    lists = {
        name: [_entry(row) for row in catalogue.of_kind(kind) if _fits(row, conditions)]
        for name, kind in _KIND_OF.items()
        if what in (None, name)
    }
    if what in (None, "plugins"):
        lists["plugins"] = [{"package": item.package, "version": item.version} for item in catalogue.plugins]
    conflicts = catalogue.conflicts()
    lists["conflicts"] = [
        {"kind": kind, "id": name, "packages": [row.package for row in rows]}
        for (kind, name), rows in conflicts.items()
    ]
    lists["broken"] = [
        {"package": item.package, "version": item.version, "reason": item.reason} for item in catalogue.broken
    ]
    return lists


def _condition(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise UsageError(f"--where takes KEY=VALUE, for example modality=audio; found {text!r}.")
    return key, value


def _fits(row: Row, conditions: Iterable[tuple[str, str]]) -> bool:
    tags = row.table.get("tags", {})
    origin = {"package": row.package, "package_version": row.version}
    known = {**(tags if isinstance(tags, dict) else {}), **row.table, **origin}
    return all(value in _texts(known.get(key)) for key, value in conditions)


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [] if value is None else [str(value)]


def _entry(row: Row) -> dict[str, Any]:
    shown = {key: value for key, value in row.table.items() if key not in ("object", "options")}
    return {**shown, "id": row.id, "package": row.package, "package_version": row.version}


def as_text(lists: dict[str, list[dict[str, Any]]]) -> str:
    """Aligned columns, one block per list; empty lists are left out."""
    blocks = [_block(name, entries) for name, entries in lists.items() if entries]
    return (
        "\n\n".join(blocks)
        or "Nothing is installed. pip install isocortex-metrics isocortex-baselines isocortex-simulated"
    )


def _block(name: str, entries: list[dict[str, Any]]) -> str:
    columns = [column for column in _COLUMNS[name] if any(_texts(entry.get(column)) for entry in entries)]
    rows = [[_in_a_line(", ".join(_texts(entry.get(column)))) for column in columns] for entry in entries]
    widths = [max(len(text) for text in column) for column in zip(*rows, strict=True)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([f"{name} ({len(entries)})", *(f"  {line}" for line in lines)])


def _in_a_line(text: str) -> str:
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")
