"""Hooks of one plugin never end a run or those of another."""

from __future__ import annotations

import sys
import types

import pytest

from isocortex.catalogue.rows import Plugin
from isocortex.hooks import hookimpl
from isocortex.run.hook_caller import HookCaller
from tests.lab import Lab, Typed
from tests.third_party.install import write_package


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


# --- around a run -----------------------------------------------------------------------------------------------------

WATCHING = """
from isocortex.hooks import hookimpl

CALLS = []


@hookimpl
def isocortex_before_run(plan):
    CALLS.append(("before", [cell.name for cell in plan.cells]))


@hookimpl
def isocortex_after_cell(result):
    CALLS.append(("cell", f"{result.model} {result.status}"))


@hookimpl
def isocortex_after_run(results):
    CALLS.append(("after", [result.cached for result in results]))
"""


def add_hooks(lab: Lab, text: str, name: str = "iso-hooks") -> None:
    """Install a package of hooks."""
    module = name.replace("-", "_")
    manifest = f'[plugin]\napi = 1\nhooks = "{module}.watching"\n'
    write_package(lab.site, name, {"isocortex.toml": manifest, "watching.py": text})


def calls(name: str = "iso_hooks") -> list[tuple[str, object]]:
    """What the hooks were called with since the last time."""
    seen = sys.modules[f"{name}.watching"].CALLS
    found = list(seen)
    seen.clear()
    return found


def test_hooks_are_called_before_after_each_computed_cell_and_at_the_end(lab: Lab) -> None:
    add_hooks(lab, WATCHING)
    lab.score(["lab-net", "fault-run"], "lab.fit")
    assert calls() == [
        ("before", ["lab-net@fixed × lab.fit", "fault-run@fixed × lab.fit"]),
        ("cell", "lab-net scored"),
        ("cell", "fault-run failed"),
        ("after", [False, False]),
    ]
    lab.score(["lab-net", "fault-run"], "lab.fit")
    assert [what for what, _ in calls()] == ["before", "cell", "after"], "what was found is not told"


def test_the_result_is_on_disk_when_the_hook_of_its_cell_is_called(lab: Lab) -> None:
    looking = WATCHING.replace('f"{result.model} {result.status}"', 'len(list(Path("results").rglob("result.json")))')
    add_hooks(lab, "from pathlib import Path\n" + looking)
    lab.score(["lab-net", "lab-second"], "lab.fit")
    assert [count for what, count in calls() if what == "cell"] == [1, 2]


@pytest.mark.parametrize("hook", ["before_run", "after_cell", "after_run"])
@pytest.mark.parametrize("fault", ["ValueError('no room')", "SystemExit('no room')"])
def test_a_hook_that_raises_or_exits_is_told_and_the_run_goes_on(lab: Lab, typed: Typed, hook: str, fault: str) -> None:
    kind_of_call = {"before_run": "before", "after_cell": "cell", "after_run": "after"}[hook]
    note = f"def note(entry):\n    CALLS.append(entry)\n    if entry[0] == {kind_of_call!r}:\n        raise {fault}\n"
    text = WATCHING.replace("CALLS.append", "note").replace("CALLS = []\n", f"CALLS = []\n\n\n{note}")
    add_hooks(lab, text)
    add_hooks(lab, WATCHING, "iso-other")
    done = typed("score", "-m", "lab-net", "-m", "lab-second", "-b", "lab.fit")
    assert done.code == 0, done.err
    kind = fault.partition("(")[0]
    said = f"hook isocortex_{hook} of iso-hooks 0.1.0 failed: {kind}: no room"
    assert done.err.count(said) == (2 if hook == "after_cell" else 1)
    assert "2 cells: 2 computed" in done.err
    for name in ("iso_hooks", "iso_other"):
        assert [what for what, _ in calls(name)] == ["before", "cell", "cell", "after"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import no_such_module_at_all", "ModuleNotFoundError"),
        ("raise RuntimeError('no display')", "RuntimeError: no display"),
        ("import sys\nsys.exit('no licence')", "SystemExit: no licence"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_hooks_that_cannot_be_imported_are_told_once_and_the_run_goes_on(
    lab: Lab, typed: Typed, text: str, words: str
) -> None:
    add_hooks(lab, text)
    done = typed("score", "-m", "lab-net", "-m", "lab-second", "-b", "lab.fit")
    assert done.code == 0, done.err
    assert done.err.count("hooks of iso-hooks 0.1.0 were not loaded") == 1
    assert words in done.err
    assert "2 cells: 2 computed" in done.err


def test_a_hook_cannot_stop_a_person_who_stops_the_run(lab: Lab) -> None:
    add_hooks(lab, WATCHING.replace('CALLS.append(("before"', 'raise KeyboardInterrupt\n    CALLS.append(("before"'))
    with pytest.raises(KeyboardInterrupt):
        lab.score("lab-net", "lab.fit")


def test_listing_and_planning_load_no_hooks(lab: Lab, typed: Typed) -> None:
    add_hooks(lab, "raise RuntimeError('no display')")
    for command in (("list",), ("info", "lab-net"), ("score", "-m", "lab-net", "-b", "lab.fit", "--dry-run")):
        done = typed(*command)
        assert done.code == 0, done.err
        assert "no display" not in done.err
    assert "iso_hooks.watching" not in sys.modules
