"""Results of other computations of one name, in one folder of results: both are kept, and it is said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.files.disk import read_json

if TYPE_CHECKING:
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
    others = (read_json(path) for path in sorted(folder.glob("*/result.json")))
    if not any(_is_other(record.get("digests"), result) for record in others if isinstance(record, dict)):
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
