"""CochCNN9: nine convolutional, pooling and fully connected layers on a cochleagram.

Like the network of Kell et al. (2018), without its branches, on another cochleagram, and with batch normalisation in
place of local response normalisation (Feather et al. 2023, Nature Neuroscience 26:2017-2034; Tuckute et al. 2023, PLoS
Biology 21:e3002366). Names of modules and parameters are those of the published networks.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from isocortex_cochnets.cochleagrams import CochCNN9Cochleagram
from isocortex_cochnets.same import SameAvgPool2d, SameConv2d, SameMaxPool2d

#: classes of a network with one linear head, or of each of several heads by name; None: no head
Classes = int | Mapping[str, int] | None

#: (height, width) of the last map, whose 512 channels are flattened
_LAST_MAP = (9, 5)
#: weight and bias from which networks with several heads were trained
_INPUT_WEIGHT, _INPUT_BIAS = 0.6180, -2.0971


def make_heads(n_features: int, classes: Classes) -> nn.Module:
    """One linear head, several by name, or none.

    Examples
    --------
    >>> make_heads(4, {"signal/word_int": 3})
    ModuleDict(
      (signal/word_int): Linear(in_features=4, out_features=3, bias=True)
    )
    """
    if classes is None:
        return nn.ModuleDict()
    if isinstance(classes, int):
        return nn.Linear(n_features, classes)
    return nn.ModuleDict({name: nn.Linear(n_features, n_classes) for name, n_classes in classes.items()})


def apply_heads(heads: nn.Module, features: Tensor) -> dict[str, Tensor]:
    """Name of a head → logits (n, n_classes); the name of a single head is "final"."""
    if isinstance(heads, nn.ModuleDict):
        return {name: head(features) for name, head in heads.items()}
    return {"final": heads(features)}


class CochCNN9(nn.Module):
    """From waveforms (n, 40000) at 20 kHz to logits.

    Parameters
    ----------
    classes
        Number of classes; by name where there are several heads. Networks with several heads start from another
        weight and bias of the input's normalisation, which matters to ``random`` alone.

    Examples
    --------
    >>> import torch
    >>> with torch.device("meta"):
    ...     network = CochCNN9(classes=794)
    >>> sum(parameter.numel() for parameter in network.parameters())
    110221980
    """

    def __init__(self, classes: Classes) -> None:
        super().__init__()
        self.cochleagram = CochCNN9Cochleagram()
        self.batchnorm0 = nn.BatchNorm2d(1)
        self.conv0 = SameConv2d(1, 96, (7, 14), (3, 3))
        self.relu0 = nn.ReLU()
        self.maxpool0 = SameMaxPool2d((2, 5), (2, 2))
        self.batchnorm1 = nn.BatchNorm2d(96)
        self.conv1 = SameConv2d(96, 256, (4, 8), (2, 2))
        self.relu1 = nn.ReLU()
        self.maxpool1 = SameMaxPool2d((2, 5), (2, 2))
        self.batchnorm2 = nn.BatchNorm2d(256)
        self.conv2 = SameConv2d(256, 512, (2, 5))
        self.relu2 = nn.ReLU()
        self.conv3 = SameConv2d(512, 1024, (2, 5))
        self.relu3 = nn.ReLU()
        self.conv4 = SameConv2d(1024, 512, (2, 5))
        self.relu4 = nn.ReLU()
        self.avgpool = SameAvgPool2d((2, 5), (2, 2), count_padding=True)
        self.fullyconnected = nn.Linear(512 * _LAST_MAP[0] * _LAST_MAP[1], 4096)
        self.relufc = nn.ReLU()
        self.dropout = nn.Dropout()
        self.classification = make_heads(4096, classes)
        if isinstance(classes, Mapping):
            nn.init.constant_(self.batchnorm0.weight, _INPUT_WEIGHT)
            nn.init.constant_(self.batchnorm0.bias, _INPUT_BIAS)

    def forward(self, waveforms: Tensor) -> dict[str, Tensor]:
        """(n, 40000), mean 0 and rms 0.1 → logits by head."""
        maps = self.batchnorm0(self.cochleagram(waveforms))
        maps = self.batchnorm1(self.maxpool0(self.relu0(self.conv0(maps))))
        maps = self.batchnorm2(self.maxpool1(self.relu1(self.conv1(maps))))
        maps = self.relu4(self.conv4(self.relu3(self.conv3(self.relu2(self.conv2(maps))))))
        features = self.relufc(self.fullyconnected(self.avgpool(maps).flatten(1)))
        return apply_heads(self.classification, self.dropout(features))
