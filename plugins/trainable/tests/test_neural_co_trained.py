"""``co-trained`` learns objects and rates together, from training labels alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import isocortex
from isocortex.data import Stimulus, StimulusSet, make_responses
from isocortex.errors import DataError
from isocortex.interfaces import ModelCard, Variant
from isocortex.training import Fitted, Journal
from isocortex_trainable.neural.co_trained import CoLearner, CoTrained, two_headed
from isocortex_trainable.neural.grid_search import Grid

GRID = {"rates": [0.001], "decays": [0.001], "balances": [0.1, 10.0], "n_epochs": 1, "batch": 8}


def plugin(**options: Any) -> CoTrained:
    """The row, on a smaller network and smaller pictures."""
    card = isocortex.load_card("model", "co-trained-from-random")
    assert isinstance(card, ModelCard)
    own = {"backbone": "resnet18@random", "side": 32, "grid": GRID, **options}
    return CoTrained(card.model_copy(update={"options": own}))


def problem(n_stimuli: int = 32, **columns: Any):
    """Bright and dark pictures, their names, and rates that follow the brightness."""
    stream = np.random.default_rng(0)
    bright = np.arange(n_stimuli) % 2
    images = np.clip(60 + 120 * bright[:, None, None, None] + stream.normal(0, 20, (n_stimuli, 32, 32, 3)), 0, 255)
    names = [f"p{number:02d}" for number in range(n_stimuli)]
    table = pd.DataFrame(columns or {"object_name": np.where(bright, "moon", "coal")}, index=names)
    sources = {name: Stimulus(name, "image", image) for name, image in zip(names, images.astype(np.uint8), strict=True)}
    stimuli = StimulusSet("two", "image", sources, table=table)
    rates = np.stack([bright + stream.normal(0, 0.1, n_stimuli), stream.normal(5, 1, n_stimuli)], axis=1)
    return stimuli, make_responses(rates, names, neuroid={"neuroid_id": ["lit", "idle"]})


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """One fit."""
    journal = Journal(tmp_path_factory.mktemp("fit") / "journal")
    return plugin().fit(*problem(), seed=3, device="cpu", journal=journal)


@pytest.mark.long
def test_rates_are_named_after_neuroids_and_objects_after_labels(fitted: Fitted) -> None:
    stimuli, _ = problem()
    found = {}
    with plugin().open(fitted, device="cpu") as loaded:
        assert list(loaded.layers) == ["output"]
        assert loaded.find("backbone.layer4")
        loaded.run(stimuli.batch([0, 1]), ["output", "objects"], lambda layer, output: found.update({layer: output}))
    assert list(found["output"].units) == ["lit", "idle"]
    assert list(found["objects"].units) == ["coal", "moon"]
    assert {one["balance"] for one in fitted.settings["tried"]} == {0.1, 10.0}
    assert fitted.settings["chosen"]["balance"] in (0.1, 10.0)


@pytest.mark.long
def test_equal_seeds_leave_equal_bytes(fitted: Fitted, tmp_path: Path) -> None:
    again = plugin().fit(*problem(), seed=3, device="cpu", journal=Journal(tmp_path))
    assert set(again.tensors) == set(fitted.tensors)
    for name, values in fitted.tensors.items():
        np.testing.assert_array_equal(again.tensors[name], values, err_msg=name)


def test_the_loss_is_that_of_both_heads() -> None:
    learner = CoLearner("resnet18@random:0", np.zeros((4, 3, 8, 8), np.uint8), np.eye(4)[:, :2], np.array([0, 1, 1, 0]))
    wanted = tuple(torch.from_numpy(one) for one in learner.targets(np.arange(4)))
    output = {"output": torch.full((4, 2), 0.5), "objects": torch.tensor([[1.0, 0.0]] * 4)}
    loss = float(learner.loss({"balance": 3.0})(output, wanted))
    z = (np.eye(4)[:, :2] - 0.25) / np.eye(4)[:, :2].std(axis=0)
    entropy = np.mean([np.log(np.exp(1) + 1) - (1.0 if label == 0 else 0.0) for label in (0, 1, 1, 0)])
    assert loss == pytest.approx(entropy + 3 * np.mean((0.5 - z) ** 2), rel=1e-6)


def test_the_features_are_those_of_the_network_that_it_begins_with() -> None:
    network = two_headed("resnet18@random:5", 2, 3).eval()
    with isocortex.load_model("resnet18@random:5") as loaded:
        other = loaded.module  # pyright: ignore[reportAttributeAccessIssue]
        other.fc = torch.nn.Identity()
        images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
        mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        given = (images.float() / 255 - mean[:, None, None]) / deviation[:, None, None]
        with torch.no_grad():
            expected = network.objects(other.eval()(given))
            torch.testing.assert_close(network(images)["objects"], expected)


def test_what_it_begins_with_is_part_of_the_digest() -> None:
    found = [
        plugin(backbone=name).digest(Variant.parse("trained:0")) for name in ("resnet18@random", "resnet34@random")
    ]
    assert len({*found, plugin().digest(Variant.parse("trained:1"))}) == 3
    assert None not in found


@pytest.mark.parametrize(
    ("columns", "problem_text"),
    [
        ({"place": ["x"] * 32}, "needs a column object_name or object"),
        ({"object": ["x"] * 32}, "All 32 training pictures"),
    ],
)
def test_without_objects_it_is_refused(columns: dict[str, Any], problem_text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=problem_text):
        plugin().fit(*problem(**columns), seed=0, device="cpu", journal=Journal(tmp_path))


def test_every_combination_is_tried() -> None:
    points = Grid(rates=(1.0, 2.0), decays=(3.0,), balances=(4.0, 5.0)).points
    assert points == [{"rate": a, "decay": 3.0, "balance": b} for a in (1.0, 2.0) for b in (4.0, 5.0)]
