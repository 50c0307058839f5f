"""Brain-Score's regressions: the published package's numbers, scikit-learn's, no leak, bad input."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import pearsonr
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold, StratifiedShuffleSplit

import isocortex
from isocortex.activations.layer import Activations
from isocortex.catalogue.cards import LayerRule
from isocortex.data.dataset import Dataset, make_responses
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import AlignmentError, DataError, SettingsError
from isocortex.scoring.contract import Rules
from isocortex.scoring.summary import by_region
from isocortex_metrics.brainscore.compact import compact_features
from isocortex_metrics.brainscore.fits import (
    CROSS_VALIDATED_ALPHAS,
    best_units,
    least_squares,
    ridge_dual,
    ridge_primal,
)
from isocortex_metrics.brainscore.splits import brainscore_rows, brainscore_splits

GOLDEN = Path(__file__).parents[3] / "tests" / "golden"
CASES = {
    "pls": ("bs_pls", {}, 1e-8),
    "brainscore-pls": ("bs_pls_k5", {"n_components": 5}, 1e-8),
    "brainscore-ridge": ("bs_ridge", {}, 1e-9),
    "brainscore-linear": ("bs_linear_predictivity", {}, 1e-9),
    "brainscore-neuron-to-neuron": ("bs_neuron_to_neuron", {}, 1e-9),
    "brainscore-reverse-pls": ("bs_reverse_pls", {}, 1e-8),
}
CROSS_VALIDATED = [name for name in CASES if name != "brainscore-reverse-pls"]
N_STIMULI = 60
IDS = [f"stimulus{number:02d}" for number in range(N_STIMULI)]


def golden(name: str) -> dict[str, np.ndarray]:
    """One golden file."""
    return dict(np.load(GOLDEN / f"{name}.npz"))


def golden_source(order: np.ndarray | None = None) -> xr.DataArray:
    """The features of the golden files, rows in another order if asked for."""
    inputs = golden("bs_inputs")
    order = np.arange(60) if order is None else order
    coordinates = {"stimulus_id": ("presentation", inputs["stimulus_id"][order])}
    return xr.DataArray(inputs["source"][order], dims=("presentation", "unit"), coords=coordinates)


def golden_target(kind: str) -> xr.DataArray:
    """The responses: "repetitions" in shuffled rows, or "averaged" as the package does."""
    inputs = golden("bs_inputs")
    if kind == "averaged":
        values, ids, names = (inputs[f"target_avg{part}"] for part in ("", "_stimulus_id", "_object_name"))
        responses = make_responses(values, ids, neuroid={"neuroid_id": inputs["neuroid_id"]})
        return responses.drop_vars("repetition").assign_coords(object_name=("presentation", names))
    responses = make_responses(
        inputs["target_reps"], inputs["stimulus_id"], neuroid={"neuroid_id": inputs["neuroid_id"]}
    )
    responses = responses.assign_coords(object_name=("presentation", np.tile(inputs["object_name"], 3)))
    return responses.isel(presentation=np.random.default_rng(0).permutation(180))


def against(metric: str, target, **settings):
    """The comparison with some target."""
    return isocortex.load_metric(metric).against(target, settings=settings, seed=0)


def problem(n_units: int = 30, n_neuroids: int = 8, seed: int = 0) -> tuple[np.ndarray, xr.DataArray]:
    """Features, and responses of two regions and two participants that depend on them."""
    stream = np.random.default_rng(seed)
    features = stream.standard_normal((N_STIMULI, n_units))
    signal = features @ stream.standard_normal((n_units, n_neuroids)) / np.sqrt(n_units)
    values = signal + 0.7 * stream.standard_normal((N_STIMULI, n_neuroids))
    neuroid = {
        "region": (["V4", "IT"] * n_neuroids)[:n_neuroids],
        "subject": (["M1", "M1", "M2"] * n_neuroids)[:n_neuroids],
    }
    return features, make_responses(values, IDS, neuroid=neuroid)


def layer(features: np.ndarray, name: str = "layer") -> Activations:
    """Activations of a layer."""
    return Activations(name, IDS, [features])


# --- the published package --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", list(CASES))
@pytest.mark.parametrize("kind", ["repetitions", "averaged"])
def test_scores_are_those_of_the_package(metric, kind) -> None:
    name, settings, tolerance = CASES[metric]
    expected = golden(name)
    comparison = against(metric, golden_target(kind), **settings)
    # the splits of the reverse metric are drawn on the model's rows, those of the others on the responses'
    order = None if metric == "brainscore-reverse-pls" else np.random.default_rng(1).permutation(60)
    scores = comparison.score(golden_source(order))
    np.testing.assert_allclose(scores["score"].values, expected["raw"], rtol=tolerance, atol=tolerance)
    assert scores["score"].dims == ("split", "neuroid")
    if metric != "brainscore-reverse-pls":
        assert scores["neuroid_id"].values.tolist() == golden("bs_inputs")["neuroid_id"].tolist()
    summary = comparison.summarise(scores)
    assert summary.value == pytest.approx(float(expected["center"]), rel=tolerance)
    assert summary.error == pytest.approx(float(expected["error"]), rel=max(tolerance, 1e-8))
    assert summary.error_kind.startswith("standard error over splits")
    assert (summary.statistic, summary.target, summary.n_splits, summary.n_stimuli) == ("r", "pooled", 10, 60)


def test_predictions_are_those_of_the_package() -> None:
    expected, ids = golden("bs_pls_split0"), golden("bs_inputs")["stimulus_id"]
    target = golden_target("repetitions")
    scores = against("pls", target).score(golden_source())
    canonical = list(dict.fromkeys(target["stimulus_id"].values))
    tested = [canonical[place] for place in scores["test_stimulus"].values[0]]
    assert sorted(tested) == sorted(expected["prediction_stimulus_id"])
    assert set(tested) < set(ids)
    order = [tested.index(name) for name in expected["prediction_stimulus_id"]]
    np.testing.assert_allclose(scores["prediction"].values[0][order], expected["prediction"], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    ("mode", "name"), [("r2_over_c", "center"), ("r_over_c_squared", "old_formula_r_over_c_squared")]
)
def test_explained_variance_is_that_of_the_package(mode, name) -> None:
    expected = golden("bs_explained_variance")
    comparison = against("brainscore-pls", golden_target("repetitions"))
    comparison.rules = Rules(ceiling_mode=mode)
    summary = comparison.summarise(comparison.score(golden_source()))
    assert summary.ceiled == pytest.approx(float(expected[name]), rel=1e-9)
    assert summary.ceiling == pytest.approx(float(expected["ceiling"]), rel=1e-12)
    assert summary.value == pytest.approx(float(expected["raw_pls"]), rel=1e-9)
    assert summary.error == pytest.approx(float(expected["error"]), rel=1e-9)  # not on the scale of the ceiled value


def test_the_packages_own_example() -> None:
    # 30 stimuli numbered 0 … 29, scored against themselves; sorted as strings they would give .99999971
    values = np.arange(750).reshape(30, 25) + np.random.RandomState(0).standard_normal((30, 25))
    coordinates = {
        "stimulus_id": ("presentation", np.arange(30)),
        "object_name": ("presentation", ["a", "b", "c"] * 10),
        "neuroid_id": ("neuroid", np.arange(25)),
    }
    assembly = xr.DataArray(values, dims=("presentation", "neuroid"), coords=coordinates)
    twice = xr.concat([assembly.assign_coords(repetition=("presentation", [n] * 30)) for n in (0, 1)], "presentation")
    for target in (assembly, twice):
        comparison = against("brainscore-ridge", target)
        summary = comparison.summarise(comparison.score(assembly))
        assert summary.value == pytest.approx(0.9999989281105812, abs=1e-13)
        assert summary.error == pytest.approx(7.3163e-07, abs=5e-12)


# --- rows and splits --------------------------------------------------------------------------------------------------


def test_splits_are_those_of_the_package() -> None:
    expected = golden("bs_splits")
    rows = brainscore_rows(golden_target("repetitions"))
    assert rows.stimulus_id == tuple(expected["row_stimulus_id"])
    np.testing.assert_allclose(rows.values, golden("bs_inputs")["target_avg"], rtol=1e-14)
    for settings, name in (({}, "reg"), ({"test_size": 0.9}, "rdmcv")):
        for split, train, test in zip(
            brainscore_splits(60, rows.labels, **settings),
            expected[f"{name}_train"],
            expected[f"{name}_test"],
            strict=True,
        ):
            assert split.train.tolist() == sorted(train)
            assert split.test.tolist() == sorted(test)


@pytest.mark.parametrize("labels", [None, [3, 11, 2] * 20, ["b", "a"] * 30])
@pytest.mark.parametrize("kfold", [True, False])
def test_splits_are_those_of_scikit_learn(labels, kfold) -> None:
    if kfold:
        draws = (KFold if labels is None else StratifiedKFold)(10, shuffle=True, random_state=1)
    else:
        draws = (ShuffleSplit if labels is None else StratifiedShuffleSplit)(10, train_size=0.9, random_state=1)
    found = brainscore_splits(60, labels, kfold=kfold)
    for split, (train, test) in zip(found, draws.split(np.zeros(60), labels), strict=True):
        assert (split.train.tolist(), split.test.tolist()) == (sorted(train), sorted(test))


def dataset(names: list[object], ids: list[str], values: np.ndarray) -> Dataset:
    """A data set of images with an object each."""
    sources = {name: Stimulus(name, "image", np.zeros((2, 2, 3), np.uint8)) for name in ids}
    table = pd.DataFrame({"object_name": names}, index=ids)
    return Dataset(
        "images", StimulusSet("images", "image", sources, table=table), responses=make_responses(values, ids)
    )


def test_rows_of_a_data_set_are_sorted_and_its_labels_keep_their_type() -> None:
    ids = [f"s{number:02d}" for number in np.random.default_rng(0).permutation(24)]
    values = np.random.default_rng(1).standard_normal((24, 3))
    names = [11, 2, 3] * 8
    rows = brainscore_rows(dataset(names, ids, values))
    assert rows.stimulus_id == tuple(sorted(ids))
    assert rows.labels.tolist() == [names[ids.index(name)] for name in sorted(ids)]
    np.testing.assert_array_equal(rows.values, values[np.argsort(ids)])
    as_words = brainscore_rows(dataset([str(name) for name in names], ids, values)).labels
    numbers, words = (brainscore_splits(24, labels)[0] for labels in (rows.labels, as_words))
    assert numbers.test.tolist() != words.test.tolist()  # 11 comes before 2 as a word, and splits follow that order


def test_numbers_are_sorted_by_value_and_single_presentations_keep_their_order() -> None:
    values = np.arange(22.0).reshape(2, 11, 1)
    ids = [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    twice = make_responses(values, [str(name) for name in ids])
    assert brainscore_rows(twice).stimulus_id == ("0", "1", "10", *map(str, range(2, 10)))
    for kind in (np.int64, object):
        numbered = twice.assign_coords(stimulus_id=("presentation", np.tile(np.array(ids, dtype=kind), 2)))
        assert brainscore_rows(numbered).stimulus_id == tuple(map(str, range(11)))
    once = make_responses(values[0], [str(name) for name in ids])
    assert brainscore_rows(once).stimulus_id == tuple(map(str, ids))


def test_stratification_is_by_object_name_another_column_or_none() -> None:
    features, responses = problem()
    found = {}
    for name, settings in {"default": {}, "none": {"stratify": False}, "size": {"stratify": "size"}}.items():
        target = responses.assign_coords(
            object_name=("presentation", ["a", "b", "c"] * 20), size=("presentation", [1, 2] * 30)
        )
        found[name] = against("brainscore-ridge", target, **settings).score(layer(features))
    plain = against("brainscore-ridge", responses).score(layer(features))
    xr.testing.assert_allclose(found["none"]["score"], plain["score"], atol=1e-13)
    assert len({float(scores["score"].mean()) for scores in found.values()}) == 3
    assert plain.attrs["splits"] == "10 draws of 90% training stimuli, not stratified, random_state 1"
    assert "stratified by object_name" in found["default"].attrs["splits"]
    folds = against("brainscore-ridge", responses, kfold=True)
    assert sorted(np.concatenate([split.test for split in folds.splits])) == list(range(60))
    assert folds.score(layer(features)).attrs["splits"].startswith("10 folds")


# --- scikit-learn -----------------------------------------------------------------------------------------------------


def expected_scores(model, features: np.ndarray, responses: np.ndarray, splits) -> np.ndarray:
    """r of scikit-learn's predictions, split by split."""
    found = []
    for train, test in splits:
        predicted = model.fit(features[train], responses[train]).predict(features[test])
        found.append([pearsonr(p, y)[0] for p, y in zip(predicted.T, responses[test].T, strict=True)])
    return np.array(found)


