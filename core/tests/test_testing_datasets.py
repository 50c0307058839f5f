"""The checks of stimuli, data sets and benchmarks: one package of good and bad rows, each bad in one respect."""

from __future__ import annotations

from pathlib import Path

import pytest

from isocortex.testing import CheckFailed, check_dataset, check_stimuli, checks_of
from tests.third_party.install import fake_site, write_package

STIMULI = """
[[stimuli]]
id = "{name}"
object = "isocortex_rows:{object}"
modality = "{modality}"
"""
DATASET = """
[[dataset]]
id = "{name}"
object = "isocortex_rows:{object}"
stimuli = "{stimuli}"
kind = "{kind}"
"""
BENCHMARK = """
[[benchmark]]
id = "{name}"
dataset = "{dataset}"
metric = "example-nearest"
"""

SOURCE = '''
from __future__ import annotations
import numpy as np
from isocortex.data.dataset import Dataset, make_responses
from isocortex.interfaces import DatasetPlugin, StimuliPlugin
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.testing.synthetic import linear_responses, synthetic_features, synthetic_rdm, synthetic_stimuli

NAMES = [f"sound-{letter}" for letter in "abcdefghijklmnop"]

def noise(names):
    return linear_responses(synthetic_features(len(names), 1, 0), 0.0, 0, stimulus_id=names)

def sounds(names, dtype="float32", rate=8000.0, scale=0.5):
    waves = {name: scale * np.sin(np.arange(800) * ord(name[-1]) / 99) for name in names}
    return {name: Stimulus(name, "audio", wave.astype(dtype), rate) for name, wave in waves.items()}

class Good(StimuliPlugin):
    def load(self, files):
        return StimulusSet(self.card.id, "audio", sounds(NAMES))

class HashOrder(StimuliPlugin):
    """In the order of a set, which another process has otherwise."""
    def load(self, files):
        return StimulusSet(self.card.id, "audio", sounds(set(NAMES)))

class Images(StimuliPlugin):
    def load(self, files):
        return synthetic_stimuli("image", 3)

class Single(StimuliPlugin):
    def load(self, files):
        return StimulusSet(self.card.id, "audio", sounds(NAMES[:1]))

class Doubles(StimuliPlugin):
    def load(self, files):
        return StimulusSet(self.card.id, "audio", sounds(NAMES, "float64"))

class Loud(StimuliPlugin):
    def load(self, files):
        return StimulusSet(self.card.id, "audio", sounds(NAMES, scale=2.0))

class Rateless(StimuliPlugin):
    def load(self, files):
        return StimulusSet(self.card.id, "audio", sounds(NAMES, rate=None))

class GreyImages(StimuliPlugin):
    def load(self, files):
        flat = {name: Stimulus(name, "image", np.zeros((4, 4), "uint8")) for name in NAMES}
        return StimulusSet(self.card.id, "image", flat)

class Broken(StimuliPlugin):
    def load(self, files):
        raise KeyError("sounds/a.wav")

class Responses(DatasetPlugin):
    def load(self, files, stimuli):
        return Dataset(self.card.id, stimuli, responses=noise(stimuli.ids))

class Unseeded(DatasetPlugin):
    def load(self, files, stimuli):
        values = np.random.default_rng().normal(size=(len(stimuli), 3))
        return Dataset(self.card.id, stimuli, responses=make_responses(values, stimuli.ids))

class Rdm(DatasetPlugin):
    def load(self, files, stimuli):
        return Dataset(self.card.id, stimuli, rdm=synthetic_rdm(stimuli.ids, None, 0.0, 0))

class Damaged(DatasetPlugin):
    """Puts an infinite value into responses that were checked already."""
    def load(self, files, stimuli):
        made = Dataset(self.card.id, stimuli, responses=noise(stimuli.ids))
        made.responses.values[0, 0] = np.inf
        return made

class Unsorted(DatasetPlugin):
    """Puts responses that were in canonical order into another."""
    def load(self, files, stimuli):
        made = Dataset(self.card.id, stimuli, responses=noise(stimuli.ids))
        object.__setattr__(made, "responses", made.responses.isel(presentation=slice(None, None, -1)))
        return made

class Table(DatasetPlugin):
    def load(self, files, stimuli):
        return noise(stimuli.ids)

class Unmade(DatasetPlugin):
    def __init__(self, card):
        raise RuntimeError("no licence")
    def load(self, files, stimuli):
        return None
'''


GOOD_AND_BAD = {
    "good": "Good",
    "hash-order": "HashOrder",
    "single": "Single",
    "doubles": "Doubles",
    "loud": "Loud",
    "rateless": "Rateless",
    "broken": "Broken",
    "wrong-modality": "Images",
}
DATASETS = {
    "responses": ("Responses", "good", "responses"),
    "unseeded": ("Unseeded", "good", "responses"),
    "damaged": ("Damaged", "good", "responses"),
    "unsorted": ("Unsorted", "good", "responses"),
    "table": ("Table", "good", "responses"),
    "unmade": ("Unmade", "good", "responses"),
    "rdm": ("Rdm", "good", "rdm"),
    "wrong-kind": ("Rdm", "good", "responses"),
    "without-files": ("Responses", "absent", "responses"),
}
BENCHMARKS = {
    "fits": ('select = { region = "A" }\nsummary_by = ["region", "subject"]', "responses"),
    "selects-nothing": ('select = { region = "V1" }', "responses"),
    "selects-by-nothing": ('select = { layer = "A" }', "responses"),
    "summary-by-nothing": ('summary_by = ["hemisphere"]', "responses"),
    "wrong-settings": ('settings = { distanse = "euclidean" }', "responses"),
    "wrong-settings-without-files": ('settings = { distance = "cosine" }', "without-files"),
    "fits-without-files": ('settings = { distance = "euclidean" }', "without-files"),
}


