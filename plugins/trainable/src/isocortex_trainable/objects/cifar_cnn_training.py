"""How the CIFAR CNN learns: Adam, a few epochs, the best of them on the tenth of the training part that is held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isocortex_trainable.learning.determinism import seeded
from isocortex_trainable.learning.epochs import Trained, Training, train
from isocortex_trainable.learning.optimisers import optimiser
from isocortex_trainable.learning.rates import constant
from isocortex_trainable.objects.cifar_cnn import CifarCNN, CifarCNNArchitecture, negative_log_likelihood
from isocortex_trainable.objects.classification import ExampleBatches, Examples, Naming

if TYPE_CHECKING:
    from isocortex.training import Journal


@dataclass(frozen=True, kw_only=True)
class CifarCNNPlan:
    """Epochs, learning rate and images in a batch; the default is as published, where that says it."""

    epochs: int = 5
    rate: float = 0.001
    n_batch: int = 32


def train_cifar_cnn(
    architecture: CifarCNNArchitecture,
    learned: Examples,
    held_out: Examples,
    plan: CifarCNNPlan,
    journal: Journal,
    *,
    seed: int = 0,
    device: str = "cpu",
) -> tuple[CifarCNN, Trained]:
    """Train the network; its weights are those of the epoch that names most held-out images right.

    Parameters
    ----------
    architecture
        Of the network.
    learned, held_out
        Parts of the training part.
    plan
        How long and how fast.
    journal
        Keeps how far it is.
    seed
        Draws weights, batches and dropout.
    device
        Where.
    """
    with seeded(seed, 0):
        network = CifarCNN(architecture)
    training = Training(
        batches=ExampleBatches(learned, plan.n_batch),
        loss=negative_log_likelihood,
        optimiser=optimiser("adam"),
        rate=constant(plan.rate),
        n_epochs=plan.epochs,
        seed=seed,
        device=device,
        validate=Naming(held_out, negative_log_likelihood, device),
        best=("held_out_accuracy", "most"),
    )
    return network, train(network, training, journal.part("training", plan.epochs))
