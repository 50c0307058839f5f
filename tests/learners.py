"""A made-up package with models that learn from a benchmark: one that does, one that dies, some that cheat."""

from __future__ import annotations

from pathlib import Path

from tests.third_party.install import write_package

CODE = '''
"""A linear map from pixels to responses, by gradient descent; FITS holds what was handed over."""

import os
import signal

import numpy as np
from isocortex.activations import LayerOutput
from isocortex.data import Dataset, Stimulus, StimulusSet, averaged, make_responses
from isocortex.interfaces import DatasetPlugin, LoadedModel, StimuliPlugin, TrainableModel
from isocortex.training import Fitted

FITS = []
SEEN = {}


def pixels(stimuli):
    """Mean colours of four quarters."""
    found = []
    for item in stimuli:
        height, width, _ = item.array.shape
        quarters = item.array.reshape(2, height // 2, 2, width // 2, 3).mean(axis=(1, 3))
        found.append(quarters.ravel() / 255)
    return np.stack(found)


class Pictures(StimuliPlugin):
    def load(self, files):
        import pandas as pd

        stream = np.random.default_rng(self.card.options.get("seed", 0))
        n = self.card.options.get("n", 60)
        images = stream.integers(0, 256, (n, 2, 2, 3), dtype=np.uint8)
        names = [f"{self.card.options.get('letter', 'p')}{number:02d}" for number in range(n)]
        for number in range(self.card.options.get("n_equal", 0)):
            images[n - 1 - number] = images[number]
        objects = [f"object{number // 4}" for number in range(n)]
        table = pd.DataFrame({"object": objects, "split": ["train"] * (n // 2) + ["test"] * (n - n // 2)}, index=names)
        pictures = {name: Stimulus(name, "image", image) for name, image in zip(names, images)}
        return StimulusSet(self.card.id, "image", pictures, table=table)


class Brain(DatasetPlugin):
    def load(self, files, stimuli):
        stream = np.random.default_rng(5)
        signal_ = pixels(stimuli) @ stream.standard_normal((12, 3))
        options = self.card.options
        noise = stream.standard_normal((2, len(stimuli), 3)) * options.get("noise", 0.2)
        values = noise if options.get("nothing") else signal_ + noise
        responses = make_responses(values, stimuli.ids, neuroid={"neuroid_id": ["n0", "n1", "n2"]})
        return Dataset(self.card.id, stimuli, responses=responses, attrs=options.get("attrs", {}))


class Loaded(LoadedModel):
    layers = ("output",)

    def __init__(self, fitted):
        self.weights, self.names = fitted.tensors["weights"], fitted.settings["neuroid_ids"]

    def run(self, batch, layers, emit):
        for layer in layers:
            emit(layer, LayerOutput(self.outputs(batch), ("unit",), units=self.names))

    def outputs(self, batch):
        return pixels(batch) @ self.weights[1:] + self.weights[0]


class Linear(TrainableModel):
    n_epochs = 12

    def fit(self, stimuli, responses, *, seed, device, journal):
        FITS.append((stimuli, responses))
        X, Y = pixels(stimuli), averaged(responses)
        X = np.concatenate([np.ones((len(X), 1)), X], axis=1)
        stream = np.random.default_rng(seed)
        journal.expect(self.n_epochs)
        part = journal.part("descent", self.n_epochs)
        weights = stream.standard_normal((X.shape[1], Y.shape[1])) if part.state is None else part.state["weights"]
        for epoch in range(part.n_done, self.n_epochs):
            for _ in range(100):
                weights = weights - 0.2 * X.T @ (X @ weights - Y) / len(X)
            part.keep({"weights": weights}, loss=float(((X @ weights - Y) ** 2).mean()))
            self.after(epoch)
        return Fitted({"weights": weights}, {"neuroid_ids": responses["neuroid_id"].values.tolist()}, part.curves)

    def after(self, epoch):
        if self.card.options.get("die") == epoch and not os.environ.get("ISO_LIVE"):
            os.kill(os.getpid(), signal.SIGKILL)

    def open(self, fitted, *, device):
        return Loaded(fitted)


class Remembers(Linear):
    """Keeps what it saw in other splits, where the tested stimuli of this one were among those to train on."""

    def fit(self, stimuli, responses, *, seed, device, journal):
        for item, row in zip(pixels(stimuli), averaged(responses)):
            SEEN[item.tobytes()] = row
        found = super().fit(stimuli, responses, seed=seed, device=device, journal=journal)
        keys = [np.frombuffer(key) for key in SEEN]
        memory = np.array([*keys]), np.array([*SEEN.values()])
        return Fitted({**found.tensors, "keys": memory[0], "values": memory[1]}, found.settings, found.curves)

    def open(self, fitted, *, device):
        return Recalls(fitted)


class Recalls(Loaded):
    def __init__(self, fitted):
        super().__init__(fitted)
        self.memory = {key.tobytes(): row for key, row in zip(fitted.tensors["keys"], fitted.tensors["values"])}

    def outputs(self, batch):
        plain = super().outputs(batch)
        return np.stack([self.memory.get(item.tobytes(), row) for item, row in zip(pixels(batch), plain)])


class Wavers(Linear):
    """Draws its weights from nowhere."""

    def fit(self, stimuli, responses, *, seed, device, journal):
        drawn = int.from_bytes(os.urandom(4), "big")
        return super().fit(stimuli, responses, seed=drawn, device=device, journal=journal)


class Forgets(Linear):
    """Starts anew after a kill, from another draw."""

    def fit(self, stimuli, responses, *, seed, device, journal):
        part = journal.part("descent", self.n_epochs)
        stream = seed + part.n_done
        while not part.finished:
            part.keep({}, loss=0.0)
        quiet = type(journal)(journal.folder / "quiet")
        return super().fit(stimuli, responses, seed=stream, device=device, journal=quiet)
'''

