"""From files to rows of a table, against plain h5py, pandas and scikit-learn; and the conformance kit on files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler
from sklearn.random_projection import SparseRandomProjection

from isocortex import extract, load_stimuli, score
from isocortex.results import Result
from isocortex.scoring import Summary
from isocortex.testing import run_checks
from plugins.allen2p.tests import made_up

SIDE = 64  # that of the model pixels, so that nothing is resized


def scored(*benchmarks: str) -> dict[str, Result]:
    """Results of the model ``pixels`` by benchmark."""
    found = {result.benchmark: result for result in score("pixels", benchmarks, quiet=True)}
    assert not [result.failure for result in found.values() if result.failure]
    return found


def row_of(result: Result, name: str) -> Summary:
    """A row of a result; "" is the whole."""
    row = result.regions[name] if name else result.summary
    assert row is not None
    return row


def features_of(images: np.ndarray, stimuli: str) -> np.ndarray:
    """What the published script makes of images, projected to 4,096 dimensions and standardised, as it was extracted.

    Single precision, in which activations are kept, is the only difference to scikit-learn's projection.
    """
    pixels = np.repeat(images.reshape(len(images), -1) / 255.0, 3, axis=0).reshape(len(images), -1)
    projected = SparseRandomProjection(4096, random_state=1).fit_transform(pixels)
    layer = extract("pixels", stimuli, reduction="srp-4096-1", quiet=True)["pixels"]
    extracted = np.concatenate(list(layer.blocks(load_stimuli(stimuli).ids, 4096)), axis=1).astype(np.float64)
    np.testing.assert_allclose(extracted, projected, rtol=1e-6, atol=1e-6)
    return StandardScaler().fit_transform(extracted)


def left_out(features: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """r of RidgeCV's leave-one-out predictions, per cell."""
    fitted = RidgeCV(alphas=[1.0], scoring="explained_variance", store_cv_results=True).fit(features, responses)
    predicted = fitted.cv_results_[:, :, 0]
    return np.array([np.corrcoef(predicted[:, cell], responses[:, cell])[0, 1] for cell in range(responses.shape[1])])


def test_tables_give_what_plain_scikit_learn_gives(tmp_path, isocortex) -> None:
    images = np.concatenate([made_up.scenes(19, SIDE), np.full((1, SIDE, SIDE), 128, np.uint8)])
    made_up.write_tables(tmp_path, images=images, n_cells=48)
    assert isocortex("fetch", "-b", "Allen2p.conwell2021", "--from", str(tmp_path)).returncode == 0
    names = ("Allen2p.conwell2021", "Allen2p.conwell2021-shuffled", "Allen2p.ridge", "Allen2p.rsa.VISp")
    found = scored(*names)

    cells = pd.read_csv(tmp_path / "cell_metadata_mini.csv").set_index("cell_specimen_id")
    cells = cells[(cells.splithalf_reliability >= 0.75) & ~cells.significant_running]
    responses = (
        pd.read_csv(tmp_path / "cell_response_average.csv").set_index("cell_specimen_id").loc[cells.index].to_numpy().T
    )
    features = features_of(np.load(tmp_path / "stimulus_set.npy"), "allen-scenes-tables")
    r = left_out(features, responses)
    stream = np.random.default_rng(0)
    by_chance = np.mean([left_out(features[stream.permutation(20)], responses) for _ in range(20)], axis=0)
    groups = {"": np.ones(len(cells), bool)}
    groups |= {f"region={area}": (cells.cortical_area == area).to_numpy() for area in set(cells.cortical_area)}
    both = cells.cortical_area + " " + cells.cortical_layer
    groups |= {f"area_depth={name}": (both == name).to_numpy() for name in set(both)}
    published, chance = found["Allen2p.conwell2021"], found["Allen2p.conwell2021-shuffled"]
    assert set(published.regions) == set(groups) - {""}
    for name, inside in groups.items():
        row = row_of(published, name)
        assert (row.statistic, row.n_neuroids, row.n_neuroids_total) == ("r", inside.sum(), 48)
        assert row.value == pytest.approx(np.median(r[inside]), abs=1e-9)
        assert row.also["unsigned_r2"] == pytest.approx(np.median(r[inside] ** 2), abs=1e-9)
        assert row.also["permutation_r"] == pytest.approx(np.median(by_chance[inside]), abs=1e-9)
        assert row_of(chance, name).value == pytest.approx(np.median(by_chance[inside]), abs=1e-9)
    assert any("is one grey throughout: the blank" in text for text in published.warnings)
    assert any("cells have a split-half reliability of at least" in text for text in published.warnings)
    assert row_of(found["Allen2p.ridge"], "region=VISp").statistic == "r"
    assert row_of(found["Allen2p.rsa.VISp"], "").n_stimuli == 20


