"""CochResNet50: ResNet-50 (He et al. 2016) on a cochleagram, one input channel.

Names of parameters are those of torchvision's ``resnet50``, which the published checkpoints share; the rectification
and the pooling after the first convolution carry the published names of these layers.
"""

from __future__ import annotations

from torch import Tensor, nn

from isocortex_cochnets.cochcnn9 import Classes, apply_heads, make_heads
from isocortex_cochnets.cochleagrams import CochCNN9Cochleagram

#: channels of the narrow part and number of blocks of each of the four stages
STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
EXPANSION = 4


def _convolution(n_in: int, n_out: int, edge: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, edge, stride, padding=edge // 2, bias=False)


class Bottleneck(nn.Module):
    """Three convolutions, 1 × 1, 3 × 3 and 1 × 1, and a way around them.

    Parameters
    ----------
    n_in, n_narrow
        Channels that come in, and of the first two convolutions; ``4 n_narrow`` go out.
    stride
        Of the second convolution.
    """

    def __init__(self, n_in: int, n_narrow: int, stride: int) -> None:
        super().__init__()
        n_out = EXPANSION * n_narrow
        self.conv1, self.bn1, self.relu1 = _convolution(n_in, n_narrow, 1), nn.BatchNorm2d(n_narrow), nn.ReLU(True)
        self.conv2 = _convolution(n_narrow, n_narrow, 3, stride)
        self.bn2, self.relu2 = nn.BatchNorm2d(n_narrow), nn.ReLU(True)
        self.conv3, self.bn3, self.relu3 = _convolution(n_narrow, n_out, 1), nn.BatchNorm2d(n_out), nn.ReLU(True)
        around = (_convolution(n_in, n_out, 1, stride), nn.BatchNorm2d(n_out))
        self.downsample = nn.Sequential(*around) if stride != 1 or n_in != n_out else None

    def forward(self, maps: Tensor) -> Tensor:
        """(n, n_in, height, width) → (n, 4 n_narrow, ceil(height / stride), ceil(width / stride))."""
        narrow = self.relu1(self.bn1(self.conv1(maps)))
        narrow = self.relu2(self.bn2(self.conv2(narrow)))
        change = self.bn3(self.conv3(narrow))
        return self.relu3(change + (maps if self.downsample is None else self.downsample(maps)))


class CochResNet50(nn.Module):
    """From waveforms (n, 40000) at 20 kHz to logits.

    Parameters
    ----------
    classes
        Number of classes; by name where there are several heads.

    Examples
    --------
    >>> import torch
    >>> with torch.device("meta"):
    ...     network = CochResNet50(classes=794)
    >>> sum(parameter.numel() for parameter in network.parameters())
    25128666
    """

    def __init__(self, classes: Classes) -> None:
        super().__init__()
        self.cochleagram = CochCNN9Cochleagram()
        self.conv1, self.bn1 = _convolution(1, 64, 7, 2), nn.BatchNorm2d(64)
        self.conv1_relu1 = nn.ReLU(True)
        self.maxpool1 = nn.MaxPool2d(3, 2, padding=1)
        self.layer1, self.layer2, self.layer3, self.layer4 = _stages(64)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = make_heads(EXPANSION * STAGES[-1][0], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, waveforms: Tensor) -> dict[str, Tensor]:
        """(n, 40000), mean 0 and rms 0.1 → logits by head."""
        maps = self.maxpool1(self.conv1_relu1(self.bn1(self.conv1(self.cochleagram(waveforms)))))
        maps = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        return apply_heads(self.fc, self.avgpool(maps).flatten(1))


def _stages(n_in: int) -> list[nn.Sequential]:
    stages: list[nn.Sequential] = []
    for number, (n_narrow, n_blocks) in enumerate(STAGES):
        first = Bottleneck(n_in, n_narrow, stride=1 if number == 0 else 2)
        n_in = EXPANSION * n_narrow
        stages.append(nn.Sequential(first, *(Bottleneck(n_in, n_narrow, stride=1) for _ in range(n_blocks - 1))))
    return stages
