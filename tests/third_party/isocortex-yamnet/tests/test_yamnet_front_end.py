"""The front end: against sums by definition, against the matrices of the published file, and what a window holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from isocortex.errors import DataError
from isocortex_yamnet.front_end import PATCH_SAMPLES, hann, log_mel, mel_weights, patches, waveform

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 32_000)


def test_log_mel_is_the_sum_that_defines_it() -> None:
    sample, frequency = np.arange(400), np.arange(257)[:, None]
    for frame in (0, 95):
        windowed = NOISE[frame * 160 : frame * 160 + 400] * (0.5 - 0.5 * np.cos(2 * np.pi * sample / 400))
        spectrum = (windowed * np.exp(-2j * np.pi * frequency * sample / 512)).sum(axis=1)
        expected = np.log(np.abs(spectrum) @ mel_weights() + 0.001)
        np.testing.assert_allclose(log_mel(NOISE)[frame], expected, atol=1e-10)


def test_window_transform_and_bands_are_those_of_the_published_file(weights: Path) -> None:
    """Its matrices are stored in 8 bits: a right one lies within half a step of every element."""
    stored = np.load(weights / "yamnet.npz", allow_pickle=False)
    quantised = json.loads((weights / "yamnet.json").read_text())["quant"]
    step = {name: quantised[name]["scale"][0] for name in ("c40", "c41", "c42")}
    half = {name: 0.5 * size + 1e-6 for name, size in step.items()}
    np.testing.assert_allclose(hann(), stored["c6"][0], atol=1e-7)
    np.testing.assert_allclose(mel_weights().T, stored["c42"] * step["c42"], atol=half["c42"])
    transform = np.fft.rfft(np.eye(512))  # (512, 257)
    np.testing.assert_allclose(transform.real.T, stored["c40"] * step["c40"], atol=half["c40"])
    # the sign of the imaginary part depends on who writes it; the magnitude does not
    np.testing.assert_allclose(-transform.imag.T, stored["c41"] * step["c41"], atol=half["c41"])
    assert {*np.unique(stored["c58"])} == {np.float32(0.001)}


@pytest.mark.parametrize(
    ("n_samples", "n_patches"),
    [(1, 1), (PATCH_SAMPLES - 1, 1), (PATCH_SAMPLES, 1), (23_279, 1), (23_280, 2), (30_960, 3), (32_000, 3)],
)
def test_every_window_is_whole_and_as_if_alone(n_samples: int, n_patches: int) -> None:
    sound = NOISE[:n_samples]
    found, _ = patches(sound)
    assert found.shape == (n_patches, 1, 96, 64)
    assert found.dtype == np.float32
    for number, patch in enumerate(found[:, 0]):
        alone = sound[number * 7680 : number * 7680 + PATCH_SAMPLES]
        alone = np.concatenate([alone, np.zeros(PATCH_SAMPLES - len(alone))])
        np.testing.assert_allclose(patch, log_mel(alone), atol=1e-5)


@pytest.mark.parametrize(("n_samples", "n_frames"), [(1, 1), (160, 1), (161, 2), (8_000, 50), (15_300, 96)])
def test_frames_of_a_short_sound_are_counted(n_samples: int, n_frames: int) -> None:
    assert patches(NOISE[:n_samples])[1] == n_frames


def test_what_lies_behind_the_last_whole_window_does_not_matter() -> None:
    changed = NOISE.copy()
    changed[30_960:] = 0
    np.testing.assert_array_equal(patches(changed)[0], patches(NOISE)[0])


def test_channels_are_averaged_and_the_rate_is_changed() -> None:
    time_s = np.arange(44_100) / 44_100
    tone = 0.5 * np.sin(2 * np.pi * 440 * time_s)
    found = waveform(np.stack([2 * tone, np.zeros_like(tone)], axis=1), 44_100)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert found.shape == (16_000,)
    np.testing.assert_allclose(found[500:-500], expected[500:-500], atol=1e-4)
    np.testing.assert_array_equal(waveform(expected, 16_000), expected)


@pytest.mark.parametrize(
    ("samples", "rate", "reason"),
    [
        (np.zeros(0), 16_000, "found \\(0,\\)"),
        (np.zeros((2, 2, 2)), 16_000, "found \\(2, 2, 2\\)"),
        (np.array([0.0, np.nan]), 16_000, "NaN"),
        (np.zeros(100), None, "sampling rate"),
        (np.zeros(100), 0.0, "sampling rate"),
        (np.zeros(100), float("nan"), "sampling rate"),
    ],
)
def test_what_is_no_sound_is_refused(samples: np.ndarray, rate: float | None, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        waveform(samples, rate)
