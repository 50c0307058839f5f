"""Stricter splits: which stimuli are left out, their ordinary counterparts, clusters, names, and the drop."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from isocortex.activations.layer import Activations
from isocortex.errors import DataError, SettingsError, UsageError
from isocortex.results.drops import drop_text
from isocortex.run.asked_splits import StricterSplits
from isocortex.scoring.clusters import squared_distances, ward_clusters
from isocortex.scoring.drop import with_drop
from isocortex.scoring.left_out_splits import left_out_splits
from isocortex.scoring.summary import Summary

KINDS = np.array(["cat", "dog", "bird", "fish"])[np.random.default_rng(0).integers(0, 3, 60)].tolist() + ["fish"] * 4
ALONE = [f"s{number}" for number in range(len(KINDS))]


def test_a_kind_is_tested_in_halves_and_nothing_of_it_is_trained_on() -> None:
    found = left_out_splits(KINDS, ALONE, seed=3)
    kinds = np.array(KINDS)
    tested = np.concatenate([split.test for split in found.stricter])
    assert sorted(tested) == np.flatnonzero(kinds != "fish").tolist(), "each once"
    for split in found.stricter:
        [kind] = set(kinds[split.test])
        np.testing.assert_array_equal(split.train, np.flatnonzero(kinds != kind))
        assert abs(2 * len(split.test) - (kinds == kind).sum()) <= 1
    assert found.untested == {"fish": 4}
    assert "4 stimuli of 1 kinds are never tested" in found.warnings[0]


def test_counterparts_test_the_same_after_training_on_as_many_of_all_kinds() -> None:
    kinds, shares = np.array(KINDS), []
    for seed in range(40):
        found = left_out_splits(KINDS, ALONE, seed=seed)
        for strict, ordinary in zip(found.stricter, found.ordinary, strict=True):
            np.testing.assert_array_equal(strict.test, ordinary.test)
            assert len(strict.train) == len(ordinary.train) == len(set(ordinary.train.tolist()))
            assert not set(ordinary.train.tolist()) & set(ordinary.test.tolist())
            own = kinds == kinds[strict.test[0]]
            pool = len(KINDS) - len(strict.test)
            expected = len(strict.train) * (own.sum() - len(strict.test)) / pool  # hypergeometric
            shares.append(own[ordinary.train].sum() / expected)
    assert 0.97 < np.mean(shares) < 1.03
    again = left_out_splits(KINDS, ALONE, seed=39)
    assert all(map(np.array_equal, again.ordinary[0], found.ordinary[0]))


def test_one_kind_alone_and_blocks_are_never_on_both_sides() -> None:
    """Blocks are dealt out whole, and what lies outside of the kind with a tested stimulus is not trained on."""
    blocks = [f"pair{number // 2}" for number in range(len(KINDS))]
    found = left_out_splits(KINDS, blocks, only="dog", seed=1)
    assert len(found.stricter) == 2
    of_block = np.array(blocks)
    for strict, ordinary in zip(found.stricter, found.ordinary, strict=True):
        for split in (strict, ordinary):
            assert not set(of_block[split.train]) & set(of_block[split.test])
        assert len(strict.train) == len(ordinary.train)
    assert not set(of_block[found.stricter[0].test]) & set(of_block[found.stricter[1].test])


@pytest.mark.parametrize(
    ("kinds", "only", "said"),
    [
        (["a"] * 9, None, "of one kind"),
        (["a"] * 9 + ["b"] * 9, "c", "No stimulus is of the kind 'c'"),
        (["a", "b", "c"] * 4, None, "No kind has 6 stimuli"),
        (["a"] * 9 + ["b"] * 2, None, "2 of 11 stimuli are left"),
    ],
)
def test_what_cannot_be_left_out_is_refused(kinds: list[str], only: str | None, said: str) -> None:
    with pytest.raises(DataError, match=said):
        left_out_splits(kinds, [str(place) for place in range(len(kinds))], only=only)


@pytest.mark.parametrize("n_stimuli", [12, 165])
def test_clusters_are_those_of_scipy(n_stimuli: int) -> None:
    for seed in range(4):
        features = np.random.default_rng(seed).normal(3, 1, (n_stimuli, 7)).astype(np.float32)
        ids = [f"s{place}" for place in range(n_stimuli)]
        squared = squared_distances(Activations("x", ids[::-1], [features[::-1]]), ids)
        tree = linkage(features.astype(np.float64), "ward")
        for n_clusters in (2, 5, 11):
            own, expected = ward_clusters(squared, n_clusters), fcluster(tree, n_clusters, "maxclust")
            assert len(set(zip(own.tolist(), expected.tolist(), strict=True))) == n_clusters
            assert own[0] == 0


def test_equal_features_make_one_cluster_and_too_many_clusters_are_refused() -> None:
    labels = np.random.default_rng(0).integers(0, 4, 40)
    squared = 2.0 * (labels[:, None] != labels)
    own = ward_clusters(squared, 4)
    assert len(set(zip(own.tolist(), labels.tolist(), strict=True))) == 4
    grid = np.stack(np.meshgrid(np.arange(9), np.arange(9)), axis=-1).reshape(-1, 2)  # full of equal distances
    tied = ((grid[:, None] - grid) ** 2).sum(axis=-1)
    assert len(set(ward_clusters(tied, 7).tolist())) == 7
    with pytest.raises(DataError, match="2 to the number of stimuli, 40"):
        ward_clusters(squared, 41)


@pytest.mark.parametrize("text", ["leave-out", "leave--out", "clusters:1:pixels", "clusters:pixels", "k-fold", ""])
def test_another_name_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"leave-COLUMN-out.*clusters:K:MODEL"):
        StricterSplits.parse(text)


def test_names_say_what_is_left_out() -> None:
    assert StricterSplits.parse("leave-object-name-out").column == "object-name"
    assert StricterSplits.parse("out-of-distribution").value == "out"
    found = StricterSplits.parse("clusters:12:org/net@random:3")
    assert (found.n_clusters, found.model) == (12, "org/net@random:3")


def test_the_drop_is_paired_draw_by_draw() -> None:
    stream = np.random.default_rng(0)
    stricter, ordinary = stream.normal(0.2, 0.1, 1000), stream.normal(0.5, 0.1, 1000)
    given = {"statistic": "r", "target": "pooled", "layer_rule": "single layer", "n_layers_searched": 1}
    one = Summary(**given, value=0.2, draws=stricter.tolist(), best_layer="a", n_stimuli=9)
    found = with_drop(one, one.model_copy(update={"value": 0.5, "draws": ordinary.tolist()}))
    low, high = np.quantile(ordinary - stricter, [0.025, 0.975])
    assert (found.ordinary, found.drop_low, found.drop_high) == (0.5, pytest.approx(low), pytest.approx(high))
    assert found.drop == pytest.approx(0.3)
    plain = with_drop(one.model_copy(update={"draws": None}), one.model_copy(update={"value": 0.5, "draws": None}))
    assert (plain.drop, plain.drop_low) == (pytest.approx(0.3), None)
    assert drop_text(plain.model_dump()) == ".300"
    assert with_drop(one, one.model_copy(update={"value": None})).drop is None


def test_what_a_benchmark_keeps_together_stays_together() -> None:
    """Stimuli of one group or of equal content; the group itself cannot be left out."""

    class Stimuli:
        ids = tuple(f"s{place}" for place in range(24))
        equal = (("s0", "s13"),)
        table = pd.DataFrame({"kind": ["a"] * 12 + ["b"] * 12, "pair": [place // 2 for place in range(24)]}, index=ids)

    dataset = type("D", (), {"stimuli": Stimuli, "attrs": {}, "responses": None})
    found = StricterSplits.parse("leave-kind-out").of(dataset, "pair", None, seed=0)  # type: ignore[arg-type]
    joint = np.arange(24) // 2
    joint[joint == 6] = 0  # the pairs of s0 and of s13
    for split in (*found.stricter, *found.ordinary):
        assert not set(joint[split.train]) & set(joint[split.test])
    with pytest.raises(UsageError, match="keeps stimuli of one 'pair' on one side"):
        StricterSplits.parse("leave-pair-out").of(dataset, "pair", None, seed=0)  # type: ignore[arg-type]
    several = {name: Activations(name, Stimuli.ids, [np.eye(24)]) for name in ("x", "y")}
    with pytest.raises(UsageError, match="features of one layer, and m has 2"):
        StricterSplits.parse("clusters:2:m").of(dataset, "", several, seed=0)  # type: ignore[arg-type]
