"""A user's function becomes a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isocortex.catalogue.cards import Variant
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import PluginError, UsageError
from isocortex.extraction.extractor import activations_in_memory, extract
from isocortex.extraction.hearing import heard
from isocortex.models.wrap import wrap


def sounds(lengths: dict[str, int], rate: float = 8000.0, channels: int = 0) -> StimulusSet:
    """Sounds of given lengths, each of one constant value."""
    shapes = {name: (length, channels) if channels else (length,) for name, length in lengths.items()}
    return StimulusSet(
        "sounds",
        "audio",
        {
            name: Stimulus(name, "audio", np.full(shape, 0.1 * number, dtype=np.float32), rate)
            for number, (name, shape) in enumerate(shapes.items(), start=1)
        },
    )


def load(model):
    """The loaded model of a wrapped function."""
    return model.load(Variant.parse("fixed"), device="cpu")


def test_stimuli_of_equal_length_come_together() -> None:
    shapes: list[tuple[int, ...]] = []

    def mean(batch: np.ndarray) -> np.ndarray:
        shapes.append(batch.shape)
        return batch.mean(axis=1)

    stimuli = sounds({"a": 80, "b": 40, "c": 80})
    found = activations_in_memory(load(wrap(mean, modality="audio", sample_rate=8000)), stimuli, ["output"])
    assert sorted(shapes) == [(1, 40), (2, 80)]
    np.testing.assert_allclose(found["output"].array(["a", "b", "c"])[:, 0], [0.1, 0.2, 0.3], rtol=1e-6)


def test_sounds_are_mono_and_resampled() -> None:
    seen: list[tuple[int, ...]] = []
    model = wrap(lambda batch: seen.append(batch.shape) or batch[:, :3], modality="audio", sample_rate=16000)
    stereo = sounds({"a": 800}, channels=2)
    activations_in_memory(load(model), heard(stereo, model.card), ["output"])
    assert seen == [(1, 1600)]
    with pytest.raises(PluginError, match=r"takes sounds at 16000 Hz; found 'a' at 8000 Hz.*isocortex\.extract"):
        activations_in_memory(load(model), stereo, ["output"])


def test_named_axes_are_reduced() -> None:
    model = wrap(
        lambda batch: {"frames": batch.reshape(len(batch), 1, -1)},
        modality="audio",
        sample_rate=8000,
        axes=("channel", "time"),
        layers=["frames"],
    )
    found = activations_in_memory(load(model), sounds({"a": 80, "b": 40}), ["frames"], reduction="time-mean")
    np.testing.assert_allclose(found["frames"].array(), [[0.1], [0.2]], rtol=1e-6)


def test_a_layer_that_is_not_returned() -> None:
    model = wrap(lambda batch: {"one": batch}, modality="audio", sample_rate=8000, layers=["two"])
    with pytest.raises(PluginError, match=r"returned the layers \['one'\]; expected 'two'"):
        activations_in_memory(load(model), sounds({"a": 8}), ["two"])


def test_rows_that_are_missing() -> None:
    model = wrap(lambda batch: batch[:1, :2], modality="audio", sample_rate=8000)
    with pytest.raises(PluginError, match="gave 1 rows for a batch of 2"):
        activations_in_memory(load(model), sounds({"a": 8, "b": 8}), ["output"])


def test_audio_needs_a_rate() -> None:
    with pytest.raises(UsageError, match="sample_rate"):
        wrap(lambda batch: batch, modality="audio")


def test_units_have_names(tmp_path: Path) -> None:
    def levels(batch: np.ndarray) -> dict[str, np.ndarray]:
        return {"category": batch[:, :2], "other": batch}

    model = wrap(levels, modality="audio", sample_rate=8000, layers={"category": ["speech", "music"]})
    assert model.card.layers == ("category",)
    stimuli = sounds({"a": 40, "b": 40})
    found = extract(load(model), stimuli, ["category"], reduction="flatten", folder=tmp_path)
    assert found["category"].units == ("speech", "music")
    short = wrap(levels, modality="audio", sample_rate=8000, layers={"category": ["speech"]}, axes=("channel",))
    with pytest.raises(PluginError, match="'category' has 2 units, but 1 names"):
        activations_in_memory(load(short), stimuli, ["category"])


# --- torch modules ----------------------------------------------------------------------------------------------------


def test_a_module_runs_as_a_copy_in_evaluation_mode() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(40, 3), torch.nn.Dropout(0.9)).double()
    model = wrap(module, modality="audio", sample_rate=8000, layers=["1", "2"], name="net")
    assert (model.card.id, model.card.layers) == ("net", ("1", "2"))
    stimuli = sounds({"a": 40, "b": 40})
    with load(model) as loaded:
        found = activations_in_memory(loaded, stimuli, ["1", "2"])
    assert module.training
    assert module[1].weight.dtype == torch.float64
    inputs = torch.tensor([[0.1], [0.2]], dtype=torch.float64).expand(2, 40)
    expected = module[1](inputs).detach().numpy()
    np.testing.assert_allclose(found["1"].array(["a", "b"]), expected, atol=1e-6)
    np.testing.assert_array_equal(found["2"].array(), found["1"].array())


def test_units_of_a_module_have_names() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(40, 2), torch.nn.ReLU())
    model = wrap(module, modality="audio", sample_rate=8000, layers={"1": ("speech", "music")})
    assert model.accelerated
    with load(model) as loaded:
        assert activations_in_memory(loaded, sounds({"a": 40}), ["1"])["1"].units == ("speech", "music")


def test_images_come_as_channels_unless_preprocess_does_otherwise() -> None:
    torch = pytest.importorskip("torch")
    pixels = np.random.default_rng(0).integers(0, 255, (5, 6, 3), dtype=np.uint8)
    stimuli = StimulusSet("images", "image", {"i": Stimulus("i", "image", pixels)})
    same = torch.nn.Sequential(torch.nn.Identity())
    with load(wrap(same, modality="image", layers=["0"])) as plain:
        [found] = activations_in_memory(plain, stimuli, ["0"]).values()
    np.testing.assert_allclose(found.array()[0], (pixels.transpose(2, 0, 1) / 255).ravel(), rtol=1e-6)
    grey = wrap(
        same, modality="image", layers=["0"], preprocess=lambda batch: batch.mean(axis=3), axes=("height", "width")
    )
    with load(grey) as loaded:
        [found] = activations_in_memory(loaded, stimuli, ["0"], reduction="spatial-mean").values()
    assert found.array().item() == pytest.approx(pixels.mean(), rel=1e-6)


def test_a_module_needs_layers_and_a_function_no_preprocess() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(UsageError, match="needs layers="):
        wrap(torch.nn.Identity(), modality="image")
    with pytest.raises(UsageError, match="preprocess= for torch modules"):
        wrap(np.mean, modality="image", preprocess=np.mean)