@pytest.mark.parametrize("n_units", [1, 30, 57, 200])
@pytest.mark.parametrize(
    ("metric", "model", "tolerance"),
    [
        ("brainscore-ridge", Ridge(alpha=1), 1e-10),
        ("brainscore-linear", LinearRegression(), 1e-8),
        ("brainscore-pls", None, 1e-9),
    ],
)
def test_scores_equal_scikit_learn_for_any_number_of_units(metric, model, tolerance, n_units) -> None:
    features, responses = problem(n_units)
    comparison = against(metric, responses)
    scores = comparison.score(layer(features))
    model = model or PLSRegression(min(25, n_units), scale=False)
    expected = expected_scores(model, features, responses.values, comparison.splits)
    np.testing.assert_allclose(scores["score"].values, expected, atol=tolerance)
    if metric == "brainscore-pls":
        assert scores.attrs["n_components"] == scores.attrs["n_components_found"] == min(25, n_units)


def test_least_squares_of_units_that_depend_on_each_other() -> None:
    features, responses = problem(12)
    features = np.concatenate([features, features[:, :5], np.eye(4)[np.arange(60) % 4]], axis=1)
    splits = brainscore_splits(60, None)[:3]
    for found, (train, test) in zip(least_squares(features, responses.values, splits), splits, strict=True):
        expected = LinearRegression().fit(features[train], responses.values[train]).predict(features[test])
        np.testing.assert_allclose(found, expected - responses.values[train].mean(axis=0), atol=1e-10)


