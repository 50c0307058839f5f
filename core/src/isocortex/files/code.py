"""Which source a module stands on, read from syntax trees: nothing is imported, and what is not used does not count.

The closure of a module holds every module of its own package, and of any other plugin package, that it imports, also
inside functions, with the ``__init__`` of the packages on the way.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from isocortex.files.digests import digest_files, digest_of, is_settled, stamp_of

#: import packages of plugins start like this; the package of the row itself may have any name
PLUGIN_PREFIX = "isocortex_"
#: by these a module finds others that its syntax tree does not name; then every module of its package counts
_BY_NAME = (b"import_module", b"__import__", b"lazy_loader")


class _NoSourceError(Exception):
    """The source of a module that counts is nowhere; never leaves this module."""


@dataclass(frozen=True, slots=True)
class _Import:
    """``import module`` or, with names, ``from module import names``; level counts the leading dots."""

    module: str
    names: tuple[str, ...] = ()
    level: int = 0


@dataclass(frozen=True, slots=True)
class _Source:
    """What is remembered of a file of source code."""

    sha256: str
    imports: tuple[_Import, ...] = ()
    by_name: bool = False


#: path → stamp and content; within this process, of files that have not changed for a while
_parsed: dict[Path, tuple[list[int], _Source]] = {}


def closure(*modules: str) -> dict[str, Path] | None:
    """The modules that modules stand on, themselves included, with their files; nothing is imported.

    Of other packages those of plugins count (``isocortex_*``), and no module of core. Packages that are not installed
    do not count. A package without ``__init__`` stands there with its folder.

    Returns
    -------
    Module → file, or None where the source of one of them is not found.

    Examples
    --------
    >>> list(closure("isocortex.errors"))
    ['isocortex', 'isocortex.errors']
    >>> closure("a_module_of_a_notebook") is None
    True
    """
    own = {module.partition(".")[0] for module in modules}
    search = _Search(own)
    try:
        for module in modules:
            search.add(module)
    except _NoSourceError:
        return None
    return dict(sorted(search.found.items()))


def digest_closure(*modules: str) -> str | None:
    """Digest over the source that modules stand on, and the files of their packages that are not Python.

    Not part of it are ``isocortex.toml``, files named README, the folder ``published`` and what is hidden.

    Returns
    -------
    None where the source of a module is not found.

    Examples
    --------
    >>> len(digest_closure("isocortex.errors"))
    64
    """
    found = closure(*modules)
    if found is None:
        return None
    try:
        sources = {name: _source(path).sha256 for name, path in found.items() if path.is_file()}
    except _NoSourceError:
        return None
    files = [pair for name in found if "." not in name for pair in _files_of(name)]
    digests = digest_files(path for _, path in files)
    return digest_of([sources, sorted([name, digests[path]] for name, path in files)])


class _Search:
    """A walk over imports."""

    def __init__(self, own: set[str]) -> None:
        self.own = own
        self.found: dict[str, Path] = {}
        self.locate = cache(partial(_locate, cache(_top_level), cache(_listing)))

    def add(self, module: str) -> None:
        """Take up a module, the packages that it lies in, and all that these import."""
        waiting = [module]
        while waiting:
            name = waiting.pop()
            if name in self.found:
                continue
            path = self.locate(name)
            if path is None:
                raise _NoSourceError(name)
            self.found[name] = path
            waiting.extend(self._needed(name, path))

    def _needed(self, name: str, path: Path) -> Iterator[str]:
        parent = name.rpartition(".")[0]
        if parent:
            yield parent
        if path.is_dir():
            return
        source = _source(path)
        package = name if path.name == "__init__.py" else parent
        for found in source.imports:
            base = _absolute(package, found)
            if self._counts(base):
                yield from self._named(base, found.names)
        if source.by_name and self._counts(name):
            yield from _modules_of(name.partition(".")[0])

    def _counts(self, module: str) -> bool:
        top = module.partition(".")[0]
        wanted = top in self.own or top.startswith(PLUGIN_PREFIX)
        return wanted and top != "isocortex" and self.locate(top) is not None

    def _named(self, base: str, names: Sequence[str]) -> Iterator[str]:
        """The module itself, and those of the names that are modules."""
        yield base
        for name in names:
            if name == "*":
                yield from (module for module in _modules_of(base) if module.count(".") == base.count(".") + 1)
            elif self.locate(f"{base}.{name}") is not None:
                yield f"{base}.{name}"


def _absolute(package: str, found: _Import) -> str:
    if not found.level:
        return found.module
    parts = package.split(".")
    above = parts[: len(parts) - (found.level - 1)]
    return ".".join([*above, *([found.module] if found.module else [])])


# --- where modules lie ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Top:
    """A top-level module: its file, and the folders of a package."""

    origin: Path | None
    folders: tuple[Path, ...]


_TopLevel = Callable[[str], _Top | None]
_Listing = Callable[[Path], frozenset[str]]


def _top_level(name: str) -> _Top | None:
    if name == "__main__":  # a script or a notebook: what lies beside it has no package
        return None
    try:
        spec = importlib.util.find_spec(name)  # of a name without a dot it imports nothing
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    origin = Path(spec.origin) if spec.has_location and spec.origin else None
    return _Top(origin, tuple(map(Path, spec.submodule_search_locations or ())))


def _locate(top_level: _TopLevel, listing: _Listing, name: str) -> Path | None:
    """File of a module, or folder of a package without ``__init__``; None: there is none.

    The folders are listed once for a search: most names of ``from module import names`` are no modules.
    """
    first, *rest = name.split(".")
    top = top_level(first)
    if top is None:
        return None
    if not rest:
        places = [top.origin] if top.origin is not None else list(top.folders)
        return next((place for place in places if place.is_dir() or _is_source(place)), None)
    inside = "/".join(rest[:-1])
    folders = [folder / inside if inside else folder for folder in top.folders]
    return next((path for folder in folders for path in _candidates(folder, rest[-1], listing)), None)


def _candidates(folder: Path, name: str, listing: _Listing) -> Iterator[Path]:
    """In the order of Python: a package, a compiled module, a module, a folder."""
    there = listing(folder)
    if name in there and "__init__.py" in listing(folder / name):
        yield folder / name / "__init__.py"
    yield from (folder / f"{name}{suffix}" for suffix in (*EXTENSION_SUFFIXES, ".py") if f"{name}{suffix}" in there)
    if name in there and (folder / name).is_dir():
        yield folder / name


def _listing(folder: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))  # noqa: PTH208 - names alone are wanted
    except OSError:
        return frozenset()


def _is_source(path: Path) -> bool:
    return path.is_file() and path.name.endswith((".py", *EXTENSION_SUFFIXES))


def _modules_of(package: str) -> Iterator[str]:
    """Names of all modules below a package."""
    first, *rest = package.split(".")
    top = _top_level(first)
    for folder in top.folders if top is not None else ():
        for path in sorted(folder.joinpath(*rest).rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join([first, *(parts[:-1] if parts[-1] == "__init__" else parts)])


def _files_of(package: str) -> Iterator[tuple[str, Path]]:
    """Names and paths of a package's files that are not Python and may decide a number."""
    top = _top_level(package)
    for top_folder in top.folders if top is not None else ():
        for folder, below, names in os.walk(top_folder):
            at_top = Path(folder) == top_folder
            below[:] = [name for name in below if _may_decide(name, at_top)]
            paths = (Path(folder, name) for name in names if _may_decide(name, at_top))
            yield from (
                (f"{package}/{path.relative_to(top_folder).as_posix()}", path) for path in paths if path.is_file()
            )


