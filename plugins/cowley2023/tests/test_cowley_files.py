"""Files in both layouts, made here: what is read is what was written, gaps are gaps, and other files are refused."""

from __future__ import annotations

import http.server
import json
import threading
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import isocortex as package
from isocortex.data import Dataset, averaged, repetitions
from isocortex.errors import AlignmentError, DataError, FilesError
from isocortex.interfaces import DataFiles
from isocortex_cowley2023 import read_means, read_trials, source_files
from isocortex_cowley2023.responses import MOST_BYTES
from isocortex_cowley2023.source_files import AbsentError, present
from plugins.cowley2023.tests import recordings
from tests.third_party.install import write_package

N_NEURONS, N_IMAGES, N_TRIALS = 6, 40, 8


def saved(path: Path, counts: np.ndarray) -> Path:
    """Counts in the layout that the ending stands for."""
    if path.suffix == ".npy":
        np.save(path, counts)
    else:
        np.savez_compressed(path, counts=np.where(np.isnan(counts), 255, counts).astype(np.uint8))
    return path


def images(folder: Path, n_images: int = N_IMAGES) -> object:
    recordings.write_images(folder / "images.zip", n_images)
    with zipfile.ZipFile(folder / "images.zip") as archive:
        archive.extractall(folder / "images")
    files = DataFiles({f"images/{path.name}": path for path in (folder / "images").iterdir()})
    return recordings.plugin("stimuli", "cowley2023-210325", n_images=n_images).load(files)


def session(folder: Path, counts: np.ndarray, ending: str = ".npz", **options: str) -> Dataset:
    """The data set of made-up counts."""
    path = saved(folder / f"trials{ending}", counts)
    made = recordings.plugin("dataset", "Cowley2023.210325", n_neurons=len(counts), **options)
    return made.load(DataFiles({path.name: path}), images(folder, counts.shape[1]))


@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_trials_are_those_of_the_file_and_gaps_are_gaps(tmp_path: Path, ending: str) -> None:
    counts = recordings.counts_of(N_NEURONS, N_IMAGES, N_TRIALS)
    data = session(tmp_path, counts, ending)
    assert data.responses is not None
    assert data.warnings == (), "equal gaps of all neurons are no news"
    np.testing.assert_array_equal(repetitions(data.responses), counts.transpose(2, 1, 0))
    np.testing.assert_allclose(averaged(data.responses), np.nanmean(counts, axis=2).T, rtol=0, atol=1e-9)
    assert data.responses.sizes["presentation"] == np.isfinite(counts[0]).sum()
    assert data.responses["neuroid_id"].values.tolist() == [f"210325.neuron{n}" for n in range(N_NEURONS)]
    assert (set(data.responses["region"].values), set(data.responses["subject"].values)) == ({"V4"}, {"PE"})
    assert data.stimuli.ids[:2] == ("image0001", "image0002")


def test_ceilings_are_over_all_trials(tmp_path: Path) -> None:
    counts = recordings.counts_of(N_NEURONS, N_IMAGES, N_TRIALS)
    counts[2, 5, 1] = counts[4, 7, :3] = np.nan  # gaps of single neurons
    data = session(tmp_path, counts, ".npy")
    comparison = package.load_metric("ridge").against(data)
    expected = recordings.reliability_of(counts)
    np.testing.assert_allclose(comparison.ceiling.value, np.sign(expected) * np.sqrt(np.abs(expected)), atol=1e-9)
    assert "2 of 6: 210325.neuron2, 210325.neuron4" in data.warnings[0]


@pytest.mark.parametrize(
    ("gaps", "n_images", "n_neurons", "said"),
    [
        ("drop-stimuli", N_IMAGES - 1, N_NEURONS, "1 of 40 stimuli of 'Cowley2023.210325' have no trial"),
        ("drop-neuroids", N_IMAGES, N_NEURONS - 1, "1 of 6 neuroids of 'Cowley2023.210325' have no trial"),
    ],
)
def test_an_image_without_a_trial_of_a_neuron_is_refused_or_one_of_them_is_dropped(
    tmp_path: Path, gaps: str, n_images: int, n_neurons: int, said: str
) -> None:
    counts = recordings.counts_of(N_NEURONS, N_IMAGES, N_TRIALS)
    counts[2, 5] = np.nan
    (tmp_path / "refused").mkdir()
    with pytest.raises(DataError, match=r"no trial of 1 of 40 stimuli \(image0006\) for 1 of 6 neuroids .*neuron2"):
        session(tmp_path / "refused", counts)
    data = session(tmp_path, counts, gaps=gaps)
    assert data.responses is not None
    assert (len(data.stimuli), data.responses.sizes["neuroid"]) == (n_images, n_neurons)
    assert data.warnings[0].startswith(said)


