from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from isocortex.activations import Activations
from isocortex.errors import LayerError, PluginError
from isocortex.extraction import activations_in_memory
from isocortex.manifest import Variant
from isocortex.stimuli import Stimulus, StimulusSet

torch = pytest.importorskip("torch")

from isocortex.torch_model import TorchModel, TorchRecipe  # noqa: E402

RANDOM = Variant.parse("random:0")


class Residual(torch.nn.Module):
    """Convolution, batch norm and one in-place ReLU that runs twice, as in a residual network."""

    def __init__(self, n_channels: int = 4) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, n_channels, 3, padding=1)
        self.bn1 = torch.nn.BatchNorm2d(n_channels)
        self.relu = torch.nn.ReLU(inplace=True)
        self.conv2 = torch.nn.Conv2d(n_channels, n_channels, 3, padding=1)
        self.bn2 = torch.nn.BatchNorm2d(n_channels)
        self.head = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Dropout(0.5))

    def forward(self, images: Any) -> Any:
        first = self.relu(self.bn1(self.conv1(images)))
        second = self.bn2(self.conv2(first))
        second += first
        return self.head(self.relu(second))


class Dense(torch.nn.Module):
    """Layers that see everything before them, and an in-place operation on what they share."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 4, 3, padding=1)
        self.blocks = torch.nn.ModuleList(torch.nn.Conv2d(4 + 2 * step, 2, 3, padding=1) for step in range(3))

    def forward(self, images: Any) -> Any:
        found = self.stem(images)
        for block in self.blocks:
            found = torch.cat([found, block(torch.nn.functional.relu_(found))], dim=1)
        return found


class Recurrent(torch.nn.Module):
    """An output that is a tuple, with the batch as second axis."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = torch.nn.LSTM(1, 5)

    def forward(self, sounds: Any) -> Any:
        return {"logits": self.rnn(sounds.T[:, :, None])[0], "loss": None}


def images(n: int = 7, seed: int = 0) -> StimulusSet:
    stream = np.random.default_rng(seed)
    pixels = {f"i{number}": stream.integers(0, 255, (8, 8, 3), dtype=np.uint8) for number in range(n)}
    return StimulusSet("images", "image", {name: Stimulus(name, "image", array) for name, array in pixels.items()})


def sounds(lengths: Sequence[int] = (40, 60, 40)) -> StimulusSet:
    stream = np.random.default_rng(0)
    waves = {f"s{number}": stream.standard_normal(n).astype(np.float32) for number, n in enumerate(lengths)}
    return StimulusSet("s", "audio", {name: Stimulus(name, "audio", wave, 16000.0) for name, wave in waves.items()})


def pixels(batch: Any) -> Any:
    return torch.from_numpy(np.stack([stimulus.array for stimulus in batch])).permute(0, 3, 1, 2).float() / 255


def waves(batch: Any) -> Any:
    return torch.from_numpy(np.stack([stimulus.array for stimulus in batch]))


def model_of(build: Callable[[], Any], layers: Sequence[str], variant: Variant = RANDOM, **more: Any) -> TorchModel:
    recipe = TorchRecipe(build=build, preprocess=more.pop("preprocess", pixels), layers=layers, **more)
    return TorchModel(recipe, variant)


def with_calls(build: Callable[[], Any], layers: Sequence[str] = ("**",)) -> TorchModel:
    return model_of(build, layers, example=images(1).load(0))


def arrays(found: dict[str, Activations]) -> dict[str, np.ndarray]:
    return {layer: activations.array() for layer, activations in found.items()}


@pytest.mark.parametrize("build", [Residual, Dense])
def test_one_layer_at_a_time_is_all_layers_at_once(build: Callable[[], Any]) -> None:
    with with_calls(build) as model:
        together = arrays(activations_in_memory(model, images(), model.layers))
        for layer in model.layers:
            [alone] = arrays(activations_in_memory(model, images(), [layer])).values()
            np.testing.assert_array_equal(alone, together[layer], err_msg=layer)


def test_a_layer_before_an_in_place_operation_keeps_its_values() -> None:
    with with_calls(Residual) as model:
        found = arrays(activations_in_memory(model, images(), model.layers))
        expected = model.module.bn1(model.module.conv1(pixels(images().batch(range(7))))).detach().numpy()
    assert found["bn1"].min() < -0.1
    np.testing.assert_allclose(found["bn1"], expected.reshape(7, -1), atol=1e-6)
    np.testing.assert_array_equal(found["relu#0"], np.maximum(found["bn1"], 0))


def test_a_module_that_runs_twice_is_two_layers() -> None:
    with with_calls(Residual) as model:
        assert model.find("relu*") == ["relu#0", "relu#1"]
        assert model.layers.count("conv1") == 1
        found = arrays(activations_in_memory(model, images(), ["relu#0", "relu#1"]))
        assert np.abs(found["relu#0"] - found["relu#1"]).max() > 0.01
        with pytest.raises(LayerError, match=r"'relu' runs 2 times.*relu#0, relu#1"):
            activations_in_memory(model, images(), ["relu"])
        with pytest.raises(LayerError, match="runs 2 times, so that there is no 'relu#2'"):
            activations_in_memory(model, images(), ["relu#2"])


def test_batches_and_their_order_do_not_matter() -> None:
    with with_calls(Residual) as model:
        whole = arrays(activations_in_memory(model, images(), model.layers, batch_size=7))
        single = arrays(activations_in_memory(model, images(), model.layers, batch_size=1))
        for layer in model.layers:
            np.testing.assert_allclose(whole[layer], single[layer], atol=1e-6)


