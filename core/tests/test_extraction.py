from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from isocortex import devices
from isocortex.activations.output import LayerOutput
from isocortex.data.stimuli import Stimulus, StimulusBatch, StimulusSet
from isocortex.errors import DataError, PluginError, SettingsError, StoreError
from isocortex.extraction import batch_size as batching, chunk_rows as chunks, extractor as extraction
from isocortex.extraction.batch_size import MOST_ON_CPU
from isocortex.extraction.extractor import CHUNK_SIZE, activations_in_memory, extract
from isocortex.files import disk as store
from isocortex.interfaces import LoadedModel


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


TRIED = 3


class Toy(LoadedModel):
    """Pads a batch to its longest sound, as a network does; ``steps`` repeats the samples, ``double`` doubles them.

    ``batches`` and ``asked`` begin with the stimulus that is tried first, another one, and the first again: ``TRIED``
    runs where the first chunk has several stimuli.
    """

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
    assert len(model.batches[0]) == 1
    runs = Counter(name for batch in model.batches for name in batch)
    together = Counter(name for batch in model.batches if len(batch) > 1 for name in batch)
    assert sorted(runs) == sorted(stimuli.ids)
    assert set(together.values()) <= {1}
    assert runs.total() - len(stimuli) <= TRIED + 2, "two that share a batch, where the longest shares none"
    length = dict(zip(stimuli.ids, lengths, strict=True))
    for batch in model.batches:
        assert len(batch) <= (1 if batching == "single" else size or MOST_ON_CPU)
        if batching == "equal-length":
            assert len({length[name] for name in batch}) == 1
        assert len({int(name[1:]) // 4 for name in batch}) == 1, "a batch lies within a chunk"


def test_canonical_order_and_default_sizes(tmp_path: Path) -> None:
    model = Toy()
    n_stimuli = 2 * CHUNK_SIZE + 3
    found = run(model, sounds([1] * n_stimuli), tmp_path)
    assert {name: values.tolist() for name, values in found.items()} == expected(n_stimuli)
    assert [len(batch) for batch in model.batches] == [1, 1, 1, 16, 16, 16, 16, 3]
    assert [name for batch in model.batches[TRIED:] for name in batch] == [f"s{place}" for place in range(n_stimuli)]


def test_equal_length_groups_by_rate_as_well(tmp_path: Path) -> None:
    model = Toy("equal-length")
    rates = [8000.0, 16000.0, 8000.0]
    stimuli = StimulusSet(
        "sounds",
        "audio",
        {f"s{n}": Stimulus(f"s{n}", "audio", np.ones(2, "float32"), rate) for n, rate in enumerate(rates)},
    )
    run(model, stimuli, tmp_path)
    assert model.batches[TRIED:] == [("s0", "s2"), ("s1",)]


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
    assert list(zip(model.batches, model.asked, strict=True)) == [
        (("s2",), ("steps", "double")),
        (("s1",), ("steps", "double")),  # of what is stored, to see that it is the same model
        (("s2", "s3"), ("double",)),
        (("s4",), ("steps",)),
    ]
    assert {name: values.tolist() for name, values in found.items()} == expected(5)


class Interrupted(Toy):
    """Fails on the third batch after the first stimulus was tried."""

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Callable[[str, LayerOutput], None]) -> None:
        if len(self.batches) == TRIED + 2:
            raise KeyboardInterrupt
        super().run(batch, layers, emit)


def test_an_interrupted_extraction_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "CHUNK_SIZE", 2)
    stimuli = sounds([1] * 6)
    with pytest.raises(KeyboardInterrupt):
        run(Interrupted(), stimuli, tmp_path)
    model = Toy()
    found = run(model, stimuli, tmp_path)
    assert model.batches == [("s4",), ("s0",), ("s4", "s5")]
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
    [
        (MemoryError, ""),
        (RuntimeError, "CUDA out of memory. Tried to allocate"),
        (RuntimeError, "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory"),
        (RuntimeError, "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        (OutOfMemoryError, "no more"),
    ],
)
def test_what_was_too_much_is_not_tried_again(tmp_path: Path, problem: type[BaseException], text: str) -> None:
    model = Hungry()
    model.problem, model.text = problem, text
    n_stimuli = CHUNK_SIZE + 7
    found = run(model, sounds([1, 2, 3] * (n_stimuli // 3)), tmp_path)
    assert {name: values.tolist() for name, values in found.items()} == expected(n_stimuli)
    assert [len(batch) for batch in model.batches] == [1, 1, 1, 16, 8, 4, *[2] * 16, *[2] * 3, 1]


def test_a_later_run_knows_what_was_too_much(tmp_path: Path) -> None:
    stimuli = sounds([1] * (CHUNK_SIZE + 4))
    first = run(Hungry(), stimuli, tmp_path)
    for chunk in tmp_path.rglob("00001.npy"):
        chunk.unlink()
    model = Hungry()
    again = run(model, stimuli, tmp_path)
    assert [len(batch) for batch in model.batches] == [1, 1, 2, 2]
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    model = Hungry()
    (tmp_path / "steps" / "00001.npy").unlink()
    run(model, stimuli, tmp_path, batch_size=1)
    assert [len(batch) for batch in model.batches] == [1, 1, 1, 1, 1, 1], "what is asked for comes first"


def test_the_first_error_is_gone_before_the_next_try(tmp_path: Path) -> None:
    """Its traceback holds the tensors of the batch that was too large."""
    alive: list[int] = []

    class Tensor:
        n_alive = 0

        def __init__(self) -> None:
            Tensor.n_alive += 1

        def __del__(self) -> None:
            Tensor.n_alive -= 1

    class Holding(Hungry):
        def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Callable[[str, LayerOutput], None]) -> None:
            alive.append(Tensor.n_alive)
            held = Tensor()
            super().run(batch, layers, emit)
            del held

    run(Holding(), sounds([1] * 9), tmp_path)
    assert alive == [0] * len(alive)


def test_other_errors_are_not_hidden(tmp_path: Path) -> None:
    model = Hungry()
    model.room = 0
    model.problem, model.text = RuntimeError, "shapes do not fit"
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        run(model, sounds([1, 1]), tmp_path)
    assert len(model.batches) == 1


def test_one_stimulus_that_is_too_large_is_named(tmp_path: Path) -> None:
    model = Hungry()
    model.room = 0
    with pytest.raises(DataError, match=r"memory of 'cpu' does not suffice for one stimulus \('s1' .*out of memory"):
        run(model, sounds([1, 3, 1]), tmp_path)
    assert model.batches == [("s1",)], "the longest was tried first"


@pytest.mark.parametrize(("free", "n_at_once"), [(10**9, 16), (16 * 2 * 100, 16), (16 * 2 * 100 - 1, 8), (7, 1)])
def test_a_batch_takes_half_of_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, n_at_once: int
) -> None:
    monkeypatch.setattr(batching, "free_memory", lambda _: free)
    monkeypatch.setattr(devices, "_resident", iter([1000, 1100]).__next__)
    monkeypatch.setattr(devices, "_SECONDS_BETWEEN_LOOKS", 9)
    model = Toy()
    run(model, sounds([1] * 32), tmp_path)
    assert {len(batch) for batch in model.batches[TRIED:]} == {n_at_once}


# --- disk -------------------------------------------------------------------------------------------------------------


def test_a_disk_that_is_too_small_is_found_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "CHUNK_SIZE", 2)
    # 3 float32 units of both layers for 6 stimuli
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: SimpleNamespace(free=6 * 3 * 4 - 1))
    model = Toy()
    with pytest.raises(StoreError, match=r"Storing 2 layers of 'sounds' \(time-mean\) needs .*--layers.*projection"):
        run(model, sounds([1] * 6), tmp_path)
    assert model.batches == [("s0",)]
    assert not list(tmp_path.rglob("*.npy"))
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: SimpleNamespace(free=6 * 3 * 4))
    run(model, sounds([1] * 6), tmp_path)


