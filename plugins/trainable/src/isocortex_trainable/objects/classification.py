"""How well a network names images: accuracy, loss and which classes it takes for which."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex_trainable.learning.determinism import seeded_order
from isocortex_trainable.learning.epochs import evaluated, moved
from isocortex_trainable.objects.augmentation import augmented

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

#: images that are named at a time
_N_NAMED = 256


@dataclass(frozen=True, eq=False)
class Examples:
    """What a network sees, and what it should say.

    Attributes
    ----------
    inputs
        ``(n_images, 3, size, size)`` float32.
    classes
        ``(n_images,)`` int64.
    """

    inputs: NDArray[np.float32]
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.inputs)

    def where(self, chosen: NDArray[np.bool_]) -> Examples:
        """Some of them."""
        return Examples(self.inputs[chosen], self.classes[chosen])


@dataclass(frozen=True, eq=False)
class ExampleBatches:
    """Batches of examples in an order that seed and epoch decide; with ``augment`` twice as many.

    Attributes
    ----------
    examples
        What is learned.
    n_batch
        Images in a batch; the last one may have fewer.
    augment
        Every image comes twice, changed as ``isocortex_trainable.objects.augmentation`` says.
    """

    examples: Examples
    n_batch: int
    augment: bool = False

    def __call__(self, epoch: int, seed: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Inputs and classes, a batch at a time."""
        n_images = len(self.examples)
        order = seeded_order(n_images * (2 if self.augment else 1), seed, epoch)
        stream = np.random.default_rng([seed, epoch, 1])
        for start in range(0, len(order), self.n_batch):
            chosen = order[start : start + self.n_batch]
            inputs = self.examples.inputs[chosen % n_images]
            if self.augment:
                inputs = augmented(inputs, chosen >= n_images, stream)
            yield inputs, self.examples.classes[chosen % n_images]


@dataclass(frozen=True, eq=False)
class Naming:
    """Called with a network: share of the examples that it names right, and its mean loss on them.

    Attributes
    ----------
    examples
        Those that are held out.
    loss
        (output of the network, classes) → mean loss.
    device
        Where the network is.
    """

    examples: Examples
    loss: Callable[[Any, Any], Tensor]
    device: str = "cpu"

    def __call__(self, network: nn.Module) -> Mapping[str, float]:
        """``held_out_accuracy`` and ``held_out_loss``."""
        n_right, total = 0, 0.0
        for start in range(0, len(self.examples), _N_NAMED):
            inputs = self.examples.inputs[start : start + _N_NAMED]
            classes = moved(self.examples.classes[start : start + _N_NAMED], self.device)
            output = network(moved(inputs, self.device))
            n_right += int((answers(output) == classes).sum())
            total += float(self.loss(output, classes)) * len(inputs)
        return {"held_out_accuracy": n_right / len(self.examples), "held_out_loss": total / len(self.examples)}


def answers(output: Any) -> Tensor:
    """The most likely class of each image; ties go to the lower number."""
    return (output[0] if isinstance(output, tuple) else output).argmax(dim=1)


def named_by(network: nn.Module, inputs: NDArray[np.float32], device: str) -> NDArray[np.int64]:
    """The class that a network gives to each image, ``(n_images,)`` int64."""
    found: list[NDArray[np.int64]] = []

    def name_all(module: nn.Module) -> dict[str, float]:
        blocks = (inputs[start : start + _N_NAMED] for start in range(0, len(inputs), _N_NAMED))
        found.extend(answers(module(moved(block, device))).cpu().numpy() for block in blocks)
        return {}

    evaluated(network, name_all)
    return np.concatenate(found)


def confusion(right: NDArray[np.int64], given: NDArray[np.int64], n_classes: int) -> NDArray[np.int64]:
    """How many images of each class (rows) were given each class (columns), ``(n_classes, n_classes)``.

    Examples
    --------
    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    return np.bincount(right * n_classes + given, minlength=n_classes**2).reshape(n_classes, n_classes)


def joined_classes(table: NDArray[np.int64], groups: Sequence[int], n_groups: int) -> NDArray[np.int64]:
    """A confusion of classes as one of groups of classes.

    Examples
    --------
    >>> joined_classes(np.array([[1, 1, 0], [0, 2, 0], [3, 0, 0]]), [0, 0, 1], 2).tolist()
    [[4, 0], [3, 0]]
    """
    member = np.eye(n_groups, dtype=np.int64)[np.asarray(groups)]
    return member.T @ table @ member
