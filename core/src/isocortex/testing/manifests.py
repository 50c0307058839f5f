"""Checks of a manifest: its rows, what they refer to, and that its modules import, without heavy packages."""

from __future__ import annotations

import csv
import importlib.util
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from isocortex.catalogue.cards import BenchmarkCard, Card, DatasetCard, MetricCard, ModelCard, SuiteCard, read_card
from isocortex.catalogue.rows import Broken, Catalogue, Plugin, Row
from isocortex.errors import IsocortexError, PluginError, SettingsError, shorten
from isocortex.testing.faces import FACES, imports_behind_faces
from isocortex.testing.outcomes import CheckSkipped, expect
from isocortex.testing.probe import HEAVY
from isocortex.testing.processes import run_probe

_SHA256, _SHA1 = re.compile(r"[0-9a-fA-F]{64}"), re.compile(r"[0-9a-fA-F]{40}")
_URL = re.compile(r"(https?|ftp)://\S+")
#: what would be read as something else on the command line
_RESERVED = re.compile(r"\s|@|::|^(folder|activations):")


@dataclass(frozen=True)
class PackageUnderTest:
    """A package with the rows that are checked: all of them, or one."""

    package: str
    catalogue: Catalogue
    rows: tuple[Row, ...]
    broken: tuple[Broken, ...] = ()

    @property
    def plugin(self) -> Plugin | None:
        """The plugin record, where the manifest can be read."""
        return next((plugin for plugin in self.catalogue.plugins if plugin.package == self.package), None)

    def cards(self) -> Iterator[Card]:
        """The cards of the rows that are valid."""
        for row in self.rows:
            try:
                yield read_card(row)
            except PluginError:
                continue

    @cached_property
    def imports(self) -> dict[str, dict[str, Any]]:
        """Module → what a fresh interpreter found when it imported it."""
        objects: dict[str, list[tuple[str, str, str]]] = {}
        if self.plugin is not None:
            objects[self.plugin.module] = []
            if self.plugin.hooks:
                objects[self.plugin.hooks] = []
        for row in self.rows:
            module, _, name = str(row.table.get("object", "")).partition(":")
            if module and name:
                objects.setdefault(module, []).append((row.kind, f"{row.kind} {row.id}", name))
        return run_probe("import", objects=objects)


def check_parses(tested: PackageUnderTest) -> None:
    """The manifest is there, is TOML, fits this version of isocortex, and every row has what it is listed by."""
    expect(not tested.broken, "; ".join(item.reason for item in tested.broken))


def check_ids(tested: PackageUnderTest) -> None:
    """IDs can be written on a command line without being read as something else."""
    names = [name for row in tested.rows if row.kind != "command" for name in row.names]
    bad = [name for name in names if _RESERVED.search(name)]
    expect(
        not bad,
        "IDs and aliases hold neither spaces, '@' nor '::', nor begin with 'folder:'; "
        f"found {shorten(map(repr, bad))}.",
    )
    aliases = {(row.kind, name) for row in tested.rows for name in row.names[1:]}
    taken = [
        f"{kind} {name!r} ({' and '.join(row.reference for row in rows)})"
        for (kind, name), rows in tested.catalogue.conflicts().items()
        if (kind, name) in aliases
    ]
    expect(not taken, f"Aliases must be names that nothing else has; found {shorten(taken)}.")


def check_rows(tested: PackageUnderTest) -> None:
    """Every row fits the schema of its kind."""
    problems: list[str] = []
    for row in tested.rows:
        try:
            read_card(row)
        except PluginError as error:
            problems.append(str(error))
    expect(not problems, " ".join(problems))


def check_layer_patterns(tested: PackageUnderTest) -> None:
    """Layer patterns of models can match a dotted name, and none stands twice."""
    for card in tested.cards():
        if not isinstance(card, ModelCard):
            continue
        bad = [pattern for pattern in card.layers if _pattern_problem(pattern)]
        expect(
            not bad,
            f"Layer patterns of model {card.id!r} must be dotted names with '*' or '**', without spaces or "
            f"empty parts; found {shorten(map(repr, bad))}.",
        )
        expect(
            len(set(card.layers)) == len(card.layers), f"Model {card.id!r} names a layer pattern twice: {card.layers}."
        )


def _pattern_problem(pattern: str) -> bool:
    return "***" in pattern or any(not part or part != part.strip() or " " in part for part in pattern.split("."))


def check_files(tested: PackageUnderTest) -> None:
    """Lists of files are CSV with name, url, sha256 (or sha1) and bytes; lists of published scores can be read."""
    from isocortex.files.file_store import read_specs

    for card in tested.cards():
        specs = read_specs(card.folder, getattr(card, "files", None))
        where = f"{getattr(card, 'files', None)} of {card.id!r}"
        expect(specs or not getattr(card, "files", None), f"{where} must list at least one file; found none.")
        twice = [name for name, count in Counter(spec.name for spec in specs).items() if count > 1]
        expect(not twice, f"{where} must list a file once; found more than once: {shorten(twice)}.")
        for spec in specs:
            expect(
                spec.sha256 is None or _SHA256.fullmatch(spec.sha256),
                f"{where}: sha256 of {spec.name!r} must be 64 hexadecimal digits, or empty where none is published.",
            )
            expect(
                spec.sha1 is None or (_SHA1.fullmatch(spec.sha1) and spec.sha256 is None),
                f"{where}: sha1 of {spec.name!r} must be 40 hexadecimal digits, and is for files without a sha256.",
            )
            expect(_URL.fullmatch(spec.url), f"{where}: the url of {spec.name!r} must be complete; found {spec.url!r}.")
            expect(
                spec.n_bytes is None or spec.n_bytes > 0,
                f"{where}: bytes of {spec.name!r} must be above 0; found {spec.n_bytes}.",
            )
        if isinstance(card, BenchmarkCard) and card.published:
            _check_published(card)


