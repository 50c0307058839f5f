"""HD-CNN (Yan et al. 2015): shared layers, a branch for coarse classes, and a branch for the classes of each of them.

The layers are those of a published run on CIFAR-100: exponential linear units, convolutions of growing width, six
max-pools. What follows the fifth pool is in every branch; what lies before it is shared.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Stack:
    """Convolutions with one max-pool behind them.

    Attributes
    ----------
    convolutions
        (channels, kernel) of each.
    dropout
        Before the max-pool.
    """

    convolutions: Sequence[tuple[int, int]]
    dropout: float = 0.0


PUBLISHED: tuple[Stack, ...] = (
    Stack(((384, 3),)),
    Stack(((384, 1), (384, 2), (640, 2), (640, 2)), 0.2),
    Stack(((640, 1), (768, 2), (768, 2), (768, 2)), 0.3),
    Stack(((768, 1), (896, 2), (896, 2)), 0.4),
    Stack(((896, 3), (1024, 2), (1024, 2)), 0.5),
    Stack(((1024, 1), (1152, 2)), 0.6),
)


@dataclass(frozen=True, kw_only=True)
class HDArchitecture:
    """Stacks, dense layer and numbers of classes; the default is the published one.

    Attributes
    ----------
    stacks
        All but the last are shared; the last is in every branch.
    n_units
        Of the dense layer of a branch.
    n_fine, n_coarse
        Numbers of classes, and of coarse classes, which is that of fine branches.
    size
        Height and width of the input in pixels.
    """

    stacks: Sequence[Stack] = PUBLISHED
    n_units: int = 1152
    n_fine: int = 100
    n_coarse: int = 20
    size: int = 32

    def scaled(self, width: float) -> HDArchitecture:
        """As many layers, each of a multiple of the width, at least one channel.

        Examples
        --------
        >>> HDArchitecture().scaled(1 / 64).stacks[-1].convolutions
        ((16, 1), (18, 2))
        """

        def of(count: int) -> int:
            return max(1, round(count * width))

        stacks = tuple(
            replace(stack, convolutions=tuple((of(channels), kernel) for channels, kernel in stack.convolutions))
            for stack in self.stacks
        )
        return replace(self, stacks=stacks, n_units=of(self.n_units))

    def as_settings(self) -> dict[str, Any]:
        """As JSON has it."""
        stacks = [
            {"convolutions": [list(one) for one in stack.convolutions], "dropout": stack.dropout}
            for stack in self.stacks
        ]
        numbers = {"n_units": self.n_units, "n_fine": self.n_fine, "n_coarse": self.n_coarse, "size": self.size}
        return {"stacks": stacks, **numbers}

    @classmethod
    def of_settings(cls, settings: Mapping[str, Any]) -> HDArchitecture:
        """From JSON."""
        stacks = tuple(
            Stack(tuple((channels, kernel) for channels, kernel in stack["convolutions"]), stack["dropout"])
            for stack in settings["stacks"]
        )
        given: dict[str, Any] = {**settings, "stacks": stacks}
        return cls(**given)

    @property
    def shared_size(self) -> int:
        """Height and width of what the shared layers give."""
        return self.size // 2 ** (len(self.stacks) - 1)

    @property
    def shared_channels(self) -> int:
        """Channels of what the shared layers give."""
        return self.stacks[-2].convolutions[-1][0]


class Convolution(nn.Module):
    """A convolution that keeps height and width, and an exponential linear unit.

    An even kernel is padded on the right and at the bottom alone, as Keras does. Weights are drawn as by He et al.
    (2015), normal with variance 2 / inputs; biases are 0.
    """

    def __init__(self, n_before: int, n_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_before, n_channels, kernel)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        nn.init.zeros_(self.conv.bias)  # pyright: ignore[reportArgumentType]
        before, after = (kernel - 1) // 2, kernel // 2
        self.padding = (before, after, before, after)

    def forward(self, values: Tensor) -> Tensor:
        """``(n_images, channels, height, width)`` → the same with other channels."""
        return nn.functional.elu(self.conv(nn.functional.pad(values, self.padding)))


class Pool(nn.Module):
    """Dropout, which changes nothing outside of training, and a max-pool of 2 × 2."""

    def __init__(self, dropout: float, *, whole: bool) -> None:
        super().__init__()
        self.dropout, self.whole = dropout, whole

    def forward(self, values: Tensor) -> Tensor:
        """``(n_images, channels, height, width)`` → half the height and width; ``whole``: rounded up."""
        values = nn.functional.dropout(values, self.dropout, self.training)
        return nn.functional.max_pool2d(values, 2, ceil_mode=self.whole)


class Dense(nn.Module):
    """All values of an image, a linear layer, and an exponential linear unit."""

    def __init__(self, n_values: int, n_units: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_values, n_units)
        nn.init.kaiming_normal_(self.linear.weight, nonlinearity="relu")
        nn.init.zeros_(self.linear.bias)

    def forward(self, values: Tensor) -> Tensor:
        """``(n_images, channels, height, width)`` → ``(n_images, n_units)``."""
        return nn.functional.elu(self.linear(values.flatten(1)))


def stacked(n_before: int, first: int, stacks: Sequence[Stack], *, whole: bool = False) -> OrderedDict[str, nn.Module]:
    """Modules of stacks by name: ``conv2_1`` is the first convolution of the second stack, ``pool2`` its end."""
    named: OrderedDict[str, nn.Module] = OrderedDict()
    for number, stack in enumerate(stacks, first):
        for place, (n_channels, kernel) in enumerate(stack.convolutions, 1):
            named[f"conv{number}_{place}"] = Convolution(n_before, n_channels, kernel)
            n_before = n_channels
        named[f"pool{number}"] = Pool(stack.dropout, whole=whole)
    return named


def shared_layers(architecture: HDArchitecture) -> nn.Sequential:
    """All stacks but the last."""
    return nn.Sequential(stacked(3, 1, architecture.stacks[:-1]))


def branch(architecture: HDArchitecture, n_classes: int) -> nn.Sequential:
    """The last stack, the dense layer, and logits."""
    last, number = architecture.stacks[-1], len(architecture.stacks)
    named = stacked(architecture.shared_channels, number, [last], whole=True)
    n_values = last.convolutions[-1][0] * math.ceil(architecture.shared_size / 2) ** 2
    named["dense"] = Dense(n_values, architecture.n_units)
    named["logits"] = nn.Linear(architecture.n_units, n_classes)
    return nn.Sequential(named)


class PlainCNN(nn.Module):
    """The same layers with one branch, for all classes: what HD-CNN begins with, and what it is compared with."""

    def __init__(self, architecture: HDArchitecture) -> None:
        super().__init__()
        self.shared = shared_layers(architecture)
        self.fine = branch(architecture, architecture.n_fine)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(n_images, n_fine)``."""
        return self.fine(self.shared(images))


