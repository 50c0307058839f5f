"""Which packages are plugins, and what their manifests say, read with the standard library alone.

Everything that is read here was written by others. Whatever is wrong with a package, from bad bytes in its metadata to
a manifest that would take an hour to parse, is a ``Fault`` of that package, and no other one is hurt by it.
"""

from __future__ import annotations

import copy
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import Distribution

GROUP = "isocortex"
MANIFEST = "isocortex.toml"

#: bounds of what is read: bytes of a file, tables within tables, names joined by dots (tomllib takes their square)
MOST_BYTES, MOST_DEPTH, MOST_DOTS = 2_000_000, 32, 32

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,100}[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]{0,100}")
_TEXT = re.compile(
    r'"""(?:\\.|[^\\])*?"""|' r"'''.*?'''|" r'"(?:\\.|[^"\\\n])*"|' r"'[^'\n]*'|#[^\n]*", re.DOTALL
)  # strings and comments
_DOTTED = re.compile(rf"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{MOST_DOTS}}}")


@dataclass(frozen=True, slots=True)
class Package:
    """An installed distribution that names an import package in the entry point group."""

    name: str
    version: str
    module: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A distribution that cannot be used, and why."""

    name: str
    version: str
    reason: str


class ManifestError(Exception):
    """A manifest that cannot be read; it becomes a record of its package."""


# --- distributions ----------------------------------------------------------------------------------------------------


def find_packages() -> list[Package | Fault]:
    """Every distribution with an entry point of the group; of two with one name the first on the path counts."""
    from importlib.metadata import distributions

    seen: dict[str, Distribution] = {}
    found: set[Package | Fault] = set()
    for one in distributions():
        name = _stem(one)[0]
        key = re.sub(r"[-_.]+", "-", name).lower()
        first = seen.setdefault(key, one)
        points = _entry_points(one)
        if points is None:
            continue
        if first is one or not name:
            found.update(_described(one, points))
        elif _folder(first) == _folder(one):
            versions = " and ".join(_shown(_stem(other)[1]) for other in (first, one))
            reason = f"versions {versions} are installed in one folder; the first counts. Install the package again"
            found.add(Fault(_shown(name), _shown(_stem(one)[1]), reason))
    return sorted(_one_owner(found), key=lambda item: (item.name, item.version, str(item)))


def _one_owner(found: set[Package | Fault]) -> Iterator[Package | Fault]:
    """An import package belongs to one distribution."""
    owners: dict[str, Package] = {}
    for item in sorted(found, key=lambda item: (item.name, item.version, str(item))):
        if isinstance(item, Package) and owners.setdefault(item.module, item) is not item:
            owner = owners[item.module]
            reason = f"its entry point names {item.module!r}, which belongs to {owner.name} {owner.version}"
            yield Fault(item.name, item.version, f"{reason}. Uninstall one of the two")
        else:
            yield item


def _folder(one: Distribution) -> Path | None:
    path = getattr(one, "_path", None)
    return path.parent if isinstance(path, Path) else None


def _stem(one: Distribution) -> tuple[str, str]:
    """Name and version as the folder of the metadata spells them; Distribution.name parses all of it, which is slow."""
    stem = str(getattr(getattr(one, "_path", None), "name", "")).removesuffix(".dist-info").removesuffix(".egg-info")
    name, _, rest = stem.partition("-")
    return name, rest.partition("-")[0] or "unknown"


def _read(one: Distribution, name: str) -> str:
    """A file of the metadata; "" where it is absent.

    Raises
    ------
    ManifestError
        It is no file, too large, or no text.
    """
    path = getattr(one, "_path", None)
    try:
        if isinstance(path, Path):
            return _read_text(path / name) if (path / name).exists() else ""
        return one.read_text(name) or ""
    except Exception as error:
        raise ManifestError(f"{name} cannot be read ({error})") from error


def _entry_points(one: Distribution) -> list[str] | ManifestError | None:
    """Lines of the group in ``entry_points.txt``; None where there are none."""
    try:
        text = _read(one, "entry_points.txt")
    except ManifestError as error:
        return error
    lines: list[str] | None = None
    section = ""
    for line in text.splitlines() if GROUP in text else ():
        content = line.strip()
        if content.startswith("["):
            section = content.strip("[] \t")
            lines = lines or [] if section == GROUP else lines
        elif section == GROUP and lines is not None and content and content[0] not in "#;":
            lines.append(content)
    return lines


def _described(one: Distribution, points: list[str] | ManifestError) -> Iterator[Package | Fault]:
    name, version = map(_shown, _stem(one))
    if isinstance(points, ManifestError):
        if _may_be_a_plugin(one):
            yield Fault(name, version, str(points))
        return
    try:
        name, version = _name_and_version(one, name)
    except ManifestError as error:
        yield Fault(name, version, str(error))
        return
    for point in points:
        _, sign, value = point.partition("=")
        module = value.partition("[")[0].strip()
        if sign and module:
            yield Package(name, version, module)
        else:
            yield Fault(
                name, version, f"entry_points.txt has the line {_shown(point)!r} where 'name = package' belongs"
            )


def _may_be_a_plugin(one: Distribution) -> bool:
    """Whether a distribution whose entry points cannot be read is worth a word: its bytes hold the group."""
    path = getattr(one, "_path", None)
    try:
        with (path / "entry_points.txt").open("rb") as file:  # type: ignore[operator]
            return GROUP.encode() in file.read(MOST_BYTES)
    except (OSError, TypeError, AttributeError):
        return False


def _name_and_version(one: Distribution, name: str) -> tuple[str, str]:
    text = _read(one, "METADATA") or _read(one, "PKG-INFO")
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    header = {key: value.strip() for key, _, value in lines}
    name, version = header.get("Name", name), header.get("Version", "unknown")
    if not _NAME.fullmatch(name):
        raise ManifestError(f"its metadata gives the name {_shown(name)!r}, which is none of a package")
    if not _VERSION.fullmatch(version):
        raise ManifestError(f"its metadata gives the version {_shown(version)!r}, which is none")
    return name, version


def _shown(text: str) -> str:
    """A text of others, short, and without what a terminal would obey."""
    plain = "".join(letter if letter.isprintable() else "�" for letter in text)
    return plain if len(plain) <= 80 else f"{plain[:79]}…"


# --- manifests --------------------------------------------------------------------------------------------------------


def read_manifest(module: str) -> tuple[Path, dict[str, Any]]:
    """The folder of an import package and the content of its manifest; nothing of it is imported.

    Raises
    ------
    ManifestError
        There is none, or it cannot be read.
    """
    folder = _package_folder(module)
    try:
        text = _read_text(folder / MANIFEST)
        _refuse_long_keys(text)
        content = copy.deepcopy(_parsed(text))  # whoever changes what he is given changes his own
    except OSError as error:
        raise ManifestError(f"{MANIFEST} is missing from the package {module!r} ({error.strerror or error})") from error
    except RecursionError as error:
        raise ManifestError(f"{MANIFEST} holds tables nested more than {MOST_DEPTH} deep") from error
    except ValueError as error:
        raise ManifestError(f"{MANIFEST} is not valid TOML: {_shown(str(error))}") from error
    if _depth(content) > MOST_DEPTH:
        raise ManifestError(f"{MANIFEST} holds tables nested more than {MOST_DEPTH} deep")
    return folder, content


@lru_cache(maxsize=256)
def _parsed(text: str) -> dict[str, Any]:
    """A manifest that is read many times in one process is parsed once; a changed one is another text."""
    return tomllib.loads(text)


def _read_text(path: Path) -> str:
    """The text of a file that others wrote.

    Raises
    ------
    ManifestError
        No file of bounded size, so that reading it might never end.
    OSError, ValueError
        It cannot be read, or is no UTF-8.
    """
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise ManifestError(f"{path.name} is no file")
    if about.st_size > MOST_BYTES:
        raise ManifestError(f"{path.name} has {about.st_size / 1e6:.1f} MB; expected at most {MOST_BYTES / 1e6:.0f}")
    with path.open("rb") as file:
        return file.read(MOST_BYTES).decode("utf-8-sig")


def _refuse_long_keys(text: str) -> None:
    if not any(line.count(".") >= MOST_DOTS for line in text.split("\n")):
        return
    if _DOTTED.search(_TEXT.sub("s", text)):
        raise ManifestError(f"{MANIFEST} holds a key of more than {MOST_DOTS} names joined by dots")


def _depth(content: Any) -> int:
    """How deep tables and lists lie in each other, found without recursion."""
    deepest, waiting = 0, [(content, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MOST_DEPTH:
            return depth
        deepest = max(deepest, depth)
        within = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting.extend((item, depth + 1) for item in within)
    return deepest


def _package_folder(module: str) -> Path:
    from importlib.util import find_spec

    shown = _shown(module)
    if not module.isidentifier():
        raise ManifestError(f"the entry point must name a top-level package, found {shown!r}")
    try:
        spec = find_spec(module)
    except Exception as error:  # finders of others are asked
        raise ManifestError(f"the package {shown!r} cannot be found: {error}") from error
    if spec is None or not spec.submodule_search_locations:
        raise ManifestError(f"the package {shown!r} named by the entry point is not installed")
    return Path(os.fspath(next(iter(spec.submodule_search_locations))))
