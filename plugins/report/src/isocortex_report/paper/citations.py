"""References numbered in the order in which a text cites them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from isocortex_report.paper.references import Entry, References


class Citations:
    """Numbers from 1, in the order of the text.

    Parameters
    ----------
    references
        What is known of references.
    """

    def __init__(self, references: References) -> None:
        self.references = references
        self.entries: list[Entry] = []

    def cite(self, entries: Iterable[Entry]) -> str:
        """The numbers of some entries in brackets, after a space; nothing for none."""
        numbers: list[int] = []
        for entry in entries:
            keys = [known.key for known in self.entries]
            if entry.key not in keys:
                self.entries.append(entry)
                keys.append(entry.key)
            numbers.append(keys.index(entry.key) + 1)
        return f" [{', '.join(map(str, dict.fromkeys(numbers)))}]" if numbers else ""

    def named(self, *references: str) -> str:
        """The numbers of references by their DOI, arXiv number or address."""
        return self.cite(map(self.references.entry, references))

    def of_card(self, card: Any) -> str:
        """What a card says to cite; nothing where there is no card."""
        return "" if card is None else self.cite(self.references.of_card(card))
