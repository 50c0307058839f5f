"""What the page says and shows, without a browser: claims, gaps, comparisons, published numbers, files."""

from __future__ import annotations

import csv
import html
import io
import re
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isocortex
from isocortex.errors import UsageError
from isocortex.results import Result, rows_frame, seed_sets
from isocortex.scoring import Summary
from isocortex_report.figures import Material
from isocortex_report.page.claims import sentences_of
from isocortex_report.page.contents import Panel, number, panels_of
from isocortex_report.page.gaps import Grid, grid_of
from isocortex_report.page.inline_figures import cleaned
from isocortex_report.page.looks import looks_of
from isocortex_report.page.pairs import Comparisons, comparisons_of, pairs_of
from isocortex_report.page.published import published_of
from isocortex_report.page.stimulus_media import MOST_PIXELS, picture, sound
from isocortex_report.page.words import GLOSSARY, STATISTICS
from isocortex_report.page.writing import PAGE, write_report
from plugins.report.tests.results_for_figures import HOSTILE, failed, result, summary
from plugins.report.tests.results_for_pages import plain, scored, written


def put_together(results: list[Result]) -> tuple[list[Panel], Comparisons, Grid]:
    """What claims are made of."""
    _, panels = panels_of(results, looks_of(Material(results)))
    return panels, comparisons_of(results, Path("nowhere")), grid_of(results, panels)


def said(results: list[Result]) -> list[str]:
    """The three sentences without markup."""
    return [re.sub("<[^>]+>", "", str(text)) for text in sentences_of(*put_together(results))]


# --- claims -----------------------------------------------------------------------------------------------------------


def test_best_is_said_only_of_a_model_that_is_told_apart_from_all_others() -> None:
    clear = said([scored("vgg16", 0.7), scored("resnet50", 0.4), scored("noise", 0.0, "random:0")])
    assert "vgg16 predicts made.ridge best: r = .700" in clear[0].replace("\u00a0", " ")
    close = said([scored("vgg16", 0.7), scored("resnet50", 0.699), scored("noise", 0.0, "random:0")])
    assert "best" not in close[0]
    assert "vgg16 has the highest value" in close[0]
    assert "not told apart from resnet50" in close[0]
    assert "told apart from every control; noise@random:0 comes nearest" in close[1]


def test_without_draws_nothing_is_said_to_be_told_apart() -> None:
    found = said([result("vgg16", summary=plain(0.7)), result("resnet50", summary=plain(0.1))])
    assert "best" not in found[0]
    assert "was not tested" in found[0]
    assert "No control was scored" in found[1]


def test_a_control_above_the_models_is_named() -> None:
    found = said([scored("vgg16", 0.3), scored("noise", 0.6, "random:0")])
    assert "best" not in found[0]
    assert "Among the controls, noise@random:0 has a better value" in found[1]


def test_where_less_is_better_the_lowest_value_leads() -> None:
    less = {"better": "lower", "statistic": "accuracy_difference"}
    found = said([scored("vgg16", 0.7, row=less), scored("resnet50", 0.1, row=less)])
    assert "resnet50 predicts made.ridge best" in found[0]
    (panel,), _, _ = put_together([scored("vgg16", 0.7, row=less), scored("resnet50", 0.1, row=less)])
    assert [row.model for row in panel.rows] == ["resnet50", "vgg16"]


def test_one_model_alone_is_compared_with_nothing() -> None:
    found = said([scored("vgg16", 0.7)])
    assert "nothing else was scored there" in found[0]
    assert found[2] == "The only cell was scored."


@pytest.mark.parametrize("n_benchmarks", [2, 5])
def test_several_benchmarks_are_told_in_one_sentence(n_benchmarks: int) -> None:
    results = [
        one
        for place in range(n_benchmarks)
        for one in (
            scored("vgg16", 0.7 if place else 0.401, benchmark=f"b{place}.ridge"),
            scored("resnet50", 0.4, benchmark=f"b{place}.ridge"),
        )
    ]
    first = said(results)[0]
    assert "vgg16" in first
    if n_benchmarks == 2:
        assert "on b1.ridge vgg16 has the highest value" in first
        assert "not told apart from resnet50" in first
    else:
        assert f"vgg16 has the highest value on 5 of {n_benchmarks} rankings" in first
        assert "b0.ridge" not in first.partition("told apart")[2]


