from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocortex import extraction, store
from isocortex.errors import DataError, PluginError, SettingsError, StoreError
from isocortex.extraction import BATCH_SIZE, CHUNK_SIZE, activations_in_memory, extract
from isocortex.interfaces import LayerOutput, LoadedModel
from isocortex.stimuli import Stimulus, StimulusBatch, StimulusSet


def sounds(lengths: Sequence[int]) -> StimulusSet:
    """Sounds whose samples are their place in the set, 1, 2, 3, …"""
    return StimulusSet(
        "sounds",
        "audio",
        {
            f"s{place}": Stimulus(f"s{place}", "audio", np.full(length, place + 1, dtype=np.float32), 8000.0)
            for place, length in enumerate(lengths)
        },
    )


class Toy(LoadedModel):
    """Pads a batch to its longest sound, as a network does; ``steps`` repeats the samples, ``double`` doubles them."""

    layers = ("steps", "double")

    def __init__(self, batching: str = "any") -> None:
        self.batching = batching  # type: ignore[assignment]
        self.batches: list[tuple[str, ...]] = []
        self.asked: list[tuple[str, ...]] = []

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Callable[[str, LayerOutput], None]) -> None:
        self.batches.append(batch.ids)
        self.asked.append(tuple(layers))
        waveforms = [stimulus.array for stimulus in batch]
        lengths = [len(waveform) for waveform in waveforms]
        padded = np.full((len(batch), 1, max(lengths)), np.nan)
        for row, waveform in enumerate(waveforms):
            padded[row, 0, : len(waveform)] = waveform
        for name in layers:
            array = padded if name == "steps" else np.concatenate([2 * padded, 3 * padded], axis=1)
            emit(name, LayerOutput(array, ("channel", "time"), lengths=lengths))


def run(model: LoadedModel, stimuli: StimulusSet, folder: Path, **more: Any) -> dict[str, np.ndarray]:
    layers = more.pop("layers", ["steps", "double"])
    found = extract(model, stimuli, layers, reduction=more.pop("reduction", "time-mean"), folder=folder, **more)
    return {name: activations.array(stimuli.ids) for name, activations in found.items()}


def expected(n_stimuli: int) -> dict[str, list[list[float]]]:
    places = range(1, n_stimuli + 1)
    return {"steps": [[place] for place in places], "double": [[2 * place, 3 * place] for place in places]}


# --- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batching", ["any", "equal-length", "single"])
@given(lengths=st.lists(st.integers(1, 3), min_size=1, max_size=9), size=st.none() | st.integers(1, 5))
def test_values_do_not_depend_on_batches_or_chunks(
    tmp_path_factory: pytest.TempPathFactory, batching: str, lengths: list[int], size: int | None
) -> None:
    model, stimuli = Toy(batching), sounds(lengths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extraction, "CHUNK_SIZE", 4)
        found = run(model, stimuli, tmp_path_factory.mktemp("store"), batch_size=size)
    assert {name: values.tolist() for name, values in found.items()} == expected(len(lengths))
    assert all(values.dtype == np.float32 for values in found.values())
    assert sorted(name for batch in model.batches for name in batch) == sorted(stimuli.ids)
    length = dict(zip(stimuli.ids, lengths, strict=True))
    for batch in model.batches:
        assert len(batch) <= (1 if batching == "single" else size or BATCH_SIZE)
        if batching == "equal-length":
            assert len({length[name] for name in batch}) == 1
        assert len({int(name[1:]) // 4 for name in batch}) == 1, "a batch lies within a chunk"


def test_canonical_order_and_default_sizes(tmp_path: Path) -> None:
    model = Toy()
    n_stimuli = 2 * CHUNK_SIZE + 3
    found = run(model, sounds([1] * n_stimuli), tmp_path)
    assert {name: values.tolist() for name, values in found.items()} == expected(n_stimuli)
    assert [len(batch) for batch in model.batches] == [16, 16, 16, 16, 3]
    assert [name for batch in model.batches for name in batch] == [f"s{place}" for place in range(n_stimuli)]


def test_equal_length_groups_by_rate_as_well(tmp_path: Path) -> None:
    model = Toy("equal-length")
    rates = [8000.0, 16000.0, 8000.0]
    stimuli = StimulusSet(
        "sounds",
        "audio",
        {f"s{n}": Stimulus(f"s{n}", "audio", np.ones(2, "float32"), rate) for n, rate in enumerate(rates)},
    )
    run(model, stimuli, tmp_path)
    assert model.batches == [("s0", "s2"), ("s1",)]


# --- resuming ---------------------------------------------------------------------------------------------------------


def test_what_is_stored_is_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "CHUNK_SIZE", 2)
    stimuli = sounds([1, 2, 3, 1, 2])
    seen: list[tuple[int, int, bool]] = []
    first = run(Toy(), stimuli, tmp_path, progress=lambda *step: seen.append(step))
    assert seen == [(1, 3, True), (2, 3, True), (3, 3, True)]
    again = Toy()
    seen.clear()
    second = run(again, stimuli, tmp_path, progress=lambda *step: seen.append(step))
    assert again.batches == []
    assert seen == [(1, 3, False), (2, 3, False), (3, 3, False)]
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def test_only_missing_chunks_and_layers_are_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "CHUNK_SIZE", 2)
    stimuli = sounds([1, 2, 3, 1, 2])
    run(Toy(), stimuli, tmp_path, layers=["steps"])
    model = Toy()
    run(model, stimuli, tmp_path)
    assert set(model.asked) == {("double",)}
    (tmp_path / "double" / "00001.npy").write_bytes(b"torn")
    (tmp_path / "steps" / "00002.npy").unlink()
    model = Toy()
    found = run(model, stimuli, tmp_path)
    assert list(zip(model.batches, model.asked, strict=True)) == [(("s2", "s3"), ("double",)), (("s4",), ("steps",))]
    assert {name: values.tolist() for name, values in found.items()} == expected(5)


