"""Given splits in every metric that says it takes them, and what the drop is worth: brains whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

import isocortex
from isocortex.activations import Activations
from isocortex.data import make_responses
from isocortex.interfaces import Preparation, Split
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
