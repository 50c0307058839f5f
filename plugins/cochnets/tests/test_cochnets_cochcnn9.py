"""CochCNN9 from stimuli to features, against the outputs of the original network with weights made by a formula."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from isocortex.activations.output import LayerOutput  # noqa: E402
from isocortex.catalogue.cards import Variant  # noqa: E402
from isocortex.data.stimuli import Stimulus, StimulusSet  # noqa: E402
from isocortex.extraction.extractor import activations_in_memory  # noqa: E402
from isocortex.loading.resolver import resolver  # noqa: E402
from isocortex_cochnets.cochcnn9 import CochCNN9  # noqa: E402
from isocortex_cochnets.models import CochlearModel  # noqa: E402

pytestmark = pytest.mark.xdist_group("cochcnn9")

GOLDEN = Path(__file__).parents[3] / "tests" / "golden" / "models_cochcnn9_synthetic.npz"
LAYERS = ["relu0", "maxpool0", "relu1", "maxpool1", "relu2", "relu3", "relu4", "avgpool", "relufc"]


@pytest.fixture(scope="module")
def known() -> Mapping[str, Any]:
    return dict(np.load(GOLDEN, allow_pickle=False))


def formula_weights(known: Mapping[str, Any]) -> dict[str, Any]:
    """Weights by the formula of the golden file, under the names of a published checkpoint."""
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in CochCNN9(classes=794).state_dict().items()}
    names = [str(name) for name in known["state_dict_order"]]
    assert list(shapes) == names
    state: dict[str, Any] = {"module.model.0.full_rep.filters": torch.zeros(3)}
    for number, name in enumerate(names):
        stream = np.random.RandomState(number)
        state[f"module.model.1.{name}"] = torch.from_numpy(formula_weight(stream, name, shapes[name]))
        state[f"module.attacker.model.1.{name}"] = torch.zeros(1)
    return state


def formula_weight(stream: np.random.RandomState, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.array(0)
    if name.endswith("running_var"):
        values = stream.uniform(0.5, 1.5, shape)
    elif name.endswith(("running_mean", ".bias")):
        values = stream.uniform(-0.1, 0.1, shape)
    elif name.startswith("batchnorm"):
        values = stream.uniform(0.5, 1.5, shape)
    else:
        values = stream.uniform(-1, 1, shape) * np.sqrt(3 / np.prod(shape[1:]))
    return values.astype(np.float32)


def golden_sounds() -> StimulusSet:
    time = np.arange(40_000) / 20_000
    made: dict[str, Stimulus] = {}
    for number in range(3):
        stream = np.random.RandomState(100 + number)
        tones = (220 * (number + 1), 1000 + 500 * number, 3500 + 700 * number)
        sound = np.sum([np.sin(2 * np.pi * f * time + j) for j, f in enumerate(tones)], axis=0)
        sound = sound * (1 + np.sin(2 * np.pi * (3 + number) * time)) + 0.3 * stream.standard_normal(40_000)
        sound -= sound.mean()
        sound = (sound * 0.1 / np.sqrt(np.mean(sound**2))).astype(np.float32)
        made[f"sound{number}"] = Stimulus(f"sound{number}", "audio", sound, 20_000.0)
    return StimulusSet("golden", "audio", made)


@pytest.fixture(scope="module")
def network(known: Mapping[str, Any]) -> Iterator[CochlearModel]:
    """The network with the formula's weights, loaded as a published checkpoint is."""
    from dataclasses import replace

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    plugin: Any = resolver(offline=True).model("cochcnn9-word")
    recipe = replace(plugin.recipe(Variant.parse("random")), weights=formula_weights(known))
    with CochlearModel(recipe, Variant(kind="pretrained"), device="cpu", aliases=plugin.aliases) as model:
        yield model
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def features(network: CochlearModel) -> dict[str, np.ndarray]:
    stimuli = golden_sounds()
    found = activations_in_memory(network, stimuli, ["cochleagram", *LAYERS], reduction="time-mean")
    return {layer: activations.array(stimuli.ids) for layer, activations in found.items()}


@pytest.mark.parametrize("layer", LAYERS)
def test_time_averaged_features_equal_the_original_network(
    layer: str, features: dict[str, np.ndarray], known: Mapping[str, Any]
) -> None:
    found = features[layer]
    n_features = int(known[f"nfeat_{layer}"])
    assert found.shape == (3, n_features)
    step = max(1, n_features // 512)
    assert np.abs(found[:, ::step] - known[f"timeavg_{layer}"]).max() <= 1e-6
    for name, reduce in (("mean", np.mean), ("std", np.std)):
        assert np.abs(reduce(found.astype(float), axis=1) - known[f"{name}_{layer}"]).max() <= 1e-6
    assert found.std() > 0.01


def test_maps_have_the_published_shapes_and_named_axes(network: CochlearModel, known: Mapping[str, Any]) -> None:
    outputs: dict[str, LayerOutput] = {}
    network.run(golden_sounds().batch([0]), ["cochleagram", *LAYERS], outputs.__setitem__)
    assert list(outputs) == ["cochleagram", *LAYERS]
    for layer in LAYERS:
        assert tuple(outputs[layer].array.shape[1:]) == tuple(known[f"shape_{layer}"])[-outputs[layer].array.ndim + 1 :]
        expected = ("unit",) if layer == "relufc" else ("channel", "frequency", "time")
        assert outputs[layer].axes == expected
    cochleagram = outputs["cochleagram"].array[0, 0].numpy()
    assert np.abs(cochleagram - known["cochleagram"][0]).max() <= 1e-6


def test_relu5_is_another_name_of_relufc(network: CochlearModel) -> None:
    assert list(network.find("relu5")) == ["relufc"]
    assert list(network.find("relu?")) == [f"relu{number}" for number in range(5)]
    assert list(network.layers) == LAYERS


def test_batches_do_not_matter(network: CochlearModel, features: dict[str, np.ndarray]) -> None:
    found = activations_in_memory(network, golden_sounds(), ["relu0", "relufc"], reduction="time-mean", batch_size=1)
    for layer, activations in found.items():
        assert np.abs(activations.array() - features[layer]).max() <= 5e-6 * features[layer].std()  # rounding


def test_heads_and_initialisation_by_task() -> None:
    with torch.device("meta"):
        counts = {
            name: sum(part.numel() for part in CochCNN9(classes).parameters())
            for name, classes in {"word": 794, "none": None, "several": {"a/b": 794, "c": 433, "d": 517}}.items()
        }
    assert counts["none"] == 106_968_962
    assert counts["word"] - counts["none"] == 4097 * 794
    assert counts["several"] - counts["none"] == 4097 * (794 + 433 + 517)
