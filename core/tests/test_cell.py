"""One cell: its digest, what it refuses, its baselines, and the result that it gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

import isocortex
from isocortex.activations.folder import ActivationFolder
from isocortex.activations.layer import Activations
from isocortex.errors import DataError, ModalityError, UnknownIDError, UsageError
from isocortex.files.disk import cache_folder
from isocortex.interfaces import Comparison, MetricPlugin
from isocortex.progress import Reporter, Stopwatch
from isocortex.results.result import Result
from isocortex.results.tables import print_table
from isocortex.run.cell import CellWork
from isocortex.run.plan import Cell, RunConfig, plan
from isocortex.run.runner import Runner
from tests.lab import N_STIMULI, Lab


def planned(lab: Lab, model: str = "lab-net", benchmark: str = "lab.fit") -> Cell:
    """The one cell of a pair."""
    (cell,) = plan(lab.resolver(), [model], [benchmark], RunConfig()).cells
    return cell


def work(lab: Lab, cell: Cell, **config: object) -> CellWork:
    """The cell on its way."""
    return CellWork(
        cell, Stopwatch(), resolver=lab.resolver(), config=RunConfig(**config), reporter=Reporter(quiet=True)
    )


def scored(lab: Lab, model: str, benchmark: str, **config: object) -> Result:
    """The result of one pair, which must be scored."""
    (result,) = lab.score(model, benchmark, **config)
    assert result.status == "scored", result.failure
    return result


# --- digests ----------------------------------------------------------------------------------------------------------


def test_the_digest_is_of_contents_and_of_all_that_was_asked(lab: Lab) -> None:
    cell = planned(lab)
    plain = work(lab, cell).digest
    assert work(lab, cell).digest == plain
    others = [
        work(lab, dataclasses.replace(cell, seed=1)),
        work(lab, dataclasses.replace(cell, layers=("net.mean",))),
        work(lab, dataclasses.replace(cell, variant="random:1")),
        work(lab, planned(lab, "lab-second")),
        work(lab, planned(lab, benchmark="lab.again")),
        work(lab, planned(lab, benchmark="lab.added")),
    ]
    assert len({plain, *(other.digest for other in others)}) == 7
    same = [work(lab, cell, out="elsewhere"), work(lab, cell, batch_size=3), work(lab, cell, offline=True)]
    same += [work(lab, cell, keep=("alpha",))]
    assert {other.digest for other in same} == {plain}, "where and how fast it runs, and what is kept, is no part of it"


def test_title_notes_and_published_scores_of_a_benchmark_are_no_part_of_the_digest(lab: Lab) -> None:
    cell, manifest = planned(lab), lab.site / "iso_lab" / "isocortex.toml"
    plain = work(lab, cell).digests["benchmark"]
    text = manifest.read_text()
    shown = text.replace('published = "published.csv"', 'title = "T"\nnotes = "N"\nlicence = "CC0"')
    assert shown != text
    manifest.write_text(shown)
    assert work(lab, cell).digests["benchmark"] == plain
    manifest.write_text(text.replace('published = "published.csv"', "version = 2"))
    assert work(lab, cell).digests["benchmark"] != plain


def test_a_cell_without_the_digest_of_model_or_metric_is_not_kept(lab: Lab, monkeypatch) -> None:
    assert work(lab, planned(lab)).cacheable
    assert not work(lab, planned(lab, "lab-unkept")).cacheable
    monkeypatch.setattr(MetricPlugin, "digest", lambda _: None)
    assert not work(lab, planned(lab)).cacheable


# --- what does not fit ------------------------------------------------------------------------------------------------


def test_a_named_model_for_sounds_on_images_is_refused_and_left_out_by_a_glob(lab: Lab) -> None:
    with pytest.raises(ModalityError, match=r"'lab-ear' takes audio.*'lab.fit' are image.*--where modality=image"):
        lab.score("lab-ear", "lab.fit")
    with pytest.raises(ModalityError, match="lab-ear"):
        lab.score(["lab-net", "lab-ear"], "lab.fit")
    assert lab.seen() == []
    results = lab.score("lab-[en]*", "lab.fit")
    assert {result.model for result in results} == {"lab-net"}


def test_a_metric_that_does_not_take_the_kind_of_data_is_refused(lab: Lab) -> None:
    with pytest.raises(UsageError, match=r"The metric 'lab-fit' takes responses, but 'LabPairs' holds rdm"):
        lab.score("lab-net", "pairs.fit")
    with pytest.raises(DataError, match="holds rdm"):
        work(lab, planned(lab, benchmark="fault.odd"))


def test_baselines_of_another_modality_or_unknown_are_refused(lab: Lab) -> None:
    with pytest.raises(ModalityError, match="'lab-ear' takes audio, but the stimuli are image"):
        work(lab, planned(lab, benchmark="lab.deaf"))
    manifest = lab.site / "iso_lab" / "isocortex.toml"
    manifest.write_text(manifest.read_text().replace('baselines = ["lab-ear"]', 'baselines = ["lab-eer"]'))
    with pytest.raises(UnknownIDError, match="Did you mean lab-ear"):
        work(lab, planned(lab, benchmark="lab.deaf"))


# --- what a cell gives ------------------------------------------------------------------------------------------------


def test_activations_of_every_layer_of_the_baselines_reach_the_metric(lab: Lab) -> None:
    result = scored(lab, "lab-net", "lab.added", layers=("net.mean",))
    ((_, layer, baselines),) = lab.seen("score")
    assert layer == "net.mean", "only the model's own layers are chosen by --layers"
    assert baselines == {
        "lab-second net.mean": (N_STIMULI, 2),
        "lab-second net.pixels": (N_STIMULI, 18),
        "lab-net@random:3 net.mean": (N_STIMULI, 2),
        "lab-net@random:3 net.pixels": (N_STIMULI, 18),
    }
    assert {"baseline lab-second", "baseline lab-net@random:3"} <= set(result.digests)


def test_the_next_benchmark_has_no_baselines_of_the_one_before(lab: Lab) -> None:
    lab.score("lab-net", ["lab.added", "lab.fit"], layers=("net.mean",))
    assert [len(baselines) for _, _, baselines in lab.seen("score")] == [4, 0]


def test_layers_are_chosen_by_pattern_and_a_wrong_one_names_the_closest(lab: Lab) -> None:
    assert scored(lab, "lab-net", "lab.fit").layers == ["net.mean", "net.pixels"]
    assert scored(lab, "lab-net", "lab.fit", layers=("net.*",)).layers == ["net.mean", "net.hidden", "net.pixels"]
    (result,) = lab.score("lab-net", "lab.fit", layers=("net.pixel",))
    assert result.failure is not None
    assert result.failure.kind == "LayerError"
    assert "Did you mean net.pixels?" in result.failure.message


def test_a_result_says_what_was_compared_and_with_what(lab: Lab) -> None:
    result = scored(lab, "lab-net@random:2", "lab.regions", seed=5)
    assert (result.model, result.variant, result.benchmark) == ("lab-net", "random:2", "lab.regions")
    assert (result.dataset, result.stimuli, result.metric) == ("Lab", "lab-images", "lab-fit")
    assert (result.reduction, result.seed, result.benchmark_version) == ("flatten", 5, 1)
    assert set(result.regions) == {"A", "B"}
    assert {"model", "dataset", "stimuli", "metric", "benchmark", "run", "splits"} == set(result.digests)
    assert all(result.digests.values())
    assert result.summary is not None
    assert (result.summary.n_stimuli, result.summary.n_neuroids_total) == (N_STIMULI, 4)
    assert (result.summary.statistic, result.summary.ceiling) == ("r", pytest.approx(0.9))
    assert result.provenance is not None
    assert {"data", "extract", "prepare", "score", "summarise"} == set(result.provenance.seconds)
    assert result.provenance.plugins == {
        "iso-lab::lab-net": "0.1.0",
        "iso-lab::lab-fit": "0.1.0",
        "iso-lab::lab.regions": "0.1.0",
        "iso-lab::Lab": "0.1.0",
    }


def test_the_value_is_what_the_metric_gives_on_what_the_model_gives(lab: Lab) -> None:
    result = scored(lab, "lab-net", "lab.fit", layers=("net.pixels",))
    import iso_lab  # type: ignore[import-not-found]

    level = iso_lab.IMAGES.mean(axis=(1, 2, 3))[20:]
    responses = lab.resolver().dataset("Lab").responses
    assert responses is not None
    each = [np.corrcoef(level, responses.values[20:, neuroid])[0, 1] for neuroid in range(4)]
    assert result.summary is not None
    assert result.summary.value == pytest.approx(np.median(each), abs=1e-6)
    assert abs(result.summary.value) > 0.5


def test_a_model_of_the_user_is_named_with_where_it_comes_from(lab: Lab) -> None:
    model = isocortex.wrap(lambda images: images.mean(axis=(1, 2)), modality="image", name="colours", digest="v1")
    result = scored(lab, model, "lab.fit")
    assert result.provenance is not None
    assert result.provenance.plugins["python::colours"] == ""
    assert result.layers == ["output"]


def test_the_version_of_torch_counts_where_a_metric_runs_elsewhere_than_on_the_cpu(lab: Lab, monkeypatch) -> None:
    found = {}
    for device in ("cpu", "cuda"):
        for version in ("2.8.0", "2.9.1"):
            monkeypatch.setattr("isocortex.run.cell.device_of", lambda *_, device=device, **__: device)
            monkeypatch.setattr("isocortex.run.cell.public_version", lambda _, version=version: version)
            found[device, version] = work(lab, planned(lab)).digest
    assert found["cpu", "2.8.0"] == found["cpu", "2.9.1"]
    assert len(set(found.values())) == 3


# --- warnings ---------------------------------------------------------------------------------------------------------


def test_a_result_keeps_what_was_said_of_stimuli_responses_activations_and_target(lab: Lab) -> None:
    cell_work = work(lab, planned(lab))
    stimuli = cell_work.dataset.stimuli
    stimuli.warnings = ("a stimulus is odd", "said twice")
    cell_work.dataset = dataclasses.replace(cell_work.dataset, warnings=("said twice", "a response is odd"))
    with cell_work._activations(cell_work.model, cell_work.variant) as layers:
        assert {layer.warnings for layer in layers.values()} == {()}
    folder = next(path.parent.parent for path in cache_folder().rglob("layer.json"))
    ActivationFolder.at(folder).warn("a layer is odd")
    runner = Runner(lab.resolver(), RunConfig(), Reporter(quiet=True))

    def prepared(of: CellWork, baselines: Mapping[str, Activations]) -> Comparison:
        comparison = runner.comparison(of, baselines)
        comparison.warnings = ["a target is odd"]
        return comparison

    result, _ = cell_work.score(prepared)
    assert result.warnings == [
        "a stimulus is odd",
        "said twice",
        "a response is odd",
        "a layer is odd",
        "a target is odd",
    ]


def test_warnings_are_said_once_and_shown_below_the_table(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    reporter, result = Reporter(), scored(lab, "lab-net", "lab.fit")
    odd = result.model_copy(update={"warnings": ["a stimulus is odd"]})
    for one in (odd, odd):
        reporter.warn(one.warnings)
    assert capsys.readouterr().err == "warning: a stimulus is odd\n"
    print_table([odd])
    assert "warning: a stimulus is odd (lab-net@fixed × lab.fit)" in capsys.readouterr().out
    assert all(row["warnings"] == ["a stimulus is odd"] for row in odd.rows())


def test_layers_of_equal_content_are_named(lab: Lab) -> None:
    def levels(images: np.ndarray) -> dict[str, np.ndarray]:
        mean, spread = (
            images.reshape(len(images), -1) @ weights for weights in np.random.default_rng(0).random((2, 18))
        )
        return {"a": mean, "b": spread, "c": mean, "d": spread}

    model = isocortex.wrap(levels, modality="image", layers=["a", "b", "c", "d"], name="levels")
    (result,) = lab.score(model, "lab.fit")
    assert result.status == "scored", result.failure
    assert result.summary is not None
    assert result.summary.n_layers_searched == 2
    assert result.warnings == [
        "levels@fixed × lab.fit: 2 layers hold the same values as an earlier one and counted once: c (as a), d (as b)."
    ]


def test_a_model_that_depends_on_its_batch_says_so_in_every_result(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    def levels(images: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), -1).astype(np.float64)
        return flat[:, :4] / flat.max()

    model = isocortex.wrap(levels, modality="image", name="levels", digest="one")
    alone = isocortex.wrap(
        lambda images: images.reshape(len(images), -1)[:, :4] / images.max(axis=(1, 2, 3))[:, None],
        modality="image",
        name="alone",
    )
    first, second = (lab.score(model, benchmark)[0] for benchmark in ("lab.fit", "lab.again"))
    (expected,) = lab.score(alone, "lab.fit")
    for result in (first, second):
        [said] = result.warnings
        assert said.startswith("levels@fixed gives other values in a batch than alone (layer output, up to ")
    assert first.summary is not None
    assert expected.summary is not None
    assert first.summary.value == pytest.approx(expected.summary.value, abs=1e-6)
    assert capsys.readouterr().err == "", "the run is quiet"


def test_a_model_that_depends_on_chance_is_a_failure_unless_it_says_so(lab: Lab) -> None:
    def levels(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1)[:, :4] + np.random.normal(size=(len(images), 4))

    (refused,) = lab.score(isocortex.wrap(levels, modality="image", name="levels"), "lab.fit")
    assert refused.failure is not None
    assert "levels@fixed gives other values when it runs on 's00' again" in refused.failure.message
    told = [isocortex.wrap(levels, modality="image", name=name, random=True) for name in ("levels", "again")]
    values = [lab.score(model, "lab.fit")[0].summary for model in told]
    assert values[0] is not None
    assert values[0] == values[1]
