"""Padding, pooling and normalisation as TensorFlow defines them, against explicit loops in numpy and by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from isocortex_cochnets import same  # noqa: E402
from isocortex_cochnets.kell2018 import ResponseNormalisation  # noqa: E402

Array = np.ndarray[Any, Any]


def windows(size: int, kernel: int, stride: int) -> list[range]:
    """For each output, the places it sees; those outside 0 … size - 1 are padding."""
    n_outputs = math.ceil(size / stride)
    total = max((n_outputs - 1) * stride + kernel - size, 0)
    return [range(k * stride - total // 2, k * stride - total // 2 + kernel) for k in range(n_outputs)]


def inside(places: range, size: int) -> list[int]:
    return [place for place in places if 0 <= place < size]


def convolve(maps: Array, weight: Array, stride: tuple[int, int]) -> Array:
    """(n_in, height, width) with (n_out, n_in, kernel, kernel) → (n_out, …), by loops."""
    rows, columns = (windows(maps.shape[1 + axis], weight.shape[2 + axis], stride[axis]) for axis in (0, 1))
    found = np.zeros((len(weight), len(rows), len(columns)))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            for di, y in enumerate(row):
                for dj, x in enumerate(column):
                    if 0 <= y < maps.shape[1] and 0 <= x < maps.shape[2]:
                        found[:, i, j] += weight[:, :, di, dj] @ maps[:, y, x]
    return found


def pool(maps: Array, kernel: tuple[int, int], stride: tuple[int, int], reduce: Any) -> Array:
    rows, columns = (windows(maps.shape[1 + axis], kernel[axis], stride[axis]) for axis in (0, 1))
    return np.array(
        [
            [
                [reduce(each[np.ix_(inside(row, each.shape[0]), inside(column, each.shape[1]))]) for column in columns]
                for row in rows
            ]
            for each in maps
        ]
    )


CASES = [((5, 8), (2, 5), (2, 2)), ((7, 6), (3, 3), (2, 2)), ((9, 11), (4, 8), (2, 2)), ((4, 5), (2, 5), (1, 1))]


def maps_of(size: tuple[int, int], n_channels: int = 3) -> Array:
    return np.random.default_rng(sum(size)).standard_normal((n_channels, *size))


@pytest.mark.parametrize(("size", "kernel", "stride"), [*CASES, ((10, 13), (7, 14), (3, 3)), ((9, 9), (9, 9), (3, 3))])
def test_convolution_equals_loops(size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]) -> None:
    maps = maps_of(size)
    layer = same.SameConv2d(3, 2, kernel, stride).double()
    found = layer(torch.from_numpy(maps)[None])[0].detach().numpy()
    np.testing.assert_allclose(found, convolve(maps, layer.weight.detach().numpy(), stride), atol=1e-12)


@pytest.mark.parametrize(("size", "kernel", "stride"), CASES)
def test_pooling_equals_loops(size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]) -> None:
    maps = maps_of(size) - 3.0  # negative, so that padding by zeros would show
    tensor = torch.from_numpy(maps)[None]
    largest, mean = pool(maps, kernel, stride, np.max), pool(maps, kernel, stride, np.mean)
    counted = pool(maps, kernel, stride, np.sum) / (kernel[0] * kernel[1])
    np.testing.assert_array_equal(same.SameMaxPool2d(kernel, stride)(tensor)[0].numpy(), largest)
    for count, expected in ((False, mean), (True, counted)):
        layer = same.SameAvgPool2d(kernel, stride, count_padding=count)
        np.testing.assert_allclose(layer(tensor)[0].numpy(), expected, atol=1e-12)
    assert np.abs(mean - counted).max() > 0.1


def test_padding_by_hand() -> None:
    # 256 → 86 in steps of 3: 85 * 3 + 9 - 256 = 8; 86 → 43 in steps of 2: 42 * 2 + 3 - 86 = 1, which comes after
    assert same.same_padding(256, 9, 3) == (4, 4)
    assert same.same_padding(86, 3, 2) == (0, 1)
    row = torch.arange(1.0, 7.0).reshape(1, 1, 1, 6)
    assert same.SameMaxPool2d((1, 3), (1, 2))(row).flatten().tolist() == [3.0, 5.0, 6.0]
    assert same.SameAvgPool2d((1, 3), (1, 2), count_padding=False)(row).flatten().tolist() == [2.0, 4.0, 5.5]
    conv = same.SameConv2d(1, 1, (1, 3), (1, 2))
    torch.nn.init.ones_(conv.weight)
    assert conv(row).flatten().tolist() == [6.0, 12.0, 11.0]


def test_response_normalisation_equals_its_formula() -> None:
    maps = 3 * np.random.default_rng(0).random((7, 2, 3))
    expected = np.empty_like(maps)
    for channel in range(7):
        near = maps[max(0, channel - 2) : channel + 3]
        expected[channel] = maps[channel] / (1 + 1e-3 * np.square(near).sum(axis=0)) ** 0.75
    found = ResponseNormalisation()(torch.from_numpy(maps)[None])[0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-12)
    divided = torch.nn.LocalResponseNorm(5, alpha=1e-3, beta=0.75, k=1.0)(torch.from_numpy(maps)[None])[0].numpy()
    assert np.abs(divided - expected).max() > 0.01  # what torch's own reading of alpha would give
