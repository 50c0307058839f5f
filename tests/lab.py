"""A package with models, metrics, data and benchmarks that are made up, for tests that run core without our plugins."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isocortex.api import run
from isocortex.catalogue.rows import Catalogue
from isocortex.files.file_store import FileStore
from isocortex.loading.resolver import Resolver
from isocortex.progress import Reporter
from isocortex.results.result import Result
from isocortex.run.plan import RunConfig
from tests.third_party.install import write_package

N_STIMULI = 40  # more than one chunk

CODE = '''
"""What happened to the models and metrics is in SEEN."""

import json
import sys
from copy import copy
from pathlib import Path

import numpy as np
import xarray as xr

from isocortex.activations.layer_names import match_layers
from isocortex.activations.output import LayerOutput
from isocortex.data.dataset import Dataset, make_responses
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import FilesError
from isocortex.files.disk import data_folder
from isocortex.interfaces import (
    Ceiling, Comparison, DatasetPlugin, Executor, LoadedModel, MetricPlugin, ModelPlugin, Resampled, StimuliPlugin
)
from isocortex.progress import Reporter
from isocortex.run.tasks import run_tasks

SEEN = []
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 2, 3, 3), dtype=np.uint8)


def go_wrong(fault):
    if fault == "exit":
        sys.exit("no licence")
    if fault == "stop":
        raise KeyboardInterrupt
    if fault:
        raise ZeroDivisionError(f"the {fault} is torn")


class Loaded(LoadedModel):
    layers = ("net.mean", "net.pixels")

    def __init__(self, name, options):
        self.name, self.options = name, options

    def find(self, pattern):
        return match_layers(pattern, ("net.mean", "net.hidden", "net.pixels"))

    def run(self, batch, layers, emit):
        SEEN.append(("run", self.name, batch.ids))
        go_wrong(self.options.get("run"))
        for layer in layers:
            arrays = [np.asarray(item.array, dtype=self.options.get("dtype", "float32")) for item in batch]
            if layer == "net.mean":
                emit(layer, LayerOutput(np.stack([[array.mean(), array.std()] for array in arrays]), ("unit",)))
            elif layer == "net.hidden":
                emit(layer, LayerOutput(np.stack([array.ravel()[:4] for array in arrays]), ("unit",)))
            else:
                emit(layer, LayerOutput(np.stack(arrays), ("height", "width", "channel")[: arrays[0].ndim]))


class Model(ModelPlugin):
    def digest(self, variant):
        return super().digest(variant) if self.card.options.get("digest", True) else None

    def load(self, variant, *, device):
        SEEN.append(("load", f"{self.card.id}@{variant}", sorted(Path("results").rglob("result.json"))))
        go_wrong(self.card.options.get("load"))
        return Loaded(self.card.id, self.card.options)


class Weighty(Model):
    def fetch(self, variant, source=None):
        SEEN.append(("fetch", f"{self.card.id}@{variant}", source))
        if variant.kind == "random":
            return ()
        path = (source or data_folder()) / f"{self.card.id}.bin"
        if not path.is_file():
            raise FilesError(f"The weights of {self.card.id} are not here.\\nLooked for {path}")
        return [path]


class Stimuli(StimuliPlugin):
    def load(self, files):
        kind = self.card.modality
        make = {
            "image": lambda image: Stimulus("", "image", image),
            "audio": lambda image: Stimulus("", "audio", image.ravel().astype(np.float32) / 256, 16000.0),
        }[kind]
        return StimulusSet(self.card.id, kind, {f"s{number:02d}": make(image) for number, image in enumerate(IMAGES)})


class Data(DatasetPlugin):
    def load(self, files, stimuli):
        go_wrong(self.card.options.get("load"))
        if self.card.options.get("holds") == "rdm":
            first, second = np.triu_indices(len(stimuli), 1)
            ids = np.asarray(stimuli.ids, dtype=object)
            coords = {"subject": ["S1"], "stimulus_a": ("pair", ids[first]), "stimulus_b": ("pair", ids[second])}
            rdm = xr.DataArray(np.ones((1, first.size)), coords, ("subject", "pair"))
            return Dataset(self.card.id, stimuli, rdm=rdm)
        stream = np.random.default_rng(1)
        level = IMAGES.mean(axis=(1, 2, 3))[:, None] * np.array([1.0, 2.0, 3.0, -1.0])
        regions = self.card.options.get("regions", ["A", "A", "B", "B"])
        values = level + stream.normal(0, 10, (len(stimuli), 4))
        responses = make_responses(values, stimuli.ids, neuroid={"region": regions})
        return Dataset(self.card.id, stimuli, responses=responses)


def correlation(x, y):
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return (x * y).sum(axis=0) / np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))


class Fitted(Comparison):
    """Correlates the mean over units with each neuroid; trains on the first 20 stimuli, tests on the rest."""

    def __init__(self, responses, settings, preparation):
        super().__init__(preparation)
        self.responses, self.settings = responses, settings
        self.ids = responses["stimulus_id"].values.tolist()
        self.n_stimuli = len(self.ids)
        self.ceiling = Ceiling("made up", "r", 0.9)
        self.default_permutations = None if "shift" in settings else 39

    def permuted(self, order):
        SEEN.append(("permuted",))
        other = copy(self)
        other.responses = self.responses.copy(data=self.responses.values[order])
        return other

    def score(self, activations):
        baselines = {name: item.array(self.ids).shape for name, item in self.baselines.items()}
        SEEN.append(("score", activations.layer, baselines))
        go_wrong(self.settings.get("score"))
        x = np.asarray(activations.array(self.ids), dtype=np.float64).mean(axis=1, keepdims=True)
        y = self.responses.values
        found = {
            "r": correlation(x[20:], y[20:]), "selection": correlation(x[:20], y[:20]), "alpha": np.ones(4),
            "alpha_at_bound": np.zeros(4), "training_r2": np.ones(4),
        }
        scores = xr.Dataset({name: (("split", "neuroid"), values[None]) for name, values in found.items()})
        scores["prediction"] = ("split", "test", "neuroid"), np.repeat(x[None, 20:], 4, axis=2)
        scores = scores.assign_coords(test_stimulus=(("split", "test"), np.arange(20, len(self.ids))[None]))
        names = ("neuroid_id", "region")
        return scores.assign_coords({name: ("neuroid", self.responses[name].values) for name in names})

    def resample(self, scores, n_draws, seed):
        value = float(scores["readout"].mean())
        return Resampled(value + np.random.default_rng(seed).normal(0, 0.1, n_draws), "stimuli")


class Fit(MetricPlugin):
    def against(self, target, *, settings, seed, device="cpu", preparation=None):
        SEEN.append(("against", dict(settings), seed))
        go_wrong(settings.get("against"))
        return Fitted(target.responses, settings, preparation)


class Post(Executor):
    """Posts each task as a file and does none."""

    def run(self, tasks):
        SEEN.append(("post", self.n_jobs, [task.name for task in tasks]))
        go_wrong(self.card.options.get("post"))
        Path("posted").mkdir(exist_ok=True)
        for number, task in enumerate(tasks):
            Path("posted", f"{number}.json").write_text(json.dumps(task.to_json()))


class Far(Executor):
    """Works on another machine, which kills lab-second, loses lab-double, and gives a reason for each failure."""

    remote = True

    def run(self, tasks):
        SEEN.append(("far", [task.name for task in tasks], [task.needs.name for task in dict.fromkeys(tasks)]))
        lost = ("lab-second", "lab-double")
        run_tasks([task for task in tasks if not any(name in task.name for name in lost)], Reporter(quiet=True))
        SEEN.append(("far ended",))
        self.say("far: all have ended")
        return {
            task: "out of memory on n1" if "lab-second" in task.name else "ended with exit code 1"
            for task in tasks
            if "lab-second" in task.name or "fault" in task.name
        }
'''

MANIFEST = """
[plugin]
api = 1