def manifest() -> str:
    """Rows of every kind."""
    rows = [STIMULI.format(name=name, object=found, modality="audio") for name, found in GOOD_AND_BAD.items()]
    rows += [STIMULI.format(name="images", object="Images", modality="image")]
    rows += [STIMULI.format(name="grey", object="GreyImages", modality="image")]
    rows += [STIMULI.format(name="absent", object="Good", modality="audio") + 'files = "absent.csv"\n']
    for name, (found, stimuli, kind) in DATASETS.items():
        rows.append(DATASET.format(name=name, object=found, stimuli=stimuli, kind=kind))
    rows += [BENCHMARK.format(name=name, dataset=data) + more + "\n" for name, (more, data) in BENCHMARKS.items()]
    return "[plugin]\napi = 1\n" + "".join(rows)


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package of rows, beside the example that brings the metric."""
    site = fake_site(tmp_path, ["isocortex-example"])
    listed = "name,url,sha256,bytes\na.wav,https://example.org/a.wav," + "0" * 64 + ",100\n"
    write_package(site, "isocortex-rows", {"__init__.py": SOURCE, "isocortex.toml": manifest(), "absent.csv": listed})
    monkeypatch.syspath_prepend(str(site))


def ended(kind: str, name: str, *, but: str = "") -> dict[str, tuple[str, str]]:
    """Check → status and message of one row; ``but`` leaves a check out that needs a fresh interpreter."""
    chosen = [check for check in checks_of(name) if check.id.startswith(f"{kind}:{name}:")]
    found = {check.id.rpartition(":")[2]: check for check in chosen}
    assert found
    outcomes = {check: function.outcome() for check, function in found.items() if check != but}
    return {check: (outcome.status, outcome.message) for check, outcome in outcomes.items()}


def test_good_rows_pass_every_check() -> None:
    assert {status for status, _ in ended("stimuli", "good").values()} == {"passed"}
    assert {status for status, _ in ended("dataset", "responses").values()} == {"passed"}
    assert {status for status, _ in ended("stimuli", "images", but="order").values()} == {"passed"}
    assert {status for status, _ in ended("dataset", "rdm", but="order").values()} == {"passed"}
    assert {status for status, _ in ended("benchmark", "fits").values()} == {"passed"}


@pytest.mark.parametrize(
    ("name", "check", "words"),
    [
        ("wrong-modality", "loads", "'image'"),
        ("broken", "loads", "sounds/a.wav"),
        ("single", "valid", "at least 2"),
        ("doubles", "contents", "float64"),
        ("loud", "contents", "[-1, 1]"),
        ("rateless", "contents", "sampling rate"),
        ("grey", "contents", "(4, 4)"),
    ],
)
def test_bad_stimuli_fail_their_check_alone(name: str, check: str, words: str) -> None:
    found = ended("stimuli", name, but="order")
    assert {part for part, (status, _) in found.items() if status == "failed"} == {check}
    assert words in found[check][1]


@pytest.mark.parametrize(
    ("name", "check", "words"),
    [
        ("wrong-kind", "loads", "'rdm'"),
        ("table", "loads", "must return a Dataset"),
        ("unmade", "loads", "no licence"),
        ("damaged", "valid", "not finite"),
        ("unsorted", "valid", "canonical order"),
    ],
)
def test_bad_data_set_fails_its_check_alone(name: str, check: str, words: str) -> None:
    found = ended("dataset", name, but="order")
    assert {part for part, (status, _) in found.items() if status == "failed"} == {check}
    assert words in found[check][1]


def test_order_of_a_set_differs_in_a_fresh_interpreter() -> None:
    found = ended("stimuli", "hash-order")
    assert {part for part, (status, _) in found.items() if status == "failed"} == {"order"}
    assert "a fresh one" in found["order"][1]


def test_contents_that_change_between_loads() -> None:
    found = ended("dataset", "unseeded")
    assert {part for part, (status, _) in found.items() if status == "failed"} == {"order"}
    assert "one digest" in found["order"][1]


def test_absent_files_skip_and_say_so() -> None:
    for kind, name in (("stimuli", "absent"), ("dataset", "without-files")):
        found = ended(kind, name)
        assert {status for status, _ in found.values()} == {"skipped"}
        assert "isocortex fetch" in found["loads"][1]
        assert "1 of 1 files of 'absent'" in found["loads"][1]
    found = ended("benchmark", "fits-without-files")
    assert found["select"][0] == "skipped"
    assert found["settings"][0] == "passed"


@pytest.mark.parametrize(
    ("name", "check", "words"),
    [
        ("selects-nothing", "select", "V1"),
        ("selects-by-nothing", "select", "'layer'"),
        ("summary-by-nothing", "select", "hemisphere"),
        ("wrong-settings", "settings", "Did you mean distance"),
        ("wrong-settings-without-files", "settings", "distance"),
    ],
)
def test_bad_benchmark_fails_its_check_alone(name: str, check: str, words: str) -> None:
    found = ended("benchmark", name)
    assert {part for part, (status, _) in found.items() if status == "failed"} == {check}
    assert words in found[check][1]


def test_check_functions_raise_with_the_failures() -> None:
    with pytest.raises(CheckFailed, match="dataset:wrong-kind:loads"):
        check_dataset("wrong-kind")
    with pytest.raises(CheckFailed, match="stimuli:wrong-modality:loads"):
        check_stimuli("wrong-modality")
    assert {outcome.status for outcome in check_dataset("without-files")} == {"skipped"}
