"""CORnet-S (Kubilius et al. 2019): four areas, three of which run several times on what they gave.

Written from the paper; names of modules are those of the published checkpoint.
"""

from __future__ import annotations

from math import sqrt

from torch import Tensor, nn

#: area → how often it runs for one image
TIMES = {"V2": 2, "V4": 4, "IT": 2}
#: channels of a bottleneck for each of the area's
_EXPANSION = 4


class RecurrentArea(nn.Module):
    """A bottleneck with a way around it that is applied several times; convolutions are shared between the times.

    Parameters
    ----------
    n_inputs, n_channels
        Channels of what comes in and of what the area gives.
    times
        How often it is applied. Batch normalisation has weights of its own for each time.
    """

    def __init__(self, n_inputs: int, n_channels: int, times: int) -> None:
        super().__init__()
        n_wide = n_channels * _EXPANSION
        self.times = times
        self.conv_input = nn.Conv2d(n_inputs, n_channels, 1, bias=False)
        self.skip = nn.Conv2d(n_channels, n_channels, 1, stride=2, bias=False)
        self.norm_skip = nn.BatchNorm2d(n_channels)
        self.conv1 = nn.Conv2d(n_channels, n_wide, 1, bias=False)
        self.nonlin1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(n_wide, n_wide, 3, stride=2, padding=1, bias=False)
        self.nonlin2 = nn.ReLU(inplace=True)
        self.conv3 = nn.Conv2d(n_wide, n_channels, 1, bias=False)
        self.nonlin3 = nn.ReLU(inplace=True)
        self.output = nn.Identity()
        for time in range(times):
            self.add_module(f"norm1_{time}", nn.BatchNorm2d(n_wide))
            self.add_module(f"norm2_{time}", nn.BatchNorm2d(n_wide))
            self.add_module(f"norm3_{time}", nn.BatchNorm2d(n_channels))

    def forward(self, images: Tensor) -> Tensor:
        """(n, n_inputs, height, width) → (n, n_channels, height / 2, width / 2)."""
        state = self.conv_input(images)
        for time in range(self.times):
            state = self._once(state, time)
        return state

    def _once(self, state: Tensor, time: int) -> Tensor:
        """The first time halves height and width."""
        beside = self.norm_skip(self.skip(state)) if time == 0 else state
        self.conv2.stride = (2, 2) if time == 0 else (1, 1)
        for number, convolution in enumerate((self.conv1, self.conv2, self.conv3), start=1):
            state = self.get_submodule(f"norm{number}_{time}")(convolution(state))
            if number < 3:
                state = self.get_submodule(f"nonlin{number}")(state)
        return self.output(self.nonlin3(state + beside))


class CORnetS(nn.Sequential):
    """CORnet-S, from images (n, 3, 224, 224) to logits (n, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module(
            "V1",
            _named(
                conv1=nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
                norm1=nn.BatchNorm2d(64),
                nonlin1=nn.ReLU(inplace=True),
                pool=nn.MaxPool2d(3, stride=2, padding=1),
                conv2=nn.Conv2d(64, 64, 3, padding=1, bias=False),
                norm2=nn.BatchNorm2d(64),
                nonlin2=nn.ReLU(inplace=True),
                output=nn.Identity(),
            ),
        )
        n_inputs = 64
        for area, times in TIMES.items():
            self.add_module(area, RecurrentArea(n_inputs, 2 * n_inputs, times))
            n_inputs *= 2
        self.add_module(
            "decoder",
            _named(
                avgpool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                linear=nn.Linear(n_inputs, 1000),
                output=nn.Identity(),
            ),
        )
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                height, width = module.kernel_size
                nn.init.normal_(module.weight, 0.0, sqrt(2 / (height * width * module.out_channels)))


def _named(**modules: nn.Module) -> nn.Sequential:
    sequence = nn.Sequential()
    for name, module in modules.items():
        sequence.add_module(name, module)
    return sequence
