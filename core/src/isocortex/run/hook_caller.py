"""Calling the hooks of plugins so that a broken one never ends a run."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pluggy

from isocortex.hooks import RunHooks

if TYPE_CHECKING:
    from isocortex.catalogue.rows import Plugin


class HookCaller:
    """Hooks of the installed plugins, each registered and called by itself inside a guard."""

    def __init__(self, plugins: Iterable[Plugin], warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._managers: list[tuple[str, pluggy.PluginManager]] = []
        for plugin in plugins:
            if plugin.hooks:
                self._register(plugin)

    def _register(self, plugin: Plugin) -> None:
        manager = pluggy.PluginManager("isocortex")
        manager.add_hookspecs(RunHooks)
        try:
            manager.register(importlib.import_module(str(plugin.hooks)))
        except (Exception, SystemExit) as error:  # whatever a third party's module raises
            self._warn(f"hooks of {plugin.package} {plugin.version} were not loaded: {type(error).__name__}: {error}")
            return
        self._managers.append((f"{plugin.package} {plugin.version}", manager))

    def call(self, name: str, **arguments: Any) -> list[tuple[str, Any]]:
        """Call one hook of every plugin; an exception is reported and the run goes on.

        Returns
        -------
        (package and version, what its hook gave) of each that gave something.
        """
        given: list[tuple[str, Any]] = []
        for package, manager in self._managers:
            try:
                given += [(package, value) for value in getattr(manager.hook, name)(**arguments)]
            except (Exception, SystemExit) as error:  # whatever a third party's hook raises
                self._warn(f"hook {name} of {package} failed: {type(error).__name__}: {error}")
        return given
