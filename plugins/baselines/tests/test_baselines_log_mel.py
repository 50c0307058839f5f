"""The log-mel spectrogram against scipy, other people's filter banks, and what is known of real sounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter, stft

from isocortex import load_model
from isocortex.data import Stimulus, StimulusSet
from isocortex.errors import DataError
from isocortex.extraction.extractor import activations_in_memory
from isocortex_baselines.log_mel import log_mel, mel_filters


def sound(n_samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, n_samples)


@pytest.mark.parametrize("n_samples", [1, 159, 160, 16_000, 32_001])
def test_power_is_scipys_short_time_fourier_transform(n_samples: int) -> None:
    given = sound(n_samples)
    window = np.pad(np.hanning(400), 56)
    emphasised = lfilter([1, -0.97], [1], given)
    padded = np.pad(emphasised, 256)
    _, _, spectrum = stft(padded, window=window, nperseg=512, noverlap=352, boundary=None, padded=False)
    power = np.abs(spectrum * window.sum()) ** 2  # scipy divides by the sum of the window
    expected = np.log(power.T @ mel_filters().T + 2.0**-24)
    found = log_mel(given)
    assert found.shape == (1 + n_samples // 160, 80)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_filters_are_those_of_transformers() -> None:
    families = pytest.importorskip("isocortex_wav2vec2.families")  # imports it beside any torchvision
    audio = families.import_transformers("audio_utils")
    expected = audio.mel_filter_bank(257, 80, 0, 8000, 16_000, norm="slaney", mel_scale="slaney")
    np.testing.assert_allclose(mel_filters(), expected.T, rtol=0, atol=1e-12)


def test_filters_are_those_that_a_network_of_nemo_carries(realdata: Path) -> None:
    with np.load(realdata / "networks" / "marblenet_vad_nemo.npz", allow_pickle=False) as file:
        expected = file["mel"].reshape(80, 257)
    np.testing.assert_allclose(mel_filters(), expected, rtol=0, atol=1e-7)


def test_sounds_of_any_length_channels_and_rate_are_heard_whole() -> None:
    mono, stereo = sound(16_000), np.stack([sound(8_000, 1), sound(8_000, 2)], axis=1)
    stimuli = StimulusSet("two", "audio", {
        "a": Stimulus("a", "audio", mono.astype(np.float32), 16_000.0),
        "b": Stimulus("b", "audio", stereo.astype(np.float32), 16_000.0),
    })  # fmt: skip
    with load_model("log-mel") as model:
        means = activations_in_memory(model, stimuli, ["log_mel"], reduction="time-mean")["log_mel"]
    [rows] = means.blocks(["a", "b"])
    expected = [log_mel(mono.astype(np.float32)), log_mel(stereo.astype(np.float32).mean(axis=1))]
    np.testing.assert_allclose(rows, [steps.mean(axis=0) for steps in expected], rtol=0, atol=1e-5)


@pytest.mark.parametrize("bad", [np.zeros(0), np.zeros((4, 4)), np.array([0.0, np.nan])])
def test_what_is_no_sound_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"waveform|finite"):
        log_mel(bad)
