"""Data sets in folders that go by one name: refused in one run, and said where results of the other are there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.errors import UsageError
from isocortex.files.disk import folder_name, read_json
from isocortex.loading.resolver import FOLDER_PREFIX

if TYPE_CHECKING:
    from isocortex.loading.resolver import Resolver


def refuse_shared_names(resolver: Resolver, benchmarks: Sequence[str]) -> None:
    """Refuse benchmarks of different folders, or of a folder and a package, whose results would go by one name.

    Raises
    ------
    UsageError
        There are some; the message says how to tell them apart.
    """
    known: dict[str, str] = {}
    for name in benchmarks:
        card = resolver.benchmark_card(name)
        reference = resolver.reference("benchmark", name)
        other = known.setdefault(card.id, reference)
        if other != reference and FOLDER_PREFIX in (reference[: len(FOLDER_PREFIX)], other[: len(FOLDER_PREFIX)]):
            raise UsageError(
                f"{other} and {reference} are both called {card.id!r}, and their results could not be told apart. "
                'Give one of the folders a name of its own: id = "…" in its dataset.toml.'
            )


def said_of_shared_name(out: Path, benchmark: str, dataset: str, digest: str) -> list[str]:
    """A warning of results that go by the name of a folder and were made with another content.

    Parameters
    ----------
    out
        The results folder.
    benchmark, dataset
        IDs.
    digest
        Of the data set.
    """
    paths = sorted(out.glob(f"{folder_name(FOLDER_PREFIX)}*/*/*/result.json"))
    records = [record for record in map(read_json, paths) if _has_digests(record)]
    made = [record["digests"].get("dataset") for record in records if record.get("benchmark") == benchmark]
    others = sum(found is not None and found != digest for found in made)
    if not others:
        return []
    return [
        f"{others} results of {benchmark!r} in {out} were made with other contents of {dataset!r}: of another folder "
        "of that name, or before this one changed. 'id' in dataset.toml gives a folder a name of its own."
    ]


def _has_digests(record: object) -> bool:
    return isinstance(record, dict) and isinstance(record.get("digests"), dict)
