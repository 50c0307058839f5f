"""Curves, raw scores and kept arrays of results, by one call each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import isocortex
from isocortex.errors import StoreError, UsageError
from isocortex.run.plan import RunConfig
from tests.lab import Lab


def test_curves_over_layers_by_name(lab: Lab) -> None:
    isocortex.score(["lab-net", "lab-second"], "lab.regions", quiet=True)
    curves = isocortex.layers(models="lab-net", regions=["all", "B"])
    assert list(zip(curves["region"], curves["layer"], strict=True)) == [
        ("all", "net.mean"), ("all", "net.pixels"), ("B", "net.mean"), ("B", "net.pixels"),
    ]  # fmt: skip
    with pytest.raises(UsageError, match=r"No result has the region 'C'"):
        isocortex.layers(regions="C")


def test_raw_scores_are_those_of_each_neuroid_and_split(lab: Lab) -> None:
    (result,) = isocortex.score("lab-net", "lab.fit", quiet=True)
    assert result.summary is not None
    (path,) = Path("results").rglob("scores.nc")
    for name in (result, result.digest, result.digest[:8]):
        found = isocortex.scores(name)
        assert found.identical(xr.load_dataset(path))
    assert found["readout"].mean("split").median() == pytest.approx(result.summary.value, abs=1e-6)
    assert found["neuroid_id"].values.tolist() == [f"neuroid{number}" for number in range(4)]
    assert found["test_stimulus_id"].sel(split=0).values.tolist() == [f"s{number:02d}" for number in range(20, 40)]
    assert found["draws"].shape == (1, 1000)


def test_predictions_name_their_stimuli_and_are_those_of_the_model(lab: Lab) -> None:
    """The made-up metric predicts the mean over units, which numpy finds as well."""
    import iso_lab  # type: ignore[import-not-found]

    (result,) = isocortex.score("lab-net", "lab.fit", config=RunConfig(keep=("prediction",)), quiet=True)
    found = isocortex.kept(result, "prediction")["prediction"]
    table = found.to_dataframe().reset_index()
    first = table[table["neuroid_id"] == "neuroid0"].set_index("test_stimulus_id")["prediction"]
    assert first.index.tolist() == [f"s{number:02d}" for number in range(20, 40)]
    layer = result.summary.best_layer if result.summary else ""
    images = iso_lab.IMAGES.astype(np.float64)
    expected = {"net.pixels": images.mean(axis=(1, 2, 3))}
    expected["net.mean"] = (images.mean(axis=(1, 2, 3)) + images.std(axis=(1, 2, 3))) / 2
    np.testing.assert_allclose(first, expected[layer][20:], rtol=1e-6)


def test_what_was_not_kept_is_refused_with_how_to_keep_it(lab: Lab) -> None:
    (result,) = isocortex.score("lab-net", "lab.fit", quiet=True)
    with pytest.raises(StoreError, match=r"prediction of lab-net@fixed × lab.fit was not kept.*--keep prediction"):
        isocortex.kept(result, "prediction")
    with pytest.raises(UsageError, match=r"'weights' is nothing that is kept. Expected one of prediction, alpha"):
        isocortex.kept(result, "weights")
    isocortex.score("lab-net", "lab.fit", config=RunConfig(keep=("alpha",)), quiet=True)
    assert isocortex.kept(result, "alpha")["alpha"].dims == ("layer", "split", "neuroid")
    (path,) = Path("results").rglob("alpha.nc")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match=r"is not as it was written"):
        isocortex.kept(result, "alpha")


def test_digests_that_stand_for_nothing_or_for_several_are_refused(lab: Lab) -> None:
    with np.errstate(all="ignore"):
        first, broken = isocortex.score(["lab-net", "fault-run"], "lab.fit", quiet=True)
    with pytest.raises(UsageError, match=r"is no digest. Expected 8 letters"):
        isocortex.scores(first.digest[:7])
    with pytest.raises(StoreError, match=r"No result in results has the digest 00000000"):
        isocortex.scores("00000000")
    with pytest.raises(StoreError, match=r"fault-run@fixed × lab.fit failed and has no scores: .*the tape is torn"):
        isocortex.scores(broken)
    with pytest.raises(StoreError, match=r"No result in elsewhere"):
        isocortex.scores(first, "elsewhere")
    (path,) = Path("results").rglob("scores.nc")
    path.write_bytes(b"CDF")
    with pytest.raises(StoreError, match=r"not what was written"):
        isocortex.scores(first)
