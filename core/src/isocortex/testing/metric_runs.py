"""A metric on its way through the checks, and the data that it is given."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from isocortex.activations.layer import Activations
from isocortex.catalogue.cards import MetricCard
from isocortex.catalogue.rows import Catalogue
from isocortex.data.dataset import Dataset
from isocortex.interfaces import Comparison, MetricPlugin, Preparation, Rules
from isocortex.testing.outcomes import CheckSkipped
from isocortex.testing.rows import RowUnderTest, made, skip_unless
from isocortex.testing.synthetic import synthetic_dataset, synthetic_features
from isocortex.typing import Array

if TYPE_CHECKING:
    import xarray as xr


N_STIMULI = 60
N_UNITS = 30
N_NOISE_SEEDS = 20
N_NOISE_LAYERS = 8
SNR = 4.0
N_DRAWS = 20
#: largest difference between scores that should be equal; float32 scores may differ by 4 units in the last place of 1
TOLERANCE = 1e-9


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
        if self.card.named_units:
            raise CheckSkipped("It compares units by name, and what the kit makes up has no names.")
        found = [kind for kind in self.card.accepts if kind != "trials"]
        if not found:
            raise CheckSkipped("It takes trials only, which the kit does not make up.")
        return found

    def against(self, target: Dataset | xr.DataArray) -> Comparison:
        """Prepare a target, with few bootstrap draws; where that fails, the check is skipped."""
        try:
            return self.prepared(target)
        except Exception as error:
            raise skip_unless("related", error) from error

    def prepared(self, target: Dataset | xr.DataArray) -> Comparison:
        """Prepare a target, with few bootstrap draws."""
        few = Preparation(Rules(n_draws=N_DRAWS))
        return self.plugin.against(target, settings={}, seed=0, preparation=few)

    def scored(self, target: Dataset | xr.DataArray, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Raw scores; where scoring fails, the check is skipped."""
        comparison = self.against(target)
        try:
            return comparison.score(activations)
        except Exception as error:
            raise skip_unless("related", error) from error

    @cached_property
    def repeated(self) -> dict[str, tuple[xr.Dataset, xr.Dataset]]:
        """Kind of data → raw scores of related features, twice."""
        found: dict[str, tuple[xr.Dataset, xr.Dataset]] = {}
        for kind in self.kinds():
            target, features = related(kind, 0)
            found[kind] = (
                self.scored(target, activations_of(target, features)),
                self.scored(target, activations_of(target, features)),
            )
        return found

    def stable_scores(self, kind: str) -> xr.Dataset:
        """Raw scores of related features; where two runs give different ones, the check is skipped."""
        first, second = self.repeated[kind]
        if scores_problem(first, second) is not None:
            raise CheckSkipped("See determinism, which fails first.")
        return first

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
    """A data set, and the features (n_stimuli, n_units) that it responds to: unit n has the variance 1 / n.

    Some units thus stand for much of a response, so that metrics which compare single units find something, too.
    """
    features = synthetic_features(N_STIMULI, N_UNITS, seed) / np.sqrt(np.arange(1, N_UNITS + 1))
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


def scores_problem(expected: xr.Dataset, found: xr.Dataset) -> str | None:
    """How two sets of raw scores differ beyond the tolerance once neuroids and subjects are matched by name, or None.

    Examples
    --------
    >>> import xarray as xr
    >>> scores_problem(xr.Dataset({"r": 0.5}), xr.Dataset({"r": 0.75}))
    "'r' differs by up to 0.25"
    """
    for name, variable in expected.data_vars.items():
        if name not in found:
            return f"{name!r} is in one only"
        if variable.dtype.kind != "f":
            continue
        first, second = _by_name(variable), _by_name(found[name])
        if first.shape != second.shape:
            return f"{name!r} has shape {first.shape} in one, {second.shape} in the other"
        tolerance = TOLERANCE + (4 * float(np.finfo(np.float32).eps) if variable.dtype == np.float32 else 0.0)
        unequal = ~np.isclose(first, second, rtol=0, atol=tolerance, equal_nan=True)
        if unequal.any():
            return f"{name!r} differs by up to {np.abs(first - second)[unequal].max():.3g}"
    return None


def _by_name(variable: xr.DataArray) -> Array:
    """Values with neuroids and subjects sorted by their names."""
    for dim, coordinate in (("neuroid", "neuroid_id"), ("subject", "subject")):
        if dim in variable.dims and coordinate in variable.coords:
            variable = variable.isel({dim: np.argsort(variable[coordinate].values.astype(str), kind="stable")})
    return variable.values.astype(np.float64)
