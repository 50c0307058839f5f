"""``banded-ridge``: himalaya at given penalties, scikit-learn, the exhaustive search, parts that add up, one space."""

from __future__ import annotations

import runpy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import make_responses
from isocortex.errors import SettingsError
from isocortex.scoring.contract import Preparation, Rules
from isocortex_metrics.encoding.banded import best_mixture
from isocortex_metrics.encoding.feature_spaces import given_fit, product_measure, searched_fit, space_mixtures
from isocortex_metrics.numerics.gram import gram_matrix

GOLDEN = Path(__file__).parents[3] / "tests" / "golden"


@cache
def metric():
    """The metric, found once."""
    return isocortex.load_metric("banded-ridge")


@cache
def himalaya():
    """How the golden file is made."""
    return runpy.run_path(str(GOLDEN / "make_banded_ridge.py"))


def names(n_stimuli: int) -> list[str]:
    """Stimulus IDs."""
    return [f"s{number:03d}" for number in range(n_stimuli)]


def layer(features: np.ndarray, name: str = "layer", space: str = "") -> Activations:
    """Features as a layer, of a space where that is named."""
    found = Activations(name, names(len(features)), [features])
    return found.in_space(space) if space else found


def together(**spaces: np.ndarray | dict[str, np.ndarray]) -> dict[str, Activations]:
    """Layers of several spaces by name, as a run hands them over."""
    found = [
        layer(features, name, space)
        for space, layers in spaces.items()
        for name, features in (layers if isinstance(layers, dict) else {"layer": layers}).items()
    ]
    return {one.layer: one for one in found}


def against(responses: np.ndarray, measure: str | None = None, **settings):
    """The comparison with responses given as an array."""
    target = make_responses(responses, names(responses.shape[-2]))
    return metric().against(target, settings=settings, preparation=Preparation(Rules(measure=measure)))


def kernels(spaces: list[np.ndarray]) -> list[np.ndarray]:
    """Gram matrix of each."""
    return [gram_matrix([x], len(x)) for x in spaces]


def mixture(shares: tuple[float, ...], seed: int = 0, n_stimuli: int = 150, n_neuroids: int = 20, width: int = 8):
    """Spaces, and responses to which each contributes a known share of the variance; the rest is noise."""
    generator = np.random.default_rng(seed)
    spaces = [generator.standard_normal((n_stimuli, width)) for _ in shares]
    responses = np.sqrt(1 - sum(shares)) * generator.standard_normal((n_stimuli, n_neuroids))
    for share, x in zip(shares, spaces, strict=True):
        part = x @ generator.standard_normal((width, n_neuroids))
        responses += np.sqrt(share) * part / part.std(axis=0)
    return spaces, responses


# --- given penalties --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1, 2])
def test_given_penalties_are_himalayas_solution(number: int) -> None:
    """What every space predicts, against a file that himalaya made."""
    spaces, responses, train, test, penalties = himalaya()["problem"](number)
    found = given_fit(kernels(spaces), penalties, train, test, responses[train])
    with np.load(GOLDEN / "banded_ridge_himalaya.npz") as golden:
        expected = golden[f"problem_{number}"]
    assert np.abs(found.deviations - expected).max() < 1e-6
    assert np.abs(found.penalties - np.array(penalties)[:, None]).max() < 1e-9


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_golden_file_is_what_himalaya_gives_here(number: int) -> None:
    """Where himalaya is installed, it gives what the file holds."""
    pytest.importorskip("himalaya", reason="himalaya is not installed (the dependency group perf)")
    with np.load(GOLDEN / "banded_ridge_himalaya.npz") as golden:
        assert np.abs(himalaya()["by_himalaya"](number) - golden[f"problem_{number}"]).max() < 1e-6


def test_given_penalties_are_ridge_on_scaled_features_side_by_side() -> None:
    """scikit-learn's Ridge with alpha 1 on X_b / √λ_b."""
    spaces, responses = mixture((0.3, 0.2, 0.1), n_stimuli=60, n_neuroids=4)
    comparison = against(responses, penalties=(2.0, 30.0, 400.0))
    found = comparison.score_all(together(**dict(zip("abc", spaces, strict=True))))
    x = np.concatenate([one / np.sqrt(p) for one, p in zip(spaces, (2.0, 30.0, 400.0), strict=True)], axis=1)
    for split, (train, test) in enumerate(comparison.splits):
        model = Ridge(alpha=1.0).fit(x[train], responses[train])
        expected = model.predict(x[test])
        assert np.abs(found["prediction"].values[split, : len(test)] - expected).max() < 1e-8
        shown = x[test] - x[train].mean(axis=0)
        own = [model.coef_[:, at : at + 8] @ shown[:, at : at + 8].T for at in (0, 8, 16)]
        y = responses[test] - responses[train].mean(axis=0)
        total = sum(part.T for part in own)
        for space, part in zip("abc", own, strict=True):
            expected_part = (part.T * (2 * y - total)).sum(axis=0) / (y**2).sum(axis=0)
            assert np.abs(found[f"r2_of_{space}"].values[split] - expected_part).max() < 1e-8


