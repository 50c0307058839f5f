"""The checks of models: a good model passes, and each kind of bad model fails the one check that is about it."""
# ruff: noqa: ARG002 - bad models ignore what they are given

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from isocortex.activations.output import Emit, LayerOutput
from isocortex.catalogue.cards import ModelCard, Variant
from isocortex.data.media import resample
from isocortex.data.stimuli import Stimulus, StimulusBatch
from isocortex.errors import FilesError
from isocortex.interfaces import LoadedModel, ModelPlugin
from isocortex.testing import CheckFailed, check_model, checks_of, model_runs
from isocortex.testing.memory import growth
from isocortex.testing.model_runs import ModelUnderTest, n_per_run, output_problem
from isocortex.testing.models import MODEL_CHECKS, difference
from isocortex.testing.outcomes import Check, CheckOutcome
from tests.third_party.install import fake_site, write_package


def envelope(stimulus: Stimulus) -> np.ndarray:
    """Level of a sound in eight stretches."""
    return np.array([np.sqrt((part**2).mean()) for part in np.array_split(stimulus.array, 8)], dtype=np.float32)


class Loaded(LoadedModel):
    """Two layers that depend on the stimulus alone."""

    layers: Sequence[str] = ("early", "late")

    def __init__(self, seed: int = 0) -> None:
        self.weights = np.random.default_rng(seed).normal(size=(8, 3)).astype(np.float32)

    def values(self, batch: StimulusBatch, layer: str) -> np.ndarray:
        features = np.stack([envelope(stimulus) for stimulus in batch])
        return features if layer == "early" else np.stack([row @ self.weights for row in features])

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        for layer in layers:
            emit(layer, LayerOutput(self.values(batch, layer), ("unit",)))


class Plugin(ModelPlugin):
    """A model with a fixed and a random variant."""

    loaded: Callable[..., LoadedModel] = Loaded

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        return type(self).loaded(variant.seed or 0)


# --- bad models, each in one respect ----------------------------------------------------------------------------------


class SeesItsBatch(Loaded):
    """Normalises over the batch, as a network does that was left in training mode."""

    def values(self, batch, layer):
        found = super().values(batch, layer)
        return found - found.mean(axis=0)


class SeesItsPlace(Loaded):
    """Depends on where the stimulus stands in the set."""

    def values(self, batch, layer):
        return super().values(batch, layer) + np.array(batch.index, dtype=np.float32)[:, None]


class Unseeded(Loaded):
    """Draws its weights from a generator without a seed."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.weights = np.random.default_rng().normal(size=(8, 3)).astype(np.float32)


class IgnoresSeed(Loaded):
    """The same weights for every seed."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(0)


class HasUndeclaredLayer(Loaded):
    """Its third layer is not on the card."""

    layers = ("early", "late", "last")


class LacksDeclaredLayer(Loaded):
    """The card has a layer that it does not."""

    layers = ("late",)


class EmitsInAnotherOrder(Loaded):
    """The last layer comes first."""

    def run(self, batch, layers, emit):
        super().run(batch, list(reversed(layers)), emit)


class EmitsAllLayers(Loaded):
    """Emits what was not asked for."""

    def run(self, batch, layers, emit):
        super().run(batch, self.layers, emit)


class FindsNothing(Loaded):
    """Its find() does not know its own layers."""

    def find(self, pattern):
        return []


class GivesNaN(Loaded):
    """0 / 0 for one unit."""

    def values(self, batch, layer):
        found = super().values(batch, layer)
        return np.where(np.arange(found.shape[1]) == 1, np.nan, found)


class MisnamesAxes(Loaded):
    """Names two axes for one."""

    def run(self, batch, layers, emit):
        for layer in layers:
            emit(layer, LayerOutput(self.values(batch, layer), ("unit", "time")))


class VariesInUnits(Loaded):
    """As many units as the sound has milliseconds, on an axis that is not time."""

    batching = "equal-length"

    def run(self, batch, layers, emit):
        for layer in layers:
            values = np.stack([stimulus.array[::16] for stimulus in batch])
            emit(layer, LayerOutput(values, ("unit",)))


class FailsOnLongSounds(Loaded):
    """Raises for sounds above one second."""

    def values(self, batch, layer):
        if any(len(stimulus.array) > 16000 for stimulus in batch):
            raise ValueError("operands could not be broadcast together")
        return super().values(batch, layer)


