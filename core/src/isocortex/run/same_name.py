"""What goes by one name: refused within one run; in one folder of results all of it is kept, and it is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.errors import UsageError
from isocortex.files.disk import folder_name
from isocortex.files.sealed import read_sealed
from isocortex.loading.resolver import FOLDER_PREFIX

if TYPE_CHECKING:
    from isocortex.loading.resolver import Resolver
    from isocortex.results.result import Result


def said_of_other_computations(folder: Path, result: Result) -> list[str]:
    """A warning where another computation of the same name was scored on the same stimuli before.

    Parameters
    ----------
    folder
        Where results of a model on a benchmark lie.
    result
        The new one, of a model that the user made.

    Examples
    --------
    >>> from isocortex.results.result import Result
    >>> said_of_other_computations(Path("nowhere"), None)
    []
    """
    others = (read_sealed(path).content for path in sorted(folder.glob("*/result.json")))
    if not any(_is_other(record.get("digests"), result) for record in others):
        return []
    return [
        f"Results of another computation that is called {result.model!r} as well lie in the same folder, and both are "
        "kept. Give each a name of its own, isocortex.wrap(…, name=…), to tell them apart in tables."
    ]


def _is_other(known: Any, result: Result) -> bool:
    if not isinstance(known, Mapping) or known.get("stimuli") != result.digests.get("stimuli"):
        return False
    return _computed(known) != _computed(result.digests)


def _computed(digests: Mapping[str, Any]) -> Any:
    """What stands for the model: its digest, or that of its activations."""
    return digests.get("model") or digests.get("activations of model")


# --- data sets in folders --------------------------------------------------------------------------------------------


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
    """A warning of results that go by the name of a folder, or of the user's own data, and have another content.

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
    paths += sorted((out / folder_name(benchmark)).glob("*/*/result.json"))
    records = [record for path in paths if _has_digests(record := read_sealed(path).content)]
    made = [record["digests"].get("dataset") for record in records if record.get("benchmark") == benchmark]
    others = sum(found is not None and found != digest for found in made)
    if not others:
        return []
    return [
        f"{others} results of {benchmark!r} in {out} were made with other contents of {dataset!r}: of another folder "
        "or data of that name, or before these changed. 'id' in dataset.toml gives a folder a name of its own, its id "
        "a data set, and its name an array."
    ]


def _has_digests(record: object) -> bool:
    return isinstance(record, dict) and isinstance(record.get("digests"), dict)
