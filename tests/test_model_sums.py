"""``-m 'a+b'``: several models as the feature spaces of one fit, from the command line to the record."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.linear_model import Ridge

from tests.folders import image_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set folder of images."""
    return image_folder(tmp_path / "mine")


def sums(isocortex, folder: Path, model: str, *more: str, metric: str = "banded-ridge"):
    """Score a sum of models on a folder."""
    return isocortex("score", "-m", model, "-b", f"folder:{folder}:{metric}", "--json", *more)


def test_a_sum_is_scored_beside_its_models(isocortex, folder, tmp_path) -> None:
    """Value, parts that add up to R², the layers of both, and the digests of what it stands on."""
    done = sums(isocortex, folder, "pixels+noise@random:3", "-m", "pixels", "-m", "noise@random:3")
    assert done.returncode == 0, done.stderr
    rows = {f"{row['model']}@{row['variant']}": row for row in json.loads(done.stdout)}
    assert list(rows) == ["pixels+noise@random:3@fixed", "pixels@fixed", "noise@random:3"]
    own = rows["pixels+noise@random:3@fixed"]
    assert {"r2_of_pixels", "r2_of_noise@random:3", "out_of_sample_r2"} <= set(own["also"])
    [path] = (tmp_path / "results").glob("*/pixels+*/*/result.json")
    record = json.loads(path.read_text())
    assert [layer.split(" ")[0] for layer in record["layers"]] == ["pixels", "noise@random:3"]
    assert {"isocortex-baselines::pixels", "isocortex-baselines::noise"} <= set(record["provenance"]["plugins"])
    scores = xr.load_dataset(path.with_name("scores.nc"))
    parts = scores["r2_of_pixels"] + scores["r2_of_noise@random:3"]
    assert np.abs(parts - scores["joint_out_of_sample_r2"]).max() < 1e-5
    assert scores.attrs["spaces"] == "pixels, noise@random:3"
    again = sums(isocortex, folder, "pixels+noise@random:3")
    assert "cached" in again.stderr
    other = sums(isocortex, folder, "isocortex-baselines::pixels+noise@random:3", "--dry-run")
    first = sums(isocortex, folder, "pixels+noise@random:3", "--dry-run")
    assert json.loads(other.stdout)["cells"][0]["id"] == json.loads(first.stdout)["cells"][0]["id"]


def test_activations_that_are_there_serve_the_sum(isocortex, folder, own_folders) -> None:
    """Each model is extracted as if it had been named alone."""
    assert sums(isocortex, folder, "pixels", metric="ridge").returncode == 0
    before = sorted(own_folders.rglob("*.npy"))
    assert before
    assert sums(isocortex, folder, "pixels+category").returncode == 0
    after = sorted(own_folders.rglob("*.npy"))
    assert set(before) <= set(after)
    assert len(after) == len(before) + 1, "only the labels are new"


@pytest.mark.parametrize(
    ("model", "metric", "said"),
    [
        ("pixels+category", "ridge", "takes one model at a time, and 'pixels+category' is several"),
        ("pixels+spectrotemporal", "banded-ridge", "Models of a sum see the same stimuli"),
        ("pixels+pixels", "banded-ridge", "named twice"),
        ("pixels+no-such-model", "banded-ridge", "no-such-model"),
        ("pixels+no-such*", "banded-ridge", "no-such"),
        ("pixels+spectro*", "banded-ridge", "No models of 'pixels+spectro*' see the same stimuli"),
        (
            "pixels+data-driven-cnn@trained:0",
            "banded-ridge",
            "Score it by itself, or name a variant of it that does not",
        ),
        ("pixels+", "banded-ridge", "is no sum of models"),
    ],
)
def test_a_sum_that_makes_no_sense_is_refused(isocortex, folder, model: str, metric: str, said: str) -> None:
    """In one line, before anything is computed."""
    refused = sums(isocortex, folder, model, metric=metric)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr


def test_layers_are_named_for_one_model_of_a_sum(isocortex, folder, tmp_path) -> None:
    """A pattern with the name of a model in front is for it alone."""
    done = sums(isocortex, folder, "pixels+noise@random:1", "--layers", "noise@random:1 **", "--layers", "pixels **")
    assert done.returncode == 0, done.stderr
    refused = sums(
        isocortex, folder, "pixels+noise@random:1", "--layers", "pixels nothing", "--layers", "noise@random:1 **"
    )
    assert refused.returncode == 2
    assert "nothing" in refused.stderr