def test_what_is_stored_needs_no_room_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "CHUNK_SIZE", 2)
    run(Toy(), sounds([1] * 5), tmp_path)
    (tmp_path / "steps" / "00001.npy").unlink()
    (tmp_path / "double" / "00002.npy").unlink()
    # 2 stimuli of 1 unit, and 1 of 2
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: SimpleNamespace(free=4 * 4 - 1))
    with pytest.raises(StoreError, match="Storing 2 layers"):
        run(Toy(), sounds([1] * 5), tmp_path)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: SimpleNamespace(free=4 * 4))
    run(Toy(), sounds([1] * 5), tmp_path)


# --- layers that are too wide to be held ------------------------------------------------------------------------------


@pytest.mark.parametrize("held_bytes", [0, 4 * 4, 10**9])
@pytest.mark.parametrize("batching", ["any", "equal-length"])
def test_wide_layers_are_written_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_bytes: int, batching: Any
) -> None:
    """The files are the same to the byte, whatever is held; also where batches are not contiguous, or come again."""
    monkeypatch.setattr(extraction, "CHUNK_SIZE", 4)
    stimuli = sounds([1, 2, 3, 1, 2, 3, 1, 2, 2, 3])
    run(Toy(batching), stimuli, tmp_path / "usual", batch_size=2)
    monkeypatch.setattr(chunks, "HELD_BYTES", held_bytes)
    found = run(Hungry(batching), stimuli, tmp_path / "wide")
    assert {name: values.tolist() for name, values in found.items()} == expected(10)
    files = [path.relative_to(tmp_path / "usual") for path in sorted((tmp_path / "usual").rglob("*"))]
    assert files == [path.relative_to(tmp_path / "wide") for path in sorted((tmp_path / "wide").rglob("*"))]
    for file in files:
        if file.suffix == ".npy":
            assert (tmp_path / "usual" / file).read_bytes() == (tmp_path / "wide" / file).read_bytes()


