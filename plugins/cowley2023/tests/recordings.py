"""Made-up recordings and networks in the layouts of the published files, and what numpy makes of them."""

from __future__ import annotations

import zipfile
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from isocortex.catalogue.cards import read_card
from isocortex.catalogue.rows import Catalogue
from isocortex.loading.resolver import make_plugin

N_LAYERS = 5


def plugin(kind: str, name: str, **options: Any) -> Any:
    """The plugin of a row, with some of its options replaced."""
    card = read_card(Catalogue.discover().find(kind, name))
    return make_plugin(kind, card.model_copy(update={"options": {**card.options, **options}}))


def counts_of(n_neurons: int, n_images: int, n_trials: int, seed: int = 0) -> np.ndarray:
    """(n_neurons, n_images, n_trials) spike counts of images with rates of their own; NaN behind the last trial."""
    stream = np.random.default_rng(seed)
    rate = stream.gamma(2.0, 2.0, size=(n_neurons, n_images, 1))
    counts = stream.poisson(rate, size=(n_neurons, n_images, n_trials)).astype(np.float64)
    shown = stream.integers(n_trials - 4, n_trials + 1, size=n_images)
    counts[:, np.arange(n_trials) >= shown[:, None]] = np.nan
    return counts


def reliability_of(counts: np.ndarray) -> np.ndarray:
    """1 − mean_i(s² / k_i) / var_i(mean), neuron by neuron in loops."""
    found = []
    for neuron in counts:
        own = [image[~np.isnan(image)] for image in neuron]
        noise = np.mean([one.var(ddof=1) for one in own if len(one) > 1])
        found.append(1 - np.mean([noise / len(one) for one in own]) / np.var([one.mean() for one in own], ddof=1))
    return np.array(found)


def write_images(path: Path, n_images: int, *, folder: str = "", left_out: int = 0) -> None:
    """An archive of small images as the sessions have it, perhaps in a folder, as some systems write it."""
    stream = np.random.default_rng(1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(1, n_images + 1):
            if number == left_out:
                continue
            file = BytesIO()
            colours = stream.integers(0, 256, (2, 2, 3), dtype=np.uint8)
            Image.fromarray(colours).resize((16, 16), Image.Resampling.BILINEAR).save(file, "JPEG", quality=95)
            archive.writestr(f"{folder}image{number:04d}.jpg", file.getvalue())
        if folder:
            archive.writestr(f"__MACOSX/{folder}._image0001.jpg", b"of the system")


def network_arrays(n_neurons: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Networks of a few filters as plain arrays."""
    stream = np.random.default_rng(seed)
    arrays: dict[str, np.ndarray] = {}
    for neuron in range(n_neurons):
        n_filters = [3, *stream.integers(2, 5, size=N_LAYERS)]
        for layer, (n_in, n_out) in enumerate(pairwise(n_filters)):
            at = f"{neuron}/{layer}"
            shape = (n_out, 3, 5, 5) if layer == 0 else (n_in, 1, 5, 5)
            arrays[f"{at}/w"] = stream.normal(size=shape) / (50.0 if layer == 0 else 3.0)
            if layer:
                arrays[f"{at}/pointwise"] = stream.normal(size=(n_out, n_in, 1, 1))
            arrays[f"{at}/bias"] = stream.normal(size=n_out)
            arrays[f"{at}/bn"] = np.stack([*stream.normal(size=(3, n_out)), stream.uniform(0.5, 2.0, n_out)])
        arrays[f"{neuron}/readout"] = stream.normal(size=n_filters[-1] * 28 * 28) / 50.0
        arrays[f"{neuron}/readout_bias"] = stream.normal(size=1)
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def same_padded(maps: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """One map (height, width) correlated with a kernel as TensorFlow does with padding "same"."""
    sides = []
    for length, size in zip(maps.shape, kernel.shape, strict=True):
        total = max((-(-length // stride) - 1) * stride + size - length, 0)
        sides.append((total // 2, total - total // 2))
    padded = np.pad(maps, sides)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape)[::stride, ::stride]
    return np.einsum("ijkl,kl->ij", windows, kernel)


def response_of(arrays: dict[str, np.ndarray], neuron: int, image: np.ndarray) -> float:
    """What the network of a neuron gives for an image (112, 112, 3), in double precision."""
    maps = (image - np.array([116.222, 109.270, 100.381])).transpose(2, 0, 1)
    for layer, stride in enumerate((1, 2, 2, 1, 1)):
        at = {name: arrays[f"{neuron}/{layer}/{name}"].astype(float) for name in ("w", "bias", "bn")}
        if layer == 0:
            out = [sum(same_padded(one, k, stride) for one, k in zip(maps, kernel, strict=True)) for kernel in at["w"]]
        else:
            deep = [same_padded(one, kernel[0], stride) for one, kernel in zip(maps, at["w"], strict=True)]
            point = arrays[f"{neuron}/{layer}/pointwise"][:, :, 0, 0].astype(float)
            out = list(np.tensordot(point, np.stack(deep), axes=1))
        gamma, beta, mean, variance = at["bn"]
        maps = np.stack(
            [
                np.maximum(gamma[f] * (one + at["bias"][f] - mean[f]) / np.sqrt(variance[f] + 1e-3) + beta[f], 0)
                for f, one in enumerate(out)
            ]
        )
    flat = maps.transpose(1, 2, 0).ravel()
    return float(flat @ arrays[f"{neuron}/readout"].astype(float) + arrays[f"{neuron}/readout_bias"][0])
