"""Models whose output depends on chance, on their batch or on what ran before are found, whatever the reason."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isocortex.activations.output import Emit, LayerOutput
from isocortex.catalogue.cards import ModelCard, Variant
from isocortex.data.stimuli import Stimulus, StimulusBatch, StimulusSet
from isocortex.errors import DataError, PluginError
from isocortex.extraction import chunk_rows as chunks, extractor as extraction
from isocortex.extraction.chance import seeded
from isocortex.extraction.extractor import activations_in_memory, extract
from isocortex.extraction.hearing import heard
from isocortex.extraction.steadiness import HALF_TOLERANCE, TOLERANCE, Steadiness
from isocortex.files.disk import read_json
from isocortex.interfaces import LoadedModel

LENGTHS = (7, 12, 5, 9, 12, 8, 6)
Values = Callable[["Odd", list[np.ndarray]], np.ndarray]


def sounds(lengths: Sequence[int] = LENGTHS) -> StimulusSet:
    """Sounds of noise, of these lengths."""
    stream = np.random.default_rng(0)
    made = {f"s{n}": stream.normal(size=length).astype(np.float32) for n, length in enumerate(lengths)}
    return StimulusSet("sounds", "audio", {name: Stimulus(name, "audio", array, 8e3) for name, array in made.items()})


def plain(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """What is right for a stimulus: three numbers of it alone."""
    return np.array([[array.mean(), array.std(), array[0]] for array in arrays])


class Odd(LoadedModel):
    """A model whose one layer is a function of the model and of a batch's arrays."""

    layers = ("a",)

    def __init__(self, values: Values, batching: str = "any") -> None:
        self.values, self.batching = values, batching  # type: ignore[assignment]
        self.state: Any = None
        self.sizes: list[int] = []

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        self.sizes.append(len(batch))
        values = self.values(self, [stimulus.array for stimulus in batch])
        for layer in layers:
            emit(layer, LayerOutput(values, ("unit",)))


def run(model: LoadedModel, folder: Path, stimuli: StimulusSet | None = None, **more: Any) -> Any:
    """The layer "a", with its warnings."""
    played = sounds() if stimuli is None else stimuli
    return extract(model, played, ["a"], reduction="flatten", folder=folder, name="odd@fixed", **more)["a"]


# --- chance, and what ran before --------------------------------------------------------------------------------------

_OWN = np.random.default_rng()