MANIFEST = """
[plugin]
api = 1

[defaults.model]
object = "iso_learn:Linear"
modality = "image"
layers = ["output"]
variants = ["trained", "file"]
licence = "CC0"

[[model]]
id = "learner"

[[model]]
id = "learner-dies"
options = { die = 4 }

[[model]]
id = "learner-remembers"
object = "iso_learn:Remembers"

[[model]]
id = "learner-wavers"
object = "iso_learn:Wavers"

[[model]]
id = "learner-forgets"
object = "iso_learn:Forgets"

[defaults.stimuli]
object = "iso_learn:Pictures"
modality = "image"

[[stimuli]]
id = "pictures"

[[stimuli]]
id = "pictures-renamed"
options = { letter = "q" }

[[stimuli]]
id = "pictures-others"
options = { seed = 9 }

[[stimuli]]
id = "pictures-twice"
options = { n_equal = 5 }

[defaults.dataset]
object = "iso_learn:Brain"
stimuli = "pictures"

[[dataset]]
id = "Brain"

[[dataset]]
id = "BrainCopy"
stimuli = "pictures-renamed"

[[dataset]]
id = "BrainOthers"
stimuli = "pictures-others"

[[dataset]]
id = "BrainTwice"
stimuli = "pictures-twice"

[[dataset]]
id = "BrainGrouped"
options = { attrs = { group = "object" } }

[[dataset]]
id = "Nothing"
options = { nothing = true }

[defaults.benchmark]
metric = "identity"
settings = { scheme = "k-fold", n_folds = 3, n_repeats = 1 }

[[benchmark]]
id = "Brain.folds"
dataset = "Brain"

[[benchmark]]
id = "Brain.fixed"
dataset = "Brain"
settings = { scheme = "fixed" }

[[benchmark]]
id = "Brain.ridge"
dataset = "Brain"
metric = "ridge"

[[benchmark]]
id = "Brain.all"
dataset = "Brain"
settings = {}

[[benchmark]]
id = "BrainCopy.all"
dataset = "BrainCopy"
settings = {}

[[benchmark]]
id = "BrainOthers.all"
dataset = "BrainOthers"
settings = {}

[[benchmark]]
id = "BrainTwice.fixed"
dataset = "BrainTwice"
settings = { scheme = "fixed" }

[[benchmark]]
id = "BrainGrouped.fixed"
dataset = "BrainGrouped"
settings = { scheme = "fixed" }

[[benchmark]]
id = "Nothing.folds"
dataset = "Nothing"

[[benchmark]]
id = "Brain.beside"
dataset = "Brain"
metric = "unique-variance"
baselines = ["learner@file:fit"]
settings = {}

[[benchmark]]
id = "Brain.beside-trained"
dataset = "Brain"
metric = "unique-variance"
baselines = ["learner"]
settings = {}

[[benchmark]]
id = "Brain.rsa"
dataset = "Brain"
metric = "rsa"
settings = {}
"""


def write_learners(site: Path) -> Path:
    """Write the package below a folder that is, or will be, on the path."""
    return write_package(site, "iso-learn", {"__init__.py": CODE, "isocortex.toml": MANIFEST})
