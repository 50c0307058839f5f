from __future__ import annotations

import contextlib
import gc
import random
import weakref
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isocortex.activations.layer import Activations
from isocortex.catalogue.cards import Variant
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import LayerError, PluginError, SettingsError
from isocortex.extraction.extractor import activations_in_memory, extract

torch = pytest.importorskip("torch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from isocortex.models.torch_model import TorchModel, TorchRecipe, first_tensor  # noqa: E402

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


class Transformer(torch.nn.Module):
    """torch's own encoder, which skips its sub-modules where it can."""

    def __init__(self) -> None:
        super().__init__()
        layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = torch.nn.TransformerEncoder(layer, 3)
        self.head = torch.nn.Linear(8, 2)

    def forward(self, sounds: Any) -> Any:
        return self.head(self.encoder(sounds.unflatten(1, (-1, 8))))


class Output(OrderedDict):
    """As in transformers: items by name and by place."""

    def __getitem__(self, key: Any) -> Any:
        return list(self.values())[key] if isinstance(key, int) else super().__getitem__(key)


Pair = namedtuple("Pair", ["values", "state"])


@dataclass
class Found:
    """An output with attributes alone."""

    values: Any
    states: Any
    loss: None = None


class Gives(torch.nn.Module):
    """Gives its input twice, in a container."""

    def __init__(self, container: Callable[[Any], Any]) -> None:
        super().__init__()
        self.inner = _Container(container)

    def forward(self, sounds: Any) -> Any:
        return self.inner(sounds)


class _Container(torch.nn.Module):
    def __init__(self, container: Callable[[Any], Any]) -> None:
        super().__init__()
        self.container = container

    def forward(self, sounds: Any) -> Any:
        return self.container(sounds)


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


def test_patterns_over_an_encoder_find_its_layers_and_not_their_parts() -> None:
    with model_of(Transformer, ["encoder.layers.*", "head"], preprocess=waves) as model:
        assert model.layers == ["encoder.layers.0", "encoder.layers.1", "encoder.layers.2", "head"]
        assert model.find("encoder.layers.*") == model.layers[:3]
        assert model.find("encoder.*") == ["encoder.layers"]
        assert "encoder.layers.0.linear1" in model.find("encoder.layers.**")
        assert model.find("encoder.layers.*.linear?") == [
            f"encoder.layers.{number}.linear{part}" for number in range(3) for part in (1, 2)
        ]
        assert model.find("**.out_proj") == [f"encoder.layers.{number}.self_attn.out_proj" for number in range(3)]


def test_fused_layers_do_not_hide_their_parts_or_depend_on_what_is_asked_for() -> None:
    stimuli = sounds((40, 40))
    layers = ["encoder.layers.0", "encoder.layers.0.linear1", "encoder.layers.2", "encoder", "head"]
    with model_of(Transformer, layers, preprocess=waves) as model:
        together = arrays(activations_in_memory(model, stimuli, layers))
        for layer in layers:
            [alone] = arrays(activations_in_memory(model, stimuli, [layer])).values()
            np.testing.assert_array_equal(alone, together[layer], err_msg=layer)
        with torch.no_grad():
            expected = model.module(waves(stimuli.batch([0, 1])))
    assert torch.backends.mha.get_fastpath_enabled(), "put back"
    np.testing.assert_allclose(together["head"], expected.reshape(2, -1), atol=1e-6)


@pytest.mark.parametrize(
    ("container", "layer"),
    [
        (lambda x: (x, 2 * x), "inner[1]"),
        (lambda x: [x, 2 * x], "inner[-1]"),
        (lambda x: {"hidden": x, "state": 2 * x}, "inner[state]"),
        (lambda x: {"hidden": x, "state": 2 * x}, "inner[1]"),
        (lambda x: {0: x, 1: 2 * x}, "inner[1]"),
        (lambda x: Output(hidden=x, state=2 * x), "inner[state]"),
        (lambda x: Output(hidden=x, states=(x, 2 * x)), "inner[states][1]"),
        (lambda x: Output(hidden=x, states=(x, 2 * x)), "inner[1][-1]"),
        (lambda x: Pair(x, 2 * x), "inner[state]"),
        (lambda x: Pair(x, 2 * x), "inner[1]"),
        (lambda x: Found(x, {"a": (x, {"b": 2 * x})}), "inner[states][a][1][b]"),
        (lambda x: {"state": 2 * x, "loss": None}, "inner"),
        (lambda x: Found(2 * x, None), "inner"),
        (lambda x: [2 * x], "inner"),
    ],
)
def test_items_by_name_and_by_place(container: Callable[[Any], Any], layer: str) -> None:
    stimuli = sounds((8, 8))
    with model_of(lambda: Gives(container), [layer], preprocess=waves) as model:
        [found] = arrays(activations_in_memory(model, stimuli, [layer])).values()
    np.testing.assert_array_equal(found, 2 * waves(stimuli.batch([0, 1])).numpy())


@pytest.mark.parametrize(
    ("container", "layer", "words"),
    [
        (
            lambda x: Output(hidden=x, state=x),
            "inner[nothing]",
            "a Output with hidden, state; it has no item 'nothing'",
        ),
        (lambda x: Output(hidden=x, state=x), "inner", r"with hidden, state; say which .* 'inner\[hidden\]'"),
        (lambda x: Pair(x, x), "inner[2]", "a Pair with values, state; it has no item '2'"),
        (lambda x: Found(x, (x, x)), "inner[states][4]", "tuple of 2; it has no item '4'"),
        (lambda x: Found(x, (x, x)), "inner[state]", "a Found with values, states, loss; it has no item 'state'"),
        (lambda x: (None, "text", x[0, 0].item()), "inner", "tuple of 3; say which"),
        (lambda x: None, "inner", "is NoneType; expected a tensor"),  # noqa: ARG005
    ],
)
def test_items_that_are_not_there_name_what_there_is(container: Callable[[Any], Any], layer: str, words: str) -> None:
    with model_of(lambda: Gives(container), [layer], preprocess=waves) as model, pytest.raises(LayerError, match=words):
        activations_in_memory(model, sounds((8,)), [layer])


@pytest.mark.parametrize(
    "container", [lambda x: x, lambda x: (x, 2 * x), lambda x: Output(loss=None, hidden=x, s=2 * x)]
)
def test_a_layer_keeps_its_name_where_a_library_gives_a_tensor_or_a_tuple(container: Callable[[Any], Any]) -> None:
    stimuli = sounds((8, 8))
    with model_of(lambda: Gives(container), ["inner"], preprocess=waves, output=first_tensor) as model:
        [found] = arrays(activations_in_memory(model, stimuli, ["inner"])).values()
        np.testing.assert_array_equal(found, waves(stimuli.batch([0, 1])).numpy())
        if container(1) != 1:
            [second] = arrays(activations_in_memory(model, stimuli, ["inner[-1]"])).values()
            np.testing.assert_array_equal(second, 2 * found)
    with pytest.raises(LayerError, match="'inner' is tuple of 2, without a tensor"):
        first_tensor("inner", (1, 2))


def test_whole_numbers_are_averaged_and_complex_ones_refused() -> None:
    axes = {"inner": ("time",)}
    with model_of(lambda: Gives(lambda x: (10 * x).long()), ["inner"], preprocess=waves, axes=axes) as model:
        [found] = arrays(activations_in_memory(model, sounds((8,)), ["inner"], reduction="time-mean")).values()
    assert found.item() == pytest.approx(np.trunc(10 * sounds((8,)).load(0).array).mean(), rel=1e-6)
    complex_model = model_of(lambda: Gives(torch.fft.fft), ["inner"], preprocess=waves)
    with complex_model as model, pytest.raises(PluginError, match="'inner' gave complex numbers"):
        activations_in_memory(model, sounds((8,)), ["inner"])


def test_names_of_units() -> None:
    units = {"head": ["cat", "dog", "tree", "car"]}
    with model_of(Residual, ["head", "conv1"], units=units) as model:
        found = activations_in_memory(model, images(), ["head", "conv1"])
        assert (found["head"].units, found["conv1"].units) == (("cat", "dog", "tree", "car"), None)
        mixed = activations_in_memory(model, images(), ["head"], reduction="projection-2")
        assert mixed["head"].units is None
        mixed = activations_in_memory(model, images(), ["head"], reduction="srp-4")
        assert mixed["head"].units is None
    short = model_of(Residual, ["head"], units={"head": ["cat"]})
    with short as model, pytest.raises(PluginError, match="'head' has 4 units, but 1 names"):
        activations_in_memory(model, images(), ["head"])


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
    [
        ("rnn[2]", "tuple of 2; it has no item '2'"),
        ("rnn[1]", r"tuple of 2; say which item is meant, as in 'rnn\[1\]\[0\]'"),
        ("rnn[0][x]", "tensor already; it has no item 'x'"),
    ],
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


def test_a_batch_that_was_too_large_is_not_tried_again(tmp_path: Path) -> None:
    tried: list[int] = []

    class Greedy(Residual):
        def forward(self, batch: Any) -> Any:
            tried.append(len(batch))
            found = super().forward(batch)  # what was emitted before the failure is overwritten
            if len(batch) > 4:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return found

    stimuli = images(40)
    with model_of(Greedy, ["conv1", "head"]) as model, model_of(Residual, ["conv1", "head"]) as plain:
        found = arrays(extract(model, stimuli, model.layers, reduction="flatten", folder=tmp_path))
        expected = arrays(activations_in_memory(plain, stimuli, plain.layers, batch_size=4))
    for layer, values in expected.items():
        np.testing.assert_array_equal(found[layer], values)
    assert tried == [1, 1, 1, 16, 8, *[4] * 8, *[4] * 2]


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


@pytest.mark.parametrize("fails", [False, True])
def test_module_and_weights_are_gone_after_use(tmp_path: Path, fails: bool) -> None:
    """Also where the error of a failed run went through; what was found stays."""

    class Failing(Residual):
        def forward(self, batch: Any) -> Any:
            found = super().forward(batch)
            if fails:
                raise ValueError("broken")
            return found

    alive: list[Any] = []

    def use() -> Any:
        with model_of(Failing, ["conv1"]) as model:
            alive.extend(weakref.ref(item) for item in (model.module, *model.module.parameters()))
            return extract(model, images(), ["conv1"], reduction="spatial-mean", folder=tmp_path)

    found = None
    with contextlib.suppress(ValueError):
        found = use()
    gc.collect()
    assert [item() for item in alive] == [None] * len(alive)
    assert (found is None) == fails
    assert fails or found["conv1"].array().shape == (7, 4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("reduction", ["flatten", "spatial-mean", "projection-20"])
def test_half_precision(dtype: str, reduction: str) -> None:
    """Half the weights and activations; what is reduced is added up in single precision."""
    recipe = TorchRecipe(build=Residual, preprocess=pixels, layers=["bn1"])
    with TorchModel(recipe, RANDOM, dtype=dtype) as half, TorchModel(recipe, RANDOM) as full:
        assert {item.dtype for item in half.module.parameters()} == {getattr(torch, dtype)}
        [rough] = arrays(activations_in_memory(half, images(), ["bn1"], reduction=reduction)).values()
        [fine] = arrays(activations_in_memory(full, images(), ["bn1"], reduction=reduction)).values()
        [whole] = arrays(activations_in_memory(half, images(), ["bn1"])).values()
    assert rough.dtype == np.float32
    assert 1e-6 < np.abs(rough - fine).max() < 0.2
    if reduction == "spatial-mean":
        exact = whole.reshape(7, 4, -1).mean(axis=2, dtype=np.float64)
        np.testing.assert_allclose(rough, exact, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float8", "int8", "half a byte"])
def test_other_precisions_are_refused(dtype: str) -> None:
    with pytest.raises(SettingsError, match=f"among float32, bfloat16, float16, float64; found '{dtype}'"):
        TorchModel(TorchRecipe(build=Residual, preprocess=pixels, layers=["bn1"]), RANDOM, dtype=dtype)


class NoDouble(TorchDispatchMode):
    """A device without double precision, as MPS is: no operation may give a float64 tensor."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        found = func(*args, **kwargs or {})
        doubles = [item for item in (found if isinstance(found, tuple) else (found,)) if _is_double(item)]
        assert not doubles, f"{func} gave a float64 tensor"
        return found


def _is_double(item: Any) -> bool:
    return isinstance(item, torch.Tensor) and item.dtype == torch.float64


@pytest.mark.parametrize(
    "reduction",
    ["flatten", "time-mean", "time-max", "time-first", "time-last", "spatial-mean", "time-mean+projection-2"],
)
def test_nothing_is_in_double_precision_on_the_device(reduction: str) -> None:
    """Stimuli that a plugin prepares in float64, padded, through every reduction."""

    class Film(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv1d(1, 6, 3, padding=1)
            self.shape = torch.nn.Unflatten(1, (3, 2, 1))

        def forward(self, values: Any, lengths: Any) -> Any:
            del lengths
            return self.shape(self.conv(values[:, None]))

    stimuli = sounds((40, 40, 40) if "time" not in reduction else (40, 60, 40))

    def padded(batch: Any) -> dict[str, Any]:
        lengths = [len(stimulus.array) for stimulus in batch]
        values = np.zeros((len(batch), max(lengths)))
        for row, stimulus in zip(values, batch, strict=True):
            row[: len(stimulus.array)] = stimulus.array
        return {"values": values, "lengths": lengths}

    more = {
        "preprocess": padded, "batching": "any", "lengths": lambda fed, *_: fed["lengths"],
        "axes": {"shape": ("channel", "height", "width", "time")},
    }  # fmt: skip
    with model_of(Film, ["shape"], **more) as model, NoDouble():
        [found] = arrays(activations_in_memory(model, stimuli, ["shape"], reduction=reduction)).values()
    assert np.isfinite(found).all()
    with pytest.raises(AssertionError, match="float64"), NoDouble():
        torch.ones(2, dtype=torch.float64) + 1


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
