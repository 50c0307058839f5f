"""``isocortex list``: what is installed, from rows alone and without importing any of it."""

from __future__ import annotations

import functools
import json
import math
import operator
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from isocortex.catalogue.rows import DEFAULTS, Catalogue, Row
from isocortex.errors import UsageError, printable, shorten, suggest
from isocortex.files.libraries import unmet_requirements

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
#: shown whatever is asked for
_ALWAYS = ("conflicts", "broken")
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
@click.option(
    "--where", multiple=True, metavar="KEY=VALUE", help="Only rows with that field, tag or package: or depth>=24."
)
@click.option("--json", "as_json", is_flag=True, help="JSON to stdout.")
def list_(what: str | None, where: tuple[str, ...], as_json: bool) -> None:
    """List what is installed, without importing any of it.

    One list where it is named, else all; what cannot be read, and IDs that two packages offer, are always shown.
    """
    catalogue = Catalogue.discover()
    found = listing(catalogue, what, where)
    if where and not any(found[name] for name in found if name not in _ALWAYS):
        print(printable(_nothing_fits(catalogue, what, where)), file=sys.stderr)
    text = json.dumps(_plain(found), indent=1) if as_json else as_text(found, installed=bool(catalogue.plugins))
    if text:
        print(printable(text))


def _plain(value: Any) -> Any:
    """What JSON can hold of a manifest: dates become text; nan and inf, which TOML knows and JSON does not, none."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int)) else str(value)


def listing(catalogue: Catalogue, what: str | None, where: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Lists by name; conflicts and broken packages are always among them.

    Raises
    ------
    UsageError
        A ``where`` that is neither KEY=VALUE nor a comparison of numbers.
    """
    _unmet.cache_clear()  # what is installed may have changed
    conditions = [_condition(text) for text in where]
    lists = {
        name: [_entry(row) for row in catalogue.of_kind(kind) if _fits(row, conditions)]
        for name, kind in _KIND_OF.items()
        if what in (None, name)
    }
    if what in (None, "plugins"):
        plugins = [{"package": item.package, "version": item.version} for item in catalogue.plugins]
        lists["plugins"] = [one for one in plugins if all(each.holds(one.get(each.key)) for each in conditions)]
    conflicts = catalogue.conflicts()
    lists["conflicts"] = [
        {"kind": kind, "id": name, "packages": [row.package for row in rows]}
        for (kind, name), rows in conflicts.items()
    ]
    lists["broken"] = [
        {"package": item.package, "version": item.version, "reason": item.reason} for item in catalogue.broken
    ]
    return lists


def _nothing_fits(catalogue: Catalogue, what: str | None, where: Sequence[str]) -> str:
    """What is said where conditions leave nothing: the values that a field has, or the fields that there are."""
    kinds = [_KIND_OF[what]] if what in _KIND_OF else list(_KIND_OF.values())
    known = [fields_of(row) for kind in kinds for row in catalogue.of_kind(kind)]
    hints: list[str] = []
    for condition in map(_condition, where):
        key = condition.key
        values = sorted({text for fields in known for text in _texts(fields.get(key))})
        if not values:
            fields = sorted({name for each in known for name in each})
            hints.append(f" No row has the field {key!r}.{suggest(key, fields)}")
        elif not condition.holds(values):
            hints.append(f" {key} is {shorten(values, 8)}.")
    return f"Nothing that is installed fits {' and '.join(where)}.{''.join(hints)}"


@dataclass(frozen=True)
class Condition:
    """What a field has to be: ``modality=audio``, or for numbers ``depth>=24``."""

    key: str
    sign: str
    value: str

    def holds(self, found: object) -> bool:
        """Whether it holds for a value, or for one of several.

        Examples
        --------
        >>> Condition("depth", ">=", "24").holds(30), Condition("variants", "=", "random").holds(["fixed", "random"])
        (True, True)
        """
        if self.sign == "=":
            return self.value in _texts(found)
        values, bound = [_number(text) for text in _texts(found)], _number(self.value)
        return any(value is not None and bound is not None and _COMPARED[self.sign](value, bound) for value in values)


_COMPARED = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _condition(text: str) -> Condition:
    parts = re.fullmatch(r"([^=<>]+)(>=|<=|=|>|<)(.*)", text, re.DOTALL)
    if parts is None or (parts[2] != "=" and _number(parts[3]) is None):
        raise UsageError(f"--where takes KEY=VALUE, for example modality=audio, or depth>=24; found {text!r}.")
    return Condition(*parts.groups())


def _fits(row: Row, conditions: Iterable[Condition]) -> bool:
    known = fields_of(row)
    return all(condition.holds(known.get(condition.key)) for condition in conditions)


def fields_of(row: Row) -> dict[str, Any]:
    """Every field of a row by name, with what its card has by default, and its tags."""
    tags = row.table.get("tags", {})
    origin = {"package": row.package, "package_version": row.version}
    tags = tags if isinstance(tags, dict) else {}
    return {**DEFAULTS.get(row.kind, {}), **tags, **row.table, **_availability(row), **origin}


def _texts(value: object) -> list[str]:
    if isinstance(value, (list, tuple)):
        return [_text(item) for item in value]
    return [] if value is None else [_text(value)]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _entry(row: Row) -> dict[str, Any]:
    shown = {key: value for key, value in row.table.items() if key not in ("object", "options")}
    origin = {"id": row.id, "package": row.package, "package_version": row.version}
    return {**DEFAULTS.get(row.kind, {}), **shown, **_availability(row), **origin}


def _availability(row: Row) -> dict[str, Any]:
    """Whether what a row requires is installed, and what is not; files and memory are looked at by ``doctor``."""
    lines = row.table.get("requires", [])
    if row.kind != "model" or not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        return {}
    unmet = _unmet(tuple(lines))
    return {"available": not unmet, **({"unmet": unmet} if unmet else {})}


@functools.lru_cache(maxsize=256)
def _unmet(lines: tuple[str, ...]) -> list[str]:
    return unmet_requirements(lines) if lines else []


def as_text(lists: dict[str, list[dict[str, Any]]], *, installed: bool = False) -> str:
    """Aligned columns, one block per list; empty lists are left out.

    Parameters
    ----------
    installed
        Some package is, though it may offer nothing of what is listed.
    """
    blocks = [_block(name, entries) for name, entries in lists.items() if entries]
    if not blocks and not installed:
        return "Nothing is installed. pip install isocortex-metrics isocortex-baselines isocortex-simulated"
    return "\n\n".join(blocks)


def _block(name: str, entries: list[dict[str, Any]]) -> str:
    columns = [column for column in _COLUMNS[name] if any(_texts(entry.get(column)) for entry in entries)]
    rows = [[_in_a_line(", ".join(_texts(entry.get(column)))) for column in columns] for entry in entries]
    widths = [max(len(text) for text in column) for column in zip(*rows, strict=True)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([f"{name} ({len(entries)})", *(f"  {line}" for line in lines)])


def _in_a_line(text: str) -> str:
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")