def _check_published(card: BenchmarkCard) -> None:
    path = card.folder / str(card.published)
    expect(
        path.is_file(), f"The published scores {card.published!r} of {card.id!r} must be in the package; found none."
    )
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    expect(rows and None not in rows[0], f"{card.published} of {card.id!r} must be a CSV with a header and rows.")


def check_references(tested: PackageUnderTest) -> None:
    """Data sets name stimuli, benchmarks a data set and a metric that fit each other, suites benchmarks: that exist."""
    from isocortex.activations.reductions import parse_reduction

    problems: list[str] = []
    for card in tested.cards():
        try:
            if isinstance(card, DatasetCard):
                _referred(tested.catalogue, card, "stimuli", card.stimuli)
            if isinstance(card, BenchmarkCard):
                parse_reduction(card.reduction)
                problems += _unfit(tested.catalogue, card)
            if isinstance(card, SuiteCard):
                for name in card.benchmarks:
                    tested.catalogue.match("benchmark", name)
        except (IsocortexError, SettingsError) as error:
            problems.append(f"{card.id!r}: {error}")
    expect(not problems, " ".join(problems))


def _unfit(catalogue: Catalogue, card: BenchmarkCard) -> list[str]:
    dataset = _referred(catalogue, card, "dataset", card.dataset)
    metric = _referred(catalogue, card, "metric", card.metric)
    if isinstance(dataset, DatasetCard) and isinstance(metric, MetricCard) and dataset.kind not in metric.accepts:
        return [
            f"Benchmark {card.id!r}: the metric {card.metric!r} takes {' or '.join(metric.accepts)}, "
            f"but {card.dataset!r} holds {dataset.kind}."
        ]
    return []


def _referred(catalogue: Catalogue, card: Card, kind: str, name: str) -> Card:
    from isocortex.loading.resolver import sibling

    return read_card(catalogue.find(kind, sibling(catalogue, card, kind, name)))


def check_imports(tested: PackageUnderTest) -> None:
    """Every module that the manifest names imports in a fresh interpreter."""
    failed = [
        f"importing {module} raised {found['error']}" for module, found in tested.imports.items() if "error" in found
    ]
    expect(not failed, f"Every module must import in a fresh interpreter; {'; '.join(failed)}.")


def check_light_imports(tested: PackageUnderTest) -> None:
    """No module imports torch, nemo or transformers at its top: they belong inside functions."""
    heavy = {module: found["heavy"] for module, found in tested.imports.items() if found.get("heavy")}
    expect(
        not heavy,
        f"{', '.join(HEAVY)} must be imported inside functions; "
        + "; ".join(f"importing {module} also imported {', '.join(names)}" for module, names in heavy.items())
        + ".",
    )


def check_faces(tested: PackageUnderTest) -> None:
    """The package imports core through its faces: what lies behind them may move without a word."""
    plugin = tested.plugin
    spec = None if plugin is None else importlib.util.find_spec(plugin.module)
    folders = [] if spec is None else spec.submodule_search_locations or []
    found = [item for folder in folders for item in imports_behind_faces(Path(folder))]
    expect(
        not found,
        f"Plugins import isocortex itself and isocortex.{{{', '.join(FACES)}}}, not what lies behind; found "
        f"{shorten(found, 3)}.",
    )


def check_objects(tested: PackageUnderTest) -> None:
    """Every object exists and is of the class that its kind of row asks for."""
    without_name = [
        f"{row.kind} {row.id}"
        for row in tested.rows
        if "object" in row.table and not _names_object(row.table["object"])
    ]
    expect(not without_name, f"object must be written 'module:Name'; not so in {shorten(without_name)}.")
    problems = [problem for found in tested.imports.values() for problem in found.get("problems", [])]
    expect(not problems, f"Every object must exist and be of its kind; {'; '.join(problems)}.")
    unseen = [module for module, found in tested.imports.items() if "error" in found]
    if unseen:
        raise CheckSkipped(f"Objects of {shorten(unseen)} cannot be looked at; see imports.")


def _names_object(target: object) -> bool:
    module, _, name = str(target).partition(":")
    return bool(name.isidentifier() and all(part.isidentifier() for part in module.split(".")))


MANIFEST_CHECKS: dict[str, Callable[[PackageUnderTest], None]] = {
    "parses": check_parses,
    "ids": check_ids,
    "rows": check_rows,
    "layer-patterns": check_layer_patterns,
    "files": check_files,
    "references": check_references,
    "imports": check_imports,
    "light-imports": check_light_imports,
    "faces": check_faces,
    "objects": check_objects,
}