def test_both_forms_of_ridge_agree_where_stimuli_left_out_are_few_or_many() -> None:
    features, responses = problem(30)
    centred = features - features.mean(axis=0)
    for size in (0.9, 0.3):
        splits = brainscore_splits(60, None, train_size=size)
        both = zip(
            ridge_primal(centred, responses.values, splits),
            ridge_dual(centred @ centred.T, responses.values, splits),
            strict=True,
        )
        for primal, dual in both:
            np.testing.assert_allclose(primal, dual, atol=1e-11)


def test_best_units_equal_a_search_written_out() -> None:
    features, responses = problem(25)
    features[:, 3] = 1.0
    features[:, 9] = 0.0
    features[2, 9] = 1.0  # constant in every training set without stimulus 2
    features[:, 20] = features[:, 4]
    splits = brainscore_splits(60, None)
    blocks = [features[:, :7], features[:, 7:20], features[:, 20:]]
    for best, (train, test) in zip(best_units(blocks, responses.values, splits), splits, strict=True):
        varying = np.flatnonzero(features[train].std(axis=0) > 0)
        for neuroid in range(8):
            r = np.corrcoef(features[np.ix_(train, varying)].T, responses.values[train, neuroid])[-1, :-1]
            chosen = varying[int(np.argmax(r))]
            assert best.r[neuroid] == pytest.approx(max(r), abs=1e-12)
            np.testing.assert_array_equal(features[:, best.unit[neuroid]], features[:, chosen])
            np.testing.assert_array_equal(best.values[:, neuroid], features[test, chosen])


