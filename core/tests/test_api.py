"""The Python calls behind the face: score, extract, results, compare."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

import isocortex
from isocortex import api
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import LayerError, ModalityError, SettingsError, StoreError, UnknownIDError, UsageError
from isocortex.interfaces import ModelPlugin
from isocortex.results import Result
from isocortex.run.plan import RunConfig
from tests.lab import N_STIMULI, Lab


def colours(name: str = "colours", *, sign: float = 1.0, digest: str | None = None) -> ModelPlugin:
    """A function of the user: the mean of each colour."""
    return isocortex.wrap(
        lambda images: sign * images.mean(axis=(1, 2), dtype=np.float32), modality="image", name=name, digest=digest
    )


# --- score ------------------------------------------------------------------------------------------------------------


def test_one_id_one_object_and_several_of_both(lab: Lab) -> None:
    model = colours(digest="v1")
    for models, expected in (
        ("lab-net", ["lab-net"]),
        (model, ["colours"]),
        (["lab-net@random:1", model, "lab-second"], ["lab-net", "colours", "lab-second"]),
        (("lab-net", "lab-net"), ["lab-net"]),
    ):
        results = isocortex.score(models, "lab.fit", quiet=True)
        assert [result.model for result in results] == expected
        assert {result.status for result in results} == {"scored"}
    assert [result.cached for result in isocortex.score([model, "lab-net"], ["lab.fit"], quiet=True)] == [True, True]


def test_an_object_comes_before_what_is_installed_under_its_name(lab: Lab) -> None:
    (result,) = isocortex.score(colours("lab-net"), "lab.fit", quiet=True)
    assert result.layers == ["output"]
    assert lab.seen("load") == []


def test_results_go_where_out_says(lab: Lab) -> None:
    config = RunConfig(out=Path("configured"), seed=2)
    isocortex.score("lab-net", "lab.fit", config=config, quiet=True)
    isocortex.score("lab-net", "lab.fit", config=config, out="given", quiet=True)
    isocortex.score("lab-net", "lab.fit", out=Path("plain"), quiet=True)
    for folder, seed in (("configured", 2), ("given", 2), ("plain", 0)):
        ((_, row),) = isocortex.results(folder).iterrows()
        (path,) = Path(folder).rglob("result.json")
        assert f'"seed": {seed}' in path.read_text()
        assert row["benchmark"] == "lab.fit"
    assert not Path("results").exists()


def test_quiet_writes_nothing_and_else_progress_goes_to_stderr(lab: Lab, capsys) -> None:
    (result,) = isocortex.score("lab-net", "lab.fit", quiet=True)
    assert capsys.readouterr() == ("", "")
    value = result.summary.value if result.summary else None
    isocortex.score("lab-net", "lab.fit")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"[1/1] lab-net@fixed × lab.fit: cached, r = {value:.3f}\n")


def test_a_failed_cell_is_a_result_and_an_unknown_name_is_raised(lab: Lab) -> None:
    bad = isocortex.wrap(lambda images: images / 0 * np.nan, modality="image", name="bad", digest="v1")
    with np.errstate(all="ignore"):
        first, second = isocortex.score([bad, "lab-net"], "lab.fit", quiet=True)
    assert (first.status, second.status) == ("failed", "scored")
    assert first.failure is not None
    assert first.failure.kind == "DataError"
    with pytest.raises(UnknownIDError, match="Did you mean lab-net"):
        isocortex.score(["lab-nett", colours()], "lab.fit", quiet=True)
    with pytest.raises(UsageError, match="No model was named"):
        isocortex.score([], "lab.fit", quiet=True)
    with pytest.raises(UsageError, match="No benchmark was named"):
        isocortex.score("lab-net", [], quiet=True)


def test_the_pairs_that_a_glob_left_out_are_handed_back(lab: Lab) -> None:
    from isocortex.progress import Reporter

    results, left_out = api.run("lab-[en]*", ["lab.fit", "heard.fit"], RunConfig(), Reporter(quiet=True))
    assert [(result.model, result.benchmark) for result in results] == [
        ("lab-ear", "heard.fit"),
        ("lab-net", "lab.fit"),
    ]
    assert left_out == ("lab-ear@fixed × lab.fit", "lab-net@fixed × heard.fit")


def test_two_objects_of_one_name_are_refused_and_one_object_twice_is_one(lab: Lab) -> None:
    pair = [colours("same", sign=1.0, digest="plus"), colours("same", sign=-1.0, digest="minus")]
    with pytest.raises(UsageError, match="Two models are called 'same'"):
        isocortex.score(pair, "lab.fit", quiet=True)
    assert len(isocortex.score([pair[0], pair[0]], "lab.fit", quiet=True)) == 1


# --- extract ----------------------------------------------------------------------------------------------------------


def images() -> np.ndarray:
    """What the models of the lab see."""
    import iso_lab  # type: ignore[import-not-found]

    return iso_lab.IMAGES.astype(np.float32)


@pytest.mark.parametrize("batch_size", [None, 1, 7, 32])
@pytest.mark.parametrize("model", ["lab-net", "lab-unkept"])
def test_extract_gives_what_the_model_gives_over_all_chunks(
    lab: Lab, own_folders: Path, model: str, batch_size: int | None
) -> None:
    found = isocortex.extract(model, "lab-images", config=RunConfig(batch_size=batch_size), quiet=True)
    assert list(found) == ["net.mean", "net.pixels"]
    ids = found["net.pixels"].stimulus_id
    assert ids == tuple(f"s{number:02d}" for number in range(N_STIMULI))
    assert np.array_equal(found["net.pixels"].array(ids), images().reshape(N_STIMULI, -1))
    assert np.allclose(found["net.mean"].array(ids), [[image.mean(), image.std()] for image in images()])
    assert bool(list(own_folders.rglob("*.npy"))) == (model == "lab-net"), "without digest nothing is kept"
    assert not list(own_folders.rglob("uncached-*"))


def test_extract_takes_a_reduction_layers_and_a_variant(lab: Lab) -> None:
    found = isocortex.extract(
        "lab-net@random:1", "lab-images", reduction="spatial-mean", layers=["net.p*", "net.hidden"], quiet=True
    )
    assert {name: layer.shape for name, layer in found.items()} == {"net.hidden": (40, 4), "net.pixels": (40, 3)}
    assert np.allclose(found["net.pixels"].array(found["net.pixels"].stimulus_id), images().mean(axis=(1, 2)))
    assert [name for _, name, _ in lab.seen("load")] == ["lab-net@random:1"]
    again = isocortex.extract(
        "lab-net@random:1", "lab-images", reduction="spatial-mean", layers=["net.p*", "net.hidden"], quiet=True
    )
    assert list(again) == list(found)
    assert lab.seen("load") == []


def test_extract_takes_a_model_and_stimuli_of_the_user(lab: Lab) -> None:
    stimuli = StimulusSet(
        "mine",
        "image",
        {
            name: Stimulus(name, "image", np.full((2, 2, 3), level, dtype=np.uint8))
            for name, level in zip("ab", (3, 9), strict=True)
        },
    )
    for digest in (None, "v1"):
        found = isocortex.extract(colours(digest=digest), stimuli, quiet=True)
        assert found["output"].array(["b", "a"]).tolist() == [[9, 9, 9], [3, 3, 3]]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        ({"model": "lab-nett"}, UnknownIDError, "Did you mean lab-net"),
        ({"stimuli": "lab-imagess"}, UnknownIDError, "Did you mean lab-images"),
        ({"model": "lab-net@permuted"}, UsageError, "offers fixed, random"),
        ({"model": "lab-ear"}, ModalityError, "'lab-ear' takes audio, but the stimuli are image"),
        ({"reduction": "spatial-men"}, SettingsError, "Did you mean spatial-mean"),
        ({"layers": ["net.pixel"]}, LayerError, "Did you mean net.pixels"),
    ],
)
def test_extract_raises_what_the_command_says(lab: Lab, call: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        isocortex.extract(**{"model": "lab-net", "stimuli": "lab-images", "quiet": True, **call})


# --- results ----------------------------------------------------------------------------------------------------------


def test_results_are_a_table_of_the_rows_of_each_result(lab: Lab) -> None:
    scored = isocortex.score(["lab-net", "fault-run"], ["lab.regions"], quiet=True)
    table = isocortex.results()
    rows = sorted((row for result in scored for row in result.rows()), key=lambda row: row["model"])
    assert table["model"].tolist() == [row["model"] for row in rows]
    assert table["value"].tolist()[1:] == [row["value"] for row in rows[1:]]
    assert table.equals(isocortex.results(reversed(scored)))
    assert isocortex.results(benchmarks="lab.*", models="lab-net@fixed", regions=["B"])["region"].tolist() == ["B"]
    assert isocortex.results(regions="A")["status"].tolist() == ["failed", "scored"], "what failed stays"
    assert "the tape is torn" in table["failure"].iloc[0]
    with pytest.raises(StoreError, match="no results folder nowhere"):
        isocortex.results("nowhere")


def test_every_public_name_can_be_called_when_all_rooms_have_been_imported(lab: Lab) -> None:
    for room in ("results", "data", "files", "activations", "scoring", "models", "extraction", "run", "loading"):
        importlib.import_module(f"isocortex.{room}")
    for name in isocortex.__all__:
        assert callable(getattr(isocortex, name)), name
    assert isocortex.results.Result is Result, "the room hands on what is public"
    lab.score("lab-net", "lab.fit", out=Path("elsewhere"))
    assert isocortex.results("elsewhere")["status"].tolist() == ["scored"]


def test_compare_takes_one_name_or_several_and_what_score_returned(lab: Lab) -> None:
    scored = isocortex.score(["lab-net", "lab-second@fixed", "lab-double"], ["lab.fit", "lab.again"], quiet=True)
    table = isocortex.compare(scored, benchmarks="lab.fit", models=["lab-net", "lab-second"])
    assert [set(pair) for pair in table[["model_a", "model_b"]].to_numpy()] == [{"lab-net@fixed", "lab-second@fixed"}]
    against = isocortex.compare("results", benchmarks=["lab.*"], against="lab-net")
    assert len(against) == 4
    assert set(against["benchmark"]) == {"lab.fit", "lab.again"}
    with pytest.raises(UsageError, match="lab-nett"):
        isocortex.compare(models="lab-nett")


def test_the_room_of_results_can_be_called(lab: Lab) -> None:
    lab.score("lab-net", "lab.fit")
    found = isocortex.results(lab.folder / "results")
    assert found["model"].tolist() == ["lab-net"]
    assert isocortex.results.Result is Result