def test_recordings_give_what_plain_h5py_gives(tmp_path, isocortex) -> None:
    images = made_up.scenes(20, SIDE)
    for number in (501, 502):
        tuning = made_up.tuned(images, 12, noise=0.0, seed=number)
        made_up.write_recording(tmp_path / f"{number}.nwb", experiment=number, images=images, tuning=tuning, noise=1.1)
    assert isocortex("fetch", "-b", "Allen2p.conwell2021-split", "--from", str(tmp_path)).returncode == 0
    found = scored("Allen2p.conwell2021-split")["Allen2p.conwell2021-split"]

    features = features_of(images, "allen-scenes")
    for number in (501, 502):
        area = made_up.AREAS[number % 6]
        with h5py.File(tmp_path / f"{number}.nwb") as file:
            traces = file["processing/brain_observatory_pipeline/DfOverF/imaging_plane_1/data"][:]
            stimulus = file["stimulus/presentation/natural_scenes_stimulus"]
            scene, first = stimulus["data"][:], stimulus["frame_duration"][:, 0]
        trials = np.stack([traces[:, start : start + 14].mean(axis=1) for start in first])
        by_scene = [trials[scene == image][np.argsort(first[scene == image])] for image in range(20)]
        odd = np.stack([of[::2] for of in by_scene], axis=1)  # (4, 20, 12)
        even = np.stack([of[1::2] for of in by_scene], axis=1)
        stream, reliability = np.random.default_rng(0), []
        for _ in range(100):
            order = stream.permutation(4)
            one, two = odd[order[:2]].mean(axis=0), odd[order[2:]].mean(axis=0)
            halves = np.array([np.corrcoef(one[:, cell], two[:, cell])[0, 1] for cell in range(12)])
            reliability.append(2 * halves / (1 + halves))
        kept = np.mean(reliability, axis=0) >= 0.75
        assert 2 <= kept.sum() < 12
        row = row_of(found, f"region={area}")
        assert (row.n_neuroids, row.n_neuroids_total) == (kept.sum(), 24)
        r = left_out(features, even.mean(axis=0)[:, kept])
        assert row.value == pytest.approx(np.median(r), abs=1e-6)
        halves = even[::2].mean(axis=0), even[1::2].mean(axis=0)
        between = [np.corrcoef(halves[0][:, cell], halves[1][:, cell])[0, 1] for cell in np.flatnonzero(kept)]
        ceiling = np.median(np.sqrt([max(0, 2 * value / (1 + value)) for value in between]))
        assert row.ceiling == pytest.approx(ceiling, abs=1e-5)


@pytest.mark.long
def test_the_conformance_kit_passes_on_made_up_files(tmp_path, isocortex) -> None:
    made_up.write_tables(tmp_path / "tables", images=made_up.scenes(20), n_cells=480)
    for number in range(501, 507):
        made_up.write_recording(tmp_path / "recordings" / f"{number}.nwb", experiment=number, images=made_up.scenes(20))
    for benchmark, folder in (("conwell2021", "tables"), ("conwell2021-split", "recordings")):
        done = isocortex("fetch", "-b", f"Allen2p.{benchmark}", "--from", str(Path(tmp_path) / folder))
        assert done.returncode == 0, done.stderr
    ended = {outcome.id: outcome for outcome in run_checks("isocortex-allen2p")}
    assert [outcome for outcome in ended.values() if outcome.status != "passed"] == []
    assert {"stimuli:allen-scenes:contents", "dataset:Allen2p-split:order"} <= ended.keys()
