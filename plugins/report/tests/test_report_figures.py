"""Figures: the same bytes for the same numbers, harmless names, colours that can be told apart, honest refusals."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from isocortex.errors import UsageError
from isocortex.results import Result, read_results
from isocortex_report import plot
from isocortex_report.figures import KINDS, Figure, figures_of, style
from isocortex_report.figures.letters import alike_sets, letter_display
from plugins.report.tests.results_for_figures import HOSTILE, curve, failed, result, summary, write

ROOT = Path(__file__).parents[3]


def one(results: list[Result], kind: str = "ranking", folder: Path | None = None) -> Figure:
    (figure,) = figures_of(results, folder, [kind])
    return figure


def some() -> list[Result]:
    deep = summary(0.62, 3, **curve([0.2, 0.5, 0.62, 0.4]))
    shallow = summary(0.41, 4, **curve([0.41, 0.3, 0.1]))
    return [
        result("net-a", summary=deep), result("other", summary=shallow), result("category", 0.3, "fixed"),
        *(result("net-a", 0.1 + 0.01 * seed, f"random:{seed}") for seed in range(3)), failed("broken"),
    ]  # fmt: skip


# --- bytes ------------------------------------------------------------------------------------------------------------

MAKE = """
import hashlib, sys
from pathlib import Path
from isocortex.results import read_results
from isocortex_report.figures import figures_of
for figure in figures_of(read_results(Path(sys.argv[1])), Path(sys.argv[1]), ["ranking"]):
    for ending in (".svg", ".pdf", ".png"):
        for path in figure.save(Path(sys.argv[2]) / (figure.name + ending)):
            print(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
"""


def test_the_same_results_give_the_same_bytes_in_two_processes(tmp_path: Path) -> None:
    folder = write(tmp_path / "results", some())
    outputs = [
        subprocess.run(
            [sys.executable, "-c", MAKE, folder, tmp_path / name], env={**os.environ, "PYTHONHASHSEED": name},
            capture_output=True, text=True, check=True,
        ).stdout
        for name in ("1", "2")
    ]  # fmt: skip
    assert len(outputs[0].splitlines()) == 6
    assert outputs[0] == outputs[1]
    made = (tmp_path / "1" / "ranking-made.ridge-all-r-participant.pdf").read_bytes()
    assert b"/FontFile2" in made, "TrueType fonts are embedded"
    assert b"CreationDate" not in made
    assert b"/Type3" not in made


def test_settings_of_the_user_change_nothing_and_are_kept() -> None:
    import matplotlib as mpl

    before = one(some()).svg()
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "black", "text.parse_math": True, "font.family": "serif"}):
        assert one(some()).svg() == before
        assert mpl.rcParams["font.size"] == 20


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_the_sidecar_has_the_numbers_of_show_json(tmp_path: Path, isocortex) -> None:
    write(tmp_path / "results", some())
    shown = isocortex("show", "results", "--json")
    rows = {(row["model"], row["variant"]): row for row in json.loads(shown.stdout) if row["status"] == "scored"}
    assert isocortex("figure", "ranking", "results", "-o", "figures/r.svg").returncode == 0
    listed = list(csv.DictReader((tmp_path / "figures" / "r.csv").open()))
    assert [row["mark"] for row in listed] == ["model"] * 4 + ["failed"]
    for row in listed[:3]:
        known = rows[row["model"], row["variant"]]
        for name in ("value", "interval_low", "interval_high", "ceiling"):
            assert float(row[name]) == known[name]
    seeds = [rows["net-a", f"random:{seed}"]["value"] for seed in range(3)]
    assert listed[3]["variant"] == "random:0..2"
    assert float(listed[3]["value"]) == pytest.approx(np.mean(seeds), abs=1e-15)
    assert [float(listed[3][name]) for name in ("range_low", "range_high")] == [min(seeds), max(seeds)]
    assert listed[3]["interval_low"] == "", "a range over seeds is no interval"
    assert listed[4]["value"] == "", "a failed cell is not 0"
    assert isocortex("figure", "layers", "results", "-o", "figures/l.svg").returncode == 0
    curves = list(csv.DictReader((tmp_path / "figures" / "l.csv").open()))
    for row in curves:
        layers = {layer["name"]: layer for layer in rows[row["model"], row["variant"]]["layers"]}
        assert float(row["value"]) == layers[row["layer"]]["value"]
        assert float(row["read_out"]) == layers[row["layer"]]["read_out"]
    assert [float(row["depth"]) for row in curves if row["model"] == "other"] == [0.0, 0.5, 1.0]


def test_dots_are_where_the_numbers_are() -> None:
    figure = one(some())
    ax = figure.draw()
    marks = {line.get_gid(): line for line in ax.lines if line.get_gid()}
    for place, row in figure.frame[figure.frame["mark"] == "model"].iterrows():
        assert marks[f"row-{place}"].get_xdata()[0] == row["value"]
    order = [text.get_text() for text in ax.get_yticklabels()]
    assert order == ["net-a", "other", "category", "net-a@random:0..2", "broken"]
    assert "failed: no value" in [text.get_text() for text in ax.texts]


def test_layer_rules_have_marks_of_their_own_and_labels_are_hollow() -> None:
    results = [
        result("a", summary=summary(0.5, layer_rule="nested by region", n_layers_searched=3)), result("b", 0.4),
        result("c", summary=summary(0.3, layer_rule="optimistic", n_layers_searched=9)), result("category", 0.2),
    ]  # fmt: skip
    figure = one(results)
    assert figure.frame["form"].tolist() == ["nested", "single", "optimistic", "single"]
    marks = [line for line in figure.draw().lines if line.get_gid()]
    assert [line.get_marker() for line in marks] == ["o", "s", "^", "s"]
    assert marks[3].get_markerfacecolor() == "white"
    assert "triangle: layer chosen on the tested stimuli: too high" in figure.note


def test_statistics_and_targets_are_never_mixed() -> None:
    results = [result("a"), result("b", summary=summary(0.9, statistic="r2")), result("c", summary=summary(0.1, target="pooled"))]  # noqa: E501  # fmt: skip
    figures = list(figures_of(results, None, ["ranking"]))
    assert [figure.frame["model"].tolist() for figure in figures] == [["a"], ["b"], ["c"]]
    assert len({figure.name for figure in figures}) == 3
    mixed = pd.concat([figure.frame for figure in figures[:2]], ignore_index=True)
    with pytest.raises(ValueError, match="one statistic and target"):
        plot.ranking(mixed)


def test_a_ceiling_is_one_band_only_where_all_rows_share_it() -> None:
    band = [result("a", summary=summary(0.5, ceiling_lower=0.7, ceiling_upper=0.9)), result("b", summary=summary(0.4, ceiling_lower=0.7, ceiling_upper=0.9))]  # noqa: E501  # fmt: skip
    assert [(p.get_x(), p.get_x() + p.get_width()) for p in one(band).draw().patches] == [(0.7, pytest.approx(0.9))]
    own = [result("a", summary=summary(0.5, ceiling=0.7)), result("b", summary=summary(0.4, ceiling=0.9))]
    ax = one(own).draw()
    assert not ax.patches
    assert "| ceiling of the row" in [text.get_text() for text in ax.texts]


# --- letters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_letters_against_all_subsets(seed: int) -> None:
    stream = np.random.default_rng(seed)
    n_models = 2 + seed % 7
    upper = np.triu(stream.random((n_models, n_models)) < stream.uniform(0.1, 0.9), 1)
    different = upper | upper.T
    alike = [
        set(chosen)
        for size in range(1, n_models + 1)
        for chosen in combinations(range(n_models), size)
        if not different[np.ix_(chosen, chosen)].any()
    ]
    largest = {frozenset(one) for one in alike if not any(one < other for other in alike)}
    assert set(alike_sets(different)) == largest
    letters = letter_display(different)
    assert letters is not None
    for a, b in combinations(range(n_models), 2):
        assert bool(set(letters[a]) & set(letters[b])) == (not different[a, b])
    assert letters[0].startswith("a")


def test_letters_of_a_ranking_follow_its_tests(tmp_path: Path) -> None:
    from isocortex import compare

    results = [result(name, value) for name, value in (("a", 0.6), ("bb", 0.59), ("ccc", 0.3), ("dddd", 0.1))]
    figure = one(results)
    table = compare(results)
    letters = dict(zip(figure.frame["digest"], figure.frame["letters"], strict=True))
    assert len(table) == 6
    for pair in table.itertuples():
        assert bool(set(letters[pair.digest_a]) & set(letters[pair.digest_b])) == (pair.q > 0.05)
    assert "6 tests of pairs on 200 shared draws" in figure.note
    assert "smallest reachable q .010, .060 for one difference alone" in figure.note
    many = [result(f"net{n:02}", 0.3 + 0.01 * n) for n in range(13)]
    assert not one(many).frame["letters"].any(), "above twelve models there are no marks"


# --- names and colours ------------------------------------------------------------------------------------------------


def test_hostile_names_do_no_harm(tmp_path: Path) -> None:
    results = [
        result(name, 0.5 - 0.03 * n, summary=summary(0.5, **curve([0.3, 0.5]))) for n, name in enumerate(HOSTILE)
    ]
    results += [result(HOSTILE[0], benchmark=f"b{name}", regions={name: summary(0.2, 1)}) for name in HOSTILE[:3]]
    (tmp_path / "in").mkdir()
    for figure in figures_of(results, tmp_path, ["ranking", "layers"]):
        assert (tmp_path / "in" / f"{figure.name}.svg").resolve().parent == (tmp_path / "in").resolve()
        svg = figure.svg()
        tree = ElementTree.fromstring(svg)
        assert not [element for element in tree.iter() if element.tag.endswith(("script", "foreignObject", "image"))]
        assert not [name for element in tree.iter() for name in element.attrib if name.startswith("on")]
        identifiers = re.findall(r'<[^<>]*\sid="([^"]*)"', svg)
        assert len(identifiers) == len(set(identifiers))
        own = re.sub(r"[^A-Za-z0-9_-]", "-", figure.name)
        assert all(name.startswith(f"{own}-") for name in identifiers), "two figures on one page share no name"
        used = re.findall(r'<[^<>]*(?:href="#|url\(#)([^")]+)', svg)
        assert used
        assert set(used) <= set(identifiers)
        assert figure.svg(titled=True)
    ranked = next(figure for figure in figures_of(results, None, ["ranking"]) if len(figure.frame) == len(HOSTILE))
    texts = "".join(ElementTree.fromstring(ranked.svg()).itertext())
    for text in ("<script>alert(1)</script>", r"$\frac{a}{b}$ _x^2", 'quote" id="figure_1"', "&amp; %s {0} | a,b;c"):
        assert text in texts
    files = ranked.save(tmp_path / "in" / f"{ranked.name}.pdf")
    models = [row["model"] for row in csv.DictReader(files[1].open(newline=""))]
    assert sorted(models) == sorted([*(name for name in HOSTILE if name[0] != "="), f"'{HOSTILE[6]}"])


def test_one_model_has_one_colour_in_all_figures_and_seeds_are_grey() -> None:
    results = [*some(), *(result(f"{name}-1", benchmark="second.ridge") for name in ("zebra", "net", "alpha"))]
    colours: dict[str, set[str]] = {}
    for figure in figures_of(results, None, ["ranking", "layers"]):
        for row in figure.frame.to_dict("records"):
            colours.setdefault(row["label"].partition("@random")[::2], set()).add(row["colour"])
    assert all(len(found) == 1 for found in colours.values())
    grey = {colour for (_, seeds), found in colours.items() if seeds for colour in found}
    assert grey == {style.CONTROL}
    hues = [next(iter(colours[name, ""])) for name in ("net-a", "other", "zebra-1", "alpha-1")]
    assert len(set(hues)) == 4


def test_families_differ_in_luminance_or_dash_and_marks_stand_out() -> None:
    for first, second in combinations(style.HUES[:8], 2):
        apart = abs(style.luminance(first) - style.luminance(second))
        assert apart >= 8 or style.dash_of(first) != style.dash_of(second), (first, second)
    paper = style.luminance("#FFFFFF")
    assert all(paper - style.luminance(hue) > 20 for hue in (*style.HUES, style.CONTROL))
    assert paper - style.luminance(style.CEILING) > 4
    assert style.luminance(style.CEILING) - style.luminance(style.CONTROL) > 25


# --- the command ------------------------------------------------------------------------------------------------------


def test_ambiguous_choices_are_refused_with_the_list(tmp_path: Path, isocortex) -> None:
    results = [*some(), result("net-a", benchmark="second.ridge", regions={"V1": summary(0.2, 1)})]
    write(tmp_path / "results", results)
    done = isocortex("figure", "ranking", "results", "-o", "r.svg")
    assert done.returncode == 2
    assert "Which model predicts made.ridge best?" in done.stderr
    assert "Which model predicts second.ridge best?" in done.stderr
    assert not (tmp_path / "r.svg").exists()
    assert isocortex("figure", "ranking", "results", "-o", "r.svg", "-b", "second*", "--region", "V1").returncode == 0
    (row,) = csv.DictReader((tmp_path / "r.csv").open())
    assert (row["region"], float(row["value"])) == ("V1", 0.2)
    for arguments, said in (
        (("rankin", "results", "-o", "r.svg"), "Did you mean ranking?"),
        (("ranking", "results", "-o", "r.jpg"), "does not end in .svg, .pdf, .png"),
        (("layers", "results", "-o", "r.svg", "-b", "second*"), "It needs a model with several layers."),
        (("ranking", "results", "-o", "r.svg", "-m", "nobody"), "No result has the model 'nobody'"),
    ):
        done = isocortex("figure", *arguments)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_marks_against_one_reference(tmp_path: Path, isocortex) -> None:
    from isocortex import compare

    results = [result(name, value) for name, value in (("a", 0.6), ("bb", 0.59), ("ccc", 0.3), ("dddd", 0.1))]
    from isocortex_report.figures import Material

    (figure,) = KINDS["ranking"].figures(Material(results, None, (), (), "bb"))
    table = compare(results, against="bb")
    q = dict(zip(table["digest_a"], table["q"], strict=True))
    found = {row["digest"]: row["q"] for row in figure.frame.to_dict("records") if row["q"] == row["q"]}
    assert found == pytest.approx(q)
    assert not figure.frame["letters"].any()
    assert "differs from bb, q ≤ .05" in figure.note
    assert "3 tests of pairs" in figure.note


def test_unknown_kinds_are_refused_in_python() -> None:
    with pytest.raises(UsageError, match=r"No figure is called 'layer'\. Did you mean layers\?"):
        list(figures_of(some(), None, ["layer"]))


def test_the_table_can_be_read_back(tmp_path: Path) -> None:
    folder = write(tmp_path / "results", some())
    figure = one(read_results(folder), folder=folder)
    back = pd.read_csv(io.StringIO(figure.csv()), keep_default_na=False, na_values={"value": ""})
    assert back["value"].tolist()[:4] == figure.frame["value"].tolist()[:4]
