"""Brain against brain as model against brain: the features of the monkey, and the paper's number on the real files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from isocortex.errors import DataError, FilesError
from isocortex.interfaces import Variant
from isocortex_kriegeskorte2008.monkey_model import features_of, monkey_model
from isocortex_report.reproduce.shelf import recipe_of
from tests.command_line import run_in_process


def test_features_have_the_dissimilarities_that_they_were_made_of() -> None:
    patterns = np.random.default_rng(0).standard_normal((30, 80))
    measured = 1 - np.corrcoef(patterns)
    assert np.abs(1 - np.corrcoef(features_of(measured)) - measured).max() < 1e-12
    with pytest.raises(DataError, match="not 1 − correlation: an eigenvalue is"):
        features_of(np.array([[0.0, 2.0, 2.0], [2.0, 0.0, 2.0], [2.0, 2.0, 0.0]]))


def test_without_the_file_the_monkey_is_not_here() -> None:
    with pytest.raises(FilesError, match="isocortex-kriegeskorte2008"):
        monkey_model("monkey-IT").digest(Variant.parse("fixed"))


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
    monkey = [one.model_dump(mode="json", exclude_none=True) for one in recipe.part if one.model == "monkey-IT"]
    lines = ['title = "a part"', 'paper = "a"', 'source = "a"']
    for one in monkey:
        lines += [
            "[[part]]",
            *(f"{name} = {json.dumps(one[name])}" for name in ("title", "model", "object", "benchmark")),
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
