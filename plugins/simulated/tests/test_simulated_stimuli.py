"""The synthesised stimuli: what they are, and that they are the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

import isocortex
from isocortex.errors import PluginError
from isocortex_simulated.draws import Stream
from isocortex_simulated.images import IMAGES, synthesise_image
from isocortex_simulated.sounds import SOUNDS, synthesise_sound
from isocortex_simulated.stimuli import synthesise


def test_draws_follow_their_distributions() -> None:
    uniform = (Stream(0, "u").uniform(20_000, 2.0, 5.0) - 2.0) / 3.0
    normal = Stream(0, "n").normal(100, 200).ravel()
    assert kstest(uniform, "uniform").pvalue > 0.01
    assert kstest(normal, "norm").pvalue > 0.01
    whole = [Stream(seed, "i").integer(1, 4) for seed in range(400)]
    assert np.bincount(whole, minlength=5)[1:].min() > 60


def test_draws_depend_on_seed_and_name() -> None:
    first = Stream(0, "a").uniform(5)
    np.testing.assert_array_equal(first, Stream(0, "a").uniform(5))
    assert not np.isclose(first, Stream(1, "a").uniform(5)).any()
    assert not np.isclose(first, Stream(0, "b").uniform(5)).any()


def test_sounds_are_two_seconds_of_16_bits_at_many_levels() -> None:
    stimuli = isocortex.load_stimuli("simulated-sounds")
    sounds = np.stack([stimulus.array for stimulus in stimuli])
    assert sounds.shape == (48, 40_000)
    assert {stimulus.sample_rate for stimulus in stimuli} == {20_000.0}
    assert np.abs(sounds).max() < 1
    np.testing.assert_array_equal(sounds * 2**15, np.round(sounds * 2**15))
    level = 10 * np.log10(np.mean(np.square(sounds.astype(np.float64)), axis=1))
    assert level.min() > -62
    assert level.max() < -10
    assert np.ptp(level) > 30
    heard = np.mean(np.abs(sounds) > 0, axis=1)
    assert heard.min() < 0.2
    assert heard.max() > 0.8


def test_no_seed_gives_silence() -> None:
    for category in SOUNDS:
        for seed in range(20):
            assert np.abs(synthesise_sound(category, Stream(seed, "any"))).max() > 1e-3


def test_images_are_colour_images_of_many_kinds() -> None:
    stimuli = isocortex.load_stimuli("simulated-images")
    images = np.stack([stimulus.array for stimulus in stimuli])
    assert images.shape == (160, 128, 128, 3)
    assert images.dtype == np.uint8
    assert images.std(axis=(1, 2, 3)).min() > 0
    assert len({image.tobytes() for image in images}) == 160


@pytest.mark.parametrize(("name", "categories"), [("simulated-sounds", SOUNDS), ("simulated-images", IMAGES)])
def test_categories_are_balanced(name: str, categories: dict[str, object]) -> None:
    table = isocortex.load_stimuli(name).table
    counts = table["category"].value_counts()
    assert set(counts.index) == set(categories)
    assert counts.nunique() == 1


def test_a_stimulus_does_not_depend_on_how_many_there_are() -> None:
    few = synthesise("few", "image", {"n_stimuli": 16}, IMAGES, synthesise_image)
    many = synthesise("many", "image", {"n_stimuli": 24}, IMAGES, synthesise_image)
    assert many.ids[:16] == few.ids
    for place in range(16):
        np.testing.assert_array_equal(few.load(place).array, many.load(place).array)
    other = synthesise("other", "image", {"n_stimuli": 16, "seed": 1}, IMAGES, synthesise_image)
    assert not any(np.array_equal(one.array, two.array) for one, two in zip(few, other, strict=True))


@pytest.mark.parametrize("options", [{"n_stimuli": 3}, {"n_sounds": 40}, {"seed": "first"}])
def test_wrong_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(PluginError, match=next(iter(options))):
        synthesise("few", "image", options, IMAGES, synthesise_image)


def test_a_sweep_climbs_or_falls_and_a_tone_swings() -> None:
    # oracle: the frequency of a tone from the zero crossings of its middle, against the definition's range
    for category, low, high in (("sweep", 100, 8500), ("frequency modulation", 95, 8100)):
        sound = SOUNDS[category](Stream(3, "tone"))
        crossings = np.flatnonzero(np.diff(np.signbit(sound)))
        frequency = 20_000 / 2 / np.diff(crossings)
        assert low * 0.8 < np.median(frequency) < high
        assert np.quantile(frequency, 0.9) > 1.05 * np.quantile(frequency, 0.1)


def test_amplitude_modulation_has_the_rate_that_was_drawn() -> None:
    stream = Stream(5, "am")
    rate = Stream(5, "am").log_between(1, 64)
    envelope = np.square(SOUNDS["amplitude modulation"](stream))
    spectrum = np.abs(np.fft.rfft(envelope - envelope.mean()))
    near = round(rate * 2)  # bins of 0.5 Hz
    assert spectrum[max(1, near - 1) : near + 2].max() > 0.5 * spectrum[1:200].max()