# --- searched penalties -----------------------------------------------------------------------------------------------


def test_the_search_ends_near_the_best_of_all_mixtures() -> None:
    """Nine in ten neuroids get the mixture that exact leave-one-out of all finds; the others lose next to nothing."""
    spaces, responses = mixture((0.3, 0.2, 0.0, 0.1), n_stimuli=80)
    train, test = np.arange(60), np.arange(60, 80)
    found = searched_fit(kernels(spaces), train, test, responses[train])
    whole = best_mixture(kernels(spaces), space_mixtures(4), train, test, responses[train])
    loss = whole.selection - found.selection
    assert loss.min() > -1e-9
    assert loss.max() < 0.02
    same = np.abs(loss) < 1e-9
    assert same.mean() > 0.8
    assert np.abs(found.deviations.sum(axis=0) - whole.deviation)[:, same].max() < 1e-9


def test_searched_penalties_are_those_of_the_prediction() -> None:
    """scikit-learn with the penalties that are told gives what is predicted, and a space without one is left out."""
    spaces, responses = mixture((0.5, 0.0), n_stimuli=60, n_neuroids=12)
    train, test = np.arange(45), np.arange(45, 60)
    found = searched_fit(kernels(spaces), train, test, responses[train])
    for neuroid in range(12):
        penalties = found.penalties[:, neuroid]
        x = np.concatenate([one / np.sqrt(p) for one, p in zip(spaces, penalties, strict=True)], axis=1)
        model = Ridge(alpha=1.0).fit(x[train], responses[train, neuroid])
        expected = model.predict(x[test]) - responses[train, neuroid].mean()
        assert np.abs(found.deviations[:, :, neuroid].sum(axis=0) - expected).max() < 1e-8
    assert np.isinf(found.penalties[1]).any()


def test_parts_add_up_and_may_be_negative() -> None:
    """r2_of_… add up to R² about the training mean, by numpy; a space that misleads is below 0, and is not clipped."""
    spaces, responses = mixture((0.4, 0.0, 0.0), seed=3, n_stimuli=60, width=10)
    comparison = against(responses)
    found = comparison.score_all(together(**dict(zip("abc", spaces, strict=True))))
    parts = np.stack([found[f"r2_of_{space}"].values for space in "abc"])
    for split, (train, test) in enumerate(comparison.splits):
        y = responses[test] - responses[train].mean(axis=0)
        error = responses[test] - found["prediction"].values[split, : len(test)]
        assert np.abs(parts[:, split].sum(axis=0) - (1 - (error**2).sum(axis=0) / (y**2).sum(axis=0))).max() < 1e-9
    assert np.abs(parts.sum(axis=0) - found["joint_out_of_sample_r2"].values).max() < 1e-12
    assert parts.min() < -0.01
    assert float(found["r2_of_a"].mean()) > 0.1


def test_what_two_spaces_share_is_dealt_out() -> None:
    """A space and its copy have half each of what one of them explains; nothing is left over."""
    response = np.random.default_rng(5).standard_normal((30, 4))
    assert np.abs(product_measure(np.stack([0.4 * response, 0.4 * response]), response) - 0.48).max() < 1e-12


def test_known_shares_are_found() -> None:
    """Shares of .4, .2 and 0 of the variance, of 400 stimuli, within .06."""
    spaces, responses = mixture((0.4, 0.2, 0.0), n_stimuli=400, width=4)
    found = against(responses, n_repeats=1, n_folds=2).score_all(together(**dict(zip("abc", spaces, strict=True))))
    parts = [float(found[f"r2_of_{space}"].mean()) for space in "abc"]
    assert np.abs(np.array(parts) - [0.4, 0.2, 0.0]).max() < 0.06


# --- layers and rows --------------------------------------------------------------------------------------------------


def test_one_space_is_ridge() -> None:
    """All that ridge gives, to the last digit."""
    spaces, responses = mixture((0.3, 0.2), n_stimuli=60)
    layers = {"one": layer(spaces[0]), "two": layer(spaces[1])}
    target = make_responses(responses, names(60))
    mine, other = (isocortex.load_metric(name).against(target) for name in ("banded-ridge", "ridge"))
    found = mine.score_all(layers)
    assert found.drop_vars("out_of_sample_r2").identical(other.score_all(layers))
    train, test = mine.splits[0]
    error = responses[test] - found["prediction"].values[0, : len(test)]
    own = [found["chosen"].values[0] == place for place in (0, 1)]
    expected = 1 - (error**2).sum(axis=0) / ((responses[test] - responses[train].mean(axis=0)) ** 2).sum(axis=0)
    for place, columns in enumerate(own):
        assert np.abs((found["out_of_sample_r2"].values[place, 0] - expected)[columns]).max(initial=0) < 1e-9


