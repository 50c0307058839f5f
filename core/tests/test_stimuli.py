from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, strategies as st
from PIL import Image

from isocortex.data.sounds import read_audio
from isocortex.data.stimuli import Stimulus, StimulusSet, from_folder
from isocortex.errors import DataError

RATE = 8000


def sound(name: str, level: float = 0.0, rate: float = RATE) -> Stimulus:
    return Stimulus(name, "audio", np.full(10, level, dtype=np.float32), rate)


def write_sounds(folder: Path, names: Sequence[str], suffix: str = ".wav") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(names):
        soundfile.write(folder / f"{name}{suffix}", np.full(20 + place, 0.25 + 0.0625 * place), RATE)
    return folder


def categories(names: Sequence[Any], values: Sequence[Any] | None = None) -> pd.DataFrame:
    return pd.DataFrame({"category": list(values or names)}, index=list(names))


# --- order, identity, reading -----------------------------------------------------------------------------------------


@given(st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=6, unique=True))
def test_order_of_the_sources_is_the_canonical_order(names: list[str]) -> None:
    stimuli = StimulusSet("demo", "audio", {name: sound(name, place) for place, name in enumerate(names)})
    assert stimuli.ids == tuple(names)
    assert [stimulus.id for stimulus in stimuli] == names
    assert [stimulus.array[0] for stimulus in stimuli] == list(range(len(names)))
    assert len(stimuli) == len(names)
    assert stimuli.table.index.tolist() == names
    assert stimuli.table.index.name == "stimulus_id"


def test_numbers_as_ids_become_text() -> None:
    stimuli = StimulusSet("demo", "audio", [(7, sound("7")), (10, sound("10"))])  # type: ignore[list-item]
    assert stimuli.ids == ("7", "10")


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(DataError, match="'demo' is empty"):
        StimulusSet("demo", "audio", {})


def test_duplicated_ids_are_refused_and_named() -> None:
    with pytest.raises(DataError, match="must be unique in 'demo'; found more than once: a, c"):
        StimulusSet("demo", "audio", [(name, sound(name)) for name in "abcac"])


def test_a_stimulus_under_another_name_is_refused_or_renamed() -> None:
    """Whoever asks a loaded stimulus for its ID must get the one that responses are aligned by."""
    try:
        loaded = StimulusSet("demo", "audio", {"a": sound("b")}).load(0)
    except DataError:
        return
    assert loaded.id == "a"


def test_files_are_read_when_they_are_needed_and_not_before(tmp_path: Path) -> None:
    folder = write_sounds(tmp_path / "sounds", "abc")
    opened: list[str] = []

    def reading(path: Path) -> tuple[Any, float]:
        opened.append(path.name)
        return read_audio(path)

    stimuli = StimulusSet("demo", "audio", {name: folder / f"{name}.wav" for name in "abc"}, read=reading)
    batch = stimuli.batch([2, 0])
    assert len(stimuli) == 3
    assert repr(stimuli).splitlines()[0] == "StimulusSet 'demo': audio, 3 stimuli"
    assert batch.ids == ("c", "a")
    assert opened == []
    assert next(iter(batch)).array[0] == 0.25 + 2 * 0.0625
    assert opened == ["c.wav"]
    assert stimuli.load(1).sample_rate == RATE
    assert opened == ["c.wav", "b.wav"]
    stimuli.load(1)
    assert opened == ["c.wav", "b.wav", "b.wav"], "stimuli must not pile up in memory"


def test_a_damaged_file_is_named_with_its_stimulus_and_set(tmp_path: Path) -> None:
    folder = write_sounds(tmp_path / "sounds", "ab")
    (folder / "b.wav").write_bytes((folder / "b.wav").read_bytes()[:-6])
    stimuli = from_folder(folder)
    stimuli.load(0)
    with pytest.raises(DataError, match=r"Stimulus 'b' of 'sounds': b\.wav is truncated"):
        stimuli.load(1)
    with pytest.raises(DataError, match="Stimulus 'b'"):
        list(stimuli)


def test_a_modality_without_reader_needs_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("hello")
    with pytest.raises(DataError, match=r"modality 'text' have no reader\. Expected one of audio, image"):
        StimulusSet("demo", "text", {"a": path}).load(0)
    own = StimulusSet("demo", "text", {"a": path}, read=lambda path: (np.array(list(path.read_bytes())), None))
    assert own.load(0).array.tolist() == list(b"hello")
    assert own.load(0).modality == "text"
    assert own.load(0).sample_rate is None


def test_files_are_those_that_are_not_in_memory(tmp_path: Path) -> None:
    folder = write_sounds(tmp_path / "sounds", "a")
    stimuli = StimulusSet("demo", "audio", {"a": folder / "a.wav", "b": sound("b")})
    assert stimuli.files == (folder / "a.wav",)
    assert [stimulus.id for stimulus in stimuli] == ["a", "b"]


