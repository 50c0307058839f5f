"""The model: windows end to end, one by one as together, and no silence of a short sound among the valid steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import isocortex
from isocortex.activations import reduce_output
from isocortex.data import Stimulus, StimulusSet
from isocortex.errors import DataError
from isocortex_yamnet.front_end import patches

LAYERS = ("layer1", "layer2.depthwise", "layer7", "layer13", "pool", "logits")


def sounds(*n_samples: int, rate: float = 16_000.0) -> StimulusSet:
    """Noises of these lengths."""
    generator = np.random.default_rng(1)
    made = [generator.uniform(-0.3, 0.3, length).astype(np.float32) for length in n_samples]
    return StimulusSet(
        "noises", "audio", [(f"s{place}", Stimulus("", "audio", sound, rate)) for place, sound in enumerate(made)]
    )


def run(stimuli: StimulusSet, layers: Any = LAYERS) -> tuple[Any, dict[str, Any]]:
    """The network, and what its layers give for all stimuli at once."""
    found: dict[str, Any] = {}
    with isocortex.load_model("yamnet@random:0") as model:
        network = model.module
        model.run(stimuli.batch(range(len(stimuli))), layers, lambda layer, output: found.update({layer: output}))
    return network, found


def test_windows_lie_end_to_end_along_time() -> None:
    stimuli = sounds(32_000, 32_000)
    network, found = run(stimuli)
    for place, stimulus in enumerate(stimuli):
        windows = [torch.from_numpy(patch[None]) for patch in patches(stimulus.array.astype(float))[0]]
        assert len(windows) == 3
        with torch.inference_mode():
            first = torch.cat([network.layer1(window) for window in windows], dim=2)
            logits = torch.cat([network(window) for window in windows])
        torch.testing.assert_close(found["layer1"].array[place], first[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(found["logits"].array[place], logits, rtol=1e-4, atol=1e-4)
    shapes = {layer: (tuple(output.array.shape), output.axes) for layer, output in found.items()}
    maps = ("channel", "time", "frequency")
    assert shapes == {
        "layer1": ((2, 32, 144, 32), maps),
        "layer2.depthwise": ((2, 32, 144, 32), maps),
        "layer7": ((2, 512, 18, 4), maps),
        "layer13": ((2, 1024, 9, 2), maps),
        "pool": ((2, 3, 1024), ("time", "unit")),
        "logits": ((2, 3, 521), ("time", "unit")),
    }
    assert all(output.lengths is None for output in found.values())


def test_only_steps_that_hold_sound_are_valid_in_a_short_sound() -> None:
    _, found = run(sounds(8_000, 8_000))
    assert found["layer1"].lengths == [25, 25]  # 50 of 96 frames, two to a step
    assert found["layer7"].lengths == [4, 4]
    assert found["layer13"].lengths == [2, 2]
    assert found["pool"].lengths is None
    silent = found["layer1"].array[:, :, 27:-1]
    assert float(silent.std(dim=2).max()) < 1e-5, "the padding gives the same at every step but the last, at the edge"
    mean = reduce_output(found["layer1"], "time-mean", "layer1")
    expected = found["layer1"].array[:, :, :25].mean(2).flatten(1)
    np.testing.assert_allclose(mean, expected, atol=1e-5)


def test_two_convolutions_of_a_block_can_be_named() -> None:
    with isocortex.load_model("yamnet@random:0") as model:
        assert len(model.find("layer*.*")) == 26
        assert model.find("layer*") == [f"layer{number}" for number in range(1, 15)]
        assert model.find("layer14.pointwise") == ["layer14.pointwise"]


def test_a_sound_that_cannot_be_used_is_named() -> None:
    stimuli = StimulusSet("bad", "audio", {"quiet": Stimulus("", "audio", np.zeros(100, dtype=np.float32), None)})
    with pytest.raises(DataError, match="Stimulus 'quiet': Expected a sound with its sampling rate"):
        run(stimuli)


def test_digital_silence_is_finite() -> None:
    silence = Stimulus("", "audio", np.zeros(32_000, dtype=np.float32), 16_000.0)
    _, found = run(StimulusSet("silence", "audio", {"silence": silence}))
    assert all(bool(torch.isfinite(output.array).all()) for output in found.values())
