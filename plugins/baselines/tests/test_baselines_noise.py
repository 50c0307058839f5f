"""Noise, category labels and threshold units as functions."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from isocortex.data.stimuli import Stimulus
from isocortex.errors import DataError
from isocortex_baselines.category import one_hot
from isocortex_baselines.noise import layer_names, noise_features
from isocortex_baselines.threshold_units import BAND_EDGES_HZ, Units, image_bits, sound_bits


def test_noise_is_standard_normal() -> None:
    from scipy.stats import kstest

    values = np.concatenate([noise_features(3, "layer.0", f"stimulus {i}", 500) for i in range(100)])
    assert kstest(values, "norm").pvalue > 1e-3
    assert abs(values.mean()) < 4 / np.sqrt(values.size)
    assert abs(values.var() - 1) < 4 * np.sqrt(2 / values.size)


def test_noise_is_the_normal_quantile_of_the_generators_bits() -> None:
    import hashlib

    digest = hashlib.sha256(b"3\x1f7\x1flayer.0\x1fstim5").digest()
    bits = np.random.Philox(key=int.from_bytes(digest[:16], "little")).random_raw(5)
    expected = [NormalDist().inv_cdf(((int(b) >> 11) + 0.5) / 2**53) for b in bits]
    assert np.abs(noise_features(3, "layer.0", "stim5", 5) - expected).max() < 1e-8


def test_noise_differs_between_seeds_layers_and_stimuli_and_is_uncorrelated() -> None:
    names = [(0, "layer.0", "a"), (1, "layer.0", "a"), (0, "layer.1", "a"), (0, "layer.0", "b"), (0, "layer.10", "a")]
    rows = np.array([noise_features(*name, 20_000) for name in names])
    correlation = np.corrcoef(rows) - np.eye(len(rows))
    assert np.abs(correlation).max() < 5 / np.sqrt(20_000)
    assert np.array_equal(rows[0], noise_features(0, "layer.0", "a", 20_000))
    assert np.array_equal(rows[0, :10], noise_features(0, "layer.0", "a", 10))


def test_names_of_layers_and_stimuli_do_not_run_into_each_other() -> None:
    assert not np.array_equal(noise_features(0, "a", "b\x1fc", 4), noise_features(0, "a\x1fb", "c", 4))


def test_layers_are_named_in_order() -> None:
    assert layer_names(43)[42] == "layer.42"
    assert len(set(layer_names(43))) == 43


def test_one_hot_equals_scikit_learn() -> None:
    encoder = pytest.importorskip("sklearn.preprocessing", reason="scikit-learn is not installed").OneHotEncoder
    labels = ["speech", "music", "animal", "music"]
    expected = encoder(sparse_output=False).fit_transform(np.array(labels)[:, None])
    assert np.array_equal(one_hot(labels, sorted(set(labels))), expected)


def test_unknown_labels_are_named() -> None:
    with pytest.raises(DataError, match="found noise"):
        one_hot(["noise"], ["music"])


# --- threshold units


def test_units_equal_mcculloch_and_pitts_unit_by_unit() -> None:
    units = Units(seed=5)
    for trial in range(5):
        bits = np.random.default_rng(trial).random((16, 16)) < 0.5
        inputs = bits.reshape(-1).tolist()
        expected = []
        for excitatory, inhibitory in zip(units.excitatory.tolist(), units.inhibitory.tolist(), strict=True):
            vetoed = inputs[inhibitory]
            expected.append(not vetoed and sum(inputs[place] for place in excitatory) >= 8)
        assert units.fire(bits).tolist() == expected
        assert 0.1 < np.mean(expected) < 0.6


def test_each_unit_has_17_inputs_of_its_own_and_the_seed_draws_them() -> None:
    units = Units(seed=0)
    inputs = np.column_stack([units.excitatory, units.inhibitory])
    assert inputs.shape == (256, 17)
    assert all(len(set(row)) == 17 for row in inputs.tolist())
    assert np.array_equal(inputs[:, :16], Units(seed=0).excitatory)
    assert not np.array_equal(inputs[:, :16], Units(seed=1).excitatory)


def test_image_bits_follow_the_bright_half() -> None:
    picture = np.zeros((80, 80, 3), dtype=np.uint8)
    picture[:, 40:] = 255
    bits = image_bits(Stimulus("half", "image", picture))
    assert not bits[:, :7].any()
    assert bits[:, 9:].all()


def test_sound_bits_follow_time_and_frequency() -> None:
    rate = 16_000
    time = np.arange(2 * rate) / rate
    tone = np.where(time < 1, np.sin(2 * np.pi * 1000 * time), 0).astype(np.float32)
    bits = sound_bits(Stimulus("tone", "audio", np.stack([tone, tone], axis=1), float(rate)))
    band = int(np.searchsorted(BAND_EDGES_HZ, 1000) - 1)
    assert bits[:8, band].all()
    assert not bits[8:].any()


@pytest.mark.parametrize("n_samples", [1, 5, 16, 100])
def test_silence_and_the_shortest_sounds_turn_no_bit_on_by_mistake(n_samples: int) -> None:
    silent = Stimulus("silence", "audio", np.zeros(n_samples, dtype=np.float32), 16_000.0)
    assert not sound_bits(silent).any()
