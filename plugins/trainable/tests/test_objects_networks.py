"""The networks: HD-CNN against plain functions of torch, the published sizes, and its stages on a small problem."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from isocortex.errors import DataError  # noqa: E402
from isocortex.training import Journal  # noqa: E402
from isocortex_trainable.learning.determinism import seeded  # noqa: E402
from isocortex_trainable.objects.cifar_cnn import CifarCNN, CifarCNNArchitecture, n_parameters  # noqa: E402
from isocortex_trainable.objects.classification import ExampleBatches, Examples, named_by  # noqa: E402
from isocortex_trainable.objects.hd_cnn import (  # noqa: E402
    HDCNN,
    Averaged,
    ConsistentLoss,
    HDArchitecture,
    PlainCNN,
    Stack,
)
from isocortex_trainable.objects.hd_training import HDPlan, Lesson, Place, train_hd, train_plain  # noqa: E402

SMALL = HDArchitecture().scaled(1 / 96)


def plain_branch(state: dict[str, Any], name: str, values: Any, stacks: Any, first: int, *, whole: bool) -> Any:
    """Stacks written with functions alone: elu(conv) with padding as in Keras, then the pool."""
    for number, stack in enumerate(stacks, first):
        for place, (_, kernel) in enumerate(stack.convolutions, 1):
            key = f"{name}.conv{number}_{place}.conv"
            left, right = (kernel - 1) // 2, kernel - 1 - (kernel - 1) // 2
            values = functional.conv2d(
                functional.pad(values, (left, right, left, right)), state[f"{key}.weight"], state[f"{key}.bias"]
            )
            values = torch.where(values > 0, values, torch.exp(values) - 1)
        if whole and values.shape[-1] % 2:
            values = functional.pad(values, (0, 1, 0, 1), value=-torch.inf)
        values = functional.max_pool2d(values, 2, 2)
    return values


def plain_logits(state: dict[str, Any], name: str, values: Any, architecture: HDArchitecture) -> Any:
    values = plain_branch(state, name, values, architecture.stacks[-1:], len(architecture.stacks), whole=True)
    values = functional.linear(
        values.flatten(1), state[f"{name}.dense.linear.weight"], state[f"{name}.dense.linear.bias"]
    )
    values = functional.elu(values)
    return functional.linear(values, state[f"{name}.logits.weight"], state[f"{name}.logits.bias"])


@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_hd_cnn_is_what_plain_functions_of_torch_give(scale: float) -> None:
    """p = Σ_k B_k p_k / Σ_k B_k in probabilities, every branch counted; with large weights some B_k are nearly 0."""
    with seeded(1):
        network = HDCNN(SMALL).double().eval()
        images = torch.rand(5, 3, 32, 32, dtype=torch.float64)
    state = network.state_dict()
    for name in list(state):
        if name.endswith("logits.weight"):
            state[name] *= scale
    shared = plain_branch(state, "shared", images, SMALL.stacks[:-1], 1, whole=False)
    coarse = torch.softmax(plain_logits(state, "coarse", shared, SMALL), dim=1)
    total = sum(
        coarse[:, k : k + 1] * torch.softmax(plain_logits(state, f"fine_{k}", shared, SMALL), dim=1) for k in range(20)
    )
    expected = total / coarse.sum(dim=1, keepdim=True)
    found = network(images)
    torch.testing.assert_close(found.coarse.exp(), coarse, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.fine.exp(), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.fine.exp().sum(dim=1), torch.ones(5, dtype=torch.float64), rtol=0, atol=1e-12)
    fifth = sum(
        coarse[:, k : k + 1] * torch.softmax(plain_logits(state, f"fine_{k}", shared, SMALL), dim=1)
        for k in range(0, 20, 5)
    )
    assert (found.fine.exp() - fifth).abs().max() > 1e-3  # every fifth branch alone would be something else


def test_the_plain_cnn_is_the_same_layers_with_one_branch() -> None:
    with seeded(1):
        network, images = PlainCNN(SMALL).double().eval(), torch.rand(4, 3, 32, 32, dtype=torch.float64)
    state = network.state_dict()
    shared = plain_branch(state, "shared", images, SMALL.stacks[:-1], 1, whole=False)
    torch.testing.assert_close(network(images), plain_logits(state, "fine", shared, SMALL), rtol=0, atol=1e-9)


def test_the_published_networks_have_their_sizes() -> None:
    """Channels, kernels and units by hand: 16 shared convolutions, then 2 and a dense layer in every branch."""
    shapes = [(3, 384, 3), (384, 384, 1), (384, 384, 2), (384, 640, 2), (640, 640, 2), (640, 640, 1), (640, 768, 2)]
    shapes += [(768, 768, 2)] * 2 + [(768, 768, 1), (768, 896, 2), (896, 896, 2), (896, 896, 3), (896, 1024, 2)]
    shapes += [(1024, 1024, 2)]
    shared = sum(before * after * kernel**2 + after for before, after, kernel in shapes)
    own = 1024 * 1024 + 1024 + 1024 * 1152 * 4 + 1152 + 1152 * 1152 + 1152
    with torch.device("meta"):
        assert n_parameters(PlainCNN(HDArchitecture())) == shared + own + 1153 * 100
        network = HDCNN(HDArchitecture())
        assert n_parameters(network) == shared + 21 * own + 1153 * 20 + 20 * 1153 * 100
        layers = network.shared(torch.rand(2, 3, 32, 32))
        assert layers.shape == (2, 1024, 1, 1)
        assert network(torch.rand(2, 3, 32, 32)).fine.shape == (2, 100)
        dense = 1152 * 1024 + 1024  # 128 maps of 3 × 3
        convolutions = (3 * 32 + 32 * 64 + 64 * 128) * 9 + 32 + 64 + 128
        assert n_parameters(CifarCNN(CifarCNNArchitecture())) == convolutions + dense + 1025 * 10
    assert [stack.dropout for stack in HDArchitecture().stacks] == [0, 0.2, 0.3, 0.4, 0.5, 0.6]


def test_the_small_cnn_is_what_plain_functions_of_torch_give() -> None:
    with seeded(2):
        network, images = CifarCNN(CifarCNNArchitecture().scaled(0.2)).eval(), torch.rand(4, 3, 32, 32)
    state, values = network.state_dict(), images
    for name in ("conv1", "conv2", "conv3"):
        values = functional.relu(
            functional.conv2d(values, state[f"{name}.0.weight"], state[f"{name}.0.bias"], stride=2)
        )
    values = functional.relu(functional.linear(values.flatten(1), state["dense.2.weight"], state["dense.2.bias"]))
    expected = functional.linear(values, state["logits.weight"], state["logits.bias"])
    torch.testing.assert_close(network(images), expected, rtol=0, atol=1e-6)


def test_dropout_acts_in_training_alone() -> None:
    with seeded(3):
        images = torch.rand(3, 3, 32, 32)
        for network in (CifarCNN(CifarCNNArchitecture().scaled(0.1)), PlainCNN(SMALL)):
            network.train()
            assert not torch.equal(network(images), network(images))
            network.eval()
            assert torch.equal(network(images), network(images))


def test_architectures_come_back_from_their_settings() -> None:
    for made in (HDArchitecture(), SMALL):
        assert HDArchitecture.of_settings(made.as_settings()) == made
    small = CifarCNNArchitecture(n_classes=7).scaled(0.3)
    assert CifarCNNArchitecture.of_settings(small.as_settings()) == small


def test_the_loss_is_likelihood_and_consistency() -> None:
    stream = np.random.default_rng(0)
    fine, coarse = stream.dirichlet(np.ones(6), 8), stream.dirichlet(np.ones(3), 8)
    classes, shares = stream.integers(0, 6, 8), np.array([0.5, 0.3, 0.2])
    likelihood = -np.mean([np.log(fine[i, c]) for i, c in enumerate(classes)])
    expected = likelihood + 20 / 2 * sum((shares[k] - coarse[:, k].mean()) ** 2 for k in range(3))
    given = Averaged(torch.from_numpy(fine).log(), torch.from_numpy(coarse).log())
    found = ConsistentLoss(torch.from_numpy(shares), 20.0)(given, torch.from_numpy(classes))
    assert float(found) == pytest.approx(expected, rel=1e-12)


# --- stages

TINY = HDArchitecture(stacks=(Stack(((4, 3),)), Stack(((6, 2),), 0.1)), n_units=8, n_fine=6, n_coarse=3, size=8)
PLAN = HDPlan(plain=3, coarse=2, branch=2, end_to_end=2, rates=(0.05, 0.01), n_batch=32, augment=False)
COARSE_OF = np.array([0, 1, 2, 0, 1, 2])


def lesson(n_images: int = 240, seed: int = 0) -> Lesson:
    """Six classes of 8 × 8 images: a bright row, whose place is the class, in noise."""
    stream = np.random.default_rng(seed)
    classes = np.arange(n_images) % 6
    inputs = stream.standard_normal((n_images, 3, 8, 8)).astype(np.float32)
    inputs[np.arange(n_images), :, classes + 1] += 1.5
    n_held_out = n_images // 5
    examples = [Examples(inputs[part], classes[part]) for part in (slice(n_held_out, None), slice(n_held_out))]
    return Lesson(*examples, COARSE_OF)


def test_stages_begin_with_the_plain_cnn_and_change_only_what_they_train(tmp_path: Path) -> None:
    place = Place(journal=Journal(tmp_path / "a"))
    plain, _ = train_plain(TINY, lesson(), PLAN, place)
    only_plain = HDPlan(**{**vars(PLAN), "coarse": 0, "branch": 0, "end_to_end": 0})
    network, _ = train_hd(TINY, lesson(), only_plain, Place(journal=Journal(tmp_path / "b")))
    expected = plain.state_dict()
    for name, values in network.state_dict().items():
        part, _, rest = name.partition(".")
        if part == "shared":
            assert torch.equal(values, expected[name])
        elif part == "coarse":
            assert torch.equal(values, expected[f"fine.{rest}"]) != rest.startswith("logits.")
        else:
            assert torch.equal(values, expected[f"fine.{rest}"])
    branches = HDPlan(**{**vars(PLAN), "end_to_end": 0})
    network, found = train_hd(TINY, lesson(), branches, Place(journal=Journal(tmp_path / "c")))
    assert all(torch.equal(values, expected[f"shared.{name}"]) for name, values in network.shared.state_dict().items())
    assert list(found) == ["plain", "coarse", "fine_0", "fine_1", "fine_2", "end_to_end"]
    states = [network.get_submodule(name).state_dict() for name in network.names]
    assert not torch.equal(states[0]["dense.linear.weight"], states[1]["dense.linear.weight"])
    whole, found = train_hd(TINY, lesson(), PLAN, Place(journal=Journal(tmp_path / "d")))
    assert not torch.equal(whole.shared.conv1_1.conv.weight, network.shared.conv1_1.conv.weight)
    others = lesson(seed=1).learned
    assert np.mean(named_by(whole, others.inputs, "cpu") == others.classes) > 0.4  # chance is 1 in 6
    assert found["end_to_end"].curves["loss"][0] < found["plain"].curves["loss"][0]


def test_a_branch_learns_the_images_of_its_coarse_class_alone() -> None:
    within = lesson().within(1)
    assert set(within.learned.classes.tolist()) == {1, 4}
    assert set(within.held_out.classes.tolist()) == {1, 4}
    assert lesson().of_coarse().learned.classes.max() == 2
    torch.testing.assert_close(lesson().shares(3), torch.full((3,), 1 / 3))


def test_a_hierarchy_of_another_network_is_refused(tmp_path: Path) -> None:
    place = Place(journal=Journal(tmp_path))
    with pytest.raises(DataError, match="The network has 100 classes in 20 coarse ones; the images have 6 in 0, 1, 2"):
        train_hd(HDArchitecture(), lesson(), PLAN, place)
    one = Lesson(lesson().learned, lesson().held_out.where(lesson().held_out.classes == 0), COARSE_OF)
    with pytest.raises(DataError, match="Coarse class 1 has 64 images to learn from and 0 held out"):
        one.within(1)


def test_batches_hold_every_image_once_or_twice_in_an_order_of_seed_and_epoch() -> None:
    examples = lesson().learned
    numbered = Examples(examples.inputs, np.arange(len(examples)))
    for augment in (False, True):
        batches = ExampleBatches(numbered, 50, augment)
        orders = [np.concatenate([classes for _, classes in batches(*now)]) for now in ((0, 0), (0, 0), (1, 0), (0, 1))]
        np.testing.assert_array_equal(orders[0], orders[1])
        assert not any(np.array_equal(orders[0], other) for other in orders[2:])
        expected = np.sort(np.tile(np.arange(len(examples)), 2 if augment else 1))
        np.testing.assert_array_equal(np.sort(orders[0]), expected)
    plain = {int(c): x for xs, cs in ExampleBatches(numbered, 50)(0, 0) for x, c in zip(xs, cs, strict=True)}
    assert all(np.array_equal(plain[number], image) for number, image in enumerate(examples.inputs))
