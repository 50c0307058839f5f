"""Commands that plugins add in their manifests, of one word or of two; what they name is imported when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from isocortex.catalogue.rows import Catalogue, Row, package_that_offers
from isocortex.errors import PluginError, UsageError
from isocortex.files.interruption import guard_once


def added_words() -> list[str]:
    """First words of all commands that are added."""
    return sorted(_by_first_word())


def added_command(word: str) -> click.Command | None:
    """The command of a word, or the group of those that begin with it; packages may share a first word.

    Raises
    ------
    UsageError
        A package that is known to bring the command is not installed. Where two packages add the same command, or one
        that is whole and one that goes on, the command itself says so.
    """
    rows = _by_first_word().get(word, [])
    if not rows:
        return _hint(word)
    if any(row.id == word for row in rows):
        return _command(word, rows)
    group = click.Group(word, help="Commands of " + ", ".join(sorted({row.package for row in rows})) + ".")
    for row in rows:
        group.add_command(_command(row.id, [other for other in rows if other.id == row.id]))
    return group


def _by_first_word() -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in Catalogue.discover().of_kind("command"):
        found.setdefault(row.id.partition(" ")[0], []).append(row)
    return found


def _command(name: str, rows: Sequence[Row]) -> click.Command:
    """A command that hands on its arguments; where several packages want its name, one that says so."""
    return click.Command(
        name.rpartition(" ")[2],
        callback=lambda arguments: _run(name, rows, arguments),
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        help=str(rows[0].table.get("help", "")),
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
    )


def _run(name: str, rows: Sequence[Row], arguments: tuple[str, ...]) -> Any:
    from isocortex.catalogue.cards import read_card
    from isocortex.loading.resolver import load_object

    if len(rows) > 1:
        raise _conflict(name, rows)
    card = read_card(rows[0])
    command = load_object(card)
    if not isinstance(command, click.Command):
        raise PluginError(
            f"The command {name!r} of {card.package} {card.package_version} names the object "
            f"{rows[0].table['object']!r}, which is {command!r} and no click command."
        )
    guard_once()
    with command.make_context(f"isocortex {name}", list(arguments)) as context:  # its main would catch interrupts
        return command.invoke(context)


def _conflict(name: str, rows: Sequence[Row]) -> UsageError:
    offered = " and ".join(f"{row.id!r} of {row.package}" for row in rows)
    return UsageError(f"The command {name!r} is not one: {offered} are installed. Uninstall one of the packages.")


def _hint(word: str) -> None:
    """Say which package brings a known command that is not installed."""
    package = package_that_offers("command", word)
    if package:
        raise UsageError(f"The command {word!r} comes with {package}: pip install {package}.")
