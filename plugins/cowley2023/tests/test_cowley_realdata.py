"""The published recordings: known answers, with numpy and scikit-learn beside them; skipped where they are absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

import isocortex as package
from isocortex.activations import Activations
from isocortex.data import Dataset, averaged, repetitions
from isocortex.interfaces import Preparation, Variant
from plugins.cowley2023.tests import recordings
from tests.command_line import run_in_process

#: one worker makes what these tests share
pytestmark = pytest.mark.xdist_group("cowley2023")
LAYERS = ("features.2", "features.4", "features.7", "features.9", "features.11", "features.12")
TRAINED = (0.451, 0.523, 0.593, 0.619, 0.593, 0.576)
UNTRAINED = (0.434, 0.415, 0.408, 0.407, 0.399, 0.377)
RIDGE = "Cowley2023.210325.ridge"


def run(base: Path, *arguments: str) -> Any:
    """Run the command line with folders below ``base``."""
    return run_in_process(
        arguments, base, {"ISOCORTEX_DATA": str(base / "data"), "ISOCORTEX_CACHE": str(base / "cache")}
    )


def rows(base: Path, *arguments: str) -> list[dict[str, Any]]:
    done = run(base, "score", *arguments, "--device", "cpu", "--offline", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def base(realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all sessions and networks."""
    if not (realdata / "cowley2023").is_dir():
        pytest.skip(f"the V4 recordings are not in {realdata}; set ISOCORTEX_REALDATA")
    folder = tmp_path_factory.mktemp("cowley2023")
    arguments = ("-b", "Cowley2023.*", "-m", "cowley2023/compact-190923", "--from", str(realdata))
    fetched = run(folder, "fetch", *arguments)
    assert fetched.returncode == 0, fetched.stderr
    return folder


