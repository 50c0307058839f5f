"""Recordings of the Allen Institute: what is read is what was shown and measured, and other files are named."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

import isocortex
from isocortex.errors import DataError, FilesError
from isocortex.run.fetch import fetch_all
from isocortex_allen2p import nwb, trial_files
from isocortex_allen2p.nwb import OtherSessionError, read_recording
from plugins.allen2p.tests import made_up

PIPELINE = "processing/brain_observatory_pipeline"
SHOWN = "stimulus/presentation/natural_scenes_stimulus"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a recording is written."""
    return tmp_path / "recordings" / "501.nwb"


def brought(folder: Path) -> list[Path]:
    """Bring recordings in, as ``isocortex fetch --from`` does."""
    fetch_all([], ["Allen2p.conwell2021-split"], folder, verify_only=False)
    return trial_files.experiments()


def test_trials_are_those_that_were_shown(path, monkeypatch) -> None:
    monkeypatch.setattr(nwb, "_BLOCK_VALUES", 1)  # cell by cell
    written = made_up.write_recording(path)
    found = read_recording(path)
    assert (found.experiment_id, found.area, found.depth_um) == ("501", "VISpm", 175)
    assert (found.animal, found.cre_line) == ("Cux2-CreERT2;Camk2a-tTA;Ai93-501", "Cux2-CreERT2/wt")
    assert found.cell_id == tuple(map(str, written["cells"]))
    np.testing.assert_array_equal(found.scene, written["scene"])  # in the order of time, not of the rows
    for trial, first in enumerate(written["onset"]):
        expected = written["traces"][:, first : first + 14].mean(axis=1)
        np.testing.assert_allclose(found.responses[trial], expected, atol=1e-5)
    np.testing.assert_allclose(found.responses, written["responses"], atol=0.1)


def test_running_speed_meets_the_frames_by_their_times(path) -> None:
    written = made_up.write_recording(path)
    found = read_recording(path)
    for trial, first in enumerate(written["onset"]):
        known = written["speed"][max(0, first - 25) : first - 25 + 14]  # the wheel's first time is that of frame 25
        assert found.speed[trial] == pytest.approx(known.mean(), rel=1e-6)
    with h5py.File(path, "a") as file:
        del file[f"{PIPELINE}/BehavioralTimeSeries"]
    assert np.isnan(read_recording(path).speed).all()


def test_a_trial_beyond_the_end_of_the_recording_has_no_response(path) -> None:
    written = made_up.write_recording(path)
    with h5py.File(path, "a") as file:
        traces = file[f"{PIPELINE}/DfOverF/imaging_plane_1/data"][:, : written["onset"][-1] + 10]
        del file[f"{PIPELINE}/DfOverF/imaging_plane_1/data"]
        file[f"{PIPELINE}/DfOverF/imaging_plane_1/data"] = traces
    gone = np.isnan(read_recording(path).responses).all(axis=1)
    assert gone.tolist() == [False] * (len(gone) - 1) + [True]


def test_the_data_set_of_recordings(tmp_path, caplog) -> None:
    images = made_up.scenes(12)
    written = {
        number: made_up.write_recording(
            tmp_path / f"{number}.nwb", experiment=number, images=images, n_presentations=9, seed=number
        )
        for number in (501, 502, 503)
    }
    made_up.write_recording(tmp_path / "504.nwb", experiment=504)
    with h5py.File(tmp_path / "504.nwb", "a") as file:  # a session without natural scenes is no error
        del file[SHOWN], file["stimulus/templates"], file["general/session_type"]
        file["general/session_type"] = b"three_session_A"
    assert [folder.name for folder in brought(tmp_path)] == ["501", "502", "503"]
    assert "1 of 4 recordings show no natural scenes and were left out." in caplog.text
    dataset = isocortex.load_dataset("Allen2p-split")
    found = dataset.responses
    assert found.sizes == {"presentation": 24, "neuroid": 24}
    np.testing.assert_array_equal(dataset.stimuli.load(5).array[:, :, 2], images[5])
    assert set(dataset.stimuli.table["blank"]) == {"no"}
    for number, one in written.items():
        cells = found.isel(neuroid=found["experiment"].values == str(number))
        assert set(cells["region"].values) == {made_up.AREAS[number % 6]}
        assert set(cells["area_depth"].values) == {f"{made_up.AREAS[number % 6]} 150-249 um"}
        means = []
        for scene in range(12):
            trials = np.flatnonzero(one["scene"] == scene)[1::2]  # even ones: the second, the fourth, …
            means.append([one["responses"][trials[half::2]].mean(axis=0) for half in (0, 1)])
        for half in (0, 1):
            rows = cells.values[cells["repetition"].values == half]
            np.testing.assert_allclose(rows, np.array(means)[:, half], atol=0.06)
    said = "\n".join(dataset.warnings)
    assert f"3 recordings, {3 * 13 * 9} trials: 27 of the blank, which has no image, were left out" in said
    assert "By animal: 3 animals" in said
    assert "Fewer than 20 cells are kept in" in said
    every = isocortex.load_dataset("Allen2p-all-trials")
    assert not np.array_equal(every.responses.values, found.values)
    assert any("on all trials, the scored ones among them" in text for text in every.warnings)