def dropout(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    return np.tile(plain(arrays), 20) * (np.random.random((len(arrays), 60)) < 0.5)


def python_random(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    return plain(arrays) + np.array([[random.random()] for _ in arrays])


def torch_dropout(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    torch = pytest.importorskip("torch")
    return torch.nn.functional.dropout(torch.tensor(np.tile(plain(arrays), 20)), 0.5, training=True)  # type: ignore[return-value]


def own_generator(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    return plain(arrays) + _OWN.normal(0, 1e-6, (len(arrays), 3))


def seeded_once(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    model.state = model.state or np.random.default_rng(0)
    return plain(arrays) + model.state.normal(size=(len(arrays), 3))


def counter(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    model.state = (model.state or 0) + 1
    return plain(arrays) + 1e-3 * model.state


def clock(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    return plain(arrays) + time.perf_counter() % 1


def hidden_state(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    found = plain(arrays) + (0 if model.state is None else 0.5 * model.state)
    model.state = found[-1]
    return found


def running_mean(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    found = plain(arrays)
    model.state = 0.9 * (0 if model.state is None else model.state) + 0.1 * found.mean(axis=0)
    return found - model.state


def first_call(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    first, model.state = model.state is None, True
    return plain(arrays) * (2 if first else 1)


def grown_buffer(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    model.state = np.zeros((64, 3)) if model.state is None else model.state
    model.state[: len(arrays)] += plain(arrays)
    return model.state[: len(arrays)]


CHANCE = [
    dropout,
    python_random,
    torch_dropout,
    own_generator,
    seeded_once,
    counter,
    clock,
    hidden_state,
    running_mean,
    first_call,
    grown_buffer,
]


@pytest.mark.parametrize("values", CHANCE, ids=lambda values: values.__name__)
@pytest.mark.parametrize("batching", ["any", "single"])
def test_what_gives_other_values_again_is_refused(values: Values, batching: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"odd@fixed gives other values when it runs on 's1' again \(layer a.*random"):
        run(Odd(values, batching), tmp_path)
    assert not list(tmp_path.rglob("*.npy"))
    with pytest.raises(PluginError, match="again"):
        activations_in_memory(Odd(values), sounds(), ["a"], steadiness=Steadiness("odd@fixed"))


def test_chance_that_looked_steady_is_no_dependence_on_the_batch(tmp_path: Path) -> None:
    """A coin that fell on one side three times."""

    def late(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
        return plain(arrays) * (1 if len(model.sizes) <= 3 else len(model.sizes))

    with pytest.raises(PluginError, match="'s1' again"):
        run(Odd(late), tmp_path)


# --- its batch --------------------------------------------------------------------------------------------------------


def padded(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    longest = max(map(len, arrays))
    return plain([np.pad(array, (0, longest - len(array))) for array in arrays])


def scaled_by_the_loudest(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    return plain(arrays) / max(np.abs(array).max() for array in arrays)


def sorted_by_length(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    return plain(sorted(arrays, key=len))


def mixed_with_the_next(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    return plain(arrays) + 0.001 * np.roll(plain(arrays), 1, axis=0)


def noisy_in_batches(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    return plain(arrays) + (_OWN.normal(size=(len(arrays), 3)) if len(arrays) > 1 else 0)


def not_a_number_in_batches(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    return np.where(len(arrays) > 1, np.nan, plain(arrays))


def batch_norm(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    torch = pytest.importorskip("torch")
    frames = torch.tensor(np.stack([array[:5] for array in arrays]))[:, None]  # (n_stimuli, 1, 5)
    return torch.nn.functional.batch_norm(frames, None, None, training=True)[:, 0, :3]  # type: ignore[return-value]


BATCH = [
    padded,
    scaled_by_the_loudest,
    sorted_by_length,
    mixed_with_the_next,
    noisy_in_batches,
    not_a_number_in_batches,
    batch_norm,
]


@pytest.mark.parametrize("values", BATCH, ids=lambda values: values.__name__)
def test_what_depends_on_its_batch_runs_one_by_one_and_says_so(values: Values, tmp_path: Path) -> None:
    stimuli = sounds()
    arrays = [stimulus.array for stimulus in stimuli]
    alone = np.concatenate([np.asarray(values(Odd(values), [array])) for array in arrays]).astype(np.float32)
    model = Odd(values)
    found = run(model, tmp_path)
    np.testing.assert_array_equal(found.array(), alone)
    [said] = found.warnings
    assert said.startswith("odd@fixed gives other values in a batch than alone (layer a")
    assert "one stimulus at a time" in said
    assert model.sizes == [1, 1, 1, 7, 1, 1, *[1] * 7]
    [kept] = activations_in_memory(Odd(values), stimuli, ["a"], steadiness=Steadiness("odd@fixed")).values()
    np.testing.assert_array_equal(kept.array(), alone)
    assert [text[:60] for text in kept.warnings] == [said[:60]]
    again = run(Odd(values), tmp_path)
    assert again.warnings == (said,), "also where nothing was computed"


def from_its_last(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    """Keeps what it gave for a batch of that size."""
    model.state = {} if model.state is None else model.state
    return model.state.setdefault(len(arrays), plain(arrays))


def without_the_mean(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    return plain(arrays) - plain(arrays).mean(axis=0)


def softmax_over_the_batch(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    powers = np.exp(plain(arrays))
    return powers / powers.sum(axis=0)


@pytest.mark.parametrize("values", [from_its_last, without_the_mean, softmax_over_the_batch], ids=lambda v: v.__name__)
def test_what_gives_nothing_of_a_stimulus_alone_is_refused(values: Values, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"and alone the same for s1, s2 \(layer 'a'\).*over its batch"):
        run(Odd(values), tmp_path)
    assert not list(tmp_path.rglob("*.npy"))


def test_zero_by_zero_alone_is_refused(tmp_path: Path) -> None:
    def z_scored(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return without_the_mean(model, arrays) / plain(arrays).std(axis=0)

    with pytest.raises(DataError, match=r"'a' is not finite .* s1"):
        run(Odd(z_scored), tmp_path)


@pytest.mark.parametrize(("share", "dtype"), [(TOLERANCE, "float32"), (HALF_TOLERANCE, "float16")])
def test_rounding_by_batches_is_borne_to_the_stated_tolerance(share: float, dtype: str, tmp_path: Path) -> None:
    def rounded(by: float) -> Values:
        def values(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
            found = np.tile([1.0, -4.0, 2.0], (len(arrays), 1))  # the largest absolute value is 4
            return (found + (4 * by if len(arrays) > 1 else 0) * np.array([0, 0, 1])).astype(dtype)

        return values

    assert run(Odd(rounded(0.8 * share)), tmp_path / "below").warnings == ()
    # every stimulus gives the same, so that nothing would be left; what is looked for is that it is found
    with pytest.raises(PluginError, match="other values in a batch than alone"):
        run(Odd(rounded(1.3 * share)), tmp_path / "above")


def test_padding_is_found_where_the_longest_has_no_company(tmp_path: Path) -> None:
    """Only the last chunk has a batch of several."""
    model = Odd(padded, "equal-length")
    assert run(model, tmp_path / "equal", sounds([3, 4, 5, 4])).warnings == (), "nothing is padded"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extraction, "CHUNK_SIZE", 1)
        assert run(Odd(padded), tmp_path / "single", sounds([3, 4, 5, 4])).warnings == ()

    def of_one_length(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
        return mixed_with_the_next(model, arrays)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extraction, "CHUNK_SIZE", 3)
        odd = Odd(of_one_length, "equal-length")
        found = run(odd, tmp_path / "late", sounds([9, 3, 4, 5, 6, 7, 4, 4, 4]))
    assert odd.sizes == [1, 1, 1, *[1] * 6, 1, 1, 3, 1, 1, 1, 1, 1]
    assert len(found.warnings) == 1


# --- what is no fault -------------------------------------------------------------------------------------------------


def in_place(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    for array in arrays:
        array *= 2
    return plain(arrays)


def one_buffer(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
    model.state = np.empty((64, 3), dtype=np.float32) if model.state is None else model.state
    model.state[: len(arrays)] = plain(arrays)
    return model.state[: len(arrays)]


def test_a_model_may_write_into_what_it_is_given(tmp_path: Path) -> None:
    stimuli, card = sounds(), ModelCard(id="odd", object="x:X", modality="audio", layers=("a",))
    expected = plain([2 * stimulus.array for stimulus in sounds()]).astype(np.float32)
    for name in ("first", "second"):
        found = run(Odd(in_place), tmp_path / name, heard(stimuli, card))
        np.testing.assert_allclose(found.array(), expected, rtol=1e-6)
        assert found.warnings == ()
    assert np.array_equal(stimuli.load(0).array, sounds().load(0).array)


def test_a_model_may_give_the_same_buffer_each_time(tmp_path: Path) -> None:
    found = run(Odd(one_buffer), tmp_path, batch_size=2)
    np.testing.assert_allclose(found.array(), plain([stimulus.array for stimulus in sounds()]), rtol=1e-6)
    assert found.warnings == ()


def test_one_stimulus_is_run_twice(tmp_path: Path) -> None:
    model = Odd(lambda _, arrays: plain(arrays))
    run(model, tmp_path, sounds([4]))
    assert model.sizes == [1, 1, 1]
    with pytest.raises(PluginError, match="'s0' again"):
        run(Odd(counter), tmp_path / "counter", sounds([4]))


# --- resuming ---------------------------------------------------------------------------------------------------------


class Stops(Odd):
    """Is interrupted at one of its runs."""

    def __init__(self, values: Values, last: int) -> None:
        super().__init__(values)
        self.last = last

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        if len(self.sizes) == self.last:
            raise KeyboardInterrupt
        super().run(batch, layers, emit)


@pytest.mark.parametrize("last", [0, 1, 2, 3, 4, 5, 7, 8, 10])
def test_a_resumed_extraction_gives_the_same_bytes(last: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "CHUNK_SIZE", 3)
    undisturbed = run(Odd(padded), tmp_path / "twin")
    with pytest.raises(KeyboardInterrupt):
        run(Stops(padded, last), tmp_path / "stopped")
    found = run(Odd(padded), tmp_path / "stopped")
    for chunk in (tmp_path / "twin").rglob("*.npy"):
        assert chunk.read_bytes() == (tmp_path / "stopped" / chunk.relative_to(tmp_path / "twin")).read_bytes()
    assert found.warnings == undisturbed.warnings
    assert read_json(tmp_path / "stopped" / "steadiness.json") == read_json(tmp_path / "twin" / "steadiness.json")


def test_what_was_found_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "CHUNK_SIZE", 3)
    run(Odd(padded), tmp_path)
    (tmp_path / "a" / "00001.npy").unlink()
    model = Odd(padded)
    run(model, tmp_path)
    assert model.sizes == [1, 1, 1, 1, 1], "one for the space, one of what is stored, and the chunk"


def test_a_damaged_memory_of_it_is_made_again(tmp_path: Path) -> None:
    undisturbed = run(Odd(padded), tmp_path).array()
    for content in ('{"repeated": 3, "compared": null, "one_by_one": 1}', "[]", "", '{"repeated": ["a"]}'):
        (tmp_path / "steadiness.json").write_text(content)
        (tmp_path / "a" / "00000.npy").unlink()
        np.testing.assert_array_equal(run(Odd(padded), tmp_path).array(), undisturbed)


def test_weights_that_are_drawn_at_each_load_are_found_when_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, "CHUNK_SIZE", 3)

    def drawn(weight: float) -> Odd:
        return Odd(lambda _, arrays: weight * plain(arrays))

    run(drawn(1.0), tmp_path)
    (tmp_path / "a" / "00002.npy").unlink()
    run(drawn(1.00001), tmp_path)
    (tmp_path / "a" / "00002.npy").unlink()
    with pytest.raises(PluginError, match=r"other values for 's1' than it gave when this extraction began.*Seed"):
        run(drawn(1.1), tmp_path)
    assert not (tmp_path / "a" / "00002.npy").exists()


def test_layers_in_files_are_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a batch gave more units than a stimulus does alone."""
    expected = run(Odd(padded), tmp_path / "held").array()

    def wide_in_batches(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
        found = padded(model, arrays)
        return np.repeat(found, 2, axis=1) if len(arrays) > 1 else found

    for held_bytes in (0, 10**9):
        monkeypatch.setattr(chunks, "HELD_BYTES", held_bytes)
        for name, values in (("padded", padded), ("wide", wide_in_batches)):
            folder = tmp_path / f"{name}{held_bytes}"
            np.testing.assert_array_equal(run(Odd(values), folder).array(), expected)
            assert not list(folder.rglob("*.part"))


# --- models that are meant to draw ------------------------------------------------------------------------------------


def noisy(kind: str) -> Values:
    def values(model: Odd, arrays: list[np.ndarray]) -> np.ndarray:
        drawn = {
            "numpy": lambda: np.random.normal(size=(len(arrays), 3)),
            "python": lambda: np.array([[random.gauss(0, 1) for _ in range(3)] for _ in arrays]),
            "torch": lambda: pytest.importorskip("torch").randn(len(arrays), 3).numpy(),
        }[kind]()
        return plain(arrays) + drawn

    return values


def card(**more: Any) -> ModelCard:
    return ModelCard(id="odd", object="x:X", modality="audio", layers=("a",), random=True, **more)


@pytest.mark.parametrize("kind", ["numpy", "python", "torch"])
def test_each_stimulus_has_a_seed_of_its_own(kind: str, tmp_path: Path) -> None:
    def made(name: str, seed: int, stimuli: StimulusSet, **more: Any) -> dict[str, list[float]]:
        model = seeded(Odd(noisy(kind)), card(), Variant.parse(f"random:{seed}"))
        found = run(model, tmp_path / name, heard(stimuli, card()), **more)
        assert found.warnings == ()
        return {one: row.tolist() for one, row in zip(found.stimulus_id, found.array(), strict=True)}

    state = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]
    first, again = made("first", 0, sounds()), made("again", 0, sounds(), batch_size=3)
    assert first == again
    assert (random.getstate(), np.random.get_state()[1].tolist()) == state  # type: ignore[index, union-attr]
    stimuli = sounds()
    turned = {f"t{n}": stimuli.load(n) for n in reversed(range(7))}
    other = made("turned", 0, StimulusSet("turned", "audio", turned))
    assert [other[f"t{n}"] for n in range(7)] == [first[f"s{n}"] for n in range(7)], "by content, not by ID or place"
    assert made("seed", 1, sounds()) != first
    noise = np.array([first[f"s{n}"] for n in range(7)]) - plain([stimulus.array for stimulus in sounds()])
    assert 0.5 < noise.std() < 1.5
    assert len({round(float(row[0]), 6) for row in noise}) == 7


def test_a_generator_of_its_own_is_refused_although_chance_is_meant(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="although the generators of Python, numpy and torch were seeded"):
        run(seeded(Odd(own_generator), card(), Variant.parse("fixed")), tmp_path)
