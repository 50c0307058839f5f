"""Hooks of one plugin never end a run or those of another."""

from __future__ import annotations

import sys
import types

import pytest

from isocortex.catalogue.rows import Plugin
from isocortex.hooks import hookimpl
from isocortex.run.hook_caller import HookCaller


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch):
    """Make a hook module out of functions."""

    def make(name: str, **functions: object) -> Plugin:
        made = types.ModuleType(name)
        for key, function in functions.items():
            setattr(made, key, hookimpl(function))
        monkeypatch.setitem(sys.modules, name, made)
        return Plugin(f"package-{name}", "1.0", name, hooks=name)

    return make


def test_every_plugin_is_called_though_one_fails(module) -> None:
    seen: list[object] = []

    def broken(result: object) -> None:
        raise ValueError("no room")

    plugins = [
        module("first", isocortex_after_cell=lambda result: seen.append(("first", result))),
        module("second", isocortex_after_cell=broken),
        module("third", isocortex_after_cell=lambda result: seen.append(("third", result))),
        Plugin("without", "1.0", "without"),
    ]
    warnings: list[str] = []
    HookCaller(plugins, warnings.append).call("isocortex_after_cell", result=7)
    assert sorted(seen) == [("first", 7), ("third", 7)]
    assert warnings == ["hook isocortex_after_cell of package-second 1.0 failed: ValueError: no room"]


def test_hooks_that_do_not_import_are_named() -> None:
    warnings: list[str] = []
    HookCaller([Plugin("odd", "2.0", "odd", hooks="no_such_module_at_all")], warnings.append)
    assert len(warnings) == 1
    assert "hooks of odd 2.0 were not loaded: ModuleNotFoundError" in warnings[0]


def test_a_hook_that_no_specification_names_is_refused(module) -> None:
    warnings: list[str] = []
    caller = HookCaller([module("stray", isocortex_before_run=lambda plan, extra: (plan, extra))], warnings.append)
    caller.call("isocortex_before_run", plan=None)
    assert "hooks of package-stray 1.0 were not loaded" in warnings[0]