@pytest.mark.parametrize("n_units", [6, 300])
@pytest.mark.parametrize("noise", [0.3, 30.0])
def test_ridgecv_split_equals_scikit_learn(n_units, noise) -> None:
    stream = np.random.default_rng(n_units)
    features = 3 * stream.standard_normal((N_STIMULI, n_units))
    values = features[:, :5] + noise * stream.standard_normal((N_STIMULI, 5))
    words = np.array(["train", "test", "train"] * 20)
    target = make_responses(values, IDS).assign_coords(split=("presentation", words))
    comparison = against("brainscore-ridgecv-split", target)
    scores = comparison.score(layer(features))
    train, test = words == "train", words == "test"
    model = RidgeCV(alphas=CROSS_VALIDATED_ALPHAS).fit(features[train], values[train])
    predicted = model.predict(features[test])
    assert np.unique(10 ** scores["alpha"].values).tolist() == pytest.approx([model.alpha_])
    np.testing.assert_allclose(scores["prediction"].values[0], predicted, atol=1e-9)
    expected = [pearsonr(p, y)[0] for p, y in zip(predicted.T, values[test].T, strict=True)]
    summary = comparison.summarise(scores)
    assert summary.value == pytest.approx(np.median(expected), abs=1e-9)
    assert (summary.error, summary.error_kind, summary.n_splits) == (None, "none", 1)
    assert scores.attrs["splits"] == "fixed, column split"
    comparison.keep = ()
    assert set(comparison.score(layer(features)).data_vars) == {"score", "null"}


