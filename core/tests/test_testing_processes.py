"""The interpreter in which plugins are imported and run: one for all tasks, a fork for each, and it ends with us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isocortex.testing import CheckFailed, processes
from isocortex.testing.processes import forking_interpreter, imported_ahead, run_probe

#: one worker keeps the interpreter
pytestmark = [
    pytest.mark.xdist_group("forking interpreter"),
    pytest.mark.skipif(sys.platform == "darwin" or not hasattr(os, "fork"), reason="no process is forked here"),
]

#: a module that says which process imports it, whose child that is, and what it sees
SEES = """
import os, sys
with open({trace!r}, "a") as file:
    print(os.getpid(), os.getppid(), "first" in sys.modules, "torch" in sys.modules, os.environ.get("SEEN"), file=file)
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """Import modules from their text, each in a task of its own; what they wrote down."""
    trace = tmp_path / "trace"
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def run(*names: str) -> list[list[str]]:
        for name in names:
            (tmp_path / f"{name}.py").write_text(SEES.format(trace=str(trace)))
            assert run_probe("import", objects={name: []})[name] == {"heavy": [], "problems": []}
        return [line.split() for line in trace.read_text().splitlines()]

    return run


@pytest.fixture
def own_interpreter(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An interpreter for this test alone."""
    monkeypatch.setattr(processes, "_interpreters", {})
    yield
    for interpreter in processes._interpreters.values():
        interpreter.end()


def test_tasks_share_an_interpreter_and_see_nothing_of_each_other(modules, monkeypatch) -> None:
    before = forking_interpreter().pid
    monkeypatch.setenv("SEEN", "once")
    first = modules("first")
    monkeypatch.setenv("SEEN", "twice")
    lines = modules("second")
    assert first == lines[:1]
    assert [line[2:] for line in lines] == [["True", "False", "once"], ["False", "False", "twice"]]
    assert len({line[0] for line in lines}) == 2, "each is a process of its own"
    assert forking_interpreter().pid == before


def test_what_is_imported_ahead_is_imported_once_and_seen_by_those_who_ask_for_it(
    own_interpreter, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "library.py").write_text(f"with open({str(tmp_path / 'trace')!r}, 'a') as file: file.write('once ')")
    (tmp_path / "sees.py").write_text("import sys\nassert {'library', 'isocortex.extraction'} <= sys.modules.keys()")
    (tmp_path / "not.py").write_text("import sys\nassert not {'library', 'isocortex.extraction'} & sys.modules.keys()")
    fine = {"heavy": [], "problems": []}
    for _ in range(2):
        ahead = ("isocortex.extraction", "library", "a_module_that_does_not_exist")
        assert run_probe("import", ahead=ahead, objects={"sees": []}) == {"sees": fine}
        assert run_probe("import", objects={"not": []}) == {"not": fine}
    assert (tmp_path / "trace").read_text() == "once "


def test_what_is_on_the_path_for_a_while_is_not_imported_ahead(own_interpreter, tmp_path, monkeypatch) -> None:
    for folder in ("before", "now"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "library.py").write_text(f"where = {folder!r}")
    (tmp_path / "now" / "sees.py").write_text("import library\nassert library.where == 'now'")
    for folder, objects in (("before", {"json": []}), ("now", {"sees": []})):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "path", [str(tmp_path / folder), *sys.path])
            [found] = run_probe("import", ahead=("library",), objects=objects).values()
            assert "error" not in found


def test_libraries_that_are_imported_ahead_are_those_that_a_package_requires() -> None:
    assert {"torch", "transformers"} <= set(imported_ahead("isocortex-wav2vec2"))
    assert "torch" not in imported_ahead("isocortex-metrics"), "an extra is not required"
    assert imported_ahead("isocortex-metrics", ["torch>=2.4"])[-1] == "torch"
    assert not [name for name in imported_ahead("isocortex-metrics") if not name.startswith("isocortex.")]


@pytest.mark.parametrize("ahead", [(), ("isocortex.stimuli",)], ids=["cold", "warm"])
def test_the_death_of_a_child_is_reported_and_survived(monkeypatch, tmp_path, ahead) -> None:
    killed = "import os, signal; os.kill(os.getppid(), signal.SIGKILL)\nimport time; time.sleep(60)"
    (tmp_path / "kills.py").write_text(killed)
    (tmp_path / "fine.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    started = time.monotonic()
    with pytest.raises(CheckFailed, match="it ended with -9: nothing on stderr"):
        run_probe("import", ahead=ahead, objects={"kills": []})
    assert time.monotonic() - started < 30
    assert run_probe("import", ahead=ahead, objects={"fine": []}) == {"fine": {"heavy": [], "problems": []}}


def test_the_death_of_the_interpreter_is_reported_and_survived(own_interpreter) -> None:
    os.kill(forking_interpreter().pid, signal.SIGKILL)
    time.sleep(0.1)
    assert run_probe("import", objects={"json": []})["json"]["problems"] == []


def test_what_takes_too_long_is_ended(own_interpreter, monkeypatch, tmp_path) -> None:
    (tmp_path / "sleeps.py").write_text("import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(60)")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(processes, "TIMEOUT_S", 3)
    with pytest.raises(CheckFailed, match="within 3 s"):
        run_probe("import", objects={"sleeps": []})
    assert gone(int((tmp_path / "pid").read_text()))
    monkeypatch.setattr(processes, "TIMEOUT_S", 60)
    assert "json" in run_probe("import", objects={"json": []})


def gone(pid: int, patience_s: float = 10.0) -> bool:
    """Whether a process ends soon."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked at in /proc")
@pytest.mark.parametrize("busy", [False, True])
def test_the_interpreter_ends_with_its_parent(tmp_path: Path, busy: bool) -> None:
    (tmp_path / "sleeps.py").write_text("import os, time\nprint(os.getpid(), file=open('pid', 'w'))\ntime.sleep(600)")
    code = f"""
import sys, time
from isocortex.testing.processes import forking_interpreter, run_probe
print(forking_interpreter().pid, flush=True)
run_probe("import", objects={{"json": []}})
print("asked", flush=True)
{'run_probe("import", objects={"sleeps": []})' if busy else "time.sleep(600)"}
"""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        interpreter = int(parent.stdout.readline())
        assert parent.stdout.readline() == "asked\n"
        pids = [interpreter]
        while busy and len(pids) < 2:
            time.sleep(0.05)
            if (tmp_path / "pid").exists() and (text := (tmp_path / "pid").read_text().strip()):
                pids.append(int(text))
        parent.kill()
    assert all(gone(pid) for pid in pids)


def test_where_nothing_can_be_forked_a_task_has_a_new_interpreter(modules, monkeypatch) -> None:
    monkeypatch.setattr(processes, "can_fork", lambda: False)
    monkeypatch.setattr(processes, "forking_interpreter", lambda: pytest.fail("was forked"))
    lines = modules("first", "second")
    assert [line[2:4] for line in lines] == [["True", "False"], ["False", "False"]]
    assert "TypeError" in run_probe("digest", unknown="argument")["error"]