@pytest.fixture
def load(base: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Loads data sets from there."""
    monkeypatch.setenv("ISOCORTEX_DATA", str(base / "data"))
    monkeypatch.setenv("ISOCORTEX_CACHE", str(base / "cache"))
    return package.load_dataset


@pytest.fixture(scope="module")
def counts(realdata: Path, base: Path) -> np.ndarray:
    """(50, 640, 10) as numpy reads them."""
    del base
    with np.load(realdata / "cowley2023" / "cowley_v4_210325_trials.npz", allow_pickle=False) as file:
        values = file["counts"].astype(float)
    return np.where(values == 255, np.nan, values)


def test_trials_give_the_published_means_and_reliabilities(load: Any, realdata: Path, counts: np.ndarray) -> None:
    data: Dataset = load("Cowley2023.210325")
    assert data.responses is not None
    np.testing.assert_array_equal(repetitions(data.responses), counts.transpose(2, 1, 0))
    shown = dict(zip(*np.unique(np.isfinite(counts[0]).sum(axis=1), return_counts=True), strict=True))
    assert shown == {6: 36, 7: 261, 8: 294, 9: 45, 10: 4}
    with np.load(realdata / "cowley2023" / "cowley_v4_210325_mean.npz", allow_pickle=False) as file:
        np.testing.assert_allclose(averaged(data.responses), file["mean"].T, rtol=0, atol=5e-7)
    odd, even = (np.nanmean(counts[:, :, first::2], axis=2) for first in (0, 1))
    r = np.median([np.corrcoef(a, b)[0, 1] for a, b in zip(odd, even, strict=True)])
    assert r == pytest.approx(0.6302, abs=5e-5)
    assert 2 * r / (1 + r) == pytest.approx(0.7731, abs=1e-4)
    comparison = package.load_metric("ridge").against(data)
    expected = recordings.reliability_of(counts)
    np.testing.assert_allclose(comparison.reliability, expected, rtol=0, atol=1e-9)
    assert np.median(expected) == pytest.approx(0.7646, abs=0.003)
    assert 0.874 <= float(np.median(comparison.ceiling.value)) <= 0.877
    from isocortex_metrics.ceilings.estimators import from_halves

    assert np.median(from_halves(data.responses).reliability) == pytest.approx(np.median(expected), abs=0.02)


@pytest.mark.parametrize(("name", "shape"), [("190923", (1200, 33)), ("210621", (1200, 51))])
def test_sessions_of_means_are_in_the_order_of_the_images(
    load: Any, realdata: Path, name: str, shape: tuple[int, int]
) -> None:
    data: Dataset = load(f"Cowley2023.{name}")
    assert data.responses is not None
    with np.load(realdata / "cowley2023" / f"cowley_v4_{name}_mean.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(data.responses.values, file["mean"].T)
    assert (data.responses.shape, data.stimuli.ids[-1]) == (shape, "image1200")
    assert data.stimuli.load(0).array.shape == (112, 112, 3)


@pytest.mark.long
def test_each_neuron_is_predicted_best_by_its_own_network(load: Any, base: Path) -> None:
    pytest.importorskip("torch")
    from isocortex.testing.model_runs import activations_in_memory

    data: Dataset = load("Cowley2023.190923")
    assert data.responses is not None
    first = data.stimuli.only(data.stimuli.ids[:150])
    made = recordings.plugin("model", "cowley2023/compact-190923")
    with made.load(Variant.parse("pretrained"), device="cpu") as loaded:
        layer = activations_in_memory(loaded, first, ["neurons"])["neurons"]
    responses = data.responses[:150].values
    across = np.corrcoef(layer.array(list(first.ids)).T, responses.T)[:33, 33:]
    np.testing.assert_array_equal(across.argmax(axis=0), np.arange(33))
    scores = package.load_metric("identity").against(data.responses[:150]).score(layer)
    np.testing.assert_allclose(scores["r"], across.diagonal(), rtol=0, atol=1e-6)
    assert float(np.median(scores["r"])) == pytest.approx(0.721, abs=0.005)
    assert "no held-out score" in run(base, "info", "Cowley2023.190923.identity").stdout


@pytest.mark.long
def test_networks_reach_what_is_stated_with_them_on_the_second_half_of_the_images(load: Any, realdata: Path) -> None:
    torch = pytest.importorskip("torch")
    from isocortex_cowley2023.compact_model import preprocessed
    from isocortex_cowley2023.compact_networks import CompactNetworks, filters_of, joined, states_of_arrays
    from isocortex_cowley2023.responses import read_arrays

    data: Dataset = load("Cowley2023.190923")
    assert data.responses is not None
    arrays = read_arrays(realdata / "cowley2023" / "cowley_v4_190923_compact_models.npz")
    n_networks = 2  # of 33, as each takes six seconds
    states = states_of_arrays(arrays, 33)[:n_networks]
    networks = CompactNetworks(filters_of(states)).eval()
    networks.load_state_dict(joined(states))
    places = np.arange(600, 1200).reshape(-1, 20)
    with torch.inference_mode():
        found = torch.cat([networks(preprocessed(data.stimuli.batch(part.tolist()))) for part in places]).numpy()
    response = data.responses.values[600:]
    r = [np.corrcoef(found[:, place], response[:, place])[0, 1] for place in range(n_networks)]
    np.testing.assert_allclose(r, arrays["r_test_half"][:n_networks], rtol=0, atol=1e-5)


# --- networks that were trained on photographs ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def squeezenet(realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The row with its trained weights."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("isocortex_vision")
    from safetensors.torch import save_file

    path = realdata / "networks" / "squeezenet1_1_imagenet.npz"
    if not path.is_file():
        pytest.skip(f"{path} is not here; set ISOCORTEX_REALDATA")
    converted = tmp_path_factory.mktemp("weights") / "squeezenet1_1.safetensors"
    with np.load(path, allow_pickle=False) as file:
        save_file({name: torch.from_numpy(np.array(file[name], order="C")) for name in file.files}, converted)
    return f"squeezenet1_1@file:{converted}"


def curve(base: Path, model: str) -> tuple[dict[str, Any], dict[str, float], dict[str, float]]:
    """Row, value and share of splits of each layer of a model."""
    layers = [text for layer in LAYERS for text in ("--layers", layer)]
    [row] = rows(base, "-m", model, *layers, "-b", RIDGE)
    paths = (base / "results" / RIDGE).glob("*/*/result.json")
    found = [json.loads(path.read_text()) for path in paths]
    [result] = [one for one in found if one["digest"] == row["digest"]]
    layers_of = result["summary"]["layers"]
    return row, {one["name"]: one["value"] for one in layers_of}, {one["name"]: one["read_out"] for one in layers_of}


@pytest.mark.long
def test_trained_squeezenet_predicts_v4_and_five_untrained_ones_do_less(base: Path, squeezenet: str) -> None:
    trained, values, chosen = curve(base, squeezenet)
    for layer, expected in zip(LAYERS, TRAINED, strict=True):
        assert values[layer] == pytest.approx(expected, abs=0.01), layer
    assert chosen["features.9"] == 1.0, "in every split"
    assert trained["value"] == pytest.approx(0.619, abs=0.01)
    assert (trained["interval_low"], trained["interval_high"]) == pytest.approx((0.594, 0.641), abs=0.01)
    assert trained["ceiled"] == pytest.approx(trained["value"] / trained["ceiling"])
    assert trained["ceiled_low"] < trained["ceiled"] < trained["ceiled_high"]
    for seed in range(5):
        untrained, values, _ = curve(base, f"squeezenet1_1@random:{seed}")
        assert untrained["value"] <= 0.50
        assert untrained["interval_high"] < trained["interval_low"]
        if seed == 0:
            for layer, expected in zip(LAYERS, UNTRAINED, strict=True):
                assert values[layer] == pytest.approx(expected, abs=0.05), layer
    [pixels] = rows(base, "-m", "pixels", "-b", RIDGE)
    assert pixels["value"] == pytest.approx(0.250, abs=0.02)


@pytest.fixture(scope="module")
def features(base: Path, squeezenet: str) -> Any:
    """Gives a layer of trained SqueezeNet, (640, n_units), pooled as the benchmark does."""

    def of(layer: str) -> np.ndarray:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ISOCORTEX_DATA", str(base / "data"))
            patch.setenv("ISOCORTEX_CACHE", str(base / "cache"))
            stimuli = package.load_dataset("Cowley2023.210325").stimuli
            found = package.extract(squeezenet, stimuli, layers=[layer], reduction="spatial-mean-4", quiet=True)
            return found[layer].array(list(stimuli.ids))

    return of


@pytest.mark.long
@pytest.mark.parametrize("layer", ["features.4", "features.9"])
def test_scikit_learn_agrees(load: Any, features: Any, layer: str) -> None:
    """RidgeCV with an intercept, alphas as multiples of the mean eigenvalue, one for each neuron."""
    data: Dataset = load("Cowley2023.210325")
    assert data.responses is not None
    x, y = features(layer).astype(float), averaged(data.responses)
    comparison = package.load_metric("ridge").against(data)
    scores = comparison.score(Activations(layer, data.stimuli.ids, [x]))
    r = []
    for train, test in comparison.splits:
        centred = x[train] - x[train].mean(axis=0)
        mean_eigenvalue = np.sum(centred**2) / (len(train) - 1)
        found = RidgeCV(10 ** np.arange(-5, 5.25, 0.5) * mean_eigenvalue, alpha_per_target=True).fit(x[train], y[train])
        r.append([np.corrcoef(a, b)[0, 1] for a, b in zip(found.predict(x[test]).T, y[test].T, strict=True)])
    expected = float(np.median(np.mean(r, axis=0)))
    assert float(np.median(scores["r"].mean("split"))) == pytest.approx(expected, abs=0.01)


@pytest.mark.long
def test_leaving_out_without_the_intercept_takes_the_smallest_alpha_for_every_neuron(load: Any, features: Any) -> None:
    """The trap: on a centred Gram matrix, y − ŷ and 1 − H vanish together unless H holds the intercept."""
    data: Dataset = load("Cowley2023.210325")
    assert data.responses is not None
    x, y = features("features.9").astype(float), averaged(data.responses)
    comparison = package.load_metric("ridge").against(data, preparation=Preparation(keep=frozenset({"alpha"})))
    [train, _] = comparison.splits[0]
    k = (centred := x[train] - x[train].mean(axis=0)) @ centred.T
    multiples = 10 ** np.arange(-5, 5.25, 0.5)
    errors = []
    for alpha in multiples * np.trace(k) / (len(train) - 1):
        hat = k @ np.linalg.inv(k + alpha * np.eye(len(k)))
        residual = (y[train] - y[train].mean(axis=0)) - hat @ (y[train] - y[train].mean(axis=0))
        errors.append(((residual / (1 - hat.diagonal())[:, None]) ** 2).sum(axis=0))
    assert (np.argmin(errors, axis=0) == 0).sum() == 50, "the trap is there"
    scores = comparison.score(Activations("features.9", data.stimuli.ids, [x]))
    chosen = scores["alpha"].isel(split=0).values
    assert (chosen > np.log10(multiples[0]) + 1).sum() == 50, "and ours does not fall into it"
