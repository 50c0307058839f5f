"""Time left of a run, and the file that keeps every line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from isocortex.errors import StoreError
from isocortex.progress import Reporter, lasting
from isocortex.run.pace import Pace
from isocortex.run.plan import Asked, Cell
from tests.lab import Lab, Typed


def cell(model: str, benchmark: str, stimuli: str = "s") -> Cell:
    asked = Asked(model, "fixed", benchmark, 1)
    return Cell(model, "fixed", benchmark, "d", stimuli, "k", "flatten", (), 0, asked)


def test_the_time_left_is_that_of_all_cells() -> None:
    """Two models on two benchmarks of the same stimuli and one of others; one extraction for each model and stimuli."""
    cells = [cell(model, *of) for model in "ab" for of in (("x", "s"), ("y", "s"), ("z", "t"))]
    pace = Pace(cells)
    assert pace.left() is None
    pace.done(cells[0], 12.0, 10.0)
    # left: a on y 2, a on z 10 + 2; b: 10 once for s, 10 for t, and three scorings
    assert pace.left() == pytest.approx(2 + (10 + 2) + (10 + 10 + 2 + 2 + 2))
    pace.done(cells[1], 6.0, 0.0)
    assert pace.left() == pytest.approx((10 + 4) + (10 + 10 + 2 + 6 + 4))
    pace.done(cells[2], 8.0, 5.0)
    assert pace.left() == pytest.approx(10 + 5 + 2 + 6 + 3)
    for one in cells[3:]:
        pace.done(one, 1.0, 0.0)
    assert pace.left() == 0


def test_what_was_found_says_nothing_of_the_time() -> None:
    cells = [cell("a", name) for name in "xyz"]
    pace = Pace(cells)
    pace.done(cells[0], 0.01, computed=False)
    assert pace.left() is None
    pace.done(cells[1], 5.0, 1.0)
    assert pace.left() == pytest.approx(4.0)


def test_an_extraction_that_was_found_is_not_expected_again() -> None:
    cells = [cell("a", "x"), cell("b", "x"), cell("a", "y")]
    pace = Pace(cells)
    pace.done(cells[0], 0.01, computed=False)
    pace.done(cells[1], 5.0, 3.0)
    assert pace.left() == pytest.approx(2.0)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0.0 s"), (99.4, "99 s"), (99.6, "1.7 min"), (3599, "60 min")])
def test_times_as_a_person_says_them(seconds: float, text: str) -> None:
    assert lasting(seconds) == text


def test_every_line_is_added_to_the_log(lab: Lab, typed: Typed) -> None:
    log = Path("logs", "run.txt")
    first = typed("score", "-m", "lab-net", "-m", "fault-run", "-b", "lab.fit", "--log", str(log))
    lines = log.read_text(encoding="utf-8").splitlines()
    assert [line.partition(" ")[2] for line in lines] == first.err.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 ", line) for line in lines)
    assert any("scored, r = " in line for line in lines)
    assert any("the tape is torn" in line for line in lines)
    typed("score", "-m", "lab-net", "-b", "lab.fit", "--log", str(log))
    again = log.read_text(encoding="utf-8").splitlines()
    assert again[: len(lines)] == lines, "what is in it stays"
    assert "cached, r = " in again[len(lines)]


def test_on_a_terminal_and_in_quiet_the_log_has_the_lines_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import sys

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for quiet in (False, True):
        log = tmp_path / f"{quiet}.txt"
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        reporter = Reporter(quiet=quiet, log=log)
        reporter.overall("12 [bold]cells[/bold]; about 3 min left", 4, 12)
        reporter.step("m[0]\x1b[2J: extracted chunk", 1, 2)
        reporter.warn(["odd", "odd"])
        reporter.close()
        assert [line.partition(" ")[2] for line in log.read_text(encoding="utf-8").splitlines()] == [
            "m[0]\\x1b[2J: extracted chunk 1/2",
            "warning: odd",
        ]
        assert ("12 [bold]cells[/bold]; about 3 min left" in terminal.getvalue()) == (not quiet)
        assert ("m[0]\\x1b[2J: extracted chunk" in terminal.getvalue()) == (not quiet)


def test_a_log_that_cannot_be_written_is_refused_before_the_work(lab: Lab, typed: Typed) -> None:
    done = typed("score", "-m", "lab-net", "-b", "lab.fit", "--log", str(lab.folder))
    assert done.code == 1
    assert "cannot be written to" in done.err
    assert lab.seen("load") == []
    with pytest.raises(StoreError, match="Give another file to --log"):
        Reporter(log=lab.folder)
