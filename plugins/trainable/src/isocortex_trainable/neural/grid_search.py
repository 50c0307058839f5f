"""Learning rate, weight decay and epoch, chosen on a part of the training stimuli; then the whole part is learned.

For every point of a grid the network learns from most of the training stimuli, and after each epoch its predictions of
the others are compared with their responses. The best point with its best epoch is then trained anew on all of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from isocortex.errors import DataError
from isocortex_trainable.learning.determinism import seeded, seeded_order
from isocortex_trainable.learning.epochs import Training, train

if TYPE_CHECKING:
    from torch import nn

    from isocortex.training import Journal
    from isocortex.typing import Array

#: tells the draw of the inner split from those of weights and batches
INNER = 1001


class Grid(BaseModel):
    """What is tried, and for how long.

    Examples
    --------
    >>> len(Grid(rates=(0.001, 0.003), decays=(0.1,)).points)
    2
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    rates: tuple[float, ...] = Field(default=(0.001, 0.003), min_length=1, description="learning rates of AdamW")
    decays: tuple[float, ...] = Field(default=(0.001, 0.1, 1.0), min_length=1, description="weight decays")
    balances: tuple[float, ...] = Field(default=(), description="weights of the loss on rates beside that on objects")
    n_epochs: int = Field(default=40, ge=1, description="epochs of each point, along half a cosine")
    batch: int = Field(default=32, ge=2, description="stimuli of a batch")
    held_out: float = Field(default=0.15, gt=0, lt=1, description="share of training stimuli to choose by")

    @property
    def points(self) -> list[dict[str, float]]:
        """Each combination, by name."""
        axes = {"rate": self.rates, "decay": self.decays, **({"balance": self.balances} if self.balances else {})}
        return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


class Learner(Protocol):
    """What is specific to a network that is searched for."""

    def build(self, rows: Array) -> nn.Module:
        """A network that has not learned yet, scaled for these training stimuli; it draws from torch's generator."""
        ...

    def training(self, rows: Array, point: Mapping[str, float], grid: Grid, *, seed: int, device: str) -> Training:
        """How it learns from these training stimuli at a point of the grid."""
        ...

    def score(self, network: nn.Module, rows: Array) -> float:
        """How well it predicts the responses to these stimuli, more is better."""
        ...


@dataclass(frozen=True)
class Found:
    """What the search led to.

    Attributes
    ----------
    network
        Trained on all training stimuli, in evaluation mode.
    chosen
        The point, its epoch (from 1) and its score on what was held out inside.
    tried
        The same for every point; a score of None where it diverged.
    curves
        "loss" and "score" of the chosen point, and "refit loss" of the training on all.
    """

    network: nn.Module
    chosen: dict[str, float]
    tried: list[dict[str, Any]]
    curves: dict[str, list[float]]


def inner_split(contents: Sequence[str], held_out: float, seed: int) -> tuple[Array, Array]:
    """Places of the training stimuli to learn from and of those to choose by; equal contents stay together.

    Examples
    --------
    >>> fit, choose = inner_split(["a", "b", "a", "c"], 0.25, seed=0)
    >>> sorted([*fit.tolist(), *choose.tolist()]), len({0, 2} & set(choose.tolist())) != 1
    ([0, 1, 2, 3], True)
    """
    names = list(dict.fromkeys(contents))
    n_held_out = max(1, round(held_out * len(names)))
    order = seeded_order(len(names), INNER, seed)
    chosen = {names[place] for place in order[:n_held_out]}
    inside = np.array([content in chosen for content in contents])
    return np.flatnonzero(~inside), np.flatnonzero(inside)


def search(learner: Learner, grid: Grid, contents: Sequence[str], *, seed: int, device: str, journal: Journal) -> Found:
    """Choose a point and an epoch inside the training part, and train on all of it.

    Raises
    ------
    DataError
        Every point diverged.
    """
    fit, choose = inner_split(contents, grid.held_out, seed)
    points = grid.points
    journal.expect((len(points) + 1) * grid.n_epochs)
    tried = [_tried(learner, grid, point, (fit, choose), seed=seed, device=device, journal=journal) for point in points]
    scores = [one["score"] if one["score"] is not None else -math.inf for one in tried]
    best = int(np.argmax(scores))
    if scores[best] == -math.inf:
        raise DataError(f"Training diverged at each of {len(points)} points ({tried[0]['why']}). Use smaller rates.")
    chosen = {name: tried[best][name] for name in (*points[best], "epoch", "score")}
    curves = {name: list(values) for name, values in tried[best].pop("curves").items()}
    for one in tried:
        one.pop("curves", None)
    network, refit = _refitted(learner, grid, chosen, len(contents), seed=seed, device=device, journal=journal)
    return Found(network, chosen, tried, {**curves, "refit loss": refit})


def _tried(
    learner: Learner,
    grid: Grid,
    point: Mapping[str, float],
    places: tuple[Array, Array],
    *,
    seed: int,
    device: str,
    journal: Journal,
) -> dict[str, Any]:
    """A point with its best epoch and the score there."""
    fit, choose = places

    def validate(network: nn.Module) -> dict[str, float]:
        return {"score": learner.score(network, choose)}

    training = learner.training(fit, point, grid, seed=seed, device=device)
    training = _with(training, validate=validate, n_epochs=grid.n_epochs)
    part = journal.part(" ".join(f"{name} {value:g}" for name, value in point.items()), grid.n_epochs)
    try:
        with seeded(seed, device=device):
            network = learner.build(fit)
        found = train(network, training, part)
    except DataError as error:
        return {**point, "epoch": None, "score": None, "why": str(error)}
    curve = found.curves["score"]
    epoch = int(np.argmax(curve))
    return {**point, "epoch": epoch + 1, "score": float(curve[epoch]), "curves": found.curves}


def _refitted(
    learner: Learner,
    grid: Grid,
    chosen: Mapping[str, float],
    n_stimuli: int,
    *,
    seed: int,
    device: str,
    journal: Journal,
) -> tuple[nn.Module, list[float]]:
    """The network at the chosen point, trained on all training stimuli up to the chosen epoch."""
    rows, n_epochs = np.arange(n_stimuli), int(chosen["epoch"])
    journal.expect(len(grid.points) * grid.n_epochs + n_epochs)
    training = _with(learner.training(rows, chosen, grid, seed=seed, device=device), validate=None, n_epochs=n_epochs)
    with seeded(seed, device=device):
        network = learner.build(rows)
    found = train(network, training, journal.part("refit", n_epochs))
    return network, list(found.curves["loss"])


def _with(training: Training, **changed: Any) -> Training:
    from dataclasses import replace

    return replace(training, **changed)
