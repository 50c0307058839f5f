"""Activations in a folder meet no other stimuli, and no other reduction, than they were made with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import isocortex
from isocortex.activations.folder import ActivationFolder
from isocortex.data.stimuli import Stimulus, StimulusSet, from_folder
from isocortex.errors import DataError
from isocortex.loading.folder_activations import FolderActivations

N_SOUNDS = 6


def write_sounds(folder: Path, rate: int = 8000, scale: float = 1.0) -> StimulusSet:
    """Sounds in files."""
    folder.mkdir(exist_ok=True)
    for number in range(N_SOUNDS):
        sound = scale * np.random.default_rng(number).uniform(-0.5, 0.5, 400)
        soundfile.write(folder / f"s{number}.wav", sound.astype(np.float32), rate, subtype="PCM_16")
    return from_folder(folder)


def in_memory(stimuli: StimulusSet) -> StimulusSet:
    """The same sounds, decoded."""
    return StimulusSet("in memory", "audio", {stimulus.id: stimulus for stimulus in stimuli})


def make(stimuli: StimulusSet, folder: Path, reduction: str = "time-mean") -> FolderActivations:
    """What ``isocortex extract --out`` writes."""
    from isocortex.catalogue.cards import Variant
    from isocortex.extraction.cached import Extraction, copy_layers
    from isocortex.progress import Reporter, Stopwatch

    model = isocortex.wrap(
        lambda sounds: sounds[:, None, :], modality="audio", sample_rate=8000, axes=("channel", "time"), name="same"
    )
    made = Extraction(model, Variant.parse("fixed"), stimuli, reduction, "cpu", Reporter(quiet=True), Stopwatch())
    with made.in_folder() as (found, layers):
        copy_layers(found, list(layers), folder)
    return FolderActivations.at(folder)


def test_the_same_stimuli_and_reduction_are_taken_without_a_word(tmp_path: Path) -> None:
    stimuli = write_sounds(tmp_path / "sounds")
    acts = make(stimuli, tmp_path / "acts")
    assert acts.fits(stimuli, "time-mean") == []
    write_sounds(tmp_path / "copied")
    assert acts.fits(from_folder(tmp_path / "copied"), "time-mean") == []
    found = isocortex.extract(acts, stimuli, reduction="time-mean", quiet=True)["output"]
    assert found.warnings == ()
    assert found.array()[0] == pytest.approx(stimuli.load(0).array.mean(), abs=1e-7)
    some = StimulusSet("some", "audio", {name: tmp_path / "sounds" / f"{name}.wav" for name in ("s4", "s1")})
    assert acts.fits(some, "time-mean") == []


def change_one(sounds: Path) -> StimulusSet:
    samples, rate = soundfile.read(sounds / "s3.wav", dtype="int16")
    samples[7] += 1
    soundfile.write(sounds / "s3.wav", samples, rate, subtype="PCM_16")
    return from_folder(sounds)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (change_one, r"1 of 6 have the same ID and hold something else \(s3\)"),
        (lambda sounds: write_sounds(sounds, rate=16000), r"6 of 6 .*s0, s1, s2, s3, s4 and 1 more"),
        (lambda sounds: write_sounds(sounds, scale=0.5), r"6 of 6 "),
        (lambda sounds: in_memory(change_one(sounds)), None),
    ],
)
@pytest.mark.parametrize("decoded", [False, True])
def test_other_stimuli_under_equal_ids_are_refused(
    tmp_path: Path, change: Callable[[Path], StimulusSet], named: str | None, decoded: bool
) -> None:
    """Also another rate: the samples may be the same. Decoded sounds are compared with files as far as that goes."""
    stimuli = write_sounds(tmp_path / "sounds")
    acts = make(in_memory(stimuli) if decoded else stimuli, tmp_path / "acts")
    other = change(tmp_path / "sounds")
    if named is None and not decoded:
        [said] = acts.fits(other, "time-mean")
        assert "was made of files, and 6 of its stimuli (s0, s1, s2, s3, s4 and 1 more) are in memory" in said
        return
    with pytest.raises(DataError, match=rf"activations:acts was made of other stimuli .*{named or 's3'}"):
        acts.fits(other, "time-mean")
    with pytest.raises(DataError, match="other stimuli"):
        isocortex.extract(acts, other, reduction="time-mean", quiet=True)


@pytest.mark.parametrize("wanted", ["flatten", "time-max", "time-mean+projection-4"])
def test_another_reduction_is_refused(tmp_path: Path, wanted: str) -> None:
    stimuli = write_sounds(tmp_path / "sounds")
    acts = make(stimuli, tmp_path / "acts")
    with pytest.raises(DataError, match=r"was made with the reduction 'time-mean', and the benchmark asks for "):
        isocortex.extract(acts, stimuli, reduction=wanted, quiet=True)


def npy(folder: Path) -> None:
    np.save(folder / "layer.npy", np.zeros((N_SOUNDS, 2), dtype=np.float32))
    (folder / "stimulus_id.txt").write_text("\n".join(f"s{n}" for n in range(N_SOUNDS)))


def csv(folder: Path) -> None:
    (folder / "layer.csv").write_text("stimulus_id,a\n" + "".join(f"s{n},1\n" for n in range(N_SOUNDS)))


@pytest.mark.parametrize("write", [npy, csv])
def test_a_plain_folder_says_nothing_of_its_stimuli_and_the_result_says_that(tmp_path: Path, write: Any) -> None:
    stimuli, folder = write_sounds(tmp_path / "sounds"), tmp_path / "acts"
    folder.mkdir()
    write(folder)
    for _ in range(2):
        [found] = isocortex.extract(FolderActivations.at(folder), stimuli, reduction="time-mean", quiet=True).values()
        assert "activations:acts says nothing of what its stimuli held: they were met by ID alone." in found.warnings


def test_warnings_go_along_with_a_copy(tmp_path: Path) -> None:
    stimuli = write_sounds(tmp_path / "sounds")
    acts = make(stimuli, tmp_path / "acts")
    ActivationFolder.at(tmp_path / "acts").warn("it was run one stimulus at a time")
    assert acts.fits(stimuli, "time-mean") == ["it was run one stimulus at a time"]


def test_a_layer_without_units_is_refused(tmp_path: Path) -> None:
    stimuli, folder = write_sounds(tmp_path / "sounds"), tmp_path / "acts"
    folder.mkdir()
    npy(folder)
    np.save(folder / "lonely.npy", np.zeros((N_SOUNDS, 0), dtype=np.float32))
    with pytest.raises(DataError, match=r"Layer 'lonely' has no units, only the shape \(1, 0\)"):
        isocortex.extract(FolderActivations.at(folder), stimuli, reduction="time-mean", quiet=True)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2)])
def test_a_model_that_gives_no_units_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    axes = ("channel", "time")[: len(shape)]
    torch = pytest.importorskip("torch")
    for make_zeros in (np.zeros, torch.zeros):
        empty = isocortex.wrap(
            lambda sounds, zeros=make_zeros: zeros((len(sounds), *shape)),
            modality="audio",
            sample_rate=8000,
            axes=axes,
            name="empty",
        )
        with pytest.raises(DataError, match="Layer 'output' has no units"):
            isocortex.extract(empty, write_sounds(tmp_path / "sounds"), reduction="time-mean", quiet=True)


def test_digests_are_of_what_a_stimulus_holds(tmp_path: Path) -> None:
    files = write_sounds(tmp_path / "sounds")
    assert len(set(files.content_digests)) == N_SOUNDS
    assert {digest.partition(":")[0] for digest in files.content_digests} == {"file"}
    decoded = in_memory(files)
    assert {digest.partition(":")[0] for digest in decoded.content_digests} == {"array"}
    slower = StimulusSet("s", "audio", {"s0": Stimulus("s0", "audio", decoded.load(0).array, 4000.0)})
    assert slower.content_digests[0] != decoded.content_digests[0]
