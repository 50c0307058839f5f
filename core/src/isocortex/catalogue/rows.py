"""What is installed: entry points → manifests → rows, on the standard library alone.

Nothing here imports a plugin. A package is found through the entry point group ``isocortex``, its ``isocortex.toml``
is read from the package's folder, and a manifest that cannot be read is kept as a record of what is wrong with it.
"""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from isocortex.catalogue.installed import MANIFEST, Fault, ManifestError, Package, find_packages, read_manifest
from isocortex.errors import AmbiguousIDError, UnknownIDError, shorten, suggest

API_VERSION = 1
#: bytes of an ID: results of it lie in a folder of that name
MOST_OF_AN_ID = 150

#: kind of row → the keys it must have for being listed
KINDS: dict[str, tuple[str, ...]] = {
    "model": ("id", "object"),
    "stimuli": ("id", "object"),
    "dataset": ("id", "object"),
    "metric": ("id", "object"),
    "benchmark": ("id", "dataset", "metric"),
    "command": ("id", "object"),
    "executor": ("id", "object"),
    "suite": ("id",),
}

#: kind of row → what its card has where the row is silent; listing knows it without reading cards
DEFAULTS: dict[str, dict[str, Any]] = {
    "model": {"variants": ["fixed"], "resampler": "soxr", "random": False},
    "dataset": {"kind": "responses"},
    "metric": {"accepts": ["responses"], "unbiased": True, "named_units": False, "spaces": False, "splits": False},
    "benchmark": {
        "version": 1,
        "reduction": "flatten",
        "aggregate": "median-mean",
        "ceiling": "repetitions",
        "ceiling_mode": "none",
    },
    "suite": {"version": 1},
}


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a manifest, as it stands there.

    ``family`` holds the pattern (``noise/*``) when the row was found through one.
    """

    kind: str
    id: str
    package: str
    version: str
    module: str
    folder: Path
    table: Mapping[str, Any]
    family: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every spelling of the row: its ID, and the ``aliases`` of its table."""
        aliases = self.table.get("aliases", ())
        listed = aliases if isinstance(aliases, list) else ()
        return self.id, *(name for name in listed if isinstance(name, str))

    @property
    def reference(self) -> str:
        """``package::ID``, which names this row even where two packages share an ID."""
        return f"{self.package}::{self.id}"


@dataclass(frozen=True, slots=True)
class Plugin:
    """An installed package with a manifest that could be read."""

    package: str
    version: str
    module: str
    hooks: str | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """A package, or a row of one, that cannot be used, and why."""

    package: str
    version: str
    reason: str


class Catalogue:
    """Everything that the installed packages offer.

    Examples
    --------
    >>> catalogue = Catalogue.discover()
    >>> all(row.kind in KINDS for row in catalogue.rows)
    True
    """

    def __init__(self, plugins: Iterable[Plugin], rows: Iterable[Row], broken: Iterable[Broken]) -> None:
        self.plugins = tuple(plugins)
        self.rows = tuple(rows)
        self.broken = tuple(broken)

    @classmethod
    def discover(cls) -> Catalogue:
        """Read the manifest of every installed package of the entry point group."""
        known = _KNOWN.get()
        if known is not None:
            return known
        plugins: list[Plugin] = []
        rows: list[Row] = []
        broken: list[Broken] = []
        for package in find_packages():
            if isinstance(package, Fault):
                broken.append(Broken(package.name, package.version, package.reason))
                continue
            try:
                plugin, found = _read_package(package)
            except ManifestError as error:
                broken.append(Broken(package.name, package.version, str(error)))
                continue
            except Exception as error:  # nothing that a package holds ends a command
                reason = f"{MANIFEST} cannot be read: {type(error).__name__}: {error}"
                broken.append(Broken(package.name, package.version, reason))
                continue
            plugins.append(plugin)
            for item in found:
                (rows if isinstance(item, Row) else broken).append(item)  # type: ignore[arg-type]
        return cls(plugins, rows, broken)

    def of_kind(self, kind: str) -> list[Row]:
        """All rows of one kind, ordered by ID."""
        return sorted((row for row in self.rows if row.kind == kind), key=lambda row: (row.id, row.package))

    def conflicts(self) -> dict[tuple[str, str], list[Row]]:
        """Names (IDs and aliases) that more than one package offers, with their rows."""
        by_name: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            for name in row.names:
                by_name.setdefault((row.kind, name), []).append(row)
        return {key: rows for key, rows in by_name.items() if len(rows) > 1}

    def find(self, kind: str, name: str) -> Row:
        """Return the one row of that kind and ID or alias (``ID`` or ``package::ID``), or a member of a family.

        Raises
        ------
        UnknownIDError
            Nothing installed offers it; the message names the closest IDs and, where known, the package to install.
        AmbiguousIDError
            Several packages offer it.
        """
        package, _, wanted = name.rpartition("::")
        offered = [row for row in self.of_kind(kind) if not package or row.package == package]
        found = [row for row in offered if wanted in row.names]
        if not found:
            found = [
                replace(row, id=wanted, family=row.id)
                for row in offered
                if is_pattern(row.id) and fnmatch.fnmatchcase(wanted, row.id)
            ]
        if not found:
            raise UnknownIDError(self._unknown(kind, name, wanted))
        if len(found) > 1:
            choices = " or ".join(row.reference for row in found)
            raise AmbiguousIDError(
                f"{kind} {wanted!r} is offered by {len(found)} installed packages. Name the one you mean: {choices}."
            )
        return found[0]

    def match(self, kind: str, pattern: str) -> list[Row]:
        """Return the rows whose ID or alias a glob (or a plain name) matches; families are matched by plain IDs only.

        Raises
        ------
        UnknownIDError
            The pattern matches nothing.
        AmbiguousIDError
            It matches an ID that several packages offer.
        """
        if not is_pattern(pattern):
            return [self.find(kind, pattern)]
        package, _, wanted = pattern.rpartition("::")
        ids = sorted(
            {
                row.id
                for row in self.of_kind(kind)
                if not is_pattern(row.id)
                and any(fnmatch.fnmatchcase(name, wanted) for name in row.names)
                and (not package or row.package == package)
            }
        )
        if not ids:
            raise UnknownIDError(self._unknown(kind, pattern, wanted))
        return [self.find(kind, f"{package}::{name}" if package else name) for name in ids]

    def _unknown(self, kind: str, name: str, wanted: str) -> str:
        known = [name for row in self.of_kind(kind) for name in row.names]
        withheld = why_private(kind, wanted)
        if withheld:
            return f"The {kind} {name!r} cannot be had. {withheld}"
        hint = package_that_offers(kind, wanted)
        install = f" It comes with {hint}: pip install {hint}." if hint else ""
        plural = kind if kind == "stimuli" else f"{kind}s"
        reasons = shorten(f"{item.package} {item.version}: {item.reason}" for item in self.broken)
        broken = f" Not readable: {reasons}." if self.broken else ""
        return (
            f"No installed package offers the {kind} {name!r}.{suggest(wanted, known)}{install}"
            f" 'isocortex list {plural}' shows all {len(self.of_kind(kind))}.{broken}"
        )


_KNOWN: ContextVar[Catalogue | None] = ContextVar("_KNOWN", default=None)


@contextmanager
def installed_once() -> Generator[None]:
    """Look through what is installed once: within, ``load_card`` and the like see it as it was at the beginning.

    For whoever reads hundreds of cards; each of them would look through all packages anew.

    Examples
    --------
    >>> with installed_once():
    ...     Catalogue.discover() is Catalogue.discover()
    True
    """
    token = _KNOWN.set(Catalogue.discover())
    try:
        yield
    finally:
        _KNOWN.reset(token)


def is_pattern(name: str) -> bool:
    """Whether a name holds a wildcard.

    Examples
    --------
    >>> is_pattern("noise/*"), is_pattern("ridge")
    (True, False)
    """
    return any(character in name for character in "*?[")


def _read_package(package: Package) -> tuple[Plugin, list[Row | Broken]]:
    folder, content = read_manifest(package.module)
    header = content.get("plugin", {})
    api = header.get("api") if isinstance(header, dict) else None
    if api != API_VERSION:
        raise ManifestError(f"[plugin] api must be {API_VERSION}, found {api!r}; another isocortex version may fit")
    rows = list(_rows(content, package, folder))
    hooks = header.get("hooks")
    if hooks is not None and not isinstance(hooks, str):
        raise ManifestError(f"[plugin] hooks must name a module, found {hooks!r}")
    return Plugin(package.name, package.version, package.module, hooks), rows


def _rows(content: dict[str, Any], package: Package, folder: Path) -> Iterator[Row | Broken]:
    defaults = content.get("defaults", {})
    if not isinstance(defaults, dict) or not all(isinstance(entry, dict) for entry in defaults.values()):
        raise ManifestError("[defaults] must hold tables such as [defaults.model]")
    for kind, required in KINDS.items():
        tables = content.get(kind, [])
        if not isinstance(tables, list) or not all(isinstance(entry, dict) for entry in tables):
            yield Broken(package.name, package.version, f"[{kind}] must be written [[{kind}]]")
            continue
        seen: set[str] = set()
        for number, entry in enumerate(tables, start=1):
            table = {**defaults.get(kind, {}), **entry}
            if kind == "command":
                table["id"] = table.get("name")
            missing = [key for key in required if not isinstance(table.get(key), str) or not table[key]]
            if missing:
                where = str(table.get("id") or f"number {number}")[:80]
                yield Broken(package.name, package.version, f"{kind} {where} lacks {' and '.join(missing)}")
                continue
            if not _can_be_typed(str(table["id"])):
                yield Broken(
                    package.name, package.version, f"{kind} number {number} has the ID {str(table['id'])[:80]!r}"
                )
                continue
            row = Row(kind, str(table["id"]), package.name, package.version, package.module, folder, table)
            twice = seen.intersection(row.names)
            if twice:
                yield Broken(
                    package.name,
                    package.version,
                    f"{kind} {shorten(sorted(twice))} is there twice; the first row counts",
                )
                continue
            seen.update(row.names)
            yield row


def _can_be_typed(name: str) -> bool:
    """Whether a name fits into a command and, quoted, into the name of a folder."""
    return name.isprintable() and len(name.encode()) <= MOST_OF_AN_ID and name == name.strip()


def why_private(kind: str, name: str) -> str | None:
    """Why the data behind a well-known ID cannot be had, and what there is in their place; None: nothing is known.

    Examples
    --------
    >>> why_private("benchmark", "MajajHong2015.IT-pls").partition(":")[0]
    'The recordings of variation 6 (2,560 images) are private'
    """
    listed = tomllib.loads((Path(__file__).parent / "private.toml").read_text(encoding="utf-8"))["private"]
    for entry in listed:
        if kind in entry["kinds"] and any(fnmatch.fnmatchcase(name, pattern) for pattern in entry["ids"]):
            return f"{entry['why']}. Published is {entry['instead']}."
    return None


def package_that_offers(kind: str, name: str) -> str | None:
    """The package that is known to bring an ID, installed or not."""
    known = tomllib.loads((Path(__file__).parent / "known_plugins.toml").read_text(encoding="utf-8"))
    for package, kinds in known.items():
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in kinds.get(kind, [])):
            return package
    return None
