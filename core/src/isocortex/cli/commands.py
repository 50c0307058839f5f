"""The command line: a group that imports a command when it is asked for, so that listing stays light."""

from __future__ import annotations

import sys
from collections import UserDict
from importlib import import_module
from typing import Any

import click

from isocortex.catalogue.rows import Catalogue
from isocortex.errors import EXIT_FAILED, EXIT_USAGE, IsocortexError, UsageError

#: command of core → where it is defined, in modules that import at their top nothing that `--help` should not pay for
COMMANDS = {
    "check": "isocortex.cli.showing:check",
    "compare": "isocortex.cli.showing:compare",
    "extract": "isocortex.cli.running:extract",
    "fetch": "isocortex.cli.running:fetch",
    "info": "isocortex.cli.showing:info",
    "list": "isocortex.cli.list:list_",
    "score": "isocortex.cli.running:score",
    "show": "isocortex.cli.showing:show",
}


class _Commands(UserDict[str, Any]):
    """Commands by name; the module that ``module:name`` refers to is imported when its command is asked for."""

    def __getitem__(self, key: str) -> Any:
        module, _, name = self.data[key].partition(":")
        return getattr(import_module(module), name)


class Group(click.Group):
    """Commands of core, and those that plugins add in their manifests."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands; those of plugins come from manifests, without importing them."""
        added = [row.id for row in Catalogue.discover().of_kind("command")]
        return [*super().list_commands(ctx), *(name for name in added if name not in self.commands)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command of core, or one of a plugin that is imported when it runs."""
        own = super().get_command(ctx, cmd_name)
        rows = [] if own else [row for row in Catalogue.discover().of_kind("command") if row.id == cmd_name]
        if not rows:
            return own or _hint(cmd_name)
        row = rows[0]
        return click.Command(
            cmd_name,
            callback=lambda arguments: _run_added(row.reference, arguments),
            params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
            help=str(row.table.get("help", "")),
            context_settings={"ignore_unknown_options": True, "help_option_names": []},
        )


def _hint(name: str) -> None:
    """Say which package brings a known command that is not installed."""
    from isocortex.catalogue.rows import package_that_offers

    package = package_that_offers("command", name)
    if package:
        raise UsageError(f"The command {name!r} comes with {package}: pip install {package}.")


def _run_added(reference: str, arguments: tuple[str, ...]) -> None:
    from isocortex.catalogue.cards import read_card
    from isocortex.loading.resolver import load_object

    command = load_object(read_card(Catalogue.discover().find("command", reference)))
    command.main(args=list(arguments), prog_name=f"isocortex {command.name}", standalone_mode=False)


@click.group(
    cls=Group,
    commands=_Commands(COMMANDS),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(package_name="isocortex", prog_name="isocortex")
def cli() -> None:
    """Score how well artificial neural networks predict the sensory cortex."""


def main() -> None:
    """Run the command line; errors are one message, without a traceback."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        print("Interrupted. Finished cells are kept; the same command goes on from there.", file=sys.stderr)
        code = 130
    except click.ClickException as error:
        error.show()
        code = EXIT_USAGE
    except UsageError as error:
        print(f"Error: {error}", file=sys.stderr)
        code = EXIT_USAGE
    except IsocortexError as error:
        print(f"Error: {error}", file=sys.stderr)
        code = EXIT_FAILED
    sys.exit(code if isinstance(code, int) else 0)
