"""What the kit makes up has the properties that its checks rely on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isocortex.errors import DataError
from isocortex.testing.synthetic import (
    linear_responses,
    synthetic_dataset,
    synthetic_features,
    synthetic_image,
    synthetic_rdm,
    synthetic_stimuli,
)


@pytest.mark.parametrize("modality", ["audio", "image", "any"])
def test_stimuli_are_the_same_in_memory_and_as_files(modality: str, tmp_path: Path) -> None:
    in_memory = synthetic_stimuli(modality, 5)
    as_files = synthetic_stimuli(modality, 5, folder=tmp_path)
    assert in_memory.ids == as_files.ids
    assert len(as_files.files) == 5
    assert set(in_memory.table["category"]) == {"tone", "noise", "mixture"}
    for held, read in zip(in_memory, as_files, strict=True):
        assert held.sample_rate == read.sample_rate
        # written in steps of 1 / 32767, read in steps of 1 / 32768: half a step, and 0.5 (the peak) of the difference
        assert np.abs(held.array.astype(float) - read.array).max() <= (0 if modality == "image" else 2**-15 + 1e-7)


def test_stimuli_differ_among_each_other_and_by_seed() -> None:
    digests = {synthetic_stimuli(kind, 4, seed=seed).digest for kind in ("audio", "image") for seed in (0, 1)}
    assert len(digests) == 4
    assert synthetic_stimuli("audio", 4).digest == synthetic_stimuli("audio", 4).digest
    assert len({sound.array.tobytes() for sound in synthetic_stimuli("audio", 8)}) == 8
    assert len({synthetic_image(number).tobytes() for number in range(8)}) == 8


def test_unknown_modality_is_refused() -> None:
    with pytest.raises(DataError, match="video"):
        synthetic_stimuli("video", 2)


@pytest.mark.parametrize("snr", [0.25, 1.0, 4.0])
def test_responses_have_the_ratio_of_signal_to_noise(snr: float) -> None:
    features = synthetic_features(4000, 5, seed=1)
    first, second = linear_responses(features, snr, seed=2).values.reshape(2, 4000, 12)
    # two repetitions share the signal alone: their correlation is s / (s + n) = snr / (1 + snr)
    r = np.array([np.corrcoef(first[:, column], second[:, column])[0, 1] for column in range(12)])
    standard_error = 1 / np.sqrt(4000)
    assert np.abs(r - snr / (1 + snr)).max() < 4 * standard_error


def test_responses_are_linear_in_the_features_and_noise_is_not() -> None:
    features = synthetic_features(500, 5)
    for responses, expected in (
        (linear_responses(features, 1e6, 0), 1.0),
        (linear_responses(features, 0.0, 0), 5 / 500),
    ):
        values = responses.values[:500]
        explained = features @ np.linalg.lstsq(features, values, rcond=None)[0]
        share = explained.var(axis=0) / values.var(axis=0)
        assert np.abs(share - expected).max() < (1e-2 if expected == 1.0 else 0.04)


def test_coordinates_of_responses() -> None:
    made = {"stimulus_id": ["b", "a"], "n_neuroids": 5, "n_repetitions": 3}
    responses = linear_responses(synthetic_features(2, 1, 4), 0.0, 4, **made)
    assert responses.shape == (6, 5)
    assert responses["stimulus_id"].values.tolist() == ["b", "a"] * 3
    assert set(responses["region"].values) == {"A", "B"}
    assert set(responses["subject"].values) == {"S1", "S2"}
    assert len(set(responses["neuroid_id"].values)) == 5
    assert not np.array_equal(responses.values, linear_responses(synthetic_features(2, 1, 5), 0.0, 5, **made))


def test_rdms_are_those_of_the_features_where_there_is_no_noise() -> None:
    names = [f"s{number}" for number in range(30)]
    features = synthetic_features(30, 400, seed=0)
    related, noise = synthetic_rdm(names, features, 100.0, 0), synthetic_rdm(names, None, 0.0, 0)
    own = 1 - np.corrcoef(features)[np.triu_indices(30, 1)]
    between = [np.corrcoef(own, row)[0, 1] for row in related.values]
    assert min(between) > 0.15
    assert np.abs([np.corrcoef(own, row)[0, 1] for row in noise.values]).max() < 0.15
    assert np.corrcoef(noise.values)[np.triu_indices(4, 1)].max() < 0.2


@pytest.mark.parametrize("kind", ["responses", "rdm", "trials"])
def test_data_sets_of_every_kind_are_valid(kind: str) -> None:
    made = synthetic_dataset(kind, 12, features=synthetic_features(12, 3), seed=1)
    assert made.kind == kind
    assert made.digest == synthetic_dataset(kind, 12, features=synthetic_features(12, 3), seed=1).digest
    assert synthetic_dataset(kind, 12, features=None).kind == kind