def test_sessions_of_means(tmp_path: Path) -> None:
    means = np.random.default_rng(0).gamma(2.0, 1.0, size=(N_NEURONS, N_IMAGES))
    np.save(tmp_path / "mean.npy", means)
    np.savez(tmp_path / "mean.npz", mean=means.astype(np.float32))
    for name in ("mean.npy", "mean.npz"):
        np.testing.assert_array_equal(read_means(tmp_path / name, N_NEURONS, N_IMAGES), means.T.astype(np.float32))
    made = recordings.plugin("dataset", "Cowley2023.210621", n_neurons=N_NEURONS)
    data = made.load(DataFiles({"mean.npy": tmp_path / "mean.npy"}), images(tmp_path))
    assert package.load_metric("ridge").against(data).ceiling is None
    with pytest.raises(DataError, match=r"means of 7 neurons × 40 images, found float64 of shape \(6, 40\)"):
        read_means(tmp_path / "mean.npy", 7, N_IMAGES)
    np.save(tmp_path / "mean.npy", -means)
    with pytest.raises(DataError, match="not below 0"):
        read_means(tmp_path / "mean.npy", N_NEURONS, N_IMAGES)


def test_other_files_are_refused(tmp_path: Path) -> None:
    counts = recordings.counts_of(2, 3, 6)
    with pytest.raises(
        DataError, match=r"expected spike counts of 3 neurons × 2 images × trials, found shape \(2, 3, 6\)"
    ):
        read_trials(saved(tmp_path / "a.npy", counts), 3, 2)
    with pytest.raises(DataError, match="whole numbers from 0 on"):
        read_trials(saved(tmp_path / "a.npy", counts + 0.5), 2, 3)
    with pytest.raises(DataError, match="found int64"):
        read_trials(saved(tmp_path / "a.npy", np.nan_to_num(counts).astype(np.int64)), 2, 3)
    with pytest.raises(DataError, match="whole numbers from 0 on; found others, or none"):
        read_trials(saved(tmp_path / "a.npz", np.full((2, 3, 6), np.nan)), 2, 3)
    np.save(tmp_path / "b.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="objects"):
        read_trials(tmp_path / "b.npy", 2, 3)
    np.savez(tmp_path / "c.npz", counts=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="cannot be read"):
        read_trials(tmp_path / "c.npz", 2, 3)
    np.savez(tmp_path / "d.npz", count=counts)
    with pytest.raises(DataError, match="expected the array 'counts'; found count"):
        read_trials(tmp_path / "d.npz", 2, 3)
    with (
        zipfile.ZipFile(tmp_path / "e.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("counts.npy", "w") as file,
    ):
        for _ in range(MOST_BYTES // 16_000_000 + 1):
            file.write(bytes(16_000_000))
    with pytest.raises(DataError, match="at most 256,000,000 are read"):
        read_trials(tmp_path / "e.npz", 2, 3)


def test_responses_go_to_their_own_images_alone(tmp_path: Path) -> None:
    shown = images(tmp_path)
    made = recordings.plugin("dataset", "Cowley2023.210325", n_neurons=N_NEURONS)
    with pytest.raises(AlignmentError, match="has other images than 1 to 2"):
        made.load(DataFiles({}), shown.only(["image0002", "image0005"]))  # pyright: ignore[reportAttributeAccessIssue]


def cloned(folder: Path, counts: np.ndarray) -> None:
    """Session 210325 as it lies in a clone of the repository."""
    below = folder / "clone" / "data_V4_responses"
    (below / "responses_raw").mkdir(parents=True, exist_ok=True)
    np.save(below / "responses_raw" / "responses_210325.npy", counts)
    recordings.write_images(below / "images" / "images_210325.zip", 640, folder="images_210325/")


def test_a_clone_of_the_repository_is_scored_and_its_numbers_are_those_of_numpy(isocortex, tmp_path: Path) -> None:
    counts = recordings.counts_of(50, 640, 10, seed=3)
    cloned(tmp_path, counts)
    fetched = isocortex("fetch", "-b", "Cowley2023.210325.ridge", "--from", str(tmp_path))
    assert fetched.returncode == 0, fetched.stderr
    done = isocortex("score", "-m", "pixels", "-b", "Cowley2023.210325.ridge", "--offline", "--json")
    assert done.returncode == 0, done.stderr
    [row] = json.loads(done.stdout)
    assert row["ceiling"] == pytest.approx(np.median(np.sqrt(recordings.reliability_of(counts))), abs=1e-9)
    assert row["ceiling_estimator"] == "square root of the reliability of means over 6 to 10 trials, by variances"
    assert row["ceiled"] == pytest.approx(row["value"] / row["ceiling"])
    assert (row["n_stimuli"], row["n_neuroids"]) == (640, 50)
    cloned(tmp_path, counts[::-1])
    other = isocortex("fetch", "-b", "Cowley2023.210325.ridge", "--from", str(tmp_path))
    assert other.returncode == 1, "another file of the same name is not taken"
    assert "record" in other.stderr or "differs" in other.stderr


MANIFEST = """
[plugin]
api = 1

[defaults.dataset]
object = "isocortex_cowley2023:V4Responses"
stimuli = "cowley2023-210325"

[defaults.benchmark]
metric = "ridge"
reduction = "spatial-mean-2"
"""
ROW = """
[[dataset]]
id = "{gaps}"
options = {{ session = "210325", kind = "trials", animal = "PE", n_neurons = 50, gaps = "{gaps}" }}

[[benchmark]]
id = "{gaps}.ridge"
dataset = "{gaps}"
"""


def test_what_is_dropped_for_gaps_is_counted_in_the_result(isocortex, tmp_path: Path) -> None:
    counts = recordings.counts_of(50, 640, 10, seed=3)
    counts[7, 5] = np.nan
    cloned(tmp_path, counts)
    assert isocortex("fetch", "-b", "Cowley2023.210325.ridge", "--from", str(tmp_path)).returncode == 0
    policies = ("refuse", "drop-stimuli", "drop-neuroids")
    manifest = MANIFEST + "".join(ROW.format(gaps=gaps) for gaps in policies)
    write_package(tmp_path / "site", "isocortex-gaps", {"isocortex.toml": manifest})
    env = {"PYTHONPATH": str(tmp_path / "site")}
    benchmarks = [text for gaps in policies for text in ("-b", f"{gaps}.ridge")]
    done = isocortex("score", "-m", "pixels", *benchmarks, "--offline", "--json", env=env)
    assert done.returncode == 1, done.stderr
    [line] = [line for line in done.stderr.splitlines() if "no trial of" in line and "refuse.ridge" in line]
    assert "image0006" in line
    assert "210325.neuron7" in line
    assert "gaps = 'drop-stimuli'" in line
    rows = {row["benchmark"]: row for row in json.loads(done.stdout) if row.get("value") is not None}
    assert {name: (row["n_stimuli"], row["n_neuroids"]) for name, row in rows.items()} == {
        "drop-stimuli.ridge": (639, 50),
        "drop-neuroids.ridge": (640, 49),
    }
    results = {path.parts[-4]: json.loads(path.read_text()) for path in tmp_path.glob("results/*/*/*/result.json")}
    for name, said in (("stimuli", "1 of 640 stimuli"), ("neuroids", "1 of 50 neuroids")):
        [warning] = [text for text in results[f"drop-{name}.ridge"]["warnings"] if "were dropped" in text]
        assert warning.startswith(said)


def test_what_is_absent_is_said_with_where_to_get_it(isocortex, tmp_path: Path) -> None:
    with pytest.raises(AbsentError, match=r"The trials 210325 of Cowley et al. 2023 are not in .*--from FOLDER"):
        present("trials 210325")
    done = isocortex("fetch", "-b", "Cowley2023.210325.rsa", "--from", str(tmp_path))
    assert done.returncode == 1
    assert "holds no trials 210325 of Cowley et al. 2023: looked for cowley_v4_210325_trials.npz and" in done.stderr
    (tmp_path / "cowley_v4_210325_trials.npz").write_bytes(b"something else")
    done = isocortex("fetch", "-b", "Cowley2023.210325.rsa", "--from", str(tmp_path))
    assert done.returncode == 1, "a copy with another checksum is none"


class Serving(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def test_files_come_from_the_repository_and_verify_brings_none(
    isocortex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = recordings.counts_of(50, 640, 10, seed=3)
    cloned(tmp_path, counts)
    handler = partial(Serving, directory=str(tmp_path / "clone"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}"
        read = source_files.read_specs
        monkeypatch.setattr(
            source_files,
            "read_specs",
            lambda *about: [replace(spec, url=f"{here}/{spec.name}") for spec in read(*about)],
        )
        verified = isocortex("fetch", "-b", "Cowley2023.210325.rsa", "--verify")
        assert verified.returncode == 1
        assert "The trials 210325 of Cowley et al. 2023 are not in" in verified.stderr
        with pytest.raises(AbsentError):
            present("trials 210325")
        fetched = isocortex("fetch", "-b", "Cowley2023.210325.rsa")
        server.shutdown()
    assert fetched.returncode == 0, fetched.stderr
    assert "No checksum is published" in fetched.stderr
    data = package.load_dataset("Cowley2023.210325")
    assert data.responses is not None
    np.testing.assert_array_equal(repetitions(data.responses), counts.transpose(2, 1, 0))
    verified = isocortex("fetch", "-b", "Cowley2023.210325.rsa", "--verify")
    assert verified.returncode == 0, verified.stderr


def test_an_archive_that_lacks_an_image_is_refused(tmp_path: Path) -> None:
    recordings.write_images(tmp_path / "images.zip", N_IMAGES, left_out=7)
    with zipfile.ZipFile(tmp_path / "images.zip") as archive:
        archive.extractall(tmp_path / "images")
    files = DataFiles({path.name: path for path in (tmp_path / "images").iterdir()})
    with pytest.raises(DataError, match=r"image0001.jpg to image0040.jpg once each; found 39 images"):
        recordings.plugin("stimuli", "cowley2023-210325", n_images=N_IMAGES).load(files)
    assert isinstance(AbsentError("gone"), FilesError)
