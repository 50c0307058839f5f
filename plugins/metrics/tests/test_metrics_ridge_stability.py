"""``ridge`` gives the same scores and alphas whatever computes them, and in whatever order and units they come."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.model_selection import LeaveOneGroupOut

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import Dataset, make_responses
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import DataError, SettingsError
from isocortex.scoring.contract import Rules
from isocortex_metrics.numerics.dual_ridge import ALPHA_GRID

N_STIMULI = 60
IDS = [f"stimulus{number:02d}" for number in range(N_STIMULI)]
CATEGORIES = [["dog", "cat", "bird", "fish", "song"][number % 5] for number in range(N_STIMULI)]

#: fits wide and narrow layers, strong, weak and absent responses; prints scores, alphas and which kernels computed them
SCRIPT = """
import json
import numpy as np
from threadpoolctl import threadpool_info
from isocortex_metrics.numerics.gram import gram_matrix
from isocortex_metrics.encoding.split_fits import FitPlan, score_split
from isocortex_metrics.target.splits import folds

found = {"r": [], "alpha": [], "selection": []}
for n_units in (20, 1500):
    generator = np.random.default_rng(n_units)
    features = generator.standard_normal((165, n_units)).astype(np.float32)
    signal = features.astype(float) @ generator.standard_normal((n_units, 40)) / np.sqrt(n_units)
    responses = signal * np.linspace(0, 1, 40) + generator.standard_normal((165, 40))
    gram = gram_matrix([features], 165)
    for split in folds(165, n_repeats=1):
        fit = score_split(gram, responses, split, FitPlan(keep=("alpha",)))
        for name, values in found.items():
            values.append(fit[name].tolist())
blas = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
print(json.dumps({**found, "kernels": blas[0].get("architecture"), "threads": blas[0]["num_threads"]}))
"""


@cache
def computed(kernels: str, n_threads: int) -> dict:
    """What the script prints with some kernels of OpenBLAS and some number of threads."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": str(n_threads), "OMP_NUM_THREADS": str(n_threads)}
    environment |= {"OPENBLAS_CORETYPE": kernels} if kernels else {}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def has_instructions(name: str) -> bool:
    """Whether the processor has some instructions; where that cannot be found out, it has not."""
    info = Path("/proc/cpuinfo")
    return info.exists() and name in info.read_text().split()


