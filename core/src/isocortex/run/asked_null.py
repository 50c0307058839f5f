"""What is asked of chance (``--null``): how many permutations of which stimuli; what a finished result lacks of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isocortex.errors import SettingsError

if TYPE_CHECKING:
    from isocortex.results.result import Result

#: p is 1 / (B + 1) at best: .05 with the fewest
FEWEST, MOST = 19, 99_999
#: what ``--null`` says where it says no more
DEFAULT = "default"
NONE, NOT_OFFERED = "none", "not offered"
_WITHIN = "within:"


@dataclass(frozen=True)
class Null:
    """What is asked of chance.

    Attributes
    ----------
    n_permutations
        B; None: the metric's own number.
    within
        Stimulus column inside of which stimuli are permuted; "" for none.

    Examples
    --------
    >>> Null.parse("499,within:category").name, Null.parse("default").name
    ('within category', 'unrestricted')
    """

    n_permutations: int | None = None
    within: str = ""

    @classmethod
    def parse(cls, text: str) -> Null:
        """``default``, ``N``, ``within:COLUMN`` or ``N,within:COLUMN``.

        Raises
        ------
        SettingsError
            Anything else, or a number of permutations that is too small or too large.
        """
        number, within = None, ""
        for part in text.split(",", maxsplit=1) if text != DEFAULT else ():
            if part.startswith(_WITHIN) and part != _WITHIN and not within:
                within = part.removeprefix(_WITHIN)
            elif part.isascii() and part.isdigit() and number is None:
                number = int(part)
            else:
                raise SettingsError(
                    f"--null takes a number of permutations, within:COLUMN, or both as N,within:COLUMN; found {text!r}."
                )
        if number is not None and not FEWEST <= number <= MOST:
            raise SettingsError(f"Permutations are {FEWEST} to {MOST:,}; found {number:,}.")
        return cls(number, within)

    @classmethod
    def of(cls, result: Result) -> str | None:
        """What was asked of a finished result, as a text; None: nothing."""
        summary = result.summary
        if summary is None or summary.permuted == NONE:
            return None
        if summary.permuted == NOT_OFFERED or summary.most_permutations is None:
            return DEFAULT
        column = summary.permuted.partition("within ")[2]
        return f"{summary.most_permutations}{f',{_WITHIN}{column}' if column else ''}"

    @property
    def name(self) -> str:
        """As results call it."""
        return f"within {self.within}" if self.within else "unrestricted"

    def is_lacking(self, result: Result) -> bool:
        """Whether a finished result has no level of chance, or rests on fewer permutations than are asked for."""
        if result.summary is None:
            return False
        if result.summary.permuted != self.name:
            return result.summary.permuted == NONE
        rows = [result.summary, *result.regions.values()]
        more = (self.n_permutations or 0) > (result.summary.most_permutations or 0)
        return more and any(row.n_permutations == row.most_permutations for row in rows)

    def said_of_other(self, result: Result) -> str:
        """A sentence where a finished result answers another question; else empty."""
        found = NONE if result.summary is None else result.summary.permuted
        if found in (NONE, NOT_OFFERED, self.name):
            return ""
        return (
            f"its chance is that of stimuli permuted {found}, and stays; score into another --out for {self.name}, "
            "which is another question"
        )