def test_the_99_alphas() -> None:
    assert len(CROSS_VALIDATED_ALPHAS) == 99
    assert CROSS_VALIDATED_ALPHAS[[0, 1, 2, 3, 4, 5, 8, 9, 80, 98]].tolist() == [
        0.01,
        0.1,
        0.5,
        1,
        10,
        32.5,
        100,
        150,
        1e6,
        1e7,
    ]
    assert (np.diff(CROSS_VALIDATED_ALPHAS) > 0).all()


# --- many units as what is predicted ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n_units", [1, 20, 90])
def test_reverse_pls_equals_scikit_learn(n_units) -> None:
    features, responses = problem(n_units, n_neuroids=12)
    features[:, 0] = features[:, 0] if n_units == 1 else 2.5  # the first unit may be dead
    order = np.random.default_rng(3).permutation(N_STIMULI)
    coordinates = {"stimulus_id": ("presentation", np.array(IDS)[order])}
    source = xr.DataArray(features[order], dims=("presentation", "unit"), coords=coordinates)
    scores = against("brainscore-reverse-pls", responses).score(source)
    assert scores["score"].shape == (10, n_units)
    brain, dead = responses.values[order], 0 if n_units == 1 else 1
    for split, (train, test) in enumerate(brainscore_splits(N_STIMULI, None)):
        model = PLSRegression(12, scale=False).fit(brain[train], features[order][train])
        predicted = model.predict(brain[test]).reshape(len(test), -1)
        expected = [pearsonr(*pair)[0] for pair in zip(predicted.T[dead:], features[order][test].T[dead:], strict=True)]
        np.testing.assert_allclose(scores["score"].values[split, dead:], expected, atol=1e-9)
    assert scores["null"].values[:, :dead].all()


def test_reverse_pls_names_units_and_takes_stored_activations_in_canonical_order() -> None:
    features, responses = problem(20)
    comparison = against("brainscore-reverse-pls", responses, n_components=5)
    names = [f"unit{number}" for number in range(20)]
    order = np.random.default_rng(3).permutation(N_STIMULI)
    first = comparison.score(Activations("a", IDS, [features], units=names))
    second = comparison.score(Activations("a", [IDS[place] for place in order], [features[order]], units=names))
    xr.testing.assert_allclose(first, second, atol=1e-12)
    assert first["neuroid_id"].values.tolist() == names
    assert first.attrs["n_components"] == 5
    assert "prediction" not in first


def test_reverse_pls_of_several_layers_keeps_medians_and_is_optimistic() -> None:
    features, responses = problem(20)
    comparison = against("brainscore-reverse-pls", responses)
    layers = {"wide": layer(np.random.default_rng(1).standard_normal((N_STIMULI, 70))), "related": layer(features)}
    summary = comparison.summarise(comparison.score_all(layers))
    alone = {name: comparison.summarise(comparison.score(one)) for name, one in layers.items()}
    assert (summary.layer_rule, summary.best_layer, summary.n_layers_searched) == ("optimistic", "related", 2)
    assert (summary.value, summary.error) == pytest.approx((alone["related"].value, alone["related"].error), abs=1e-14)
    assert [one.value for one in summary.layers] == pytest.approx([alone["wide"].value, alone["related"].value])


