"""The sentence on software: packages that made the results, the libraries that they stand on, and their versions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from isocortex.results import Result
from isocortex_report.paper.quantities import listed
from isocortex_report.paper.references import References, of_package

if TYPE_CHECKING:
    from isocortex_report.paper.citations import Citations
    from isocortex_report.paper.references import Entry

#: libraries that numbers come out of and that ask to be cited; torch counts where a model's package requires it
LIBRARIES = (
    *("numpy", "scipy", "scikit-learn", "xarray", "torch", "torchvision", "timm", "transformers", "nemo-toolkit"),
)
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")


def software_paragraph(results: Sequence[Result], citations: Citations, unsaid: list[str]) -> str:
    """Versions as the records hold them; where results were made with several, all of them."""
    made = [result.provenance for result in results if result.provenance is not None]
    if not made:
        unsaid.append("with which software: the records hold no provenance")
        return "The software is not recorded."
    packages = packages_of(results)
    named = [f"{name} {versions}{_cited(citations, name, versions)}" for name, versions in packages.items()]
    libraries = libraries_of(results)
    used: list[str] = []
    for name, versions in libraries.items():
        entry = citations.references.of_library(name, versions)
        used.append(f"{name} {versions}{citations.cite([entry] if entry else [])}")
    python = listed(sorted({one.python for one in made if one.python}))
    text = f"Scores were computed with {listed(named)}"
    text += f", on Python {python}" if python else ""
    text += f" with {listed(used)}." if used else "."
    devices = sorted({one.device for one in made})
    threads = sorted({one.n_threads for one in made if one.n_threads is not None})
    if devices == ["cpu"] and len(threads) == 1:
        return f"{text} They were computed on CPUs."
    return f"{text} Devices: {listed(devices)}."


def _cited(citations: Citations, name: str, versions: str) -> str:
    return citations.cite([of_package(name, versions)])


def packages_of(results: Iterable[Result]) -> dict[str, str]:
    """isocortex and the packages of models, data sets, metrics and benchmarks, each with its versions."""
    found: dict[str, set[str]] = {"isocortex": set()}
    for result in results:
        made = result.provenance
        if made is None:
            continue
        found["isocortex"].add(made.distributions.get("isocortex", ""))
        for name, version in made.plugins.items():
            package = name.partition("::")[0]
            if package in made.distributions:
                found.setdefault(package, set()).add(version)
    return {name: listed(sorted(filter(None, found[name]))) for name in sorted(found) if any(found[name])}


def libraries_of(results: Iterable[Result]) -> dict[str, str]:
    """Libraries that packages of the results require, with the versions of the records."""
    found: dict[str, set[str]] = {}
    for result in results:
        made = result.provenance
        if made is None:
            continue
        versions = {_canonical(name): version for name, version in made.distributions.items()}
        for name in required_by(packages_of([result])):
            if name in versions:
                found.setdefault(name, set()).add(versions[name])
    return {name: listed(sorted(found[name])) for name in LIBRARIES if name in found}


def required_by(packages: Iterable[str]) -> list[str]:
    """Libraries of ``LIBRARIES`` that installed packages require, through packages of isocortex and extras.

    Examples
    --------
    >>> "numpy" in required_by(["isocortex"])
    True
    """
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [(_canonical(name), "") for name in packages]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for required, extras, needs in _requirements(name):
            if needs != extra:
                continue
            found.add(required)
            if required.startswith("isocortex"):
                waiting += [(required, one) for one in ("", *extras)]
    return [name for name in LIBRARIES if name in found]


def _requirements(name: str) -> list[tuple[str, tuple[str, ...], str]]:
    try:
        lines = metadata.requires(name) or []
    except Exception:  # not installed, or with metadata that cannot be read
        return []
    found: list[tuple[str, tuple[str, ...], str]] = []
    for line in lines:
        text, _, marker = line.partition(";")
        match = re.match(r"\s*([A-Za-z0-9._-]+)\s*(?:\[([^\]]*)\])?", text)
        extra = _EXTRA.search(marker)
        if match:
            extras = tuple(part.strip() for part in (match[2] or "").split(",") if part.strip())
            found.append((_canonical(match[1]), extras, extra[1] if extra else ""))
    return found


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def software_entries(results: Sequence[Result], references: References) -> list[Entry]:
    """Entries of packages and libraries, as the paragraph cites them."""
    entries = [of_package(name, versions) for name, versions in packages_of(results).items()]
    libraries = [references.of_library(name, versions) for name, versions in libraries_of(results).items()]
    return [*entries, *(entry for entry in libraries if entry is not None)]