class Interrupted(Toy):
    """Fails on the third batch."""

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Callable[[str, LayerOutput], None]) -> None:
        if len(self.batches) == 2:
            raise KeyboardInterrupt
        super().run(batch, layers, emit)


def test_an_interrupted_extraction_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "CHUNK_SIZE", 2)
    stimuli = sounds([1] * 6)
    with pytest.raises(KeyboardInterrupt):
        run(Interrupted(), stimuli, tmp_path)
    model = Toy()
    found = run(model, stimuli, tmp_path)
    assert model.batches == [("s4", "s5")]
    assert {name: values.tolist() for name, values in found.items()} == expected(6)


# --- memory -----------------------------------------------------------------------------------------------------------


class Hungry(Toy):
    """Has memory for two stimuli at a time, and runs out of it only after the first layer."""

    problem: type[BaseException] = MemoryError
    text = "out of memory"
    room = 2

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Callable[[str, LayerOutput], None]) -> None:
        if len(batch) > self.room:
            super().run(batch, layers[:1], emit)
            raise self.problem(self.text)
        super().run(batch, layers, emit)


class OutOfMemoryError(RuntimeError):
    """Named as torch names it."""


@pytest.mark.parametrize(
    ("problem", "text"),
    [(MemoryError, ""), (RuntimeError, "CUDA out of memory. Tried to allocate"), (OutOfMemoryError, "no more")],
)
def test_batches_are_halved_when_memory_runs_out(tmp_path: Path, problem: type[BaseException], text: str) -> None:
    model = Hungry()
    model.problem, model.text = problem, text
    found = run(model, sounds([1, 2, 3, 1, 2, 3, 1]), tmp_path)
    assert {name: values.tolist() for name, values in found.items()} == expected(7)
    assert [len(batch) for batch, asked in zip(model.batches, model.asked, strict=True) if len(asked) == 2] == [
        1,
        2,
        2,
        2,
    ]


def test_other_errors_and_one_stimulus_too_large_are_not_hidden(tmp_path: Path) -> None:
    model = Hungry()
    model.room = 0
    with pytest.raises(MemoryError):
        run(model, sounds([1, 1]), tmp_path)
    model.problem, model.text = RuntimeError, "shapes do not fit"
    model.batches.clear()
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        run(model, sounds([1, 1]), tmp_path)
    assert len(model.batches) == 1


def test_a_disk_that_is_too_small_is_found_after_the_first_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, "CHUNK_SIZE", 2)
    # 3 float32 units of both layers for 6 stimuli
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: SimpleNamespace(free=6 * 3 * 4 - 1))
    model = Toy()
    with pytest.raises(StoreError, match="Storing 2 layers of 'sounds' needs"):
        run(model, sounds([1] * 6), tmp_path)
    assert len(model.batches) == 1
    assert not list(tmp_path.rglob("*.npy"))
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: SimpleNamespace(free=6 * 3 * 4))
    run(model, sounds([1] * 6), tmp_path)


# --- what a model must keep to ----------------------------------------------------------------------------------------


class Emits(LoadedModel):
    """Emits what it is told to."""

    layers = ("a", "b")

    def __init__(self, *emitted: tuple[str, Any, tuple[str, ...]], **more: Any) -> None:
        self.emitted, self.more = emitted, more

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Callable[[str, LayerOutput], None]) -> None:
        del layers
        for name, make, axes in self.emitted:
            emit(name, LayerOutput(make(batch), axes, **self.more))