# --- the value --------------------------------------------------------------------------------------------------------


def test_value_regions_and_curve_are_medians_over_neuroids_and_means_over_splits() -> None:
    features, responses = problem()
    repeated = make_responses(
        np.stack([responses.values + 0.5 * np.random.default_rng(seed).standard_normal((60, 8)) for seed in (1, 2, 3)]),
        IDS,
        neuroid={name: responses[name].values for name in ("region", "subject")},
    )
    comparison = against("brainscore-ridge", repeated)
    comparison.rules = Rules(ceiling_mode="r2_over_c", summary_by=("region",), layer_rule=LayerRule(unit="model"))
    layers = {"related": layer(features), "noise": layer(np.random.default_rng(9).standard_normal((60, 30)), "noise")}
    scores = comparison.score_all(layers)
    assert scores["chosen"].values.max() == 0
    raw, ceiling = scores["score"].values, comparison.ceiling.raw.values
    medians = np.median(raw, axis=2)  # (n_layers, n_splits)
    summary = comparison.summarise(scores)
    assert summary.value == pytest.approx(medians[0].mean(), abs=1e-14)
    assert summary.error == pytest.approx(medians[0].std() / np.sqrt(10), abs=1e-14)
    assert [one.value for one in summary.layers] == pytest.approx(medians.mean(axis=1).tolist(), abs=1e-14)
    assert summary.ceiling == pytest.approx(np.median(ceiling, axis=1).mean(), abs=1e-14)
    assert summary.ceiled == pytest.approx(summary.value**2 / summary.ceiling, abs=1e-14)
    assert (summary.target, summary.n_subjects, summary.layer_rule) == ("pooled", None, "nested by model")
    for name, part in by_region(comparison, scores).items():
        inside = responses["region"].values == name
        assert part.value == pytest.approx(np.median(raw[0][:, inside], axis=1).mean(), abs=1e-14)
        assert part.ceiling == pytest.approx(np.median(ceiling[:, inside], axis=1).mean(), abs=1e-14)
        assert part.ceiled == pytest.approx(part.value**2 / part.ceiling, abs=1e-14)
        assert part.n_neuroids == 4


def test_a_ceiling_mode_that_does_not_fit_is_refused() -> None:
    features, responses = problem()
    comparison = against("brainscore-pls", responses)
    comparison.rules = Rules(ceiling_mode="r_over_sqrt_c")
    with pytest.raises(SettingsError, match="r2_over_c, r_over_c_squared"):
        comparison.summarise(comparison.score(layer(features)))
    comparison.rules = Rules(ceiling_mode="r2_over_c")
    assert comparison.summarise(comparison.score(layer(features))).ceiled is None  # one repetition: no ceiling


@pytest.mark.parametrize("metric", CROSS_VALIDATED)
def test_constant_neuroids_are_null_and_leave_the_median(metric) -> None:
    features, responses = problem()
    comparison = against(metric, responses)
    usual = comparison.score(layer(features))["score"].values
    # the last neuroid: the others are fitted alike, whichever the iteration of PLS starts from
    responses[:, 7] = 0.1
    comparison = against(metric, responses)
    scores = comparison.score(layer(features))
    assert np.isnan(scores["score"].values[:, 7]).all()
    assert scores["null"].values.sum() == 10
    summary = comparison.summarise(scores)
    assert summary.n_null == 10
    assert summary.value == pytest.approx(np.median(scores["score"].values[:, :7], axis=1).mean(), abs=1e-14)
    if metric not in ("pls", "brainscore-pls"):  # there, neuroids share their components
        np.testing.assert_allclose(scores["score"].values[:, :7], usual[:, :7], atol=1e-12)


@pytest.mark.parametrize("metric", [*CASES, "brainscore-ridgecv-split"])
def test_a_layer_that_does_not_vary_has_no_value(metric) -> None:
    _, responses = problem()
    comparison = against(metric, responses)
    for flat in (np.full((N_STIMULI, 30), 0.1), np.full((N_STIMULI, 90), 0.1)):
        scores = comparison.score(layer(flat))
        assert scores["null"].values.all()
        summary = comparison.summarise(scores)
        assert (summary.value, summary.error) == (None, None)


