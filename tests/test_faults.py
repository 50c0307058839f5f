"""Bad input: one clear message, the right exit code, and nothing that was finished is lost."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.folders import edit_responses, image_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound data set folder of images."""
    return image_folder(tmp_path / "mine")


def failures(tmp_path: Path) -> list[dict]:
    """Failure records below results/."""
    return [json.loads(path.read_text()) for path in sorted((tmp_path / "results").rglob("failures/*.json"))]


def refused(done, code: int, *words: str) -> None:
    """The command ended with that code and said these words without a traceback."""
    assert done.returncode == code, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_id_names_the_closest(isocortex, folder) -> None:
    refused(isocortex("score", "-m", "pixel", "-b", f"folder:{folder}:ridge"), 2, "pixel", "Did you mean pixels")
    refused(isocortex("score", "-m", "pixels", "-b", "NH2015com.ridge"), 2, "Did you mean NH2015comp.ridge")
    refused(isocortex("score", "-m", "pixels", "-b", f"folder:{folder}:rigde"), 2, "Did you mean ridge")


def test_audio_model_on_images_is_refused_and_left_out_by_a_glob(isocortex, folder) -> None:
    refused(isocortex("score", "-m", "spectrotemporal", "-b", f"folder:{folder}:ridge"), 2, "audio", "image")
    done = isocortex("score", "-m", "p*", "-m", "spectro*", "-b", f"folder:{folder}:ridge", "--json")
    assert done.returncode == 0, done.stderr
    assert "2 pairs left out" in done.stderr
    assert {row["model"] for row in json.loads(done.stdout)} == {"pixels", "pixels-224", "pixels-256"}


def test_variant_that_is_not_offered(isocortex, folder) -> None:
    refused(isocortex("score", "-m", "pixels@pretrained", "-b", f"folder:{folder}:ridge"), 2, "offers fixed")


def test_truncated_stimulus_fails_only_what_reads_it(isocortex, folder, tmp_path) -> None:
    path = folder / "stimuli" / "image03.png"
    path.write_bytes(path.read_bytes()[:-500])
    done = isocortex("score", "-m", "pixels", "-m", "category", "-b", f"folder:{folder}:ridge", "--json")
    refused(done, 1, "image03")
    rows = {row["model"]: row["status"] for row in json.loads(done.stdout)}
    assert rows == {"pixels": "failed", "category": "scored"}
    assert [record["failure"]["kind"] for record in failures(tmp_path)] == ["DataError"]


def test_failure_is_replaced_by_a_rerun(isocortex, folder, tmp_path) -> None:
    path = folder / "stimuli" / "image03.png"
    whole = path.read_bytes()
    path.write_bytes(b"no image at all")
    command = ("score", "-m", "pixels", "-b", f"folder:{folder}:ridge")
    refused(isocortex(*command), 1, "image03", "cannot be read as an image")
    path.write_bytes(whole)
    done = isocortex(*command)
    assert done.returncode == 0, done.stderr
    assert failures(tmp_path) == []
    path.write_bytes(b"no image again")
    assert isocortex(*command).returncode == 1
    path.write_bytes(whole)
    cached = isocortex(*command)
    assert "0 computed, 1 cached" in cached.stderr
    assert failures(tmp_path) == [], "a finished score has no failure beside it"


@pytest.mark.parametrize(
    ("line", "text", "words"),
    [
        (2, "image01,1,nan,3,4", ["not finite", "site1"]),
        (2, "image00,1,2,3,4", ["more than once", "image00"]),
        (2, "image99,1,2,3,4", ["image99", "not in"]),
        (2, None, ["have no responses", "image01"]),
        (2, "image01,1,word,3,4", ["numeric", "site1"]),
    ],
    ids=["nan", "duplicate", "unknown stimulus", "silent stimulus", "word"],
)
def test_bad_responses(isocortex, folder, line, text, words) -> None:
    edit_responses(folder, line, text)
    refused(isocortex("score", "-m", "pixels", "-b", f"folder:{folder}:ridge"), 1, *words)


def test_duplicated_stimulus(isocortex, folder) -> None:
    shutil.copy(folder / "stimuli" / "image00.png", folder / "stimuli" / "image00.bmp")
    refused(isocortex("score", "-m", "pixels", "-b", f"folder:{folder}:ridge"), 1, "found twice", "image00")


def test_empty_layer_glob(isocortex, folder) -> None:
    done = isocortex("score", "-m", "pixels", "-b", f"folder:{folder}:ridge", "--layers", "encoder.*")
    refused(done, 2, "no layer that matches 'encoder.*'", "pixels")


def test_settings_key_that_the_metric_does_not_know(isocortex, folder) -> None:
    (folder / "dataset.toml").write_text("[benchmark]\nsettings = { n_fold = 3 }\n")
    refused(isocortex("score", "-m", "pixels", "-b", f"folder:{folder}:ridge"), 2, "n_fold", "Did you mean n_folds")


def test_benchmark_table_with_an_unknown_key(isocortex, folder) -> None:
    (folder / "dataset.toml").write_text("[benchmark]\nreductoin = 'flatten'\n")
    refused(isocortex("score", "-m", "pixels", "-b", f"folder:{folder}:ridge"), 2, "reductoin")


def test_results_folder_that_cannot_be_written(isocortex, folder) -> None:
    done = isocortex("score", "-m", "pixels", "-b", f"folder:{folder}:ridge", "--out", "/sys/isocortex")
    refused(done, 1, "/sys/isocortex", "cannot be written")


def test_a_full_disk_fails_one_cell_and_keeps_what_is_finished(tmp_path, monkeypatch, own_folders) -> None:
    import isocortex

    image_folder(tmp_path / "many", n_images=70)
    monkeypatch.chdir(tmp_path)
    save, written = np.save, []

    def until_full(file, values, **options) -> None:
        written.append(values.shape)
        if values.shape[1] > 1000 and len(written) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(file, values, **options)

    models = ["pixels", "category"]
    with monkeypatch.context() as full:
        full.setattr(np, "save", until_full)
        pixels, category = isocortex.score(models, "folder:many:ridge", quiet=True)
    assert pixels.failure is not None
    assert "No space left" in pixels.failure.message
    assert "ISOCORTEX_CACHE" in pixels.failure.message
    assert category.status == "scored"
    chunks = {path: path.stat().st_mtime_ns for path in own_folders.rglob("*.npy")}
    assert len(chunks) == 2 + 3, "two chunks of pixels and three of the labels were written"
    assert not list(own_folders.rglob("*.part"))
    again = isocortex.score(models, "folder:many:ridge", quiet=True)
    assert [result.status for result in again] == ["scored", "scored"]
    assert all(path.stat().st_mtime_ns == written_at for path, written_at in chunks.items())
    assert failures(tmp_path) == []


def test_show_without_results(isocortex) -> None:
    refused(isocortex("show", "nowhere"), 1, "no results folder nowhere", "isocortex score")


def test_missing_arguments_are_usage_errors(isocortex) -> None:
    refused(isocortex("score"), 2, "--model")
    refused(isocortex("score", "-m", "pixels", "-b", "folder:mine"), 2, "folder:PATH:METRIC")
    refused(isocortex("score", "-m", "pixels", "-b", "folder:absent:ridge"), 2, "absent is not a folder")
    refused(isocortex("score", "-m", "pixels", "-b", "folder:absent:ridge", "--shard", "3/2"), 2, "3/2")
    refused(isocortex("no-such-command"), 2, "no-such-command")
