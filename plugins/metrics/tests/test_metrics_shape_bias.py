"""``shape-bias``: against counts, decision by decision."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import isocortex
from isocortex.activations.layer import Activations
from isocortex.errors import DataError, SettingsError
from isocortex.scoring.stats import draw_counts
from isocortex_metrics.target.splits import folds

LABELS = ["ape", "bee", "cat", "dog"]
#: every shape with every texture, four times: 16 of 64 are no conflict
PAIRS = [(shape, texture) for _ in range(4) for shape in LABELS for texture in LABELS]
IDS = [f"{place:02d}-{shape}-{texture}" for place, (shape, texture) in enumerate(PAIRS)]


def trials(seed: int = 0) -> pd.DataFrame:
    """Three people who mostly go by the shape, each to another degree."""
    rng = np.random.default_rng(seed)
    rows = []
    for subject, often in enumerate((0.9, 0.7, 0.3)):
        for name, (shape, texture) in zip(IDS, PAIRS, strict=True):
            other = str(rng.choice([texture, "na", *LABELS]))
            rows.append((name, shape, texture, f"s{subject}", shape if rng.random() < often else other))
    return pd.DataFrame(rows, columns=["stimulus_id", "truth", "texture", "subject", "choice"])


def layer(seed: int = 1) -> Activations:
    values = np.random.default_rng(seed).standard_normal((len(IDS), 4))
    values += 0.8 * np.eye(4)[[LABELS.index(texture) for _, texture in PAIRS]]
    return Activations("logits", IDS, [values], units=LABELS)


def against(table: pd.DataFrame, **settings: object):
    return isocortex.load_metric("shape-bias").against(table, settings=settings)


def counted(choices: list[str], kept: list[tuple[str, str]]) -> tuple[int, int]:
    """How often the shape was named, and how often the texture."""
    by_shape = sum(choice == shape for choice, (shape, _) in zip(choices, kept, strict=True))
    return by_shape, sum(choice == texture for choice, (_, texture) in zip(choices, kept, strict=True))


def conflicts() -> list[int]:
    return [place for place, (shape, texture) in enumerate(PAIRS) if shape != texture]


def test_it_equals_counted_decisions() -> None:
    kept, table = conflicts(), trials()
    pairs = [PAIRS[place] for place in kept]
    decisions = [LABELS[place] for place in layer().array(IDS)[kept].argmax(axis=1)]
    by_shape, by_texture = counted(decisions, pairs)
    comparison = against(table)
    scores = comparison.score_all({"logits": layer()})
    summary = comparison.summarise(scores)
    assert (summary.statistic, summary.target, summary.n_stimuli) == ("shape_bias", "pooled", 48)
    assert summary.value == pytest.approx(by_shape / (by_shape + by_texture), abs=1e-9)
    assert summary.also["decided"] == pytest.approx((by_shape + by_texture) / 48, abs=1e-9)
    assert summary.also["shape"] == pytest.approx(by_shape / 48, abs=1e-9)
    of_category = []
    for label in LABELS:
        inside = [place for place, (shape, _) in enumerate(pairs) if shape == label]
        one, other = counted([decisions[place] for place in inside], [pairs[place] for place in inside])
        of_category.append(one / (one + other))
    assert summary.also["shape_bias_category_mean"] == pytest.approx(np.mean(of_category), abs=1e-9)
    assert abs(np.mean(of_category) - summary.value) > 1e-4
    of_people = [
        counted([choice for place, choice in enumerate(own["choice"]) if place in kept], pairs)
        for _, own in table.groupby("subject")
    ]
    sums = np.array(of_people)
    assert summary.also["human_shape_bias_pooled"] == pytest.approx(sums[:, 0].sum() / sums.sum(), abs=1e-9)
    assert summary.also["human_shape_bias"] == pytest.approx(np.mean(sums[:, 0] / sums.sum(axis=1)), abs=1e-9)
    assert summary.also["human_decided"] == pytest.approx(sums.sum() / (3 * 48), abs=1e-9)
    assert comparison.warnings == (
        "16 of 64 stimuli of the table have one category as 'truth' and 'texture': they are no conflict, and "
        "shape-bias leaves them out.",
    )


def test_draws_equal_resampled_stimuli() -> None:
    kept, comparison = conflicts(), against(trials())
    draws, resampled, *_ = comparison.resample(comparison.score(layer()), 5, 3)
    assert resampled == "stimuli"
    decisions = [LABELS[place] for place in layer().array(IDS)[kept].argmax(axis=1)]
    for draw, counts in enumerate(draw_counts(48, 5, 3, "stimuli").astype(int)):
        again = [place for place, count in enumerate(counts) for _ in range(count)]
        by_shape, by_texture = counted([decisions[place] for place in again], [PAIRS[kept[place]] for place in again])
        assert draws[draw] == pytest.approx(by_shape / (by_shape + by_texture), abs=1e-9)


def test_a_model_that_never_decides_for_either_has_none() -> None:
    table = trials().assign(texture=lambda found: found["texture"].where(found["truth"] != "ape", "bee"))
    kept = table[table["truth"] == "ape"].reset_index(drop=True)
    ids = list(dict.fromkeys(kept["stimulus_id"]))
    values = np.eye(4)[[LABELS.index("dog")] * len(ids)]
    comparison = against(kept)
    summary = comparison.summarise(comparison.score(Activations("logits", ids, [values], units=LABELS)))
    assert (summary.value, summary.interval_low, summary.also["decided"]) == (None, None, 0.0)


def test_without_choices_there_are_no_people() -> None:
    comparison = against(trials().drop(columns=["choice", "subject"]).drop_duplicates("stimulus_id"))
    summary = comparison.summarise(comparison.score(layer()))
    assert set(summary.also) == {"decided", "shape", "texture", "shape_bias_category_mean"}


def test_bad_input_is_refused() -> None:
    with pytest.raises(SettingsError, match="Neither stimuli nor trials of the table have a column 'texture'"):
        against(trials().drop(columns="texture"))
    with pytest.raises(DataError, match="No stimulus of the table has another 'texture' than 'truth'"):
        against(trials().assign(texture=lambda table: table["truth"]))
    with pytest.raises(DataError, match="1 of 4 choices have no unit of 'logits' named after them: dog"):
        against(trials()).score(Activations("logits", IDS, [layer().array(IDS)[:, :3]], units=LABELS[:3]))


def test_readouts_are_cross_fitted_and_one_that_saw_the_tested_stimuli_is_said() -> None:
    """Decisions of scikit-learn's readouts, each about stimuli of another fold."""
    features = layer().array(IDS) + np.eye(4)[[LABELS.index(shape) for shape, _ in PAIRS]]
    shapes, decisions = np.array([shape for shape, _ in PAIRS]), np.empty(len(PAIRS), dtype=object)
    for train, test in folds(len(IDS), n_folds=2, n_repeats=1, strata=shapes.tolist()):
        readout = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, solver="newton-cg"))
        decisions[test] = readout.fit(features[train], shapes[train]).predict(features[test])
    by_shape, by_texture = counted([decisions[n] for n in conflicts()], [PAIRS[n] for n in conflicts()])
    comparison = against(trials(), readout={"fit": "folds", "n_folds": 2})
    found = comparison.summarise(comparison.score_all({"a": Activations("a", IDS, [features])}))
    assert found.value == pytest.approx(by_shape / (by_shape + by_texture), abs=1e-9)
    assert not any("Overlapping" in text for text in comparison.warnings)
    same = against(trials(), readout={"fit": "same"})
    assert any("Overlapping: the readout is fitted on 48 of the 48" in text for text in same.warnings)
    assert any("16 of 64 stimuli" in text for text in same.warnings)
