"""The README and the tutorial: their names are those of rows, and their Python runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from isocortex.catalogue.rows import Catalogue
from isocortex.loading.resolver import split_model_name
from plugins.majajhong2015.tests import plain_script as plain
from plugins.majajhong2015.tests.conftest import Listed
from plugins.majajhong2015.tests.published_layouts import write_majajhong
from tests.command_line import run_in_process

ROOT = Path(__file__).parents[3]
README = ROOT / "plugins" / "majajhong2015" / "README.md"
TUTORIAL = ROOT / "docs" / "tutorials" / "macaque-it.md"
COMMAND = re.compile(r"isocortex (?:score|fetch)(?:\\\n|[^\n`])*")


@pytest.mark.parametrize("page", [README, TUTORIAL], ids=lambda page: page.stem)
def test_models_and_benchmarks_of_commands_are_rows(page: Path) -> None:
    catalogue = Catalogue.discover()
    commands = COMMAND.findall(page.read_text(encoding="utf-8"))
    assert commands
    for kind, option in (("model", "-m"), ("benchmark", "-b")):
        names = [name for command in commands for name in re.findall(rf" {option} (\S+)", command)]
        for name in names:
            if not name.startswith("activations:"):
                catalogue.find(kind, split_model_name(name)[0])


def test_the_tutorial_names_thirty_known_networks() -> None:
    long = next(command for command in COMMAND.findall(TUTORIAL.read_text(encoding="utf-8")) if "vgg11" in command)
    named = re.findall(r" -m (\S+)", long)
    known = [name for name in named if "@" not in name and name not in ("pixels", "category")]
    assert len(known) == len(set(known)) == 30
    assert {"pixels", "category", "alexnet@random:0..4"} <= set(named), "controls stand beside them"


def test_the_python_of_the_readme_predicts_the_responses_by_themselves(
    tmp_path: Path, listed: Listed, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "published"
    write_majajhong(folder)
    listed(folder)
    run_in_process(("fetch", "-b", "MajajHong2015public.IT-pls", "--from", str(folder)), tmp_path, {})
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    capsys.readouterr()
    exec(compile(code, "README", "exec"), {})
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    (it_row, it_value), (v4_row, v4_value) = printed[:2], printed[2:]
    assert [it_row[0], v4_row[0]] == ["IT", "V4"]
    file = plain.read_assembly(folder / "assy_dicarlo_MajajHong2015_public.nc")
    order, _, objects = plain.pixels(folder)
    values = plain.averaged(file["data"][:, file["region"] == "IT", 0], file["image_id"], order)
    found = [float(number) for number in re.findall(r"-?\d+\.\d+", " ".join(it_row[1:]))]
    assert found == pytest.approx(values[0, [0, 1, -1]].tolist(), abs=1e-6)
    assert float(it_value[1]) == pytest.approx(plain.pls_scores(values, values, objects, 12).mean(), abs=1e-8)
    assert float(v4_value[1]) > 0.999
