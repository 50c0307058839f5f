"""Human choices from the published files: i2n and i1 against golden values, and readouts against scikit-learn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import isocortex as package
from isocortex.errors import DataError
from plugins.majajhong2015.tests.conftest import Listed
from plugins.majajhong2015.tests.published_layouts import made_up_trials, write_objectome
from tests.command_line import run_in_process
from tests.third_party.install import environment, write_package

GOLDEN = dict(np.load(Path(__file__).parents[3] / "tests" / "golden" / "bs_i2n.npz"))
COLUMNS = ("stimulus_id", "truth", "sample_obj", "dist_obj", "choice")


def bring(folder: Path, trials: pd.DataFrame, objects: dict[str, str], listed: Listed) -> package.data.Dataset:
    """Write, fetch and load."""
    write_objectome(folder, trials, objects)
    listed(folder)
    done = run_in_process(("fetch", "-b", "Rajalingham2018public.i2n", "--from", str(folder)), folder.parent, {})
    assert done.returncode == 0, done.stderr
    return package.load_dataset("Rajalingham2018public")


ROWS = """[plugin]
api = 1
[defaults.benchmark]
dataset = "Rajalingham2018public"
ceiling_mode = "r_over_sqrt_c"
[[benchmark]]
id = "golden.i2n"
metric = "brainscore-i2n"
[[benchmark]]
id = "golden.i1"
metric = "brainscore-i1"
"""


def test_golden_i2n_and_i1_through_the_whole_path(tmp_path: Path, listed: Listed) -> None:
    """Files → data set → model → metric → row; the model's own outputs are the choices, so nothing is read out."""
    trials = pd.DataFrame({name: GOLDEN[f"trial_{name}"] for name in COLUMNS})
    objects = dict(zip(GOLDEN["stimulus_id"].tolist(), GOLDEN["truth"].tolist(), strict=True))
    dataset = bring(tmp_path / "published", trials, objects, listed)
    assert dataset.trials["subject"].nunique() == 9
    (tmp_path / "outputs").mkdir()
    outputs = pd.DataFrame(GOLDEN["prob"], columns=GOLDEN["choices"])
    outputs.insert(0, "stimulus_id", GOLDEN["stimulus_id"])
    outputs.to_csv(tmp_path / "outputs" / "softmax.csv", index=False)
    write_package(tmp_path / "site", "iso-golden", {"isocortex.toml": ROWS})
    chosen = ("-m", f"activations:{tmp_path / 'outputs'}", "-b", "golden.i2n", "-b", "golden.i1", "--json")
    done = run_in_process(("score", *chosen), tmp_path, environment(tmp_path / "site"))
    assert done.returncode == 0, done.stderr
    rows = {row["benchmark"]: row for row in json.loads(done.stdout)}
    i2n = [rows["golden.i2n"][name] for name in ("value", "error", "ceiling", "ceiled")]
    expected = [float(GOLDEN[name]) for name in ("i2n", "i2n_error", "ceiling", "ceiled")]
    # a run keeps outputs in single precision, which moves values by some 1e-9
    np.testing.assert_allclose(i2n, expected, rtol=0, atol=1e-8)
    assert rows["golden.i1"]["value"] == pytest.approx(float(GOLDEN["i1"]), abs=1e-8)
    ids = ("presentation", GOLDEN["stimulus_id"])
    coords = {"stimulus_id": ids, "choice": GOLDEN["choices"]}
    layer = xr.DataArray(GOLDEN["prob"], dims=("presentation", "choice"), coords=coords)
    for metric, published in (("brainscore-i2n", "i2n"), ("brainscore-i1", "i1")):
        comparison = package.load_metric(metric).against(dataset)
        scores = comparison.score(layer)
        np.testing.assert_allclose(scores["score"], GOLDEN[f"{published}_splits"], rtol=0, atol=1e-9)
        assert comparison.summarise(scores).value == pytest.approx(float(GOLDEN[published]), abs=1e-9)


# --- the readout ------------------------------------------------------------------------------------------------------


def features_of(ids: list[str], objects: dict[str, str], n_units: int = 30) -> np.ndarray:
    """Units that know something of the object."""
    generator = np.random.default_rng(2)
    centres = {kind: generator.normal(0, 1, n_units) for kind in sorted(set(objects.values()))}
    return np.stack([centres[objects[name]] for name in ids]) + generator.normal(0, 1.5, (len(ids), n_units))


def readout() -> object:
    return make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, solver="newton-cg"))


