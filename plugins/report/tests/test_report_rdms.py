"""Square, labelled dissimilarity matrices of models and brains, against scipy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.spatial.distance import cdist

import isocortex
import isocortex_report
from isocortex.data import Dataset, Stimulus, StimulusSet, averaged, make_responses
from isocortex.errors import SettingsError, UsageError

IDS = ["s2", "s10", "s1", "s4", "s3"]
KINDS = ["cat", "dog", "cat", "dog", "dog"]


def stimuli() -> StimulusSet:
    stream = np.random.default_rng(0)
    images = {name: Stimulus(name, "image", stream.integers(0, 256, (4, 4, 3), dtype=np.uint8)) for name in IDS}
    return StimulusSet("five", "image", images, table=pd.DataFrame({"category": KINDS}, index=IDS))


def dataset() -> Dataset:
    values = np.random.default_rng(1).standard_normal((2, 5, 6))
    neuroid = {"subject": ["a", "a", "a", "b", "b", "b"]}
    responses = make_responses(values[:, ::-1], IDS[::-1], neuroid=neuroid)
    return Dataset("made", stimuli(), responses=responses)


@pytest.mark.parametrize("dissimilarity", ["correlation", "cosine", "euclidean"])
def test_matrices_of_participants_against_scipy(dissimilarity: str) -> None:
    given = dataset()
    found = isocortex_report.rdm(given, dissimilarity=dissimilarity)
    assert found.dims == ("subject", "stimulus_a", "stimulus_b")
    assert found["stimulus_a"].values.tolist() == found["stimulus_b"].values.tolist() == IDS
    assert found["category"].values.tolist() == KINDS
    assert found.attrs["dissimilarity"] == dissimilarity
    assert given.responses is not None
    means = averaged(given.responses)
    for name, columns in (("a", slice(0, 3)), ("b", slice(3, 6))):
        expected = cdist(means[:, columns], means[:, columns], dissimilarity)
        np.testing.assert_allclose(found.sel(subject=name), expected, atol=1e-12)
    assert float(found.sel(subject="a", stimulus_a="s1", stimulus_b="s3")) == pytest.approx(
        cdist(means[[2], :3], means[[4], :3], dissimilarity).item()
    )


@pytest.mark.parametrize("standardise", [False, True])
def test_matrices_of_a_model_against_scipy(standardise: bool) -> None:
    model = isocortex.wrap(
        lambda images: {"pixels": images.reshape(len(images), -1) / 255.0, "mean": images.mean(axis=(1, 2)) / 255.0},
        modality="image", layers=["pixels", "mean"], name="two",
    )  # fmt: skip
    given = dataset()
    found = isocortex_report.rdm(model, given, standardise=standardise)
    assert found["layer"].values.tolist() == ["pixels", "mean"]
    values = np.stack([stimulus.array for stimulus in given.stimuli]).astype(np.float32) / np.float32(255)
    for layer, features in (("pixels", values.reshape(5, -1)), ("mean", values.mean(axis=(1, 2)))):
        scaled = (features - features.mean(0)) / features.std(0) if standardise else features
        np.testing.assert_allclose(found.sel(layer=layer), cdist(scaled, scaled, "correlation"), atol=1e-5)
    same = isocortex_report.rdm(model, given.stimuli, standardise=standardise)
    xr.testing.assert_identical(found, same)


def test_matrices_that_were_given_are_those_in_canonical_order() -> None:
    first, second = np.triu_indices(5, 1)
    ids = np.asarray(IDS, dtype=object)
    values = np.arange(1.0, 11.0)
    order = np.random.default_rng(2).permutation(10)
    coords = {"subject": ["x"], "stimulus_a": ("pair", ids[second[order]]), "stimulus_b": ("pair", ids[first[order]])}
    given = Dataset("given", stimuli(), rdm=xr.DataArray(values[None, order], coords, ("subject", "pair")))
    found = isocortex_report.rdm(given)
    expected = np.zeros((5, 5))
    expected[first, second] = expected[second, first] = values
    np.testing.assert_array_equal(found.sel(subject="x"), expected)
    assert found.attrs["dissimilarity"] == "as given"


def test_what_is_not_enough_is_refused() -> None:
    with pytest.raises(UsageError, match="A model needs stimuli="):
        isocortex_report.rdm(isocortex.wrap(lambda images: images, modality="image", name="m"))
    with pytest.raises(UsageError, match="takes none"):
        isocortex_report.rdm(dataset(), stimuli())
    with pytest.raises(SettingsError, match="Did you mean euclidean"):
        isocortex_report.rdm(dataset(), dissimilarity="euclidian")
