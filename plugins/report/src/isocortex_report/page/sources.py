"""Where results come from: software, machine, commands, and the tags of models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isocortex.results import Result
    from isocortex.results.result import Provenance

#: values of one fact that are named; more are counted
_MOST = 4


def provenance_of(results: Sequence[Result]) -> list[tuple[str, str]]:
    """Facts that the results share or differ in, as name and text."""
    made = [result.provenance for result in results if result.provenance is not None]
    return [
        (name, text)
        for name, text in (
            ("Made", _span(item.finished for item in made)),
            ("isocortex", _several(item.distributions.get("isocortex", "") for item in made)),
            ("Commit", _several(map(_commit, made))),
            ("Python", _several(item.python for item in made)),
            ("Machine", _several(item.platform for item in made)),
            ("Device", _several(f"{item.device}, {item.dtype}{', TF32' if item.tf32 else ''}" for item in made)),
            ("Threads", _several(str(item.n_threads or "") for item in made)),
            ("Seeds", _several(str(result.seed) for result in results)),
            ("Computing time", _hours(sum(sum(item.seconds.values()) for item in made))),
            ("Commands", _several(" ".join(item.command) for item in made)),
        )
        if text
    ]


def versions_of(results: Sequence[Result]) -> list[tuple[str, str]]:
    """Plugins, and the libraries that decide numbers, each with the versions that were used."""
    found: dict[str, dict[str, None]] = {}
    for result in results:
        if result.provenance is None:
            continue
        plugins = {name.partition("::")[0]: version for name, version in result.provenance.plugins.items()}
        libraries = {name: version for name, version in result.provenance.distributions.items() if name in LIBRARIES}
        for name, version in {**plugins, **libraries}.items():
            found.setdefault(name, {})[version] = None
    return [(name, ", ".join(versions)) for name, versions in sorted(found.items())]


LIBRARIES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "torchvision",
    "xarray",
    "pandas",
    "soundfile",
    "soxr",
    "pillow",
)


def tags_of(results: Sequence[Result]) -> dict[str, dict[str, str]]:
    """Words and numbers that the cards of installed models carry."""
    import isocortex

    cards = isocortex.load_cards("model", [result.model for result in results])
    return {name: {tag: str(value) for tag, value in card.tags.items()} for name, card in cards.items()}


def _commit(made: Provenance) -> str:
    revision = made.revision or {}
    commit = str(revision.get("commit") or "")[:12]
    return f"{commit}{' with changes' if revision.get('dirty') else ''}" if commit else ""


def _several(values: Iterable[str]) -> str:
    named = list(filter(None, dict.fromkeys(values)))
    more = f" and {len(named) - _MOST} more" if len(named) > _MOST else ""
    return "; ".join(named[:_MOST]) + more


def _span(times: Iterable[str]) -> str:
    known = sorted(filter(None, times))
    if not known:
        return ""
    first, last = (time[:16].replace("T", " ") for time in (known[0], known[-1]))
    return first if first == last else f"{first} to {last}"


def _hours(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
