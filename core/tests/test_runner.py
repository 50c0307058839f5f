"""A run is idempotent: what is finished is found, what failed is tried again, and nothing a plugin does ends it."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import numpy as np
import pytest

import isocortex
from isocortex.errors import SettingsError, StoreError, UsageError
from isocortex.progress import Reporter
from isocortex.results.result import Result, read_results
from isocortex.run.comparisons import Comparisons
from isocortex.run.plan import RunConfig, plan
from isocortex.run.runner import Runner
from tests.lab import CODE, N_STIMULI, Lab


def states(results: list[Result]) -> list[str]:
    """What became of each cell."""
    return ["cached" if result.cached else result.status for result in results]


def failure(lab: Lab) -> dict:
    """The only failure record."""
    (path,) = lab.records("failures/*.json")
    return json.loads(path.read_text())


# --- once and again ---------------------------------------------------------------------------------------------------


def test_a_cell_is_scored_once_and_found_again(lab: Lab) -> None:
    (first,) = lab.score("lab-net", "lab.fit")
    assert states([first]) == ["scored"]
    assert lab.seen("load", "run", "against", "score")
    (again,) = lab.score("lab-net", "lab.fit")
    assert states([again]) == ["cached"]
    assert lab.seen() == [], "neither model nor metric is touched"
    assert again.rows() == first.rows()
    assert again.provenance == first.provenance


@pytest.mark.parametrize(
    ("model", "benchmark"),
    [
        ("iso-lab::lab-net", "lab.fit"),
        ("lab-net", "iso-lab::lab.fit"),
        ("iso-lab::lab-n*t", "iso-lab::lab.fi*"),
        ("lab/net", "lab.fit"),
        ("iso-lab::lab/net", "lab.fit"),
        ("lab/n*", "lab.fit"),
    ],
)
def test_a_name_with_its_package_and_an_alias_find_the_same_result(lab: Lab, model: str, benchmark: str) -> None:
    (first,) = lab.score("lab-net", "lab.fit")
    (again,) = lab.score(model, benchmark)
    assert states([again]) == ["cached"]
    assert (again.digest, again.model) == (first.digest, "lab-net")
    assert len(lab.records("result.json")) == 1


def test_a_result_says_by_which_suite_it_was_asked_for(lab: Lab) -> None:
    (first,) = lab.score("lab-net", "lab.fit")
    found = lab.score("lab-net", "suite:lab-suite")
    assert states(found) == ["cached", "scored"]
    assert first.suites == []
    assert [result.suites for result in found] == [["lab-suite 2"]] * 2
    again = lab.score("lab-net", ["lab.fit", "lab.mean"])
    assert [result.suites for result in again] == [[], ["lab-suite 2"]], "as it was when it was computed"


def test_an_edit_of_the_plugin_or_of_a_file_of_it_is_scored_anew(lab: Lab) -> None:
    (first,) = lab.score("lab-net", "lab.fit")
    package = lab.site / "iso_lab"
    (package / "unused.py").write_text("x = 1\n")
    (package / "README.md").write_text("What it scores.\n")
    assert states(lab.score("lab-net", "lab.fit")) == ["cached"]
    (package / "table.csv").write_text("1\n")
    (second,) = lab.score("lab-net", "lab.fit")
    assert states([second]) == ["scored"]
    assert second.digest != first.digest


@pytest.mark.parametrize("change", [{"seed": 1}, {"layers": ("net.mean",)}], ids=["seed", "layers"])
def test_what_is_asked_in_another_way_has_a_place_of_its_own(lab: Lab, change: dict) -> None:
    lab.score("lab-net", "lab.fit")
    assert states(lab.score("lab-net", "lab.fit", **change)) == ["scored"]
    assert len(lab.records("result.json")) == 2
    assert states(lab.score("lab-net", "lab.fit")) == ["cached"]


def test_a_model_without_digest_is_computed_in_each_run(lab: Lab, own_folders: Path) -> None:
    for _ in range(2):
        assert states(lab.score("lab-unkept", "lab.fit")) == ["scored"]
        assert len(lab.seen("load")) == 1
    assert not list(own_folders.rglob("*.npy"))
    assert not list(own_folders.rglob("uncached-*"))


@pytest.mark.parametrize("damage", ["half", "empty", "status", "format", "foreign", "no scores"])
def test_a_result_that_is_not_whole_or_of_another_computation_is_computed_again(lab: Lab, damage: str) -> None:
    (first,) = lab.score("lab-net", "lab.fit")
    (path,) = lab.records("result.json")
    text = path.read_text()
    record = json.loads(text)
    damaged = {
        "half": text[: len(text) // 2],
        "empty": "",
        "status": json.dumps({**record, "status": "failed"}),
        "format": json.dumps({**record, "format": 99}),
        "foreign": json.dumps({**record, "digest": "0" * 64}),
        "no scores": text,
    }
    path.write_text(damaged[damage])
    if damage == "no scores":
        path.with_name("scores.nc").unlink()
    (again,) = lab.score("lab-net", "lab.fit")
    assert states([again]) == ["scored"]
    assert again.rows() == first.rows()
    assert json.loads(path.read_text())["digest"] == first.digest
    assert states(lab.score("lab-net", "lab.fit")) == ["cached"]


def test_the_first_result_is_on_disk_before_the_second_model_is_loaded(lab: Lab) -> None:
    lab.score(["lab-net", "lab-second"], "lab.fit")
    loads = lab.seen("load")
    assert [(name, len(found)) for _, name, found in loads] == [("lab-net@fixed", 0), ("lab-second@fixed", 1)]
    (there,) = loads[1][2]
    assert there.with_name("scores.nc").exists()


def test_all_benchmarks_of_a_model_are_on_disk_before_the_next_model_is_loaded(lab: Lab) -> None:
    lab.score(["lab-net", "lab-second"], ["lab.fit", "lab.mean"])
    assert [(name, len(found)) for _, name, found in lab.seen("load")] == [
        ("lab-net@fixed", 0),
        ("lab-net@fixed", 1),
        ("lab-second@fixed", 2),
        ("lab-second@fixed", 3),
    ]


def test_benchmarks_that_share_stimuli_and_reduction_share_one_extraction(lab: Lab) -> None:
    results = lab.score(["lab-net", "lab-second"], ["lab.fit", "lab.mean", "lab.again"])
    loads = [name for _, name, _ in lab.seen("load")]
    assert loads == ["lab-net@fixed"] * 2 + ["lab-second@fixed"] * 2, "once for each reduction"
    assert [(result.model, result.benchmark) for result in results] == [
        ("lab-net", "lab.fit"),
        ("lab-net", "lab.again"),
        ("lab-net", "lab.mean"),
        ("lab-second", "lab.fit"),
        ("lab-second", "lab.again"),
        ("lab-second", "lab.mean"),
    ]


def test_the_brain_side_is_prepared_once_for_models_of_one_benchmark(lab: Lab) -> None:
    lab.score(["lab-net", "lab-second", "lab-net@random:1"], "lab.again", seed=4)
    assert lab.seen("against") == [("against", {"shift": 1}, 4)]


def test_the_brain_side_is_prepared_once_for_all_models_of_all_benchmarks(lab: Lab) -> None:
    models = ["lab-net", "lab-second", "lab-net@random:1", "lab-double"]
    results = lab.score(models, ["lab.fit", "lab.again", "lab.mean"])
    assert states(results) == ["scored"] * 12
    assert len(lab.seen("against")) == 3


def test_where_comparisons_do_not_fit_all_models_run_on_those_that_do(lab: Lab) -> None:
    resolver, config = lab.resolver(), RunConfig()
    cells = plan(resolver, ["lab-net", "lab-second", "lab-double"], ["lab.fit", "lab.again", "lab.mean"], config)
    runner = Runner(resolver, config, Reporter(quiet=True))
    runner.comparisons = Comparisons(most=0)
    results = runner.run(cells)
    assert states(results) == ["scored"] * 9
    assert [(result.model, result.benchmark) for result in results] == [(c.model, c.benchmark) for c in cells.cells]
    assert [entry[0] for entry in lab.seen("against", "score")] == (["against"] + ["score"] * 6) * 3
    assert "lab.fit" not in runner.comparisons, "after the run nothing is kept"


def test_a_model_without_digest_is_extracted_once_for_several_benchmarks(lab: Lab, own_folders: Path) -> None:
    results = lab.score(["lab-unkept", "lab-net"], ["lab.fit", "lab.again", "lab.mean"])
    assert states(results) == ["scored"] * 6
    loads = [name for _, name, _ in lab.seen("load")]
    assert loads.count("lab-unkept@fixed") == 2, "once for each reduction"
    assert not list(own_folders.rglob("uncached-*"))
    assert not list(own_folders.rglob("None"))


def test_models_without_digest_never_share_a_place(lab: Lab) -> None:
    def model(sign: float):
        lock = threading.Lock()  # it cannot be read, so that there is no digest

        def mean(images: np.ndarray) -> np.ndarray:
            with lock:
                return sign * images.mean(axis=(1, 2))

        return isocortex.wrap(mean, modality="image", name="mine")

    (first,) = lab.score(model(1.0), "lab.fit")
    (again,) = lab.score(model(1.0), "lab.fit")
    (second,) = lab.score(model(-1.0), "lab.fit")
    assert first.digest == again.digest != second.digest
    assert first.digests["model"] is None
    assert first.digests["activations of model"] != second.digests["activations of model"]
    assert len(lab.records("result.json")) == 2
    assert first.summary is not None
    assert second.summary is not None
    assert first.summary.value == pytest.approx(-second.summary.value)


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "benchmark", "kind", "words"),
    [
        ("fault-load", "lab.fit", "ZeroDivisionError", "ZeroDivisionError: the tape is torn"),
        ("fault-run", "lab.fit", "ZeroDivisionError", "the tape is torn"),
        ("fault-exit", "lab.fit", "SystemExit", "no licence"),
        ("fault-absent", "lab.fit", "PluginError", "has no 'Absent'"),
        ("lab-net", "fault.torn", "ZeroDivisionError", "the tape is torn"),
        ("lab-net", "fault.against", "ZeroDivisionError", "the brain is torn"),
        ("lab-net", "fault.score", "ZeroDivisionError", "the brain is torn"),
        ("lab-net", "fault.odd", "DataError", "takes responses, but the data set holds rdm"),
    ],
)
def test_what_a_plugin_raises_is_a_record_and_the_run_goes_on(
    lab: Lab, model: str, benchmark: str, kind: str, words: str
) -> None:
    results = lab.score([model, "lab-second"], [benchmark, "lab.again"], offline=True)
    by_cell = {(result.model, result.benchmark): result.status for result in results}
    assert by_cell["lab-second", "lab.again"] == "scored"
    assert by_cell[model, benchmark] == "failed"
    (path,) = (Path("results") / benchmark / f"{model}@fixed" / "failures").iterdir()
    record = Result.model_validate_json(path.read_bytes())
    assert record.failure is not None
    assert record.failure.kind == kind
    assert words in record.failure.message
    ours = kind in ("PluginError", "DataError")
    assert (record.failure.traceback is None) == ours, "only what nobody expected has a traceback"


def test_what_a_person_stops_is_no_failure_and_what_was_finished_stays(lab: Lab) -> None:
    with pytest.raises(KeyboardInterrupt):
        lab.score(["lab-net", "fault-stop", "lab-second"], "lab.fit")
    assert lab.records("failures/*.json") == []
    assert [path.parent.parent.name for path in lab.records("result.json")] == ["lab-net@fixed"]
    assert states(lab.score("lab-net", "lab.fit")) == ["cached"]


def test_a_failed_cell_is_tried_again_and_its_record_goes_with_success(lab: Lab) -> None:
    for _ in range(2):
        assert states(lab.score("fault-load", "lab.fit")) == ["failed"]
        assert len(lab.seen("load")) == 1, "a failure is not believed"
    assert failure(lab)["failure"]["kind"] == "ZeroDivisionError"
    manifest = lab.site / "iso_lab" / "isocortex.toml"
    manifest.write_text(manifest.read_text().replace('options = { load = "tape" }', ""))
    assert states(lab.score("fault-load", "lab.fit")) == ["scored"]
    assert lab.records("failures/*.json") == []


def test_a_record_beside_a_finished_result_goes_when_the_result_is_found(lab: Lab) -> None:
    lab.score("lab-net", "lab.fit")
    (place,) = lab.records("result.json")
    (cell,) = plan(lab.resolver(), ["lab-net"], ["lab.fit"], RunConfig()).cells
    record = place.parent.parent / "failures" / f"{cell.id}.json"
    record.parent.mkdir()
    record.write_text("{}")
    assert states(lab.score("lab-net", "lab.fit")) == ["cached"]
    assert lab.records("failures/*.json") == []


def test_the_success_of_one_seed_leaves_the_failure_of_another(lab: Lab, monkeypatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("isocortex.run.runner.CellWork.score", lambda *_: 1 / 0)
        assert states(lab.score("lab-net", "lab.fit", seed=1)) == ["failed"]
    (older,) = lab.records("failures/*.json")
    whole = older.read_bytes()
    assert states(lab.score("lab-net", "lab.fit", seed=0)) == ["scored"]
    assert older.read_bytes() == whole
    assert [result.status for result in read_results(lab.folder / "results")] == ["failed", "scored"]
    assert states(lab.score("lab-net", "lab.fit", seed=1)) == ["scored"]
    assert not older.exists()


def test_a_failure_of_an_older_version_is_read_and_goes_with_the_success_of_its_seed(lab: Lab, monkeypatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("isocortex.run.runner.failure_path", lambda folder, _: folder / "failure.json")
        lab.score("fault-load", "lab.fit", seed=1)
    (older,) = lab.records("failure.json")
    (found,) = read_results(lab.folder / "results")
    assert (found.status, found.model, found.seed) == ("failed", "fault-load", 1)
    manifest = lab.site / "iso_lab" / "isocortex.toml"
    manifest.write_text(manifest.read_text().replace('options = { load = "tape" }', ""))
    assert states(lab.score("fault-load", "lab.fit", seed=0)) == ["scored"]
    assert older.exists()
    assert states(lab.score("fault-load", "lab.fit", seed=1)) == ["scored"]
    assert not older.exists()


def test_a_failure_says_where_it_was_raised(lab: Lab) -> None:
    lab.score("fault-run", "lab.fit")
    assert "in go_wrong" in failure(lab)["failure"]["traceback"]
    assert failure(lab)["digest"] == ""


def test_a_metric_of_rdms_is_scored_without_neuroids(lab: Lab) -> None:
    manifest, code = lab.site / "iso_lab" / "isocortex.toml", lab.site / "iso_lab" / "__init__.py"
    manifest.write_text(manifest.read_text().replace('accepts = ["responses"]', 'accepts = ["rdm"]'))
    whole = """
