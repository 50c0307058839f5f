"""``isocortex score`` and ``isocortex extract`` as they are typed: what is printed, and the exit code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from isocortex.cli.score import exit_code
from isocortex.files.leftovers import partial_of
from isocortex.results.result import Failure, Result
from isocortex.results.tables import tally
from tests.lab import N_STIMULI, Lab, Typed


def result(status: str = "scored", kind: str | None = None, *, cached: bool = False) -> Result:
    """A result with a state alone."""
    fields = {"digest": "", "model": "m", "variant": "fixed", "benchmark": "b", "benchmark_version": 1}
    failure = None if kind is None else Failure(kind=kind, message="")
    return Result(status=status, dataset="d", stimuli="s", metric="x", failure=failure, cached=cached, **fields)  # type: ignore[arg-type]


# --- exit codes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "code"),
    [
        ([], 0),
        ([None, None], 0),
        ([None, "DataError"], 1),
        ([None, "LayerError"], 1),
        (["LayerError", "SettingsError"], 2),
        (["UsageError", "ModalityError", "UnknownIDError", "AmbiguousIDError"], 2),
        (["LayerError", "ZeroDivisionError"], 1),
    ],
)
def test_exit_code_0_all_1_some_2_none_as_it_was_asked(kinds: list[str | None], code: int) -> None:
    results = [result("scored" if kind is None else "failed", kind) for kind in kinds]
    assert exit_code(results) == code


def test_the_tally_counts_each_cell_once() -> None:
    results = [result(), result(cached=True), result(cached=True), result("failed", "DataError")]
    assert tally(results) == "4 cells: 1 computed, 2 cached, 1 failed"
    assert tally([], ["m × b"]) == "0 cells: 0 computed, 0 cached, 0 failed, 1 pairs left out (another modality)"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("-m", "lab-net", "-b", "lab.fit"), 0, "1 cells: 1 computed, 0 cached, 0 failed"),
        (("-m", "lab-net", "-m", "fault-run", "-b", "lab.fit"), 1, "2 cells: 1 computed, 0 cached, 1 failed"),
        (("-m", "fault-run", "-b", "lab.fit"), 1, "failed (ZeroDivisionError: the tape is torn)"),
        (("-m", "lab-net", "-b", "lab.fit", "--layers", "net.pixel"), 2, "Did you mean net.pixels?"),
        (("-m", "lab-[en]*", "-b", "lab.fit"), 0, "1 pairs left out (another modality)"),
        (("-m", "lab-nett", "-b", "lab.fit"), 2, "Error: No installed package offers the model 'lab-nett'. Did you"),
        (("-m", "lab-net@permuted", "-b", "lab.fit"), 2, "it offers fixed, random"),
        (("-m", "lab-ear", "-b", "lab.fit"), 2, "'lab-ear' takes audio"),
        (("-m", "lab-net", "-b", "pairs.fit"), 2, "takes responses, but 'LabPairs' holds rdm"),
        (("-m", "lab-net", "-b", "lab.fit", "--shard", "3/2"), 2, "'3/2' is no shard"),
        (("-m", "lab-net", "-b", "lab.fit", "--keep", "scores"), 2, "--keep takes prediction"),
        (("-m", "lab-net", "-b", "lab.fit", "--seed", "-1"), 2, "--seed"),
        (("-m", "lab-net", "-b", "lab.fit", "--out", "/dev/null/results"), 1, "Error: /dev/null/results"),
        (("-m", "lab-net"), 2, "--benchmark"),
    ],
)
def test_a_command_ends_with_its_code_and_says_why_in_one_message(lab: Lab, typed: Typed, arguments, code, words):
    done = typed("score", *arguments)
    assert done.code == code, done.err
    assert words in done.err
    assert "Traceback" not in done.err


def test_what_a_person_stops_ends_with_130_and_goes_on_from_there(lab: Lab, typed: Typed) -> None:
    command = ("score", "-m", "lab-net", "-m", "fault-stop", "-b", "lab.fit")
    done = typed(*command)
    assert done.code == 130
    assert "What is finished is kept" in done.err
    assert "1 cached" in typed("score", "-m", "lab-net", "-b", "lab.fit").err


# --- what is printed --------------------------------------------------------------------------------------------------


def test_json_and_table_hold_the_same_rows(lab: Lab, typed: Typed) -> None:
    command = ("score", "-m", "lab-net", "-m", "fault-run", "-m", "lab-second", "-b", "lab.regions")
    rows = json.loads(typed(*command, "--json").out)
    assert [(row["model"], row["region"]) for row in rows] == [
        ("lab-net", None),
        ("lab-net", "A"),
        ("lab-net", "B"),
        ("fault-run", None),
        ("lab-second", None),
        ("lab-second", "A"),
        ("lab-second", "B"),
    ]
    table = typed(*command).out
    for row in rows:
        if row["status"] == "failed":
            assert f"failed: fault-run@fixed × lab.regions: {row['failure']}" in " ".join(table.split())
            continue
        (line,) = (line for line in table.splitlines() if line.startswith(f"{row['model']} "))
        assert f"{row['value']:.3f}".removeprefix("0") in line
        assert row["region"] or row["best_layer"] in line
    rows_of_long = typed("show", "--long").out.splitlines()
    for row in rows:
        if row["status"] == "scored":
            region = row["region"] or "all"
            (line,) = (line for line in rows_of_long if f"{row['model']}@" in line and f" {region} " in line)
            assert all(text in line for text in (f"{row['value']:.3f}", row["digest"][:8], row["best_layer"]))
    assert typed("show", "--json").out == json.dumps(sorted(rows, key=lambda row: row["model"]), indent=1) + "\n"


@pytest.mark.filterwarnings("ignore:Degrees of freedom:RuntimeWarning")
def test_values_that_are_no_numbers_are_null_in_json(lab: Lab, typed: Typed, monkeypatch) -> None:
    typed("score", "-m", "lab-second", "-b", "lab.fit")
    import iso_lab  # type: ignore[import-not-found]

    monkeypatch.setattr(iso_lab, "correlation", lambda *_: np.full(4, np.nan))
    done = typed("score", "-m", "lab-net", "-b", "lab.fit", "--json")
    assert done.code == 0, done.err

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    (row,) = json.loads(done.out, parse_constant=refuse)
    assert row["value"] is None
    assert [layer["value"] for layer in row["layers"]] == [None, None]
    assert json.loads(lab.records("result.json")[0].read_text(), parse_constant=refuse)


def test_nothing_but_the_table_goes_to_stdout(lab: Lab, typed: Typed) -> None:
    done = typed("score", "-m", "lab-net", "-b", "lab.fit", "--json")
    assert json.loads(done.out)
    assert done.err.splitlines()[-1] == "1 cells: 1 computed, 0 cached, 0 failed"


# --- extract ----------------------------------------------------------------------------------------------------------


def activations(folder: Path) -> list[str]:
    """All files below a folder that are neither locks nor remembered digests."""
    found = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return sorted(str(path) for path in found if path.parts[0] not in ("locks", "digests"))


def test_extract_fills_the_cache_and_says_where(lab: Lab, typed: Typed, own_folders: Path) -> None:
    command = ("extract", "-m", "lab-net", "-m", "lab-net@random:1", "--stimuli", "lab-images")
    done = typed(*command)
    assert done.code == 0, done.err
    lines = [line.split("\t") for line in done.out.splitlines()]
    assert [(name, layer, shape) for name, layer, shape, _ in lines] == [
        (model, layer, f"{N_STIMULI} × {n_units}")
        for model in ("lab-net@fixed", "lab-net@random:1")
        for layer, n_units in (("net.mean", 2), ("net.pixels", 18))
    ]
    for _, layer, _, folder in lines:
        assert Path(folder).parent == own_folders / "cache" / "activations"
        assert (Path(folder) / layer / "00001.npy").exists()
    lab.seen()
    assert typed(*command).out == done.out
    assert lab.seen() == [], "the second time nothing is computed"


def test_extract_takes_layers_by_pattern_and_names_the_closest_to_a_wrong_one(lab: Lab, typed: Typed) -> None:
    command = ("extract", "-m", "lab-net", "--stimuli", "lab-images")
    done = typed(*command, "--layers", "net.*", "--reduction", "spatial-mean")
    assert [line.split("\t")[1:3] for line in done.out.splitlines()] == [
        ["net.mean", "40 × 2"],
        ["net.hidden", "40 × 4"],
        ["net.pixels", "40 × 3"],
    ]
    wrong = typed(*command, "--layers", "net.pixel")
    assert (wrong.code, wrong.out) == (2, "")
    assert "lab-net@fixed has no layer that matches 'net.pixel'. Did you mean net.pixels?" in wrong.err


def test_what_has_no_digest_is_refused_without_out_and_leaves_nothing(lab: Lab, typed: Typed, own_folders) -> None:
    done = typed("extract", "-m", "lab-unkept", "--stimuli", "lab-images")
    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1
    assert "lab-unkept has no digest, so that its activations are kept nowhere. Give --out FOLDER." in done.err
    assert lab.seen("load") == []
    assert activations(own_folders / "cache") == []


def test_models_without_digest_are_given_their_own_activations_and_share_no_folder(
    lab: Lab, typed: Typed, own_folders: Path
) -> None:
    manifest = lab.site / "iso_lab" / "isocortex.toml"
    twin = '[[model]]\nid = "lab-twin"\noptions = { digest = false, dtype = "int8" }\n'
    manifest.write_text(f"{manifest.read_text()}\n{twin}")
    done = typed("extract", "-m", "lab-unkept", "-m", "lab-twin", "--stimuli", "lab-images", "--out", "copy")
    assert done.code == 0, done.err
    kept = [np.load(f"copy/{model}@fixed/net.mean/00000.npy") for model in ("lab-unkept", "lab-twin")]
    assert (kept[0] >= 0).all()
    assert (kept[1] < 0).any(), "what it makes of bright pixels"
    first, second = lab.score(["lab-unkept", "lab-twin"], "lab.fit")
    assert [name for _, name, _ in lab.seen("load")] == ["lab-unkept@fixed", "lab-twin@fixed"] * 2
    assert first.summary is not None
    assert second.summary is not None
    assert first.summary.value != second.summary.value
    assert not [path for path in own_folders.rglob("*") if "uncached" in path.name or path.name == "None"]


def test_what_a_killed_copy_left_is_swept_by_the_next_one(lab: Lab, typed: Typed) -> None:
    typed("extract", "-m", "lab-net", "--stimuli", "lab-images", "--out", "copy")
    [chunk] = sorted(Path("copy").rglob("00000.npy"))[:1]
    alive = partial_of(chunk)
    partial = map(partial_of, (chunk, chunk.parents[1], chunk.parents[2]))
    dead = [Path(re.sub(r"-\d+-\d+-", "-999999999-1-", str(path))) for path in partial]
    for path in (alive, *dead):
        path.write_bytes(b"half")
    done = typed("extract", "-m", "lab-net", "--stimuli", "lab-images", "--out", "copy")
    assert done.code == 0, done.err
    assert alive.exists()
    assert [path for path in dead if path.exists()] == [dead[2]], "beside --out, nothing is swept"


@pytest.mark.parametrize("model", ["lab-net", "lab-unkept"])
def test_the_copy_is_whole_and_scores_as_the_model_does(lab: Lab, typed: Typed, own_folders, model: str) -> None:
    for _ in range(2):
        done = typed("extract", "-m", model, "--stimuli", "lab-images", "--out", "copy")
        assert done.code == 0, done.err
        assert {line.split("\t")[3] for line in done.out.splitlines()} == {f"copy/{model}@fixed"}
    names = {Path(name).name for name in activations(Path("copy"))}
    assert {"activations.json", "layer.json", "00000.npy", "00001.npy"} <= names
    assert not [name for name in activations(Path("copy")) if ".part" in name]
    assert not [path for path in own_folders.rglob("*") if "uncached" in path.name or path.name == "None"]
    (direct,) = lab.score(model, "lab.fit")
    (apart,) = lab.score(f"activations:copy/{model}@fixed", "lab.fit")
    assert apart.status == "scored", apart.failure
    assert apart.summary == direct.summary
    assert apart.layers == direct.layers


def test_extract_of_a_folder_of_images(lab: Lab, typed: Typed) -> None:
    from PIL import Image

    Path("mine").mkdir()
    for number in range(3):
        Image.fromarray(np.full((4, 4, 3), 50 * number, dtype=np.uint8)).save(Path("mine") / f"image{number}.png")
    done = typed("extract", "-m", "lab-net", "--stimuli", "mine", "--layers", "net.mean", "--out", "copy")
    assert done.code == 0, done.err
    stored = np.load("copy/lab-net@fixed/net.mean/00000.npy")
    assert stored.tolist() == [[0, 0], [50, 0], [100, 0]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-m", "lab-nett", "--stimuli", "lab-images"), "Did you mean lab-net"),
        (("-m", "lab-net", "--stimuli", "lab-imagess"), "Did you mean lab-images"),
        (("-m", "lab-net@permuted", "--stimuli", "lab-images"), "it offers fixed, random"),
        (("-m", "lab-net", "--stimuli", "lab-images", "--reduction", "time-mena"), "Did you mean time-mean"),
        (("-m", "lab-ear", "--stimuli", "lab-images"), "'lab-ear' takes audio, but the stimuli are image"),
        (("-m", "lab-net", "-m", "lab-ear", "--stimuli", "lab-images"), "'lab-ear' takes audio"),
        (("-m", "lab-ea*", "--stimuli", "lab-images"), "Nothing to extract: every model was left out"),
    ],
)
def test_extract_refuses_what_cannot_be_done_as_asked(lab: Lab, typed: Typed, arguments, words: str) -> None:
    done = typed("extract", *arguments)
    assert (done.code, done.out) == (2, ""), done.err
    assert words in done.err
    assert "Traceback" not in done.err
    assert lab.seen("load") == []


def test_extract_leaves_out_what_only_a_glob_named(lab: Lab, typed: Typed) -> None:
    done = typed("extract", "-m", "lab-[en]*", "--stimuli", "lab-images", "--layers", "net.mean")
    assert done.code == 0, done.err
    assert [line.split("\t")[0] for line in done.out.splitlines()] == ["lab-net@fixed"]
    assert "1 models left out (another modality)" in done.err


def test_a_folder_that_cannot_be_written_is_told_before_the_work(lab: Lab, typed: Typed) -> None:
    done = typed("extract", "-m", "lab-net", "--stimuli", "lab-images", "--out", "/dev/null/copy")
    assert (done.code, done.out) == (1, "")
    assert "/dev/null/copy" in done.err
    assert "Traceback" not in done.err
    assert lab.seen("load") == []


def test_a_copy_holds_the_layers_that_were_asked_for(lab: Lab, typed: Typed) -> None:
    typed("extract", "-m", "lab-net", "--stimuli", "lab-images", "--layers", "net.mean")
    typed("extract", "-m", "lab-net", "--stimuli", "lab-images", "--layers", "net.pixels", "--out", "copy")
    (result,) = lab.score("activations:copy/lab-net@fixed", "lab.fit")
    assert result.layers == ["net.pixels"]
    done = typed("extract", "-m", "lab-net", "--stimuli", "lab-images", "--layers", "net.mean", "--out", "copy")
    assert len(done.out.splitlines()) == 1
    (result,) = lab.score("activations:copy/lab-net@fixed", "lab.fit")
    assert result.layers == ["net.mean"], "of what was there before nothing is mixed in"


def test_a_copy_that_cannot_be_written_is_one_message(lab: Lab, typed: Typed) -> None:
    (lab.folder / "copy" / "lab-net@fixed").mkdir(parents=True)
    (lab.folder / "copy" / "lab-net@fixed" / "net.mean").write_text("no folder")
    done = typed("extract", "-m", "lab-net", "--stimuli", "lab-images", "--out", "copy")
    assert done.code == 1
    assert "copy/lab-net@fixed/net.mean/00000.json cannot be written" in done.err
    assert "Traceback" not in done.err
