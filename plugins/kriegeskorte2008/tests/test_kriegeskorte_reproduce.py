"""Brain against brain as model against brain: the paper's number on the real files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from isocortex_report.reproduce.shelf import recipe_of
from tests.command_line import run_in_process

MONKEY = "brain:Kriegeskorte2008.monkey-IT"


def test_the_monkey_predicts_man_in_the_recipe_as_any_brain_does() -> None:
    parts = [part for part in recipe_of("kriegeskorte2008").part if part.model.startswith("brain:")]
    assert [part.model for part in parts] == [MONKEY] * 2


def expected(rows: list[dict]) -> None:
    """The paper's number within its tolerance, and those that rsatoolbox gives on the same files."""
    values = {(row["part"], row["number"]): row for row in rows}
    published = values["Monkey IT against human IT", "r with the mean of the participants"]
    assert published["status"] == "within"
    assert published["ours"] == pytest.approx(0.4912, abs=5e-5)
    ranks = "Monkey IT against human IT, ranks"
    known = {
        "rho with the mean of the participants": 0.4389,
        "ceiling, lower": 0.3723,
        "ceiling, upper": 0.6657,
    }
    for name, value in known.items():
        assert values[ranks, name]["ours"] == pytest.approx(value, abs=5e-5)


def reproduced(realdata: Path, folder: Path, paper: str) -> dict:
    """What ``reproduce`` prints as JSON."""
    fetched = run_in_process(
        ("fetch", "-b", "Kriegeskorte2008.*", "--from", str(realdata / "kriegeskorte2008")), folder, {}
    )
    assert fetched.returncode == 0, fetched.stderr
    done = run_in_process(("reproduce", paper, "--offline", "--json"), folder, {})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_man_and_monkey_are_as_alike_as_the_paper_says(realdata: Path, tmp_path: Path) -> None:
    recipe = recipe_of("kriegeskorte2008")
    monkey = [one.model_dump(mode="json", exclude_none=True) for one in recipe.part if one.model == MONKEY]
    lines = ['title = "a part"', 'paper = "a"', 'source = "a"']
    for one in monkey:
        lines += [
            "[[part]]",
            *(f"{name} = {json.dumps(one[name])}" for name in ("title", "model", "benchmark")),
        ]
        for number in one["number"]:
            lines += ["[[part.number]]", *(f"{name} = {json.dumps(value)}" for name, value in number.items())]
    (tmp_path / "part.toml").write_text("\n".join(lines), encoding="utf-8")
    expected(reproduced(realdata, tmp_path, "part.toml")["rows"])


@pytest.mark.long
def test_the_whole_recipe_is_within_and_its_stand_in_says_what_it_is(realdata: Path, tmp_path: Path) -> None:
    found = reproduced(realdata, tmp_path, "kriegeskorte2008")
    assert found["ok"]
    expected(found["rows"])
    assert [row["part"] for row in found["rows"] if row["status"] == "stand-in"] == [
        "Stand-in: an untrained network, AlexNet"
    ]
    assert {row["status"] for row in found["rows"]} == {"within", "not judged", "stand-in", "absent"}


@pytest.mark.long
def test_people_predict_each_other_as_the_raw_averaged_bound_says(realdata: Path, tmp_path: Path) -> None:
    """Features of the other participants against the lower bound, which correlates their mean matrix with each."""
    source = ("--from", str(realdata / "kriegeskorte2008"))
    fetched = run_in_process(("fetch", "-b", "Kriegeskorte2008.*", *source), tmp_path, {})
    assert fetched.returncode == 0, fetched.stderr
    done = run_in_process(("ceiling", "Kriegeskorte2008.human-IT.rsa", "--pairs", "--json"), tmp_path, {})
    assert done.returncode == 0, done.stderr
    others, pairs = json.loads(done.stdout)["spread"]
    assert (others["n"], pairs["n"]) == (4, 12)
    assert others["mean"] == pytest.approx(0.3785637, abs=2e-6)
    assert pairs["median"] == pytest.approx(0.249, abs=5e-4)