# --- the table --------------------------------------------------------------------------------------------------------


def test_the_table_is_put_into_canonical_order() -> None:
    table = categories(["c", "a", "b", "unused"], ["speech", "music", "noise", "none"])
    stimuli = StimulusSet("demo", "audio", {name: sound(name) for name in "abc"}, table=table)
    assert stimuli.table["category"].to_dict() == {"a": "music", "b": "noise", "c": "speech"}
    assert stimuli.table.index.tolist() == ["a", "b", "c"]
    assert table.index.tolist() == ["c", "a", "b", "unused"], "the caller's table must stay as it was"


def test_a_table_indexed_by_numbers_fits_ids_that_are_text() -> None:
    stimuli = StimulusSet("demo", "audio", {"1": sound("1"), "2": sound("2")}, table=categories([2, 1], ["b", "a"]))
    assert stimuli.table["category"].tolist() == ["a", "b"]


def test_a_table_that_lacks_stimuli_is_refused() -> None:
    with pytest.raises(DataError, match="table of the stimulus set 'demo' lacks b, c"):
        StimulusSet("demo", "audio", {name: sound(name) for name in "abc"}, table=categories(["a"]))


def test_a_table_with_a_stimulus_twice_is_refused() -> None:
    with pytest.raises(DataError, match="has a stimulus_id twice"):
        StimulusSet("demo", "audio", {"a": sound("a")}, table=categories(["a", "a"]))


def test_a_batch_has_its_rows_of_the_table_and_knows_the_whole() -> None:
    names = list("abcd")
    stimuli = StimulusSet(
        "demo", "audio", {name: sound(name, ord(name)) for name in names}, table=categories(names, [1, 2, 3, 4])
    )
    batch = stimuli.batch([3, 1, 1])
    assert len(batch) == 3
    assert batch.ids == ("d", "b", "b")
    assert batch.table["category"].tolist() == ["4", "2", "2"], "labels are text"
    assert [stimulus.array[0] for stimulus in batch] == [ord("d"), ord("b"), ord("b")]
    assert batch.whole is stimuli


# --- digest -----------------------------------------------------------------------------------------------------------


def test_digest_covers_content_rate_order_ids_modality_and_table() -> None:
    def digest(
        levels: dict[str, float], rate: float = RATE, modality: str = "audio", table: pd.DataFrame | None = None
    ) -> str:
        sources = {name: sound(name, level, rate) for name, level in levels.items()}
        return StimulusSet("demo", modality, sources, table=table).digest

    reference = digest({"a": 0, "b": 1})
    assert digest({"a": 0, "b": 1}) == reference
    others = [
        digest({"b": 1, "a": 0}),
        digest({"a": 1, "b": 0}),
        digest({"a": 0, "b": 1.0000001}),
        digest({"a": 0, "c": 1}),
        digest({"a": 0, "b": 1, "c": 2}),
        digest({"a": 0, "b": 1}, rate=16000),
        digest({"a": 0, "b": 1}, modality="image"),
        digest({"a": 0, "b": 1}, table=categories("ab")),
        digest({"a": 0, "b": 1}, table=categories("ab", ["b", "a"])),
        digest({"a": 0, "b": 1}, table=categories("ab").rename(columns={"category": "class"})),
    ]
    assert len({reference, *others}) == 11
    assert digest({"a": 0, "b": 1}, table=categories("ba", "ba")) == others[7], "order of the table is not content"


def test_digest_does_not_cover_the_name_of_the_set() -> None:
    """Data sets that name equal stimuli share one extraction."""
    assert (
        StimulusSet("one", "audio", {"a": sound("a")}).digest == StimulusSet("two", "audio", {"a": sound("a")}).digest
    )


def test_digest_of_numbers_in_the_table_is_exact() -> None:
    def digest(value: float) -> str:
        return StimulusSet("demo", "audio", {"a": sound("a")}, table=categories(["a"], [value])).digest

    assert digest(0.1) == digest(0.1)
    assert digest(0.1) != digest(np.nextafter(0.1, 1))


def test_digest_does_not_depend_on_file_names_or_times(tmp_path: Path) -> None:
    folder = write_sounds(tmp_path / "sounds", "ab")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in "ab":
        shutil.copy(folder / f"{name}.wav", elsewhere / f"renamed-{name}.WAV")
        os.utime(elsewhere / f"renamed-{name}.WAV", (1, 1))
    here = StimulusSet("demo", "audio", {name: folder / f"{name}.wav" for name in "ab"})
    there = StimulusSet("demo", "audio", {name: elsewhere / f"renamed-{name}.WAV" for name in "ab"})
    assert here.digest == there.digest


def test_digest_changes_with_the_bytes_of_a_file(tmp_path: Path) -> None:
    folder = write_sounds(tmp_path / "sounds", "ab")
    before = from_folder(folder).digest
    soundfile.write(folder / "b.wav", np.full(21, -0.5), RATE)
    os.utime(folder / "b.wav", ns=(5, 5))
    assert from_folder(folder).digest != before