def test_names_in_sentences_are_escaped() -> None:
    panels, compared, grid = put_together([scored(HOSTILE[0], 0.7), scored("resnet50", 0.4)])
    assert "<script>" not in str(sentences_of(panels, compared, grid)[0])
    assert "&lt;script&gt;" in str(sentences_of(panels, compared, grid)[0])


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_every_value_is_that_of_the_rows_frame_to_the_last_digit() -> None:
    results = [scored("vgg16", 0.61234567), *(scored("net", 0.1 + seed / 7, f"random:{seed}") for seed in range(3))]
    frame = seed_sets(rows_frame(results), results).set_index(["model", "variant", "region"])
    (panel,), _, _ = put_together(results)
    for row in panel.rows:
        for region, score in {"all": row.score, **row.regions}.items():
            known = frame.loc[(row.model, row.variant, region)]
            ends = ("range_low", "range_high") if row.model == "net" else ("interval_low", "interval_high")
            assert score.value == known["value"]
            assert (score.low, score.high) == tuple(known[list(ends)])
            assert score.spread == ("range" if row.model == "net" else "interval")


def test_pairs_are_those_of_compare_whichever_way_they_are_asked() -> None:
    results = [scored("vgg16", 0.5), scored("resnet50", 0.48), scored("alexnet", 0.2)]
    (panel,), compared, _ = put_together(results)
    table = isocortex.compare(results)
    whole = table[table["region"].isna()].set_index(["model_a", "model_b"])
    pairs = pairs_of(panel, compared)
    assert len(pairs) == 3
    for pair in pairs:
        known = whole.loc[(pair.a.name, pair.b.name)]
        assert (pair.difference.value, pair.q) == (known["difference"], known["q"])
        turned = compared.pair(pair.b, pair.a)
        assert turned is not None
        assert turned.difference.value == -known["difference"]
        assert (turned.difference.low, turned.difference.high) == (-known["interval_high"], -known["interval_low"])


def test_of_the_seeds_of_a_control_the_largest_q_counts() -> None:
    seeds = [scored("net", value, f"random:{seed}") for seed, value in enumerate((0.1, 0.499))]
    results = [scored("vgg16", 0.5), *seeds]
    (panel,), compared, _ = put_together(results)
    table = isocortex.compare(results)
    own = table[table["region"].isna() & (table["model_a"] == "vgg16@pretrained")]
    pair = compared.pair(*panel.rows)
    assert pair is not None
    assert (pair.n_tests, pair.q) == (2, own["q"].max())
    assert not pair.told_apart


def test_a_control_of_which_one_seed_cannot_be_compared_is_not_told_apart() -> None:
    bare = result("net", variant="random:1", summary=plain(0.1))
    results = [scored("vgg16", 0.5), scored("net", 0.1, "random:0"), bare]
    (panel,), compared, _ = put_together(results)
    assert compared.pair(*panel.rows) is None
    assert "was not tested" in said(results)[1]


def test_where_no_pair_is_compared_the_reason_is_that_of_compare() -> None:
    results = [scored("vgg16", 0.5), scored("resnet50", 0.4)]
    results += [result(name, summary=plain(0.5), benchmark="bare.ridge") for name in ("vgg16", "resnet50")]
    compared = comparisons_of(results, Path("nowhere"))
    assert "draws are not in nowhere" in compared.why_none("bare.ridge")
    assert comparisons_of(results, Path("x"), 0).why_none("bare.ridge").startswith("2 pairs are too many")


def test_too_many_pairs_are_not_tested_and_that_is_said() -> None:
    results = [scored(f"net{place}", 0.3) for place in range(4)]
    assert comparisons_of(results, Path("x"), 18).table is not None  # three rows of six pairs
    wholes = comparisons_of(results, Path("x"), 6).table
    assert wholes is not None
    assert len(wholes) == 6
    refused = comparisons_of(results, Path("x"), 5)
    assert refused.table is None
    assert "6 pairs are too many" in refused.family


