"""Gabor energy against stored answers, scikit-image's kernels and loops; pixels and image preparation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isocortex.errors import DataError
from isocortex_baselines.gabor import SIGMAS, gabor_bank, gabor_energy, prepare_image
from isocortex_baselines.images import as_rgb, grey, resize
from isocortex_baselines.pixels import normalised, pixels

GOLDEN = Path(__file__).parents[3] / "tests" / "golden" / "models_gwp.npz"


@pytest.mark.parametrize("sigma", [2, 4, 8])
def test_energy_and_filters_equal_the_known_answers(sigma: int) -> None:
    with np.load(GOLDEN, allow_pickle=False) as known:
        energy = gabor_energy(known["image"], sigma)
        assert energy.shape == known[f"energy_sigma{sigma}"].shape
        assert np.abs(energy - known[f"energy_sigma{sigma}"]).max() <= 1e-6
        assert np.abs(gabor_bank(sigma)[0, :3] - known[f"bank_sigma{sigma}_even"]).max() <= 1e-7


@pytest.mark.parametrize("sigma", [2, 3, 4, 16])
def test_filters_equal_those_of_scikit_image(sigma: int) -> None:
    filters = pytest.importorskip("skimage.filters", reason="scikit-image is not installed")
    bank = gabor_bank(sigma)
    width = bank.shape[-1]
    for orientation in range(8):
        for phase in range(2):
            theta, offset = orientation * np.pi / 8, phase * np.pi / 2
            kernel = filters.gabor_kernel(
                0.5 / sigma, theta=theta, sigma_x=sigma, sigma_y=sigma, n_stds=4, offset=offset
            ).real
            margin = (width - kernel.shape[0]) // 2
            expected = np.pad(kernel / np.sqrt((kernel**2).sum()), margin)
            assert np.abs(bank[phase, orientation] - expected).max() < 1e-14


@pytest.mark.parametrize("shape", [(33, 40), (7, 50), (1, 1)])
def test_energy_equals_a_loop(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).standard_normal(shape)
    bank, sigma = gabor_bank(2), 2
    width, stride = bank.shape[-1], 4
    outputs = [int(np.ceil(n / stride)) for n in shape]
    padding = [max((o - 1) * stride + width - n, 0) for o, n in zip(outputs, shape, strict=True)]
    expected = np.zeros((8, *outputs))
    for k in range(8):
        for i in range(outputs[0]):
            for j in range(outputs[1]):
                even = odd = 0.0
                for y in range(width):
                    for x in range(width):
                        row, column = i * stride + y - padding[0] // 2, j * stride + x - padding[1] // 2
                        if 0 <= row < shape[0] and 0 <= column < shape[1]:
                            even += image[row, column] * bank[0, k, y, x]
                            odd += image[row, column] * bank[1, k, y, x]
                expected[k, i, j] = np.hypot(even, odd)
    assert np.abs(gabor_energy(image, sigma) - expected).max() < 1e-12


def test_an_image_and_its_negative_have_the_same_energy() -> None:
    with np.load(GOLDEN, allow_pickle=False) as known:
        image = known["image"]
    assert np.array_equal(gabor_energy(image, 4), gabor_energy(-image, 4))


def gabor_pyramid(image: np.ndarray) -> dict[int, np.ndarray]:
    """As the model makes it."""
    picture = prepare_image(image)
    return {sigma: gabor_energy(picture, sigma) for sigma in SIGMAS}


def test_a_photograph_and_its_negative_have_the_same_energy() -> None:
    photograph = np.random.default_rng(0).integers(0, 256, (175, 140, 3), dtype=np.uint8)
    first, second = gabor_pyramid(photograph), gabor_pyramid(255 - photograph)
    for sigma, energy in first.items():
        # Pillow resizes in single precision
        assert np.abs(energy - second[sigma]).max() <= 1e-6 * energy.max()
    without_mean = gabor_energy(resize(grey(photograph), 256, 256), 8)
    negative = gabor_energy(resize(grey(255 - photograph), 256, 256), 8)
    assert np.abs(without_mean - negative).max() > 0.1


@pytest.mark.parametrize("orientation", range(8))
def test_a_grating_drives_its_orientation_most(orientation: int) -> None:
    y, x = np.mgrid[:128, :128]
    angle = orientation * np.pi / 8
    grating = np.cos(2 * np.pi * 0.5 / 4 * (x * np.cos(angle) + y * np.sin(angle)))
    energy = gabor_energy(grating, 4)[:, 4:-4, 4:-4].mean(axis=(1, 2))
    assert energy.argmax() == orientation


def test_a_flat_image_has_no_energy_in_the_pyramid() -> None:
    flat = gabor_pyramid(np.full((50, 60, 3), 128, dtype=np.uint8))
    assert {sigma: energy.shape for sigma, energy in flat.items()} == {
        2: (8, 64, 64),
        4: (8, 32, 32),
        8: (8, 16, 16),
        16: (8, 8, 8),
    }
    assert max(energy.max() for energy in flat.values()) < 1e-6


def test_the_bank_cannot_be_changed_by_a_caller() -> None:
    with pytest.raises(ValueError, match="read-only"):
        gabor_bank(2)[0, 0, 0, 0] = 1.0


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3)), np.zeros(4), np.full((4, 4), np.nan), np.zeros((0, 4))])
def test_energy_refuses_what_is_no_grey_image(image: np.ndarray) -> None:
    with pytest.raises(DataError, match="grey image"):
        gabor_energy(image, 2)


# --- images and pixels


def test_grey_equals_pillow_before_rounding() -> None:
    from PIL import Image

    photograph = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    pillow = np.asarray(Image.fromarray(photograph).convert("L"), dtype=float)
    assert np.abs(255 * grey(photograph) - pillow).max() <= 0.51


def test_resizing_by_a_whole_factor_averages_with_a_triangle() -> None:
    row = np.random.default_rng(0).random(64)
    ours = resize(row[None, :], 1, 16)[0]
    # a triangle of half-width 4 around each output pixel's centre
    weights = np.maximum(0, 1 - np.abs((np.arange(64) + 0.5)[None, :] - 4 * (np.arange(16) + 0.5)[:, None]) / 4)
    expected = (weights / weights.sum(axis=1, keepdims=True)) @ row
    assert np.abs(ours - expected).max() < 1e-6


def test_normalised_pixels_are_what_a_network_gets() -> None:
    photograph = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    expected = (photograph / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert np.abs(normalised(pixels(photograph, 224)) - expected.transpose(2, 0, 1)).max() < 1e-6


def test_pixels_of_an_image_of_that_size_are_the_image() -> None:
    photograph = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert np.abs(pixels(photograph) - photograph.transpose(2, 0, 1) / 255).max() < 1e-7


def test_grey_images_and_floats_are_taken() -> None:
    levels = np.random.default_rng(0).random((8, 9))
    assert np.array_equal(as_rgb(levels), np.stack([levels] * 3, axis=2))
    assert prepare_image(levels).shape == (256, 256)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 4), dtype=np.uint8), r"found \(4, 4, 4\)"),
        (np.zeros((0, 4, 3), dtype=np.uint8), r"found \(0, 4, 3\)"),
        (np.full((4, 4, 3), 2.0), "from 2 to 2"),
        (np.full((4, 4, 3), 7, dtype=np.int64), "found int64"),
        (np.full((4, 4, 3), np.nan), "floats in"),
    ],
)
def test_other_images_are_refused(image: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_rgb(image)
