"""The network: against loops, against the file's shapes, and against what TensorFlow Lite's own runtime gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from isocortex_yamnet.front_end import PATCH_SAMPLES
from isocortex_yamnet.network import ConvRelu, Yamnet

#: mean and maximum of each layer for one window of ``sound``, from LiteRT 2.3.0 (ai-edge-litert, CPU, float32): the
#: operators and constants of the file as a flatbuffer, 8-bit weights restored, the three matrices of the front end
#: in full precision
LITERT = {
    "layer1": (0.7760758, 12.3788),
    "layer2": (0.5817457, 12.82825),
    "layer3": (0.6368397, 10.56369),
    "layer4": (0.6495019, 11.73639),
    "layer5": (0.6542509, 14.20666),
    "layer6": (0.5872139, 9.100496),
    "layer7": (0.5012793, 10.2413),
    "layer8": (0.4669299, 6.604805),
    "layer9": (0.396593, 5.142356),
    "layer10": (0.34559, 4.309698),
    "layer11": (0.07946733, 1.270534),
    "layer12": (0.02493691, 0.6602134),
    "layer13": (0.04113733, 1.5278),
    "layer14": (0.1119048, 5.862175),
    "pool": (0.1119048, 5.141663),
    "logits": (-31.69713, -0.495031),
}
#: its five largest logits
LITERT_BEST = {153: -0.495031, 147: -1.415395, 133: -2.461939, 132: -3.394958, 498: -3.507439}


def sound() -> np.ndarray:
    """One window at 16 kHz: a modulated sweep, a tone with an onset, and frequency modulation."""
    time_s = np.arange(PATCH_SAMPLES) / 16_000
    sweep = np.sin(2 * np.pi * (150 * time_s + 900 * time_s**2)) * (1 + np.sin(2 * np.pi * 4 * time_s)) / 2
    tone = np.sin(2 * np.pi * 440 * time_s) * (time_s > 0.3)
    modulated = np.sin(2 * np.pi * 3000 * time_s + 5 * np.sin(2 * np.pi * 60 * time_s))
    return 0.25 * sweep + 0.1 * tone + 0.02 * modulated


def by_loops(maps: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, groups: int) -> np.ndarray:
    """A rectified convolution with padding "same", one output at a time; what lies outside the map is 0."""
    n_out, n_in, kernel, _ = weight.shape
    sizes = [-(-size // stride) for size in maps.shape[1:]]
    before = [
        max(0, (found - 1) * stride + kernel - size) // 2 for found, size in zip(sizes, maps.shape[1:], strict=True)
    ]
    found = np.zeros((n_out, *sizes))
    for channel, row, column in np.ndindex(*found.shape):
        total = float(bias[channel])
        for source, down, right in np.ndindex(n_in, kernel, kernel):
            y, x = row * stride + down - before[0], column * stride + right - before[1]
            if 0 <= y < maps.shape[1] and 0 <= x < maps.shape[2]:
                group = channel // (n_out // groups)
                total += weight[channel, source, down, right] * maps[group * n_in + source, y, x]
        found[channel, row, column] = max(0.0, total)
    return found


@pytest.mark.parametrize("shape", [(6, 4), (5, 7), (3, 2)])
@pytest.mark.parametrize(
    ("n_in", "n_out", "kernel", "stride", "groups"),
    [(1, 3, 3, 2, 1), (4, 4, 3, 1, 4), (4, 4, 3, 2, 4), (4, 5, 1, 1, 1)],
)
def test_convolutions_are_the_loops_that_define_them(
    shape: tuple[int, int], n_in: int, n_out: int, kernel: int, stride: int, groups: int
) -> None:
    torch.manual_seed(0)
    layer = ConvRelu(n_in, n_out, kernel, stride=stride, groups=groups).double()
    maps = torch.randn(1, n_in, *shape, dtype=torch.float64)
    expected = by_loops(maps[0].numpy(), layer.weight.detach().numpy(), layer.bias.detach().numpy(), stride, groups)
    assert (expected == 0).any() or expected.size < 20
    with torch.no_grad():
        np.testing.assert_allclose(layer(maps)[0], expected, atol=1e-12)


def test_untrained_weights_are_he_normal_and_biases_zero() -> None:
    torch.manual_seed(3)
    network = Yamnet()
    assert sum(tensor.numel() for tensor in network.parameters()) == 3_729_481
    for name, module in network.named_modules():
        if not isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            continue
        assert not module.bias.any(), name
        fan_in = module.weight[0].numel()
        weight = module.weight.detach() * (fan_in / 2) ** 0.5  # standard normal
        n_values = weight.numel()
        assert abs(weight.mean()) < 5 / n_values**0.5, name
        assert abs(weight.std() - 1) < 5 / (2 * n_values) ** 0.5, name


def test_every_map_has_the_shape_that_the_file_says(weights: Path) -> None:
    ops = json.loads((weights / "yamnet.json").read_text())["ops"]
    found: dict[str, list[int]] = {}
    network = Yamnet()
    for name, module in network.named_modules():
        if isinstance(module, ConvRelu):
            module.register_forward_hook(lambda _, __, output, name=name: found.update({name: list(output.shape)}))
    with torch.inference_mode():
        network(torch.zeros(1, 1, 96, 64))
    assert len(found) == 27
    stored = [op["out_shape"] for op in ops if op["op"].endswith("CONV_2D")]
    assert [[1, *place, channels] for _, channels, *place in found.values()] == stored


def test_every_layer_is_what_tensorflow_lite_gives(weights: Path) -> None:
    """The whole way from the waveform; on 21 real sounds all activations agreed within 6e-5 of each layer's maximum."""
    import isocortex
    from isocortex.data import Stimulus, StimulusSet

    stimuli = StimulusSet("one", "audio", {"one": Stimulus("one", "audio", sound().astype(np.float32), 16_000.0)})
    found: dict[str, np.ndarray] = {}
    with isocortex.load_model(f"yamnet@file:{weights}") as model:
        model.run(stimuli.batch([0]), [*LITERT], lambda layer, output: found.update({layer: np.asarray(output.array)}))
    for layer, (mean, largest) in LITERT.items():
        np.testing.assert_allclose([found[layer].mean(), found[layer].max()], [mean, largest], rtol=2e-4, err_msg=layer)
    logits = found["logits"].ravel()
    assert list(np.argsort(-logits)[:5]) == list(LITERT_BEST)
    np.testing.assert_allclose(logits[list(LITERT_BEST)], list(LITERT_BEST.values()), atol=2e-3)
