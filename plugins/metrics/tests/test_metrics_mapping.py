"""The map that encoding metrics fit: the kept predictions, scikit-learn's weights, and what is read back."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import make_responses
from isocortex.errors import DataError, LayerError, StoreError
from isocortex.files.sealed import write_sealed
from isocortex.results.kept_mapping import read_mapping, write_mapping

ENCODING = [
    ("ridge", {}),
    ("ridge", {"alpha": 3.0}),
    ("ridge", {"alpha": 0.0}),
    ("banded-ridge", {}),
    ("pca-ridge", {"n_components": [4, 12]}),
    ("pca-ridge", {"alpha": 5.0}),
]


def names(n_stimuli: int) -> list[str]:
    """Stimulus IDs."""
    return [f"s{number:03d}" for number in range(n_stimuli)]


@pytest.fixture(scope="module")
def problem():
    """Two layers, each of which knows one region, and responses."""
    generator = np.random.default_rng(0)
    features = {"low": generator.standard_normal((60, 9)) + 4, "high": 10 * generator.standard_normal((60, 150))}
    parts = [x @ generator.standard_normal((x.shape[1], 5)) for x in features.values()]
    responses = np.concatenate([part / part.std(axis=0) for part in parts], axis=1)
    responses += 0.5 * generator.standard_normal(responses.shape) + 3
    neuroid = {"region": ["A"] * 5 + ["B"] * 5, "subject": ["one"] * 10, "x": np.arange(10.0)}
    layers = {name: Activations(name, names(60), [x]) for name, x in features.items()}
    return features, layers, make_responses(responses, names(60), neuroid=neuroid)


@pytest.mark.parametrize(("name", "settings"), ENCODING)
def test_predictions_are_those_that_a_result_keeps(problem, name: str, settings: dict) -> None:
    """Fitted to the training part of a split, the map gives the predictions of its test stimuli, layers included."""
    _, layers, responses = problem
    comparison = isocortex.load_metric(name).against(responses, settings=settings)
    scores = comparison.score_all(layers)
    for number in (0, 7):
        split = comparison.splits[number]
        predicted = comparison.fit(layers, split).predict(layers)
        kept = scores["prediction"].values[number, : len(split.test)]
        assert np.abs(predicted.values[split.test] - kept).max() < 1e-6
    assert predicted["region"].values.tolist() == ["A"] * 5 + ["B"] * 5


def test_weights_are_scikit_learns(problem) -> None:
    """The layers are those that know the regions, and the weights Ridge's at the same alpha, on all stimuli."""
    features, layers, responses = problem
    found = isocortex.load_metric("ridge").against(responses).fit(layers)
    assert {name: own.neuroids.tolist() for name, own in found.layers.items()} == {
        "low": [0, 1, 2, 3, 4],
        "high": [5, 6, 7, 8, 9],
    }
    for name, own in found.layers.items():
        for column, neuroid in enumerate(own.neuroids):
            model = Ridge(alpha=found.alpha[neuroid]).fit(features[name], responses.values[:, neuroid])
            assert np.abs(own.weights[:, column] - model.coef_).max() < 1e-8
            expected = model.predict(features[name])
            assert np.abs(found.predict(layers).values[:, neuroid] - expected).max() < 1e-8


def test_weights_on_components_are_those_of_a_projection(problem) -> None:
    """PCA, Ridge on its components at the same alpha, and back."""
    features, layers, responses = problem
    comparison = isocortex.load_metric("pca-ridge").against(responses, settings={"n_components": 7, "alpha": 5.0})
    found = comparison.fit({"high": layers["high"]}).layers["high"]
    pca = PCA(7, svd_solver="full").fit(features["high"])
    model = Ridge(alpha=5.0).fit(pca.transform(features["high"]), responses.values)
    assert np.abs(found.weights - (model.coef_ @ pca.components_).T).max() < 1e-8


@pytest.mark.parametrize("settings", [{}, {"penalties": [3.0, 50.0]}])
def test_the_maps_of_several_spaces_add_up_to_what_a_result_keeps(problem, settings: dict) -> None:
    """Fitted to the training part of a split, penalties and the layers of each space included."""
    _, layers, responses = problem
    third = Activations("third", names(60), [np.random.default_rng(5).standard_normal((60, 20))])
    sums = {
        "a low": layers["low"].in_space("a"),
        "a third": third.in_space("a"),
        "b high": layers["high"].in_space("b"),
    }
    comparison = isocortex.load_metric("banded-ridge").against(responses, settings=settings)
    scores = comparison.score_all(sums)
    for number in (0, 7):
        split = comparison.splits[number]
        found = comparison.fit(sums, split)
        predicted = found.predict(sums).values[split.test]
        assert np.abs(predicted - scores["prediction"].values[number, : len(split.test)]).max() < 1e-6
    assert found.alpha.shape == (2, 10)


def test_metrics_that_fit_no_single_map_give_none(problem) -> None:
    """Geometry, baselines beside the model, and a layer that is chosen on the test stimuli."""
    _, layers, responses = problem
    assert isocortex.load_metric("cka").against(responses).fit(layers) is None
    assert isocortex.load_metric("unique-variance").against(responses).fit(layers) is None
    assert isocortex.load_metric("pca-ridge").against(responses, settings={"layer": "on-test"}).fit(layers) is None


def test_what_is_read_back_is_what_was_written(problem, tmp_path) -> None:
    """The same predictions and coordinates; a byte that changed is refused; nothing is pickled."""
    _, layers, responses = problem
    found = isocortex.load_metric("ridge").against(responses).fit(layers)
    result = SimpleNamespace(digest="d", model="m", variant="v", benchmark="b", metric="ridge")
    (tmp_path / "kept").mkdir()
    record = {"result": "d", "name": "mapping", **write_mapping(tmp_path, found)}
    write_sealed(tmp_path / "kept" / "mapping.json", record)
    again = read_mapping(tmp_path, result)
    assert again.predict(layers).identical(found.predict(layers))
    with np.load(tmp_path / "kept" / "mapping.npz", allow_pickle=False) as arrays:
        assert all(arrays[name].dtype.kind != "O" for name in arrays)
    path = tmp_path / "kept" / "mapping.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match="not as it was written"):
        read_mapping(tmp_path, result)


def test_other_activations_are_refused(problem) -> None:
    """A layer that is not there, and one of another width."""
    _, layers, responses = problem
    found = isocortex.load_metric("ridge").against(responses).fit(layers)
    with pytest.raises(LayerError, match="no activations of high"):
        found.predict({"low": layers["low"]})
    narrow = Activations("high", names(60), [np.ones((60, 3))])
    with pytest.raises(DataError, match="takes 150 units; these activations have 3"):
        found.predict({**layers, "high": narrow})
