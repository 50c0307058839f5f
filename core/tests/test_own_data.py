"""Data of the user, handed over in Python: a data set or an array of responses, with a metric by its ID."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from PIL import Image

import isocortex
from isocortex.data.dataset import Dataset, make_responses
from isocortex.data.stimuli import StimulusSet
from isocortex.errors import AlignmentError, DataError, UnknownIDError, UsageError
from isocortex.results.result import Result
from isocortex.run.plan import RunConfig
from tests.lab import Lab


def given(lab: Lab) -> Dataset:
    return isocortex.load_dataset("Lab")


def array(lab: Lab) -> xr.DataArray:
    """The responses of the lab, as somebody has them who knows xarray and not isocortex."""
    responses = given(lab).responses
    assert responses is not None
    coords = {"stimulus": responses["stimulus_id"].values, "region": ("neuroid", responses["region"].values)}
    return xr.DataArray(responses.values, coords, ("stimulus", "neuroid"), name="mine")


def score(data: Any, **own: Any) -> Result:
    (result,) = isocortex.score("lab-net", data, quiet=True, **{"metric": "lab-fit", **own})
    assert result.status == "scored", result.failure
    return result


def test_a_data_set_gives_what_its_benchmark_gives(lab: Lab) -> None:
    (known,) = isocortex.score("lab-net", "lab.regions", quiet=True)
    found = score(given(lab))
    assert found.benchmark == "own:Lab.lab-fit"
    assert found.summary == known.summary
    assert found.regions == known.regions
    assert (found.digests["dataset"], found.digests["metric"]) == (known.digests["dataset"], known.digests["metric"])
    again = score(given(lab))
    assert (again.cached, again.digest) == (True, found.digest)
    assert isocortex.results(benchmarks="own:*")["region"].tolist() == ["all", "A", "B"]


def test_an_array_with_its_stimuli_gives_the_same(lab: Lab) -> None:
    known = score(given(lab))
    for stimuli in ("lab-images", given(lab).stimuli):
        found = score(array(lab), stimuli=stimuli)
        assert found.benchmark == "own:mine.lab-fit"
        assert found.summary is not None
        assert known.summary is not None
        assert found.summary.model_dump() == known.summary.model_dump()
    shuffled = array(lab)[np.random.default_rng(0).permutation(40)]
    assert score(shuffled, stimuli="lab-images").digest == found.digest, "rows meet stimuli by name"


def test_an_array_may_name_files(lab: Lab) -> None:
    import iso_lab  # type: ignore[import-not-found]

    for number, image in enumerate(iso_lab.IMAGES):
        Image.fromarray(image).save(lab.folder / f"picture {number}.png")
    files = [str(lab.folder / f"picture {number}.png") for number in range(40)]
    found = score(array(lab).assign_coords(stimulus_file=("stimulus", files)))
    assert found.summary == score(given(lab)).summary
    (lab.folder / "picture 7.png").unlink()
    with pytest.raises(DataError, match=r"1 files that 'mine' names are not here: .*picture 7.png"):
        score(array(lab).assign_coords(stimulus_file=("stimulus", files)))


def test_other_contents_of_one_name_are_other_results_and_it_is_said(lab: Lab) -> None:
    first = score(array(lab), stimuli="lab-images")
    changed = array(lab).copy()
    changed[3, 1] += 1
    second = score(changed, stimuli="lab-images")
    assert not second.cached
    assert second.digest != first.digest
    assert any("made with other contents of 'mine'" in text for text in second.warnings)
    assert len(list(Path("results").rglob("result.json"))) == 2


def test_seed_settings_and_config_count(lab: Lab) -> None:
    assert score(given(lab), seed=5).seed == 5
    assert score(given(lab), settings={"shift": 2}).settings == {"shift": 2}
    assert score(given(lab), reduction="spatial-mean").reduction == "spatial-mean"
    assert score(given(lab), config=RunConfig(limit=25)).benchmark == "own:Lab.lab-fit (trial, 25 stimuli)"
    (named,) = isocortex.score("lab-net", "lab.fit", seed=3, quiet=True)
    assert named.seed == 3


def shaped(values: np.ndarray, **coords: Any) -> xr.DataArray:
    return xr.DataArray(values, coords, ("stimulus", "neuroid"), name="mine")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda data: data.T, DataError, r"transposed.*shape \(4, 40\).*data.transpose\('stimulus', 'neuroid'\)"),
        (lambda data: data.rename(neuroid="voxel"), DataError, r"needs the dims.*found \('stimulus', 'voxel'\)"),
        (lambda data: data.drop_vars("stimulus"), DataError, "The rows of 'mine' have no names"),
        (lambda data: data.where(data["stimulus"] != "s03"), DataError, r"no trial of 1 of 40 stimuli \(s03\)"),
        (lambda data: data.where(data > data.min()), DataError, r"has no trial of 1 of 40 stimuli"),
        (lambda data: data.assign_coords(stimulus=[f"x{n}" for n in range(40)]), AlignmentError, "not in 'lab-images'"),
        (lambda data: data[:39], AlignmentError, "1 of 40 stimuli.*have no responses: s39"),
        (lambda data: xr.where(data == data.max(), np.inf, data).rename("mine"), DataError, "not finite|infinite"),
        (lambda data: data.values, UsageError, "found ndarray. isocortex.data.make_responses"),
        (lambda data: data.expand_dims(time_bin=3), DataError, "time_bin|dims"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(lab: Lab, change: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        score(change(array(lab)), stimuli="lab-images")
    assert lab.seen("load") == []


def test_what_is_not_enough_is_refused(lab: Lab) -> None:
    with pytest.raises(UsageError, match=r"does not say what was shown. Give stimuli="):
        score(array(lab))
    with pytest.raises(UsageError, match=r"The data set 'Lab' has stimuli of its own"):
        score(given(lab), stimuli="lab-images")
    with pytest.raises(UsageError, match=r"score\(\) has no stimulus=. Did you mean stimuli"):
        score(given(lab), stimulus="lab-images")
    with pytest.raises(UsageError, match=r"metric belong to data of your own"):
        score("lab.fit")
    with pytest.raises(UnknownIDError, match=r"lab-fitt"):
        score(given(lab), metric="lab-fitt")
    with pytest.raises(UsageError, match=r"own:Lab.lab-fit is a Python object"):
        score(given(lab), jobs=2)


def test_a_model_of_another_modality_is_refused(lab: Lab) -> None:
    with pytest.raises(UsageError, match=r"'lab-ear' takes audio, but the stimuli of 'own:Lab.lab-fit' are image"):
        isocortex.score("lab-ear", given(lab), metric="lab-fit", quiet=True)


def test_repetitions_and_dissimilarities_are_taken_too(lab: Lab) -> None:
    stimuli: StimulusSet = given(lab).stimuli
    responses = given(lab).responses
    assert responses is not None
    twice = make_responses(np.stack([responses.values + 1, responses.values - 1]), stimuli.ids)
    from isocortex.loading.own_data import dataset_of

    found = dataset_of(twice.rename("twice"), stimuli)
    assert found.responses is not None
    assert found.responses.sizes["presentation"] == 80
    pairs = isocortex.load_dataset("LabPairs").rdm
    assert dataset_of(pairs, stimuli).kind == "rdm"