@pytest.mark.parametrize("how", ["folds", "same"])
def test_the_readout_is_scikit_learns_on_other_images_or_on_the_same(tmp_path: Path, listed: Listed, how: str) -> None:
    trials, objects = made_up_trials()
    dataset = bring(tmp_path / "published", trials, objects, listed)
    ids = list(dataset.stimuli.ids)
    x, y = features_of(ids, objects), np.array([objects[name] for name in ids])
    layer = xr.DataArray(x, dims=("presentation", "unit"), coords={"stimulus_id": ("presentation", ids)})
    settings = {"readout": {"fit": how, "n_folds": 5}}
    comparison = package.load_metric("brainscore-i2n").against(dataset, settings=settings)
    found = comparison.score(layer)
    expected = np.empty((len(ids), 4))
    if how == "same":
        expected[:] = readout().fit(x, y).predict_proba(x)
        assert "Overlapping: the readout is fitted on 60 of the 60 stimuli" in comparison.warnings[0]
    else:
        folds = StratifiedKFold(5, shuffle=True, random_state=np.random.RandomState([0, 0]))
        for train, test in folds.split(x, y):
            expected[test] = readout().fit(x[train], y[train]).predict_proba(x[test])
        assert comparison.warnings == ()
    probabilities = xr.DataArray(
        expected,
        dims=("presentation", "choice"),
        coords={"stimulus_id": ("presentation", ids), "choice": sorted(set(objects.values()))},
    )
    plain = package.load_metric("brainscore-i2n").against(dataset).score(probabilities)
    np.testing.assert_allclose(found["score"], plain["score"], rtol=0, atol=1e-8)
    np.testing.assert_allclose(found["prediction"], plain["prediction"], rtol=0, atol=1e-8)


def test_both_rows_and_their_controls_are_scored_and_the_leak_shows(tmp_path: Path, listed: Listed) -> None:
    trials, objects = made_up_trials(n_images=48)
    bring(tmp_path / "published", trials, objects, listed)
    names = [f"Rajalingham2018public.{name}" for name in ("i2n", "i2n-published", "i1")]
    chosen = [part for name in names for part in ("-b", name)]
    models = ("-m", "noise", "-m", "pixels")
    done = run_in_process(("score", *models, *chosen, "--json"), tmp_path, {})
    assert done.returncode == 0, done.stderr
    rows = {(row["model"], row["benchmark"]): row for row in json.loads(done.stdout)}
    assert len(rows) == 6
    leaky = [row for (_, name), row in rows.items() if name.endswith("published")]
    assert all("Overlapping" in " ".join(row["warnings"]) for row in leaky)
    honest = [row for (_, name), row in rows.items() if not name.endswith("published")]
    assert not any("Overlapping" in " ".join(row["warnings"]) for row in honest)
    accuracy = package.load_metric("accuracy")
    dataset = package.load_dataset("Rajalingham2018public")
    noise = np.random.default_rng(0).standard_normal((48, 128))
    ids = list(dataset.stimuli.ids)
    layer = xr.DataArray(noise, dims=("presentation", "unit"), coords={"stimulus_id": ("presentation", ids)})
    share = {
        how: float(accuracy.against(dataset, settings={"readout": {"fit": how}}).score(layer)["accuracy"].mean())
        for how in ("folds", "same")
    }
    assert share["same"] > 0.9 > 0.5 > share["folds"], "noise is recognised by a readout that has seen the images"


def test_an_object_with_too_few_images_for_the_folds_is_named(tmp_path: Path, listed: Listed) -> None:
    trials, objects = made_up_trials(n_images=40)
    first = next(name for name, kind in objects.items() if kind == "object0")
    rare = [name for name, kind in objects.items() if kind == "object0" and name != first]
    kept = trials[~trials["stimulus_id"].isin(rare)]
    dataset = bring(tmp_path / "published", kept, {k: v for k, v in objects.items() if k not in rare}, listed)
    with pytest.raises(DataError, match=r"object0 have too few stimuli for 5 folds.*readout\.n_folds"):
        package.load_metric("brainscore-i2n").against(dataset, settings={"readout": {"fit": "folds"}})


def test_a_file_without_choices_is_refused(tmp_path: Path, listed: Listed) -> None:
    trials, objects = made_up_trials(n_images=24, n_trials=300)
    folder = tmp_path / "published"
    write_objectome(folder, trials, objects)
    path = folder / "assy_dicarlo_Rajalingham2018_public.nc"
    with xr.open_dataset(path) as opened:
        file = opened.load().drop_vars("dist_obj")
    file.to_netcdf(path)
    listed(folder)
    run_in_process(("fetch", "-b", "Rajalingham2018public.i2n", "--from", str(folder)), tmp_path, {})
    with pytest.raises(DataError, match=r"2018_public\.nc lacks dist_obj along 'presentation'; it has"):
        package.load_dataset("Rajalingham2018public")
