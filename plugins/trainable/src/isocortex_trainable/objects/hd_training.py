"""How HD-CNN learns: a plain CNN first, then its coarse and fine branches, then all of it end to end."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from isocortex.errors import DataError, shorten
from isocortex_trainable.learning.determinism import seeded
from isocortex_trainable.learning.epochs import Trained, Training, train
from isocortex_trainable.learning.optimisers import optimiser
from isocortex_trainable.learning.rates import Rate, falling
from isocortex_trainable.objects.cifar_cnn import negative_log_likelihood
from isocortex_trainable.objects.classification import ExampleBatches, Examples, Naming
from isocortex_trainable.objects.hd_cnn import HDCNN, ConsistentLoss, HDArchitecture, PlainCNN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isocortex.training import Journal
    from isocortex_trainable.learning.epochs import Loss


@dataclass(frozen=True, kw_only=True)
class HDPlan:
    """Epochs of the stages, and how each learns; the default is as published, but for the last stage.

    Stages are SGD with Nesterov momentum. The first half of the epochs of ``coarse`` and of ``branch`` has the first
    rate, the second half the second; ``plain`` has the first, ``end_to_end`` the second. The published run ended before
    ``end_to_end``, which Yan et al. (2015) describe; they do not say for how many epochs.

    Attributes
    ----------
    plain, coarse, branch, end_to_end
        Numbers of epochs; 0 leaves the stage out.
    rates
        Learning rates.
    momentum, decay
        Of SGD; the rate is divided by 1 + decay · updates.
    consistency
        ``λ`` of the coarse-consistency loss.
    n_batch
        Images in a batch.
    augment
        Every image twice, changed.
    """

    plain: int = 30
    coarse: int = 20
    branch: int = 10
    end_to_end: int = 10
    rates: tuple[float, float] = (0.01, 0.001)
    momentum: float = 0.9
    decay: float = 1e-6
    consistency: float = 20.0
    n_batch: int = 64
    augment: bool = True

    def n_epochs(self, n_coarse: int) -> int:
        """Of all stages together."""
        return self.plain + self.coarse + n_coarse * self.branch + self.end_to_end

    def halves(self, n_epochs: int) -> Rate:
        """The first rate for the first half, the second for the rest."""
        return falling(self.rates, [(n_epochs + 1) // 2], self.decay)


@dataclass(frozen=True, eq=False)
class Lesson:
    """What is learned, with the tenth of it on which epochs are chosen, and which class belongs to which coarse one.

    Attributes
    ----------
    learned, held_out
        Parts of the training part.
    coarse_of
        ``(n_fine,)`` int64.
    """

    learned: Examples
    held_out: Examples
    coarse_of: NDArray[np.int64]

    def of_coarse(self) -> Lesson:
        """The same images with their coarse classes."""
        learned, rest = (Examples(part.inputs, self.coarse_of[part.classes]) for part in (self.learned, self.held_out))
        return Lesson(learned, rest, self.coarse_of)

    def within(self, number: int) -> Lesson:
        """The images of one coarse class.

        Raises
        ------
        DataError
            None is learned, or none is held out.
        """
        learned, rest = (part.where(self.coarse_of[part.classes] == number) for part in (self.learned, self.held_out))
        if not len(learned) or not len(rest):
            raise DataError(
                f"Coarse class {number} has {len(learned)} images to learn from and {len(rest)} held out; its branch "
                "needs some of both."
            )
        return Lesson(learned, rest, self.coarse_of)

    def shares(self, n_coarse: int) -> torch.Tensor:
        """How many of the learned images belong to each coarse class, 1 in all."""
        counts = np.bincount(self.coarse_of[self.learned.classes], minlength=n_coarse)
        return torch.from_numpy((counts / counts.sum()).astype(np.float32))


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where and by which seed something is trained, and what keeps how far it is."""

    journal: Journal
    seed: int = 0
    device: str = "cpu"

    def built(self, make: type[HDCNN] | type[PlainCNN], architecture: HDArchitecture) -> nn.Module:
        """A network with the weights that the seed draws."""
        with seeded(self.seed, zlib.crc32(make.__name__.encode())):
            return make(architecture)


