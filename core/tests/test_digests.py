from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from isocortex.errors import FilesError
from isocortex.files import digests, disk as store
from isocortex.files.digests import (
    digest_array,
    digest_file,
    digest_files,
    digest_of,
    jsonable,
    short,
)

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def test_digest_of_is_sha256_of_canonical_json() -> None:
    expected = hashlib.sha256(b'{"a":[1,2.5,null],"b":"\\u00e9"}').hexdigest()
    assert digest_of({"b": "é", "a": [1, 2.5, None]}) == expected


def test_digest_of_distinguishes_types_that_print_alike() -> None:
    values = [1, "1", True, 1.0, [1], {"1": 1}, None, "None", [], {}]
    assert len({digest_of(value) for value in values}) == len(values)


@given(st.dictionaries(st.text(max_size=4), JSON_VALUES, min_size=2, max_size=5))
def test_digest_of_ignores_order_of_keys_only(content: dict[str, object]) -> None:
    backwards = dict(reversed(list(content.items())))
    assert digest_of(backwards) == digest_of(content)
    assert digest_of([content, 1]) != digest_of([1, content])


@given(JSON_VALUES)
def test_digest_of_survives_a_round_trip_through_json(value: object) -> None:
    assert digest_of(json.loads(json.dumps(value))) == digest_of(value)


def test_digest_of_refuses_what_is_not_json() -> None:
    with pytest.raises(TypeError):
        digest_of({"path": Path("x")})


def test_digest_array_depends_on_values_shape_and_dtype_alone() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert digest_array(array) == digest_array(np.asfortranarray(array)) == digest_array(array[:, ::-1][:, ::-1])
    others = [array.astype(np.float64), array.reshape(3, 2), array.ravel(), array + np.float32(1e-6), array.astype(int)]
    assert len({digest_array(other) for other in [array, *others]}) == 6


def test_digest_array_formula() -> None:
    array = np.array([1, 2], dtype="<i2")
    assert digest_array(array) == hashlib.sha256(b"<i2(2,)\x01\x00\x02\x00").hexdigest()


def test_digest_array_is_the_same_for_zero_size_arrays_of_one_shape_only() -> None:
    assert digest_array(np.empty((0, 2))) == digest_array(np.empty((0, 2)))
    assert digest_array(np.empty((0, 2))) != digest_array(np.empty((0, 3)))


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1])
def test_digest_file_equals_hashlib(tmp_path: Path, size: int) -> None:
    content = bytes(np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8))
    path = tmp_path / "content"
    path.write_bytes(content)
    assert digest_file(path) == hashlib.sha256(content).hexdigest()


def test_digest_file_names_the_absent_file(tmp_path: Path) -> None:
    with pytest.raises(FilesError, match=r"absent\.wav cannot be read \(No such file"):
        digest_file(tmp_path / "absent.wav")
    with pytest.raises(FilesError, match="Is a directory"):
        digest_file(tmp_path)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose bytes were read."""
    names: list[str] = []

    def counting(path: Path) -> str:
        names.append(path.name)
        return digest_file(path)

    monkeypatch.setattr(digests, "digest_file", counting)
    return names


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as unchanged at once."""
    monkeypatch.setattr(digests, "_SETTLED_NS", 0)


@pytest.mark.usefixtures("settled")
def test_digest_files_reads_unchanged_files_once(tmp_path: Path, reads: list[str]) -> None:
    paths = [tmp_path / name for name in "cab"]
    for path in paths:
        path.write_text(path.name)
    expected = {path: hashlib.sha256(path.name.encode()).hexdigest() for path in paths}
    assert digest_files(paths) == expected
    assert sorted(reads) == ["a", "b", "c"]
    assert digest_files(reversed([*paths, paths[0]])) == expected
    assert len(reads) == 3, "unchanged files were read again"


@pytest.mark.usefixtures("settled")
def test_digest_files_reads_again_what_changed(tmp_path: Path, reads: list[str]) -> None:
    path = tmp_path / "sound"
    path.write_bytes(b"one")
    first = digest_files([path])[path]
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))  # certainly another modification time
    second = digest_files([path])[path]
    assert (first, second) == (hashlib.sha256(b"one").hexdigest(), hashlib.sha256(b"two").hexdigest())
    path.write_bytes(b"three")
    os.utime(path, ns=(1, 1))  # the same time, another size
    assert digest_files([path])[path] == hashlib.sha256(b"three").hexdigest()
    assert len(reads) == 3


