"""``isocortex reproduce``: recipes, what is within a tolerance, what could not be run, and the table."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

import isocortex as package
from isocortex.errors import UsageError
from isocortex_report.reproduce.recipe import read_recipe
from isocortex_report.reproduce.shelf import recipe_of, recipes

HEAD = 'title = "A table"\npaper = "Nobody 2020"\nsource = "its Table 1"\n'
BENCHMARK = "simulated-visual.orientation.rsa"


def part(model: str = "noise/3", title: str = "Noise", benchmark: str = BENCHMARK, **number: object) -> str:
    """A part with one number."""
    fields = "".join(f"{name} = {json.dumps(value)}\n" for name, value in {"name": "rho", **number}.items())
    return f'[[part]]\ntitle = "{title}"\nmodel = "{model}"\nbenchmark = "{benchmark}"\n[[part.number]]\n{fields}'


def written(folder: Path, *parts: str, name: str = "paper") -> Path:
    """A recipe of these parts."""
    path = folder / f"{name}.toml"
    path.write_text(HEAD + "\n".join(parts), encoding="utf-8")
    return path


# --- running ----------------------------------------------------------------------------------------------------------


def test_numbers_are_those_of_score_and_the_exit_code_says_whether_they_are_within(isocortex, tmp_path: Path) -> None:
    missing = "MajajHong2015.nx414-linear"
    first = part(read="value", published=0.0, tolerance=1.0)
    path = written(
        tmp_path,
        first,
        part(title="Files", model="pixels", benchmark=missing, published=0.5, tolerance=0.1),
        part(title="Package", model="no-such-model"),
        part(title="Same, not judged", published=0.3, why="another protocol"),
        '[[absent]]\ntitle = "Figure 9"\nwhy = "its responses were not published"\n',
    )
    done = isocortex("reproduce", str(path), "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    status = [(row["part"], row["status"]) for row in rows]
    assert status == [
        ("Noise", "within"),
        ("Files", "not run"),
        ("Package", "not run"),
        ("Same, not judged", "not judged"),
        ("Figure 9", "absent"),
    ]
    assert "IT_data.h5 of the course NX-414 is not in" in rows[1]["why"]
    assert rows[1]["ours"] is None
    scored = package.score("noise/3", BENCHMARK, out=tmp_path / "other", quiet=True)[0].summary
    assert scored is not None
    assert rows[0]["ours"] == scored.value
    assert rows[0]["deviation"] == scored.value
    assert rows[3]["deviation"] == pytest.approx(scored.value - 0.3, abs=1e-15)
    assert (rows[0]["low"], rows[0]["high"]) == (scored.interval_low, scored.interval_high)
    # the same folder, another published number: nothing is computed, and the exit code says that it is beyond
    beyond = written(tmp_path, part(published=scored.value + 0.02, tolerance=0.01))
    again = isocortex("reproduce", str(beyond), "--out", "reproduced/paper")
    assert again.returncode == 1
    assert "cached" in again.stderr
    assert "beyond ±0.01" in again.stdout
    assert "0 of 1 judged number within its tolerance." in again.stdout
    near = written(tmp_path, part(published=scored.value + 0.02, tolerance=0.03))
    assert isocortex("reproduce", str(near), "--out", "reproduced/paper").returncode == 0


def test_what_goes_wrong_is_no_missing_file_and_the_exit_code_is_one(isocortex, tmp_path: Path) -> None:
    path = written(tmp_path, part(read="also.no-such-measure"), part(model="cochleagram-cochcnn9", title="Sounds"))
    done = isocortex("reproduce", str(path), "--json")
    assert done.returncode == 1
    rows = json.loads(done.stdout)["rows"]
    assert [row["status"] for row in rows] == ["failed", "failed"]
    assert "the result has no measure 'no-such-measure'; it has" in rows[0]["why"]
    assert "takes audio" in rows[1]["why"]


def test_a_stand_in_and_a_difference_are_shown_and_never_judged(isocortex, tmp_path: Path) -> None:
    stand_in = part(model="noise/2", title="Stand-in", published=0.9).replace("model =", "stand_in = true\nmodel =")
    difference = (
        f'[[difference]]\ntitle = "Two noises"\nbenchmark = "{BENCHMARK}"\nmodel = "noise/3"\nagainst = "noise/2"\n'
    )
    lone = difference.replace('against = "noise/2"', 'against = "pixels"')
    path = written(tmp_path, part(), stand_in, difference, lone)
    done = isocortex("reproduce", str(path), "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["status"] for row in rows] == ["not judged", "stand-in", "not judged", "not run"]
    assert rows[2]["ours"] == pytest.approx(rows[0]["ours"] - rows[1]["ours"], abs=1e-12)
    assert rows[2]["low"] < rows[2]["ours"] < rows[2]["high"]
    table = package.compare(tmp_path / "reproduced" / "paper", benchmarks=BENCHMARK, against="noise/2")
    assert abs(table.iloc[0]["difference"]) == pytest.approx(abs(rows[2]["ours"]), abs=1e-15)
    assert rows[3]["why"] == "pixels could not be run"


def test_the_table_fits_eighty_columns_and_tells_everything(isocortex, tmp_path: Path) -> None:
    long = "A network whose title is much longer than any column could ever be, and goes on for a while"
    path = written(
        tmp_path, part(title=long, published=-1.2345, why="w" * 120), part(title="x" * 100, model="no-such-model")
    )
    done = isocortex("reproduce", str(path))
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    shown = "".join(done.stdout.split())
    assert "paperoursdeviationwhy" in shown
    assert "-1.2345" in shown
    assert "notjudged[1]" in shown
    assert "w" * 120 in shown
    assert "notrun[2]" in shown
    assert "noinstalledpackageoffersthemodel'no-such-model'" in shown.lower()


def test_a_mean_is_shown_once_all_of_its_models_could_be_run(isocortex, tmp_path: Path) -> None:
    def mean(title: str, n: int, *models: str) -> str:
        number = '[[mean.number]]\nname = "depth"\nread = "stage"\npublished = 0.5\ntolerance = 0.001\n'
        head = f'[[mean]]\ntitle = "{title}"\nbenchmark = "{BENCHMARK}"\nmodels = {json.dumps(models)}\n'
        return f"{head}n_published = {n}\n{number}"

    depths = [part(model=f"noise/{n}", title=f"{n}", read="stage") for n in (2, 3)]
    places = '[[part.number]]\nname = "place"\nread = "median_layer"\n'
    means = (mean("two", 2, "noise/2", "noise/3"), mean("three", 3, "noise/2", "noise/3"))
    path = written(tmp_path, *depths, places, *means)
    done = isocortex("reproduce", str(path), "--json")
    *both, place, two, three = json.loads(done.stdout)["rows"]
    both = [row["ours"] for row in both]
    [record] = (tmp_path / "reproduced" / "paper").glob("*/noise%2F3@*/*/result.json")
    depths_of = json.loads(record.read_text())["summary"]["stage"]["participants"].values()
    assert len(depths_of) == 4
    assert place["ours"] == pytest.approx(1 + 2 * float(np.median(list(depths_of))), abs=1e-12)  # of three layers
    assert two["ours"] == pytest.approx(sum(both) / 2, abs=1e-15)
    assert two["status"] == ("within" if abs(two["ours"] - 0.5) <= 0.001 else "beyond")
    assert done.returncode == (0 if two["status"] == "within" else 1)
    assert (three["status"], three["ours"]) == ("not run", None)
    assert three["why"] == "1 of 3 models are not here"


# --- recipes ----------------------------------------------------------------------------------------------------------


def test_every_recipe_of_the_packages_can_be_read_and_names_what_is_installed(isocortex) -> None:
    found, faults = recipes()
    assert faults == []
    assert "nx414" in found
    parts = [one for recipe in found.values() for one in recipe.part]
    names = {one.model.partition("@")[0] for one in parts if one.object is None}
    assert names <= set(package.load_cards("model", names))
    kinds = {(one.model.partition("@")[0], one.model.partition("@")[2].partition(":")[0]) for one in parts}
    cards = package.load_cards("model", names)
    assert all(kind in cards[name].variants for name, kind in kinds if kind and name in cards)
    benchmarks = {one.benchmark for one in parts} | {one.benchmark for r in found.values() for one in r.difference}
    assert benchmarks <= set(package.load_cards("benchmark", benchmarks))
    done = isocortex("reproduce", "--list")
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert all(name in done.stdout for name in found)
    assert set(json.loads(isocortex("reproduce", "--list", "--json").stdout)) == set(found)


def test_a_package_of_a_third_party_brings_recipes_and_nothing_of_it_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site" / "their_lab"
    (folder / "published" / "reproduce").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    written(folder / "published" / "reproduce", part(), name="theirs2020")
    written(folder / "published" / "reproduce", "[[part]]", name="broken2020")
    metadata = tmp_path / "site" / "their_lab-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: their-lab\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[isocortex]\ntheirs = their_lab\n")
    monkeypatch.syspath_prepend(os.fspath(tmp_path / "site"))
    assert recipe_of("theirs2020").package == "their-lab"
    _, faults = recipes()
    assert len(faults) == 1
    assert "broken2020.toml is no recipe: part.0.title: Field required" in faults[0]


def test_a_table_is_made_of_what_a_package_lists_as_published() -> None:
    """No number stands in two files: those of a figure are read out of the list of the benchmark."""
    recipe = recipe_of("tuckute2023")
    figure = [one for one in recipe.part if one.title.startswith("Figure 2, regression, NH2015: ")]
    numbers = {one.model: one.number[0] for one in figure}
    card = package.load_card("benchmark", "NH2015.tuckute2023")
    with (card.folder / card.published).open(newline="", encoding="utf-8") as file:
        listed = {row["model"]: float(row["value"]) for row in csv.DictReader(file) if "Fig. 2" in row["source"]}
    assert numbers["cochcnn9-word"].published == listed["CochCNN9-Word"] == 0.67
    assert numbers["cochcnn9-word@permuted:0"].published == listed["CochCNN9-Word (permuted weights)"] == 0.40
    assert numbers["cochcnn9-word"].tolerance == 0.02
    assert numbers["cochcnn9-word@permuted:0"].tolerance is None
    assert len(figure) == 13 + 12  # SpectroTemporal has no weights to shuffle
    [without] = [one for one in recipe.absent if one.title.startswith("Figure 2, regression, NH2015, ")]
    assert "VGGish" in without.why
    assert len(figure) + 2 * len(without.why.partition(":")[0].split(", ")) == len(listed)
    four = [one for one in recipe.part if one.title == "Figure 4: SpectroTemporal"]
    assert [(one.region, one.published) for one in four[0].number][-1] == ("music", 0.34)


def test_a_recipe_that_is_none_is_refused_with_its_fault(tmp_path: Path) -> None:
    for wrong, said in {
        part(tolerance=0.1): "a tolerance needs a published number",
        part(read="also"): "String should match pattern",
        part(publshed=0.1): "part.0.number.0.publshed: Extra inputs",
        part(published=1, tolerance=0.1).replace("model", "stand_in = true\nmodel", 1): "a stand-in has no tolerance",
        "[[part": "no recipe that can be read",
    }.items():
        with pytest.raises(UsageError, match=said):
            read_recipe(written(tmp_path, wrong))
    with pytest.raises(UsageError, match=r"has a recipe 'nx415'\. Did you mean nx414"):
        recipe_of("nx415")
    with pytest.raises(UsageError, match="no recipe that can be read"):
        recipe_of(str(tmp_path / "absent.toml"))


def test_a_recipe_without_trial_or_made_up_data_says_so(isocortex, tmp_path: Path) -> None:
    path = str(written(tmp_path, part()))
    for option in (("--trial",), ("--synthetic", "folder")):
        done = isocortex("reproduce", path, *option)
        assert done.returncode == 2
        assert f"leave {option[0]} away" in done.stderr
    assert isocortex("reproduce").returncode == 2