class RepeatsLayers(Loaded):
    """One name twice."""

    layers = ("early", "late", "late")


class BatchesOddly(Loaded):
    """A way of batching that does not exist."""

    batching = "pairs"


class Unloadable(Plugin):
    """Raises when it is loaded."""

    def load(self, variant, *, device):
        raise FileNotFoundError("weights.npz")


class OneDigest(Plugin):
    """The same digest for every seed, so that activations of one would be taken for those of another."""

    def digest(self, variant):
        return "constant"


class UnstableDigest(Plugin):
    """A digest that is another one at every call."""

    def digest(self, variant):
        return str(np.random.default_rng().random())


def plugin_of(bad: type, layers: tuple[str, ...] = ("early", "late")) -> ModelPlugin:
    """A plugin object for a loaded model or a plugin class."""
    card = ModelCard(id="tested", object="a:b", modality="audio", layers=layers, variants=("fixed", "random"))
    if issubclass(bad, ModelPlugin):
        return bad(card)
    return type("Made", (Plugin,), {"loaded": bad})(card)


def outcomes(model: ModelPlugin) -> dict[str, CheckOutcome]:
    """Check → outcome."""
    tested = ModelUnderTest.of(model)
    return {
        name: Check(name, lambda function=function: function(tested)).outcome()
        for name, function in MODEL_CHECKS.items()
    }


def statuses(model: ModelPlugin, status: str) -> set[str]:
    """Names of the checks that ended so."""
    return {name for name, outcome in outcomes(model).items() if outcome.status == status}


def test_good_model_passes_all_but_what_needs_a_package() -> None:
    found = outcomes(plugin_of(Loaded))
    assert {name for name, outcome in found.items() if outcome.status != "passed"} == {"memory"}
    assert "installed package" in found["memory"].message


@pytest.mark.parametrize(
    ("bad", "check", "words"),
    [
        (SeesItsBatch, "batch-size", "standard deviations"),
        (SeesItsPlace, "order", "standard deviations"),
        (Unseeded, "determinism", "late"),
        (IgnoresSeed, "seeds", "random:1"),
        (OneDigest, "digest", "constant"),
        (UnstableDigest, "digest", "stay the same"),
        (LacksDeclaredLayer, "layers", "'early'"),
        (EmitsInAnotherOrder, "layers", "processing order"),
        (FindsNothing, "layers", "find("),
        (GivesNaN, "finite", "stimulus000"),
        (MisnamesAxes, "outputs", "2 names of axes"),
        (VariesInUnits, "outputs", "as many units"),
        (FailsOnLongSounds, "outputs", "broadcast"),
        (BatchesOddly, "loads", "pairs"),
        (Unloadable, "loads", "weights.npz"),
    ],
)
def test_bad_model_fails_its_check_alone(bad: type, check: str, words: str) -> None:
    found = outcomes(plugin_of(bad))
    assert {name for name, outcome in found.items() if outcome.status == "failed"} == {check}
    assert words in found[check].message


def test_layer_that_the_card_does_not_declare() -> None:
    found = outcomes(plugin_of(HasUndeclaredLayer))
    assert {name for name, outcome in found.items() if outcome.status == "failed"} == {"layers"}
    assert "last" in found["layers"].message
    assert statuses(plugin_of(HasUndeclaredLayer, ("*",)), "failed") == set()
    assert statuses(plugin_of(HasUndeclaredLayer, ()), "failed") == set(), "the layers of what is loaded"


def test_emitting_more_than_was_asked_for() -> None:
    found = outcomes(plugin_of(EmitsAllLayers))
    assert found["layers"].status == "failed"
    assert "early, late" in found["layers"].message


def test_layers_named_twice_do_not_load() -> None:
    assert "loads" in statuses(plugin_of(RepeatsLayers), "failed")


def test_dependent_checks_are_skipped_with_the_reason() -> None:
    found = outcomes(plugin_of(Unloadable))
    assert found["batch-size"].status == "skipped"
    assert "loads" in found["batch-size"].message
    assert "weights.npz" in found["batch-size"].message
    assert "determinism" in outcomes(plugin_of(Unseeded))["order"].message


