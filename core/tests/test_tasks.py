"""A run as tasks: JSON that says all, done twice without doing the work twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from isocortex.errors import FilesError, UsageError
from isocortex.run.plan import Plan, RunConfig, plan
from isocortex.run.tasks import (
    Conditions,
    Extract,
    Score,
    extractions_of,
    read_tasks,
    run_task,
    task_from_json,
    tasks_of,
    write_tasks,
)
from tests.lab import Lab, Typed


def planned(lab: Lab, *models: str, config: RunConfig | None = None) -> Plan:
    """Models on two benchmarks of one extraction."""
    return plan(lab.resolver(), list(models), ["lab.fit", "lab.again"], config or RunConfig())


def test_a_task_names_all_that_it_needs_and_comes_back_as_it_was(lab: Lab) -> None:
    config = RunConfig(
        layers=("net.*",), device="cpu", batch_size=7, seed=3, keep=("alpha",), offline=True, out=Path("mine")
    )
    found = planned(lab, "lab-net@random:2", config=config)
    for task in (*tasks_of(found, config), *extractions_of(found, config)):
        assert task_from_json(json.loads(json.dumps(task.to_json()))) == task
    content = tasks_of(found, config)[0].to_json()
    assert content["cell"]["asked"] == {
        "model": "iso-lab::lab-net",
        "variant": "random:2",
        "benchmark": "iso-lab::lab.fit",
        "version": 1,
    }
    assert (content["cell"]["seed"], content["cell"]["layers"]) == (3, ("net.*",))
    assert content["how"] == {"device": "cpu", "batch_size": 7, "offline": True, "folder": str(lab.folder)}
    assert (content["out"], content["keep"]) == (str(lab.folder / "mine"), ("alpha",))


def test_a_task_that_is_done_twice_is_computed_once(lab: Lab, typed: Typed) -> None:
    (task, other) = tasks_of(planned(lab, "lab-net"), RunConfig())
    path = lab.folder / "task.json"
    path.write_text(json.dumps(task.to_json()))
    first = typed("run-task", path)
    assert first.code == 0, first.err
    assert lab.seen("load", "against")
    again = typed("run-task", path)
    assert (again.code, "cached" in again.err) == (0, True)
    assert lab.seen() == []
    assert [result.cached for result in lab.score("lab-net", "lab.fit")] == [True], "it is the result of score"
    write_tasks(path, [task, other])
    assert typed("run-task", path).code == 0
    assert len(lab.records("result.json")) == 2
    assert len(lab.seen("against")) == 1


def test_a_task_works_in_the_folder_in_which_it_was_written(lab: Lab, monkeypatch) -> None:
    (task, _) = tasks_of(planned(lab, "lab-net"), RunConfig())
    elsewhere = lab.folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    result = run_task(task)
    assert result is not None
    assert result.status == "scored"
    assert Path.cwd() == elsewhere
    assert list(elsewhere.iterdir()) == []
    assert len(lab.records("result.json")) == 1


def test_an_extraction_is_done_once_and_a_score_finds_it(lab: Lab) -> None:
    found = planned(lab, "lab-net")
    (task,) = extractions_of(found, RunConfig())
    for n_loads in (1, 0):
        assert run_task(task) is None
        assert len(lab.seen("load")) == n_loads
    run_task(tasks_of(found, RunConfig())[0])
    assert lab.seen("load") == []


def test_a_score_names_the_extraction_that_it_needs_and_one_is_shared(lab: Lab) -> None:
    config = RunConfig(layers=("net.*",), device="cpu", offline=True)
    found = planned(lab, "lab-net", "lab-net@random:2", config=config)
    scores = tasks_of(found, config)
    assert [task.needs for task in scores] == [task for task in extractions_of(found, config) for _ in range(2)]
    assert len({task.needs for task in scores}) == 2
    assert all(task.needs.group == task.group for task in scores)
    (task, other) = extractions_of(found, config)
    assert task.needs is other.needs is None


def test_an_extraction_that_fails_holds_up_no_other_task_of_its_file(lab: Lab, typed: Typed) -> None:
    found = planned(lab, "fault-run", "lab-net", "fault-load")
    path = lab.folder / "tasks.json"
    write_tasks(path, extractions_of(found, RunConfig()))
    done = typed("run-task", path)
    assert done.code == 1
    assert ("fault-run" in done.err, "fault-load" in done.err) == (True, True)
    assert "iso-lab::lab-net" not in done.err
    assert [name for _, name, *_ in lab.seen("load")] == ["fault-run@fixed", "lab-net@fixed", "fault-load@fixed"]
    run_task(tasks_of(planned(lab, "lab-net"), RunConfig())[0])
    assert lab.seen("load") == [], "it is kept"


def test_an_extraction_that_would_be_kept_nowhere_is_left_to_the_scores(lab: Lab, capsys) -> None:
    (task,) = extractions_of(planned(lab, "lab-unkept"), RunConfig())
    run_task(task)
    assert "iso-lab::lab-unkept@fixed on lab-images: not extracted: the model has no digest" in capsys.readouterr().err
    assert lab.seen("load") == []


def test_only_tasks_that_core_made_are_run() -> None:
    with pytest.raises(UsageError, match="Expected tasks that core made, found str"):
        run_task("task")  # type: ignore[arg-type]


def test_a_task_that_fails_leaves_a_record_and_ends_with_1(lab: Lab, typed: Typed) -> None:
    path = lab.folder / "task.json"
    write_tasks(path, tasks_of(planned(lab, "fault-run"), RunConfig()))
    assert typed("run-task", path).code == 1
    cells = {cell.id for cell in planned(lab, "fault-run").cells}
    assert {record.stem for record in lab.records("failures/*.json")} == cells


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "holds no JSON"),
        ("", "holds no JSON"),
        ("\xff", "holds no JSON"),
        ("3", "Expected a task"),
        ('{"task": "dance"}', "Expected a task"),
        ('{"task": ["score"], "format": 3}', "Expected a task"),
        ('{"task": "score", "format": 99}', "Expected a task of format 3, found 99"),
        ('{"task": "score", "format": 3}', "damaged"),
        ('{"task": "extract", "format": 3, "model": 3}', "damaged"),
    ],
)
def test_a_task_file_that_is_damaged_or_of_another_version_is_one_line(
    lab: Lab, typed: Typed, text: str, words: str
) -> None:
    path = lab.folder / "task.json"
    path.write_text(text, encoding="latin-1")
    done = typed("run-task", path)
    assert (done.code, done.out) == (1, "")
    assert len(done.err.splitlines()) == 1
    assert words in done.err
    assert str(path) in done.err
    absent = typed("run-task", lab.folder / "absent.json")
    assert (absent.code, len(absent.err.splitlines())) == (1, 1)


def test_a_field_too_many_and_a_folder_that_is_gone_are_refused(lab: Lab) -> None:
    (task, _) = tasks_of(planned(lab, "lab-net"), RunConfig())
    with pytest.raises(FilesError, match="damaged"):
        task_from_json({**task.to_json(), "more": 1})
    gone = Score(task.cell, Conditions(folder=str(lab.folder / "gone")), task.out)
    with pytest.raises(FilesError, match="gone of the task cannot be used"):
        run_task(gone)


def test_a_dry_run_shows_the_tasks_and_each_runs_by_itself(lab: Lab, typed: Typed) -> None:
    shown = json.loads(typed("score", "-m", "lab-net", "-b", "lab.fit", "--dry-run", "--json").out)
    assert [task["task"] for task in shown["tasks"]] == ["extract", "score"]
    path = lab.folder / "tasks.json"
    path.write_text(json.dumps(shown["tasks"]))
    assert [type(task) for task in read_tasks(path)] == [Extract, Score]
    assert typed("run-task", path).code == 0
    assert len(lab.records("result.json")) == 1


# --- cells by their ID ------------------------------------------------------------------------------------------------


def test_a_cell_is_named_by_what_was_asked_whatever_was_typed(lab: Lab) -> None:
    def name(model: str, benchmark: str = "lab.fit", **config: object) -> str:
        (cell,) = plan(lab.resolver(), [model], [benchmark], RunConfig(**config)).cells
        return cell.id

    plain = name("lab-net")
    assert plain == name("iso-lab::lab-net@fixed", "iso-lab::lab.fit") == name("lab-net", device="cpu", offline=True)
    others = [
        name("lab-net@random:1"),
        name("lab-second"),
        name("lab-net", "lab.again"),
        name("lab-net", seed=1),
        name("lab-net", layers=("net.mean",)),
    ]
    assert len({plain, *others}) == 6
    manifest = lab.site / "iso_lab" / "isocortex.toml"
    manifest.write_text(manifest.read_text().replace('published = "published.csv"', "version = 2"))
    assert name("lab-net") != plain


def test_one_cell_of_a_run_is_chosen_by_its_id(lab: Lab, typed: Typed) -> None:
    command = ("score", "-m", "lab-net", "-m", "lab-second", "-b", "lab.fit", "-b", "lab.again")
    cells = json.loads(typed(*command, "--dry-run", "--json").out)["cells"]
    assert len({cell["id"] for cell in cells}) == 4
    done = typed(*command, "--cell", cells[2]["id"], "--json")
    assert done.code == 0, done.err
    (row,) = json.loads(done.out)
    assert (row["model"], row["benchmark"]) == (cells[2]["model"], cells[2]["benchmark"])
    wrong = typed(*command, "--cell", "0123")
    assert (wrong.code, len(wrong.err.splitlines())) == (2, 1)
    assert "None of the 4 cells has the ID 0123" in wrong.err
