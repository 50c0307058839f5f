"""The command line in a forked child that tells in which phase it is, and when."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

#: phase → functions that are it, as module:name; what is before the first is the start
PHASES = {
    "planning": ("isocortex.run.plan:plan", "isocortex.run.choosing:choose_models"),
    "extraction": ("isocortex.extraction.extractor:extract",),
    "scoring": ("isocortex.scoring.comparison:Comparison.score_all",),
    "scores.nc": ("isocortex.run.runner:write_scores",),
    "printing": ("isocortex.cli.score:print_table",),
    "copying": ("isocortex.extraction.cached:copy_layers", "isocortex.cli.score:copy_layers",
                "isocortex.files.file_store:FileStore.adopt"),
    "importing": ("isocortex_nh2015.import_command:_import_activations",),
}  # fmt: skip


def run_child(arguments: Sequence[str], folder: Path, channel: int) -> None:
    """Run the command in a folder of its own, telling when a phase begins and ends; never returns."""
    code = 99
    try:
        os.chdir(folder)
        os.environ.update(ISOCORTEX_CACHE=str(folder / "cache"), ISOCORTEX_DATA=str(folder / "data"))
        said = os.open(folder / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        sys.argv = ["isocortex", *arguments]
        mark_phases(channel)
        from isocortex.__main__ import main

        tell(channel, "start", "begins")
        main()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def tell(channel: int, phase: str, what: str) -> None:
    """A line with a time that all processes share."""
    os.write(channel, f"{phase}\t{what}\t{time.monotonic_ns()}\n".encode())


def mark_phases(channel: int) -> None:
    """Wrap the functions of phases, each when its module is imported; nothing is imported for it."""
    waiting = {name: phase for phase, names in PHASES.items() for name in names}

    def wrap(module: str) -> None:
        for name in [name for name in waiting if name.partition(":")[0] == module]:
            *path, last = name.partition(":")[2].split(".")
            owner = functools.reduce(getattr, path, sys.modules[module])
            setattr(owner, last, marked(getattr(owner, last), waiting.pop(name), channel))

    class Finder:
        """Hears of every import."""

        def find_spec(self, *_: Any) -> None:
            for module in {one.partition(":")[0] for one in waiting} & set(sys.modules):
                spec = sys.modules[module].__spec__
                if spec is not None and not getattr(spec, "_initializing", False):
                    wrap(module)

    sys.meta_path.insert(0, Finder())  # type: ignore[arg-type]
    Finder().find_spec("")


def marked(function: Callable[..., Any], phase: str, channel: int) -> Callable[..., Any]:
    """The function, telling when it begins and ends."""

    @functools.wraps(function)
    def run(*arguments: Any, **more: Any) -> Any:
        tell(channel, phase, "begins")
        try:
            return function(*arguments, **more)
        finally:
            tell(channel, phase, "ends")

    return run


def phase_at(marks: Sequence[tuple[str, str, int]], moment: int) -> str:
    """The innermost phase that was open at a moment."""
    open_ = ["start"]
    for phase, what, at in marks:
        if at > moment:
            break
        if what == "begins":
            open_.append(phase)
        else:
            open_.remove(phase)
    inside = [phase for phase in open_ if phase != "start"]
    begun = any(phase != "start" for phase, _, at in marks if at <= moment)
    return inside[-1] if inside else "between" if begun else "start"