@pytest.mark.parametrize(
    ("kernels", "n_threads", "instructions"),
    [("", 2, ""), ("Prescott", 1, "pni"), ("Haswell", 1, "avx2"), ("SkylakeX", 1, "avx512f")],
)
def test_scores_and_alphas_do_not_depend_on_kernels_or_threads(kernels, n_threads, instructions) -> None:
    if instructions and not has_instructions(instructions):
        pytest.skip(f"The processor has no {instructions}.")
    found, expected = computed(kernels, n_threads), computed("", 1)
    if kernels:  # None: another BLAS, which does not choose kernels by this name; Katmai: how Prescott calls itself
        assert found["kernels"] in (kernels, {"Prescott": "Katmai"}.get(kernels), None)
    assert found["alpha"] == expected["alpha"]
    np.testing.assert_allclose(found["r"], expected["r"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(found["selection"], expected["selection"], rtol=0, atol=1e-9)


@cache
def metric():
    """The metric, found once."""
    return isocortex.load_metric("ridge")


def problem(n_units: int = 40) -> tuple[np.ndarray, xr.DataArray]:
    """Features and responses that depend on them more and more, twice."""
    generator = np.random.default_rng(1)
    features = generator.standard_normal((N_STIMULI, n_units))
    signal = features @ generator.standard_normal((n_units, 9)) / np.sqrt(n_units) * np.linspace(0, 1.5, 9)
    return features, make_responses(signal + generator.standard_normal((2, N_STIMULI, 9)), IDS)


def scored(features: np.ndarray, responses: xr.DataArray | Dataset, device: str = "cpu", **settings) -> xr.Dataset:
    """Scores of one layer."""
    comparison = metric().against(responses, settings=settings, seed=0, device=device)
    return comparison.score(Activations("layer", IDS, [features]))


def assert_equal(found: xr.Dataset, expected: xr.Dataset, atol: float = 1e-9) -> None:
    """The same scores, and alphas that are the same to the last bit."""
    np.testing.assert_array_equal(found["alpha"].values, expected["alpha"].values)
    for name in ("r", "r2", "r2_corrected", "selection", "training_r2", "prediction"):
        np.testing.assert_allclose(found[name].values, expected[name].values, rtol=0, atol=atol, err_msg=name)


@pytest.mark.parametrize("n_units", [15, 300])
@pytest.mark.parametrize("factor", [0.5, 2.0, 1e-6, 300.0])
def test_the_scale_of_features_changes_nothing(n_units: int, factor: float) -> None:
    features, responses = problem(n_units)
    assert_equal(scored(factor * features, responses), scored(features, responses))


def test_the_scale_of_responses_changes_nothing_but_the_prediction() -> None:
    features, responses = problem()
    found, expected = scored(features, 1e4 * responses), scored(features, responses)
    found["prediction"] = found["prediction"] / 1e4
    assert_equal(found, expected)


def test_the_order_of_neuroids_changes_nothing() -> None:
    features, responses = problem()
    order = np.random.default_rng(0).permutation(9)
    found = scored(features, responses.isel(neuroid=order))
    assert found["neuroid_id"].values.tolist() == [f"neuroid{place}" for place in order]
    assert_equal(found, scored(features, responses).isel(neuroid=order))


@pytest.mark.parametrize("n_units", [15, 300])
def test_torch_gives_what_numpy_gives(n_units: int) -> None:
    pytest.importorskip("torch")
    features, responses = problem(n_units)
    assert_equal(scored(features, responses, device="torch"), scored(features, responses))


def test_a_device_that_is_not_there_is_refused_at_once() -> None:
    with pytest.raises(SettingsError, match="double precision"):
        metric().against(problem()[1], settings={}, seed=0, device="mps")


def test_null_predictions_are_counted_in_the_result() -> None:
    _, responses = problem()
    comparison = metric().against(responses, settings={}, seed=0)
    summary = comparison.summarise(comparison.score(Activations("flat", IDS, [np.full((N_STIMULI, 12), 0.3)])))
    assert (summary.n_null, summary.value) == (90, 0.0)  # 10 splits × 9 neuroids
    assert (summary.interval_low, summary.interval_high) == (0.0, 0.0)


# --- what is kept beside the scores -----------------------------------------------------------------------------------


def test_training_r2_and_bounds_of_alpha() -> None:
    features, responses = problem()
    responses[:, 0] = np.tile(np.random.default_rng(5).standard_normal(N_STIMULI), 2)
    responses[:, 1] = np.tile(features[:, 0], 2)  # exactly linear
    comparison = metric().against(responses, settings={}, seed=0)
    scores = comparison.score(Activations("layer", IDS, [features[:, :12]]))
    for split, (train, _) in enumerate(comparison.splits):
        scale = ((features[train, :12] - features[train, :12].mean(axis=0)) ** 2).sum() / (len(train) - 1)
        for neuroid in range(9):
            y = comparison.responses[train, neuroid]
            alpha = 10 ** float(scores["alpha"][split, neuroid]) * scale
            fit = SklearnRidge(alpha, solver="svd").fit(features[train, :12], y)
            r = np.corrcoef(fit.predict(features[train, :12]), y)[0, 1]
            assert float(scores["training_r2"][split, neuroid]) == pytest.approx(np.sign(r) * r**2, abs=1e-9)
    bound, alpha = scores["alpha_at_bound"].values, scores["alpha"].values
    assert bound.dtype == np.int8
    np.testing.assert_array_equal(bound == 1, np.isclose(alpha, np.log10(ALPHA_GRID[-1])))
    np.testing.assert_array_equal(bound == -1, np.isclose(alpha, np.log10(ALPHA_GRID[0])))
    assert (bound[:, 1] == -1).all()
    assert (bound[:, 0] == 1).any()
    assert (bound == 0).any()


def test_nothing_is_computed_that_is_not_kept() -> None:
    features, responses = problem()
    comparison = metric().against(responses, settings={}, seed=0)
    whole = comparison.score(Activations("layer", IDS, [features]))
    comparison.keep = ()
    bare = comparison.score(Activations("layer", IDS, [features]))
    assert set(whole) - set(bare) == {"prediction", "influence", "alpha", "alpha_at_bound", "training_r2"}
    np.testing.assert_allclose(bare["r"], whole["r"], rtol=0, atol=1e-12)
    summary = comparison.summarise(bare)
    assert summary.value == pytest.approx(comparison.summarise(whole).value, abs=1e-12)
    assert (summary.draws, summary.interval_low) == (None, None)  # for want of predictions


# --- leave-one-category-out -------------------------------------------------------------------------------------------


def labelled(responses: xr.DataArray) -> Dataset:
    """A data set whose stimuli have a category each."""
    sources = {name: Stimulus(name, "image", np.full((2, 2, 3), n, np.uint8)) for n, name in enumerate(IDS)}
    table = pd.DataFrame({"category": CATEGORIES}, index=IDS)
    return Dataset("images", StimulusSet("images", "image", sources, table=table), responses=responses)


def test_leaving_out_one_category_at_a_time() -> None:
    features, responses = problem()
    dataset = labelled(responses)
    comparison = metric().against(dataset, settings={"scheme": "leave-one-group-out", "group": "category"}, seed=0)
    scores = comparison.score(Activations("layer", IDS, [features]))
    assert dict(scores.sizes) == {"split": 5, "neuroid": 9, "test": 12, "stimulus": 60}
    expected = {tuple(test): train for train, test in LeaveOneGroupOut().split(features, groups=CATEGORIES)}
    for split in range(5):
        test = scores["test_stimulus"].values[split]
        train = expected[tuple(test)]  # the same parts as those of scikit-learn
        assert len({CATEGORIES[place] for place in test}) == 1
        scale = ((features[train] - features[train].mean(axis=0)) ** 2).sum() / (len(train) - 1)
        for neuroid in range(9):
            alpha = 10 ** float(scores["alpha"][split, neuroid]) * scale
            fit = SklearnRidge(alpha, solver="svd").fit(features[train], comparison.responses[train, neuroid])
            r = np.corrcoef(fit.predict(features[test]), comparison.responses[test, neuroid])[0, 1]
            assert float(scores["r"][split, neuroid]) == pytest.approx(r, abs=1e-9)
    comparison.rules = Rules(n_draws=100)
    summary = comparison.summarise(scores)
    assert summary.n_splits == 5
    assert summary.interval_low < summary.value < summary.interval_high


def test_labels_say_nothing_about_a_category_that_was_left_out() -> None:
    generator = np.random.default_rng(0)
    labels = np.array(
        [[name == other for other in ("dog", "cat", "bird", "fish", "song")] for name in CATEGORIES], float
    )
    responses = make_responses(labels @ generator.standard_normal((5, 9)) + generator.standard_normal((60, 9)), IDS)
    known = scored(labels, labelled(responses))
    unknown = scored(labels, labelled(responses), scheme="leave-one-group-out", group="category")
    assert float(known["r"].mean()) > 0.4
    assert unknown["null"].values.all()  # all stimuli of the category get one prediction
    assert not unknown["r"].values.any()


# --- what cannot be scored --------------------------------------------------------------------------------------------


def test_too_few_stimuli_and_other_data_are_refused() -> None:
    _, responses = problem()
    with pytest.raises(DataError, match=r"20 folds need at least 60 stimuli.*found 59"):
        metric().against(responses.isel(presentation=slice(59)), settings={"n_folds": 20}, seed=0)
    pairs = np.triu_indices(N_STIMULI, 1)
    sides = {f"stimulus_{side}": ("pair", np.array(IDS)[place]) for side, place in zip("ab", pairs, strict=True)}
    rdm = xr.DataArray(np.ones((1, len(pairs[0]))), dims=("subject", "pair"), coords={"subject": ["s1"], **sides})
    sources = {name: Stimulus(name, "image", np.full((2, 2, 3), n, np.uint8)) for n, name in enumerate(IDS)}
    with pytest.raises(DataError, match="takes responses, but the data set 'rdms' holds rdm"):
        metric().against(Dataset("rdms", StimulusSet("images", "image", sources), rdm=rdm), settings={}, seed=0)
    with pytest.raises(DataError, match=r"need dims \('presentation', 'neuroid'\)"):
        metric().against(rdm, settings={}, seed=0)
