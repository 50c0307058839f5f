"""Networks as observers of 16 categories: probabilities by hand, the published classes, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("isocortex_vision")

from scipy.special import softmax  # noqa: E402

from isocortex.catalogue.cards import Variant  # noqa: E402
from isocortex.errors import DataError, LayerError, PluginError, UnknownIDError  # noqa: E402
from isocortex.extraction.extractor import activations_in_memory  # noqa: E402
from isocortex_vision.sixteen_way import CATEGORIES, category_probabilities, classes_of  # noqa: E402

pytestmark = pytest.mark.xdist_group("vision")

RANDOM = Variant.parse("random:0")


def test_the_decision_is_the_largest_mean_probability_of_the_networks_own_output(images, plugin) -> None:
    shown = images(3, 224, 224)
    with plugin("16-way/as-is/squeezenet1_1").load(RANDOM, device="cpu") as observer:
        assert list(observer.layers) == ["categories"]
        found = activations_in_memory(observer, shown, ["categories"], batch_size=2)["categories"]
    assert found.units == CATEGORIES
    with plugin("as-is/squeezenet1_1").load(RANDOM, device="cpu") as network, torch.no_grad():
        fed = network._sight.chosen.make(shown.batch(range(3)))
        logits = network.module(torch.from_numpy(fed)).double().numpy()
    expected = np.stack([softmax(logits, axis=1)[:, classes_of(name)].mean(axis=1) for name in CATEGORIES], axis=1)
    np.testing.assert_allclose(found.array(list(shown.ids)), expected, rtol=1e-5, atol=0)


def test_the_mean_and_not_the_sum_decides() -> None:
    """Dogs have 110 classes and clocks three: many small probabilities do not outweigh few larger ones."""
    logits = np.zeros((1, 1000))
    logits[0, list(classes_of("dog"))] = 1.0
    logits[0, list(classes_of("clock"))] = 2.0
    probabilities = softmax(logits, axis=1)[0]
    assert probabilities[list(classes_of("dog"))].sum() > probabilities[list(classes_of("clock"))].sum()
    assert CATEGORIES[category_probabilities(logits)[0].argmax()] == "clock"


def test_classes_are_those_that_were_published(realdata) -> None:
    path = realdata / "geirhos2021" / "sixteen_classes.json"
    if not path.is_file():
        pytest.skip("the published classes of the 16 categories are absent (ISOCORTEX_REALDATA)")
    published = json.loads(path.read_text(encoding="utf-8"))
    assert list(published) == list(CATEGORIES)
    assert {name: tuple(places) for name, places in published.items()} == {name: classes_of(name) for name in published}


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("16-way/alexnett", UnknownIDError, r"'16-way/alexnett' is 'alexnett' as an observer of 16 cat.*alexnet"),
        ("16-way/16-way/alexnet", PluginError, "must be 16-way/NETWORK or 16-way/PREPROCESSING/NETWORK"),
        ("16-way/as-is/conwell/alexnet", PluginError, "must be 16-way/NETWORK or 16-way/PREPROCESSING/NETWORK"),
        (
            "16-way/lraspp_mobilenet_v3_large",
            LayerError,
            r"the last layer, '.*', gives 21 × 28 × 28 numbers for an image. Expected the 1000 logits",
        ),
    ],
)
def test_what_is_no_observer_is_named(plugin, name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        plugin(name).load(RANDOM, device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda logits: logits.softmax(1), "gives probabilities. Expected logits, before the softmax"),
        (lambda logits: logits * torch.nan, "gives values that are no numbers"),
    ],
)
def test_outputs_that_are_no_logits_are_refused(images, plugin, change: Any, message: str) -> None:
    with plugin("16-way/squeezenet1_1").load(RANDOM, device="cpu") as observer:
        observer._network.module.classifier.register_forward_hook(lambda *given: change(given[-1]))
        with pytest.raises(DataError, match=message):
            activations_in_memory(observer, images(1), ["categories"])
