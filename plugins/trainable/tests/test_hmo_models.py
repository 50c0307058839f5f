"""``hmo`` and ``hmo-demo`` as models: which network a variant is, what it is given, and what its digest stands on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from isocortex import load_card, load_model  # noqa: E402
from isocortex.activations import LayerOutput  # noqa: E402
from isocortex.data import Stimulus, StimulusSet  # noqa: E402
from isocortex.errors import DataError, SettingsError, UsageError  # noqa: E402
from isocortex.files.code import closure  # noqa: E402
from isocortex.interfaces import LoadedModel, ModelCard, Variant  # noqa: E402
from isocortex_trainable.hmo.configuration import Configuration, ImageSettings  # noqa: E402
from isocortex_trainable.hmo.model import FOUND, Hmo  # noqa: E402
from isocortex_trainable.hmo.network import HmoNetwork, features, layer_names  # noqa: E402
from isocortex_trainable.hmo.preprocessing import LUMA, prepare  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def plugin(name: str) -> Hmo:
    card = load_card("model", name)
    assert isinstance(card, ModelCard)
    return Hmo(card)


def configuration(name: str, variant: str) -> Configuration:
    return plugin(name).configuration(Variant.parse(variant))


@pytest.fixture(scope="module")
def pictures() -> StimulusSet:
    generator = np.random.default_rng(0)
    arrays = [generator.integers(0, 256, (50, 70, 3), dtype=np.uint8) for _ in range(3)]
    named = {f"picture{place}": Stimulus(f"picture{place}", "image", array) for place, array in enumerate(arrays)}
    return StimulusSet("pictures", "image", named)


def run(model: LoadedModel, stimuli: StimulusSet) -> dict[str, LayerOutput]:
    given: dict[str, LayerOutput] = {}
    model.run(stimuli.batch(range(len(stimuli.ids))), model.layers, given.__setitem__)
    return given


def test_random_variants_of_the_demo_have_its_depth_and_nothing_else_of_it():
    found = configuration("hmo-demo", "fixed")
    drawn = [configuration("hmo-demo", f"random:{seed}") for seed in range(5)]
    assert {one.depths for one in drawn} == {found.depths}
    assert {one.image for one in drawn} == {found.image}
    stacks = [stack for one in (found, *drawn) for level in one.levels for stack in level]
    assert len(set(stacks)) == len({stack.seed for stack in stacks}) == len(stacks)


def test_a_model_gives_what_the_network_gives_for_prepared_images(pictures: StimulusSet):
    found = configuration("hmo", "random:3")
    with load_model("hmo@random:3") as model:
        assert list(model.layers) == layer_names(found)
        given = run(model, pictures)
    images = np.stack([prepare(pictures.load(place).array, found.image) for place in range(3)])
    network = HmoNetwork(found)
    with torch.no_grad():
        joined = network.maps(torch.from_numpy(images)).numpy()
    assert set(given) == set(layer_names(found))
    assert all(tuple(output.axes) == ("channel", "height", "width") for output in given.values())
    assert np.abs(np.asarray(given["level1.joined"].array) - joined).max() < 1e-6
    assert np.abs(np.asarray(given["output"].array).reshape(3, -1) - features(found, images)).max() < 1e-6


def test_a_file_is_the_network_that_it_describes(tmp_path: Path, pictures: StimulusSet):
    described = configuration("hmo", "random:1").to_json()
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(described))
    with load_model(f"hmo@file:{path}") as file, load_model("hmo@random:1") as drawn:
        one, other = run(file, pictures), run(drawn, pictures)
    assert np.array_equal(np.asarray(one["output"].array), np.asarray(other["output"].array))
    before = plugin("hmo").digest(Variant.parse(f"file:{path}"))
    described["levels"][0][0]["seed"] += 1
    path.write_text(json.dumps(described))
    assert plugin("hmo").digest(Variant.parse(f"file:{path}")) != before
    path.write_text("{}")
    with pytest.raises(SettingsError, match="levels: Field required"):
        load_model(f"hmo@file:{path}")


def test_variants_that_a_row_does_not_have_are_refused():
    with pytest.raises(UsageError):
        load_model("hmo@fixed")
    with pytest.raises(UsageError, match="hmo has no variant fixed"):
        configuration("hmo", "fixed")


def test_the_search_is_no_part_of_a_models_digest():
    """A model's numbers stand on these modules alone, so that optuna is never imported for them."""
    modules = closure("isocortex_trainable.hmo.model") or {}
    names = {name.rpartition(".")[2] for name in modules if name.startswith("isocortex_trainable.hmo.")}
    assert names == {"configuration", "model", "network", "preprocessing", "search_space", "steps"}


def test_images_become_grey_squares_in_zero_to_one():
    image = np.random.default_rng(1).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    grey = prepare(image, ImageSettings(size=24))
    assert grey.shape == (1, 24, 24)
    assert np.abs(grey[0] - image / 255 @ np.array(LUMA)).max() < 1e-6
    rgb = prepare(image, ImageSettings(size=24, colours="rgb"))
    assert np.abs(rgb - np.moveaxis(image / 255, 2, 0)).max() < 1e-6
    halved = prepare(np.full((10, 40, 3), 51, dtype=np.uint8), ImageSettings(size=8))
    assert halved == pytest.approx(0.2)
    with pytest.raises(DataError, match=r"found \(24, 24\) of uint8"):
        prepare(image[:, :, 0], ImageSettings(size=24))


def test_the_shipped_configuration_says_what_made_it():
    made_by = json.loads(FOUND.read_text())["made_by"]
    assert made_by["command"].startswith("isocortex hmo search --trials")
    assert made_by["settings"]["seed"] == 0
    assert "optuna" in made_by["versions"]
