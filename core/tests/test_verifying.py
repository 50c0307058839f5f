"""Who verifies reads every byte; what is remembered is no reason to blame a file; members of archives are verified."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from isocortex.errors import FilesError
from isocortex.files import digests
from isocortex.files.checksums import read_record
from isocortex.files.digests import digest_files, digest_of, reading_every_byte, stamp_of
from isocortex.files.disk import cache_folder, data_folder
from isocortex.files.file_store import FileSpec, FileStore
from isocortex.files.sealed import write_sealed
from tests.lab import Lab, Typed

CONTENT = b"fourteen bytes"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
WRONG = "0" * 64


def remember(path: Path, digest: str) -> None:
    """Let the cache say, with a whole record and the right stamp, that a file has this digest."""
    name = str(path.resolve())
    memory = cache_folder() / "digests" / f"{digest_of([name])}.json"
    write_sealed(memory, {"files": {name: [*stamp_of(path), digest]}})
    assert digest_files([path]) == {path: digest}, "it is believed where nobody asks for more"


def a_file(name: str = "a.bin", package: str = "p") -> Path:
    path = data_folder() / package / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CONTENT)
    return path


def test_inside_nothing_that_is_remembered_is_asked() -> None:
    path = a_file()
    remember(path, WRONG)
    with reading_every_byte():
        assert digest_files([path]) == {path: SHA256}
    assert digest_files([path]) == {path: WRONG}


@pytest.mark.parametrize("sha256", [SHA256, None])
def test_a_wrong_memory_neither_removes_nor_blames_a_file(sha256: str | None) -> None:
    path, store = a_file(), FileStore(offline=True)
    spec = FileSpec("a.bin", "", sha256, None)
    store.verify("p", [spec])
    remember(path, WRONG)
    assert store.verify("p", [spec]) == {spec: SHA256}
    assert path.read_bytes() == CONTENT


@pytest.fixture
def away(lab: Lab) -> Path:
    """A file that a data set lists, with the checksum of what it should be."""
    listing = lab.site / "iso_lab" / "away.csv"
    listing.write_text(listing.read_text().replace("0" * 64, SHA256))
    return a_file("lab-away.bin", "iso-lab")


def test_fetch_verify_reads_every_byte_whatever_is_remembered(away: Path, typed: Typed) -> None:
    verify = ("fetch", "-b", "fault.away", "--verify")
    assert typed(*verify).code == 0
    away.write_bytes(CONTENT[:-1] + b"S")
    remember(away, SHA256)
    FileStore(offline=True).verify("iso-lab", [FileSpec("lab-away.bin", "", SHA256, 14)])  # believes what is remembered
    done = typed(*verify)
    assert done.code == 1
    assert "had another checksum than expected" in done.err
    assert "lab-away.bin" in done.err


def test_a_record_of_checksums_that_was_damaged_is_named_and_not_made_anew() -> None:
    path, store = a_file(), FileStore(offline=True)
    spec = FileSpec("a.bin", "", None, None)
    store.present("p", [spec], "it")
    record = path.with_name("recorded.json")
    whole = record.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        record.write_bytes(changed)
        with pytest.raises(FilesError, match=r"recorded\.json"):
            store.present("p", [spec], "it")
        assert record.read_bytes() == changed
    record.write_bytes(whole)
    assert read_record(path.parent) == {"a.bin": SHA256}


def test_a_record_of_a_version_before_is_believed_and_sealed_with_the_next_file() -> None:
    path, store = a_file(), FileStore(offline=True)
    record = path.with_name("recorded.json")
    record.write_text(json.dumps({"a.bin": {"sha256": WRONG, "bytes": 14}}))
    with pytest.raises(FilesError, match="differ from those that were recorded first"):
        store.present("p", [FileSpec("a.bin", "", None, None)], "it")
    record.write_text(json.dumps({"a.bin": {"sha256": SHA256, "bytes": 14}}))
    a_file("b.bin")
    store.present("p", [FileSpec(name, "", None, None) for name in ("a.bin", "b.bin")], "it")
    assert read_record(path.parent) == {"a.bin": SHA256, "b.bin": SHA256}
    assert "sha256" in json.loads(record.read_bytes())


# --- members of archives ----------------------------------------------------------------------------------------------


@pytest.fixture
def archived() -> FileSpec:
    """An archive of two files, in its place and unpacked."""
    path = data_folder() / "p" / "a.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("one.bin", CONTENT)
        archive.writestr("deep/two.bin", CONTENT[::-1])
    spec = FileSpec("a.zip", "", hashlib.sha256(path.read_bytes()).hexdigest(), None, unpack=True)
    FileStore(offline=True).present("p", [spec], "it")
    return spec


def contents(spec: FileSpec) -> dict[str, bytes]:
    """Members of the archive, by name."""
    return {name: path.read_bytes() for name, path in FileStore(offline=True).present("p", [spec], "it").items()}


@pytest.mark.parametrize("damage", ["changed", "cut", "absent", "added", "checksums", "no checksums"])
def test_members_of_an_archive_that_are_not_as_they_were_are_unpacked_again(archived: FileSpec, damage: str) -> None:
    whole = contents(archived)
    assert whole == {"one.bin": CONTENT, "deep/two.bin": CONTENT[::-1]}
    (member,) = data_folder().rglob("two.bin")
    (listing,) = (path for path in (data_folder() / "p").glob("a.zip.*.json"))
    if damage == "changed":
        member.write_bytes(b"F" + CONTENT[::-1][1:])
    elif damage == "cut":
        member.write_bytes(b"")
    elif damage == "absent":
        member.unlink()
    elif damage == "added":
        member.with_name("three.bin").write_bytes(b"3")
    elif damage == "checksums":
        listing.write_bytes(listing.read_bytes().replace(b"two.bin", b"too.bin"))
    else:
        listing.unlink()
    assert contents(archived) == whole
    assert contents(archived) == whole


def test_members_that_are_as_they_were_are_left(archived: FileSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isocortex.files.members.unpack", lambda *_: pytest.fail("unpacked again"))
    monkeypatch.setattr(digests, "_SETTLED_NS", 0)
    assert len(contents(archived)) == 2