@pytest.mark.parametrize(
    ("value", "text"), [(0.12345, ".123"), (-0.0004, ".000"), (-0.5, "−.500"), (float("nan"), "–")]
)
def test_numbers_are_printed_as_papers_of_the_field_do(value: float, text: str) -> None:
    assert number(value) == text


# --- gaps -------------------------------------------------------------------------------------------------------------


def test_cells_without_a_score_are_counted_and_never_zero() -> None:
    results = [
        scored("vgg16", 0.5),
        scored("vgg16", 0.5, benchmark="other.rsa"),
        failed("alexnet"),
        *(scored("net", 0.1, f"random:{seed}") for seed in range(3)),
    ]
    _, _, grid = put_together(results)
    assert (grid.n_scored, grid.n_failed, grid.n_missing) == (3, 1, 2)
    assert grid.missing == {"other.rsa": ["net@random", "alexnet@pretrained"]}
    assert "3 were scored, 1 failed, and 2 were not run" in said(results)[2]


def test_seeds_that_differ_between_benchmarks_are_no_gap() -> None:
    results = [scored("net", 0.1, f"random:{seed}") for seed in range(3)]
    results += [scored("net", 0.1, f"random:{seed}", benchmark="other.rsa") for seed in range(2)]
    assert put_together(results)[2].n_missing == 0


# --- published --------------------------------------------------------------------------------------------------------


def test_published_numbers_stand_only_beside_their_own_statistic_and_procedure() -> None:
    def shown(benchmark: str, metric: str, statistic: str) -> Any:
        row = summary(0.6, statistic=statistic, target="pooled", n_subjects=None)
        one = result("spectrotemporal", summary=row, benchmark=benchmark, metric=metric, regions={"speech": row})
        (panel,), _, _ = put_together([one])
        return published_of(panel, rows_frame([one]))

    known = shown("NH2015comp.tuckute2023", "tuckute2023-components", "r2")
    listed = {name: found["speech"].value for name, row, found in known.rows if row is None}
    assert listed["SpectroTemporal"] == 0.66
    assert known.rows[0][2]["speech"].value == 0.6
    assert shown("NH2015comp.ridge", "ridge", "r") is None
    assert shown("made.up", "ridge", "r2") is None


# --- drawings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        '<g onload="alert(1)"/>',
        '<image href="https://example.org/x.png"/>',
        '<use xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="https://example.org/x.svg#a"/>',
        "<foreignObject><p>x</p></foreignObject>",
        '<a href="javascript:alert(1)"><text>x</text></a>',
    ],
)
def test_a_drawing_holds_nothing_that_runs_or_loads(inside: str) -> None:
    made = cleaned(f'<svg xmlns="http://www.w3.org/2000/svg">{inside}</svg>')
    for word in ("script", "alert", "example", "foreign", "onload"):
        assert word not in made


def test_greys_follow_the_page_and_hues_stay() -> None:
    made = cleaned(
        '<svg xmlns="http://www.w3.org/2000/svg"><path style="fill: #ffffff; stroke: #1f2328"/>'
        '<path style="fill: #0072b2"/><text style="fill: #0072b2">x</text></svg>'
    )
    assert "fill: var(--paper); stroke: var(--ink)" in made
    assert 'style="fill: #0072b2"' in made
    assert "light-dark(#0072b2" in made


# --- words ------------------------------------------------------------------------------------------------------------


