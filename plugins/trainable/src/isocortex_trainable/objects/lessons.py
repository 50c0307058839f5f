"""From an archive of labelled images to a trained network in a folder; the test part is read once, at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from isocortex.training import Fitted, TrainedOn
from isocortex_trainable.objects.cifar_cnn import CifarCNNArchitecture
from isocortex_trainable.objects.cifar_cnn_training import CifarCNNPlan, train_cifar_cnn
from isocortex_trainable.objects.classification import Examples, confusion, joined_classes, named_by
from isocortex_trainable.objects.hd_cnn import HDArchitecture
from isocortex_trainable.objects.hd_training import HDPlan, Lesson, Place, train_hd
from isocortex_trainable.objects.inputs import Inputs, centred, said_of_whitening, whitened
from isocortex_trainable.objects.labelled_images import held_out

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from isocortex.training import Journal
    from isocortex_trainable.learning.epochs import Trained
    from isocortex_trainable.objects.cifar_archives import Cifar
    from isocortex_trainable.objects.labelled_images import LabelledImages


@dataclass(frozen=True, eq=False)
class Learned:
    """A network that was trained, what it sees, and what each stage led to."""

    network: nn.Module
    inputs: Inputs
    stages: Mapping[str, Trained]
    warnings: tuple[str, ...] = ()


class Lessons(Protocol):
    """How one of the networks learns from an archive."""

    @property
    def model(self) -> str:
        """ID of the model."""
        ...

    def settings(self) -> dict[str, Any]:
        """All that decides what is learned, beside images, seed and device."""
        ...

    def n_epochs(self) -> int:
        """Of all stages together."""
        ...

    def learn(self, data: Cifar, journal: Journal, *, seed: int, device: str) -> Learned:
        """Train on nine tenths of the training part."""
        ...


@dataclass(frozen=True, kw_only=True)
class CifarCNNLessons:
    """The CIFAR CNN on either set."""

    architecture: CifarCNNArchitecture
    plan: CifarCNNPlan
    model: str = "cifar-cnn"

    def settings(self) -> dict[str, Any]:
        """Architecture and plan."""
        return {"architecture": self.architecture.as_settings(), "plan": asdict(self.plan)}

    def n_epochs(self) -> int:
        """Of its one stage."""
        return self.plan.epochs

    def learn(self, data: Cifar, journal: Journal, *, seed: int, device: str) -> Learned:
        """Train on pixels that are divided by 255."""
        inputs = Inputs()
        learned, rest = (Examples(inputs(part.pixels), part.fine) for part in held_out(data.training))
        network, told = train_cifar_cnn(self.architecture, learned, rest, self.plan, journal, seed=seed, device=device)
        return Learned(network, inputs, {"training": told})


@dataclass(frozen=True, kw_only=True)
class HDLessons:
    """HD-CNN on a set with coarse classes.

    Attributes
    ----------
    whiten
        Whitened images; otherwise their mean is subtracted, and they are divided by 255.
    """

    architecture: HDArchitecture
    plan: HDPlan
    whiten: bool = True
    model: str = "hd-cnn"

    def settings(self) -> dict[str, Any]:
        """Architecture, plan, and whether images are whitened."""
        return {"architecture": self.architecture.as_settings(), "plan": asdict(self.plan), "whiten": self.whiten}

    def n_epochs(self) -> int:
        """Of all stages and branches."""
        return self.plan.n_epochs(self.architecture.n_coarse)

    def learn(self, data: Cifar, journal: Journal, *, seed: int, device: str) -> Learned:
        """Train in stages."""
        coarse_of = data.coarse_of
        learned, rest = held_out(data.training)
        inputs = whitened(learned.pixels) if self.whiten else centred(learned.pixels)
        said = said_of_whitening(len(learned), learned.pixels[0].size) if self.whiten else None
        first, second = (Examples(inputs(part.pixels), part.fine) for part in (learned, rest))
        place = Place(journal=journal, seed=seed, device=device)
        network, stages = train_hd(self.architecture, Lesson(first, second, coarse_of), self.plan, place)
        return Learned(network, inputs, stages, () if said is None else (said,))


def fitted_on(data: Cifar, lessons: Lessons, journal: Journal, *, seed: int, device: str) -> Fitted:
    """Train on an archive, and test once.

    Parameters
    ----------
    data
        The archive.
    lessons
        What learns, and how.
    journal
        Keeps how far it is.
    seed
        Draws all that is drawn but the tenth that is held out, which is the same for all.
    device
        Where.

    Returns
    -------
    Tensors ``network.*`` and ``inputs.*``; settings with what was chosen, and how many test images are named right;
    curves of every stage.
    """
    journal.expect(lessons.n_epochs())
    said = data.warnings  # before hours in which its file may go
    learned = lessons.learn(data, journal, seed=seed, device=device)
    state = learned.network.state_dict()
    tensors = {f"network.{name}": values.detach().cpu().numpy() for name, values in state.items()}
    settings = {
        **lessons.settings(),
        "seed": seed,
        "data": data.layout.id,
        "classes": list(data.fine_names),
        "coarse_classes": list(data.coarse_names),
        "epochs": {name: told.epoch for name, told in learned.stages.items()},
        "test": tested(learned, data.test(), data, device),
        "warnings": [*said, *learned.warnings],
    }
    curves = {
        f"{stage} {name}": values for stage, told in learned.stages.items() for name, values in told.curves.items()
    }
    contents = tuple(sorted(set(data.training.contents)))
    seen = TrainedOn(contents=contents, stimuli=data.layout.id, split="training part")
    return Fitted(tensors | learned.inputs.tensors(), settings, curves, seen, lessons.model)


def tested(learned: Learned, images: LabelledImages, data: Cifar, device: str) -> dict[str, Any]:
    """How the images of the test part are named: accuracy, and the confusion of classes and of coarse classes."""
    given = named_by(learned.network, learned.inputs(images.pixels), device)
    n_classes = len(data.fine_names)
    found = _accuracy_and_confusion(confusion(images.fine, given, n_classes))
    if images.coarse is None:
        return {"n_images": len(images), **found}
    groups = [int(number) for number in data.coarse_of]
    coarse = joined_classes(confusion(images.fine, given, n_classes), groups, len(data.coarse_names))
    return {"n_images": len(images), **found, "coarse": _accuracy_and_confusion(coarse)}


def _accuracy_and_confusion(table: NDArray[np.int64]) -> dict[str, Any]:
    return {"accuracy": float(np.trace(table) / table.sum()), "confusion": table.tolist()}
