"""A user's function becomes a model."""

from __future__ import annotations

import numpy as np
import pytest

from isocortex.errors import PluginError, UsageError
from isocortex.extraction import activations_in_memory
from isocortex.manifest import Variant
from isocortex.stimuli import Stimulus, StimulusSet
from isocortex.wrapping import wrap


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
    activations_in_memory(load(model), sounds({"a": 800}, channels=2), ["output"])
    assert seen == [(1, 1600)]


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


def test_digest_is_the_users() -> None:
    fixed = Variant.parse("fixed")
    assert wrap(len, modality="image").digest(fixed) is None
    assert wrap(len, modality="image", digest="v1").digest(fixed) == "v1"