def test_every_statistic_of_an_installed_metric_is_in_the_glossary() -> None:
    import importlib
    import pkgutil

    import isocortex_metrics

    found: set[str] = set()
    for module in pkgutil.walk_packages(isocortex_metrics.__path__, "isocortex_metrics."):
        for one in vars(importlib.import_module(module.name)).values():
            if isinstance(one, type) and isinstance(vars(one).get("statistic"), str):
                found.add(vars(one)["statistic"])
    assert {"r", "r2", "rho", "cka", "kappa"} <= found
    assert found <= STATISTICS.keys()
    assert STATISTICS.keys() <= GLOSSARY.keys()


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two models and a failure."""
    folder = tmp_path_factory.mktemp("written")
    results = [scored("vgg16", 0.612345), scored(HOSTILE[0], 0.3), failed("=cmd|' /C calc'!A0")]
    return write_report(written(folder / "results", results), folder / "report", say=lambda _: None).page.parent


def test_beside_the_page_lie_numbers_tables_methods_and_references(report: Path) -> None:
    with (report / "data/rows.csv").open(newline="", encoding="utf-8") as file:
        rows = {(row["model"], row["region"]): row for row in csv.DictReader(file)}
    assert float(rows["vgg16", "all"]["value"]) == 0.612345
    assert rows["'=cmd|' /C calc'!A0", "all"]["value"] == ""
    assert r"\toprule" in (report / "tables/made.ridge.tex").read_text(encoding="utf-8")
    assert "vgg16" in (report / "methods.txt").read_text(encoding="utf-8")
    assert (report / "references.bib").exists()
    page = (report / PAGE).read_text(encoding="utf-8")
    for address in re.findall(r'href="([^"#][^"]*)"', page):
        assert (report / address.replace("%25", "%")).is_file(), address


def test_the_page_names_no_address_to_load_from(report: Path) -> None:
    page = (report / PAGE).read_text(encoding="utf-8")
    assert re.findall(r'(?:src|xlink:href|action)="(?!#|data:)[^"]*"', page) == []
    assert "@import" not in page
    assert "default-src 'none'" in html.unescape(page)
    assert "<script>alert" not in page


def test_a_report_replaces_a_report_and_nothing_else(report: Path, tmp_path: Path) -> None:
    results = written(tmp_path / "results", [scored("vgg16", 0.5)])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="something else than a report"):
        write_report(results, tmp_path / "mine", say=lambda _: None)
    assert (tmp_path / "mine/thesis.txt").read_text() == "years of work"


def test_equal_results_give_equal_pages(isocortex: Any, report: Path) -> None:
    again = isocortex("report", str(report.parent / "results"), "--out", str(report.parent / "again"))
    assert again.returncode == 0, again.stderr
    assert again.stdout.strip().endswith("index.html")
    kept = {path.relative_to(report): path.read_bytes() for path in report.rglob("*") if path.is_file()}
    made = report.parent / "again"
    assert {path.relative_to(made): path.read_bytes() for path in made.rglob("*") if path.is_file()} == kept


# --- stimuli ----------------------------------------------------------------------------------------------------------


def test_a_sound_is_played_sample_by_sample() -> None:
    samples = np.sin(np.arange(800) / 9).astype(np.float32) * 0.5
    medium = sound(samples, 16000.0)
    with wave.open(io.BytesIO(medium.content)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (16000, 1, 800)
        heard = np.frombuffer(file.readframes(800), dtype="<i2") / 32768
    assert np.abs(heard - samples).max() <= 0.5 / 32768
    assert sound(np.array([2.0, -2.0, np.nan]), 8000.0).content[-6:] == np.array([32767, -32768, 0], "<i2").tobytes()


def test_a_picture_is_shown_pixel_by_pixel_or_made_smaller() -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8) // 128 * 255
    shown = picture(pixels)
    if shown.ending == "png":
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(shown.content)).convert("RGB")), pixels)
    large = picture(np.zeros((2000, 1000, 3), dtype=np.uint8))
    assert Image.open(io.BytesIO(large.content)).size == (MOST_PIXELS // 2, MOST_PIXELS)
    assert large.text == "1000 × 2000 pixels"


def test_summaries_of_the_page_are_those_of_core() -> None:
    """The page reads columns by name: a renamed field would be an empty column."""
    needed = {"value", "interval_low", "ceiling_upper", "ceiled", "better", "n_null", "best_layer", "layer_rule"}
    assert needed <= Summary.model_fields.keys()
