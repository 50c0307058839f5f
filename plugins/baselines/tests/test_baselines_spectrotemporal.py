"""SpectroTemporal against an independent implementation, filtering in two dimensions, and moving ripples."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from isocortex.errors import DataError
from isocortex_baselines.spectrotemporal import (
    RATES_HZ,
    SCALES,
    spectrotemporal,
    spectrotemporal_sqrt,
    sweep_filters,
)

GOLDEN = Path(__file__).parents[3] / "tests" / "golden"


def known(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / name, allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def cochleagram() -> np.ndarray:
    return known("models_chcochleagram_q63.npz")["cochleagram"].astype(np.float64)


def test_features_equal_the_independent_implementation(cochleagram: np.ndarray) -> None:
    expected = known("models_spectemp_q63.npz")
    features = spectrotemporal(cochleagram)
    assert features.shape == (111, 211)
    difference = np.abs(features - expected["features"])
    assert difference.max() <= 1e-12 * expected["features"].max()
    # every filter by its own maximum, since power spans many orders of magnitude between filters
    assert (difference.max(axis=1) <= 1e-12 * expected["features"].max(axis=1)).all()
    filters = sweep_filters()
    assert np.array_equal([sweep.sign * sweep.rate for sweep in filters], expected["rate"])
    assert np.array_equal([sweep.scale for sweep in filters], expected["scale"])


@pytest.fixture(scope="module")
def features_of_noise() -> np.ndarray:
    return spectrotemporal(np.random.default_rng(1).random((211, 390)))


def two_dimensional_response(image: np.ndarray, sign: int, scale: float, rate: float) -> np.ndarray:
    """Filter with the whole complex 422 x 1170 response, step by step."""
    n_f, n_t = 422, 1170
    if rate == 0:
        temporal = np.zeros(n_t, dtype=complex)
        temporal[0] = 1
    else:
        t = np.arange(390) / 200 * rate
        h = np.sin(2 * np.pi * t) * t**2 * np.exp(-3.5 * t)
        temporal = np.fft.fft(np.concatenate([h - h.mean(), np.zeros(780)]))
        amplitude, phase = np.abs(temporal), np.angle(temporal)
        amplitude = amplitude / amplitude.max()
        if rate == 64:
            peak = int(amplitude[:586].argmax())
            amplitude[peak : n_t - peak] = 1
        temporal = amplitude * np.exp(1j * phase)
    spectral = np.zeros(n_f)
    half = np.zeros(212)
    for k in range(212):
        if scale == 0:
            half[k] = float(k == 0)
        else:
            half[k] = (6 * k / n_f / scale) ** 2 * np.exp(-((6 * k / n_f / scale) ** 2))
    half /= half.max()
    if scale == 2:
        half[int(half.argmax()) :] = 1
    for k in range(212):
        spectral[k] = spectral[-k] = half[k]
    response = spectral[:, None] * temporal[None, :]
    sign_f = np.zeros(n_f)
    sign_f[1:211], sign_f[212:] = 1, -1
    sign_t = np.zeros(n_t)
    sign_t[1:585], sign_t[586:] = 1, -1
    g = 1 if rate == 0 else sign
    for k in range(n_f):
        drop = (sign_t == -g) if sign_f[k] > 0 else (sign_t == g) if sign_f[k] < 0 else np.zeros(n_t, bool)
        response[k, drop] = 0
    padded = np.zeros((n_f, n_t))
    padded[:211, :390] = 100 * image
    filtered = np.fft.ifft2(np.fft.fft2(padded) * response)[:211, :390]
    assert np.abs(filtered.imag).max() < 1e-11
    return np.maximum(filtered.real**2, 1e-8).mean(axis=1)


@pytest.mark.parametrize("place", [0, 3, 9, 10, 17, 18, 40, 62, 63, 70, 86, 110])
def test_separate_filtering_equals_filtering_in_two_dimensions(place: int, features_of_noise: np.ndarray) -> None:
    image = np.random.default_rng(1).random((211, 390))
    sweep = sweep_filters()[place]
    expected = two_dimensional_response(image, sweep.sign, sweep.scale, sweep.rate)
    assert np.abs(features_of_noise[place] - expected).max() <= 1e-11 * expected.max()


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(("rate", "scale"), [(4.0, 0.25), (16.0, 0.5), (8.0, 1.0)])
def test_a_moving_ripple_drives_its_own_filter_most(sign: int, rate: float, scale: float) -> None:
    row, frame = np.arange(211)[:, None], np.arange(390)[None, :]
    ripple = 1 + np.cos(2 * np.pi * (rate * frame / 200 + sign * scale * row / 6))
    power = spectrotemporal(ripple)[:, 60:150].mean(axis=1)
    directed = [place for place, sweep in enumerate(sweep_filters()) if sweep.rate and sweep.scale]
    best = sweep_filters()[directed[int(power[directed].argmax())]]
    assert (best.sign, best.scale, best.rate) == (sign, scale, rate)


def test_there_are_111_filters_once_each() -> None:
    filters = sweep_filters()
    assert len(filters) == len(set(filters)) == 111
    assert {sweep.rate for sweep in filters} == set(RATES_HZ)
    assert {sweep.scale for sweep in filters} == set(SCALES)


def test_power_has_a_floor_and_the_root_is_the_root(cochleagram: np.ndarray) -> None:
    assert np.abs(spectrotemporal(np.zeros((211, 390))) - 1e-8).max() < 1e-20
    assert np.abs(spectrotemporal_sqrt(cochleagram) ** 2 - spectrotemporal(cochleagram)).max() < 1e-14


def test_memory_stays_under_30_mb(cochleagram: np.ndarray) -> None:
    spectrotemporal(cochleagram)
    tracemalloc.start()
    spectrotemporal(cochleagram)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6


@pytest.mark.parametrize("image", [np.zeros((390, 211)), np.zeros(211), np.full((211, 390), np.inf)])
def test_other_shapes_and_values_are_refused(image: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"shape \(211, 390\)"):
        spectrotemporal(image)
