"""Files whose publisher states no checksum: recorded at first use, held to it since, told once."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from isocortex.errors import FilesError, StoreError
from isocortex.files import disk as folders
from isocortex.files.archives import opened_source
from isocortex.files.checksums import hold_to_record, read_record
from isocortex.files.file_store import FileSpec, FileStore, amount, copy_file, read_specs

ADDRESS = "http://127.0.0.1:9/a.bin"
CONTENT = b"response" * 50
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def write(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def unlisted(name: str, n_bytes: int | None = None) -> FileSpec:
    return FileSpec(name, ADDRESS, None, n_bytes)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """A data folder whose network is never used."""
    return FileStore(tmp_path / "data", offline=True)


def test_a_listing_may_leave_checksum_and_size_open(tmp_path: Path) -> None:
    write(tmp_path / "files.csv", b"name,url,sha256,bytes\na,u,,\nb,u, ABC ,\nc,u,,7\n")
    found = read_specs(tmp_path, "files.csv")
    assert [(spec.sha256, spec.n_bytes) for spec in found] == [(None, None), ("abc", None), (None, 7)]
    assert amount(found) == "3 files, at least 0.0 MB"


def test_the_first_use_is_recorded_and_told_once(store: FileStore, capsys: pytest.CaptureFixture[str]) -> None:
    specs = [unlisted("a.bin"), FileSpec("b.bin", ADDRESS, hashlib.sha256(b"b").hexdigest(), 1)]
    path = write(store.path("p", specs[0]))
    write(store.path("p", specs[1]), b"b")
    assert store.present("p", specs, "The data set")["a.bin"] == path
    said = capsys.readouterr().err
    assert "No checksum is published for a.bin" in said
    assert str(store.root / "p" / "recorded.json") in said
    record = json.loads((store.root / "p" / "recorded.json").read_text())
    expected = {"a.bin": {"sha256": SHA256, "bytes": len(CONTENT)}}
    assert record["files"] == expected, "published checksums are not recorded"
    for again in (store, FileStore(store.root)):
        again.present("p", specs, "The data set")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("content", [CONTENT[::-1], CONTENT[:-1], b"", CONTENT + b"!"])
def test_a_file_that_changes_later_is_refused_and_left_alone(store: FileStore, content: bytes) -> None:
    spec = unlisted("deep/a.bin")
    path = write(store.path("p", spec))
    store.present("p", [spec], "The data set")
    write(path, content)
    os.utime(path, ns=(5, 5))
    for _ in range(2):
        with pytest.raises(FilesError, match=rf"1 of 1 files differ .*recorded is {SHA256[:16]}"):
            store.present("p", [spec], "The data set")
    assert path.read_bytes() == content
    assert read_record(store.root / "p") == {"deep/a.bin": SHA256}
    write(path)
    os.utime(path, ns=(6, 6))
    assert len(store.present("p", [spec], "The data set")) == 1


def test_a_size_that_is_stated_is_held_to(store: FileStore) -> None:
    spec = unlisted("a.bin", len(CONTENT))
    write(store.path("p", spec), CONTENT[:-1])
    assert store.missing("p", [spec]) == [spec]
    with pytest.raises(FilesError, match=r"1 are not in .*\(a\.bin\)"):
        store.present("p", [spec], "The data set")
    assert read_record(store.root / "p") == {}


@pytest.mark.parametrize("content", ["[]", "{", '{"a.bin": "abc"}', '{"a.bin": {"bytes": 3}}', "null"])
def test_a_damaged_record_is_named_and_never_made_anew(store: FileStore, content: str) -> None:
    spec = unlisted("a.bin")
    write(store.path("p", spec))
    record = write(store.root / "p" / "recorded.json", content.encode())
    with pytest.raises(FilesError, match=r"recorded\.json cannot be read as a record of checksums"):
        store.present("p", [spec], "The data set")
    assert record.read_text() == content


def test_a_record_that_cannot_be_written_is_one_message(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = unlisted("a.bin")
    write(store.path("p", spec))

    def full(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StoreError, match=r"cannot be written to .*ISOCORTEX_DATA"):
        store.present("p", [spec], "The data set")
    assert [path.name for path in (store.root / "p").glob("*.part")] == []


def test_twenty_at_once_lose_no_entry(tmp_path: Path) -> None:
    def hold(folder: Path, number: int) -> list[str]:
        path = write(folder / f"{number}.bin", bytes([number]))
        return hold_to_record(folder, {path.name: path}, {path.name: hashlib.sha256(bytes([number])).hexdigest()})

    for trial in range(10):  # a record that is just being made was once taken for a damaged one, in every fifth
        folder = tmp_path / str(trial)
        with ThreadPoolExecutor(20) as pool:
            found = list(pool.map(partial(hold, folder), range(20)))
        assert sorted(found) == sorted([f"{number}.bin"] for number in range(20))
        assert len(read_record(folder)) == 20


# --- from a folder ----------------------------------------------------------------------------------------------------


def test_names_without_checksum_are_found_by_their_whole_name(store: FileStore, tmp_path: Path) -> None:
    specs = [unlisted(f"session{number}/data.csv") for number in (1, 2, 3)]
    write(tmp_path / "source" / "x" / "session1" / "data.csv", b"one")
    write(tmp_path / "source" / "session2" / "data.csv", b"two")
    write(tmp_path / "source" / "session33" / "data.csv", b"another session")
    write(tmp_path / "source" / "data.csv", b"none")
    assert store.adopt("p", specs, tmp_path / "source") == [specs[2]]
    assert [store.path("p", spec).read_bytes() for spec in specs[:2]] == [b"one", b"two"]
    assert set(read_record(store.root / "p")) == {"session1/data.csv", "session2/data.csv"}
    assert store.adopt("p", specs[:2], tmp_path / "source") == [], "the same files again are no question"


def test_another_file_than_the_first_is_refused_before_anything_is_copied(store: FileStore, tmp_path: Path) -> None:
    first, second = unlisted("a.bin"), unlisted("b.bin")
    write(tmp_path / "source" / "b.bin")
    assert store.adopt("p", [first, second], tmp_path / "source") == [first]
    write(tmp_path / "source" / "a.bin")
    write(tmp_path / "source" / "b.bin", b"another")
    with pytest.raises(FilesError, match=r"1 of 2 files differ .*b\.bin"):
        store.adopt("p", [first, second], tmp_path / "source")
    assert not store.path("p", first).exists()
    (store.root / "p" / "recorded.json").unlink()
    with pytest.raises(FilesError, match="is there already and differs from"):
        store.adopt("p", [first, second], tmp_path / "source")
    assert store.path("p", second).read_bytes() == CONTENT


def test_two_different_files_of_one_name_are_refused(store: FileStore, tmp_path: Path) -> None:
    write(tmp_path / "source" / "x" / "a.bin")
    write(tmp_path / "source" / "y" / "a.bin")
    assert store.adopt("p", [unlisted("a.bin")], tmp_path / "source") == []
    write(tmp_path / "source" / "y" / "a.bin", b"another")
    with pytest.raises(FilesError, match=r"2 different files a\.bin"):
        store.adopt("p", [unlisted("a.bin")], tmp_path / "source")


def test_a_copy_that_breaks_off_leaves_nothing(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "source" / "a.bin")

    def half(source: object, target: object, length: int = 0) -> None:
        target.write(source.read(7))  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.copyfileobj", half)
    with pytest.raises(KeyboardInterrupt):
        store.adopt("p", [unlisted("a.bin")], tmp_path / "source")
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


def test_a_data_folder_that_is_a_file_is_one_message(tmp_path: Path) -> None:
    write(tmp_path / "source" / "a.bin")
    (tmp_path / "data").write_text("a file")
    listed = FileSpec("a.bin", ADDRESS, SHA256, len(CONTENT))
    for spec in (unlisted("a.bin"), listed):
        with pytest.raises(StoreError, match="cannot be written"):
            FileStore(tmp_path / "data").adopt("p", [spec], tmp_path / "source")
    with pytest.raises(StoreError, match="cannot be written"):
        FileStore(tmp_path / "data").present("p", [listed], "The data set")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everywhere")
def test_folders_without_rights_are_one_message(tmp_path: Path) -> None:
    source = write(tmp_path / "source" / "a.bin")
    (tmp_path / "data").mkdir(mode=0o500)
    with pytest.raises(StoreError, match="cannot be written to"):
        copy_file(source, tmp_path / "data" / "p" / "a.bin")
    source.chmod(0)
    with pytest.raises(FilesError, match="cannot be read"):
        copy_file(source, tmp_path / "a.bin")


def test_a_full_disk_is_told_before_copying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    source = write(tmp_path / "a.bin")
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda _: SimpleNamespace(free=3))
    with pytest.raises(StoreError, match=r"Copying a\.bin needs"):
        copy_file(source, tmp_path / "data" / "a.bin")
    assert not (tmp_path / "data").exists()


def test_a_source_that_goes_away_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(FilesError, match="cannot be read"):
        copy_file(tmp_path / "absent", tmp_path / "a.bin")


# --- what --from may be -----------------------------------------------------------------------------------------------


def test_a_folder_is_taken_as_it_is_and_an_archive_unpacked_for_a_while(tmp_path: Path, own_folders: Path) -> None:
    import shutil

    write(tmp_path / "source" / "deep" / "a.bin")
    with opened_source(tmp_path / "source") as folder:
        assert folder == tmp_path / "source"
    for kind in ("zip", "tar", "gztar"):
        archive = Path(shutil.make_archive(str(tmp_path / kind), kind, tmp_path / "source"))
        with opened_source(archive) as folder:
            assert (folder / "deep" / "a.bin").read_bytes() == CONTENT
            assert folder.name == archive.name, "messages name the archive"
        assert list((own_folders / "data").iterdir()) == []


@pytest.mark.parametrize("name", ["absent", "a.bin", "zeros.bin", "a.zip", "weights.pt"])
def test_what_is_neither_folder_nor_archive_is_refused(tmp_path: Path, own_folders: Path, name: str) -> None:
    import zipfile

    if name == "weights.pt":  # torch writes zip files; they are weights, no archive of files
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr("data.pkl", b"")
    elif name != "absent":
        write(tmp_path / name, bytes(10_240) if name == "zeros.bin" else CONTENT)
    found = {
        "absent": r"absent does not exist\. --from takes a folder",
        "a.zip": r"a\.zip is neither a zip nor a tar archive",
    }.get(name, r"is neither a folder nor a zip or tar archive\. --from takes a folder")
    with pytest.raises(FilesError, match=found), opened_source(tmp_path / name):
        pass
    assert not (own_folders / "data").exists() or list((own_folders / "data").iterdir()) == []
