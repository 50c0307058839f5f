"""Given splits in every metric that says it takes them, and what the drop is worth: brains whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

import isocortex
from isocortex.activations import Activations
from isocortex.data import make_responses
from isocortex.interfaces import Preparation, Split
from isocortex.scoring.drop import with_drop
from isocortex.scoring.left_out_splits import left_out_splits

N_KINDS, OF_EACH, N_UNITS = 6, 20, 12
IDS = [f"s{place}" for place in range(N_KINDS * OF_EACH)]
KINDS = np.repeat([f"kind {number}" for number in range(N_KINDS)], OF_EACH)


def features(seed: int = 0) -> np.ndarray:
    """Kinds lie far apart, in the first three units; inside of a kind all units vary alike."""
    stream = np.random.default_rng(seed)
    centres = np.zeros((N_KINDS, N_UNITS))
    centres[:, :3] = stream.normal(0, 4, (N_KINDS, 3))
    return np.repeat(centres, OF_EACH, axis=0) + stream.normal(size=(len(IDS), N_UNITS))


def value_of(x: np.ndarray, y: np.ndarray, splits: tuple[Split, ...]) -> float:
    comparison = isocortex.load_metric("ridge").against(make_responses(y, IDS), preparation=Preparation(splits=splits))
    summary = comparison.summarise(comparison.score(Activations("x", IDS, [x])))
    assert summary.value is not None
    return summary.value


def test_a_model_that_generalises_has_no_drop_where_values_over_other_test_sets_differ_widely() -> None:
    """One linear map for all kinds: folds of all kinds give more than halves of one, and nothing was lost."""
    x = features()
    stream = np.random.default_rng(1)
    weights = stream.normal(size=(N_UNITS, 8))
    y = x @ weights + stream.normal(0, 4, (len(IDS), 8))
    found = left_out_splits(KINDS.tolist(), IDS)
    stricter, ordinary = (value_of(x, y, splits) for splits in (found.stricter, found.ordinary))
    folds = value_of(x, y, ())
    assert folds - stricter > 0.15, "halves of one kind vary less"
    assert abs(ordinary - stricter) < 0.05


def test_a_map_of_each_kind_of_its_own_is_a_drop() -> None:
    """Others of its kind tell what no other kind does."""
    x = features()
    stream = np.random.default_rng(1)
    y = np.concatenate([part @ stream.normal(size=(N_UNITS, 8)) for part in np.split(x, N_KINDS)])
    # units of every kind are their own, so that one linear map can hold them all
    own = np.zeros((len(IDS), N_KINDS * N_UNITS))
    for number, place in enumerate(np.split(np.arange(len(IDS)), N_KINDS)):
        own[place, number * N_UNITS : (number + 1) * N_UNITS] = x[place]
    found = left_out_splits(KINDS.tolist(), IDS)
    stricter, ordinary = (value_of(own, y, splits) for splits in (found.stricter, found.ordinary))
    assert ordinary - stricter > 0.3
    assert abs(stricter) < 0.15


SPLITTING = ("ridge", "pca-ridge", "unique-variance", "banded-ridge", "one-to-one", "soft-matching")


@pytest.mark.parametrize("metric", SPLITTING)
def test_every_metric_that_says_so_takes_splits(metric: str) -> None:
    """As they are, in place of its own; every other metric that draws splits says that it does not."""
    card = isocortex.load_card("metric", metric)
    assert card.splits
    given = left_out_splits(KINDS.tolist(), IDS).stricter
    x = features()
    preparation = Preparation(splits=given, baselines={"b": Activations("b", IDS, [x[:, :2]])})
    comparison = isocortex.load_metric(metric).against(make_responses(x[:, 2:6], IDS), preparation=preparation)
    assert [tuple(map(list, one)) for one in comparison.splits] == [tuple(map(list, one)) for one in given]
    scores = comparison.score_all({"x": Activations("x", IDS, [x])})
    assert scores.sizes["split"] == len(given)


@pytest.mark.long
@pytest.mark.parametrize("own_share", [0.0, 0.7])
def test_the_interval_of_the_drop_covers_its_mean(own_share: float) -> None:
    """Over 100 samples of stimuli and noise from one brain, with nothing and with something that is of a kind alone."""
    found = np.array([drawn_drop(seed, own_share) for seed in range(100)])
    mean = found[:, 0].mean()
    assert ((found[:, 1] <= mean) & (mean <= found[:, 2])).mean() >= 0.95
    assert (mean > 0.03) == (own_share > 0)


def drawn_drop(seed: int, own_share: float) -> tuple[float, float, float]:
    """Drop and interval; features are those of all kinds and, beside them, a copy for each kind alone."""
    x, stream = features(seed), np.random.default_rng([seed, 1])
    brain = np.random.default_rng(1)
    y = x @ brain.normal(size=(N_UNITS, 8))
    y += own_share * np.concatenate([part @ brain.normal(size=(N_UNITS, 8)) for part in np.split(x, N_KINDS)])
    alone = [np.where((kind == KINDS)[:, None], x, 0.0) for kind in dict.fromkeys(KINDS)]
    x = np.concatenate([x, *alone], axis=1)
    y += stream.normal(0, 4, y.shape)
    splits = left_out_splits(KINDS.tolist(), IDS, seed=seed)
    rows = []
    for given in (splits.stricter, splits.ordinary):
        preparation = Preparation(splits=given, keep=("prediction",))
        comparison = isocortex.load_metric("ridge").against(make_responses(y, IDS), preparation=preparation)
        rows.append(comparison.summarise(comparison.score(Activations("x", IDS, [x]))))
    row = with_drop(*rows)
    assert None not in (row.drop, row.drop_low, row.drop_high)
    return row.drop, row.drop_low, row.drop_high  # type: ignore[return-value]
