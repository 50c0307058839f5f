"""The check that a model hears sounds at their sampling rate, whoever resamples them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from isocortex.catalogue.cards import Variant
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.testing.model_runs import ModelUnderTest
from isocortex.testing.outcomes import CheckFailed, CheckSkipped, described, expect
from isocortex.testing.rows import skip_unless
from isocortex.testing.synthetic import SAMPLE_RATE
from isocortex.typing import Array

if TYPE_CHECKING:
    from isocortex.activations.layer import Activations

#: Hz of the second rate, and what stands for it where a model hears sounds at that one
OTHER_RATE, OTHER_RATE_INSTEAD = 44_100.0, 22_050.0
N_SOUNDS, DURATION_S, N_PARTIALS = 3, 0.5, 200
#: of a layer's spread over sounds: a smaller difference is what resampling leaves
NEGLIGIBLE = 0.05
#: of what a model gives that takes the samples as if they came at its own rate
SHARE = 0.5


def check_rates(model: ModelUnderTest) -> None:
    """A sound at the model's rate and the same sound at 44.1 kHz give the same."""
    if model.card.modality not in ("audio", "any"):
        raise CheckSkipped("It takes no sounds.")
    own = model.card.sample_rate or SAMPLE_RATE
    other = OTHER_RATE if own != OTHER_RATE else OTHER_RATE_INSTEAD
    variant, band = model.variants()[0], 0.45 * min(own, other)
    model.stable_run(variant)
    try:
        expected = _run(model, variant, _sounds(own, band, own))
    except Exception as error:  # whatever a third party's model raises
        raise skip_unless("outputs", error) from error
    try:
        found = _run(model, variant, _sounds(other, band, other))
    except Exception as error:
        raise CheckFailed(
            f"{variant} must take a sound at {other:g} Hz; found {described(error)}. With sample_rate = {own:g} in its "
            "row, core resamples."
        ) from error
    try:
        deaf = _run(model, variant, _sounds(other, band, own))
    except Exception:  # more samples than it takes: what ignoring the rate would do is not known
        deaf = {}
    for layer, activations in expected.items():
        differs = _difference(activations.array(), found[layer].array(), deaf.get(layer))
        expect(
            not differs.too_much,
            f"{variant} must give the same for a sound at {own:g} and at {other:g} Hz; found a difference of "
            f"{differs.of_spread:.0%} of the spread of layer {layer!r} over sounds: it depends on the sampling rate. "
            'Say sample_rate in its row, so that core resamples; with resampler = "model" it must do so itself.',
        )


class Difference(NamedTuple):
    """How far two sets of activations are apart, as a share of their spread over sounds."""

    of_spread: float
    too_much: bool


def _difference(expected: Array, found: Array, deaf: Activations | None) -> Difference:
    if expected.shape != found.shape:
        return Difference(float("inf"), True)
    expected = expected.astype(np.float64)
    spread = max(_rms(expected - expected.mean(axis=0)), 1e-3 * float(np.abs(expected).max()), 1e-30)
    apart, ignoring = _rms(found - expected), spread
    if deaf is not None and deaf.shape == expected.shape:
        ignoring = _rms(deaf.array() - expected)
    return Difference(apart / spread, apart > NEGLIGIBLE * spread and apart > SHARE * ignoring)


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _run(model: ModelUnderTest, variant: Variant, sounds: StimulusSet) -> dict[str, Activations]:
    return model.extract(variant, sounds, N_SOUNDS)


def _sounds(rate: float, band: float, declared: float) -> StimulusSet:
    """The same sounds at any rate: partials up to ``band`` Hz, sampled at ``rate`` and said to come at ``declared``."""
    import pandas as pd

    made = {f"sound{number}": _partials(number, rate, band) for number in range(N_SOUNDS)}
    table = pd.DataFrame({"category": ["tone", "noise", "mixture"]}, index=pd.Index(list(made)))
    sources = {name: Stimulus(name, "audio", array, declared) for name, array in made.items()}
    return StimulusSet("rates", "audio", sources, table=table)


@cache
def _partials(number: int, rate: float, band: float) -> Array:
    """A sum of sinusoids of random frequency and phase with a slow envelope, (n_samples,), peak below 1."""
    stream = np.random.default_rng(number)
    time_s = np.arange(round(DURATION_S * rate)) / rate
    frequency = np.exp(stream.uniform(np.log(50), np.log(band), N_PARTIALS))
    tilt = stream.uniform(-0.5, 0.5)
    level = (frequency / frequency.mean()) ** tilt * stream.exponential(size=N_PARTIALS)
    phase = stream.uniform(0, 2 * np.pi, N_PARTIALS)
    sound = sum(
        one * np.sin(2 * np.pi * hertz * time_s + start)
        for one, hertz, start in zip(level, frequency, phase, strict=True)
    )
    envelope = 1 + 0.8 * np.sin(2 * np.pi * (3 + number) * time_s)
    return (0.1 * sound * envelope / np.sqrt(np.square(level).sum())).astype(np.float32)