class Whole(Comparison):
    n_stimuli = 40
    def score(self, activations):
        return xr.Dataset({"r": activations.shape[1] / 100})
"""
    code.write_text(
        code.read_text()
        .replace("return Fitted(target.responses, settings, preparation)", "return Whole(preparation)")
        .replace("\n\nclass Fit(", f"{whole}\n\nclass Fit(")
    )
    (result,) = lab.score("lab-net", "pairs.fit")
    assert result.status == "scored", result.failure
    assert result.summary is not None
    assert (result.summary.value, result.summary.best_layer) == (0.18, "net.pixels")
    assert (result.summary.layer_rule, result.summary.n_neuroids_total) == ("optimistic", None)
    assert "splits" in result.digests
    assert result.digests["splits"] is None
    assert lab.score("lab-net", "pairs.fit")[0].cached


# --- before the first cell --------------------------------------------------------------------------------------------


def test_what_cannot_be_done_is_refused_before_the_first_cell(lab: Lab, monkeypatch) -> None:
    monkeypatch.setattr("isocortex.devices.accelerators", lambda: ())  # spares the import of torch
    with pytest.raises(
        SettingsError, match="--keep takes prediction, alpha, training_r2, mapping, fitted; found predictions"
    ):
        lab.score("lab-net", "lab.fit", keep=("alpha", "predictions"))
    with pytest.raises(UsageError, match="no device 'abacus'"):
        lab.score("lab-net", "lab.fit", device="abacus")
    (lab.folder / "results").write_text("a file")
    with pytest.raises(StoreError, match="results"):
        lab.score("lab-net", "lab.fit")
    assert lab.seen() == []


def test_each_cell_is_told_with_its_number_and_the_reason_of_a_failure(lab: Lab, capsys) -> None:
    resolver, config = lab.resolver(), RunConfig()
    cells = plan(resolver, ["lab-net", "fault-run"], ["lab.fit"], config)
    first, _ = Runner(resolver, config, Reporter()).run(cells)
    one, two = [line for line in capsys.readouterr().err.splitlines() if line.startswith("[")]
    assert first.summary is not None
    told = rf"\[1/2\] lab-net@fixed × lab.fit: scored, r = {first.summary.value:.3f}, [\d.]+ s; about [\d.]+ s left"
    assert re.fullmatch(told, one)
    assert two == "[2/2] fault-run@fixed × lab.fit: failed (ZeroDivisionError: the tape is torn)"


def test_another_version_of_the_model_is_another_result(lab: Lab) -> None:
    (first,) = lab.score("lab-net", "lab.fit")
    (lab.site / "iso_lab" / "__init__.py").write_text(CODE + "\n# edited\n")
    (second,) = lab.score("lab-net", "lab.fit")
    assert states([second]) == ["scored"]
    assert second.digest != first.digest


def test_a_baseline_without_digest_lasts_as_long_as_the_comparison_that_holds_it(lab: Lab, own_folders: Path) -> None:
    results = lab.score(["lab-net", "lab-second"], "lab.unkept", layers=("net.mean",))
    assert [result.status for result in results] == ["scored", "scored"]
    seen = lab.seen("against", "load", "score")
    assert [entry[0] for entry in seen].count("against") == 1
    assert [entry[1].partition("@")[0] for entry in seen if entry[0] == "load"].count("lab-unkept") == 1
    shapes = {"lab-unkept net.mean": (N_STIMULI, 2), "lab-unkept net.pixels": (N_STIMULI, 18)}
    assert [entry[2] for entry in seen if entry[0] == "score"] == [shapes, shapes]
    assert not list(own_folders.rglob("uncached-*"))