[defaults.model]
object = "iso_lab:Model"
modality = "image"
layers = ["net.mean", "net.pixels"]
licence = "CC0"

[[model]]
id = "lab-net"
aliases = ["lab/net"]
variants = ["fixed", "random"]
tags = { depth = "shallow" }

[[model]]
id = "lab-second"

[[model]]
id = "lab-double"
options = { dtype = "float64" }

[[model]]
id = "lab-unkept"
options = { digest = false }

[[model]]
id = "lab-ear"
modality = "audio"

[[model]]
id = "lab-weighty"
object = "iso_lab:Weighty"
variants = ["pretrained", "random"]

[[model]]
id = "fault-load"
options = { load = "tape" }

[[model]]
id = "fault-run"
options = { run = "tape" }

[[model]]
id = "fault-exit"
options = { load = "exit" }

[[model]]
id = "fault-stop"
options = { run = "stop" }

[[model]]
id = "fault-absent"
object = "iso_lab:Absent"

[defaults.stimuli]
object = "iso_lab:Stimuli"

[[stimuli]]
id = "lab-images"
modality = "image"

[[stimuli]]
id = "lab-sounds"
modality = "audio"

[defaults.dataset]
object = "iso_lab:Data"
stimuli = "lab-images"

[[dataset]]
id = "Lab"
reference = "Nobody, 2001"

