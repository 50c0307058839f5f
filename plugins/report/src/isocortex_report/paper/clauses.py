"""Sentences with ``{fields}``, filled from facts; one whose field is not known is left out and named.

A metric brings its sentences in the file that its row names in ``methods``.
"""

from __future__ import annotations

import fnmatch
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isocortex.errors import PluginError
from isocortex.interfaces import MetricCard
from isocortex_report.paper.quantities import FORMATS, value_text


class Clause(BaseModel):
    """A sentence of a methods section with ``{fields}``, and what must hold for it to be said."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    text: str = Field(min_length=1)
    when: dict[str, str | bool | int | float] = Field(default_factory=dict, description="field to value, or to a glob")


class Account(BaseModel):
    """What is said of one metric, and where in its code the constants are that its sentences name."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    said: tuple[Clause, ...] = ()
    constants: dict[str, str] = Field(default_factory=dict, description="name of a field to module:NAME")


def account_of(card: MetricCard | None) -> Account:
    """What a metric's package says of it; an empty account where it says nothing.

    Raises
    ------
    PluginError
        The file that the row names is not there, not below the package, or not valid.
    """
    if card is None or not card.methods:
        return Account()
    return _accounts(card.folder, card.methods, card.package).get(card.id, Account())


@cache
def _accounts(folder: Path, name: str, package: str) -> dict[str, Account]:
    path = (folder / name).resolve()
    try:
        if not path.is_relative_to(folder.resolve()):
            raise ValueError("it does not lie below the package")
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        return {metric: Account.model_validate(item) for metric, item in found.items()}
    except (OSError, ValueError, ValidationError) as error:
        raise PluginError(
            f"{package}: {name}, which a metric's row names in 'methods', cannot be read: {error}"
        ) from error


_FIELD = re.compile(r"\{([A-Za-z_][\w.-]*)(?::(\w+))?\}")


def said(clauses: Iterable[Clause], facts: Mapping[str, Any], unsaid: list[str]) -> list[str]:
    """The sentences that hold, filled; ``unsaid`` is told of those that lack a field.

    Examples
    --------
    >>> clauses = [Clause(text="In {n_folds:w} folds."), Clause(text="By {group}.", when={"group": "?*"})]
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
