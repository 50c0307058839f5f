"""Configurations are strict, survive JSON, and always run; what is searched is what is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isocortex.errors import SettingsError
from isocortex_trainable.hmo.configuration import (
    Configuration,
    ImageSettings,
    LayerSettings,
    StackSettings,
    configuration_of,
    read_configuration,
)
from isocortex_trainable.hmo.network import features
from isocortex_trainable.hmo.search_space import SEARCHED, RandomChooser, SearchSpace

LAYER = {"channels": 8, "kernel": 3}


def written(**layer: Any) -> dict[str, Any]:
    return {"levels": [[{"seed": 0, "layers": [{**LAYER, **layer}]}]]}


def test_json_gives_the_same_configuration_again(tmp_path: Path):
    for seed in range(10):
        drawn = SearchSpace().draw_configuration(seed, ImageSettings())
        (tmp_path / "one.json").write_text(json.dumps(drawn.to_json()))
        assert read_configuration(tmp_path / "one.json") == drawn


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (written(thresh=0.1), "levels.0.0.layers.0.thresh: Extra inputs"),
        ({**written(), "stacks": []}, "stacks: Extra inputs"),
        ({"levels": [[{"seed": 0, "layers": [LAYER], "std": 1.0}]]}, "levels.0.0.std: Extra inputs"),
        ({"levels": [[{"seed": 0, "layers": [{"channels": 8}]}]]}, "kernel: Field required"),
        (written(kernel=4), "odd"),
        (written(kernel="3"), "kernel"),
        (written(threshold=1.0), "saturation lies above threshold"),
        (written(order="filter-pool-activate-normalise"), "order"),
        (written(pool_size=2, pool_stride=3), "leave no pixel out"),
        (written(std=float("nan")), "std"),
        (written(pooling="median"), "pooling"),
        ({"levels": []}, "levels"),
        ([], "The configuration:"),
    ],
)
def test_what_is_not_known_or_cannot_be_is_refused(content: Any, expected: str):
    with pytest.raises(SettingsError, match=expected.replace(".", r"\.")):
        configuration_of(content)


def test_a_file_that_is_no_json_is_refused_by_name(tmp_path: Path):
    (tmp_path / "a.json").write_text("{")
    for name in ("a.json", "b.json"):
        with pytest.raises(SettingsError, match=f"{name} is no configuration"):
            read_configuration(tmp_path / name)
    (tmp_path / "a.json").write_text('{"levels": [], "levels": []}')
    with pytest.raises(SettingsError, match="it has levels twice"):
        read_configuration(tmp_path / "a.json")


def test_maps_that_shrink_below_a_kernel_are_refused():
    layers = tuple(LayerSettings(channels=8, kernel=7) for _ in range(3))
    with pytest.raises(ValueError, match="level 1, stack 1, layer 3 has a kernel of 7 pixels and is given maps of 4"):
        Configuration(image=ImageSettings(size=16), levels=((StackSettings(seed=0, layers=layers),),))


@pytest.mark.parametrize(("size", "depths"), [(64, [[3, 3], [3]]), (8, [[3], [3]]), (12, [[1, 2, 3], [2]])])
def test_every_configuration_that_is_drawn_can_run(size: int, depths: list[list[int]]):
    image = ImageSettings(size=size)
    drawn = [SearchSpace().draw_configuration(seed, image, depths) for seed in range(60)]
    assert all(configuration.depths == tuple(map(tuple, depths)) for configuration in drawn)
    assert len({configuration.model_dump_json() for configuration in drawn}) == 60
    if size == 8:
        values = features(drawn[0], np.random.default_rng(0).uniform(0, 1, (1, 1, 8, 8)).astype(np.float32))
        assert values.shape == (1, drawn[0].n_units)


def test_kernels_and_strides_are_only_offered_where_they_fit():
    small = [SearchSpace().draw_stack(RandomChooser(seed), 5, seed) for seed in range(60)]
    kernels = {layer.kernel for stack in small for layer in stack.layers}
    assert kernels == {3, 5}
    assert {layer.kernel for stack in small for layer in stack.layers[2:]} <= {3, 5}
    with pytest.raises(SettingsError, match="smaller than the smallest kernel"):
        SearchSpace().draw_stack(RandomChooser(0), 2, 0)


def test_a_seed_draws_the_same_configuration_and_the_whole_space_is_reached():
    image = ImageSettings()
    assert SearchSpace().draw_configuration(5, image) == SearchSpace().draw_configuration(5, image)
    layers = [
        layer
        for seed in range(150)
        for stack in SearchSpace().draw_configuration(seed, image).levels[0]
        for layer in stack.layers
    ]
    space = SearchSpace()
    for name in SEARCHED:
        seen, offered = {getattr(layer, name) for layer in layers}, getattr(space, name)
        if name in ("std", "threshold"):
            low, high = offered
            spread = (high - low) / 50
            assert low <= min(seen) < low + spread
            assert high - spread < max(seen) <= high
        else:
            assert seen == set(offered)


@pytest.mark.parametrize("name", SEARCHED)
def test_every_setting_that_is_searched_is_one_that_the_network_reads(name: str):
    image = np.random.default_rng(1).uniform(0, 1, (1, 1, 16, 16)).astype(np.float32)
    offered = getattr(SearchSpace(), name)
    found = []
    for value in (offered[0], offered[-1]):
        layer = LayerSettings.model_validate({**LAYER, "pool_size": 3, "pool_stride": 1, "threshold": 0.1, name: value})
        stack = StackSettings(seed=0, layers=(layer,))
        configuration = Configuration(image=ImageSettings(size=16), levels=((stack,),), most_units=8 * 16)
        found.append(features(configuration, image))
    assert found[0].shape != found[1].shape or np.abs(found[0] - found[1]).max() > 1e-3
