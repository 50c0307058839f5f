"""The table of the course on a synthetic file: its rows equal scikit-learn, what is missing is named, it goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.metrics import explained_variance_score, mean_squared_error
from sklearn.pipeline import make_pipeline

import isocortex as package
from isocortex.errors import DataError
from isocortex_majajhong2015.nx414 import reading
from isocortex_majajhong2015.synthetic import synthetic, write_synthetic

#: multiples of the mean eigenvalue that ``ridge`` tries, as its page has them
MULTIPLES = 10.0 ** np.arange(-5.0, 5.25, 0.5)
RECIPE = """
title = "A part of the table"
paper = "nobody"
source = "nowhere"
synthetic = "isocortex_majajhong2015.synthetic:synthetic"
"""


def small_part(title: str, model: str, benchmark: str, options: str) -> str:
    """A part of the recipe, smaller in a trial."""
    numbers = "".join(
        f'[[part.number]]\nname = "{name}"\nread = "{read}"\n'
        for name, read in (("EV", "value"), ("r", "also.r"), ("MSE", "also.mse"))
    )
    return (
        f'[[part]]\ntitle = "{title}"\nmodel = "{model}"\nbenchmark = "MajajHong2015.{benchmark}"\n'
        f"trial = {{ options = {options} }}\n{numbers}"
    )


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A folder with a small synthetic file."""
    write_synthetic(tmp_path / "made", n_images=100, side=32, n_neurons=12)
    return tmp_path / "made"