@pytest.mark.usefixtures("settled")
def test_digest_files_reads_again_a_file_of_another_inode_or_change_time(tmp_path: Path, reads: list[str]) -> None:
    """Archives give every file one time, and sounds of one length have one size."""
    path, other = tmp_path / "a", tmp_path / "b"
    for file, content in ((path, b"one"), (other, b"two")):
        file.write_bytes(content)
        os.utime(file, ns=(1, 1))
    assert digest_files([path])[path] == hashlib.sha256(b"one").hexdigest()
    before = path.stat()
    other.replace(path)
    after = path.stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    assert before.st_ino != after.st_ino
    assert digest_files([path])[path] == hashlib.sha256(b"two").hexdigest()
    time.sleep(0.02)  # more than one tick of the file system's clock
    path.write_bytes(b"six")
    os.utime(path, ns=(1, 1))
    assert path.stat().st_ino == after.st_ino
    assert path.stat().st_ctime_ns != after.st_ctime_ns
    assert digest_files([path])[path] == hashlib.sha256(b"six").hexdigest()
    assert len(reads) == 3


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("place", range(5), ids=["device", "inode", "size", "modified", "changed"])
def test_each_part_of_the_stamp_tells_files_apart(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    path = tmp_path / "sound"
    path.write_bytes(b"one")
    stat = path.stat()
    stamp = [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
    assert digests.stamp_of(path) == stamp
    digest_files([path])
    other = [value - (number == place) for number, value in enumerate(stamp)]
    monkeypatch.setattr(digests, "stamp_of", lambda _: other)
    digest_files([path])
    digest_files([path])
    assert reads == ["sound", "sound"]


@pytest.mark.usefixtures("settled")
def test_digest_files_reads_of_a_group_only_what_changed(tmp_path: Path, reads: list[str]) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_text(path.name)
    digest_files(paths)
    reads.clear()
    paths[1].write_text("changed")
    assert digest_files(paths)[paths[1]] == hashlib.sha256(b"changed").hexdigest()
    assert reads == ["b"]


@pytest.mark.usefixtures("settled")
def test_digest_files_believes_no_record_with_a_changed_byte(tmp_path: Path, reads: list[str]) -> None:
    path = tmp_path / "sound"
    path.write_bytes(b"one")
    expected = digest_files([path])
    (memory,) = (store.cache_folder() / "digests").glob("*.json")
    whole = memory.read_bytes()
    for place in range(0, len(whole), 7):
        memory.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert digest_files([path]) == expected
    memory.write_bytes(whole.replace(expected[path].encode(), b"0" * 64))
    reads.clear()
    assert digest_files([path]) == expected
    assert reads == ["sound"], "the record was believed"
    assert memory.read_bytes() == whole, "the record was not made anew"


def test_nothing_is_remembered_of_a_file_that_changed_just_now(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    young, old = tmp_path / "young", tmp_path / "old"
    for path in (young, old):
        path.write_bytes(b"one")
    changed = young.stat().st_ctime_ns
    monkeypatch.setattr(digests.time, "time_ns", lambda: changed + 1_900_000_000)
    digest_files([young])
    digest_files([young])
    assert reads == ["young", "young"]
    later = max(young.stat().st_ctime_ns, old.stat().st_ctime_ns) + 2_000_000_000
    monkeypatch.setattr(digests.time, "time_ns", lambda: later)
    digest_files([old])
    digest_files([old])
    assert reads == ["young", "young", "old"]
    os.utime(old, ns=(later, later))  # a time of the future is no proof of age
    digest_files([old])
    digest_files([old])
    assert reads[3:] == ["old", "old"]


@pytest.mark.usefixtures("settled")
def test_digest_files_ignores_a_damaged_memory(tmp_path: Path, reads: list[str]) -> None:
    path = tmp_path / "sound"
    path.write_bytes(b"one")
    expected = digest_files([path])
    (memory,) = (store.cache_folder() / "digests").glob("*.json")
    for damage in ("[", "[]", '{"a": 1}', '["a", "b"]'):
        memory.write_text(damage)
        assert digest_files([path]) == expected
    assert len(reads) == 5


def test_digest_files_of_nothing() -> None:
    assert digest_files([]) == {}


def test_digest_files_works_where_nothing_can_be_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sound"
    path.write_bytes(b"one")
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("ISOCORTEX_CACHE", str(blocked / "cache"))
    assert digest_files([path]) == {path: hashlib.sha256(b"one").hexdigest()}


def test_digest_files_names_the_absent_file(tmp_path: Path) -> None:
    with pytest.raises(FilesError, match="absent"):
        digest_files([tmp_path / "absent"])


def test_short_is_the_head() -> None:
    assert short("0123456789abcdef0123") == "0123456789abcdef"


def test_jsonable_turns_everything_into_plain_json() -> None:
    value = {
        1: np.float32(0.5),
        "path": Path("a") / "b",
        "set": {"b", "a"},
        "tuple": (np.int64(3), True, None),
        "nested": {"text": np.str_("x"), "bool": np.bool_(True)},
    }
    plain = jsonable(value)
    assert plain == {
        "1": 0.5,
        "path": "a/b",
        "set": ["a", "b"],
        "tuple": [3, True, None],
        "nested": {"text": "x", "bool": True},
    }
    assert json.loads(json.dumps(plain)) == plain
    assert type(plain["nested"]["bool"]) is bool


def test_jsonable_takes_arrays_and_dates() -> None:
    """Settings and coordinates come from TOML, netCDF and numpy; none of them may stop a digest."""
    import datetime

    plain = jsonable({"array": np.arange(3), "date": datetime.date(2026, 1, 2)})
    assert json.loads(json.dumps(plain)) == {"array": [0, 1, 2], "date": "2026-01-02"}