def test_what_is_kept_is_not_read_again_and_stands_alone(path, monkeypatch) -> None:
    made_up.write_recording(path)
    brought(path.parent)
    monkeypatch.setattr(nwb, "read_recording", None)  # would fail
    brought(path.parent)
    shutil.rmtree(path.parent)
    first = isocortex.load_dataset("Allen2p-split")
    assert first.responses.sizes["neuroid"] == 8
    changed = trial_files.trials_folder() / "501" / "responses.npy"
    changed.write_bytes(changed.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(FilesError, match=r"501 is not as it was written \(responses.npy\)"):
        isocortex.load_dataset("Allen2p-split")


def spoil(path: Path, kind: str) -> None:
    """Make a recording another file than expected."""
    if kind == "no HDF5":
        path.write_bytes(b"not a recording")
        return
    with h5py.File(path, "a") as file:
        traces = f"{PIPELINE}/DfOverF/imaging_plane_1/data"
        if kind == "another experiment":
            del file["processing"], file["stimulus"]
            file["units/spike_times"] = np.arange(9.0)
        elif kind == "another session":
            del file[SHOWN]
        elif kind == "fewer traces":
            values = file[traces][:-1]
            del file[traces]
            file[traces] = values
        elif kind == "scene without image":
            file[f"{SHOWN}/data"][0] = 12
        elif kind == "trial after the end":
            file[f"{SHOWN}/frame_duration"][0] = [10**6, 10**6 + 7]
        elif kind == "depth in words":
            del file[nwb._DEPTH]
            file[nwb._DEPTH] = b"deep"
        elif kind == "no area":
            del file[nwb._AREA]
        elif kind == "no number":
            del file["general/session_id"]
        elif kind == "values elsewhere":
            del file[traces]
            file[traces] = h5py.ExternalLink("other.h5", "/traces")
        elif kind == "shown once":
            file[f"{SHOWN}/data"][:] = np.maximum(file[f"{SHOWN}/data"][:], 0)
            order = np.flatnonzero(file[f"{SHOWN}/data"][:] == 4)
            file[f"{SHOWN}/data"][order[:-1]] = 5


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("no HDF5", "cannot be read as HDF5"),
        ("another experiment", "is no two-photon recording of the Allen Brain Observatory's Visual Coding"),
        ("fewer traces", r"expected a trace for each of 8 cells, found shape \(7, "),
        ("scene without image", r"expected scenes −1 \(blank\) to 11, found 12"),
        ("trial after the end", "expected trials to begin within the"),
        ("depth in words", "expected a depth like '175 microns' at .*, found 'deep'"),
        ("no area", "expected the area at general/optophysiology/imaging_plane_1/location, found none"),
        ("no number", "expected the number of the experiment at general/session_id, found ''"),
        ("values elsewhere", "is a link into another file"),
    ],
)
def test_a_file_that_is_no_such_recording_is_one_clear_line(path, kind: str, words: str) -> None:
    made_up.write_recording(path)
    spoil(path, kind)
    with pytest.raises(DataError, match=words) as raised:
        trial_files.bring_recordings(path.parent)
    assert "\n" not in str(raised.value)
    assert not trial_files.trials_folder().exists() or not list(trial_files.trials_folder().glob("5*"))


def test_another_session_is_told_as_such(path) -> None:
    made_up.write_recording(path, texts={"general/session_type": "three_session_A"})
    spoil(path, "another session")
    with pytest.raises(OtherSessionError, match="session of type three_session_A, in which no natural scenes"):
        read_recording(path)
    with pytest.raises(FilesError, match=r"There is no recording of natural scenes in .*three_session_B have them"):
        brought(path.parent)


def test_one_bad_recording_leaves_the_others_in_place(tmp_path) -> None:
    for number in (501, 502):
        made_up.write_recording(tmp_path / f"{number}.nwb", experiment=number)
    spoil(tmp_path / "501.nwb", "no HDF5")
    with pytest.raises(FilesError, match=r"1 of 2 recordings cannot be used: .*501.nwb .* 1 others are kept"):
        brought(tmp_path)
    assert [folder.name for folder in trial_files.experiments()] == ["502"]


def test_recordings_of_other_scenes_and_a_cell_in_two_of_them_are_refused(tmp_path) -> None:
    made_up.write_recording(tmp_path / "501.nwb", experiment=501)
    made_up.write_recording(tmp_path / "502.nwb", experiment=502, images=made_up.scenes(12, seed=9))
    with pytest.raises(FilesError, match=r"502.nwb shows other scenes than the recordings that are kept"):
        brought(tmp_path)
    made_up.write_recording(tmp_path / "502.nwb", experiment=502)
    with h5py.File(tmp_path / "502.nwb", "a") as file:
        file[f"{PIPELINE}/ImageSegmentation/cell_specimen_ids"][:2] = [501000, 501001]
    brought(tmp_path)
    with pytest.raises(DataError, match="2 cells are in two recordings: 501000, 501001"):
        isocortex.load_dataset("Allen2p-split")


def test_a_scene_that_was_shown_too_seldom_is_refused(path) -> None:
    made_up.write_recording(path)
    spoil(path, "shown once")
    brought(path.parent)
    with pytest.raises(DataError, match="scene 4 was shown 1 times"):
        isocortex.load_dataset("Allen2p-split")
