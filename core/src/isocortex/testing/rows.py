"""A row of a manifest on its way through the checks of its kind."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

from isocortex.catalogue.cards import Card, read_card
from isocortex.catalogue.rows import Row
from isocortex.errors import IsocortexError, PluginError
from isocortex.files.libraries import unmet_requirements
from isocortex.testing.outcomes import CheckSkipped, described

Made = TypeVar("Made")


class RowUnderTest:
    """A row with its card and plugin, made when a check first needs them.

    What is wrong with the row itself is found by the checks of the manifest; here it only means that nothing else can
    be checked.
    """

    def __init__(self, row: Row) -> None:
        self.row = row

    @property
    def reference(self) -> str:
        """``package::ID``."""
        return self.row.reference

    @cached_property
    def card(self) -> Card:
        """The card of the row.

        Raises
        ------
        CheckSkipped
            The row is not valid.
        """
        try:
            return read_card(self.row)
        except PluginError as error:
            raise CheckSkipped(f"The row is not valid; see manifest:{self.row.package}:rows.") from error

    @cached_property
    def plugin(self) -> Any:
        """The plugin object.

        Raises
        ------
        CheckSkipped
            What the row names does not load, or is of another kind, or a package that it requires is absent or of
            another version.
        """
        from isocortex.loading.resolver import INTERFACES, load_object, make_plugin

        unmet = unmet_requirements(self.card.requires)
        if unmet:
            raise CheckSkipped(f"It requires {' and '.join(unmet)}.")
        try:
            found = load_object(self.card)
        except (PluginError, SystemExit) as error:
            raise CheckSkipped(
                f"It cannot be imported; see manifest:{self.row.package}:imports and objects."
            ) from error
        if not (isinstance(found, type) and issubclass(found, INTERFACES[self.row.kind])):
            raise CheckSkipped(f"Its object is of another kind; see manifest:{self.row.package}:objects.")
        plugin = make_plugin(self.row.kind, self.card)
        if self.row.kind == "model":
            plugin.offline = True  # a check never uses the network
        return plugin


def skip_unless(check: str, error: Exception) -> CheckSkipped:
    """What a check raises where an earlier one fails already."""
    reason = str(error) if isinstance(error, IsocortexError) else described(error)
    return CheckSkipped(f"See {check}, which fails first: {reason}")


def made(make: Callable[[], Made]) -> Made:
    """What a function makes.

    Raises
    ------
    CheckSkipped
        It raises; the check ``loads`` says how.
    """
    try:
        return make()
    except CheckSkipped:
        raise
    except Exception as error:  # whatever a third party's constructor raises
        raise skip_unless("loads", error) from error
