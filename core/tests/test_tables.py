"""Tables of results: they fit the terminal, cut nothing, rank nothing that is not comparable, and harm nobody."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from isocortex.errors import UsageError
from isocortex.results.long_table import print_long
from isocortex.results.records import cell_folder, record_path, write_record
from isocortex.results.result import Failure, Result
from isocortex.results.selection import Selection
from isocortex.results.sheets import Order
from isocortex.results.tables import print_csv, print_json, print_latex, print_markdown, print_table
from isocortex.results.terminal import width_of
from isocortex.scoring.summary import Summary
from tests.lab import Lab, Typed

Shown = Callable[..., list[str]]
HOSTILE = (
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "x" * 300,
    "עברית-من-اليمين",
    "two\nlines\tand a tab",
    "=HYPERLINK(1)",
    "a|b*c_d`e[f](http://g)",
    r"\input{/etc/passwd}$%&#^~",
    "[0pt] 視覚野",
    "@someone -- \x1b[2J",
)


def part(value: float | None, **fields: Any) -> Summary:
    known: dict[str, Any] = {
        "statistic": "r",
        "target": "participant",
        "layer_rule": "single layer",
        "n_layers_searched": 1,
        "best_layer": "pool",
        "n_stimuli": 165,
        "n_subjects": 8,
        "n_neuroids": 40,
        "n_neuroids_total": 120,
        "resampled": "stimuli",
        "ceiling": 0.8,
        "ceiling_estimator": "repetitions",
    }
    if value is not None:
        known |= {"interval_low": value - 0.1, "interval_high": value + 0.1}
    return Summary(value=value, **{**known, **fields})


def scored(model: str, value: float | None = 0.5, *, variant: str = "fixed", **fields: Any) -> Result:
    known: dict[str, Any] = {
        "benchmark": "bench",
        "benchmark_version": 1,
        "dataset": "data",
        "stimuli": "sounds",
        "metric": "ridge",
        "digest": f"{model}{variant}{fields.get('benchmark')}{fields.get('seed')}",
        "digests": {"dataset": "d", "stimuli": "s", "metric": "m", "benchmark": "b"},
        "summary": part(value),
    }
    return Result(status="scored", model=model, variant=variant, **{**known, **fields})


def failed(model: str, message: str = "no sound", **fields: Any) -> Result:
    return scored(model, **fields).model_copy(
        update={"status": "failed", "summary": None, "failure": Failure(kind="DataError", message=message)}
    )


def with_regions(model: str, values: dict[str, float], **fields: Any) -> Result:
    return scored(model, regions={name: part(value) for name, value in values.items()}, **fields)


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shown:
    """The lines of a table that is so many columns wide."""

    def show(results: Sequence[Result], *arguments: Any, columns: int = 80) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(columns))
        capsys.readouterr()
        print_table(results, *arguments)
        return capsys.readouterr().out.splitlines()

    return show


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the terminal is that tests are started from."""
    monkeypatch.setenv("COLUMNS", "80")


def letters(text: str) -> str:
    """A text without what folding changes."""
    return re.sub(r"\s", "", text)


# --- width ------------------------------------------------------------------------------------------------------------

HOSTILE_RESULTS = [
    *(with_regions(name, {other: 0.1 * place for place, other in enumerate(HOSTILE)}) for name in HOSTILE),
    failed("net " + HOSTILE[2], f"{HOSTILE[0]} is torn, at {'y' * 200}"),
    scored("warned", warnings=[f"{HOSTILE[4]} was dropped: {'z' * 100}."]),
]


@pytest.mark.parametrize("columns", [80, 100, 160])
def test_no_line_is_wider_than_the_terminal_and_no_name_is_cut(shown: Shown, columns: int) -> None:
    lines = shown(HOSTILE_RESULTS, Selection(regions=("*",)), columns=columns)
    assert max(map(width_of, lines)) <= columns
    assert not any(letter in line for line in lines for letter in "\x1b\t")
    head = next(place for place, line in enumerate(lines) if line.lstrip().startswith("all "))
    width = lines[head].index("all ") - 2
    names: list[str] = []
    for line in lines[head + 1 :]:
        if line[: width + 2].strip() and not line.startswith("  "):
            names.append("")
        if names:
            names[-1] += line[:width].strip()
    for name in ("x" * 300, "<script>alert(1)</script>", "two\\nlines\\tand a tab", "net " + "x" * 300):
        assert letters(name) in [letters(found) for found in names]


