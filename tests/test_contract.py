"""What holds of every metric: a comparison is whole when it is made, and core alone builds summaries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import isocortex
from isocortex.activations import Activations
from isocortex.data import make_responses

ROOT = Path(__file__).parents[1]
#: given to a comparison when it is made, and to nothing else afterwards
_SET_OUTSIDE = re.compile(r"\b(?!self\b)\w+\.(rules|keep|baselines|n_neuroids_total)\b[^=\n]*(?<![=!<>])=(?!=)")
_SUMMARY = re.compile(
    r"def summarise\b|\bSummary\(|summary\.\w+\s*=(?!=)|summary\.model_copy|summary\.also\.(pop|update)"
)


def sources(*folders: str) -> Iterator[tuple[str, int, str]]:
    """Name, number and text of every line."""
    for folder in folders:
        for path in sorted(ROOT.glob(f"{folder}/**/*.py")):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                yield str(path.relative_to(ROOT)), number, line


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("comparison.rules = Rules()", True),
        ("part.keep, other = (), 1", True),
        ("self.rules, self.keep = preparation.rules, preparation.keep", False),
        ("if comparison.rules == rules:", False),
    ],
)
def test_the_pattern_finds_what_it_is_for(line: str, found: bool) -> None:
    assert (_SET_OUTSIDE.search(line) is not None) == found


def test_nothing_finishes_a_comparison_after_it_is_made() -> None:
    found = [place for *place, line in sources("core/src", "plugins/*/src") if _is_set(line)]
    assert found == []


def _is_set(line: str) -> bool:
    target = line.split("=", 1)[0]
    return "(" not in target and _SET_OUTSIDE.search(line) is not None


def test_no_plugin_builds_or_edits_a_summary() -> None:
    found = [place for *place, line in sources("plugins/metrics/src") if _SUMMARY.search(line)]
    found += [place for *place, line in sources("plugins/*/src") if "def summarise" in line]
    assert found == []


def test_a_comparison_of_a_notebook_is_whole() -> None:
    stream = np.random.default_rng(0)
    features, ids = stream.standard_normal((40, 5)), [f"s{number}" for number in range(40)]
    responses = make_responses(features @ stream.standard_normal((5, 4)) + stream.standard_normal((2, 40, 4)), ids)
    comparison = isocortex.load_metric("ridge").against(responses, settings={}, seed=0)
    summary = comparison.summarise(comparison.score(Activations("layer", ids, [features])))
    assert summary.value > 0.5
    assert (summary.n_neuroids, summary.n_neuroids_total, len(summary.draws)) == (4, 4, 1000)
    assert isocortex.load_metric("ridge").against(responses).splits


@pytest.mark.parametrize("metric", ["ridge", "pca-ridge", "unique-variance", "brainscore-ridge", "tuckute2023-ridge"])
def test_one_split_gives_what_all_splits_give(metric: str) -> None:
    stream = np.random.default_rng(1)
    features, ids = stream.standard_normal((60, 5)), [f"s{number}" for number in range(60)]
    responses = make_responses(features @ stream.standard_normal((5, 3)) + stream.standard_normal((2, 60, 3)), ids)
    comparison = isocortex.load_metric(metric).against(responses)
    layer = Activations("layer", ids, [features])
    whole, one = comparison.score(layer), comparison.score_split(layer, comparison.splits[3])
    name = comparison.measure or comparison.statistic
    assert "split" not in one.dims
    np.testing.assert_array_equal(whole[name].isel(split=3).values, one[name].values)
    np.testing.assert_array_equal(whole["test_stimulus"].values[3], one["test_stimulus"].values)