def test_each_space_has_its_layer_chosen_within_the_training_stimuli() -> None:
    """Of three layers of a space the one that knows something is fitted; its test responses change nothing."""
    spaces, responses = mixture((0.4, 0.3), n_stimuli=90)
    noise = np.random.default_rng(9).standard_normal((2, 90, 8))
    layers = together(a={"n1": noise[0], "yes": spaces[0], "n2": noise[1]}, b={"yes": spaces[1]})
    comparison = against(responses, n_repeats=1)
    found = comparison.score_all(layers)
    alpha = found["alpha"]
    assert np.isnan(alpha.sel(layer=["a n1", "a n2"]).values).all()
    assert np.isfinite(alpha.sel(layer=["a yes", "b yes"]).values).any()
    assert found.attrs["layer_rule"] == "nested by region, spaces together"
    assert int(found.attrs["n_layers_searched"]) == 4
    alone = against(responses, n_repeats=1).score_all(together(a=spaces[0], b=spaces[1]))
    assert np.abs(found["readout"].values - alone["readout"].values).max() < 1e-12
    changed = responses.copy()
    changed[comparison.splits[0].test] = 0.0
    other = against(changed, n_repeats=1).score_all(layers)
    assert np.abs(other["prediction"][0].values - found["prediction"][0].values).max() < 1e-12


@pytest.mark.parametrize("measure", [None, "r2", "out_of_sample_r2"])
def test_a_row_holds_the_whole_and_its_parts(measure: str | None) -> None:
    """Value, parts beside it, interval, and the layer of the largest part, whatever the measure."""
    spaces, responses = mixture((0.5, 0.2), n_stimuli=80)
    comparison = against(responses, measure)
    scores = comparison.score_all(together(a=spaces[0], b=spaces[1]))
    summary = comparison.summarise(scores)
    r = np.median(scores["joint_r"].values.mean(axis=0))
    expected = {None: r, "r2": np.median(scores["joint_r"].values.mean(axis=0) ** 2)}
    expected["out_of_sample_r2"] = np.median(scores["joint_out_of_sample_r2"].values.mean(axis=0))
    assert abs(summary.value - expected[measure]) < 1e-9
    assert {"r2_of_a", "r2_of_b"} <= set(summary.also)
    assert summary.also["r2_of_a"] > summary.also["r2_of_b"] > 0
    assert summary.best_layer == "a layer"
    assert summary.interval_low < summary.value < summary.interval_high
    assert summary.statistic == (measure or "r")


def test_what_cannot_be_searched_or_set_is_refused() -> None:
    """Too many spaces, and penalties for others than there are."""
    spaces, responses = mixture((0.1,) * 6, n_stimuli=40)
    with pytest.raises(SettingsError, match="at most 5 feature spaces"):
        against(responses).score_all(together(**dict(zip("abcdef", spaces, strict=True))))
    with pytest.raises(SettingsError, match="2 penalties were set for 3"):
        against(responses, penalties=(1.0, 2.0)).score_all(together(**dict(zip("abc", spaces[:3], strict=True))))
    with pytest.raises(SettingsError, match="there is one feature space"):
        against(responses, penalties=(1.0, 2.0)).score(layer(spaces[0]))
    with pytest.raises(SettingsError, match="set 'penalties'"):
        against(responses, alpha=1.0)
    with pytest.raises(SettingsError, match="above 0"):
        against(responses, penalties=(0.0,))


def test_a_space_that_does_not_vary_has_no_part() -> None:
    """Constant features beside others change nothing."""
    spaces, responses = mixture((0.4, 0.2), n_stimuli=60)
    silent = np.ones((60, 5))
    found = against(responses).score_all(together(a=spaces[0], b=spaces[1], c=silent))
    without = against(responses).score_all(together(a=spaces[0], b=spaces[1]))
    assert (found["r2_of_c"].values == 0).all()
    assert np.abs(found["joint_r"].values - without["joint_r"].values).mean() < 0.02


@pytest.mark.parametrize("measure", ["r", "out_of_sample_r2"])
def test_chance_is_that_of_all_spaces_together(measure: str) -> None:
    """Each permutation is scored as responses in another order are, for several spaces and for one."""
    spaces, responses = mixture((0.5, 0.2), n_stimuli=60, n_neuroids=6)
    orders = np.stack([np.arange(60), np.random.default_rng(1).permutation(60)])
    for layers in (together(a=spaces[0], b=spaces[1]), {"layer": layer(spaces[0])}):
        blocks = list(against(responses, measure, n_repeats=1).permuted_readouts(layers, orders))
        found = np.concatenate([block.transpose("draw", "split", "neuroid").values for block in blocks])
        for place, order in enumerate(orders):
            expected = against(responses[order], measure, n_repeats=1).score_all(layers)["readout"].values
            assert np.abs(found[place] - expected).max() < 1e-9