def _may_decide(name: str, at_top: bool) -> bool:
    """Whether a file or folder of a package may decide a number, beside the modules that count by themselves."""
    described = name.upper().startswith("README") or (at_top and name in ("isocortex.toml", "published"))
    return not (described or name == "__pycache__" or name.startswith(".") or name.endswith((".py", ".pyc")))


# --- what a module says -----------------------------------------------------------------------------------------------


def _source(path: Path) -> _Source:
    """Checksum and imports of a file; one that has not changed is not read again in this process."""
    try:
        now, stamp = time.time_ns(), stamp_of(path)
        known = _parsed.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        source = _read(path)
    except (OSError, SyntaxError, ValueError) as error:
        raise _NoSourceError(str(path)) from error
    if is_settled(stamp, now):
        _parsed[path] = (stamp, source)
    return source


def _read(path: Path) -> _Source:
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    if path.suffix != ".py":
        return _Source(sha256)
    imports = tuple(_imports(ast.parse(content).body))
    return _Source(sha256, imports, any(word in content for word in _BY_NAME))


def _imports(statements: Iterable[ast.AST]) -> Iterator[_Import]:
    """Imports in statements and in all that they hold, but for those that only a type checker makes."""
    for node in statements:
        if isinstance(node, ast.Import):
            yield from (_Import(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield _Import(node.module or "", tuple(alias.name for alias in node.names), node.level)
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            yield from _imports(node.orelse)
        elif isinstance(node, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            for held in ("body", "handlers", "orelse", "finalbody", "cases"):
                yield from _imports(getattr(node, held, ()))


def _is_type_checking(test: ast.expr) -> bool:
    name = test.id if isinstance(test, ast.Name) else test.attr if isinstance(test, ast.Attribute) else ""
    return name == "TYPE_CHECKING"
