"""What each stimulus holds once it is read, so that equal stimuli are found under whatever IDs and however saved.

Decoding all files takes time, and their bytes decide what comes out: what was found is remembered in the cache folder
by the digests of the files, in a sealed record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from isocortex.errors import DataError, shorten
from isocortex.files.core_content import digest_core
from isocortex.files.digests import digest_of
from isocortex.files.disk import cache_folder
from isocortex.files.sealed import believed, write_sealed_if_possible

if TYPE_CHECKING:
    from isocortex.data.stimuli import StimulusSet


def contents_of(stimuli: StimulusSet, digest_loaded: Callable[[Any], str]) -> tuple[str, ...]:
    """A digest of the samples and rate, or of the pixels, of each stimulus in canonical order.

    A file that cannot be read stands for itself by its bytes: whoever reads it says what is wrong with it.
    """
    by_bytes = stimuli.content_digests
    places = {digest: place for place, digest in enumerate(by_bytes) if digest.startswith("file:")}
    if not places:
        return by_bytes
    key = digest_of([stimuli.modality, digest_core("activations"), sorted(places)])
    memory = cache_folder() / "contents" / f"{key}.json"
    record = believed(memory)
    known: dict[str, str] = record["contents"] if record.get("key") == key else {}
    if set(known) != set(places):
        known = {digest: _decoded(stimuli, place, digest, digest_loaded) for digest, place in places.items()}
        write_sealed_if_possible(memory, {"key": key, "contents": known})
    return tuple(known.get(digest, digest) for digest in by_bytes)


def _decoded(stimuli: StimulusSet, place: int, by_bytes: str, digest_loaded: Callable[[Any], str]) -> str:
    try:
        return digest_loaded(stimuli.load(place))
    except DataError:
        return by_bytes


def equal_groups(ids: Sequence[str], contents: Sequence[str]) -> list[list[str]]:
    """IDs of stimuli that hold the same, for each content that is there more than once.

    Examples
    --------
    >>> equal_groups(["a", "b", "c"], ["x", "y", "x"])
    [['a', 'c']]
    """
    found: dict[str, list[str]] = {}
    for name, content in zip(ids, contents, strict=True):
        found.setdefault(content, []).append(name)
    return [names for names in found.values() if len(names) > 1]


def said_of_equal(groups: Sequence[Sequence[str]]) -> str:
    """The beginning of a warning of equal stimuli.

    Examples
    --------
    >>> said_of_equal([["a", "c"]])
    '2 stimuli hold the same as another under another ID (a = c)'
    """
    n_stimuli = sum(map(len, groups))
    listed = shorten((" = ".join(names[:3]) + (" = …" if len(names) > 3 else "") for names in groups), 3)
    return f"{n_stimuli} stimuli hold the same as another under another ID ({listed})"
