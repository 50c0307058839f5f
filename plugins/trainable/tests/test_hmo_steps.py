"""The steps of a layer and whole networks, against loops over pixels in numpy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import signal

from isocortex_trainable.hmo import steps
from isocortex_trainable.hmo.configuration import Configuration, ImageSettings, LayerSettings, StackSettings
from isocortex_trainable.hmo.network import HmoNetwork, features, layer_names
from isocortex_trainable.hmo.search_space import seed_of


def filtered(maps: np.ndarray, filters: np.ndarray) -> np.ndarray:
    return np.array(
        [
            [
                sum(signal.correlate2d(channel, kernel, "same") for channel, kernel in zip(image, own, strict=True))
                for own in filters
            ]
            for image in maps
        ]
    )


def pooled(maps: np.ndarray, size: int, stride: int, pooling: str | float) -> np.ndarray:
    height, width = maps.shape[2:]
    found = np.empty((*maps.shape[:2], math.ceil(height / stride), math.ceil(width / stride)))
    before = [max((math.ceil(n / stride) - 1) * stride + size - n, 0) // 2 for n in (height, width)]
    for i, j in np.ndindex(found.shape[2:]):
        top, left = i * stride - before[0], j * stride - before[1]
        box = maps[:, :, max(top, 0) : top + size, max(left, 0) : left + size]
        if pooling == "max":
            found[:, :, i, j] = box.max(axis=(2, 3))
        elif pooling == "average":
            found[:, :, i, j] = box.mean(axis=(2, 3))
        else:
            found[:, :, i, j] = (box**pooling).mean(axis=(2, 3)) ** (1 / pooling)
    return found


def normalised(maps: np.ndarray, box: int, floor: float, subtract_mean: bool = False) -> np.ndarray:
    def near(values: np.ndarray, i: int, j: int) -> np.ndarray:
        half = box // 2
        return values[:, :, max(i - half, 0) : i + half + 1, max(j - half, 0) : j + half + 1].mean(axis=(1, 2, 3))

    centred = maps.copy()
    if subtract_mean:
        for i, j in np.ndindex(maps.shape[2:]):
            centred[:, :, i, j] -= near(maps, i, j)[:, None]
    found = np.empty_like(centred)
    for i, j in np.ndindex(maps.shape[2:]):
        divisor = np.maximum(np.sqrt(near(centred**2, i, j)), floor)
        found[:, :, i, j] = centred[:, :, i, j] / divisor[:, None]
    return found


def averaged_to(maps: np.ndarray, size: int) -> np.ndarray:
    n = maps.shape[2]
    edges = [(i * n // size, math.ceil((i + 1) * n / size)) for i in range(size)]
    return np.stack(
        [np.stack([maps[:, :, a:b, c:d].mean(axis=(2, 3)) for c, d in edges], axis=-1) for a, b in edges], axis=2
    )


def test_filters_are_uniform_have_no_mean_and_the_norm_that_is_asked_for():
    filters = steps.draw_filters(200, 4, 7, std=0.7, seed=2).astype(np.float64)
    assert filters.sum(axis=(1, 2, 3)) == pytest.approx(0, abs=1e-5)
    assert np.sqrt((filters**2).sum(axis=(1, 2, 3))) == pytest.approx(0.7, abs=1e-6)
    scaled = filters / filters.std(axis=(1, 2, 3), keepdims=True)
    # the kurtosis of a uniform distribution is 1.8, of a normal one 3
    assert (scaled**4).mean() == pytest.approx(1.8, abs=0.05)
    assert not np.array_equal(filters, steps.draw_filters(200, 4, 7, std=0.7, seed=3))


def test_filtering_equals_scipy():
    generator = np.random.default_rng(0)
    maps, filters = generator.standard_normal((2, 3, 9, 11)), generator.standard_normal((4, 3, 5, 5))
    found = steps.filter_maps(torch.from_numpy(maps), torch.from_numpy(filters)).numpy()
    assert np.abs(found - filtered(maps, filters)).max() < 1e-6


def test_activation_clips():
    maps = np.linspace(-2, 2, 16).reshape(1, 1, 4, 4)
    assert np.array_equal(steps.activate(torch.from_numpy(maps), 0.1, 1.0).numpy(), np.clip(maps, 0.1, 1.0))
    assert np.array_equal(steps.activate(torch.from_numpy(maps), 0.0, None).numpy(), np.maximum(maps, 0.0))


@pytest.mark.parametrize("pooling", ["max", "average", 1.0, 2.0, 10.0])
def test_pooling_equals_loops_over_boxes(pooling: str | float):
    maps = np.random.default_rng(1).uniform(0, 1.5, (2, 3, 9, 12))
    for size, stride in ((2, 1), (2, 2), (3, 1), (3, 2), (4, 3)):
        found = steps.pool(torch.from_numpy(maps), size, stride, pooling).numpy()
        expected = pooled(maps, size, stride, pooling)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < 1e-6


def test_high_powers_of_small_numbers_do_not_vanish_in_single_precision():
    maps = np.full((1, 1, 4, 4), 1e-5, dtype=np.float32)
    assert steps.pool(torch.from_numpy(maps), 2, 2, 10.0).numpy() == pytest.approx(1e-5, rel=1e-5)
    assert steps.pool(torch.zeros(1, 1, 4, 4), 2, 2, 10.0).numpy() == pytest.approx(0)


@pytest.mark.parametrize("subtract_mean", [False, True])
def test_normalisation_equals_loops_over_boxes(subtract_mean: bool):
    maps = np.random.default_rng(2).uniform(0, 1, (2, 3, 7, 9))
    maps[1] *= 0.01  # the floor divides here
    for box, floor in ((3, 0.05), (5, 0.3)):
        found = steps.normalise(torch.from_numpy(maps), box, floor, subtract_mean=subtract_mean).numpy()
        assert np.abs(found - normalised(maps, box, floor, subtract_mean)).max() < 1e-6


def reference(configuration: Configuration, images: np.ndarray) -> np.ndarray:
    """A network by the loops above, in double precision."""
    maps = normalised(images, configuration.image.box, configuration.image.floor, subtract_mean=True)
    for stacks in configuration.levels:
        sides = []
        for stack in stacks:
            own = maps
            for place, layer in enumerate(stack.layers):
                filters = steps.draw_filters(
                    layer.channels, own.shape[1], layer.kernel, layer.std, seed_of(stack.seed, place)
                )
                own = np.clip(filtered(own, filters.astype(np.float64)), layer.threshold, layer.saturation)
                last = ("pool", "normalise") if layer.order.endswith("normalise") else ("normalise", "pool")
                for step in last:
                    if step == "pool":
                        own = pooled(own, layer.pool_size, layer.pool_stride, layer.pooling)
                    else:
                        own = normalised(own, layer.box, layer.floor)
            sides.append(own)
        size = min(side.shape[2] for side in sides)
        maps = np.concatenate([averaged_to(side, size) for side in sides], axis=1)
    return averaged_to(maps, configuration.grid)


def test_a_network_of_two_levels_and_unlike_stacks_equals_loops_over_pixels():
    orders = ("filter-activate-pool-normalise", "filter-activate-normalise-pool")
    layers = [
        LayerSettings(
            channels=3 + n,
            kernel=3 + 2 * (n % 2),
            std=0.6 + 0.2 * n,
            threshold=0.05 * n,
            saturation=None if n == 2 else 1,
            pool_size=2 + n % 2,
            pool_stride=1 + (n != 1),
            pooling=("max", "average", 2.0, 10.0)[n],
            box=3,
            order=orders[n % 2],
        )
        for n in range(4)
    ]
    stacks = ((layers[0], layers[1]), (layers[2],), (layers[3], layers[0]))
    levels = (
        tuple(StackSettings(seed=n, layers=stack) for n, stack in enumerate(stacks)),
        (StackSettings(seed=9, layers=(layers[1],)),),
    )
    configuration = Configuration(image=ImageSettings(size=21, colours="rgb"), levels=levels, most_units=40)
    images = np.random.default_rng(3).uniform(0, 1, (2, 3, 21, 21))
    with torch.no_grad():
        found = HmoNetwork(configuration).double()(torch.from_numpy(images)).numpy()
    assert found.shape == (2, 4, 3, 3)
    assert np.abs(found - reference(configuration, images)).max() < 1e-6


def test_the_order_of_the_steps_changes_what_comes_out():
    image = np.random.default_rng(4).uniform(0, 1, (1, 1, 16, 16)).astype(np.float32)
    orders = ("filter-activate-pool-normalise", "filter-activate-normalise-pool")
    found = [
        features(one_stack(LayerSettings(channels=8, kernel=3, order=order), size=16), image)  # pyright: ignore
        for order in orders
    ]
    assert np.abs(found[0] - found[1]).max() > 1e-3


def one_stack(*layers: LayerSettings, size: int) -> Configuration:
    return Configuration(image=ImageSettings(size=size), levels=((StackSettings(seed=0, layers=layers),),))


def two_stacks() -> Configuration:
    stacks = [
        StackSettings(
            seed=seed,
            layers=tuple(LayerSettings(channels=c, kernel=kernel, std=0.5, threshold=0.1) for c in channels),
        )
        for seed, (kernel, channels) in enumerate(((3, (16, 32)), (5, (8, 16))))
    ]
    return Configuration(levels=(tuple(stacks),))


def test_two_stacks_on_an_image_of_64_pixels_give_48_maps_of_16_pixels():
    network = HmoNetwork(two_stacks())
    with torch.no_grad():
        maps = network.maps(torch.rand(1, 1, 64, 64))
    assert tuple(maps.shape) == (1, 48, 16, 16)
    assert layer_names(two_stacks()) == [
        "level1.stack1.layer1", "level1.stack1.layer2", "level1.stack2.layer1", "level1.stack2.layer2",
        "level1.joined", "output",
    ]  # fmt: skip


def test_the_output_has_at_most_1250_units_on_the_finest_grid():
    assert (two_stacks().grid, two_stacks().n_units) == (5, 1200)
    for channels, size in itertools.product((8, 40, 64), (16, 64)):
        configuration = one_stack(LayerSettings(channels=channels, kernel=3), size=size)
        grid = configuration.grid
        assert channels * grid**2 <= 1250
        assert grid == configuration.map_size or channels * (grid + 1) ** 2 > 1250


def test_batches_do_not_change_features():
    images = np.random.default_rng(5).uniform(0, 1, (40, 1, 16, 16)).astype(np.float32)
    configuration = one_stack(LayerSettings(channels=8, kernel=3, pooling=10.0), size=16)
    alone = np.concatenate([features(configuration, images[n : n + 1]) for n in range(len(images))])
    assert np.abs(features(configuration, images) - alone).max() < 1e-6
