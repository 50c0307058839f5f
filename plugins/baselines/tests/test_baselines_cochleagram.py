"""Cochleagrams against stored outputs of the published code, direct transforms and scipy."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from isocortex.errors import DataError
from isocortex_baselines import cochleagram as coch
from isocortex_baselines.envelopes import EnvelopePlan
from isocortex_baselines.erb import BankSettings, erb_filter_bank, hz_to_erb
from isocortex_baselines.sounds import excerpt, prepare_cochcnn9, prepare_kell2018

REPOSITORY = Path(__file__).parents[3]
COCHCNN9_BANK = BankSettings(40_000, 20_000, low=50.0, high=10_000.0)
KELL2018_BANK = BankSettings(32_002, 16_000, low=20.0, high=8000.0)


def golden(name: str) -> dict[str, np.ndarray]:
    """Read a file of known answers, or skip."""
    folders = [REPOSITORY / "tests" / "golden", REPOSITORY.parent / "shared" / "golden"]
    if "ISOCORTEX_GOLDEN" in os.environ:
        folders.insert(0, Path(os.environ["ISOCORTEX_GOLDEN"]))
    found = [folder / name for folder in folders if (folder / name).is_file()]
    if not found:
        pytest.skip(f"{name} is not there (set ISOCORTEX_GOLDEN)")
    with np.load(found[0], allow_pickle=False) as arrays:
        return dict(arrays)


# --- against the published code


def test_cochcnn9_equals_the_authors_stored_cochleagram() -> None:
    known = golden("models_chcochleagram_q63.npz")
    ours = coch.cochleagram_cochcnn9(known["waveform_float32"])
    assert ours.shape == (211, 390)
    assert np.abs(ours - known["cochleagram"]).max() <= 1e-5


@pytest.mark.parametrize("number", [0, 1])
def test_cochcnn9_equals_the_published_code_on_synthetic_sounds(number: int) -> None:
    known = golden("models_cochcnn9_synthetic.npz")["cochleagram"][number]
    time = np.arange(40_000) / 20_000
    rng = np.random.RandomState(100 + number)
    tones = (220 * (number + 1), 1000 + 500 * number, 3500 + 700 * number)
    sound = np.sum([np.sin(2 * np.pi * f * time + j) for j, f in enumerate(tones)], axis=0)
    sound = sound * (1 + np.sin(2 * np.pi * (3 + number) * time)) + 0.3 * rng.standard_normal(40_000)
    sound -= sound.mean()
    sound = (sound * 0.1 / np.sqrt(np.mean(sound**2))).astype(np.float32)
    assert np.abs(coch.cochleagram_cochcnn9(sound) - known).max() <= 1e-6


@pytest.mark.parametrize("number", [1, 6, 10])
def test_kell2018_equals_the_published_code(number: int) -> None:
    known = golden("models_kell2018_demo.npz")
    waveform = known[f"wav_{number}"]
    ours = coch.cochleagram_kell2018(waveform)
    assert ours.shape == (211, 400)
    assert np.abs(ours - known[f"coch211x400_{number}"]).max() <= 1e-6


def test_kell2018_takes_the_samples_of_a_16_bit_file_as_they_are() -> None:
    integers = (3000 * np.sin(np.arange(32_000) / 7)).astype(np.int16)
    prepared = prepare_kell2018(integers.astype(np.float32) / 32_768, 16_000)
    assert np.array_equal(prepared, integers)


# --- the filter bank


@pytest.mark.parametrize("settings", [COCHCNN9_BANK, KELL2018_BANK])
def test_squared_filters_sum_to_one(settings: BankSettings) -> None:
    bank = erb_filter_bank(settings)
    assert bank.shape == (211, settings.n_samples // 2 + 1) == (settings.n_filters, bank.shape[1])
    assert np.abs(np.square(bank).sum(axis=0) - 1).max() < 1e-13


def test_filters_equal_the_formula_point_by_point() -> None:
    settings = BankSettings(2000, 20_000, low=50.0, high=10_000.0, n=6, sample_factor=2)
    bank = erb_filter_bank(settings)
    low, high = float(hz_to_erb(50.0)), float(hz_to_erb(10_000.0))
    step = (high - low) / 14
    centres = [low + (i + 1) * step for i in range(13)]
    assert bank.shape[0] == 13 + 4
    for k in range(0, 1001, 7):
        e = 9.265 * np.log(1 + (10.0 * k) / (24.7 * 9.265))
        bands = [np.cos(np.pi * (e - c) / (4 * step)) if abs(e - c) < 2 * step else 0.0 for c in centres]
        lows = [np.sqrt(1 - bands[i] ** 2) if e < centres[i] else 0.0 for i in (0, 1)]
        highs = [np.sqrt(1 - bands[i] ** 2) if e > centres[i] else 0.0 for i in (11, 12)]
        assert np.abs(bank[:, k] - np.array(lows + bands + highs) / np.sqrt(2)).max() < 1e-12


# --- envelopes


@pytest.mark.parametrize("n_samples", [1009, 4096, 6002])
def test_envelopes_equal_those_of_one_long_transform(n_samples: int) -> None:
    settings = BankSettings(n_samples, 16_000, low=20.0, high=8000.0, n=10, sample_factor=2)
    filters = erb_filter_bank(settings)
    sound = np.random.default_rng(n_samples).standard_normal(n_samples)
    one_sided = np.zeros((filters.shape[0], n_samples), dtype=complex)
    one_sided[:, : filters.shape[1]] = filters * np.fft.rfft(sound)
    direct = np.abs(np.fft.ifft(one_sided, axis=1))
    ours = dict(EnvelopePlan(filters, n_samples).envelopes(sound))
    assert sorted(ours) == list(range(len(direct)))
    assert max(np.abs(ours[row] - direct[row]).max() for row in ours) < 1e-13 * n_samples


def test_a_filter_that_is_zero_everywhere_has_no_envelope() -> None:
    ((row, envelope),) = EnvelopePlan(np.zeros((1, 501)), 1000).envelopes(np.ones(1000))
    assert row == 0
    assert not envelope.any()
    assert envelope.shape == (1000,)


def test_frames_of_kell2018_are_those_of_resample_poly() -> None:
    from scipy.signal import resample_poly

    samples = np.random.default_rng(0).random(32_000)
    ours = coch.kell2018_frames().apply(samples)
    assert np.abs(ours - resample_poly(samples, 200, 16_000)).max() < 1e-13


def test_frames_of_cochcnn9_equal_a_loop() -> None:
    samples = np.random.default_rng(0).random(40_000)
    time = np.arange(1001) - 500.5
    taps = np.sin(np.pi * time / 100) / (np.pi * time / 100) / 100 * np.kaiser(1001, 5.0)
    expected = [np.dot(samples[100 * t : 100 * t + 1001], taps) for t in range(390)]
    assert np.abs(coch.cochcnn9_frames().apply(samples) - expected).max() < 1e-13


# --- preparation


def test_silence_and_constant_sounds_are_finite_and_flat() -> None:
    for level in (0.0, 0.5):
        prepared = prepare_cochcnn9(np.full(88_200, level, dtype=np.float32), 20_000)
        assert not prepared.any()
    image = coch.cochleagram_cochcnn9(np.zeros(40_000))
    assert np.abs(image - 1e-8**0.3).max() < 1e-3
    assert not coch.cochleagram_kell2018(np.zeros(32_000)).any()


def test_level_and_mean_do_not_matter_to_cochcnn9() -> None:
    sound = np.random.default_rng(0).standard_normal(40_000)
    first, second = (prepare_cochcnn9(x, 20_000) for x in (sound, 7.0 * sound + 3.0))
    assert np.abs(first - second).max() < 1e-12
    assert abs(first.mean()) < 1e-15
    assert np.sqrt(np.mean(first**2)) == pytest.approx(0.1, abs=1e-15)


def test_channels_are_averaged_and_the_first_two_seconds_taken() -> None:
    left, right = np.random.default_rng(0).standard_normal((2, 3 * 44_100))
    stereo = excerpt(np.stack([left, right], axis=1), 44_100, 20_000)
    mono = excerpt((left + right)[:88_200] / 2, 44_100, 20_000)
    assert stereo.shape == (40_000,)
    assert np.array_equal(stereo, mono)


@pytest.mark.parametrize(("rate", "target"), [(44_100, 20_000), (48_000, 16_000), (8000, 20_000), (22_050.0, 16_000)])
def test_resampling_keeps_a_tone(rate: float, target: int) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(int(2 * rate)) / rate)
    resampled = excerpt(tone, rate, target)
    expected = np.sin(2 * np.pi * 440 * np.arange(2 * target) / target)
    assert resampled.shape == (2 * target,)
    inner = slice(target // 10, -target // 10)
    assert np.abs(resampled - expected)[inner].max() < 2e-3


def test_short_sounds_are_padded_with_zeros_at_the_end() -> None:
    sound = np.random.default_rng(0).standard_normal(10_000) + 1.0
    prepared = prepare_cochcnn9(sound, 20_000)
    assert prepared.shape == (40_000,)
    assert not prepared[10_000:].any()
    assert np.sqrt(np.mean(prepared[:10_000] ** 2)) == pytest.approx(0.1, abs=1e-12)
    assert prepare_kell2018(sound, 16_000).shape == (32_000,)


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (np.zeros(39_999), r"\(40000,\), found \(39999,\)"),
        (np.zeros((2, 40_000)), r"found \(2, 40000\)"),
        (np.full(40_000, np.nan), "40000 of 40000"),
    ],
)
def test_wrong_waveforms_are_refused(waveform: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        coch.cochleagram_cochcnn9(waveform)


def test_sounds_without_samples_or_with_three_dimensions_are_refused() -> None:
    for shape in [(0,), (0, 2), (2, 2, 2)]:
        with pytest.raises(DataError, match="Expected a waveform"):
            excerpt(np.zeros(shape), 16_000, 16_000)