def train_plain(architecture: HDArchitecture, lesson: Lesson, plan: HDPlan, place: Place) -> tuple[PlainCNN, Trained]:
    """Train the plain CNN for ``plan.plain`` epochs with the first rate."""
    network = place.built(PlainCNN, architecture)
    assert isinstance(network, PlainCNN)
    rate = falling(plan.rates[:1], [], plan.decay)
    return network, _stage("plain", network, lesson, (plan, plan.plain, rate), place, negative_log_likelihood)


def train_hd(
    architecture: HDArchitecture, lesson: Lesson, plan: HDPlan, place: Place
) -> tuple[HDCNN, Mapping[str, Trained]]:
    """Train HD-CNN in its stages; each takes its weights from the epoch that names most held-out images right.

    Parameters
    ----------
    architecture
        Of the network.
    lesson
        What is learned.
    plan
        How long and how fast.
    place
        Where; a journal that holds finished stages gives them back.

    Returns
    -------
    The network, and what each stage led to.

    Raises
    ------
    DataError
        The hierarchy does not fit the architecture, or a coarse class has no images.
    """
    _refuse_other(architecture, lesson)
    plain, told = train_plain(architecture, lesson, plan, place)
    found: dict[str, Trained] = {"plain": told}
    network = place.built(HDCNN, architecture)
    assert isinstance(network, HDCNN)
    _copy(plain, network)
    network.shared.requires_grad_(False)
    body, half = nn.Sequential(network.shared, network.coarse), plan.halves
    found["coarse"] = _stage(
        "coarse", body, lesson.of_coarse(), (plan, plan.coarse, half(plan.coarse)), place, negative_log_likelihood
    )
    for number, name in enumerate(network.names):
        body = nn.Sequential(network.shared, network.get_submodule(name))
        how = plan, plan.branch, half(plan.branch)
        found[name] = _stage(name, body, lesson.within(number), how, place, negative_log_likelihood)
    network.shared.requires_grad_(True)
    loss = ConsistentLoss(lesson.shares(architecture.n_coarse), plan.consistency)
    how = plan, plan.end_to_end, falling(plan.rates[1:], [], plan.decay)
    found["end_to_end"] = _stage("end_to_end", network, lesson, how, place, loss)
    return network.eval(), found


def _refuse_other(architecture: HDArchitecture, lesson: Lesson) -> None:
    known = sorted(set(lesson.coarse_of.tolist()))
    if len(lesson.coarse_of) != architecture.n_fine or known != list(range(architecture.n_coarse)):
        raise DataError(
            f"The network has {architecture.n_fine} classes in {architecture.n_coarse} coarse ones; the images have "
            f"{len(lesson.coarse_of)} in {shorten(known)}."
        )


def _copy(plain: PlainCNN, network: HDCNN) -> None:
    """The plain CNN's weights, in shared layers and in every branch; the coarse logits are new."""
    network.shared.load_state_dict(plain.shared.state_dict())
    branch = plain.fine.state_dict()
    for name in network.names:
        network.get_submodule(name).load_state_dict(branch)
    own = {name: values for name, values in branch.items() if not name.startswith("logits.")}
    network.coarse.load_state_dict({**network.coarse.state_dict(), **copy.deepcopy(own)})


def _stage(
    name: str,
    network: nn.Module,
    lesson: Lesson,
    how: tuple[HDPlan, int, Rate],
    place: Place,
    loss: Loss,
) -> Trained:
    plan, n_epochs, rate = how
    if not n_epochs:
        network.to(place.device)
        return Trained(0, 0, {})
    training = Training(
        batches=ExampleBatches(lesson.learned, plan.n_batch, plan.augment),
        loss=loss,
        optimiser=optimiser("sgd", momentum=plan.momentum, nesterov=True),
        rate=rate,
        n_epochs=n_epochs,
        seed=stage_seed(place.seed, name),
        device=place.device,
        validate=Naming(lesson.held_out, loss, place.device),
        best=("held_out_accuracy", "most"),
    )
    return train(network, training, place.journal.part(name, n_epochs))


def stage_seed(seed: int, name: str) -> int:
    """A seed of each stage of its own.

    Examples
    --------
    >>> stage_seed(0, "plain") != stage_seed(0, "coarse")
    True
    """
    return int(np.random.SeedSequence([seed, zlib.crc32(name.encode())]).generate_state(1)[0])
