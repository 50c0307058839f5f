"""Sentences with ``{fields}``, filled from facts; one whose field is not known is left out and named."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from isocortex_report.paper.quantities import FORMATS, value_text

if TYPE_CHECKING:
    from isocortex.interfaces import MethodsClause

_FIELD = re.compile(r"\{([A-Za-z_][\w.-]*)(?::(\w+))?\}")


def said(clauses: Iterable[MethodsClause], facts: Mapping[str, Any], unsaid: list[str]) -> list[str]:
    """The sentences that hold, filled; ``unsaid`` is told of those that lack a field.

    Examples
    --------
    >>> from isocortex.interfaces import MethodsClause
    >>> clauses = [MethodsClause(text="In {n_folds:w} folds."), MethodsClause(text="By {group}.", when={"group": "?*"})]
    >>> said(clauses, {"n_folds": 5, "group": ""}, [])
    ['In five folds.']
    """
    found: list[str] = []
    for clause in clauses:
        if not all(_holds(facts.get(name), wanted) for name, wanted in clause.when.items() if name in facts):
            continue
        missing = [name for name in (*clause.when, *_fields(clause.text)) if name not in facts]
        if missing:
            unsaid.append(f"“{clause.text}”: {', '.join(dict.fromkeys(missing))} not in the record")
        else:
            found.append(filled(clause.text, facts))
    return found


def filled(text: str, facts: Mapping[str, Any]) -> str:
    """A sentence with its fields; behind a colon stands how a number is written: w (in words), times, power, percent.

    Examples
    --------
    >>> filled("{n:times}, from {low:power}", {"n": 2, "low": 1e-5})
    'twice, from 10⁻⁵'
    """

    def field(match: re.Match[str]) -> str:
        value = facts[match[1]]
        return FORMATS[match[2]](value) if match[2] in FORMATS else value_text(value)

    return _FIELD.sub(field, text)


def _fields(text: str) -> list[str]:
    return [match[1] for match in _FIELD.finditer(text)]


def _holds(found: Any, wanted: Any) -> bool:
    if isinstance(found, list | tuple):
        return any(_holds(item, wanted) for item in found)
    if isinstance(wanted, str) and not isinstance(found, bool):
        return fnmatch.fnmatchcase(str(found), wanted)
    return found == wanted
