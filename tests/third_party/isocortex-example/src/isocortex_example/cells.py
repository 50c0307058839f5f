"""Stimuli made in memory, and a data set of made-up cells that are tuned to their frequency."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isocortex.interfaces import DataFiles, DatasetPlugin, StimuliPlugin

if TYPE_CHECKING:
    from isocortex.data import Dataset, StimulusSet

N_TONES = 24
SAMPLE_RATE = 16000.0
DURATION_S = 0.25
N_REPETITIONS = 3
BEST_FREQUENCIES_HZ = np.geomspace(125, 8000, 8)
REGIONS = ("core",) * 4 + ("belt",) * 4


def tone_frequencies() -> NDArray[np.float64]:
    """Give the frequencies of the tones in Hz, shape (24,)."""
    return np.geomspace(100, 6000, N_TONES)[np.random.default_rng(1).permutation(N_TONES)]


def tone(frequency_hz: float, seed: int) -> NDArray[np.float32]:
    """Make a tone in noise, shape (4000,), float32 in [-0.6, 0.6]."""
    time_s = np.arange(int(DURATION_S * SAMPLE_RATE)) / SAMPLE_RATE
    noise = np.random.default_rng([2, seed]).uniform(-0.1, 0.1, time_s.size)
    return (0.5 * np.sin(2 * np.pi * frequency_hz * time_s) + noise).astype(np.float32)


class Tones(StimuliPlugin):
    """Tones of random frequency in noise."""

    def load(self, files: DataFiles) -> StimulusSet:
        """Make the stimuli; the table has the columns frequency_hz and category."""
        import pandas as pd

        from isocortex.data import Stimulus, StimulusSet

        del files
        frequencies = tone_frequencies()
        names = [f"tone{number:02d}" for number in range(N_TONES)]
        sounds = {
            name: Stimulus(name, "audio", tone(frequency, seed), SAMPLE_RATE)
            for seed, (name, frequency) in enumerate(zip(names, frequencies, strict=True))
        }
        category = np.where(frequencies < 800, "low", "high")
        table = pd.DataFrame({"frequency_hz": frequencies, "category": category}, index=pd.Index(names))
        return StimulusSet(self.card.id, "audio", sounds, table=table)


class Cells(DatasetPlugin):
    """Cells with Gaussian tuning over octaves, three repetitions."""

    def load(self, files: DataFiles, stimuli: StimulusSet) -> Dataset:
        """Make the responses from the table of the stimuli, with noise that is the same at every load."""
        from isocortex.data import Dataset, make_responses

        del files
        octaves = np.log2(stimuli.table["frequency_hz"].to_numpy()[:, None] / BEST_FREQUENCIES_HZ)
        tuned = np.exp(-(octaves**2))  # (n_stimuli, n_neuroids)
        noise = np.random.default_rng(3).normal(0, 0.2, (N_REPETITIONS, *tuned.shape))
        names = [f"cell{number}" for number in range(len(REGIONS))]
        responses = make_responses(
            tuned + noise, stimuli.ids, neuroid={"neuroid_id": names, "region": REGIONS}, units="made up"
        )
        return Dataset(self.card.id, stimuli, responses=responses)