def ones(batch: StimulusBatch) -> np.ndarray:
    return np.ones((len(batch), 2))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Emits(("a", ones, ("unit",))), "declared but did not emit the layers b"),
        (Emits(), "did not emit the layers a, b"),
        (Emits(("c", ones, ("unit",))), "emitted the layer 'c', but only a, b were asked for"),
        (Emits(("a", lambda _: np.ones((1, 2)), ("unit",))), "'a' gave 1 rows for a batch of 3 stimuli"),
        (Emits(("a", lambda _: np.ones((4, 2)), ("unit",))), "'a' gave 4 rows for a batch of 3 stimuli"),
        (Emits(("a", ones, ("channel", "time"))), r"'a' gave shape \(3, 2\) but names the axes"),
    ],
)
def test_a_model_that_breaks_its_contract(model: LoadedModel, message: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=message):
        extract(model, sounds([1, 1, 1]), ["a", "b"], reduction="flatten", folder=tmp_path)
    assert not list(tmp_path.rglob("*.npy"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_activations_that_are_not_finite_name_layer_and_stimuli(tmp_path: Path, value: float) -> None:
    def bad(batch: StimulusBatch) -> np.ndarray:
        return np.array([[value if name == "s1" else 1.0] for name in batch.ids])

    with pytest.raises(DataError, match=r"Layer 'a' is not finite .* for 1 stimuli: s1"):
        extract(Emits(("a", bad, ("unit",))), sounds([1, 1, 1]), ["a"], reduction="flatten", folder=tmp_path)
    assert not list(tmp_path.rglob("*.npy")), "what is not finite must not be stored"


def test_what_overflows_float32_is_not_finite(tmp_path: Path) -> None:
    huge = Emits(("a", lambda batch: np.full((len(batch), 1), 1e300), ("unit",)))
    with np.errstate(over="ignore"), pytest.raises(DataError, match="not finite"):
        extract(huge, sounds([1]), ["a"], reduction="flatten", folder=tmp_path)


@pytest.mark.parametrize("chunk_size", [2, 32])
def test_numbers_of_units_that_vary_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_size: int
) -> None:
    """Within a chunk as well as between chunks."""
    monkeypatch.setattr(extraction, "CHUNK_SIZE", chunk_size)
    stimuli = sounds([2, 2, 3, 3])

    def samples(batch: StimulusBatch) -> np.ndarray:
        return np.stack([stimulus.array for stimulus in batch])

    model = Emits(("a", samples, ("time",)))
    model.batching = "equal-length"
    with pytest.raises(DataError, match=r"Layer 'a' has 3 units for some, 2 for others.* 'time-mean' removes time"):
        extract(model, stimuli, ["a"], reduction="flatten", folder=tmp_path)


def test_an_unknown_reduction_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is no reduction"):
        run(Toy(), sounds([1]), tmp_path, reduction="time-maen")


def test_a_stimulus_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    stimuli = StimulusSet("sounds", "audio", {"bad": tmp_path / "bad.wav"})
    with pytest.raises(DataError, match="Stimulus 'bad' of 'sounds'"):
        run(Toy(), stimuli, tmp_path / "store")


# --- names of units, in memory ----------------------------------------------------------------------------------------


def test_names_of_units_are_kept_where_the_units_are(tmp_path: Path) -> None:
    named = Emits(("a", ones, ("unit",)), units=("cat", "dog"))
    assert extract(named, sounds([1]), ["a"], reduction="flatten", folder=tmp_path / "1")["a"].units == ("cat", "dog")
    images = Emits(("a", lambda batch: np.ones((len(batch), 2, 3)), ("unit", "time")), units=("cat", "dog"))
    found = extract(images, sounds([1]), ["a"], reduction="flatten", folder=tmp_path / "2")
    assert found["a"].units is None


@pytest.mark.parametrize("reduction", ["time-mean", "time-last+projection-1"])
def test_in_memory_is_the_same(tmp_path: Path, reduction: str) -> None:
    stimuli = sounds([1, 3, 2] * 12)
    stored = extract(Toy(), stimuli, ["steps", "double"], reduction=reduction, folder=tmp_path)
    kept = activations_in_memory(Toy(), stimuli, ["steps", "double"], reduction=reduction, batch_size=5)
    for name, activations in stored.items():
        assert activations.digest == kept[name].digest
        assert kept[name].stimulus_id == stimuli.ids
    assert not (tmp_path / "steps" / "00002.npy").exists()


def test_a_model_is_closed_when_it_is_left() -> None:
    closed: list[bool] = []

    class Closing(Toy):
        def close(self) -> None:
            closed.append(True)

    with Closing() as model:
        assert model.find("*") == ["steps", "double"]
        assert closed == []
    assert closed == [True]
