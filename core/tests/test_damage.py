"""What is read back is what was written: damage is found before a value is used, and made again or named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from isocortex.files.disk import cache_folder
from isocortex.results.result import Result, read_results
from tests.lab import Lab, Typed


def flip(path: Path, at: int = -1) -> None:
    """Change one bit of a file in place."""
    content = bytearray(path.read_bytes())
    content[at] ^= 0x20
    with path.open("r+b") as file:
        file.write(content)


def swap(one: Path, other: Path) -> None:
    """Let two files or folders change places."""
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def values(result: Result) -> object:
    """Everything that is a number in a result."""
    assert result.summary is not None, result.failure
    return result.model_dump(include={"summary", "regions"})


def kept(layer: str = "net.pixels") -> Path:
    """The folder of a layer in the cache."""
    (found,) = cache_folder().glob(f"activations/*/{layer}")
    return found


# --- activations ------------------------------------------------------------------------------------------------------

DAMAGES: dict[str, Callable[[], object]] = {
    "a bit of a value": lambda: flip(kept() / "00000.npy"),
    "a bit of the header": lambda: flip(kept() / "00001.npy", 3),
    "a bit of a checksum": lambda: flip(kept() / "00001.json", -30),
    "a cut": lambda: (kept() / "00000.npy").write_bytes((kept() / "00000.npy").read_bytes()[:-40]),
    "more at the end": lambda: (kept() / "00000.npy").write_bytes((kept() / "00000.npy").read_bytes() + b"\0"),
    "two layers swapped": lambda: swap(kept("net.pixels"), kept("net.hidden")),
    "the record of another layer": lambda: shutil.copy(kept("net.mean") / "layer.json", kept() / "layer.json"),
    "a number of units": lambda: flip(kept() / "layer.json", 150),
    "a chunk without checksum": lambda: (kept() / "00000.json").unlink(),
    "no record of the layer": lambda: (kept() / "layer.json").unlink(),
    "a selection": lambda: flip(next(kept().parent.glob("selections/*.json")), -90),
    "the description": lambda: flip(kept().parent / "activations.json", 40),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_activations_are_made_again(lab: Lab, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    layers = ("net.mean", "net.hidden", "net.pixels")
    (first,) = lab.score("lab-net", "lab.fit", out=Path("first"), layers=layers)
    before = {path: path.read_bytes() for path in kept().parent.rglob("*") if path.is_file()}
    DAMAGES[damage]()
    (again,) = lab.score("lab-net", "lab.fit", out=Path("again"), layers=layers)
    assert values(again) == values(first)
    assert {path: path.read_bytes() for path in before} == before, "nothing damaged is left"
    lab.seen()
    lab.score("lab-net", "lab.fit", out=Path("last"), layers=layers)
    assert not lab.seen("load"), "and what is whole is not made again"


def test_activations_of_two_models_that_changed_places_are_made_again(lab: Lab) -> None:
    first = [values(result) for result in lab.score(["lab-net", "lab-net@random:1"], "lab.fit", out=Path("first"))]
    one, other = cache_folder().glob("activations/*")
    swap(one, other)
    lab.seen()
    again = lab.score(["lab-net", "lab-net@random:1"], "lab.fit", out=Path("again"))
    assert [values(result) for result in again] == first
    assert len(lab.seen("load")) == 2


def test_what_is_damaged_is_told(lab: Lab, typed: Typed) -> None:
    typed("score", "-m", "lab-net", "-b", "lab.fit", "--out", "first")
    flip(kept() / "00001.npy")
    told = typed("score", "-m", "lab-net", "-b", "lab.fit", "--out", "again").err
    assert "1 files in " in told
    assert "are made again: net.pixels/00001.npy" in told
    assert "extracted chunk 2/2" in told
    assert "extracted chunk 1/2" not in told, "the other chunk is whole"


@pytest.mark.parametrize(
    "name", ["net.pixels/00000.npy", "net.mean/00000.json", "net.mean/layer.json", "activations.json"]
)
def test_a_copy_of_activations_that_was_damaged_is_refused_by_name(lab: Lab, typed: Typed, name: str) -> None:
    typed("extract", "-m", "lab-net", "--stimuli", "lab-images", "--out", "copy")
    copy = lab.folder / "copy" / "lab-net@fixed"
    assert lab.score(f"activations:{copy}", "lab.fit")[0].status == "scored"
    flip(copy / name, 60)
    done = typed("score", "-m", f"activations:{copy}", "-b", "lab.fit", "--out", "again")
    assert done.code in (1, 2)
    assert str(copy / Path(name).parent) in done.out + done.err
    assert "Traceback" not in done.err


def test_a_description_of_activations_that_describes_none_is_refused_by_name(lab: Lab, typed: Typed) -> None:
    made = lab.folder / "made"
    made.mkdir()
    described = {"stimulus_id": ["a"], "chunk_size": 32, "layers": ["l"]}
    for change in ({"layers": None}, {"chunk_size": 0}, {"chunk_size": True}, {"stimulus_id": "a"}, {"layers": [1]}):
        (made / "activations.json").write_text(json.dumps({**described, **change}))
        done = typed("score", "-m", f"activations:{made}", "-b", "lab.fit")
        assert (done.code, "Traceback" in done.err) in ((1, False), (2, False))
        assert "made/activations.json is not what 'isocortex extract' writes" in done.out + done.err
    (made / "activations.json").write_text("[" * 100_000 + "]" * 100_000)
    assert "is damaged or was edited" in typed("score", "-m", f"activations:{made}", "-b", "lab.fit").err


# --- results ----------------------------------------------------------------------------------------------------------


def edit(path: Path) -> None:
    """Another value, written as a person or a script would."""
    record = json.loads(path.read_text())
    record["summary"]["value"] = 0.99999
    path.write_text(json.dumps(record, indent=1))


RECORDS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "edited": ("result.json is not what was written", edit),
    "a bit flipped": ("result.json is not what was written", lambda path: flip(path, 300)),
    "a space added": ("result.json is not what was written", lambda path: path.write_bytes(path.read_bytes() + b" ")),
    "scores flipped": ("scores.nc is not what was written", lambda path: flip(path.with_name("scores.nc"), 900)),
    "scores cut": ("scores.nc is not what", lambda path: path.with_name("scores.nc").write_bytes(b"CDF")),
}


@pytest.mark.parametrize("damage", RECORDS)
def test_a_damaged_result_is_named_and_shows_no_value(lab: Lab, typed: Typed, damage: str) -> None:
    first, other = lab.score(["lab-net", "lab-second"], "lab.fit")
    words, damaged = RECORDS[damage]
    path = next(path for path in lab.records("result.json") if "lab-net" in str(path))
    damaged(path)
    shown = typed("show", "--json")
    by_model = {row["model"]: row for row in json.loads(shown.out)}
    assert by_model["lab-net"]["status"] == "failed"
    assert words in by_model["lab-net"]["failure"]
    assert other.summary is not None
    assert by_model["lab-second"]["value"] == other.summary.value
    compared = typed("compare")
    assert words in compared.out + compared.err
    assert "Traceback" not in shown.err + compared.err
    (again,) = lab.score("lab-net", "lab.fit")
    assert (values(again), again.cached) == (values(first), False)
    assert [result.status for result in read_results(Path("results"))] == ["scored", "scored"]


def test_a_record_in_the_folder_of_another_cell_is_neither_shown_nor_believed(lab: Lab, typed: Typed) -> None:
    first, _ = lab.score(["lab-net", "lab-second"], "lab.fit")
    one, other = lab.records("result.json")
    for name in ("result.json", "scores.nc"):
        shutil.copy(other.with_name(name), one.with_name(name))
    (row,) = [row for row in json.loads(typed("show", "--json").out) if row["status"] == "failed"]
    assert "is the record of lab-second@fixed × lab.fit" in row["failure"]
    (again,) = lab.score("lab-net", "lab.fit")
    assert values(again) == values(first)


def test_a_folder_of_results_in_the_place_of_another_model_is_named(lab: Lab) -> None:
    lab.score("lab-net", "lab.fit")
    lab.records("result.json")[0].parents[1].rename(lab.folder / "results" / "lab.fit" / "lab-second@fixed")
    (found,) = read_results(Path("results"))
    assert found.failure is not None
    assert "lies in the folder of another result" in found.failure.message


def test_a_result_of_an_older_version_is_read_and_said_to_be_unchecked(lab: Lab, typed: Typed) -> None:
    (first,) = lab.score("lab-net", "lab.fit")
    (path,) = lab.records("result.json")
    record = json.loads(path.read_text())
    for name in ("sha256", "scores_sha256"):
        del record[name]
    path.write_text(json.dumps({**record, "format": 1}))
    (read,) = read_results(Path("results"))
    assert values(read) == values(first)
    shown = " ".join(typed("show").out.split())
    assert "was written by an older version of isocortex, without checksums" in shown


def test_a_result_without_its_scores_is_shown(lab: Lab) -> None:
    (first,) = lab.score("lab-net", "lab.fit")
    lab.records("scores.nc")[0].unlink()
    (read,) = read_results(Path("results"))
    assert values(read) == values(first)
