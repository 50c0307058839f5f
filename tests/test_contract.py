"""What holds of every metric: a comparison is whole when it is made, and core alone builds summaries."""

from __future__ import annotations

import ast
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
_GIVEN = {"rules", "keep", "baselines", "n_neuroids_total"}
_SUMMARY = re.compile(
    r"def summarise\b|\bSummary\(|summary\.\w+\s*=(?!=)|summary\.model_copy|summary\.also\.(pop|update)"
)


def sources(*folders: str) -> Iterator[tuple[str, int, str]]:
    """Name, number and text of every line."""
    for folder in folders:
        for path in sorted(ROOT.glob(f"{folder}/**/*.py")):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                yield str(path.relative_to(ROOT)), number, line


def set_outside(code: str) -> list[int]:
    """Lines on which something of ``_GIVEN`` is set on anything but ``self``."""
    stored = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Attribute))
    return [
        node.lineno
        for node in stored
        if isinstance(node.ctx, ast.Store) and node.attr in _GIVEN and ast.unparse(node.value) != "self"
    ]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("comparison.rules = Rules()", True),
        ("part.keep, other = (), 1", True),
        ("self.part.baselines = {}", True),
        ("self.rules, self.keep = preparation.rules, preparation.keep", False),
        ("config = RunConfig(keep=first.keep, offline=how.offline)", False),
        ("if comparison.rules == rules: pass", False),
    ],
)
def test_setting_from_outside_is_seen(line: str, found: bool) -> None:
    assert set_outside(line) == ([1] if found else [])


def test_nothing_finishes_a_comparison_after_it_is_made() -> None:
    modules = [path for folder in ("core/src", "plugins/*/src") for path in ROOT.glob(f"{folder}/**/*.py")]
    found = {path.name: lines for path in modules if (lines := set_outside(path.read_text(encoding="utf-8")))}
    assert len(modules) > 200
    assert found == {}


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
