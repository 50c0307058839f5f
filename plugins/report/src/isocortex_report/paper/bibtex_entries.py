"""Entries as BibTeX: escaped for LaTeX, in the order in which they are cited."""

from __future__ import annotations

import re
from collections.abc import Iterable

from isocortex_report.paper.references import Entry

#: an escaped brace would still open or close a field for BibTeX
_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\textbraceleft{}", "}": r"\textbraceright{}", "$": r"\$", "&": r"\&",
    "%": r"\%", "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip
#: fields that are addresses or names of files and not set as text; braces and line ends would still end the field
_VERBATIM = ("doi", "url", "eprint", "archiveprefix")
#: direction and other marks that change what a reader sees
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")


def as_bibtex(entries: Iterable[Entry]) -> str:
    """BibTeX of entries, each once; two of one key are told apart by a number.

    Examples
    --------
    >>> print(as_bibtex([Entry("mine", "misc", {"title": "50 % of #1", "year": "2026"})]))
    @misc{mine,
      title = {{50 \\% of \\#1}},
      year = {2026}
    }
    <BLANKLINE>
    """
    return "\n".join(_entry(entry) for entry in with_own_keys(entries))


def with_own_keys(entries: Iterable[Entry]) -> list[Entry]:
    """Entries, each once, under keys that no two share."""
    found: dict[str, Entry] = {}
    for key, kind, fields in dict.fromkeys((item.key, item.kind, tuple(item.fields.items())) for item in entries):
        own, number = key, 2
        while own in found:
            own, number = f"{key}-{number}", number + 1
        found[own] = Entry(own, kind, dict(fields))
    return list(found.values())


def _entry(entry: Entry) -> str:
    lines = [f"  {name} = {{{_field(name, value)}}}" for name, value in entry.fields.items() if value]
    return f"@{entry.kind}{{{entry.key},\n" + ",\n".join(lines) + "\n}\n"


def _field(name: str, value: str) -> str:
    value = " ".join(_HIDDEN.sub(" ", value).split())
    if name in _VERBATIM:
        return re.sub(r"[{}\\]", "", value)
    if name == "author":
        whole = value.startswith("{") and value.endswith("}")
        inner = escaped(value[1:-1] if whole else value)
        return f"{{{inner}}}" if whole else inner
    return f"{{{escaped(value)}}}" if name == "title" else escaped(value)


def escaped(text: str) -> str:
    """A text as LaTeX sets it, letter by letter; control and direction marks are spaces.

    Examples
    --------
    >>> escaped("a_b & c")
    'a\\\\_b \\\\& c'
    """
    return "".join(_ESCAPES.get(letter, letter) for letter in _HIDDEN.sub(" ", text))
