"""What networks see: whitening against the formula, augmentation against one image at a time, the held-out tenth."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from isocortex.data import Stimulus, StimulusSet
from isocortex.errors import DataError
from isocortex_trainable.objects.augmentation import PADDING, augmented
from isocortex_trainable.objects.inputs import Inputs, centred, inputs_of, said_of_whitening, whitened
from isocortex_trainable.objects.labelled_images import LabelledImages, held_out


def pictures(n_images: int, size: int, seed: int = 0) -> np.ndarray:
    stream = np.random.default_rng(seed)
    smooth = np.cumsum(stream.standard_normal((n_images, 3, size, size)), axis=3)
    return np.clip(128 + 20 * smooth, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("n_images", "size"), [(400, 6), (60, 6)])
def test_whitening_is_the_formula(n_images: int, size: int) -> None:
    """U diag(1 / √(λ + ε)) Uᵀ by a singular value decomposition of the centred images."""
    pixels, others = pictures(n_images, size), pictures(50, size, seed=1)
    rows = pixels.reshape(n_images, -1).astype(float)
    mean = rows.mean(axis=0)
    _, singular, right = np.linalg.svd(rows - mean, full_matrices=True)
    values = np.zeros(rows.shape[1])
    values[: len(singular)] = singular**2 / n_images
    matrix = right.T @ np.diag(1 / np.sqrt(values + 1e-5)) @ right
    expected = (others.reshape(50, -1) - mean) @ matrix
    found = whitened(pixels)(others).reshape(50, -1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_whitened_images_are_uncorrelated() -> None:
    pixels = pictures(800, 5)
    seen = whitened(pixels)(pixels).reshape(800, -1).astype(float)
    np.testing.assert_allclose(seen.T @ seen / 800, np.eye(75), atol=1e-3)
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-4)


def test_whitening_agrees_with_scikit_learn() -> None:
    """Its PCA whitens with λ of n - 1 images and no ε; turned back, that is ZCA."""
    from sklearn.decomposition import PCA

    pixels = pictures(500, 4)
    rows = pixels.reshape(500, -1).astype(float)
    pca = PCA(whiten=True).fit(rows)
    expected = pca.transform(rows) @ pca.components_ * np.sqrt(500 / 499)
    np.testing.assert_allclose(whitened(pixels)(pixels).reshape(500, -1), expected, atol=1e-4)


def test_centred_and_plain_inputs() -> None:
    pixels = pictures(30, 4)
    np.testing.assert_allclose(Inputs()(pixels), pixels / 255, rtol=1e-6)
    np.testing.assert_allclose(centred(pixels)(pixels), (pixels - pixels.mean(axis=0)) / 255, atol=1e-6)


def test_too_few_images_for_whitening_are_said() -> None:
    assert said_of_whitening(3073, 3072) is None
    assert "60 images of 3,072 values" in str(said_of_whitening(60, 3072))
    assert "multiplied by 316" in str(said_of_whitening(60, 3072))
    with pytest.raises(DataError, match="at least two images; found 1"):
        whitened(pictures(1, 4))


def test_inputs_come_back_from_their_tensors_and_others_are_refused() -> None:
    for inputs in (Inputs(), centred(pictures(9, 4)), whitened(pictures(9, 4))):
        again = inputs_of({"network.x": np.zeros(2), **inputs.tensors()}, 48)
        np.testing.assert_array_equal(again(pictures(5, 4)), inputs(pictures(5, 4)))
    with pytest.raises(
        DataError, match=r"Expected a mean of 12 values and a matrix of their square; found shapes \[\(48,"
    ):
        inputs_of(centred(pictures(9, 4)).tensors(), 12)


def test_stimuli_of_another_size_are_squashed_by_pillow() -> None:
    stream = np.random.default_rng(0)
    arrays = {"right": stream.integers(0, 256, (8, 8, 3)), "wide": stream.integers(0, 256, (20, 31, 3))}
    images = {name: Stimulus(name, "image", array.astype(np.uint8)) for name, array in arrays.items()}
    found = Inputs().of_stimuli(StimulusSet("two", "image", images).batch([0, 1]), 8)
    np.testing.assert_allclose(found[0], arrays["right"].transpose(2, 0, 1) / 255, rtol=1e-6)
    squashed = np.asarray(Image.fromarray(arrays["wide"].astype(np.uint8)).resize((8, 8), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(found[1], squashed.transpose(2, 0, 1) / 255, rtol=1e-6)


def test_augmentation_is_that_of_one_image_at_a_time() -> None:
    images = np.random.default_rng(0).standard_normal((9, 3, 32, 32)).astype(np.float32)
    is_turned = np.arange(9) % 2 == 1
    found = augmented(images, is_turned, np.random.default_rng(3))
    again = augmented(images, is_turned, np.random.default_rng(3))
    np.testing.assert_array_equal(found, again)
    places = np.random.default_rng(3).integers(0, 2 * PADDING + 1, (9, 2))
    for number, (y, x) in enumerate(places):
        image = images[number].transpose(1, 2, 0)
        if is_turned[number]:
            image = np.rot90(np.fliplr(image))
        wide = np.zeros((40, 40, 3), np.float32)
        wide[4:36, 4:36] = image
        np.testing.assert_array_equal(found[number], wide[y : y + 32, x : x + 32].transpose(2, 0, 1))
    assert len(set(map(tuple, places.tolist()))) > 3


def test_a_tenth_of_the_training_part_is_held_out_and_nothing_is_lost() -> None:
    images = LabelledImages(pictures(205, 4), np.arange(205), np.arange(205) % 3)
    learned, rest = held_out(images)
    assert (len(learned), len(rest)) == (185, 20)
    assert sorted([*learned.fine, *rest.fine]) == list(range(205))
    order = np.random.default_rng(0).permutation(205)
    np.testing.assert_array_equal(rest.fine, np.sort(order[:20]))
    np.testing.assert_array_equal(rest.pixels, images.pixels[rest.fine])
    np.testing.assert_array_equal(rest.coarse, rest.fine % 3)
    with pytest.raises(DataError, match="has 9 images; a tenth is held out"):
        held_out(images.at(np.arange(9)))
