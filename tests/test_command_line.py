"""The command line in this process is that of a process: same words, same exit codes, and nothing stays behind."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import pytest

from tests.third_party.install import environment, write_package

#: a plugin's command that leaves traces wherever it can
COMMAND = """
import os, sys, warnings
import click

@click.command()
@click.argument("how")
def main(how):
    os.environ["LEFT"] = "behind"
    os.chdir("/")
    sys.path.insert(0, "left behind")
    sys.argv.append("left behind")
    warnings.simplefilter("error")
    if how == "warns":
        warnings.simplefilter("default")
        warnings.warn("worth knowing", stacklevel=1)
    if how == "interrupts":
        raise KeyboardInterrupt
    if how == "breaks":
        raise RuntimeError("a mistake of ours")
    print(os.environ["GIVEN"])
"""
MANIFEST = """
[plugin]
api = 1

[[command]]
name = "leave"
object = "iso_leaves.command:main"
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Variables with which the command is found."""
    write_package(tmp_path / "site", "iso-leaves", {"isocortex.toml": MANIFEST, "command.py": COMMAND})
    return {**environment(tmp_path / "site"), "GIVEN": "to the command"}


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (0, ("list", "metrics", "--where", "id=ridge")),
        (1, ("show", "nowhere")),
        (2, ("score", "-m", "pixel", "-b", "NH2015comp.ridge")),
        (2, ("score",)),
        (2, ("no-such-command",)),
        (0, ("leave", "warns")),
    ],
    ids=["fine", "failed", "unknown ID", "missing option", "unknown command", "command of a plugin"],
)
def test_a_process_says_the_same(isocortex, isocortex_process, env, code, arguments) -> None:
    here, apart = isocortex(*arguments, env=env), isocortex_process(*arguments, env=env)
    assert (here.returncode, apart.returncode) == (code, code), here.stderr + apart.stderr
    assert here.stdout == apart.stdout
    assert here.stderr == apart.stderr.replace("python -m isocortex", "isocortex")
    assert ("worth knowing" in here.stderr) == ("warns" in arguments)


def test_an_interrupt_and_a_mistake_of_ours_are_told_apart(isocortex, env) -> None:
    interrupted = isocortex("leave", "interrupts", env=env)
    assert interrupted.returncode == 130
    assert interrupted.stderr.endswith("the same command goes on from there.\n")
    broken = isocortex("leave", "breaks", env=env)
    assert broken.returncode == 1
    assert "Traceback" in broken.stderr
    assert broken.stderr.endswith("RuntimeError: a mistake of ours\n")


@pytest.mark.parametrize("how", ["prints", "breaks"])
def test_nothing_stays_behind(isocortex, env, how) -> None:
    def state() -> tuple[object, ...]:
        return dict(os.environ), Path.cwd(), list(sys.path), list(sys.argv), list(warnings.filters), sys.stderr

    before = state()
    done = isocortex("leave", how, env=env)
    assert state() == before
    assert (done.stdout == "to the command\n") == (how == "prints")
    assert not [name for name in sys.modules if name.startswith("iso_leaves")]
    assert isocortex("leave", how).returncode == 2, "the package is no longer found"