def test_no_half_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "HELD_BYTES", 0)

    class Failing(Toy):
        def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Callable[[str, LayerOutput], None]) -> None:
            super().run(batch, layers, emit)
            if len(self.batches) == TRIED + 2:
                raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        run(Failing(), sounds([1] * 40), tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_memory_is_bounded_however_wide_the_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six layers of 16 MB a chunk, of which 30 MB may be held."""
    import tracemalloc

    monkeypatch.setattr(chunks, "HELD_BYTES", 30_000_000)
    monkeypatch.setattr(extraction, "CHUNK_SIZE", 8)
    names = [f"wide{number}" for number in range(6)]
    wide = Emits(*((name, lambda batch: np.ones((len(batch), 500_000), np.float32), ("unit",)) for name in names))
    tracemalloc.start()
    try:
        extract(wide, sounds([1] * 8), names, reduction="flatten", folder=tmp_path, batch_size=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 16_000_000 < peak < 80_000_000, "of 96 MB one layer is held, and what two stimuli gave alone, 24 MB"


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
        (
            Emits(("a", lambda _: np.ones((1, 2)), ("unit",)), ("b", ones, ("unit",))),
            "'a' gave 1 rows for a batch of 3 stimuli",
        ),
        (Emits(("a", lambda _: np.ones((4, 2)), ("unit",))), "'a' gave 4 rows for a batch of 1 stimuli"),
        (Emits(("a", ones, ("channel", "time"))), r"'a' gave shape \(1, 2\) but names the axes"),
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


@pytest.mark.parametrize("magnitude", [1e300, 1e-160])
def test_what_no_metric_can_square_is_refused(tmp_path: Path, magnitude: float) -> None:
    huge = Emits(("a", lambda batch: np.full((len(batch), 1), magnitude), ("unit",)))
    with pytest.raises(DataError, match=r"Layer 'a' has values of the order 1e[+-]\d+, .* Multiply the features"):
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