def test_digest_of_a_set_does_not_read_through_the_reader(tmp_path: Path) -> None:
    """Damaged stimuli are reported when they are loaded; a digest never fails on them."""
    folder = tmp_path / "sounds"
    folder.mkdir()
    (folder / "a.wav").write_bytes(b"not a sound")
    assert len(from_folder(folder).digest) == 64


def test_digest_covers_what_an_own_reader_does(tmp_path: Path) -> None:
    """Equal digests mean equal inputs to a model: another reader of the same files gives other inputs."""
    folder = write_sounds(tmp_path / "sounds", "a")
    sources = {"a": folder / "a.wav"}

    def first_half(path: Path) -> tuple[Any, float | None]:
        samples, rate = read_audio(path)
        return samples[: len(samples) // 2], rate

    plain, halved = StimulusSet("demo", "audio", sources), StimulusSet("demo", "audio", sources, read=first_half)
    assert len(plain.load(0).array) == 2 * len(halved.load(0).array)
    assert plain.digest != halved.digest


# --- folders ----------------------------------------------------------------------------------------------------------


def test_a_folder_is_read_in_the_order_of_file_names(tmp_path: Path) -> None:
    folder = write_sounds(tmp_path / "sounds", ["b", "a", "c"])
    (folder / "notes.txt").write_text("ignored")
    stimuli = from_folder(folder)
    assert (stimuli.id, stimuli.modality, stimuli.ids) == ("sounds", "audio", ("a", "b", "c"))
    assert [len(stimulus.array) for stimulus in stimuli] == [21, 20, 22]


def test_a_folder_with_a_table_is_read_in_the_order_of_the_table(tmp_path: Path) -> None:
    folder = write_sounds(tmp_path / "sounds", ["1", "2", "10"])
    stimuli = from_folder(folder, table=categories([10, 1], ["x", "y"]))
    assert stimuli.ids == ("10", "1")
    assert stimuli.table["category"].tolist() == ["x", "y"]
    assert [len(stimulus.array) for stimulus in stimuli] == [22, 20]


def test_a_folder_lacks_a_listed_file(tmp_path: Path) -> None:
    folder = write_sounds(tmp_path / "sounds", "ab")
    with pytest.raises(DataError, match="has no file for 2 listed stimuli: c, d"):
        from_folder(folder, table=categories("abcd"))


def test_a_folder_with_a_listed_file_twice(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="twice"):
        from_folder(write_sounds(tmp_path / "sounds", "ab"), table=categories("aab"))


def test_two_files_of_one_stem_are_refused(tmp_path: Path) -> None:
    folder = write_sounds(tmp_path / "sounds", "ab")
    write_sounds(folder, "b", suffix=".flac")
    with pytest.raises(DataError, match=r"found twice in .*sounds: b"):
        from_folder(folder)


def test_mixed_folders_need_a_modality(tmp_path: Path) -> None:
    folder = write_sounds(tmp_path / "mixed", "ab")
    Image.fromarray(np.zeros((3, 4, 3), dtype=np.uint8)).save(folder / "a.png")
    with pytest.raises(DataError, match="holds audio and image"):
        from_folder(folder)
    assert from_folder(folder, modality="audio").ids == ("a", "b")
    images = from_folder(folder, modality="image")
    assert images.ids == ("a",)
    assert images.load(0).array.shape == (3, 4, 3)


@pytest.mark.parametrize("suffix", [".WAV", ".Flac", ".AIFF"])
def test_case_of_the_ending_does_not_matter(tmp_path: Path, suffix: str) -> None:
    assert from_folder(write_sounds(tmp_path / "sounds", "a", suffix=suffix)).ids == ("a",)


def test_folders_that_hold_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds neither sounds nor images"):
        from_folder(tmp_path / "empty")
    with pytest.raises(DataError, match="holds no audio"):
        from_folder(tmp_path / "empty", modality="audio")
    with pytest.raises(DataError, match="nothing that is read as 'video'"):
        from_folder(tmp_path / "empty", modality="video")
    with pytest.raises(DataError, match="is not a folder"):
        from_folder(tmp_path / "absent")


def test_hidden_files_of_the_operating_system_are_no_stimuli(tmp_path: Path) -> None:
    """macOS leaves ``._a.wav`` beside ``a.wav`` on foreign disks and in archives."""
    folder = write_sounds(tmp_path / "sounds", "ab")
    (folder / "._a.wav").write_bytes(b"\0\5\x16\7" * 10)
    assert from_folder(folder).ids == ("a", "b")


def test_a_folder_that_is_named_like_a_sound_is_no_stimulus(tmp_path: Path) -> None:
    folder = write_sounds(tmp_path / "sounds", "ab")
    (folder / "old.wav").mkdir()
    assert from_folder(folder).ids == ("a", "b")