class Averaged(NamedTuple):
    """What HD-CNN gives: logarithms of probabilities.

    Attributes
    ----------
    fine
        ``(n_images, n_fine)``: ``log p(y|x)``.
    coarse
        ``(n_images, n_coarse)``: ``log B_k(x)``.
    """

    fine: Tensor
    coarse: Tensor


class ProbabilisticAverage(nn.Module):
    """The branches' answers, each counted as the coarse branch expects it.

    ``p(y|x) = Σ_k B_k(x) p_k(y|x) / Σ_k B_k(x)``, over all branches, in logarithms.
    """

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """``(n_images, n_coarse)`` and ``(n_images, n_coarse, n_fine)`` logarithms → ``(n_images, n_fine)``."""
        weighted = torch.logsumexp(coarse.unsqueeze(2) + fine, dim=1)
        return weighted - torch.logsumexp(coarse, dim=1, keepdim=True)


class HDCNN(nn.Module):
    """Shared layers, ``coarse``, ``fine_0`` … and ``logits``: logarithms of the averaged probabilities."""

    def __init__(self, architecture: HDArchitecture) -> None:
        super().__init__()
        self.shared = shared_layers(architecture)
        self.coarse = branch(architecture, architecture.n_coarse)
        self.names = [f"fine_{number}" for number in range(architecture.n_coarse)]
        for name in self.names:
            self.add_module(name, branch(architecture, architecture.n_fine))
        self.logits = ProbabilisticAverage()

    def forward(self, images: Tensor) -> Averaged:
        """Logarithms of probabilities of classes and of coarse classes."""
        values = self.shared(images)
        coarse = torch.log_softmax(self.coarse(values), dim=1)
        fine = torch.stack([torch.log_softmax(self.get_submodule(name)(values), dim=1) for name in self.names], dim=1)
        return Averaged(self.logits(coarse, fine), coarse)


@dataclass(frozen=True, eq=False)
class ConsistentLoss:
    """Negative log-likelihood, and how far the coarse branch is from the share of each coarse class.

    ``−mean_i log p(y_i|x_i) + (λ/2) Σ_k (t_k − mean_i B_ik)²``, means over the images of a batch.

    Attributes
    ----------
    shares
        ``t``, ``(n_coarse,)``: how many of the training images belong to each coarse class, 1 in all.
    weight
        ``λ``.
    """

    shares: Tensor
    weight: float

    def __call__(self, given: Averaged, classes: Tensor) -> Tensor:
        """The loss of a batch."""
        likelihood = nn.functional.nll_loss(given.fine, classes)
        expected = given.coarse.exp().mean(dim=0)
        return likelihood + self.weight / 2 * ((self.shares.to(expected) - expected) ** 2).sum()
