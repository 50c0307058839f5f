"""Files of which a SHA-1 alone is published: it must be right when they come, and their SHA-256 is held to since."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from isocortex.errors import FilesError
from isocortex.files.checksums import read_record
from isocortex.files.file_store import FileSpec, FileStore, read_specs

ADDRESS = "http://127.0.0.1:9/a.nc"
CONTENT, OTHER = b"CDF\1 responses" * 50, b"CDF\1 reSponses" * 50
SHA1 = hashlib.sha1(CONTENT).hexdigest()
SPEC = FileSpec("a.nc", ADDRESS, None, len(CONTENT), sha1=SHA1)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """A data folder whose network is never used."""
    return FileStore(tmp_path / "data", offline=True)


def put(store: FileStore, content: bytes = CONTENT) -> Path:
    path = store.path("p", SPEC)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_listing_may_have_a_column_of_sha1(tmp_path: Path) -> None:
    (tmp_path / "files.csv").write_text(f"name,url,sha256,sha1,bytes\na,u,, {SHA1.upper()} ,\nb,u,abc,,7\n")
    one, two = read_specs(tmp_path, "files.csv")
    assert (one.sha256, one.sha1, one.published) == (None, SHA1, f"sha1:{SHA1}")
    assert (two.sha256, two.sha1, two.published) == ("abc", None, "sha256:abc")


def test_a_right_file_is_recorded_by_its_sha256_and_said_once(store, capsys) -> None:
    put(store)
    assert store.present("p", [SPEC], "The data set")["a.nc"].read_bytes() == CONTENT
    said = capsys.readouterr().err
    assert "Only a SHA-1 is published for a.nc, and it is right" in said
    assert read_record(store.root / "p") == {"a.nc": hashlib.sha256(CONTENT).hexdigest()}
    store.present("p", [SPEC], "The data set")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("recorded", [False, True])
def test_a_file_of_another_sha1_is_removed_and_never_recorded(store, recorded: bool) -> None:
    if recorded:
        put(store)
        store.present("p", [SPEC], "The data set")
    path = put(store, OTHER)
    with pytest.raises(FilesError, match="another checksum than expected and were removed"):
        store.present("p", [SPEC], "The data set")
    assert not path.exists()
    assert OTHER not in read_record(store.root / "p").values()
    put(store)
    store.present("p", [SPEC], "The data set")


def test_a_file_of_the_same_sha1_that_differs_from_the_record_is_refused(store) -> None:
    """Somebody can make one on purpose; a checksum in the list that suits the other file stands for that here."""
    put(store)
    store.present("p", [SPEC], "The data set")
    path = put(store, OTHER)
    forged = FileSpec("a.nc", ADDRESS, None, len(OTHER), sha1=hashlib.sha1(OTHER).hexdigest())
    with pytest.raises(FilesError, match="differ from those that were recorded first"):
        store.present("p", [forged], "The data set")
    assert path.exists()


def test_a_folder_is_searched_by_name_and_sha1(store, tmp_path: Path) -> None:
    for name, content in (("wrong", OTHER), ("right/deep", CONTENT)):
        (tmp_path / "given" / name).mkdir(parents=True)
        (tmp_path / "given" / name / "a.nc").write_bytes(content)
    assert store.adopt("p", [SPEC], tmp_path / "given" / "wrong") == [SPEC]
    assert store.adopt("p", [SPEC], tmp_path / "given") == []
    assert store.path("p", SPEC).read_bytes() == CONTENT
