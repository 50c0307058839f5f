"""A trained network of another laboratory on a real brain: installed like any package, scored, compared with itself
untrained and with category labels. What needs real data is skipped where they are not at hand.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from isocortex.results.result import Result, read_results
from tests.third_party.install import own_environment

ABSENT = [name for name in ("torch", "pip", "setuptools") if find_spec(name) is None]
#: one worker makes what these tests share
pytestmark = [
    pytest.mark.long,
    pytest.mark.xdist_group("yamnet"),
    pytest.mark.skipif(bool(ABSENT), reason=f"building and running the package needs {', '.join(ABSENT)}"),
]

PACKAGE = "isocortex-yamnet"
BENCHMARK = "NH2015comp.ridge"
COMPONENTS = ("lowfreq", "highfreq", "envsounds", "pitch", "speech", "music")
SEEDS = range(5)
LAYERS = [*(f"layer{number}" for number in range(1, 15)), "pool", "logits"]

#: prints for each sound the indices of the five classes with the largest logits, averaged over windows
BEST_CLASSES = """
import json, sys
import isocortex
from isocortex.extraction.extractor import activations_in_memory
stimuli = isocortex.load_stimuli("natsound165")
with isocortex.load_model(sys.argv[1]) as model:
    logits = activations_in_memory(model, stimuli, ["logits"], reduction="time-mean")["logits"]
values = logits.array(list(stimuli.ids))
print(json.dumps({name: row.argsort()[::-1][:5].tolist() for name, row in zip(stimuli.ids, values)}))
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package's source lies in a copy, its environment, data, activations and results."""
    return tmp_path_factory.mktemp("yamnet")


