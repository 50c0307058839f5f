"""A brain whose answer is known: a convolutional network of which the neurons are linear readouts, with noise.

Pictures are shapes on textures. The network has 12 filters of 7 × 7 at stride 2, 24 of 3 × 3 at stride 2, each with
mean 0 and followed by rectification, a mean over 2 × 2 and random readouts. Reliability is the share of a neuron's
variance that the network explains.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.third_party.install import write_package

RELIABILITY = 0.6

CODE = """
import numpy as np
import pandas as pd
from isocortex.data import Dataset, Stimulus, StimulusSet, make_responses
from isocortex.interfaces import DatasetPlugin, StimuliPlugin


class Pictures(StimuliPlugin):
    def load(self, files):
        from known_brain import pictures

        options = self.card.options
        n_train, n_test = options["n_train"], options["n_test"]
        images = pictures(n_train + n_test)
        names = [f"{options.get('letter', 'p')}{number:04d}" for number in range(len(images))]
        table = pd.DataFrame({"split": ["train"] * n_train + ["test"] * n_test}, index=names)
        sources = {name: Stimulus(name, "image", image) for name, image in zip(names, images)}
        return StimulusSet(self.card.id, "image", sources, table=table)


class Neurons(DatasetPlugin):
    def load(self, files, stimuli):
        from known_brain import responses

        images = np.stack([item.array for item in stimuli])
        values = responses(images, self.card.options.get("n_neurons", 168))
        if self.card.options.get("shuffled"):
            values = values[np.random.default_rng(0).permutation(len(values))]
        return Dataset(self.card.id, stimuli, responses=make_responses(values, stimuli.ids))
"""


def manifest(n_train: int, n_test: int, n_neurons: int, grid: str) -> str:
    """Benchmarks of the brain, and networks that learn it with a grid of their own."""
    sizes = f"n_train = {n_train}, n_test = {n_test}"
    return f"""
[plugin]
api = 1

[[model]]
id = "known-cnn"
object = "isocortex_trainable.neural.data_driven:DataDrivenCNN"
modality = "image"
layers = []
variants = ["trained", "random", "file"]
options = {{ grid = {grid} }}

[defaults.stimuli]
object = "iso_known:Pictures"
modality = "image"
[[stimuli]]
id = "known-pictures"
options = {{ {sizes} }}
[[stimuli]]
id = "known-copies"
options = {{ {sizes}, letter = "q" }}

[defaults.dataset]
object = "iso_known:Neurons"
stimuli = "known-pictures"
[[dataset]]
id = "Known"
options = {{ n_neurons = {n_neurons} }}
[[dataset]]
id = "KnownCopy"
stimuli = "known-copies"
options = {{ n_neurons = {n_neurons} }}
[[dataset]]
id = "KnownShuffled"
options = {{ n_neurons = {n_neurons}, shuffled = true }}

[defaults.benchmark]
metric = "identity"
settings = {{ scheme = "fixed" }}
[[benchmark]]
id = "Known.output"
dataset = "Known"
[[benchmark]]
id = "KnownCopy.output"
dataset = "KnownCopy"
[[benchmark]]
id = "KnownShuffled.output"
dataset = "KnownShuffled"
[[benchmark]]
id = "Known.ridge"
dataset = "Known"
metric = "ridge"
reduction = "srp-4096"
[[benchmark]]
id = "Known.folds"
dataset = "Known"
metric = "ridge"
settings = {{}}
"""


def write_known_brain(site: Path, n_train: int, n_test: int, *, n_neurons: int = 168, grid: str = "{}") -> None:
    """Write a package with the brain below a folder that is on the path; this module has to be importable."""
    files = {"__init__.py": CODE, "isocortex.toml": manifest(n_train, n_test, n_neurons, grid)}
    write_package(site, "iso-known", files)
    (site / "known_brain.py").write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")


def pictures(n_pictures: int, side: int = 32, seed: int = 0) -> np.ndarray:
    """Shapes on textures, (n_pictures, side, side, 3) uint8."""
    stream = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side].astype(float)
    found = np.empty((n_pictures, side, side, 3), np.uint8)
    for picture in found:
        angle, frequency, phase = stream.uniform(0, np.pi), stream.uniform(0.05, 0.4), stream.uniform(0, 2 * np.pi)
        along = np.cos(angle) * columns + np.sin(angle) * rows
        wave = np.sin(2 * np.pi * frequency * along + phase)[..., None] * stream.uniform(10, 50, 3)
        drawn = wave + stream.uniform(60, 190, 3) + stream.normal(0, 12, (side, side, 1))
        drawn[_shape(stream, rows, columns)] = stream.uniform(0, 255, 3)
        picture[:] = np.clip(drawn, 0, 255)
    return found


def _shape(stream: np.random.Generator, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """A disc, square, bar or triangle anywhere, of any size and angle."""
    kind, size = stream.integers(4), stream.uniform(4, 9)
    (x, y), turn = stream.uniform(8, 24, 2), stream.uniform(0, 2 * np.pi)
    u = (columns - x) * np.cos(turn) + (rows - y) * np.sin(turn)
    v = -(columns - x) * np.sin(turn) + (rows - y) * np.cos(turn)
    disc, square = u**2 + v**2 < size**2, (abs(u) < 0.85 * size) & (abs(v) < 0.85 * size)
    bar, triangle = (abs(u) < 1.2 * size) & (abs(v) < 0.35 * size), (v > -0.6 * size) & (v < size - 2 * abs(u))
    return (disc, square, bar, triangle)[kind]


def responses(images: np.ndarray, n_neurons: int, seed: int = 1) -> np.ndarray:
    """Readouts of the known network with noise, (n_pictures, n_neurons)."""
    import torch
    from torch import nn

    values = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    values = (values - values.mean((0, 2, 3), keepdim=True)) / values.std((0, 2, 3), keepdim=True)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for convolution in (nn.Conv2d(3, 12, 7, 2, 3, bias=False), nn.Conv2d(12, 24, 3, 2, 1, bias=False)):
            nn.init.kaiming_normal_(convolution.weight)
            convolution.weight -= convolution.weight.mean((2, 3), keepdim=True)
            values = convolution(values)
            values = torch.relu(values / values.std((0, 2, 3), keepdim=True))
        features = nn.AvgPool2d(2)(values).flatten(1).numpy()  # (n_pictures, 384)
    stream = np.random.default_rng(seed)
    signal = features @ stream.normal(size=(features.shape[1], n_neurons))
    signal = (signal - signal.mean(axis=0)) / signal.std(axis=0)
    noise = stream.normal(size=signal.shape)
    return np.sqrt(RELIABILITY) * signal + np.sqrt(1 - RELIABILITY) * noise
