"""The points of a run, and of ``isocortex doctor``, at which plugins are called (pluggy).

A plugin names a module in its manifest (``[plugin] hooks = "isocortex_x.hooks"``) that holds functions marked with
``isocortex.hooks.hookimpl``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from isocortex.results.result import Result
    from isocortex.run.plan import Plan

hookspec = pluggy.HookspecMarker("isocortex")
hookimpl = pluggy.HookimplMarker("isocortex")


class RunHooks:
    """The points of a run at which plugins are called."""

    @hookspec
    def isocortex_before_run(self, plan: Plan) -> None:
        """Called once, before the first cell."""

    @hookspec
    def isocortex_after_cell(self, result: Result) -> None:
        """Called after each cell that was computed, scored or failed; not for cached ones."""

    @hookspec
    def isocortex_after_run(self, results: list[Result]) -> None:
        """Called once, with every result of the run."""

    @hookspec
    def isocortex_doctor(self) -> str:  # pyright: ignore[reportReturnType] - pluggy calls the plugins' functions
        """Called by ``isocortex doctor``: one line on what the plugin finds here that is no fault."""
