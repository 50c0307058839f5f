"""``score --splits``: from the command line to the record, value and drop by scikit-learn, and what is shown."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.linear_model import Ridge

from isocortex.results.result import Result, read_result
from isocortex.scoring import Split
from isocortex.scoring.left_out_splits import left_out_splits
from tests.folders import image_folder

ALPHA = 1e6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set folder of images in two categories, with a part that is out of distribution, and a fixed penalty."""
    made = image_folder(tmp_path / "mine")
    table = pd.read_csv(made / "stimuli.csv")
    table["ood"] = ["out" if place % 3 == 0 else "in" for place in range(len(table))]
    table.to_csv(made / "stimuli.csv", index=False)
    (made / "dataset.toml").write_text(f"[benchmark]\nsettings = {{ alpha = {ALPHA} }}\n")
    return made


def scored(isocortex, folder: Path, *more: str, model: str = "pixels", metric: str = "ridge"):
    """Score a model on the folder."""
    return isocortex("score", "-m", model, "-b", f"folder:{folder}:{metric}", *more)


def record_of(tmp_path: Path, splits: str | None) -> tuple[Path, Result]:
    """The one record under these splits."""
    paths = (tmp_path / "results").rglob("result.json")
    [found] = [(path, result) for path in paths if (result := read_result(path)).splits == splits]
    return found


def features_of(isocortex, folder: Path, tmp_path: Path) -> np.ndarray:
    """Activations of pixels, in the order of the table."""
    out = tmp_path / "features"
    assert isocortex("extract", "-m", "pixels", "--stimuli", str(folder), "--out", str(out)).returncode == 0
    [ids] = [json.loads(path.read_text())["stimulus_id"] for path in out.rglob("activations.json")]
    values = np.concatenate([np.load(path) for path in sorted(out.rglob("*.npy"))]).astype(np.float64)
    return pd.DataFrame(values, index=ids).loc[pd.read_csv(folder / "stimuli.csv")["stimulus_id"]].to_numpy()


def value_of(features: np.ndarray, responses: np.ndarray, splits: Sequence[Split]) -> float:
    """Median over neuroids of r over test stimuli, averaged over splits, by scikit-learn."""
    found = []
    for train, test in splits:
        predicted = Ridge(alpha=ALPHA, solver="svd").fit(features[train], responses[train]).predict(features[test])
        columns = range(responses.shape[1])
        found.append([np.corrcoef(predicted[:, column], responses[test, column])[0, 1] for column in columns])
    return float(np.median(np.mean(found, axis=0)))


@pytest.mark.parametrize(
    ("splits", "column", "only"),
    [
        ("leave-category-out", "category", None),
        ("out-of-distribution", "ood", "out"),
        ("leave-ood=in-out", "ood", "in"),
    ],
)
def test_value_and_drop_are_those_of_scikit_learn(isocortex, folder, tmp_path, splits, column, only) -> None:
    done = scored(isocortex, folder, "--splits", splits)
    assert done.returncode == 0, done.stderr
    path, result = record_of(tmp_path, splits)
    table = pd.read_csv(folder / "stimuli.csv")
    responses = pd.read_csv(folder / "responses.csv", index_col=0).loc[table["stimulus_id"]].to_numpy()
    expected = left_out_splits(table[column].tolist(), table["stimulus_id"].tolist(), only=only)
    names = xr.load_dataset(path.with_name("scores.nc"))["test_stimulus_id"].values.astype(str)
    for row, split in zip(names, expected.stricter, strict=True):
        assert set(row) - {""} == set(table["stimulus_id"][split.test])
        assert not set(table[column][split.train]) & set(table[column][split.test])
    features, summary = features_of(isocortex, folder, tmp_path), result.summary
    assert summary is not None
    assert summary.value == pytest.approx(value_of(features, responses, expected.stricter), abs=1e-6)
    assert summary.ordinary == pytest.approx(value_of(features, responses, expected.ordinary), abs=1e-6)
    assert summary.drop == pytest.approx(summary.ordinary - summary.value, abs=1e-12)
    assert summary.drop_low < summary.drop < summary.drop_high


def test_results_carry_the_name_and_stand_apart(isocortex, folder, tmp_path) -> None:
    """Beside the ordinary result, found again, computed again with equal digits, with more draws, and shown."""
    assert scored(isocortex, folder).returncode == 0
    assert scored(isocortex, folder, "--splits", "leave-category-out").returncode == 0
    path, result = record_of(tmp_path, "leave-category-out")
    assert result.benchmark == f"{record_of(tmp_path, None)[1].benchmark} (leave-category-out)"
    assert result.digests["run"] != record_of(tmp_path, None)[1].digests["run"]
    assert "1 cached" in scored(isocortex, folder, "--splits", "leave-category-out").stderr
    assert "equal in every digit" in isocortex("rerun", str(path)).stdout
    assert scored(isocortex, folder, "--splits", "leave-category-out", "--draws", "1500").returncode == 0
    again = read_result(path)
    assert again.n_draws == 1500
    assert again.summary.drop_low != result.summary.drop_low
    shown = isocortex("show")
    assert "(leave-category-out)" in shown.stdout
    assert "drop: the same test stimuli predicted by as many" in " ".join(shown.stdout.split())
    assert " ordinary " in isocortex("show", "--long").stdout
    rows = json.loads(isocortex("show", "--json").stdout)
    assert [row["drop"] is not None for row in rows] == [False, True]


