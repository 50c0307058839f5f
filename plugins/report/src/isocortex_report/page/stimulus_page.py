"""A page to see or hear a set of stimuli, and to filter it by what is known of them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex_report.page.stimulus_media import MOST_PIXELS, MOST_SECONDS, Medium, medium_of
from isocortex_report.page.words import counted

if TYPE_CHECKING:
    import pandas as pd

    from isocortex.data import StimulusSet

#: stimuli on one page, and bytes of all their files beside it; those beyond are counted and left out
MOST_STIMULI, MOST_BYTES = 5_000, 1_000_000_000
#: bytes up to which they are all in the page itself
MOST_INSIDE = 5_000_000
#: values of a column that can be chosen from
MOST_VALUES = 60


@dataclass(frozen=True)
class Item:
    """One stimulus on the page.

    Attributes
    ----------
    address
        Where the medium is: a data URL, or a file beside the page; empty where there is none.
    """

    id: str
    medium: Medium | None
    address: str
    facts: Sequence[tuple[str, str]]
    search: str


def write_stimuli(name: str, out: Path, *, title: str | None = None) -> Path:
    """Write the page of a stimulus set; returns its address.

    Pictures are at most 480 pixels wide or high, sounds are their first 30 seconds. While all of them take at most 5 MB
    they are in the page, else in files beside it: at most 5,000 stimuli and 1 GB.

    Parameters
    ----------
    name
        ID, ``folder:PATH``, or the path of a folder.
    out
        A folder that is not there, is empty, or holds an earlier report.

    Raises
    ------
    UsageError
        No such set, or ``out`` holds something else.
    """
    import isocortex
    from isocortex_report.page.writing import PAGE, report_folder

    known = name if not Path(name).expanduser().is_dir() or ":" in name else f"folder:{name}"
    stimuli = isocortex.load_stimuli(known)
    with report_folder(out) as made:
        items = _items(stimuli, made)
        _write(stimuli, items, made / PAGE, title)
    return out / PAGE


def _items(stimuli: StimulusSet, made: Path) -> list[Item]:
    """All stimuli, in the page while they fit into it, and then all of them in files."""
    kept = min(len(stimuli), MOST_STIMULI)
    table = stimuli.table.iloc[:kept]
    facts = [_facts(row) for row in table.astype(str).to_dict("records")]
    inside: list[Item] = []
    size = 0
    for place in range(kept):
        medium = medium_of(stimuli.load(place))
        size += 0 if medium is None else len(medium.content)
        if size > MOST_INSIDE:
            return _beside(stimuli, made, facts)
        address = "" if medium is None else _data_url(medium)
        inside.append(_item(stimuli.ids[place], medium, address, facts[place]))
    return inside


def _beside(stimuli: StimulusSet, made: Path, facts: Sequence[Sequence[tuple[str, str]]]) -> list[Item]:
    folder = made / "stimuli"
    folder.mkdir()
    items: list[Item] = []
    size = 0
    for place, own in enumerate(facts):
        medium = medium_of(stimuli.load(place))
        size += 0 if medium is None else len(medium.content)
        if size > MOST_BYTES:
            break
        address = ""
        if medium is not None:
            address = f"stimuli/{place:05d}.{medium.ending}"
            (made / address).write_bytes(medium.content)
        items.append(_item(stimuli.ids[place], medium, address, own))
    return items


def _item(identity: str, medium: Medium | None, address: str, facts: Sequence[tuple[str, str]]) -> Item:
    search = " ".join([identity, *(text for _, text in facts)]).lower()
    return Item(identity, medium, address, facts, search)


def _facts(row: dict[Any, Any]) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in row.items() if str(value) not in ("", "nan", "<NA>", "None")]


def _data_url(medium: Medium) -> str:
    return f"data:{medium.mime};base64,{base64.b64encode(medium.content).decode()}"


def columns_of(table: pd.DataFrame) -> dict[str, list[str]]:
    """Columns by which one can filter: those with several values, and not one per stimulus.

    Examples
    --------
    >>> import pandas as pd
    >>> columns_of(pd.DataFrame({"category": ["a", "b", "a"], "name": ["x", "y", "z"], "one": ["1", "1", "1"]}))
    {'category': ['a', 'b']}
    """
    found: dict[str, list[str]] = {}
    for name in table.columns:
        values = sorted({str(value) for value in table[name]} - {"", "nan", "<NA>", "None"})
        if 1 < len(values) <= min(MOST_VALUES, len(table) - 1):
            found[str(name)] = values
    return found


def _write(stimuli: StimulusSet, items: Sequence[Item], page: Path, title: str | None) -> None:
    from importlib.metadata import version

    from isocortex.files import write_atomic
    from isocortex_report.page.rendering import render

    n_left = len(stimuli) - len(items)
    kind = {"image": "pictures", "audio": "sounds"}.get(stimuli.modality, "stimuli")
    text = render(
        "stimuli.html",
        script="stimuli.js",
        style="page.css+stimuli.css",
        media=True,
        title=title or f"{len(stimuli):,} {kind} of {stimuli.id}",
        identity=stimuli.id,
        items=items,
        columns=columns_of(stimuli.table),
        left=f"{counted(n_left, 'more stimulus', 'more stimuli')} did not fit on this page." if n_left else "",
        bound=_bound(stimuli.modality),
        version=version("isocortex-report"),
    )
    write_atomic(page, lambda file: file.write(text.encode("utf-8", errors="replace")))


def _bound(modality: str) -> str:
    if modality == "image":
        return f"Pictures are shown with at most {MOST_PIXELS} pixels on the longer side."
    if modality == "audio":
        return f"Sounds are played from 16-bit files, their first {MOST_SECONDS:.0f} seconds."
    return f"Stimuli of the modality {modality} can be neither shown nor played here."