@pytest.mark.parametrize("metric", ["brainscore-ridge", "brainscore-linear", "brainscore-pls"])
@pytest.mark.parametrize("n_units", [4, 90])
def test_a_layer_that_varies_over_test_stimuli_only_has_no_value_there(metric, n_units) -> None:
    _, responses = problem()
    comparison = against(metric, responses)
    test = comparison.splits[0].test
    features = np.full((N_STIMULI, n_units), 3.3)
    features[test] += np.random.default_rng(0).standard_normal((6, n_units))
    assert comparison.score(layer(features))["null"].values[0].all()


# --- the choice of a layer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", CROSS_VALIDATED)
def test_selection_is_computed_within_training_stimuli(metric) -> None:
    features, responses = problem(20)
    labelled = responses.assign_coords(object_name=("presentation", ["a", "b", "c"] * 20))
    layers = {
        "one": layer(features),
        "two": layer(features + np.random.default_rng(5).standard_normal((60, 20)), "two"),
    }
    found = against(metric, labelled).score_all(layers)["selection"].values
    changed = labelled.copy(deep=True)
    test = against(metric, labelled).splits[3].test
    changed[test] = 100 * np.random.default_rng(6).standard_normal((len(test), 8))
    again = against(metric, changed).score_all(layers)["selection"].values
    np.testing.assert_allclose(again[:, 3], found[:, 3], atol=1e-10)
    assert np.abs(again[:, [0, 1, 2]] - found[:, [0, 1, 2]]).max() > 0.01


def test_selection_equals_folds_written_out() -> None:
    features, responses = problem(20)
    labels = np.array(["a", "b", "c"] * 20)
    layers = {"one": layer(features), "two": layer(features**2, "two")}
    comparison = against("brainscore-ridge", responses.assign_coords(object_name=("presentation", labels)))
    found = comparison.score_all(layers)["selection"].values[0]
    for split, (train, _) in enumerate(comparison.splits):
        folds = StratifiedKFold(3, shuffle=True, random_state=1).split(train, labels[train])
        inner = [(train[fit], train[test]) for fit, test in folds]
        expected = expected_scores(Ridge(alpha=1), features, responses.values, inner).mean(axis=0)
        np.testing.assert_allclose(found[split], expected, atol=1e-10)


def test_a_single_layer_pays_for_no_choice() -> None:
    features, responses = problem(20)
    comparison = against("pls", responses)
    assert "selection" not in comparison.score(layer(features))
    once = comparison.score_all({"a": layer(features), "b": layer(features)})
    assert "selection" not in once
    assert comparison.summarise(once).layer_rule == "single layer"


def test_choosing_among_43_layers_of_noise_gives_nothing() -> None:
    ids = [f"s{number:03d}" for number in range(200)]
    chosen, best = [], []
    for seed in range(4):
        stream = np.random.default_rng(seed)
        regions = {"region": [f"region{number // 4}" for number in range(12)]}
        target = make_responses(stream.standard_normal((200, 12)), ids, neuroid=regions)
        comparison = against("pls", target, n_components=2, inner_folds=2)
        comparison.keep = ()
        layers = {f"l{n}": Activations(f"l{n}", ids, [stream.standard_normal((200, 10))]) for n in range(43)}
        scores = comparison.score_all(layers)
        assert (scores.attrs["layer_rule"], scores.attrs["n_layers_searched"]) == ("nested by region", 43)
        assert len(np.unique(scores["chosen"])) > 3, "noise should not agree on a layer"
        chosen.append(float(scores["readout"].mean()))
        best.append(float(scores["score"].mean("split").max("layer").mean()))
    assert abs(np.mean(chosen)) <= 0.02
    assert np.mean(best) > 0.1, "choosing on the test stimuli leaks; this is what the nested choice avoids"


