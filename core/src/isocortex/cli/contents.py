"""What a metric, a package and a results folder hold, for ``isocortex info``."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.catalogue.cards import MetricCard
from isocortex.catalogue.rows import Catalogue
from isocortex.errors import shorten
from isocortex.loading.resolver import FOLDER_PREFIX, Resolver

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from isocortex.interfaces import MetricPlugin
    from isocortex.results.result import Result

_KINDS = ("model", "stimuli", "dataset", "metric", "benchmark", "suite", "command", "executor")
#: rows of one kind that are named, and those that are counted only
_MOST_NAMED = 12
#: bounds of settings, and how they are written
_LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "at least", "max_length": "at most"}


# --- metrics ----------------------------------------------------------------------------------------------------------


def metric_lines(resolver: Resolver, card: MetricCard) -> list[str]:
    """The settings of a metric with their defaults, and its definition, as its code states them."""
    from isocortex.run.fetch import first_line
    from isocortex.scoring.metric_settings import named_object

    try:
        settings = _settings(named_object(card, card.settings_model)) if card.settings_model else []
        return [*settings, *_definition(resolver.metric(f"{card.package}::{card.id}"))]
    except (Exception, SystemExit) as error:  # a plugin that cannot be loaded still has a card
        return [f"  settings and definition are not known: {first_line(error)}"]


def _settings(schema: type[BaseModel]) -> list[str]:
    return ["  settings:", *(_setting(name, field) for name, field in schema.model_fields.items())]


def _setting(name: str, field: FieldInfo) -> str:
    default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
    kind = getattr(field.annotation, "__name__", None) if isinstance(field.annotation, type) else str(field.annotation)
    limits = "".join(
        f", {sign} {getattr(limit, key)}"
        for limit in field.metadata
        for key, sign in _LIMITS.items()
        if getattr(limit, key, None) is not None
    )
    what = f": {field.description}" if field.description else ""
    return f"    {name} = {default}  ({str(kind).replace('typing.', '')}{limits}){what}"


def _definition(plugin: MetricPlugin) -> list[str]:
    """What the module of a metric and its class say of it."""
    module = sys.modules.get(type(plugin).__module__)
    texts = [inspect.getdoc(item) for item in (module, type(plugin)) if item is not None and item.__doc__]
    whole = "\n\n".join(text for text in texts if text)
    return ["  definition:", textwrap.indent(whole, "    ")] if whole else []


# --- packages ---------------------------------------------------------------------------------------------------------


def package_lines(catalogue: Catalogue, name: str) -> list[str] | None:
    """What an installed package brings; None: there is no such package."""
    plugin = next((item for item in catalogue.plugins if item.package == name), None)
    faults = [item for item in catalogue.broken if item.package == name]
    if plugin is None and not faults:
        return None
    version = plugin.version if plugin is not None else faults[0].version
    lines = [f"package {name} {version}", *_distribution(name)]
    for kind in _KINDS:
        rows = [row.id for row in catalogue.of_kind(kind) if row.package == name]
        if rows:
            lines.append(f"  {len(rows)} {_plural(kind, len(rows))}: {shorten(rows, _MOST_NAMED)}")
    return [*lines, *(f"  cannot be read: {item.reason}" for item in faults)]


def _distribution(name: str) -> list[str]:
    """What the distribution says of itself."""
    try:
        about = metadata.metadata(name).json
    except metadata.PackageNotFoundError:
        return []
    needed = [line for line in about.get("requires_dist", []) if "extra ==" not in line]
    known = {
        "summary": about.get("summary"),
        "licence": about.get("license_expression") or about.get("license"),
        "python": about.get("requires_python"),
        "requires": ", ".join(needed),
    }
    return [f"  {key}: {value}" for key, value in known.items() if value]


def _plural(kind: str, count: int) -> str:
    return kind if count == 1 or kind == "stimuli" else f"{kind}s"


# --- results ----------------------------------------------------------------------------------------------------------


def results_lines(catalogue: Catalogue, name: str) -> list[str] | None:
    """What a results folder holds; None: it is none. Without the prefix an ID of that name comes first."""
    from isocortex.loading.resolver import row_of

    folder = Path(name.removeprefix(FOLDER_PREFIX))
    if not folder.is_dir() or (folder / "dataset.toml").exists() or (folder / "stimuli").exists():
        return None
    if not name.startswith(FOLDER_PREFIX) and row_of(catalogue, name) is not None:
        return None
    from isocortex.results.result import read_results

    found = read_results(folder)
    return [f"results {folder}", *_held(found), f"  shown by 'isocortex show {folder}'"] if found else None


def _held(results: Sequence[Result]) -> list[str]:
    failed = sum(result.summary is None for result in results)
    names = (("benchmarks", [item.benchmark for item in results]), ("models", [item.model for item in results]))
    lines = [f"  {len(results)} cells: {len(results) - failed} scored, {failed} failed"]
    for kind, listed in names:
        distinct = list(dict.fromkeys(listed))
        lines.append(f"  {len(distinct)} {kind}: {shorten(distinct, _MOST_NAMED)}")
    dates = sorted(item.provenance.finished for item in results if item.provenance is not None)
    if dates:
        lines.append(f"  scored from {dates[0]} to {dates[-1]}")
    versions = sorted({item.provenance.distributions.get("isocortex", "") for item in results if item.provenance})
    if any(versions):
        lines.append(f"  by isocortex {shorten(filter(None, versions))}")
    warned = sum(bool(item.warnings) for item in results)
    return [*lines, *([f"  {warned} with warnings"] if warned else [])]
