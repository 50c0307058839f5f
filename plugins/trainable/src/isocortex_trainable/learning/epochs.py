"""Training by epochs: any module, any loss, batches that a seed orders, and a journal that goes on after a kill.

What is drawn in an epoch (order of batches, augmentation, dropout) is decided by the seed and the number of the epoch
alone, so that the state of no generator has to be kept: an epoch that is begun again draws the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from isocortex.errors import DataError
from isocortex_trainable.learning.determinism import deterministic, seeded
from isocortex_trainable.learning.optimisers import MakeOptimiser, remembered, remind, set_rate
from isocortex_trainable.learning.rates import Rate

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from isocortex.training import Part

#: (epoch, seed) → pairs of what the module gets and what the loss is told beside the module's output: tensors, or
#: tuples and mappings of them, on the CPU, the stimulus first. The same arguments give the same batches.
Batches = Callable[[int, int], Iterable[tuple[Any, Any]]]
#: (output of the module, what the batch says) → a tensor of one number, a mean over the batch
Loss = Callable[[Any, Any], "Tensor"]
#: (the module, in evaluation mode and without gradients) → curve → value
Validate = Callable[["nn.Module"], Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a module is trained.

    Attributes
    ----------
    batches, loss
        What it learns.
    optimiser, rate
        How it is updated.
    n_epochs
        How often all batches are seen.
    seed
        Decides everything that is drawn.
    device
        "cpu", "cuda", "mps".
    validate
        Called at the end of every epoch; its values become curves beside "loss".
    best
        A curve, and whether its least or its most is wanted: the weights of that epoch are taken at the end, of the
        first where several are equal. None: those of the last epoch. The curve must come of stimuli that are held out
        of the training part, not of those that are scored.
    """

    batches: Batches
    loss: Loss
    optimiser: MakeOptimiser
    rate: Rate
    n_epochs: int
    seed: int = 0
    device: str = "cpu"
    validate: Validate | None = None
    best: tuple[str, Literal["least", "most"]] | None = None


@dataclass(frozen=True)
class Trained:
    """What a training run led to; the module holds the weights of ``epoch``, counted from 1."""

    epoch: int
    n_epochs: int
    curves: Mapping[str, Sequence[float]]


def train(module: nn.Module, training: Training, part: Part) -> Trained:
    """Train the parameters of a module that require gradients, in place.

    Parameters
    ----------
    module
        With the weights that training begins with; on return in evaluation mode, on the device, with those chosen.
    training
        How it is trained.
    part
        Of a journal, for ``training.n_epochs`` epochs: those that it holds are not trained again. Its state has about
        the size of the weights that are trained, what the optimiser remembers of them and, with ``training.best``, the
        weights again.

    Raises
    ------
    DataError
        The loss or the curve that chooses an epoch is no finite number, there are no batches, or nothing to train.
    """
    module.to(training.device)
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not learning:
        raise DataError(f"{type(module).__name__} has no parameters that can be trained.")
    run = _Run(module, training, training.optimiser(learning))
    run.restore(part.state)
    with deterministic():
        for epoch in range(part.n_done, training.n_epochs):
            values = run.epoch(epoch)
            part.keep(run.state(), **values)
    return run.chosen(part)


class _Run:
    """A training run between two epochs."""

    def __init__(self, module: nn.Module, training: Training, optimizer: Optimizer) -> None:
        self.module, self.training, self.optimizer = module, training, optimizer
        self.n_updates = 0
        self.best: dict[str, Any] = {}

    def restore(self, state: Any) -> None:
        """Go on where an earlier run ended."""
        if state is None:
            return
        state = as_tensors(state)
        self.module.load_state_dict(state["module"], strict=False)
        remind(self.optimizer, state["optimiser"])
        self.n_updates, self.best = state["n_updates"], state["best"]

    def state(self) -> dict[str, Any]:
        """All that the next epoch depends on."""
        return {
            "module": weights_of(self.module),
            "optimiser": remembered(self.optimizer),
            "n_updates": self.n_updates,
            "best": self.best,
        }

    def epoch(self, epoch: int) -> dict[str, float]:
        """Train one epoch, and return its values."""
        self.module.train()
        with seeded(self.training.seed, epoch, device=self.training.device):
            values = {"loss": self._batches(epoch)}
        if self.training.validate is not None:
            values |= evaluated(self.module, self.training.validate)
        self._compare(epoch, values)
        return values

    def _batches(self, epoch: int) -> float:
        """The mean loss of an epoch over stimuli."""
        total, n_stimuli = 0.0, 0
        for given, wanted in self.training.batches(epoch, self.training.seed):
            set_rate(self.optimizer, self.training.rate(epoch, self.n_updates))
            self.optimizer.zero_grad(set_to_none=True)
            output = self.module(moved(given, self.training.device))
            loss = self.training.loss(output, moved(wanted, self.training.device))
            loss.backward()
            self.optimizer.step()
            self.n_updates += 1
            n_batch = len(_first(given))
            total, n_stimuli = total + float(loss.detach()) * n_batch, n_stimuli + n_batch
            if not math.isfinite(total):
                raise DataError(
                    f"The loss is no finite number any more in epoch {epoch + 1}. Lower the learning rate, or look for "
                    "numbers in the stimuli or responses that are not finite."
                )
        if not n_stimuli:
            raise DataError("There is nothing to train on: expected at least one batch in an epoch.")
        return total / n_stimuli

    def _compare(self, epoch: int, values: Mapping[str, float]) -> None:
        if self.training.best is None:
            return
        curve, wanted = self.training.best
        value = values.get(curve, math.nan)
        if not math.isfinite(value):
            raise DataError(f"Epoch {epoch + 1} cannot be compared with others: its value of {curve!r} is {value}.")
        before = self.best.get("value")
        if before is None or (value < before if wanted == "least" else value > before):
            self.best = {"epoch": epoch + 1, "value": value, "module": weights_of(self.module)}

    def chosen(self, part: Part) -> Trained:
        """Put the chosen weights into the module."""
        if self.best:
            self.module.load_state_dict(self.best["module"], strict=False)
        self.module.eval()
        epoch = int(self.best["epoch"]) if self.best else self.training.n_epochs
        return Trained(epoch, self.training.n_epochs, {name: list(curve) for name, curve in part.curves.items()})


def evaluated(module: nn.Module, validate: Validate) -> dict[str, float]:
    """What a function finds of a module in evaluation mode and without gradients."""
    import torch

    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            return {name: float(value) for name, value in validate(module).items()}
    finally:
        module.train(training)


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Copies on the CPU of a module's tensors that training changes, by name: all but frozen parameters."""
    frozen = {name for name, parameter in module.named_parameters() if not parameter.requires_grad}
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items() if name not in frozen}


def moved(value: Any, device: str) -> Any:
    """Tensors on a device, also inside of tuples, lists and mappings; arrays become tensors, other values stay."""
    import numpy as np
    import torch

    if isinstance(value, Mapping):
        return {name: moved(item, device) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(moved(item, device) for item in value)
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value)
    return value.to(device) if isinstance(value, torch.Tensor) else value


def as_tensors(value: Any) -> Any:
    """Arrays as tensors, also inside of lists and mappings; journals give arrays back."""
    import numpy as np
    import torch

    if isinstance(value, Mapping):
        return {name: as_tensors(item) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [as_tensors(item) for item in value]
    return torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value


def _first(value: Any) -> Any:
    """The first tensor of what a module gets, to count stimuli."""
    if isinstance(value, Mapping):
        return _first(next(iter(value.values())))
    return _first(value[0]) if isinstance(value, (tuple, list)) else value