[[dataset]]
id = "LabHeard"
stimuli = "lab-sounds"

[[dataset]]
id = "LabPairs"
kind = "rdm"
options = { holds = "rdm" }

[[dataset]]
id = "LabOdd"
options = { holds = "rdm" }

[[dataset]]
id = "LabAll"
options = { regions = ["all", "all", "B", "B"] }

[[dataset]]
id = "LabTorn"
options = { load = "tape" }

[[dataset]]
id = "LabAway"
files = "away.csv"

[[metric]]
id = "lab-fit"
object = "iso_lab:Fit"
accepts = ["responses"]

[defaults.benchmark]
dataset = "Lab"
metric = "lab-fit"

[[benchmark]]
id = "lab.fit"
published = "published.csv"

[[benchmark]]
id = "lab.again"
settings = { shift = 1 }

[[benchmark]]
id = "lab.mean"
reduction = "spatial-mean"

[[benchmark]]
id = "lab.regions"
summary_by = ["region"]

[[benchmark]]
id = "lab.all"
dataset = "LabAll"
summary_by = ["region"]

[[benchmark]]
id = "lab.added"
baselines = ["lab-second", "lab-net@random:3"]

[[benchmark]]
id = "lab.unkept"
baselines = ["lab-unkept"]

[[benchmark]]
id = "lab.deaf"
baselines = ["lab-ear"]

[[benchmark]]
id = "lab.heavy"
baselines = ["lab-weighty"]

[[benchmark]]
id = "heard.fit"
dataset = "LabHeard"

[[benchmark]]
id = "pairs.fit"
dataset = "LabPairs"

[[benchmark]]
id = "fault.odd"
dataset = "LabOdd"

[[benchmark]]
id = "fault.torn"
dataset = "LabTorn"

[[benchmark]]
id = "fault.away"
dataset = "LabAway"

[[benchmark]]
id = "fault.against"
settings = { against = "brain" }

[[benchmark]]
id = "fault.score"
settings = { score = "brain" }

[[suite]]
id = "lab-suite"
version = 2
benchmarks = ["lab.fit", "lab.mean"]

[defaults.executor]
object = "iso_lab:Post"

[[executor]]
id = "lab-post"

[[executor]]
id = "fault-post"
options = { post = "stamp" }

[[executor]]
id = "lab-far"
object = "iso_lab:Far"

[[executor]]
id = "fault-no-post"
object = "iso_lab:Model"
"""
AWAY = f"name,url,sha256,bytes\nlab-away.bin,http://127.0.0.1:9/never,{'0' * 64},14\n"
PUBLISHED = "model,value\nlab-net,0.71\n"


def write_lab(site: Path, name: str = "iso-lab", manifest: str = MANIFEST) -> Path:
    """Write the package below a folder that is, or will be, on the path."""
    files = {"__init__.py": CODE, "isocortex.toml": manifest, "away.csv": AWAY, "published.csv": PUBLISHED}
    return write_package(site, name, files)


@dataclass(frozen=True)
class Lab:
    """The installed package, and a folder in which the test works.

    Attributes
    ----------
    folder
        The working folder; ``results`` lies in it.
    site
        What is on the path.
    """

    folder: Path
    site: Path

    def score(self, models: Any, benchmarks: Any, **config: Any) -> list[Result]:
        """Run in this process without a word; results in ``results`` unless ``out`` is given."""
        return run(models, benchmarks, RunConfig(**config), Reporter(quiet=True))[0]

    def resolver(self, **objects: Any) -> Resolver:
        """A resolver over what is installed, with models as objects."""
        return Resolver(Catalogue.discover(), FileStore(offline=True), objects)

    def seen(self, *kinds: str) -> list[tuple[Any, ...]]:
        """What happened since the last time, of these kinds: "load", "run", "fetch", "against", "score"."""
        module = sys.modules.get("iso_lab")
        if module is None:
            return []
        found = [entry for entry in module.SEEN if not kinds or entry[0] in kinds]
        module.SEEN.clear()
        return found

    def records(self, name: str) -> list[Path]:
        """Files of a name below ``results``."""
        return sorted((self.folder / "results").rglob(name))


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str


Typed = Callable[..., Done]