@pytest.mark.parametrize(
    ("modality", "variants", "words"), [("video", ("fixed",), "video"), ("audio", ("pretrained",), "weights")]
)
def test_what_the_kit_cannot_run_is_skipped(modality: str, variants: tuple[str, ...], words: str) -> None:
    card = ModelCard(id="tested", object="a:b", modality=modality, layers=("early", "late"), variants=variants)
    found = outcomes(Plugin(card))
    assert not {name for name, outcome in found.items() if outcome.status == "failed"}
    assert found["outputs"].status == "skipped"
    assert words in found["outputs"].message


def test_a_variant_whose_files_are_not_here_is_skipped_with_the_reason() -> None:
    """An untrained network may take its architecture from a file."""

    class Absent(Plugin):
        def fetch(self, variant, source=None):
            raise FilesError(f"The file of {variant} is not here.\nLooked for it in many places.")

    found = outcomes(Absent(plugin_of(Loaded).card))
    assert {outcome.status for outcome in found.values()} == {"skipped"}
    assert found["loads"].message == "fixed needs files that are not here: The file of fixed is not here."


def test_check_model_raises_with_every_failure() -> None:
    with pytest.raises(CheckFailed, match="model:tested:finite") as raised:
        check_model(plugin_of(GivesNaN))
    assert "stimulus000" in str(raised.value)
    assert {outcome.status for outcome in check_model(plugin_of(Loaded))} == {"passed", "skipped"}


# --- the rate of sounds -----------------------------------------------------------------------------------------------


