"""p is uniform where features have nothing to do with a brain, and calibrated values of noise are 0, however wide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.stats import kstest

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import make_responses
from isocortex.interfaces import Preparation, Rules
from isocortex.scoring import Exchangeable, calibrated

FEW = Preparation(Rules(n_draws=2), keep=())


def brain(n_stimuli: int, n_neuroids: int, groups: Sequence[int] | None = None, seed: int = 0) -> xr.DataArray:
    """Responses of two participants; with groups, stimuli of one group have much in common."""
    generator = np.random.default_rng([seed, 7])
    values = generator.standard_normal((n_stimuli, n_neuroids))
    shown: dict[str, Any] = {}
    if groups is not None:
        values += 1.5 * generator.standard_normal((max(groups) + 1, n_neuroids))[list(groups)]
        shown["group"] = [str(group) for group in groups]
    subject = ["s1"] * (n_neuroids // 2) + ["s2"] * (n_neuroids - n_neuroids // 2)
    responses = make_responses(values, ids_of(n_stimuli), neuroid={"subject": subject})
    return responses.assign_coords({name: ("presentation", labels) for name, labels in shown.items()})


def ids_of(n_stimuli: int) -> list[str]:
    return [f"stimulus{number:03d}" for number in range(n_stimuli)]


def noise(
    n_stimuli: int, n_layers: int, width: int, seed: int, groups: Sequence[int] | None = None
) -> dict[str, Activations]:
    """Layers that are drawn independently of any brain; with groups, alike within them."""
    generator = np.random.default_rng([seed, 11])
    found: dict[str, Activations] = {}
    for number in range(n_layers):
        values = generator.standard_normal((n_stimuli, width))
        if groups is not None:
            values += 1.5 * generator.standard_normal((max(groups) + 1, width))[list(groups)]
        found[f"layer{number}"] = Activations(f"layer{number}", ids_of(n_stimuli), [values])
    return found


def zero(
    comparison: Any, layers: dict[str, Activations], exchangeable: Exchangeable, n: int, stop_after: int | None = None
) -> dict[str, Any]:
    """What chance gives for the whole of a score."""
    summary = comparison.summarise(comparison.score_all(layers))
    found = calibrated(
        comparison, layers, {None: summary}, exchangeable, n_permutations=n, seed=1, stop_after=stop_after
    )
    return {**found[None], "value": summary.value}


def ks(p: Sequence[float], n_permutations: int) -> float:
    """Of p against the discrete uniform on 1/(B + 1), …, 1, made continuous by what lies between its steps."""
    within = np.random.default_rng(0).uniform(size=len(p)) / (n_permutations + 1)
    return float(kstest(np.array(p) - within, "uniform").pvalue)


#: metric, its settings, stimuli, groups of so many stimuli, layers, permutations
UNIFORM: dict[str, tuple[str, dict[str, object], int, int | None, int, int]] = {
    "ridge": ("ridge", {"n_folds": 3, "n_repeats": 1}, 30, None, 3, 199),
    "ridge, stratified": ("ridge", {"stratify": "group", "n_folds": 3, "n_repeats": 1}, 30, 6, 3, 199),
    "ridge, grouped": ("ridge", {"group": "group", "n_folds": 3, "n_repeats": 1}, 36, 2, 3, 199),
    "rsa": ("rsa", {"n_halvings": 2}, 24, None, 3, 199),
    "rsa, grouped": ("rsa", {"n_halvings": 2}, 24, 3, 3, 199),
    "cka": ("cka", {"n_halvings": 2}, 24, None, 3, 199),
    "pls": ("pls", {"n_components": 1, "inner_folds": 2}, 24, None, 2, 39),
}


def p_of_noise(case: str, n_models: int, *, free: bool = False) -> tuple[list[float], int]:
    """p of models that have nothing to do with a brain, and B; ``free``: groups are not heeded."""
    metric, settings, n_stimuli, size, n_layers, n_permutations = UNIFORM[case]
    groups = None if size is None else [number // size for number in range(n_stimuli)]
    comparison = isocortex.load_metric(metric).against(brain(n_stimuli, 4, groups), settings=settings, preparation=FEW)
    alike = groups if case.endswith("grouped") else None
    heeded = alike is not None and not free
    exchangeable = Exchangeable.of([str(group) for group in alike] if heeded else ids_of(n_stimuli))
    return [
        zero(comparison, noise(n_stimuli, n_layers, 4, seed, alike), exchangeable, n_permutations)["p"]
        for seed in range(n_models)
    ], n_permutations


@pytest.mark.long
@pytest.mark.parametrize("case", UNIFORM)
def test_p_of_200_models_of_noise_is_uniform(case: str) -> None:
    p, n_permutations = p_of_noise(case, 200)
    assert ks(p, n_permutations) > 0.01


@pytest.mark.long
def test_p_is_not_uniform_where_groups_are_not_heeded() -> None:
    """The guard of the test above: features and responses that are alike within groups are taken for related."""
    p, n_permutations = p_of_noise("rsa, grouped", 70, free=True)
    assert ks(p, n_permutations) < 1e-4


def test_p_of_a_few_models_of_noise_is_spread_and_signal_is_found() -> None:
    p, n_permutations = p_of_noise("rsa", 25)
    assert ks(p, n_permutations) > 0.01
    generator = np.random.default_rng(3)
    features = generator.standard_normal((30, 4))
    values = features @ generator.standard_normal((4, 4)) + generator.standard_normal((30, 4))
    layers = {"layer": Activations("layer", ids_of(30), [features])}
    for metric in ("ridge", "rsa", "cka", "procrustes"):
        comparison = isocortex.load_metric(metric).against(make_responses(values, ids_of(30)), preparation=FEW)
        found = zero(comparison, layers, Exchangeable.of(ids_of(30)), 99)
        assert found["p"] == 0.01, metric
        assert found["calibrated"] > 0.2, metric
        assert found.get("p_participants") is None, "one brain"
    of_two = isocortex.load_metric("ridge").against(
        make_responses(values, ids_of(30), neuroid={"subject": ["a", "a", "b", "b"]}), preparation=FEW
    )
    assert zero(of_two, layers, Exchangeable.of(ids_of(30)), 99)["p_participants"] == 0.25


# --- what grows by itself ---------------------------------------------------------------------------------------------


def of_noise(metric: str, n_stimuli: int, n_layers: int, width: int, n_models: int, n: int) -> tuple[Any, Any]:
    """Values and calibrated values of models that have nothing to do with a brain."""
    comparison = isocortex.load_metric(metric).against(brain(n_stimuli, 20), preparation=FEW)
    free = Exchangeable.of(ids_of(n_stimuli))
    found = [zero(comparison, noise(n_stimuli, n_layers, width, seed), free, n) for seed in range(n_models)]
    return np.array([one["value"] for one in found]), np.array([one["calibrated"] for one in found])


@pytest.mark.long
@pytest.mark.parametrize(("metric", "grows"), [("brainscore-cka-biased", True), ("procrustes", True), ("cka", False)])
def test_calibrated_values_of_noise_are_0_however_wide_a_layer_is(metric: str, grows: bool) -> None:
    values, calibrated_values = zip(
        *(of_noise(metric, 60, 1, width, 12, 49) for width in (10, 100, 1000, 10_000)), strict=True
    )
    means = [float(value.mean()) for value in values]
    assert all(abs(float(value.mean())) <= 0.02 for value in calibrated_values)
    if grows:
        assert means == sorted(means)
        assert means[-1] > means[0] + 0.05
    else:
        assert all(abs(mean) <= 0.02 for mean in means)


@pytest.mark.long
@pytest.mark.parametrize("metric", ["rsa", "cka"])
def test_the_best_of_43_layers_of_noise_is_high_and_its_calibrated_value_is_not(metric: str) -> None:
    """Seven stimuli are too few for halves, so that the best layer is chosen on what it is judged on."""
    (one, _), (many, above) = (of_noise(metric, 7, n_layers, 5, 60, 99) for n_layers in (1, 43))
    assert abs(one.mean()) < 0.1
    assert many.mean() > 0.3
    assert abs(above.mean()) < 3 * above.std() / np.sqrt(60)
    assert abs(above.mean()) < 0.05
