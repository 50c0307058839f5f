"""Equal stimuli under several IDs are on one side of every split; published splits stay, and it is said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold

import isocortex
from isocortex.activations import Activations
from isocortex.data import Dataset, Stimulus, StimulusSet, make_responses
from isocortex.errors import DataError
from isocortex.interfaces import Preparation, Rules
from isocortex.scoring.equal_stimuli import said_of_equal_stimuli, splits_with_both_sides
from isocortex_metrics.target.splits import SplitSettings, draw_splits, joined

N_PICTURES, N_COPIES = 20, 3
IDS = [f"img{number:02d}_rep{copy}" for number in range(N_PICTURES) for copy in range(N_COPIES)]
PICTURE = np.repeat(np.arange(N_PICTURES), N_COPIES)
OWN_SPLITS = ["ridge", "pca-ridge", "unique-variance", "weighted-rsa"]
FIXED_SPLITS = ["brainscore-pls", "brainscore-ridge", "tuckute2023-components", "tuckute2023-rsa", "brainscore-cka-cv"]


def copies(table: pd.DataFrame | None = None, seed: int = 0) -> tuple[Dataset, Activations]:
    """Random pictures, three copies each, random responses to each picture, and features of the pictures."""
    stream = np.random.default_rng(seed)
    pictures = stream.integers(0, 256, (N_PICTURES, 4, 4, 3), dtype=np.uint8)
    features, answers = stream.standard_normal((N_PICTURES, 8)), stream.standard_normal((N_PICTURES, 12))
    stimuli = {name: Stimulus(name, "image", pictures[place]) for name, place in zip(IDS, PICTURE, strict=True)}
    values = answers[PICTURE] + 0.3 * stream.standard_normal((len(IDS), 12))
    dataset = Dataset(
        "copies", StimulusSet("copies", "image", stimuli, table=table), responses=make_responses(values, IDS)
    )
    return dataset, Activations("layer", IDS, [features[PICTURE]])


def sides(dataset: Dataset, splits: list, ids: list[str] | None = None) -> int:
    return splits_with_both_sides(splits, dataset.stimuli.equal, ids or dataset.stimuli.ids)


@pytest.mark.parametrize("metric", OWN_SPLITS)
def test_no_metric_of_ours_tests_what_it_trained_on(metric: str) -> None:
    dataset, layer = copies()
    comparison = isocortex.load_metric(metric).against(dataset)
    assert len(comparison.splits) == 10 or metric == "weighted-rsa"
    assert sides(dataset, list(comparison.splits)) == 0
    (said,) = said_of_equal_stimuli(comparison, dataset.stimuli.equal, dataset.stimuli.ids)
    assert said.startswith("60 stimuli hold the same as another under another ID (img00_rep0 = img00_rep1 = img00_rep2")
    assert said.endswith("They were kept together, on one side of every split.")
    if metric == "ridge":
        value = comparison.summarise(comparison.score(layer)).value
        assert value < 0.1, "random responses to random pictures cannot be predicted"
        apart = isocortex.load_metric("ridge").against(dataset.responses)  # a notebook's array says nothing of pictures
        assert apart.summarise(apart.score(layer)).value > 0.4


def test_the_value_is_that_of_scikit_learn_with_the_pictures_as_groups() -> None:
    dataset, layer = copies()
    found = isocortex.load_metric("ridge").against(dataset, settings={"n_repeats": 1}).score(layer)
    x, y, r = layer.array(), dataset.responses.values, []
    for train, test in GroupKFold(5, shuffle=True, random_state=np.random.RandomState([0, 0])).split(x, groups=PICTURE):
        centred, scale = x[train] - x[train].mean(axis=0), 0.0
        scale = (centred**2).sum() / (len(train) - 1)
        alphas = 10.0 ** np.arange(-5.0, 5.25, 0.5) * scale
        fit = RidgeCV(alphas=alphas, alpha_per_target=True).fit(centred, y[train] - y[train].mean(axis=0))
        predicted = fit.predict(x[test] - x[train].mean(axis=0))
        r.append([np.corrcoef(predicted[:, k], y[test, k])[0, 1] for k in range(12)])
    np.testing.assert_allclose(found["r"].values, r, atol=1e-6)


@pytest.mark.parametrize("metric", FIXED_SPLITS)
def test_published_splits_stay_and_it_is_said_that_they_test_what_was_trained_on(metric: str) -> None:
    dataset, _ = copies()
    comparison = isocortex.load_metric(metric).against(dataset)
    alone = isocortex.load_metric(metric).against(dataset.responses)
    if metric.startswith("tuckute"):
        for ours, theirs in zip(comparison.splits, alone.splits, strict=True):
            np.testing.assert_array_equal(ours.test, theirs.test)
    (said,) = said_of_equal_stimuli(comparison, dataset.stimuli.equal, dataset.stimuli.ids)
    assert "In 10 of 10 splits" in said
    assert "the score is too high" in said


@pytest.mark.parametrize("metric", ["rsa", "cka", "procrustes", "conwell-ridge", "brainscore-rdm"])
def test_metrics_without_splits_say_that_no_model_tells_them_apart(metric: str) -> None:
    dataset, _ = copies()
    comparison = isocortex.load_metric(metric).against(dataset)
    (said,) = said_of_equal_stimuli(comparison, dataset.stimuli.equal, dataset.stimuli.ids)
    assert "the distance between them is 0" in said


def test_groups_of_the_data_set_and_of_content_are_joined() -> None:
    # session k holds the first copy of the pictures 2k, 2k + 1 and the others of 2k + 1, 2k + 2: chains of two
    session = [
        f"session{(number + (copy > 0)) // 2 % 10:02d}" for number in range(N_PICTURES) for copy in range(N_COPIES)
    ]
    dataset, _ = copies(pd.DataFrame({"session": session, "half": [str(number % 2) for number in PICTURE]}, index=IDS))
    groups = joined(session, [IDS[3 * number] for number in PICTURE])
    for place, name in enumerate(IDS):
        same = [
            other for other in range(len(IDS)) if session[other] == session[place] or PICTURE[other] == PICTURE[place]
        ]
        assert {groups[other] for other in same} == {groups[place]}, name
    with pytest.raises(DataError, match="need at least 5 groups"):
        draw_splits(dataset, dataset.responses, SplitSettings(group="session"), seed=0)
    splits = draw_splits(dataset, dataset.responses, SplitSettings(stratify="half"), seed=0)
    assert sides(dataset, splits) == 0
    halves = np.array([number % 2 for number in PICTURE])
    assert all(halves[split.test].mean() == 0.5 for split in splits)
    assert sorted(np.concatenate([split.test for split in splits[:5]])) == list(range(len(IDS)))
    whole = Dataset("one", dataset.stimuli, responses=dataset.responses)
    each = draw_splits(whole, whole.responses, SplitSettings(scheme="leave-one-group-out", group="half"), seed=0)
    assert len(each) == 2
    assert sides(dataset, each) == 0


def test_stimuli_that_differ_are_split_as_ever() -> None:
    stream = np.random.default_rng(0)
    ids = [f"s{place}" for place in range(30)]
    pictures = {name: Stimulus(name, "image", stream.integers(0, 256, (4, 4, 3), dtype=np.uint8)) for name in ids}
    dataset = Dataset(
        "d", StimulusSet("d", "image", pictures), responses=make_responses(stream.normal(size=(30, 2)), ids)
    )
    ours, plain = (draw_splits(one, dataset.responses, SplitSettings(), seed=3) for one in (dataset, dataset.responses))
    for split, other in zip(ours, plain, strict=True):
        np.testing.assert_array_equal(split.test, other.test)
    assert said_of_equal_stimuli(isocortex.load_metric("ridge").against(dataset), dataset.stimuli.equal, ids) == []


# --- what a metric is given -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metric", [*OWN_SPLITS, *FIXED_SPLITS, "rsa", "cka", "procrustes", "identity", "conwell-ridge"]
)
def test_arrays_of_numpy_and_tables_of_pandas_are_told_what_they_lack(metric: str) -> None:
    dataset, layer = copies()
    values = dataset.responses.values
    for given in (values, pd.DataFrame(values), None):
        with pytest.raises(DataError, match=r"must be an xarray.DataArray"):
            isocortex.load_metric(metric).against(given)
    if metric in ("unique-variance", "identity"):
        return  # need baselines and named units
    comparison = isocortex.load_metric(metric).against(dataset)
    for given in (layer.array(), pd.DataFrame(layer.array())):
        with pytest.raises(DataError, match="does not say which stimulus a row is"):
            comparison.score(given)


def test_responses_and_features_of_any_scale_give_one_value_or_are_refused() -> None:
    stream = np.random.default_rng(0)
    ids = [f"s{place}" for place in range(40)]
    x = stream.standard_normal((40, 6))
    y = x @ stream.standard_normal((6, 4)) + stream.standard_normal((40, 4))

    def value(metric: str, of_x: float, of_y: float) -> tuple[float, int]:
        features = xr.DataArray(x * of_x, {"stimulus_id": ("p", ids)}, ("p", "unit"))
        few = Preparation(Rules(n_draws=10))
        comparison = isocortex.load_metric(metric).against(make_responses(y * of_y, ids), preparation=few)
        summary = comparison.summarise(comparison.score(features))
        return summary.value, summary.n_null

    for metric in ("ridge", "rsa", "cka"):
        right = value(metric, 1.0, 1.0)
        for scale in (1e-60, 1e60):
            assert value(metric, scale, 1.0) == pytest.approx(right, abs=1e-9)
            assert value(metric, 1.0, scale) == pytest.approx(right, abs=1e-9)
        for scale in (1e-160, 1e160):
            with pytest.raises(DataError, match="squares leave the range"):
                value(metric, scale, 1.0)
            with pytest.raises(DataError, match="squares leave the range"):
                value(metric, 1.0, scale)


def test_a_published_constant_that_decides_a_score_is_said() -> None:
    stream = np.random.default_rng(0)
    ids = [f"s{place}" for place in range(20)]
    layer = Activations("l", ids, [stream.standard_normal((20, 6))])
    values = stream.standard_normal((20, 4))
    for scale, n_said in ((1.0, 0), (1e-15, 1)):
        comparison = isocortex.load_metric("brainscore-cka").against(make_responses(values * scale, ids))
        comparison.score(layer)
        assert len(comparison.warnings) == n_said
    assert "constant 1e-12 of the published definition" in comparison.warnings[0]
