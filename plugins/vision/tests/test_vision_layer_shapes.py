"""Which layers are found in a network: calls, items, the axis of images, and what is no layer."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("isocortex_vision")

from torch import nn  # noqa: E402

from isocortex_vision.layer_shapes import LayerShape, find_layers  # noqa: E402

pytestmark = pytest.mark.xdist_group("vision")


class Part(nn.Module):
    """What a function gives."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, maps: Any) -> Any:
        return self.function(maps)


class Network(nn.Module):
    """One of everything, on images (n, 3, 4, 4)."""

    def __init__(self, reads_contents: bool = False) -> None:
        super().__init__()
        self.reads_contents = reads_contents
        self.conv = nn.Conv2d(3, 6, 1)
        self.relu = nn.ReLU(inplace=True)
        self.second = Part(lambda maps: maps.flatten(2).permute(2, 0, 1))
        self.windows = Part(lambda maps: maps.unflatten(2, (2, 2)).movedim(2, 1).flatten(0, 1))
        self.table = Part(lambda maps: torch.arange(5.0, device=maps.device))
        self.pair = Part(lambda maps: (maps, {"deep": maps.mean((2, 3)), "note": "text"}))
        self.single = Part(lambda maps: (maps.sum(1), None))
        self.unused = nn.Linear(1, 1)

    def forward(self, images: Any) -> Any:
        maps = self.relu(self.relu(self.conv(images)))
        for part in (self.second, self.windows, self.table, self.pair, self.single):
            part(maps)
        return maps if not self.reads_contents or maps.sum().item() > -1 else None


EXPECTED = {
    "conv": LayerShape((6, 4, 4)),
    "relu#0": LayerShape((6, 4, 4)),
    "relu#1": LayerShape((6, 4, 4)),
    "second": LayerShape((16, 6), image_axis=1),
    "pair": LayerShape((6, 4, 4)),
    "pair[1]": LayerShape((6,)),
    "single": LayerShape((4, 4)),
}


@pytest.mark.parametrize("reads_contents", [False, True], ids=["without contents", "with contents"])
def test_one_of_everything(reads_contents: bool) -> None:
    network = Network(reads_contents).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = find_layers(network, lambda n_images, device: torch.zeros(n_images, 3, 4, 4, device=device))
    assert dict(found.shapes) == EXPECTED
    assert list(found.shapes) == list(EXPECTED), "in the order in which they are computed"
    assert found.calls["relu"] == 2
    assert found.others == {
        "windows": "it does not give one row for each image",
        "table": "it gives the same whatever the images are",
    }
    assert "unused" not in found.calls
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not [part for part in network.modules() if part._forward_hooks]
