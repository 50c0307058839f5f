"""Real networks through the torch engine: nothing that is asked for changes what is found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isocortex.catalogue.cards import Variant
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.extraction.extractor import activations_in_memory

pytestmark = pytest.mark.xdist_group("torchvision")

SIDE = 64
VIT = pytest.param("vit_b_32", marks=pytest.mark.long)


@pytest.fixture(scope="module")
def networks() -> Any:
    pytest.importorskip("torch")
    return pytest.importorskip("isocortex_vision.torchvision_import").import_torchvision().models


def images(n_images: int = 3, side: int = SIDE) -> StimulusSet:
    stream = np.random.default_rng(0)
    names = [f"image{number}" for number in range(n_images)]
    return StimulusSet(
        "images",
        "image",
        {name: Stimulus(name, "image", stream.integers(0, 255, (side, side, 3), dtype=np.uint8)) for name in names},
    )


def model_of(build: Any, stimuli: StimulusSet, variant: str = "random:0", dtype: str = "float32") -> Any:
    from isocortex.models.torch_model import TorchModel, TorchRecipe

    recipe = TorchRecipe(build=build, preprocess=pixels, layers=["**"], example=stimuli.load(0))
    return TorchModel(recipe, Variant.parse(variant), dtype=dtype)


def pixels(batch: Any) -> Any:
    """(n_images, height, width, 3) uint8 → (n_images, 3, height, width) float32 in [0, 1]."""
    stacked = np.stack([stimulus.array for stimulus in batch])
    return np.ascontiguousarray(stacked.transpose(0, 3, 1, 2)).astype(np.float32) / np.float32(255)


@pytest.mark.parametrize("name", ["alexnet", pytest.param("vgg19", marks=pytest.mark.long), "resnet18", "densenet121"])
def test_one_layer_at_a_time_is_all_layers_at_once(networks: Any, name: str) -> None:
    stimuli = images()
    with model_of(getattr(networks, name), stimuli) as model:
        layers = list(model.layers)
        together = activations_in_memory(model, stimuli, layers, reduction="flatten", batch_size=3)
        for layer in layers[:: max(1, len(layers) // 25)]:
            [alone] = activations_in_memory(model, stimuli, [layer], batch_size=3).values()
            np.testing.assert_array_equal(alone.array(), together[layer].array(), err_msg=layer)
        if name == "resnet18":
            assert together["bn1"].array().min() < 0, "the in-place ReLU behind it comes later"
            assert {"relu", "layer1.0.relu#0", "layer1.0.relu#1"} <= set(layers)


@pytest.mark.parametrize(
    ("name", "dtype", "tolerance"),
    [
        ("alexnet", "float32", 1e-6),
        ("resnet18", "float64", 1e-6),
        ("resnet18", "float32", 5e-6),  # single precision itself is up to 3.4e-6 away from double precision here
    ],
)
def test_a_batch_of_seven_is_seven_batches_of_one(networks: Any, name: str, dtype: str, tolerance: float) -> None:
    stimuli = images(7)
    with model_of(getattr(networks, name), stimuli, dtype=dtype) as model:
        layers = model.layers[:: max(1, len(model.layers) // 12)]
        seven = activations_in_memory(model, stimuli, layers, batch_size=7)
        single = activations_in_memory(model, stimuli, layers, batch_size=1)
    for layer in layers:
        np.testing.assert_allclose(
            seven[layer].array(), single[layer].array(), rtol=0, atol=tolerance * _size(single[layer]), err_msg=layer
        )


def _size(activations: Any) -> float:
    return max(1.0, float(np.abs(activations.array()).max()))


@pytest.mark.parametrize("name", [VIT, "swin_t", "convnext_tiny", "resnet18"])
def test_random_is_the_constructor_under_a_seed(networks: Any, name: str) -> None:
    import torch

    from isocortex.models.variants import build_variant

    build = getattr(networks, name)
    first, second = (build_variant(build, Variant.parse("random:0")).state_dict() for _ in range(2))
    torch.manual_seed(0)
    plain = build().state_dict()
    for key, tensor in plain.items():
        assert torch.equal(first[key], tensor), key
        assert first[key].numpy().tobytes() == second[key].numpy().tobytes(), key