def test_patterns_stay_inside_one_segment() -> None:
    with with_calls(Dense) as model:
        assert model.find("blocks.*") == ["blocks.0", "blocks.1", "blocks.2"]
        assert model.find("*") == ["stem"]
        assert model.find("nothing") == []
    with with_calls(Residual) as model:
        assert model.find("head.*") == ["head.0", "head.1", "head.2"]
        assert model.find("head") == ["head"]


def test_items_of_outputs_and_axes_of_any_order() -> None:
    axes = {"rnn[0]": ("time", "batch", "unit"), "rnn[1][0]": ("direction", "batch", "unit")}
    layers = ["rnn[0]", "rnn[1][0]"]
    with model_of(Recurrent, layers, preprocess=waves, axes=axes) as model:
        found = arrays(activations_in_memory(model, sounds((40, 40)), layers, reduction="time-mean"))
        last = arrays(activations_in_memory(model, sounds((40, 40)), layers, reduction="time-last"))
    assert found["rnn[0]"].shape == (2, 5)
    np.testing.assert_allclose(last["rnn[0]"], last["rnn[1][0]"], atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "words"),
    [("rnn[2]", "no item '2'"), ("rnn[1]", "tuple of 2; say which"), ("rnn[0][x]", "no item 'x'")],
)
def test_outputs_without_one_tensor_are_refused(layer: str, words: str) -> None:
    with model_of(Recurrent, [layer], preprocess=waves) as model, pytest.raises(LayerError, match=words):
        activations_in_memory(model, sounds((40, 40)), [layer])


def test_sounds_of_other_lengths_do_not_share_a_batch() -> None:
    axes = {"rnn[0]": ("time", "batch", "unit")}
    with model_of(Recurrent, ["rnn[0]"], preprocess=waves, axes=axes) as model:
        together = arrays(activations_in_memory(model, sounds(), ["rnn[0]"], reduction="time-mean"))["rnn[0]"]
        for number, name in enumerate(sounds().ids):
            one = StimulusSet("one", "audio", {name: sounds().load(number)})
            [alone] = arrays(activations_in_memory(model, one, ["rnn[0]"], reduction="time-mean")).values()
            np.testing.assert_allclose(together[number], alone[0], atol=1e-6)


def test_valid_lengths_of_a_padded_batch() -> None:
    class Padded(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Conv1d(1, 2, 1)

        def forward(self, values: Any, lengths: Any) -> Any:
            del lengths
            return self.scale(values[:, None])

    def padded(batch: Any) -> dict[str, Any]:
        rows = [torch.from_numpy(stimulus.array) for stimulus in batch]
        lengths = [len(row) for row in rows]
        return {
            "values": torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=9.0),
            "lengths": lengths,
        }

    recipe = {
        "preprocess": padded, "batching": "any", "axes": {"scale": ("channel", "time")},
        "lengths": lambda fed, *_: fed["lengths"],
    }  # fmt: skip
    with model_of(Padded, ["scale"], **recipe) as model:
        [found] = arrays(activations_in_memory(model, sounds(), ["scale"], reduction="time-mean")).values()
        weight, bias = (item.detach().numpy() for item in model.module.scale.parameters())
    expected = [weight[:, 0, 0] * sounds().load(place).array.mean() + bias for place in range(3)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_out_of_memory_halves_the_batch() -> None:
    class Greedy(Residual):
        def forward(self, batch: Any) -> Any:
            if len(batch) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(batch)

    with model_of(Greedy, ["conv1"]) as model, model_of(Residual, ["conv1"]) as plain:
        [found] = arrays(activations_in_memory(model, images(), ["conv1"])).values()
        [expected] = arrays(activations_in_memory(plain, images(), ["conv1"])).values()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_nothing_stays_in_training_mode() -> None:
    class Stubborn(torch.nn.Dropout):
        def train(self, mode: bool = True) -> Any:
            del mode
            return super().train(True)

    with pytest.raises(PluginError, match="still in training mode: 0"):
        model_of(lambda: torch.nn.Sequential(Stubborn()), ["0"])


def test_no_hook_stays_after_a_failure_and_memory_is_freed() -> None:
    with model_of(Residual, ["conv1"]) as model:
        with pytest.raises(LayerError):
            activations_in_memory(model, images(), ["relu"])
        assert not model.module.relu._forward_hooks
        alive = weakref.ref(model.module)
    gc.collect()
    assert alive() is None


def test_half_precision() -> None:
    recipe = TorchRecipe(build=Residual, preprocess=pixels, layers=["bn1"])
    with TorchModel(recipe, RANDOM, dtype="bfloat16") as half, TorchModel(recipe, RANDOM) as full:
        [rough] = arrays(activations_in_memory(half, images(), ["bn1"])).values()
        [fine] = arrays(activations_in_memory(full, images(), ["bn1"])).values()
    assert rough.dtype == np.float32
    assert 1e-6 < np.abs(rough - fine).max() < 0.05


def test_layers_that_do_not_exist_are_named() -> None:
    with pytest.raises(LayerError, match=r"Residual has no module 'layer1'; it has .*conv1"):
        model_of(Residual, ["layer1"])


def test_building_disturbs_no_other_generator() -> None:
    def build() -> Any:
        random.random()
        np.random.rand()
        return Residual()

    torch.manual_seed(5)
    expected = torch.rand(3), random.getstate(), np.random.get_state()[1].tolist()
    torch.manual_seed(5)
    model_of(build, ["conv1"]).close()
    assert torch.equal(torch.rand(3), expected[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == expected[1:]