# --- bad input and devices --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", [*CASES, "brainscore-ridgecv-split"])
def test_bad_input_is_refused(metric) -> None:
    features, responses = problem()
    comparison = against(metric, responses)
    with pytest.raises(AlignmentError, match="lack 1 of 60 stimuli: stimulus00"):
        comparison.score(Activations("short", IDS[1:], [features[1:]]))
    broken = features.copy()
    broken[7, 3] = np.nan
    with pytest.raises(DataError, match="stimulus07"):
        comparison.score(layer(broken))
    with pytest.raises(SettingsError, match="no other seed"):
        isocortex.load_metric(metric).against(responses, settings={}, seed=1)
    with pytest.raises(SettingsError, match="has no setting 'alpha'"):
        against(metric, responses, alpha=2.0)
    few = make_responses(responses.values[:20], IDS[:20])
    with pytest.raises(DataError, match=r"at least 3 test stimuli.*20 stimuli give 2"):
        against(metric, few).score(Activations("few", IDS[:20], [features[:20]]))
    with pytest.raises(DataError, match="not finite"):
        against(metric, responses.where(responses != responses[0, 0]))


def test_strata_that_cannot_be_drawn_are_named() -> None:
    _, responses = problem()
    with pytest.raises(SettingsError, match="Did you mean object_name"):
        against("pls", responses.assign_coords(object_name=("presentation", ["a", "b"] * 30)), stratify="object_nam")
    single = responses.assign_coords(object_name=("presentation", ["odd", *["a", "b", "c"] * 19, "a", "b"]))
    with pytest.raises(DataError, match=r"cannot be drawn on 60 stimuli.*setting 'stratify'"):
        against("pls", single)
    assert len(against("pls", single, stratify=False).splits) == 10
    with pytest.raises(DataError, match="one label per stimulus: expected 60, found 2"):
        brainscore_splits(60, ["a", "b"])


def test_components_that_training_stimuli_do_not_allow_are_refused() -> None:
    features, responses = problem(70)
    with pytest.raises(DataError, match="54 components need at least 55 training stimuli; the smallest split has 54"):
        against("pls", responses, n_components=54).score(layer(features))
    scores = against("pls", responses, n_components=54).score(layer(features[:, :5]))
    assert scores.attrs["n_components"] == 5


@pytest.mark.parametrize(
    ("words", "settings", "error", "message"),
    [
        (["train", "val"] * 30, {}, DataError, "must say train or test; found val"),
        (["train"] * 58 + ["test"] * 2, {}, DataError, "has 58 and 2"),
        (["train", "test"] * 30, {"split_column": "half"}, SettingsError, "no column 'half'"),
    ],
)
def test_fixed_splits_that_cannot_be_used_are_named(words, settings, error, message) -> None:
    _, responses = problem()
    with pytest.raises(error, match=message):
        against("brainscore-ridgecv-split", responses.assign_coords(split=("presentation", words)), **settings)


def test_without_a_column_the_fixed_split_is_the_first_draw() -> None:
    features, responses = problem()
    scores = against("brainscore-ridgecv-split", responses).score(layer(features))
    assert scores["test_stimulus"].values.tolist() == [brainscore_splits(60, None)[0].test.tolist()]
    assert scores.attrs["splits"].startswith("no column split")


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
@pytest.mark.parametrize("metric", ["pls", "brainscore-reverse-pls"])
def test_torch_gives_what_numpy_gives(metric) -> None:
    features, responses = problem(90)
    found = {
        device: isocortex.load_metric(metric).against(responses, settings={"n_components": 6}, seed=0, device=device)
        for device in ("cpu", "torch")
    }
    one, other = (comparison.score(layer(features)) for comparison in found.values())
    np.testing.assert_allclose(one["score"].values, other["score"].values, atol=1e-9)
    with pytest.raises(SettingsError, match="mps"):
        isocortex.load_metric(metric).against(responses, settings={}, seed=0, device="mps")


def test_features_in_blocks_take_no_more_than_the_stimuli_need() -> None:
    wide = np.random.default_rng(0).standard_normal((40, 4000)).astype(np.float32)
    compact = compact_features((wide[:, first : first + 100] for first in range(0, 4000, 100)), 40, 4000)
    assert compact.shape == (40, 39)
