"""A metric on its way through the checks, and the data that it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.activations import Activations
from isocortex.catalogue import Catalogue
from isocortex.dataset import Dataset
from isocortex.interfaces import Comparison, MetricPlugin
from isocortex.manifest import MetricCard
from isocortex.testing.outcomes import CheckSkipped
from isocortex.testing.rows import RowUnderTest, made, skip_unless
from isocortex.testing.synthetic import synthetic_dataset, synthetic_features

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray[Any, Any]

N_STIMULI = 60
N_UNITS = 20
N_NOISE_SEEDS = 20
N_NOISE_LAYERS = 8
SNR = 4.0
N_DRAWS = 20


class MetricUnderTest:
    """A metric plugin with what several checks need of it."""

    def __init__(self, name: str, make: Callable[[], MetricPlugin]) -> None:
        self.name = name
        self._make = make

    @classmethod
    def of(cls, metric: str | MetricPlugin) -> MetricUnderTest:
        """The metric of an ID or an object."""
        if isinstance(metric, MetricPlugin):
            return cls(metric.card.id, lambda: metric)
        return cls.of_row(RowUnderTest(Catalogue.discover().find("metric", metric)))

    @classmethod
    def of_row(cls, row: RowUnderTest) -> MetricUnderTest:
        """The metric of a row."""
        return cls(row.row.id, lambda: row.plugin)

    def make(self) -> MetricPlugin:
        """Make the plugin object."""
        return self._make()

    @cached_property
    def plugin(self) -> MetricPlugin:
        """The plugin object; where it cannot be made, the check is skipped."""
        return made(self._make)

    @property
    def card(self) -> MetricCard:
        """The card of the metric."""
        return self.plugin.card

    def kinds(self) -> list[str]:
        """Kinds of data that it takes and that can be made up."""
        found = [kind for kind in self.card.accepts if kind != "trials"]
        if not found:
            raise CheckSkipped("It takes trials only, which the kit does not make up.")
        return found

    def against(self, target: Dataset | xr.DataArray) -> Comparison:
        """Prepare a target, with few bootstrap draws; where that fails, the check is skipped."""
        try:
            comparison = self.plugin.against(target, settings={}, seed=0)
            comparison.rules = replace(comparison.rules, n_draws=N_DRAWS)
        except Exception as error:
            raise skip_unless("related", error) from error
        return comparison

    def scored(self, target: Dataset | xr.DataArray, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Raw scores; where scoring fails, the check is skipped."""
        comparison = self.against(target)
        try:
            return comparison.score(activations)
        except Exception as error:
            raise skip_unless("related", error) from error

    @cached_property
    def noise_values(self) -> dict[str, Array]:
        """Kind of data → values (N_NOISE_SEEDS,) of noise features for responses that are noise."""
        return {
            kind: np.array([self._noise_value(kind, seed) for seed in range(N_NOISE_SEEDS)]) for kind in self.kinds()
        }

    def _noise_value(self, kind: str, seed: int) -> float:
        target, features = noise_dataset(kind, seed), noise_features(seed, layer=0)
        try:
            return value_of(self.against(target), activations_of(target, features))
        except CheckSkipped:
            raise
        except Exception as error:
            raise skip_unless("related", error) from error


def related(kind: str, seed: int) -> tuple[Dataset, Array]:
    """A data set, and the features (n_stimuli, n_units) that it responds to."""
    features = synthetic_features(N_STIMULI, N_UNITS, seed)
    return synthetic_dataset(kind, N_STIMULI, features=features, snr=SNR, seed=seed), features


def noise_dataset(kind: str, seed: int) -> Dataset:
    """A data set that responds to nothing."""
    return synthetic_dataset(kind, N_STIMULI, features=None, seed=seed)


def noise_features(seed: int, layer: int) -> Array:
    """Features (n_stimuli, n_units) that have nothing to do with any data set of the kit."""
    return synthetic_features(N_STIMULI, N_UNITS, 10_000 + seed * N_NOISE_LAYERS + layer)


def activations_of(target: Dataset, features: Array, layer: str = "layer") -> Activations:
    """Features as activations for the stimuli of a data set."""
    return Activations(layer, target.stimuli.ids, [features])


def value_of(comparison: Comparison, activations: Activations) -> float:
    """The value of the summary of one layer."""
    value = comparison.summarise(comparison.score_all({activations.layer: activations})).value
    return float("nan") if value is None else value
