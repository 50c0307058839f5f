"""Pickles are read as inert data, whatever they say: hostile ones end in one line, soon, in little memory."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.tests.hostile_pickles import array, dtype, hostile, mapped
from isocortex.errors import DataError
from isocortex.files import ARRAYS, Record, read_pickle, read_records

ROOT = Path(__file__).parents[2]
GOOD = {
    "real": np.arange(6.0).reshape(2, 3), "by columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "texts": ["é", "b"], "number": 3, "objects": np.array(["a", None, 2.5], dtype=object), "flag": np.float32(1.5),
}  # fmt: skip

#: reads every file of a folder, and says what became of it, how long it took, the memory of all, and what was run
CHILD = """
import gc, json, sys, time, resource
from pathlib import Path
from isocortex.errors import IsocortexError
from isocortex.files import ARRAYS, read_pickle

def memory(what):
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / (1024 if sys.platform == "darwin" else 1)

def read(path):
    try:
        read_pickle(path, ARRAYS).arrays()
        return "read", ""
    except IsocortexError as error:
        return type(error).__name__, str(error)
    except BaseException as error:
        return type(error).__name__, repr(error)[:200]

folder = Path(sys.argv[1])
found, events, watching = [], [], False
KINDS = ("import", "exec", "compile", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "pickle.find_class",
         "marshal.loads", "ctypes.dlopen", "socket.connect", "code.__new__", "shutil.rmtree", "os.remove")

def watch(event, args):
    if watching and event in KINDS:
        events.append(f"{event} {args[:1]!r:.100}")

sys.addaudithook(watch)
read(folder / "good"), read(folder / "damaged")
start = memory("VmRSS:")
for path in sorted(folder.glob("*.pkl")):
    watching, before = True, time.process_time()
    kind, message = read(path)
    watching, seconds = False, time.process_time() - before
    found.append((path.name, kind, message, seconds))
print(json.dumps({"found": found, "events": events, "megabytes": memory("VmHWM:") - start,
                  "measured": "coverage" in sys.modules}))
"""


def read_in_child(folder: Path) -> dict:
    (folder / "good").write_bytes(pickle.dumps(GOOD, protocol=0))  # for this, Python loads its codec
    (folder / "damaged").write_bytes(pickle.dumps(GOOD)[:50])
    ended = subprocess.run([sys.executable, "-c", CHILD, str(folder)], capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 0, f"exit {ended.returncode}: {ended.stderr[-500:]}"
    return json.loads(ended.stdout)


def expect_refused(found: dict) -> None:
    limit = 2 if found["measured"] else 0.5  # at most 0.3 s were seen; to measure coverage takes more
    for name, kind, message, seconds in found["found"]:
        assert kind == "DataError", f"{name}: {kind} {message}"
        assert name in message
        assert message.isprintable(), f"{name}: {message!r}"
        assert len(message) < 1000
        assert seconds < limit, f"{name}: {seconds:.2f} s of a core"
    assert found["megabytes"] < 100
    assert found["events"] == []


def test_200_hostile_pickles_are_refused_in_one_line_soon_and_in_little_memory(tmp_path, record_property):
    trace = tmp_path / "trace"
    for number, (name, data) in enumerate(hostile(200, str(trace))):
        (tmp_path / f"{number:03d} {name}.pkl").write_bytes(data)
    found = read_in_child(tmp_path)
    assert len(found["found"]) == 200
    expect_refused(found)
    assert not trace.exists()
    named = [message for name, _, message, _ in found["found"] if "global" in name]
    assert len(named) >= 15
    assert all("Nothing of it was run" in message for message in named)
    record_property("seconds", max(seconds for *_, seconds in found["found"]))
    record_property("megabytes", found["megabytes"])


def test_good_pickles_that_end_early_are_refused_wherever_they_end(tmp_path):
    for protocol in range(6):
        data = pickle.dumps(GOOD, protocol=protocol)
        for end in range(len(data)):
            (tmp_path / f"{protocol} {end:05d}.pkl").write_bytes(data[:end])
    expect_refused(read_in_child(tmp_path))


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_protocol_are_what_was_pickled(tmp_path, protocol):
    path = tmp_path / "good.pkl"
    path.write_bytes(pickle.dumps(GOOD, protocol=protocol))
    found = read_pickle(path, ARRAYS).arrays()
    assert list(found) == list(GOOD)
    for name, values in GOOD.items():
        np.testing.assert_array_equal(found[name], values)
        assert not isinstance(values, np.ndarray) or found[name].dtype == values.dtype


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_are_what_they_are(protocol):
    value = {"a": [1, -(2**70), 2.5, None, True], "b": ("é\n", -1), "c": {1: {}, 2.5: ()}, "d": 10**100}
    if protocol >= 3:
        value |= {b"e": b"\x00\xff"}
    if protocol == 5:
        value["f"] = bytearray(b"x" * 9)
    assert read_records(pickle.dumps(value, protocol=protocol), ARRAYS, "a.pkl").value == value


def test_what_is_allowed_is_a_record_and_is_not_called():
    record = read_records(pickle.dumps(print), ["builtins print"], "a.pkl").value
    assert isinstance(record, Record)
    assert (record.module, record.name, record.args, record.state) == ("builtins", "print", None, None)
    made = read_records(b"cbuiltins\nprint\n(K\x01tR}b.", ["builtins print"], "a.pkl").value
    assert (made.place, made.args, made.state) == ("builtins print", (1,), {})


def test_sizes_are_bounded_before_anything_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(list(range(1000))))
    with pytest.raises(DataError, match=r"more than the 100"):
        read_pickle(path, (), 100)
    for limit, value, message in (("MAX_DEPTH", 0, "nested more than 0"), ("MAX_ITEMS", 999, "holds more than 999")):
        with monkeypatch.context() as changed:
            changed.setattr(f"isocortex.files.pickled_arrays.{limit}", value)
            with pytest.raises(DataError, match=message):
                read_pickle(path, ())
    monkeypatch.setattr("isocortex.files.unpickle.MAX_INSTRUCTIONS", 999)
    with pytest.raises(DataError, match="more than 999 instructions"):
        read_pickle(path, ())


def test_an_array_that_stands_in_many_places_is_made_once():
    many = read_records(pickle.dumps([np.zeros(5)] * 3), ARRAYS, "a.pkl")
    first, second, _ = [many.array(record) for record in many.value]
    assert first is second


def test_objects_are_handed_on_as_a_list_of_the_right_length():
    held = read_records(pickle.dumps(np.array([{"a": 1}, "b"], dtype=object)), ARRAYS, "a.pkl")
    assert held.objects(held.value) == [{"a": 1}, "b"]
    short = read_records(mapped(array(dtype("O8"), b"(K\x08t", b"]")) + b".", ARRAYS, "a.pkl")
    with pytest.raises(ValueError, match="0 values are given for an array of shape"):
        short.objects(short.value["x"])