def test_globs_and_ranges_of_seeds_stand_for_each_sum(isocortex, folder) -> None:
    """Each with each, but no model with itself and none of other modality; a variant may stand in any place."""
    done = sums(isocortex, folder, "noise@random:0..1+pix*", "--dry-run", "-m", "pix*+pixels")
    assert done.returncode == 0, done.stderr
    names = [cell["model"] for cell in json.loads(done.stdout)["cells"]]
    images = ["pixels", "pixels-224", "pixels-256"]
    assert sorted(names) == sorted(
        [f"noise@random:{seed}+{name}" for seed in (0, 1) for name in images]
        + [f"{name}+pixels" for name in images[1:]]
    )
    assert json.loads(sums(isocortex, folder, "spectro*+pixels*+pixels", "--dry-run").stdout or "null") is None


def test_a_dry_run_knows_what_a_sum_needs(isocortex, folder) -> None:
    """Disk and units of its models together; time of all, the fit of several spaces included."""
    done = sums(isocortex, folder, "pixels+noise/3", "--dry-run", "-m", "pixels", "-m", "noise/3")
    found = json.loads(done.stdout)
    assert found["seconds"] > 0
    both, *each = found["extractions"]
    assert both["disk_bytes"] == sum(one["disk_bytes"] for one in each)
    assert both["units"] == [n for one in each for n in one["units"]]
    assert both["seconds"] > 0
    one_layer = json.loads(
        sums(isocortex, folder, "pixels+noise/3", "--layers", "layer.1", "--layers", "pixels", "--dry-run").stdout
    )
    assert one_layer["extractions"][0]["disk_bytes"] is None, "no layer of pixels is called layer.1"


def test_the_map_of_a_sum_is_kept_and_predicts(isocortex, folder, tmp_path) -> None:
    """As scikit-learn's Ridge does on both feature spaces side by side, each over the square root of its penalty."""
    assert sums(isocortex, folder, "pixels+noise@random:3", "--keep", "mapping").returncode == 0
    [path] = (tmp_path / "results").rglob("result.json")
    other = image_folder(tmp_path / "other", n_images=9, seed=5)
    done = isocortex("predict", str(path), "--stimuli", str(other), "--out", "p.nc")
    assert done.returncode == 0, done.stderr
    found = xr.load_dataset(tmp_path / "p.nc")["prediction"]
    with np.load(path.parent / "kept" / "mapping.npz", allow_pickle=False) as arrays:
        penalties = arrays["alpha"]
    responses = pd.read_csv(folder / "responses.csv", index_col=0)
    assert penalties.shape == (2, responses.shape[1])
    spaces = {
        place: [activations(isocortex, tmp_path, model, stimuli) for model in ("pixels", "noise@random:3")]
        for place, stimuli in (("mine", folder), ("other", other))
    }
    for place, neuroid in enumerate(responses):
        scale = 1 / np.sqrt(penalties[:, place])
        x, new = (
            pd.concat([one * factor for one, factor in zip(spaces[name], scale, strict=True)], axis=1)
            for name in ("mine", "other")
        )
        fit = Ridge(alpha=1.0).fit(x.loc[responses.index].to_numpy(), responses[neuroid])
        expected = fit.predict(new.loc[found["stimulus_id"].values].to_numpy())
        assert np.abs(found.values[:, place] - expected).max() < 1e-4 * np.abs(expected).max()


def activations(isocortex, tmp_path: Path, model: str, stimuli: Path) -> pd.DataFrame:
    """Activations by stimulus, in columns without names."""
    out = tmp_path / f"{model}-{stimuli.name}"
    assert isocortex("extract", "-m", model, "--stimuli", str(stimuli), "--out", str(out)).returncode == 0
    [ids] = [json.loads(path.read_text())["stimulus_id"] for path in out.rglob("activations.json")]
    return pd.DataFrame(np.concatenate([np.load(path) for path in sorted(out.rglob("*.npy"))]), index=ids)