@pytest.fixture(scope="module")
def python(base: Path) -> Run:
    """The interpreter of the package's own environment."""
    interpreter = own_environment(base, PACKAGE)

    def run(*arguments: str, cwd: Path = base, **variables: str) -> subprocess.CompletedProcess[str]:
        folders = {"ISOCORTEX_DATA": str(base / "data"), "ISOCORTEX_CACHE": str(base / "cache")}
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        env = {**os.environ, **folders, **threads, **variables}
        return subprocess.run(
            [str(interpreter), *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=550
        )

    return run


@pytest.fixture(scope="module")
def sounds(realdata: Path, python: Run) -> None:
    """The sounds and responses are in the data folder."""
    fetched = python("-m", "isocortex", "fetch", "-b", BENCHMARK, "--from", str(realdata / "nh2015"))
    assert fetched.returncode == 0, fetched.stderr


def trained(realdata: Path) -> str:
    """The trained network by its folder."""
    return f"yamnet@file:{realdata / 'networks'}=audioset"


@pytest.fixture(scope="module")
def results(realdata: Path, python: Run, sounds: None, base: Path) -> dict[str, Result]:
    """``model@variant`` → result.json, of the trained network ("trained"), five untrained ones and category labels."""
    names = [trained(realdata), *(f"yamnet@random:{seed}" for seed in SEEDS), "category"]
    models = [text for name in names for text in ("-m", name)]
    done = python("-m", "isocortex", "score", *models, "-b", BENCHMARK, "--offline", "--json", "--out", "results")
    assert done.returncode == 0, done.stderr
    found = {f"{result.model}@{result.variant}": result for result in read_results(base / "results")}
    return {name if name != trained(realdata) else "trained": result for name, result in found.items()}


def values(result: Result) -> list[float]:
    """The score of each component at the layer that is chosen for it on training sounds."""
    found = [result.regions[component].value for component in COMPONENTS]
    return [value for value in found if value is not None]


def curve(result: Result) -> dict[str, float]:
    """Layer → mean over the components of their scores there; no layer is chosen."""
    by_component = [{layer.name: layer.value for layer in result.regions[name].layers} for name in COMPONENTS]
    return {layer: float(np.mean([found[layer] for found in by_component])) for layer in by_component[0]}


# --- the package ------------------------------------------------------------------------------------------------------


def test_it_is_found_in_its_environment_and_nowhere_else(python: Run, isocortex: Run) -> None:
    listed = python("-m", "isocortex", "list", "models", "--json")
    rows = [row for row in json.loads(listed.stdout)["models"] if row["package"] == PACKAGE]
    assert [row["id"] for row in rows] == ["yamnet"]
    where = python("-c", "import isocortex_yamnet as found; print(found.__file__)").stdout
    assert "site-packages" in where
    assert PACKAGE not in isocortex("list", "models").stdout


def test_its_own_tests_pass_there(python: Run, base: Path) -> None:
    realdata = Path(os.environ.get("ISOCORTEX_REALDATA", Path(__file__).parents[2] / "shared" / "realdata"))
    weights = str(realdata / "networks")
    # the check of memory, a minute, is left to 'isocortex check yamnet'
    done = python(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not memory", "tests"),
        cwd=base / PACKAGE,
        ISOCORTEX_YAMNET_WEIGHTS=weights,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = {what: int(number) for number, what in re.findall(r"(\d+) (passed|skipped)", done.stdout)}
    assert counts["passed"] >= 75, done.stdout
    if Path(weights).is_dir():
        assert "skipped" not in counts, done.stdout


# --- on the brain -----------------------------------------------------------------------------------------------------


def test_trained_it_predicts_the_six_components(results: dict[str, Result]) -> None:
    result = results["trained"]
    found = values(result)
    assert len(found) == 6
    assert np.mean(found) >= 0.83, found
    assert result.summary is not None
    assert result.summary.layer_rule == "nested by region"
    assert [layer.name for layer in result.summary.layers] == LAYERS


def test_untrained_it_predicts_them_less_whatever_the_seed(results: dict[str, Result]) -> None:
    found = {seed: values(results[f"yamnet@random:{seed}"]) for seed in SEEDS}
    assert all(len(components) == 6 for components in found.values())
    assert max(np.mean(components) for components in found.values()) <= 0.78, found


def test_trained_it_beats_each_seed_at_the_same_layer(results: dict[str, Result]) -> None:
    own = curve(results["trained"])
    others = {seed: curve(results[f"yamnet@random:{seed}"]) for seed in SEEDS}
    assert list(own) == LAYERS
    wins = [own[layer] > others[seed][layer] for layer, seed in product(LAYERS, SEEDS)]
    assert len(wins) == 80
    assert np.mean(wins) >= 0.9, f"{sum(wins)} of {len(wins)} layers × seeds"


def test_category_labels_stand_beside_them(results: dict[str, Result]) -> None:
    assert {result.status for result in results.values()} == {"scored"}
    assert len(results) == 7
    labels = values(results["category@fixed"])
    assert len(labels) == 6
    untrained = max(np.mean(values(results[f"yamnet@random:{seed}"])) for seed in SEEDS)
    assert untrained < np.mean(labels) < np.mean(values(results["trained"]))


def test_the_page_on_publishing_shows_these_numbers(results: dict[str, Result]) -> None:
    page = (Path(__file__).parents[1] / "docs" / "how-to" / "publish-a-model.md").read_text(encoding="utf-8")
    [sentence] = re.findall(r"^Mean r over the six components.*$", page, re.MULTILINE)
    untrained = [float(np.mean(values(results[f"yamnet@random:{seed}"]))) for seed in SEEDS]
    found = [
        float(np.mean(values(results["trained"]))),
        min(untrained),
        max(untrained),
        float(np.mean(values(results["category@fixed"]))),
    ]
    assert [float(shown) for shown in re.findall(r"(?<!\w)\.\d\d", sentence)] == pytest.approx(found, abs=0.0051)


# --- as a listener ----------------------------------------------------------------------------------------------------


def best_classes(python: Run, model: str, names: list[str]) -> dict[str, list[str]]:
    """Sound → names of the five classes that a model gives it."""
    done = python("-c", BEST_CLASSES, model)
    assert done.returncode == 0, done.stderr
    return {sound: [names[place] for place in best] for sound, best in json.loads(done.stdout).items()}


def share_named(heard: dict[str, list[str]], sounds: list[str]) -> float:
    """Share of sounds with a word of their name among their classes, by the first four letters: barking, Bark."""

    def stems(text: str) -> set[str]:
        return {word[:4].lower() for word in re.findall(r"[A-Za-z]{4,}", text)}

    hits = [
        stems(name.split("_", 1)[1]) & stems(" ".join(heard[sound])) for name, sound in zip(sounds, heard, strict=True)
    ]
    return float(np.mean([bool(hit) for hit in hits]))


def test_what_it_hears_is_what_the_sounds_are_called(realdata: Path, python: Run, sounds: None) -> None:
    with (realdata / "networks" / "yamnet_class_map.csv").open(encoding="utf-8") as file:
        names = [row["display_name"] for row in csv.DictReader(file)]
    category = dict(csv.reader((realdata / "nh2015" / "category_labels.csv").open(encoding="utf-8")))
    heard = best_classes(python, trained(realdata), names)
    assert len(heard) == 165

    def share(of: tuple[str, ...], wanted: str) -> float:
        return float(np.mean([wanted in best[:3] for sound, best in heard.items() if category[sound] in of]))

    assert share(("EngSpeech", "ForSpeech"), "Speech") >= 0.9
    assert share(("Music", "Song"), "Music") >= 0.9
    ids = list(heard)
    others = [share_named(heard, list(np.random.default_rng(seed).permutation(ids))) for seed in range(20)]
    assert share_named(heard, ids) > 3 * max(others), "names that are dealt out anew do not fit"


def test_the_weights_are_fetched_by_the_command_line(realdata: Path, python: Run, sounds: None) -> None:
    """``yamnet`` alone is the pretrained network: absent it is named, fetched it is the one of the folder."""
    absent = python("-m", "isocortex", "score", "-m", "yamnet", "-b", BENCHMARK, "--offline", "--out", "absent")
    assert absent.returncode == 1
    assert "isocortex fetch -m yamnet --from FOLDER" in absent.stderr
    assert "Traceback" not in absent.stderr
    fetched = python("-m", "isocortex", "fetch", "-m", "yamnet", "--from", str(realdata / "networks"))
    assert fetched.returncode == 0, fetched.stderr
    assert "2 files, 2.8 MB" in fetched.stderr + fetched.stdout
    compare = """
import sys, isocortex
import numpy as np
batch = isocortex.load_stimuli("natsound165").batch([0])
found = []
for name in sys.argv[1:]:
    with isocortex.load_model(name) as model:
        model.run(batch, ["layer9"], lambda layer, output: found.append(np.asarray(output.array)))
assert np.array_equal(*found) and found[0].any()
"""
    same = python("-c", compare, "yamnet", trained(realdata))
    assert same.returncode == 0, same.stderr
