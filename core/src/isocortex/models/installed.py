"""Whether a module belongs to an installed library, whose name and version say what it computes."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import sysconfig
import types
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path

from isocortex.files.libraries import public_version

#: folders in which installed libraries lie; what is installed for editing lies elsewhere, and counts by its content
_SITES = frozenset({"site-packages", "dist-packages"})


def library_version(module: str) -> str | None:
    """The version of the library that a module belongs to; None: its code counts by what it says.

    Python's own library has the version of Python. Scripts, notebooks and packages that are edited in place have none.

    Examples
    --------
    >>> library_version("numpy.linalg") is None, library_version("__main__") is None
    (False, True)
    """
    return _version_of_top(module.partition(".")[0])


def version_of_code(function: types.FunctionType) -> str | None:
    """As ``library_version``, for a function whose code lies where the library does: what is made at run time does not.

    Examples
    --------
    >>> version_of_code(library_version) is None, version_of_code(lambda: None) is None
    (False, True)
    """
    top = str(function.__globals__.get("__name__", "")).partition(".")[0]
    file = function.__code__.co_filename
    inside = file.startswith("<frozen ") or any(file.startswith(place) for place in _places(top))
    return _version_of_top(top) if inside else None


@cache
def _places(name: str) -> tuple[str, ...]:
    """Folders, or the one file, of a top-level module."""
    if name in sys.stdlib_module_names:
        return (sysconfig.get_path("stdlib") + os.sep,)
    spec = _spec(name)
    if spec is None:
        return ()
    folders = [str(Path(place)) + os.sep for place in spec.submodule_search_locations or ()]
    return (*folders, *([spec.origin] if spec.origin and spec.has_location else []))


@cache
def _version_of_top(name: str) -> str | None:
    if name in sys.stdlib_module_names and name != "__main__":
        return platform.python_version()
    if name == "isocortex":
        from isocortex.files.core_content import digest_core

        return digest_core("results")
    if not _is_installed(name):
        return None
    distributions = _distributions().get(name, [])
    versions = [f"{one} {public_version(one)}" for one in sorted(set(distributions))]
    return "; ".join(versions) or None


@cache
def _distributions() -> dict[str, list[str]]:
    """Import package → the distributions that bring it."""
    from importlib.metadata import packages_distributions

    return {name: list(found) for name, found in packages_distributions().items()}


def _is_installed(name: str) -> bool:
    spec = _spec(name)
    if spec is None:
        return False
    places = [spec.origin] if spec.origin and spec.has_location else list(spec.submodule_search_locations or ())
    return bool(places) and all(_SITES & set(Path(place).parts) for place in places)


def _spec(name: str) -> ModuleSpec | None:
    if name == "__main__" or not name:
        return None
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
