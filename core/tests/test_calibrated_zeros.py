"""What chance gives: permutations, p and its early end, ``--null`` for new and finished results, tables."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

import isocortex
from isocortex.errors import DataError, SettingsError
from isocortex.results.false_discovery import with_q
from isocortex.results.result import Result, read_result
from isocortex.run.asked_null import Null
from isocortex.run.permuting import exchangeable_of
from isocortex.run.plan import RunConfig
from isocortex.scoring.calibrated_zero import zero_of
from isocortex.scoring.permutations import Exchangeable
from isocortex.scoring.stats import sign_flip_p
from tests.lab import Lab, Typed


def score(lab: Lab, model: str = "lab-net", benchmark: str = "lab.regions", **how: object) -> Result:
    (result,) = isocortex.score(model, benchmark, config=RunConfig(**how), quiet=True)  # type: ignore[arg-type]
    assert result.status == "scored", result.failure
    return result


# --- permutations -----------------------------------------------------------------------------------------------------


def test_permutations_depend_on_seed_and_number_alone_and_few_are_the_first_of_many() -> None:
    free = Exchangeable.of([f"a{number}" for number in range(30)])
    other = Exchangeable.of([f"b{number}" for number in range(30)])
    many = free.orders(50, seed=1)
    np.testing.assert_array_equal(many[:7], other.orders(7, seed=1))
    assert not np.array_equal(many, free.orders(50, seed=2))
    np.testing.assert_array_equal(np.sort(many, axis=1), np.tile(np.arange(30), (50, 1)))


def test_each_arrangement_of_blocks_comes_equally_often_and_no_other_does() -> None:
    blocks = Exchangeable.of(["x", "y", "x", "y", "z", "z", "lone"])
    found, counts = np.unique(blocks.orders(6000, seed=0), axis=0, return_counts=True)
    pairs = [(0, 2), (1, 3), (4, 5)]
    expected = set()
    for arranged in permutations(pairs):
        order = [6] * 7
        for places, sources in zip(pairs, arranged, strict=True):
            for place, source in zip(places, sources, strict=True):
                order[place] = source
        expected.add(tuple(order))
    assert set(map(tuple, found.tolist())) == expected
    assert ((counts > 900) & (counts < 1100)).all()
    assert (blocks.n_fixed, round(blocks.n_arrangements)) == (1, 6)


def test_within_a_column_every_stimulus_keeps_its_label() -> None:
    labels = np.array(["cat", "dog"] * 10)
    inside = Exchangeable.of([str(number) for number in range(20)], labels.tolist())
    assert (labels[inside.orders(100, seed=0)] == labels).all()
    with pytest.raises(DataError, match="No two of the 3 stimuli may change places"):
        Exchangeable.of(["a", "b", "c"], ["x", "y", "z"]).orders(1, seed=0)


def test_stimuli_of_one_group_or_equal_content_are_one_block(lab: Lab) -> None:
    class Stimuli:
        ids = tuple("abcdef")
        equal = (("a", "d"),)

        class table:  # noqa: N801 - as the attribute is called
            columns: tuple[str, ...] = ()

    comparison = type("C", (), {"split_columns": {"group": "", "stratify": ""}})
    dataset = type("D", (), {"stimuli": Stimuli, "attrs": {}, "responses": None})
    found, said = exchangeable_of(dataset, comparison)  # type: ignore[arg-type]
    orders = found.orders(200, seed=0)
    assert (orders[:, [0, 3]] == [0, 3]).all(), "the one pair finds no other"
    assert len(np.unique(orders, axis=0)) == 24
    assert said == [
        "2 of 6 stimuli stay where they are in all permutations, because no other group has their size (and labels): p "
        "rests on the others."
    ]
    with pytest.raises(SettingsError, match="no column 'kind'"):
        exchangeable_of(dataset, comparison, "kind")  # type: ignore[arg-type]


# --- p ----------------------------------------------------------------------------------------------------------------


def test_p_and_chance_of_all_permutations() -> None:
    drawn = np.array([0.3, 0.9, np.nan, 0.2, 0.5])
    zero = zero_of(0.5, drawn, stop_after=None)
    assert (zero["p"], zero["n_exceeding"], zero["n_permutations"]) == (4 / 6, 3, 5)  # .9, a tie, and one without value
    assert zero["chance"] == pytest.approx(np.nanmean(drawn))
    assert zero["calibrated"] == pytest.approx(0.5 - np.nanmean(drawn))
    assert zero_of(0.5, drawn, "lower", stop_after=None)["p"] == 5 / 6
    assert zero_of(None, drawn) == {}


def test_an_early_end_is_valid_and_its_chance_unbiased() -> None:
    """Besag & Clifford 1991: under H0 P(p ≤ a) is a wherever p can be a; the last permutation is left out of chance."""
    generator = np.random.default_rng(0)
    drawn = generator.standard_normal((8000, 200))
    found = [zero_of(float(row[0]), row[1:], stop_after=10) for row in drawn]
    p = np.array([zero["p"] for zero in found])
    for level in (10 / 200, 0.1, 10 / 40, 0.5, 10 / 12):
        assert np.mean(p <= level + 1e-12) == pytest.approx(level, abs=4 * np.sqrt(level / len(p)))
    chance = np.array([zero["chance"] for zero in found])
    assert abs(chance.mean()) < 4 * chance.std() / np.sqrt(len(p))
    assert max(zero["n_permutations"] for zero in found) == 199
    assert np.mean([zero["n_permutations"] for zero in found]) < 50, "most of it is saved"
    biased = np.array([row[1 : 1 + zero["n_permutations"]].mean() for row, zero in zip(drawn, found, strict=True)])
    assert biased.mean() > 4 * biased.std() / np.sqrt(len(p)), "with the last one it would be too high"


def test_q_is_of_a_benchmark_and_statistic_and_regions_are_apart() -> None:
    def row(p: float | None, region: str | None, benchmark: str = "b") -> dict[str, object]:
        return {
            "benchmark": benchmark,
            "statistic": "r",
            "target": "pooled",
            "permuted": "unrestricted",
            "region": region,
            "p": p,
        }

    rows = [row(0.01, None), row(0.04, None), row(0.01, "A"), row(0.02, "B"), row(0.5, None, "c"), row(None, None)]
    assert [found["q"] for found in with_q(rows)] == [0.02, 0.04, 0.02, 0.02, 0.5, None]


def test_sign_flips_of_participants_are_all_made() -> None:
    from itertools import product

    drawn = np.array([0.3, -0.1, 0.2, 0.05, 0.1])
    sums = [sum(sign * value for sign, value in zip(signs, drawn, strict=True)) for signs in product((1, -1), repeat=5)]
    assert sign_flip_p(drawn) == np.mean(np.array(sums) >= drawn.sum() - 1e-12)
    assert sign_flip_p(np.append(drawn, np.nan)) == sign_flip_p(drawn)
    assert np.isnan(sign_flip_p(np.ones(13)))
    assert sign_flip_p(np.ones(12)) == 2**-12


# --- runs -------------------------------------------------------------------------------------------------------------


def test_what_is_asked_is_read_or_refused() -> None:
    assert Null.parse("default") == Null(None, "")
    assert Null.parse("199") == Null(199, "")
    assert Null.parse("499,within:a,b") == Null(499, "a,b")
    for wrong in ("18", "100000", "many", "within:", "99,99", ""):
        with pytest.raises(SettingsError):
            RunConfig(null=wrong)


def test_chance_is_found_with_the_score_and_is_the_same_when_it_is_added_later(lab: Lab) -> None:
    once = score(lab, null="59", out=Path("once"))
    before = score(lab)
    assert before.summary.permuted == "none"
    scores = next(Path("results").rglob("scores.nc")).read_bytes()
    lab.seen()
    added = score(lab, null="59")
    assert added.cached
    assert [lab.seen("load"), next(Path("results").rglob("scores.nc")).read_bytes()] == [[], scores]
    assert added.summary.model_dump() == once.summary.model_dump()
    assert {name: part.model_dump() for name, part in added.regions.items()} == {
        name: part.model_dump() for name, part in once.regions.items()
    }
    assert read_result(next(Path("results").rglob("result.json"))).summary.p == added.summary.p
    summary = added.summary
    assert (summary.permuted, summary.most_permutations, summary.n_permutations) == ("unrestricted", 59, 59)
    assert summary.p == (1 + summary.n_exceeding) / 60
    assert summary.calibrated == summary.value - summary.chance
    assert (added.digest, added.digests) == (before.digest, before.digests), "chance is no part of what was asked"
    again = score(lab, null="39")
    assert len(lab.seen("permuted")) == 0
    assert again.summary.most_permutations == 59


def test_more_permutations_are_made_where_a_row_has_not_ended_early(lab: Lab) -> None:
    score(lab, null="default")
    lab.seen()
    more = score(lab, null="79")
    assert len(lab.seen("permuted")) == 79
    assert more.summary.most_permutations == 79
    assert isocortex.rerun(next(Path("results").rglob("result.json"))).equal


def test_a_metric_without_permutations_and_another_question_are_said(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    result = score(lab, benchmark="lab.again", null="default")
    assert result.summary.permuted == "not offered"
    assert result.summary.p is None
    assert "There is no level of chance, because its metric has no way to score permuted responses." in result.warnings
    lab.seen()
    score(lab, benchmark="lab.again", null="default")
    assert lab.seen("score") == [], "and it is not tried again"
    score(lab, null="default")
    capsys.readouterr()
    isocortex.score("lab-net", "lab.regions", config=RunConfig(null="within:stimulus_id"))
    assert "its chance is that of stimuli permuted unrestricted, and stays" in capsys.readouterr().err


def test_tables_show_chance_p_and_q_and_the_smallest_q(lab: Lab, typed: Typed) -> None:
    arguments = ("-m", "lab-net", "-m", "lab-second", "-b", "lab.regions")
    assert "calibrated" not in typed("score", *arguments).out
    shown = typed("score", *arguments, "--null", "99").out
    assert "calibrated" in shown
    assert "over 2 rows (Benjamini & Hochberg); 99 permutations" in " ".join(shown.split())
    assert "p ≥ 0.01 and, for one row alone, q ≥ 0.02" in " ".join(shown.split())
    long = " ".join(typed("show", "--long").out.split())
    assert "p, q" in long
    assert "regions: p: one-sided; q over 4 rows" in long
    rows = json.loads(typed("show", "--json").out)
    assert {row["region"] for row in rows} == {None, "A", "B"}
    assert all(row["q"] >= row["p"] > 0 for row in rows)
    header, *lines = typed("show", "--csv").out.splitlines()
    for name in ("permuted", "chance", "calibrated", "p", "q", "n_permutations", "most_permutations"):
        assert name in header.split(",")
    assert len(lines) == 6
    assert "calibrated (chance)" in typed("show", "--markdown").out
