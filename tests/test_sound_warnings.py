"""What is odd about sounds is said by every result over them, computed, from cached activations, or found again."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

import isocortex
from isocortex.results import Result
from tests.folders import sound_folder


def pipe(path: Path) -> None:
    """Make a WAV as sox writes it into a pipe."""
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4], content[4:8] = b"\x00\xf0\xff\x7f", b"\x24\xf0\xff\x7f"
    path.write_bytes(content)


def level(sounds: np.ndarray) -> np.ndarray:
    """Root mean square of each sound."""
    return np.sqrt((sounds**2).mean(axis=1, keepdims=True))


def test_a_result_says_that_sounds_state_no_length(own_folders: Path, tmp_path: Path) -> None:
    whole, piped = sound_folder(tmp_path / "whole"), sound_folder(tmp_path / "piped")
    for name in ("sound03", "sound07"):
        pipe(piped / "stimuli" / f"{name}.wav")
    model = isocortex.wrap(level, modality="audio", sample_rate=16_000)

    def score(folder: Path) -> Result:
        (result,) = isocortex.score(model, f"folder:{folder}:ridge", out=tmp_path / "out", quiet=True)
        return result

    without, said = score(whole), score(piped)
    assert without.warnings == []
    assert said.summary is not None
    assert without.summary is not None
    assert said.summary.value == without.summary.value
    (warning,) = said.warnings
    assert warning.startswith("2 of 20 sounds state no length in their header")
    assert "(sound03.wav, sound07.wav)" in warning
    assert score(piped).warnings == [warning]
    shutil.rmtree(tmp_path / "out")
    assert score(piped).warnings == [warning]
