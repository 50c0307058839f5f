"""``score --keep mapping`` and ``predict``: responses to other stimuli, and the maps that are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.linear_model import Ridge

from isocortex.files.sealed import write_sealed
from tests.folders import image_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set folder of images."""
    return image_folder(tmp_path / "mine")


def kept(isocortex, folder: Path, tmp_path: Path, *more: str, metric: str = "ridge") -> Path:
    """The folder of a result that keeps its map."""
    done = isocortex("score", "-m", "pixels", "-b", f"folder:{folder}:{metric}", "--keep", "mapping", *more)
    assert done.returncode == 0, done.stderr
    [path] = (tmp_path / "results").rglob("result.json")
    return path.parent


def test_responses_to_other_stimuli_are_predicted(isocortex, folder, tmp_path) -> None:
    """In netCDF and CSV, as scikit-learn's Ridge at the alpha that was kept predicts them from the activations."""
    result = kept(isocortex, folder, tmp_path)
    other = image_folder(tmp_path / "other", n_images=9, seed=5)
    done = isocortex("predict", str(result), "--stimuli", str(other), "--out", "p.nc")
    assert done.returncode == 0, done.stderr
    assert isocortex("predict", str(result / "result.json"), "--stimuli", str(other), "--out", "p.csv").returncode == 0
    found, table = xr.load_dataset(tmp_path / "p.nc")["prediction"], pd.read_csv(tmp_path / "p.csv")
    responses = pd.read_csv(folder / "responses.csv", index_col=0)
    assert found.shape == (9, responses.shape[1])
    assert table["neuroid_id"].tolist()[: responses.shape[1]] == list(responses.columns)
    assert np.abs(table["prediction"].to_numpy() - found.values.ravel()).max() < 1e-5
    features = {}
    for name, stimuli in (("mine", folder), ("other", other)):
        out = tmp_path / f"of-{name}"
        assert isocortex("extract", "-m", "pixels", "--stimuli", str(stimuli), "--out", str(out)).returncode == 0
        [ids] = [json.loads(path.read_text())["stimulus_id"] for path in out.rglob("activations.json")]
        values = np.concatenate([np.load(path) for path in sorted(out.rglob("*.npy"))])
        features[name] = pd.DataFrame(values, index=ids)
    with np.load(result / "kept" / "mapping.npz", allow_pickle=False) as arrays:
        alpha = arrays["alpha"]
    x, y = features["mine"].loc[responses.index], responses
    new = features["other"].loc[found["stimulus_id"].values]
    for place, neuroid in enumerate(responses):
        expected = Ridge(alpha=alpha[place]).fit(x, y[neuroid]).predict(new)
        assert np.abs(found.values[:, place] - expected).max() < 1e-4 * np.abs(expected).max()


def test_a_map_can_be_kept_later_and_leaves_the_result_as_it_is(isocortex, folder, tmp_path) -> None:
    """The cell is computed again for it; asked for a second time nothing is."""
    command = ("score", "-m", "pixels", "-b", f"folder:{folder}:ridge")
    assert isocortex(*command).returncode == 0
    [path] = (tmp_path / "results").rglob("result.json")
    before = path.read_bytes()
    assert "computed again, to keep mapping" in isocortex(*command, "--keep", "mapping").stderr
    assert path.read_bytes() == before
    assert "computed again" not in isocortex(*command, "--keep", "mapping").stderr


def test_what_does_not_fit_the_map_is_refused(isocortex, folder, tmp_path) -> None:
    """Another ending, sounds for a model of images, a result without a map, and a model that has changed."""
    result = kept(isocortex, folder, tmp_path)

    def refused(*words: str) -> str:
        done = isocortex("predict", str(result), *words)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        return done.stderr

    assert "Expected FILE.nc or FILE.csv" in refused("--stimuli", str(folder), "--out", "p.xlsx")
    assert "takes image" in refused("--stimuli", "simulated-sounds", "--out", "p.nc")
    record = json.loads((result / "result.json").read_text())
    (result / "kept" / "mapping.npz").rename(tmp_path / "aside.npz")
    assert "was not kept" in refused("--stimuli", str(folder), "--out", "p.nc")
    shutil.copy(tmp_path / "aside.npz", result / "kept" / "mapping.npz")
    record["digests"]["model"] = "0" * 64
    write_sealed(result / "result.json", {name: value for name, value in record.items() if name != "sha256"})
    assert "is not the model that the map was fitted to" in refused("--stimuli", str(folder), "--out", "p.nc")


def test_a_metric_without_a_map_says_so(isocortex, folder, tmp_path) -> None:
    """When it is asked to keep one, and when it should predict."""
    result = kept(isocortex, folder, tmp_path, metric="cka")
    done = isocortex("predict", str(result), "--stimuli", str(folder), "--out", "p.nc")
    assert done.returncode != 0
    assert "gives no mapping" in done.stderr
