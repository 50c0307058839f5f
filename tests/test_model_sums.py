"""``-m 'a+b'``: several models as the feature spaces of one fit, from the command line to the record."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

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
        ("pixels+*", "banded-ridge", "is no sum of models"),
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
