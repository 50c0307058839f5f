"""CochResNet50 against torchvision's ResNet-50 with one input channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from isocortex_cochnets.cochresnet50 import CochResNet50  # noqa: E402

pytestmark = pytest.mark.xdist_group("cochresnet50")

#: shapes for a cochleagram of 211 × 390, from the published network
SHAPES = {
    "conv1_relu1": (64, 106, 195),
    "maxpool1": (64, 53, 98),
    "layer1": (256, 53, 98),
    "layer2": (512, 27, 49),
    "layer3": (1024, 14, 25),
    "layer4": (2048, 7, 13),
    "avgpool": (2048, 1, 1),
}


@pytest.fixture(scope="module")
def network() -> Any:
    torch.manual_seed(0)
    return CochResNet50(classes=794).eval()


def outputs_of(module: Any, names: list[str], run: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def keep(name: str) -> Any:
        # the first call: torchvision's relu runs many times and overwrites what it gave
        return lambda _, __, output: found.setdefault(name, output.clone())

    handles = [module.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    with torch.inference_mode():
        found["logits"] = run()
    for handle in handles:
        handle.remove()
    return found


def test_layers_equal_torchvisions(network: Any) -> None:
    torchvision = pytest.importorskip("isocortex_vision.torchvision_import").import_torchvision()
    reference = torchvision.models.resnet50(num_classes=794)
    reference.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    reference.load_state_dict(network.state_dict())  # every name and shape must fit
    reference.eval()
    assert list(reference.state_dict()) == list(network.state_dict())
    waveform = torch.from_numpy(0.1 * np.random.default_rng(0).standard_normal((1, 40_000))).float()
    image = network.cochleagram(waveform)
    ours = outputs_of(network, list(SHAPES), lambda: network(waveform)["final"])
    theirs_names = [{"conv1_relu1": "relu", "maxpool1": "maxpool"}.get(name, name) for name in SHAPES]
    theirs = outputs_of(reference, theirs_names, lambda: reference(image))
    for name, other in zip([*SHAPES, "logits"], [*theirs_names, "logits"], strict=True):
        if name in SHAPES:
            assert tuple(ours[name].shape[1:]) == SHAPES[name]
        scale = theirs[other].abs().max().item()
        assert (ours[name] - theirs[other]).abs().max().item() <= 1e-6 * scale, name


def test_initialisation_is_torchvisions(network: Any) -> None:
    for name, weight in network.named_parameters():
        if weight.ndim == 4:
            fan_out = weight.shape[0] * weight.shape[2] * weight.shape[3]
            assert weight.std().item() == pytest.approx(np.sqrt(2 / fan_out), rel=0.05), name
        elif ".bn" in name or name.startswith("bn"):
            assert set(weight.tolist()) == {1.0 if name.endswith("weight") else 0.0}


def test_several_heads_give_logits_by_name() -> None:
    with torch.device("meta"):
        network = CochResNet50(classes={"signal/word_int": 5, "signal/speaker_int": 3})
        names = [name for name in network.state_dict() if name.startswith("fc.")]
        assert names == [
            f"fc.{task}.{kind}" for task in ("signal/word_int", "signal/speaker_int") for kind in ("weight", "bias")
        ]
        assert not [name for name in CochResNet50(classes=None).state_dict() if name.startswith("fc")]