def rows_of(isocortex, tmp_path: Path, course: Path, *parts: str) -> list[dict]:
    """Rows of a recipe of these parts, tried on the synthetic file."""
    (tmp_path / "table.toml").write_text(RECIPE + "\n".join(parts), encoding="utf-8")
    done = isocortex("reproduce", "table.toml", "--synthetic", str(course), "--trial", "--offline", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert any("synthetic (n_images=100, side=32" in text for text in found["said"])
    assert any(text.startswith("A trial:") for text in found["said"])
    return found["rows"]


def split_file(course: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features and rates of the two parts, as float32 features are seen."""
    with h5py.File(course / "IT_data.h5") as file:
        x, y = [], []
        for name in ("train", "val"):
            x.append(file[f"stimulus_{name}"][()].reshape(len(file[f"spikes_{name}"]), -1).astype(np.float64))
            y.append(file[f"spikes_{name}"][()].astype(np.float64))
    return x[0], x[1], y[0], y[1]


def means(measured: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Means over neurons."""
    r = [np.corrcoef(measured[:, v], predicted[:, v])[0, 1] for v in range(measured.shape[1])]
    return {
        "EV": float(explained_variance_score(measured, predicted, multioutput="uniform_average")),
        "r": float(np.mean(r)),
        "MSE": float(mean_squared_error(measured, predicted)),
    }


def penalties(x: np.ndarray) -> np.ndarray:
    """What leave-one-out chooses among."""
    centred = x - x.mean(axis=0)
    return MULTIPLES * float((centred**2).sum()) / (len(x) - 1)


def test_linear_ridge_and_pca_rows_equal_scikit_learn(isocortex, tmp_path: Path, course: Path) -> None:
    parts = [
        small_part(name, "pixels-224", f"nx414-{name}", "{ size = 32 }")
        for name in ("linear", "ridge", "ridge-cv", "best-layer")
    ]
    rows = rows_of(isocortex, tmp_path, course, *parts)
    x, x_val, y, y_val = split_file(course)
    n_components = len(x) - 1  # 1,000, or as many as there are
    kept = PCA(n_components, svd_solver="full").fit(x)
    by_loo = RidgeCV(penalties(kept.transform(x)), alpha_per_target=True)
    oracle = {
        "linear": LinearRegression(),
        "ridge": Ridge(1.0, solver="svd"),
        "ridge-cv": RidgeCV(penalties(x), alpha_per_target=True),
        "best-layer": make_pipeline(kept, by_loo),
    }
    for name, model in oracle.items():
        expected = means(y_val, model.fit(x, y).predict(x_val))
        ours = {row["number"]: row["ours"] for row in rows if row["part"] == name}
        assert ours.keys() == expected.keys()
        for what, value in expected.items():
            assert ours[what] == pytest.approx(value, abs=1e-8), (name, what)
    assert len({row["ours"] for row in rows if row["number"] == "EV" and row["part"] != "best-layer"}) == 3


def test_a_missing_file_of_weights_is_named_and_its_rows_are_not_run(isocortex, tmp_path: Path, course: Path) -> None:
    rows = rows_of(
        isocortex,
        tmp_path,
        course,
        small_part("pretrained", "resnet50", "nx414-best-layer", "{ size = 32 }"),
        small_part("pixels", "pixels-224", "nx414-best-layer", "{ size = 32 }"),
        small_part("co-trained", "co-trained", "nx414-output", "{ grid = { n_epochs = 1 } }"),
    )
    status = {row["part"]: row["status"] for row in rows}
    assert status == {"pretrained": "not run", "pixels": "not judged", "co-trained": "not run"}
    assert all("resnet50-0676ba61.pth" in row["why"] for row in rows if row["status"] == "not run")
    assert all(".trial" not in row["why"] for row in rows)  # no ID that another command would not know
    assert {row["model"] for row in rows if row["part"] == "pixels"} == {"pixels-224.trial@fixed"}


def test_results_on_a_synthetic_file_say_so(isocortex, tmp_path: Path, course: Path) -> None:
    rows_of(isocortex, tmp_path, course, small_part("linear", "pixels-224", "nx414-linear", "{ size = 32 }"))
    [record] = (tmp_path / "reproduced" / "table").rglob("result.json")
    assert any("IT_data.h5 is synthetic" in text for text in json.loads(record.read_text())["warnings"])


def test_a_synthetic_file_repeats_itself_and_nothing_else_is_taken_for_one(tmp_path: Path, course: Path) -> None:
    again = write_synthetic(tmp_path / "again", n_images=100, side=32, n_neurons=12)
    with h5py.File(again) as one, h5py.File(course / "IT_data.h5") as other:
        assert sorted(one) == sorted(other)
        assert all(np.array_equal(one[name][()], other[name][()]) for name in one)
        shapes = {name: one[name].shape for name in one}
    assert shapes["stimulus_train"] == (80, 3, 32, 32)
    assert shapes["spikes_val"] == (20, 12)
    assert "spikes_test" not in shapes
    with h5py.File(again, "r+") as file:
        del file.attrs["isocortex_synthetic"]
    with pytest.raises(DataError, match="does not say that it is synthetic"), synthetic(tmp_path / "again"):
        pass
    with reading(course / "IT_data.h5"):
        assert package.load_dataset("MajajHong2015.nx414").responses.shape == (100, 12)
    with pytest.raises(Exception, match="is not in"):
        package.load_dataset("MajajHong2015.nx414")
    with pytest.raises(DataError, match="found 100 of 30 pixels"):
        write_synthetic(tmp_path / "odd", n_images=100, side=30)


@pytest.mark.long
def test_the_whole_table_goes_on_where_it_was_killed(tmp_path: Path, own_folders: Path) -> None:
    """One command, ten parts, a kill in the middle of the last training, and again: nothing finished is done twice."""
    command = [sys.executable, "-m", "isocortex", "reproduce", "nx414", "--trial", "--offline", "--synthetic", "made"]
    log = tmp_path / "first.txt"
    with log.open("w") as errors:
        running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=errors)
        start = time.monotonic()
        while (
            "from-random.trial@trained:0 × MajajHong2015.nx414-output, split 1 of 1: epoch 2/5" not in log.read_text()
        ):
            assert running.poll() is None, log.read_text()
            assert time.monotonic() - start < 600
            time.sleep(0.2)
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
    done = subprocess.run([*command, "--json"], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start < 600
    of_training = [line for line in done.stderr.splitlines() if "epoch 1/5" in line and "from-random" in line]
    assert of_training == []
    assert done.stderr.count("cached, explained_variance") == 6
    rows = json.loads(done.stdout)["rows"]
    assert {row["part"] for row in rows if row["status"] == "not run"} == {
        "ResNet50 pretrained, PCA, best layer",
        "VGG19 features.28, PCA",
        "Co-trained ResNet50, objects and responses",
    }
    assert sum(row["ours"] is not None for row in rows) == 21
