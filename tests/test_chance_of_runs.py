"""``score --null`` from data on disk to the record: inside a column, and with groups that move as blocks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge

from isocortex.scoring import Exchangeable
from tests.folders import image_folder, write_responses

N_STIMULI, N_SCENES = 24, 12
IDS = [f"image{number:02d}" for number in range(N_STIMULI)]
KINDS = ["cat", "dog"] * (N_STIMULI // 2)
#: two stimuli each, of one kind, that do not lie side by side
SCENES = [f"scene{number % N_SCENES:02d}" for number in range(N_STIMULI)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of cats are bright above, of dogs below, and responses tell cats from dogs and nothing else."""
    from PIL import Image

    made = image_folder(tmp_path / "mine", n_images=N_STIMULI)
    stream = np.random.default_rng(7)
    halves = np.where(np.arange(8) < 4, 30, -30)[:, None, None]
    for name, kind in zip(IDS, KINDS, strict=True):
        level = 120 + (halves if kind == "cat" else -halves)
        pixels = np.clip(stream.normal(level, 40, (8, 8, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(made / "stimuli" / f"{name}.png")
    level = np.array([3.0 if kind == "cat" else 0.0 for kind in KINDS])[:, None] * np.array([1.0, 0.6, -0.8, 1.2])
    write_responses(made, IDS, level + stream.standard_normal((N_STIMULI, 4)))
    rows = [f"{name},{kind},{scene}" for name, kind, scene in zip(IDS, KINDS, SCENES, strict=True)]
    (made / "stimuli.csv").write_text("\n".join(["stimulus_id,kind,scene", *rows]) + "\n")
    return made


def scored(isocortex, tmp_path: Path, benchmark: str, null: str) -> dict:
    """The record of a run with ``--null``."""
    done = isocortex("score", "-m", "pixels", "-b", benchmark, "--null", null, "--out", f"of-{null}".replace(":", "-"))
    assert done.returncode == 0, done.stderr
    [path] = (tmp_path / f"of-{null}".replace(":", "-")).rglob("result.json")
    return json.loads(path.read_text())


def on_disk(isocortex, folder: Path, tmp_path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Features and responses, in the order of the IDs."""
    assert isocortex("extract", "-m", "pixels", "--stimuli", str(folder), "--out", "features").returncode == 0
    [ids] = [json.loads(path.read_text())["stimulus_id"] for path in (tmp_path / "features").rglob("activations.json")]
    values = np.concatenate([np.load(path) for path in sorted((tmp_path / "features").rglob("*.npy"))])
    features = pd.DataFrame(values, index=ids).loc[IDS].to_numpy(dtype=np.float64)
    return features, pd.read_csv(folder / "responses.csv", index_col=0).loc[IDS].to_numpy()


def expected(value: float, permuted: list[float]) -> dict[str, float]:
    """p and chance of all permutations, or until the tenth that does as well."""
    exceeding = np.flatnonzero(np.array(permuted) >= value - 1e-9)
    if len(exceeding) < 10:
        return {"p": (1 + len(exceeding)) / (len(permuted) + 1), "chance": float(np.mean(permuted))}
    last = int(exceeding[9])
    return {"p": 10 / (last + 1), "chance": float(np.mean(permuted[:last]))}


def test_inside_a_column_the_label_alone_is_no_finding(isocortex, folder, tmp_path) -> None:
    """Against scipy on rows that are permuted by hand."""
    features, responses = on_disk(isocortex, folder, tmp_path)
    brain = pdist(responses, "correlation")
    found = {}
    for null, within in (("99", None), ("99,within:kind", KINDS)):
        record = scored(isocortex, tmp_path, f"folder:{folder}:rsa", null)
        orders = Exchangeable.of(IDS, within).orders(99, seed=0)
        if within is not None:
            assert (np.array(KINDS)[orders] == KINDS).all()
        drawn = [spearmanr(pdist(features, "correlation"), pdist(responses[one], "correlation"))[0] for one in orders]
        summary = record["summary"]
        assert summary["value"] == pytest.approx(spearmanr(pdist(features, "correlation"), brain)[0], abs=1e-6)
        for name, number in expected(summary["value"], drawn).items():
            assert summary[name] == pytest.approx(number, abs=1e-6), (null, name)
        found[summary["permuted"]] = summary["p"]
    assert found["unrestricted"] == 0.01
    assert found["within kind"] > 0.05
    shown = isocortex("show", "of-99,within-kind", "--long").stdout
    assert "within kind" in " ".join(shown.split())


def ridge_r(features: np.ndarray, responses: np.ndarray, tests: np.ndarray) -> float:
    """Mean over splits of Pearson's r of each neuroid at a fixed penalty, median over neuroids."""
    r = []
    for test in tests:
        train = np.setdiff1d(np.arange(len(features)), test)
        predicted = Ridge(alpha=10.0).fit(features[train], responses[train]).predict(features[test])
        r.append([np.corrcoef(*pair)[0, 1] for pair in zip(predicted.T, responses[test].T, strict=True)])
    return float(np.median(np.mean(r, axis=0)))


@pytest.mark.parametrize("within", [None, KINDS])
def test_groups_of_the_splits_move_as_blocks(isocortex, folder, tmp_path, within) -> None:
    """Scenes stay whole, in the splits and in the permutations, and inside a column too; against scikit-learn."""
    (folder / "dataset.toml").write_text(
        '[benchmark]\nsettings = { group = "scene", n_folds = 3, n_repeats = 1, alpha = 10.0 }\n'
    )
    features, responses = on_disk(isocortex, folder, tmp_path)
    null = "39" if within is None else "39,within:kind"
    record = scored(isocortex, tmp_path, f"folder:{folder}:ridge", null)
    [path] = tmp_path.rglob("scores.nc")
    with xr.open_dataset(path) as scores:
        tests = scores["test_stimulus"].values
    assert all(
        {SCENES[place] for place in test}.isdisjoint(
            SCENES[place] for place in np.setdiff1d(np.arange(N_STIMULI), test)
        )
        for test in tests
    )
    orders = Exchangeable.of(SCENES, within).orders(39, seed=0)
    assert (orders[:, N_SCENES:] == orders[:, :N_SCENES] + N_SCENES).all(), "the two of a scene keep together"
    assert within is None or (np.array(KINDS)[orders] == KINDS).all()
    summary = record["summary"]
    assert summary["value"] == pytest.approx(ridge_r(features, responses, tests), abs=1e-6)
    drawn = [ridge_r(features, responses[one], tests) for one in orders]
    for name, number in expected(summary["value"], drawn).items():
        assert summary[name] == pytest.approx(number, abs=1e-6), name
    assert (summary["permuted"], summary["most_permutations"]) == ("within kind" if within else "unrestricted", 39)


def test_a_column_that_is_not_there_is_told_with_those_that_are(isocortex, folder, tmp_path) -> None:
    done = isocortex("score", "-m", "pixels", "-b", f"folder:{folder}:rsa", "--null", "within:kinds")
    assert done.returncode == 2
    assert "Stimuli have no column 'kinds'. Did you mean kind?" in " ".join(done.stderr.split())
