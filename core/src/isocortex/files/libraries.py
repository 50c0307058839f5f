"""Versions of the libraries that numbers depend on, from the metadata of what is installed; no library is imported.

Packages of isocortex count by their content, never by their version: here they stand for what they require.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_EXTRA = re.compile(r"""\bextra\s*==\s*["']([^"']+)["']""")

#: name, the extra of its distribution that brings it ("" for none), and the extras of it that are wanted
_Requirement = tuple[str, str, tuple[str, ...]]


def public_version(distribution: str) -> str | None:
    """Version of an installed distribution without the build (``+cpu``); None: it is not installed.

    Examples
    --------
    >>> public_version("numpy").count(".") > 0
    True
    >>> public_version("a-distribution-that-nobody-wrote") is None
    True
    """
    version = installed_version(distribution)
    return None if version is None else version.partition("+")[0]


def library_versions(distribution: str, requires: Iterable[str] = ()) -> dict[str, str | None]:
    """Versions of numpy, of what a distribution requires, and of what a row adds in ``requires``.

    Requirements are followed through packages of isocortex, and through extras: ``isocortex[torch]`` is torch and
    safetensors. Those of the distribution's own extras do not count.

    Examples
    --------
    >>> sorted(library_versions("isocortex-none", ["numpy>=1.26", "Pillow"]))
    ['numpy', 'pillow']
    """
    found = {"numpy"}
    seen: set[tuple[str, str]] = set()
    waiting = [(_canonical(distribution), ""), *(part for line in requires for part in _wanted(_parsed(line), found))]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen or (name, extra) == ("isocortex", ""):
            continue
        seen.add((name, extra))
        for required in _requirements(name):
            if required[1] == extra:
                waiting.extend(_wanted(required, found))
    return {name: public_version(name) for name in sorted(found)}


def unmet_requirements(requires: Iterable[str]) -> list[str]:
    """Requirements that what is installed does not meet, each with what is here; those of other systems do not count.

    Examples
    --------
    >>> unmet_requirements(["numpy>=1", "a-distribution-that-nobody-wrote", "numpy>=99; sys_platform == 'never'"])
    ['a-distribution-that-nobody-wrote, which is not installed']
    """
    from packaging.requirements import InvalidRequirement, Requirement

    found: list[str] = []
    for line in requires:
        try:
            one = Requirement(line)
        except InvalidRequirement:
            found.append(f"{line!r}, which is no requirement")
            continue
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        here = installed_version(one.name)
        if here is None:
            found.append(f"{line}, which is not installed")
        elif not one.specifier.contains(here, prereleases=True):
            found.append(f"{line}, but {here} is installed")
    return found


def _wanted(required: _Requirement, found: set[str]) -> Iterator[tuple[str, str]]:
    """Note a library among those found; yield the requirements that stand behind it."""
    name, _, extras = required
    if _is_ours(name):
        yield name, ""
    else:
        found.add(name)
    yield from ((name, extra) for extra in extras)


def _is_ours(name: str) -> bool:
    return name == "isocortex" or name.startswith("isocortex-")


def installed_version(distribution: str) -> str | None:
    """Version of an installed distribution; None: it is not installed, or has metadata that cannot be read."""
    from importlib.metadata import version

    try:
        return version(_canonical(distribution))
    except Exception:  # whatever metadata of others lead the library to
        return None


def _requirements(name: str) -> tuple[_Requirement, ...]:
    from importlib.metadata import requires

    try:
        return tuple(_parsed(line) for line in requires(name) or ())
    except Exception:  # not installed, or with metadata that cannot be read
        return ()


def _parsed(line: str) -> _Requirement:
    """A line of ``Requires-Dist``; of markers only extras are looked at, as what is not installed has no version."""
    text, _, marker = line.partition(";")
    match, extra = _REQUIREMENT.match(text), _EXTRA.search(marker)
    name, extras = match.groups() if match else (text.strip(), None)
    wanted = tuple(_canonical(one.strip()) for one in (extras or "").split(",") if one.strip())
    return _canonical(name), _canonical(extra.group(1)) if extra else "", wanted


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
