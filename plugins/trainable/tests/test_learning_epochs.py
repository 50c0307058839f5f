"""Training by epochs: as plain torch does it, the same bytes from a seed, and on after a kill as if there was none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from isocortex.errors import DataError  # noqa: E402
from isocortex.training import Journal, Part  # noqa: E402
from isocortex_trainable.learning.determinism import seeded, seeded_order  # noqa: E402
from isocortex_trainable.learning.epochs import Trained, Training, train  # noqa: E402
from isocortex_trainable.learning.optimisers import optimiser  # noqa: E402
from isocortex_trainable.learning.rates import constant, cosine, falling  # noqa: E402

N_STIMULI, SIZE = 50, 16
New = Callable[[], Journal]


class KilledError(Exception):
    """What a test stops a training with."""


class Killed(Journal):
    """A journal of a process that is gone once so many epochs are on the disk."""

    def __init__(self, folder: Path, after: int) -> None:
        super().__init__(folder)
        self.after = after

    def tell(self, part: Part) -> None:
        super().tell(part)
        if part.n_done == self.after:
            raise KilledError


INPUTS = torch.from_numpy(np.random.default_rng(0).standard_normal((N_STIMULI, 8), dtype=np.float32))
TARGETS = torch.from_numpy(np.random.default_rng(1).standard_normal((N_STIMULI, 3), dtype=np.float32))


def batches(epoch: int, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    order = seeded_order(N_STIMULI, seed, epoch)
    for start in range(0, N_STIMULI, SIZE):
        places = order[start : start + SIZE]
        yield INPUTS[places], TARGETS[places]


def network(dropout: float = 0.3) -> nn.Module:
    with seeded(5):
        return nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Dropout(dropout), nn.Linear(12, 3))


def held_out(module: nn.Module) -> dict[str, float]:
    assert not module.training
    return {"held_out": float(nn.functional.mse_loss(module(INPUTS[:9]), TARGETS[:9]))}


def settings(**changes: Any) -> Training:
    given: dict[str, Any] = {
        "batches": batches,
        "loss": nn.functional.mse_loss,
        "optimiser": optimiser("adam"),
        "rate": cosine(0.01, 6),
        "n_epochs": 6,
    }
    return Training(**(given | changes))


def trained(journal: Journal, **changes: Any) -> tuple[dict[str, Any], Trained]:
    module, training = network(), settings(**changes)
    done = train(module, training, journal.part("part", training.n_epochs))
    return module.state_dict(), done


def equal(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


@pytest.fixture
def new(tmp_path: Path) -> Callable[[], Journal]:
    """Makes journals that hold nothing."""
    numbers = count()
    return lambda: Journal(tmp_path / str(next(numbers)))


def test_without_chance_it_is_the_plain_loop_of_torch(new: New) -> None:
    module, plain = network(0.0), network(0.0)
    sgd = {"momentum": 0.9, "nesterov": True}
    rate = falling([0.05, 0.01], [2], decay=0.1)
    done = train(module, settings(optimiser=optimiser("sgd", **sgd), rate=rate, n_epochs=4), new().part("", 4))
    own, n_updates, losses = torch.optim.SGD(plain.parameters(), lr=1.0, **sgd), 0, []
    for epoch in range(4):
        total = 0.0
        for given, wanted in batches(epoch, 0):
            own.param_groups[0]["lr"] = (0.05 if epoch < 2 else 0.01) / (1 + 0.1 * n_updates)
            loss = ((plain(given) - wanted) ** 2).mean()
            own.zero_grad()
            loss.backward()
            own.step()
            n_updates, total = n_updates + 1, total + loss.item() * len(given)
        losses.append(total / N_STIMULI)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(module.state_dict()[name], tensor, rtol=0, atol=1e-7)
    np.testing.assert_allclose(done.curves["loss"], losses, rtol=1e-6)
    assert done.epoch == done.n_epochs == 4


def test_a_seed_repeats_itself_and_disturbs_no_generator_outside(new: New) -> None:
    torch.manual_seed(1)
    outside = torch.random.get_rng_state()
    first, second, other = trained(new()), trained(new()), trained(new(), seed=1)
    assert torch.equal(outside, torch.random.get_rng_state())
    assert not torch.are_deterministic_algorithms_enabled()
    assert equal(first[0], second[0])
    assert first[1] == second[1]
    assert not equal(first[0], other[0])


@pytest.mark.parametrize("name", ["adam", "sgd"])
@pytest.mark.parametrize("kill_after", [1, 3, 5, 6])
def test_killed_at_the_end_of_an_epoch_it_goes_on_to_the_same_bytes(
    name: str, kill_after: int, tmp_path: Path, new: New
) -> None:
    how: dict[str, Any] = {
        "optimiser": optimiser(name, **({"momentum": 0.9} if name == "sgd" else {})),
        "rate": falling([0.02], [], decay=0.05),
        "validate": held_out,
        "best": ("held_out", "most"),  # an early epoch, which a rerun has to know
    }
    whole, told = trained(new(), **how)
    with pytest.raises(KilledError):
        trained(Killed(tmp_path / "killed", kill_after), **how)
    journal = Journal(tmp_path / "killed")
    assert journal.part("part", 6).n_done == kill_after
    weights, again = trained(journal, **how)
    assert equal(whole, weights)
    assert told == again
    assert journal.part("part", 6).finished


def test_the_best_epoch_is_taken_the_first_of_equal_ones(new: New) -> None:
    found = iter([0.5, 0.2, 0.2, 0.9, 0.3, 0.4])
    seen: list[dict[str, Any]] = []

    def validate(module: nn.Module) -> dict[str, float]:
        seen.append({name: tensor.clone() for name, tensor in module.state_dict().items()})
        return {"error": next(found)}

    weights, done = trained(new(), validate=validate, best=("error", "least"))
    assert done.epoch == 2
    assert equal(weights, seen[1])
    found = iter([0.5, 0.2, 0.9, 0.9, 0.3, 0.4])
    weights, done = trained(new(), validate=validate, best=("error", "most"))
    assert done.epoch == 3
    assert equal(weights, seen[6 + 2])


def test_only_parameters_that_require_gradients_change(new: New) -> None:
    module = network()
    module[0].requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    train(module, settings(optimiser=optimiser("sgd", weight_decay=0.1), n_epochs=1), new().part("", 1))
    changed = [name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])]
    assert changed == ["3.weight", "3.bias"]
    with pytest.raises(DataError, match="Sequential has no parameters that can be trained"):
        train(module.requires_grad_(False), settings(), new().part("", 6))


def test_what_cannot_be_trained_is_refused(new: New) -> None:
    with pytest.raises(DataError, match=r"loss is no finite number any more in epoch 1\. Lower the learning rate"):
        train(network(), settings(optimiser=optimiser("sgd"), rate=constant(1e30)), new().part("", 6))
    with pytest.raises(DataError, match="nothing to train on"):
        train(network(), settings(batches=lambda *_: ()), new().part("", 6))
    with pytest.raises(DataError, match="Epoch 1 cannot be compared with others: its value of 'error' is nan"):
        train(network(), settings(best=("error", "least")), new().part("", 6))


def test_several_inputs_and_several_answers_of_a_module(new: New) -> None:
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            with seeded(2):
                self.objects, self.rates = nn.Linear(8, 2), nn.Linear(8, 3)

        def forward(self, given: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
            return self.objects(given["image"]), self.rates(given["image"])

    def both(epoch: int, seed: int) -> Iterator[tuple[Any, Any]]:
        for given, wanted in batches(epoch, seed):
            yield {"image": given}, ((wanted[:, 0] > 0).long().numpy(), wanted)

    def loss(output: Any, wanted: Any) -> torch.Tensor:
        return nn.functional.cross_entropy(output[0], wanted[0]) + nn.functional.mse_loss(output[1], wanted[1])

    done = train(Heads(), settings(batches=both, loss=loss), new().part("", 6))
    assert done.curves["loss"][-1] < done.curves["loss"][0]