class Spectrum(Loaded):
    """Levels of 32 bands below an eighth of the rate that it takes sounds to have."""

    def array(self, stimulus: Stimulus) -> np.ndarray:
        return stimulus.array

    def values(self, batch, layer):
        found = []
        for stimulus in batch:
            power = np.abs(np.fft.rfft(self.array(stimulus))) ** 2
            found.append([np.log(band.mean() + 1e-6) for band in np.array_split(power[: len(power) // 4], 32)])
        return np.array(found, dtype=np.float32)


class Resamples(Spectrum):
    """Brings sounds to 20 kHz itself."""

    def array(self, stimulus):
        return resample(stimulus.array, stimulus.sample_rate, 20_000.0)


class Refuses(Spectrum):
    """Takes no other rate than 16 kHz."""

    def array(self, stimulus):
        if stimulus.sample_rate != 16_000:
            raise ValueError("a wrong rate")
        return stimulus.array


@pytest.mark.parametrize(
    ("loaded", "row", "words"),
    [
        (Spectrum, {}, "it depends on the sampling rate. Say sample_rate"),
        (Spectrum, {"sample_rate": 20_000, "resampler": "model"}, "at 20000 and at 44100 Hz"),
        (Spectrum, {"sample_rate": 44_100, "resampler": "model"}, "at 44100 and at 22050 Hz"),
        (Spectrum, {"sample_rate": 20_000}, None),
        (Spectrum, {"sample_rate": 44_100, "resampler": "polyphase"}, None),
        (Resamples, {"sample_rate": 20_000, "resampler": "model"}, None),
        (Resamples, {}, None),
        (Refuses, {}, "must take a sound at 44100 Hz; found ValueError: a wrong rate. With sample_rate = 16000"),
        (Refuses, {"sample_rate": 16_000}, None),
        (Loaded, {}, None),
    ],
)
def test_a_model_that_ignores_the_rate_of_sounds_is_found(loaded: type, row: dict, words: str | None) -> None:
    card = ModelCard(id="tested", object="a:b", modality="audio", layers=("early", "late"), **row)
    found = outcomes(type("Made", (Plugin,), {"loaded": loaded})(card))
    assert {name for name, outcome in found.items() if outcome.status == "failed"} == ({"rates"} if words else set())
    assert (words or "") in found["rates"].message


def test_images_have_no_rate_to_ignore() -> None:
    card = ModelCard(id="tested", object="a:b", modality="image", layers=("early", "late"))
    assert outcomes(Plugin(card))["rates"].message == "It takes no sounds."


def test_a_model_that_is_random_and_says_so_passes() -> None:
    class Draws(Loaded):
        def values(self, batch, layer):
            return super().values(batch, layer) + np.random.normal(size=(len(batch), 1)).astype(np.float32)

    for random, failed in ((True, set()), (False, {"determinism"})):
        card = ModelCard(id="tested", object="a:b", modality="audio", layers=("early", "late"), random=random)
        assert statuses(type("Made", (Plugin,), {"loaded": Draws})(card), "failed") - {"rates"} == failed


# --- what is measured in processes of their own -----------------------------------------------------------------------

MANIFEST = """
[plugin]
api = 1

[defaults.model]
object = "{module}:Model"
modality = "audio"
layers = ["level"]

[[model]]
id = "{module}"
"""

SOURCE = """
from __future__ import annotations
from collections import deque
from itertools import count
import numpy as np
from isocortex.interfaces import LoadedModel, ModelPlugin
from isocortex.activations.output import LayerOutput

KEPT, RECENT, TABLES, COUNT = [], deque(maxlen=20), [], count()

class Loaded(LoadedModel):
    layers = ("level",)
    def run(self, batch, layers, emit):
        rows = []
        for stimulus in batch:
            {statement}
        for layer in layers:
            emit(layer, LayerOutput(np.array(rows, dtype=np.float32), ("unit",)))

class Model(ModelPlugin):
    def load(self, variant, *, device):
        return Loaded()
    {digest}
"""

LEVEL = "rows.append([np.sqrt((stimulus.array ** 2).mean())])"
PLUGINS = {
    "isocortex-good-level": (LEVEL, ""),
    # what a cache of preprocessed inputs does
    "isocortex-keeps-inputs": (f"KEPT.append(stimulus.array); {LEVEL}", ""),
    "isocortex-keeps-every-third": (f"KEPT.extend([stimulus.array] * (next(COUNT) % 3 == 0)); {LEVEL}", ""),
    # memory that comes and stays, but does not grow: the last inputs, and a table that is made late
    "isocortex-keeps-the-last": (
        f"RECENT.append(stimulus.array); TABLES.extend([np.ones(4_000_000)] * (next(COUNT) == 50)); {LEVEL}",
        "",
    ),
    # the order of a set of texts is another one in every process
    "isocortex-hash-order": (
        "rows.append([float(''.join(set('abcdefghijklmnop')).index(letter)) for letter in 'abcdefgh'])",
        "",
    ),
    "isocortex-hash-digest": (LEVEL, "def digest(self, variant): return str(hash('level'))"),
}


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages whose models are run in fresh interpreters."""
    site = tmp_path / "site"
    for name, (statement, digest) in PLUGINS.items():
        files = {
            "__init__.py": SOURCE.format(statement=statement, digest=digest),
            "isocortex.toml": MANIFEST.format(module=name.replace("-", "_")),
        }
        write_package(site, name, files)
    monkeypatch.syspath_prepend(str(site))


def failed(what: str, *names: str) -> dict[str, str]:
    """Checks of a model that fail, with their messages; all, or those with the given names."""
    chosen = [check for check in checks_of(what) if check.id.startswith("model:")]
    ended = [check.outcome() for check in chosen if not names or check.id.rpartition(":")[2] in names]
    assert ended
    return {item.id.rpartition(":")[2]: item.message for item in ended if item.status == "failed"}


@pytest.mark.usefixtures("packages")
def test_good_package_passes() -> None:
    assert failed("isocortex-good-level") == {}


@pytest.mark.usefixtures("packages")
def test_model_that_keeps_its_inputs_fails_the_memory_check_alone() -> None:
    found = failed("isocortex-keeps-inputs")
    assert list(found) == ["memory"]
    # 2 s of sound at 16 kHz, float32
    assert abs(float(re.findall(r"found (\d+) kB", found["memory"])[0]) - 128) < 6
    assert "Keep nothing" in found["memory"]


@pytest.mark.usefixtures("packages")
def test_memory_check_of_a_slow_model_is_as_sharp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_runs, "n_per_run", lambda _: 1)
    assert list(failed("isocortex-keeps-inputs", "memory")) == ["memory"]


@pytest.mark.usefixtures("packages")
def test_what_is_kept_now_and_then_fails_and_what_stays_the_same_size_passes() -> None:
    assert list(failed("isocortex-keeps-every-third", "memory")) == ["memory"]
    assert failed("isocortex-keeps-the-last", "memory") == {}


@pytest.mark.usefixtures("packages")
def test_order_of_a_set_fails_determinism_alone() -> None:
    found = failed("isocortex-hash-order", "determinism", "layers", "outputs", "batch-size", "order", "digest")
    assert list(found) == ["determinism"]
    assert "a fresh one" in found["determinism"]


@pytest.mark.usefixtures("packages")
def test_digest_that_differs_between_processes() -> None:
    found = failed("isocortex-hash-digest", "determinism", "digest")
    assert list(found) == ["digest"]
    assert "fresh interpreter" in found["digest"]


def test_twins_are_checked_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(fake_site(tmp_path, ["isocortex-twin-a", "isocortex-twin-b"])))
    labels = {check.id.rpartition(":")[0] for check in checks_of("twin") if check.id.startswith("model:")}
    assert labels == {"model:isocortex-twin-a::twin", "model:isocortex-twin-b::twin"}
    assert failed("isocortex-twin-b::twin", "loads", "layers", "determinism") == {}


# --- the functions underneath -----------------------------------------------------------------------------------------


def test_difference_allows_rounding_and_no_more() -> None:
    values = np.random.default_rng(0).normal(1000, 1, (5, 7)).astype(np.float32)
    assert difference(values, values) is None
    assert difference(values, np.nextafter(values, np.float32(np.inf))) is None
    assert "0.01" in str(difference(values, values + np.float32(0.01)))
    assert "shapes" in str(difference(values, values[:, 1:]))
    assert "constant" in str(difference(np.ones((2, 2)), np.zeros((2, 2))))


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (np.zeros((2, 3)), "expected a LayerOutput"),
        (LayerOutput(np.zeros((2, 3), dtype=complex), ("unit",)), "real numbers"),
        (LayerOutput(np.zeros((3, 3)), ("unit",)), "2 stimuli"),
        (LayerOutput(np.zeros(2), ()), "2 stimuli"),
        (LayerOutput(np.zeros((2, 3)), ("unit",), lengths=[1, 1]), "without the axis 'time'"),
        (LayerOutput(np.zeros((2, 3)), ("time",), lengths=[1]), "valid lengths from 1 to 3"),
        (LayerOutput(np.zeros((2, 3)), ("time",), lengths=[0, 1]), "valid lengths from 1 to 3"),
        (LayerOutput(np.zeros((2, 3)), ("time",), lengths=[1, 4]), "valid lengths from 1 to 3"),
        (LayerOutput(np.zeros((2, 3)), ("unit",), units=("a", "b")), "names of units"),
        (LayerOutput(np.zeros((2, 3)), ("time",), units=("a", "b", "c")), "names of units"),
        (LayerOutput(np.zeros((2, 3)), ("time",), step_ms=np.zeros((2, 2))), "step_ms"),
    ],
)
def test_output_problem_names_what_is_wrong(output, words: str) -> None:
    assert words in str(output_problem(output, 2))


def test_output_problem_accepts_what_fits() -> None:
    fitting = LayerOutput(np.zeros((2, 4, 3)), ("channel", "time"), lengths=[3, 1], step_ms=np.zeros((3, 2)))
    assert output_problem(fitting, 2) is None
    assert output_problem(LayerOutput(np.zeros((2, 2)), ("unit",), units=("a", "b")), 2) is None


def test_memory_check_takes_fewer_stimuli_of_slow_models() -> None:
    assert [n_per_run(seconds) for seconds in (0.0, 0.01, 0.08, 0.16, 30.0, 60.0)] == [8, 8, 7, 3, 1, 0]


def test_growth_of_memory() -> None:
    stream = np.random.default_rng(0)
    for n_between in (1, 2, 3):
        # the largest steps are left out, which takes most from what is kept in few large pieces
        for first in range(n_between):
            kept = np.cumsum(np.arange(10) % n_between == first) * 100_000 * n_between
            found = [growth((kept + stream.integers(0, 5_000, 10)).tolist()) for _ in range(100)]
            assert 40_000 < min(found) <= max(found) < 130_000
    # one thing, made after any run, is no growth; nor is a bounded store that is filled after a few runs
    steps = [growth([1000 * (run >= late) for run in range(10)]) for late in range(10)]
    assert steps == [0.0] * 10
    assert growth([8, 16, 20, *[20] * 7]) == 0.0
    assert growth([20, 10, 20, 10, *[20] * 6]) == 0.0