def test_the_size_of_the_layer_that_is_read_out_is_a_column(isocortex, folder, tmp_path) -> None:
    """In every form of the table: units, and the participation ratio of the eigenvalues of the covariance."""
    assert scored(isocortex, folder).returncode == 0
    summary = record_of(tmp_path, None)[1].summary
    features = features_of(isocortex, folder, tmp_path)
    eigenvalues = np.linalg.svd(features - features.mean(axis=0), compute_uv=False) ** 2
    expected = eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
    assert (summary.n_units, summary.dimensionality) == (features.shape[1], pytest.approx(expected, rel=1e-6))
    text = f"{features.shape[1]:,} ({np.log10(expected):.2f})"
    for form in ("--long", "--sizes", "--sizes --markdown", "--sizes --latex"):
        assert text in isocortex("show", *form.split()).stdout, form
    assert text not in isocortex("show").stdout
    table = pd.read_csv(io.StringIO(isocortex("show", "--csv").stdout))
    assert table["log10_dimensionality"][0] == pytest.approx(np.log10(expected), rel=1e-6)


def test_a_benchmark_can_declare_its_splits(isocortex, folder, tmp_path) -> None:
    """Its results have its own name, and are those that the name on the command line gives."""
    assert scored(isocortex, folder, "--splits", "leave-category-out").returncode == 0
    _, asked = record_of(tmp_path, "leave-category-out")
    (folder / "dataset.toml").write_text(
        f'[benchmark]\nsplits = "leave-category-out"\nsettings = {{ alpha = {ALPHA} }}\n'
    )
    assert scored(isocortex, folder, "--out", "other").returncode == 0
    [path] = (tmp_path / "other").rglob("result.json")
    declared = read_result(path)
    assert (declared.splits, declared.benchmark) == ("leave-category-out", "mine.ridge")
    assert declared.summary == asked.summary
    assert "equal in every digit" in isocortex("rerun", str(path)).stdout
    refused = scored(isocortex, folder, "--splits", "out-of-distribution")
    assert refused.returncode == 2
    assert "has splits of its own (leave-category-out)" in refused.stderr


def test_clusters_by_labels_are_categories(isocortex, folder, tmp_path) -> None:
    """Features of another model decide; those of labels give the categories themselves, to the last digit."""
    assert scored(isocortex, folder, "--splits", "clusters:2:category").returncode == 0
    assert scored(isocortex, folder, "--splits", "leave-category-out").returncode == 0
    _, clusters = record_of(tmp_path, "clusters:2:category")
    _, categories = record_of(tmp_path, "leave-category-out")
    assert clusters.summary == categories.summary
    assert "clusters by category" in clusters.digests


@pytest.mark.parametrize(
    ("asked", "how", "said"),
    [
        ("leave-categry-out", {}, "Did you mean category?"),
        ("leave-category=blue-out", {}, "No stimulus is of the kind 'blue'"),
        ("category", {}, "Stricter splits are called leave-COLUMN-out"),
        ("leave-category-out", {"metric": "rsa"}, "cannot be given splits"),
        ("clusters:3:pixels", {}, "another model than the one that is scored"),
        ("clusters:3:pixels@fixed", {"model": "pixels"}, "another model than the one that is scored"),
        ("clusters:30:category", {}, "found 30"),
    ],
)
def test_what_makes_no_sense_is_refused(isocortex, folder, asked: str, how: dict[str, str], said: str) -> None:
    refused = scored(isocortex, folder, "--splits", asked, **how)
    assert refused.returncode != 0
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_metric_that_says_it_takes_splits_and_does_not_is_no_result(isocortex, folder, monkeypatch) -> None:
    """Its own splits would stand under the name of others."""
    from isocortex_metrics.encoding.ridge import Ridge as Metric

    own = Metric.against

    def against(self, target, *, preparation, **how):
        return own(self, target, preparation=replace(preparation, splits=()), **how)

    monkeypatch.setattr(Metric, "against", against)
    failed = scored(isocortex, folder, "--splits", "leave-category-out")
    assert failed.returncode == 1
    assert "did not take those it was given" in failed.stderr
