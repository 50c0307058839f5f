"""Checks of a metric on made-up responses and RDMs: it finds what is there, nothing in noise, and aligns by name.

A metric on trials needs trials that only its own package can make up; those of its checks that need data are skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from isocortex.activations.layer import Activations
from isocortex.data.dataset import Dataset
from isocortex.errors import AlignmentError, DataError, SettingsError, shorten
from isocortex.scoring.stats import DRAWS
from isocortex.scoring.summary import Summary
from isocortex.testing.metric_runs import (
    N_NOISE_LAYERS,
    N_NOISE_SEEDS,
    N_STIMULI,
    SNR,
    TOLERANCE,
    MetricUnderTest,
    activations_of,
    noise_dataset,
    noise_features,
    related,
    scores_problem,
    value_of,
)
from isocortex.testing.outcomes import CheckFailed, CheckSkipped, described, expect
from isocortex.testing.rows import skip_unless
from isocortex.typing import Array

if TYPE_CHECKING:
    import xarray as xr


KINDS = ("responses", "rdm", "trials")
N_RELATED_SEEDS = 3
#: seeds after which the best of several noise layers is looked at no further, if its mean is not above 0: overlooked
#: so are 2 % of the leaks that all seeds would show half of the time, and below 0.1 % of those that they show in 99 %
N_FIRST_SEEDS = 10
#: standard errors by which the mean score of noise may lie above 0: by chance in 1 of 270 correct metrics (Student's t
#: with 19 degrees of freedom, one-sided)
N_STANDARD_ERRORS = 3.0
TARGETS = ("participant", "group-mean", "pooled")


# --- finding what is there --------------------------------------------------------------------------------------------


def check_related(metric: MetricUnderTest) -> None:
    """Features that the brain responds to have finite scores, above those of noise."""
    metric.make()
    for kind in metric.kinds():
        values: list[float] = []
        for seed in range(N_RELATED_SEEDS):
            target, features = related(kind, seed)
            values.append(value_of(metric.prepared(target), activations_of(target, features)))
        expect(np.isfinite(values).all(), f"Features that {kind} depend on must have finite values; found {values}.")
        try:
            noise = metric.noise_values[kind]
        except CheckSkipped as error:
            raise CheckFailed(
                f"Noise features must have scores too; found {described(error.__cause__ or error)}"
            ) from error
        expect(
            min(values) > np.nanmean(noise) + 2 * np.nanstd(noise),
            f"Features that {kind} depend on (signal-to-noise ratio {SNR:g}) must score above features that they do "
            f"not depend on; found {np.round(values, 3).tolist()}, and {_spread(noise)} for noise.",
        )


def _spread(values: Array) -> str:
    return f"{np.nanmean(values):.3f} ± {np.nanstd(values, ddof=1):.3f} (standard deviation)"


def check_noise(metric: MetricUnderTest) -> None:
    """Noise features score nothing: over seeds, the mean lies at most three standard errors above 0."""
    _skip_biased(metric)
    for kind, values in metric.noise_values.items():
        _expect_nothing(values, f"one layer of noise against {kind}")


def check_noise_layers(metric: MetricUnderTest) -> None:
    """Nor does the best of several noise layers, where the metric says that its choice is nested."""
    _skip_biased(metric)
    optimistic: list[str] = []
    for kind in metric.kinds():
        values: list[float] = []
        for seed in range(N_NOISE_SEEDS):
            summary = _noise_layers_summary(metric, kind, seed)
            if not summary.layer_rule.startswith("nested"):
                optimistic.append(f"{summary.layer_rule} ({kind})")
                break
            values.append(np.nan if summary.value is None else summary.value)
            if len(values) == N_FIRST_SEEDS and np.mean(values) <= 0:
                break
        else:
            what = f"the layer chosen among {N_NOISE_LAYERS} layers of noise against {kind}"
            _expect_nothing(np.array(values), what)
    if optimistic:
        raise CheckSkipped(f"Its choice of a layer is marked as {' and '.join(optimistic)}, which does not claim 0.")


def _skip_biased(metric: MetricUnderTest) -> None:
    if not metric.card.unbiased:
        raise CheckSkipped("Its card says that noise scores above 0 (unbiased = false).")


def _noise_layers_summary(metric: MetricUnderTest, kind: str, seed: int) -> Summary:
    target = noise_dataset(kind, seed)
    layers = {
        f"layer.{number}": activations_of(target, noise_features(seed, number), f"layer.{number}")
        for number in range(N_NOISE_LAYERS)
    }
    comparison = metric.against(target)
    try:
        return comparison.summarise(comparison.score_all(layers))
    except Exception as error:
        raise skip_unless("summary", error) from error


def _expect_nothing(values: Array, what: str) -> None:
    expect(np.isfinite(values).all(), f"Scores of {what} must be finite; found {values.tolist()}.")
    mean = float(values.mean())
    standard_error = float(values.std(ddof=1)) / np.sqrt(len(values))
    expect(
        mean <= N_STANDARD_ERRORS * standard_error + TOLERANCE,
        f"Expected nothing for {what}: a mean over {len(values)} seeds at most {N_STANDARD_ERRORS:g} standard errors "
        f"({standard_error:.4f}) above 0; found {mean:.4f}. Does something that is tested on take part in the fit?",
    )


# --- settings, kinds and alignment ------------------------------------------------------------------------------------


def check_settings(metric: MetricUnderTest) -> None:
    """A setting that the metric does not know is refused."""
    kind = next(iter(metric.card.accepts))
    _expect_refused(
        SettingsError,
        lambda: metric.plugin.against(related_or_trials(kind), settings={"no-such-setting": 1}, seed=0),
        "against() with the setting 'no-such-setting'",
    )


def related_or_trials(kind: str) -> Dataset:
    """Made-up data of any kind."""
    return related(kind, 0)[0] if kind != "trials" else noise_dataset(kind, 0)


def check_accepts(metric: MetricUnderTest) -> None:
    """Data of a kind that the card does not name are refused."""
    others = [kind for kind in KINDS if kind not in metric.card.accepts]
    if not others:
        raise CheckSkipped("It takes data of every kind.")
    for kind in others:
        _expect_refused(
            DataError,
            lambda kind=kind: metric.plugin.against(related_or_trials(kind), settings={}, seed=0),
            f"against() with {kind}, which 'accepts' does not name,",
        )


def check_alignment(metric: MetricUnderTest) -> None:
    """Activations for other stimuli, or for some of them only, are refused."""
    for kind in metric.kinds():
        target, features = related(kind, 0)
        names = target.stimuli.ids
        comparison = metric.against(target)
        cases = {
            "without the last stimulus": Activations("layer", names[:-1], [features[:-1]]),
            "of other stimuli": Activations("layer", [f"other-{name}" for name in names], [features]),
        }
        for case, activations in cases.items():
            _expect_refused(
                AlignmentError,
                partial(comparison.score, activations),
                f"score() with activations {case}",
            )


def check_not_finite(metric: MetricUnderTest) -> None:
    """Activations with NaN are refused."""
    for kind in metric.kinds():
        target, features = related(kind, 0)
        damaged = features.copy()
        damaged[1, 2] = np.nan
        comparison = metric.against(target)
        _expect_refused(
            DataError,
            partial(comparison.score, activations_of(target, damaged)),
            "score() with NaN in the activations",
        )


def _expect_refused(kind: type[Exception], action: Callable[[], object], what: str) -> None:
    try:
        action()
    except kind:
        return
    except Exception as error:
        raise CheckFailed(f"{what} must raise {kind.__name__}; found {described(error)}") from error
    raise CheckFailed(f"{what} must raise {kind.__name__}; nothing was raised.")


# --- what must not matter ---------------------------------------------------------------------------------------------


def check_determinism(metric: MetricUnderTest) -> None:
    """The same target, settings and seed give the same scores twice."""
    for first, second in metric.repeated.values():
        _expect_equal(first, second, "two runs with one seed")


def check_row_order(metric: MetricUnderTest) -> None:
    """The order of the rows of activations does not matter: they are found by stimulus_id."""
    for kind in metric.kinds():
        target, features = related(kind, 0)
        order = np.random.default_rng(0).permutation(N_STIMULI)
        names = [target.stimuli.ids[place] for place in order]
        found = metric.scored(target, Activations("layer", names, [features[order]]))
        _expect_equal(metric.stable_scores(kind), found, "activations in canonical and in another order of rows")


def check_neuroid_order(metric: MetricUnderTest) -> None:
    """The order of neuroids, or of the subjects of RDMs, does not matter: scores carry their names."""
    for kind in metric.kinds():
        target, features = related(kind, 0)
        data = target.responses if target.responses is not None else target.rdm
        assert data is not None
        dim = "neuroid" if kind == "responses" else "subject"
        order = np.random.default_rng(1).permutation(data.sizes[dim])
        turned = replace(target, **{kind: data.isel({dim: order})})
        found = metric.scored(turned, activations_of(turned, features))
        _expect_equal(metric.stable_scores(kind), found, f"{dim}s in two orders")


def check_arrays(metric: MetricUnderTest) -> None:
    """Plain DataArrays, as in a notebook, give what a data set and stored activations give."""
    import xarray as xr

    if "responses" not in metric.kinds():
        raise CheckSkipped("It takes no responses.")
    target, features = related("responses", 0)
    assert target.responses is not None
    coordinates = {"stimulus_id": ("presentation", list(target.stimuli.ids))}
    plain = xr.DataArray(features, dims=("presentation", "unit"), coords=coordinates)
    first = metric.stable_scores("responses")
    try:
        second = metric.plugin.against(target.responses, settings={}, seed=0).score(plain)
    except Exception as error:
        raise CheckFailed(f"against() and score() must take DataArrays; found {described(error)}") from error
    _expect_equal(first, second, "a data set with activations and plain DataArrays")


def _expect_equal(expected: xr.Dataset, found: xr.Dataset, between: str) -> None:
    problem = scores_problem(expected, found)
    expect(problem is None, f"{between} must give the same scores (to {TOLERANCE:g}); {problem}.")


# --- the summary ------------------------------------------------------------------------------------------------------


def check_summary(metric: MetricUnderTest) -> None:
    """The summary of several layers names its statistic, target, layers and counts, and its numbers fit each other."""
    for kind in metric.kinds():
        target, features = related(kind, 0)
        layers = {
            "related": activations_of(target, features, "related"),
            "noise": activations_of(target, noise_features(0, 0), "noise"),
        }
        comparison = metric.against(target)
        try:
            summary = comparison.summarise(comparison.score_all(layers))
        except Exception as error:
            raise CheckFailed(f"score_all() and summarise() must take two layers; found {described(error)}") from error
        expect(isinstance(summary, Summary), f"summarise() must return a Summary; found {type(summary).__name__}.")
        problems = list(_summary_problems(summary, tuple(layers), target))
        expect(not problems, f"The summary for {kind} must hold its context: {'; '.join(problems)}.")


def _summary_problems(summary: Summary, layers: Sequence[str], target: Dataset) -> Iterator[str]:
    low, high = summary.interval_low, summary.interval_high
    rules: dict[str, bool] = {
        "statistic is empty": not summary.statistic,
        f"target is {summary.target!r}, not one of {', '.join(TARGETS)}": summary.target not in TARGETS,
        f"value is {summary.value}": summary.value is None or not np.isfinite(summary.value),
        "layer_rule is empty": not summary.layer_rule,
        f"n_layers_searched is {summary.n_layers_searched} for {len(layers)} layers": (
            summary.n_layers_searched != len(layers)
        ),
        f"best_layer is {summary.best_layer!r}": summary.best_layer not in layers,
        f"the curve has the layers {shorten(item.name for item in summary.layers)}": (
            {item.name for item in summary.layers} != set(layers)
        ),
        f"n_stimuli is {summary.n_stimuli} for {len(target.stimuli)}": summary.n_stimuli != len(target.stimuli),
        "an error without error_kind": summary.error is not None and summary.error_kind in ("", "none"),
        "half an interval": (low is None) != (high is None),
        f"an interval from {low} to {high}": low is not None and high is not None and low > high,
        "half an interval of the ceiled value": (summary.ceiled_low is None) != (summary.ceiled_high is None),
        "an interval without what was resampled": low is not None and summary.resampled in ("", "none"),
        "a ceiling without its estimator": (
            any(item is not None for item in (summary.ceiling, summary.ceiling_lower, summary.ceiling_upper))
            and summary.ceiling_estimator in ("", "none")
        ),
    }
    yield from (problem for problem, found in rules.items() if found)


def check_draws(metric: MetricUnderTest) -> None:
    """The first bootstrap draws are the same however many are drawn, so that a finished result can be given more."""
    for kind in metric.kinds():
        target, features = related(kind, 0)
        comparison = metric.against(target)
        scores = comparison.layered(metric.scored(target, activations_of(target, features)))
        few, many = (comparison.resample(scores, n_draws, 0) for n_draws in (DRAWS, DRAWS + DRAWS // 2))
        if few is None or many is None:
            expect(few is None and many is None, "resample() must give draws whatever their number, or never.")
            continue
        shapes = tuple(found.draws.shape for found in (few, many))
        expect(shapes == ((DRAWS,), (DRAWS + DRAWS // 2,)), f"resample() must give n_draws draws; found {shapes}.")
        same = np.allclose(few.draws, many.draws[:DRAWS], rtol=0, atol=1e-6, equal_nan=True)
        expect(same, f"the first {DRAWS} draws must not depend on how many are drawn; those of {kind} do.")


METRIC_CHECKS: dict[str, Callable[[MetricUnderTest], None]] = {
    "settings": check_settings,
    "accepts": check_accepts,
    "related": check_related,
    "noise": check_noise,
    "noise-layers": check_noise_layers,
    "alignment": check_alignment,
    "not-finite": check_not_finite,
    "determinism": check_determinism,
    "row-order": check_row_order,
    "neuroid-order": check_neuroid_order,
    "arrays": check_arrays,
    "summary": check_summary,
    "draws": check_draws,
}