def test_a_pipe_is_80_columns_wide_and_a_narrow_terminal_too(
    shown: Shown, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = [with_regions("net", {f"area{place}": 0.1 for place in range(6)})]
    narrow = shown(results, columns=40)
    monkeypatch.delenv("COLUMNS")
    print_table(results)
    assert capsys.readouterr().out.splitlines() == narrow
    assert 40 < max(map(len, narrow)) <= 80
    assert max(map(len, shown(results, columns=120))) > 80


def test_regions_that_have_no_place_are_named_and_shown_when_they_are_asked_for(shown: Shown) -> None:
    results = [with_regions(f"net{n}", {f"area{place}": 0.1 for place in range(40)}) for n in range(3)]
    lines = shown(results)
    (place,) = [place for place, line in enumerate(lines) if "more regions" in line]
    seen = {name for line in lines[:place] for name in re.findall(r"\barea\d+", line)}
    assert lines[place].startswith(f"{40 - len(seen)} more regions, with --region NAME or --long: area{len(seen)}")
    everything = "\n".join(shown(results, Selection(regions=("area*",))))
    assert all(re.search(rf"\barea{place}\b", everything) for place in range(40))
    assert "more regions" not in everything


def test_intervals_stand_below_their_values_where_that_saves_lines(shown: Shown) -> None:
    results = [with_regions("network-number-one", {"V1": -0.1, "V4": 0.2, "IT": 0.3, "PIT": 0.05})]
    beside, below = shown(results, columns=120), shown(results, columns=80)
    assert next(line for line in beside if line.startswith("network")).count("]") == 5
    value, interval = below[2], below[3]
    assert re.findall(r"-?\.\d{3}", value) == [".500", "-.100", ".200", ".300", ".050"]
    assert interval.split("]")[:2] == [" " * 20 + "[.40, .60", "  [-.20, .00"]
    assert [found.end() for found in re.finditer(r"\.\d{3}", value)] == [
        found.end() for found in re.finditer(r"\]", interval)
    ]


# --- what is said -----------------------------------------------------------------------------------------------------


def test_values_are_those_of_json(shown: Shown, capsys: pytest.CaptureFixture[str]) -> None:
    values = {"a": (0.12345, -0.0006), "b": (-0.5, 0.99951), "c": (0.0004, 0.25)}
    results = [with_regions(name, {"IT": two}, summary=part(one)) for name, (one, two) in values.items()]
    print_json(results)
    rows = json.loads(capsys.readouterr().out)
    lines = shown(results, columns=100)
    for row in rows:
        (line,) = [line for line in lines if line.startswith(row["model"] + " ")]
        cells = re.findall(r"(-?\d*\.\d{3}) +\[(-?\d*\.\d\d), +(-?\d*\.\d\d)\]", line)
        found = cells[0 if row["region"] is None else 1]
        assert [float(text) for text in found] == [
            round(row["value"], 3), round(row["interval_low"], 2), round(row["interval_high"], 2)
        ]  # fmt: skip


def test_statistics_and_targets_are_never_in_one_table(shown: Shown) -> None:
    results = [
        scored("a", 0.9),
        scored("b", summary=part(0.8, statistic="rho")),
        scored("c", summary=part(0.7, target="pooled")),
        scored("d", benchmark="other"),
    ]
    titles = [line for line in shown(results) if "165 stimuli" in line]
    assert [title.partition(", 165")[0] for title in titles] == [
        "bench  r, participant",
        "bench  rho, participant",
        "bench  r, pooled",
        "other  r, participant",
    ]


def test_an_error_is_ranked_with_the_smallest_first(shown: Shown) -> None:
    results = [
        scored(name, summary=part(value, statistic="mse", better="lower", ceiling=None))
        for name, value in (("bad", 3.0), ("best", 0.5), ("none", None))
    ]
    lines = shown(results)
    assert "mse (smaller is better), participant" in lines[1]
    assert [line.split()[0] for line in lines if line.startswith(("bad", "best", "none"))] == ["best", "bad", "none"]
    assert [line.split()[0] for line in shown([scored("low", 0.1), scored("high", 0.2)])[2:4]] == ["high", "low"]


def test_seeds_of_a_control_are_one_row_with_a_range(shown: Shown) -> None:
    results = [scored("net", value, variant=f"random:{seed}") for seed, value in enumerate((0.1, 0.3, 0.2))]
    lines = shown([*results, scored("net", 0.9, variant="pretrained")])
    assert lines[2].split() == ["net", ".900", "[.80,", "1.00]"]
    assert lines[3].split() == ["net@random:0..2", ".200", "(.10,", ".30)"]
    assert "( ) mean and range over 3 seeds, no interval" in " ".join(lines)
    assert "n.s." not in "".join(lines)


def test_cells_that_failed_and_cells_that_were_not_run_have_no_value(shown: Shown) -> None:
    results = [
        with_regions("a", {"IT": 0.3}),
        with_regions("b", {"V4": 0.2}),
        failed("c"),
        scored("d", benchmark="other"),
        *(scored("e", benchmark="other", variant=f"random:{seed}") for seed in range(3)),
        scored("elsewhere", benchmark="pictures", stimuli="images"),
    ]
    lines = shown(results)
    table = {line.split()[0]: line.split()[1:] for line in lines[2:7]}
    assert table["a"][-1] == "–"
    assert table["b"][3] == "–"
    assert table["c"] == ["failed", "–", "–"]
    assert table["d"] == table["e@random:0..2"] == ["–", "–", "–"]
    assert not any(line.startswith("elsewhere") for line in lines[:7]), "it takes other stimuli"
    assert "failed: c@fixed × bench: no sound" in lines


def test_what_has_no_value_is_told_once(shown: Shown) -> None:
    """A line without values stands in the first block alone, and of many that were not run there is a note."""
    results = [with_regions("a", {f"area{place}": 0.1 for place in range(8)}), failed("torn")]
    lines = shown([*results, scored("apart", benchmark="other")])
    own = lines[: lines.index("")]
    assert [sum(line.startswith(name) for line in own) for name in ("a ", "torn ", "apart ")] == [3, 1, 1]
    many = shown([*results, *(scored(f"apart{n}", benchmark="other") for n in range(6))])
    assert not any(line.startswith("apart") and "–" in line for line in many)
    assert "– 6 models of the same stimuli were not run: apart0, apart1, apart2, apart3" in " ".join(many)


def test_what_is_the_same_for_all_is_said_once(shown: Shown) -> None:
    lines = shown([with_regions("a", {"IT": 0.3}), with_regions("b", {"IT": 0.2})])
    assert lines[0] == "bench  r, participant, 165 stimuli, 8 participants"
    assert lines[4].split() == ["ceiling", ".800", ".800"]
    assert lines[5].split() == ["neuroids", "40", "of", "120", "40"]
    assert " ".join(lines[6:]) == "[ ] 95 % interval over stimuli; ceiling: repetitions"


def test_what_is_not_the_same_for_all_is_told(shown: Shown) -> None:
    other = {"dataset": "d2", "stimuli": "s", "metric": "m", "benchmark": "b"}
    lines = shown(
        [
            with_regions("a", {"IT": 0.3}),
            scored("b", summary=part(0.2, n_stimuli=160, ceiling=0.7), regions={"IT": part(0.1)}, digests=other),
        ]
    )
    assert lines[0].startswith("bench  r, participant, 160 to 165 stimuli")
    assert lines[4].split() == ["ceiling", "~", ".800"]
    said = " ".join(lines)
    assert "~ rows differ in their ceiling: see --long" in said
    assert "rows rest on different versions of the dataset: score them again" in said


def test_layers_are_shown_where_one_was_chosen_and_marked_where_that_was_on_the_test(shown: Shown) -> None:
    nested = {"layer_rule": "nested by region", "n_layers_searched": 9, "best_layer": "conv5"}
    lines = shown([scored("a", summary=part(0.4, **nested)), scored("b", 0.3)])
    assert [line.split()[-1] for line in lines[1:4]] == ["layer", "conv5", "pool"]
    assert "layer: nested by region, of 9" in " ".join(lines)
    marked = shown([scored("a", summary=part(0.4, **{**nested, "layer_rule": "optimistic"})), scored("b", 0.3)])
    assert marked[2].startswith("a † ")
    assert "† chosen on what it is judged on: too high" in " ".join(marked)
    assert "layer" not in shown([scored("b", 0.3)])[1]


def test_results_of_one_name_are_told_apart(shown: Shown) -> None:
    seeds = shown([scored("a", 0.4), scored("a", 0.3, seed=7)])
    assert "8 participants, seed 0 to 7, 40 of 120 neuroids" in seeds[1]
    assert [line.split("  ")[0] for line in seeds if line.startswith("a ")] == ["a [seed 0]", "a [seed 7]"]
    twice = [scored("a", 0.4, digest="f" * 64), scored("a", 0.3, digest="0" * 64)]
    assert [line.split("  ")[0] for line in shown(twice)[2:4]] == ["a [ffffffff]", "a [00000000]"]


def test_predictions_that_are_null_are_counted(shown: Shown) -> None:
    assert "null predictions: a 12" in " ".join(shown([scored("a", summary=part(0.0, n_null=12)), scored("b")]))


def test_small_and_large_numbers_have_the_decimals_that_they_need(shown: Shown) -> None:
    small = shown([scored("a", summary=part(0.00123, ceiling=None)), scored("b", summary=part(0.0004, ceiling=None))])
    assert [line.split()[1] for line in small[2:4]] == [".00123", ".00040"]
    large = shown([scored("a", summary=part(12345.6, ceiling=None))])
    assert large[2].split()[1:] == ["12346", "[12346,", "12346]"]


# --- order ------------------------------------------------------------------------------------------------------------


def test_models_are_sorted_and_grouped_as_asked(shown: Shown) -> None:
    results = [with_regions(name, {"IT": it}, summary=part(value)) for name, value, it in
               (("a", 0.1, 0.5), ("b", 0.3, 0.2), ("c", 0.2, 0.9), ("own", 0.6, 0.1))]  # fmt: skip
    fields = {"a": {"year": 2012, "family": "x"}, "b": {"year": 2020, "family": "y"}, "c": {"year": 2016}}

    def first(**order: Any) -> list[str]:
        return [line.split("  ")[0] for line in shown(results, None, Order(fields=fields, **order))[2:] if line][:-3]

    assert first() == ["own", "b", "c", "a"]
    assert first(sort="model") == ["a", "b", "c", "own"]
    assert first(sort="IT") == ["c", "a", "b", "own"]
    assert first(sort="year") == ["a", "c", "b", "own"]
    assert first(by="family") == [
        "family x:", "a", "family y:", "b", "without family:", "c", "family not known, no card is installed:", "own"
    ]  # fmt: skip


def write(folder: Path, results: Sequence[Result]) -> None:
    for result in results:
        path = record_path(cell_folder(folder, result.benchmark, result.model, result.variant), result.digest)
        path.parent.mkdir(parents=True)
        write_record(path, result)


def test_the_command_chooses_sorts_and_groups(lab: Lab, typed: Typed) -> None:
    results = [with_regions("lab-net", {"IT": 0.3}), scored("lab-second", 0.7), scored("mine", 0.6, benchmark="last")]
    write(Path("results"), results)
    lines = typed("show").out.splitlines()
    assert [line.split("  ")[0] for line in lines[2:5]] == ["lab-second", "lab-net", "mine"]
    assert "last" not in typed("show", "-b", "bench").out
    assert typed("show", "-m", "mine").out.startswith("last  r")
    assert typed("show", "--region", "IT").out.splitlines()[1].split() == ["IT"]
    assert "depth shallow:" in typed("show", "--by", "depth").out.splitlines()
    assert "depth not known, no card is installed:" in typed("show", "--by", "depth").out.splitlines()
    assert [row["region"] for row in json.loads(typed("show", "--json", "--region", "IT").out)] == ["IT"]
    assert typed("show", "--csv", "--region", "IT").out.count("\n") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-m", "lab-nett"), "No result has the model 'lab-nett'. Did you mean lab-net"),
        (("-b", "bnch"), "No result has the benchmark 'bnch'. Did you mean bench"),
        (("--region", "V9"), "No result has the region 'V9'. There are all, IT"),
        (("--json", "--region", "V9"), "No result has the region 'V9'"),
        (("--csv", "--region", "V9"), "No result has the region 'V9'"),
        (("--long", "--region", "V9"), "No result has the region 'V9'"),
        (("-m", "mine", "-b", "bench"), "No result is of these models and of these benchmarks"),
        (("--by", "dpth"), "No card of these models has the field 'dpth'. Did you mean depth"),
        (("--sort", "vlue"), "Models cannot be sorted by 'vlue'. Did you mean value"),
        (("--json", "--latex"), "--json and --latex were asked for at once"),
        (("--long", "--by", "depth"), "--by and --sort order the models of the table"),
    ],
)
def test_what_cannot_be_shown_is_refused(lab: Lab, typed: Typed, arguments: tuple[str, ...], words: str) -> None:
    write(Path("results"), [with_regions("lab-net", {"IT": 0.3}), scored("mine", 0.6, benchmark="last")])
    done = typed("show", *arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_names_with_brackets_are_found_as_they_are(shown: Shown) -> None:
    with pytest.raises(UsageError):
        shown([with_regions("a", {"layer[0]": 0.1})], Selection(regions=("layer[1]",)))
    assert shown([with_regions("a", {"layer[0]": 0.1})], Selection(regions=("layer[0]",)))[1].split() == ["layer[0]"]


# --- for programs and papers ------------------------------------------------------------------------------------------


def test_csv_is_read_back_as_it_was_and_holds_no_formula(capsys: pytest.CaptureFixture[str]) -> None:
    results = [with_regions(name, {name: 0.25}) for name in HOSTILE]
    print_csv(results)
    text = capsys.readouterr().out
    rows = list(csv.reader(io.StringIO(text)))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert not any(re.match(r"\s*[=+@]|\s*-(?![\d.])|\t|\r", cell) for row in rows for cell in row)
    assert "\x1b" not in text
    frame = pd.read_csv(io.StringIO(text))
    assert frame["model"].tolist()[::2][:3] == list(HOSTILE[:3])
    assert "'=HYPERLINK(1)" in frame["region"].tolist()
    assert frame["value"].tolist() == [0.5, 0.25] * len(HOSTILE)


def test_markdown_holds_nothing_but_its_own_marks(capsys: pytest.CaptureFixture[str]) -> None:
    print_markdown(HOSTILE_RESULTS)
    said = capsys.readouterr()
    rows = [line for line in said.out.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {len(HOSTILE) + 3}
    assert not re.search(r"<|(?<!\\)[`*_](?!\*)(?<!\*\*)|(?<!\\)\]\(|[^\\]://", said.out.replace("**", ""))
    assert "&lt;script&gt;" in said.out
    assert "failed: net x" in said.err


def test_latex_escapes_what_latex_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    print_latex(HOSTILE_RESULTS)
    text = capsys.readouterr().out
    assert r"\textbackslash{}input\{/etc/passwd\}\$\%\&\#\textasciicircum{}\textasciitilde{}" in text
    assert "U+05E2" in text
    assert not re.search(r"^\s*[\[*]", text, re.MULTILINE), "behind a line's end it would be an argument"
    inside = re.sub(r"\\[\\{}]", "", text)
    assert inside.count("{") == inside.count("}")


@pytest.mark.long
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not here")
def test_latex_compiles(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    print_latex(HOSTILE_RESULTS)
    head = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n"
    (tmp_path / "page.tex").write_text(f"{head}{capsys.readouterr().out}\\end{{document}}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_the_long_form_is_a_row_for_each_region(capsys: pytest.CaptureFixture[str]) -> None:
    nested = {"layer_rule": "nested by region", "n_layers_searched": 9, "best_layer": "conv5"}
    print_long([scored("a", summary=part(0.4, **nested), regions={"IT": part(0.3)}), failed("b")])
    text = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]
    assert [row[1:3] for row in rows if row[0]] == [["all", "0.400"], ["IT", "0.300"]]
    assert "failed: b@fixed × bench: no sound" in text
