from __future__ import annotations

import io
import sys

import pytest

from isocortex.progress import Reporter


def test_lines_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Reporter().line("scored 3 of 4")
    assert capsys.readouterr() == ("", "scored 3 of 4\n")


def test_without_a_terminal_a_step_is_a_line_per_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter()
    for done in range(1, 26):
        reporter.step("extracting", done, 25)
    shown = [int(line.split()[1].partition("/")[0]) for line in capsys.readouterr().err.splitlines()]
    assert shown == [3, 5, 8, 10, 13, 15, 18, 20, 23, 25]
    reporter.step("extracting", 0, 0)
    for done in range(1, 4):
        reporter.step("scoring", done, 3)
    assert capsys.readouterr().err.splitlines() == ["scoring 1/3", "scoring 2/3", "scoring 3/3"]


def test_a_quiet_reporter_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter(quiet=True)
    reporter.line("x")
    reporter.step("x", 1, 1)
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_step_is_a_bar_that_goes_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    reporter = Reporter()
    reporter.step("extracting", 1, 3)
    reporter.step("scoring", 1, 2)
    reporter.step("extracting", 2, 3)
    reporter.line("a warning")
    reporter.step("extracting", 3, 3)
    shown = terminal.getvalue()
    assert "extracting" in shown
    assert "scoring" in shown
    assert "a warning\n" in shown
    assert "extracting 1/3\n" not in shown
    assert capsys.readouterr().out == ""
