"""How commands end: quiet where nobody reads on, one message where the output cannot be written, no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import Lab, Typed
from tests.third_party.install import environment, write_package

COMMAND = """
import click, os, sys

@click.command()
@click.argument("how")
def main(how):
    if how == "file":
        raise EOFError("in the middle")
    if how == "text":
        sys.exit("a last word")
    if how == "stopped":
        raise KeyboardInterrupt

@click.group()
def several():
    pass
"""
MANIFEST = '[plugin]\napi = 1\n[[command]]\nname = "end"\nobject = "iso_ends:main"\n'
ODD = "".join(f'[[command]]\nname = "odd-{number}"\nobject = "{name}"\n' for number, name in enumerate(
    ("os:getcwd", "os:nothing", "no_such_module:main", "iso_ends", "iso_ends:")))  # fmt: skip


@pytest.fixture
def ends(lab: Lab) -> Lab:
    """A package whose command ends in many ways."""
    write_package(lab.site, "iso-ends", {"isocortex.toml": MANIFEST + ODD, "__init__.py": COMMAND})
    return lab


@pytest.mark.parametrize(
    ("how", "code", "words"),
    [
        ("file", 1, "Error: A file ended where more was expected (in the middle).\n"),
        ("text", 1, "a last word\n"),
        ("stopped", 130, "Interrupted. What is finished is kept; the same command goes on from there.\n"),
        ("well", 0, ""),
    ],
)
def test_a_command_ends_with_one_line_and_its_code(ends: Lab, typed: Typed, how: str, code: int, words: str) -> None:
    done = typed("end", how)
    assert (done.code, done.err) == (code, words)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "names the object 'os:getcwd', which is <built-in function getcwd> and no click command"),
        (1, "has no 'nothing'"),
        (2, "No module named 'no_such_module'"),
        (3, "'odd-3' of iso-ends"),
        (4, "'odd-4' of iso-ends"),
    ],
)
def test_what_is_no_command_is_one_message(ends: Lab, typed: Typed, number: int, words: str) -> None:
    done = typed(f"odd-{number}")
    assert done.code == 1
    assert words in done.err
    assert "Traceback" not in done.err


def run(folder: Path, *arguments: str, **more: object) -> subprocess.Popen[bytes]:
    """A true process, with a pipe from its stdout."""
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen([sys.executable, "-m", "isocortex", *arguments], cwd=folder, **settings)  # type: ignore[call-overload]


def test_who_reads_no_further_is_told_nothing(tmp_path: Path) -> None:
    process = run(tmp_path, "list", "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    os.read(process.stdout.fileno(), 10)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(30) in (0, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        for arguments in (("list",), ("list", "--json"), ("--help",)):
            process = run(tmp_path, *arguments, stdout=full)
            errors = process.communicate(timeout=60)[1]
            assert (process.returncode, errors) == (
                1, b"Error: the output could not be written (No space left on device).\n"
            )  # fmt: skip


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle_of_printing_ends_though_nobody_reads(tmp_path: Path, number: int, code: int) -> None:
    site = tmp_path / "site"
    rows = "".join(f'[[model]]\nid = "m{n}"\nobject = "x:X"\ntitle = "{"long " * 100}"\n' for n in range(300))
    write_package(site, "iso-wordy", {"isocortex.toml": f"[plugin]\napi = 1\n{rows}"})
    process = run(tmp_path, "list", "--json", env={**os.environ, **environment(site)})
    assert process.stdout is not None
    assert process.stderr is not None
    os.read(process.stdout.fileno(), 1)
    process.send_signal(number)
    assert process.wait(5) == code  # its pipe is full, and stays so
    word = b"Interrupted" if number == signal.SIGINT else b"Terminated"
    assert process.stderr.read() == word + b". What is finished is kept; the same command goes on from there.\n"


def test_nobody_has_to_read_what_is_reported(lab: Lab, tmp_path: Path) -> None:
    command = f"{sys.executable} -m isocortex score -m lab-net -m lab-second -b lab.fit 2>&1 >/dev/null | true"
    subprocess.run(command, shell=True, cwd=tmp_path, env={**os.environ, **environment(lab.site)}, timeout=60)
    assert len(lab.records("result.json")) == 2
    assert lab.records("failures/*.json") == []


def test_without_stdout_and_stderr_the_work_is_done(lab: Lab, tmp_path: Path) -> None:
    command = f"{sys.executable} -m isocortex score -m lab-net -b lab.fit >&- 2>&-"
    done = subprocess.run(command, shell=True, cwd=tmp_path, env={**os.environ, **environment(lab.site)}, timeout=60)
    assert done.returncode == 0
    assert len(lab.records("result.json")) == 1
