"""What metrics share that predict responses: the prepared brain side, assembling scores, the bootstrap, the summary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from isocortex.activations import Activations
from isocortex.data import averaged, stimulus_order
from isocortex.interfaces import Ceiling, Comparison, Preparation, Resampled, Split
from isocortex.scoring import (
    as_layered,
    by_blocks,
    by_participant,
    codes_of,
    draw_counts,
    measure_of,
    over_participants,
    read_out,
    widened,
)
from isocortex.typing import Array
from isocortex_metrics.ceilings.estimators import ESTIMATORS, Estimate, SharedBand, from_repetitions
from isocortex_metrics.ceilings.reliability import (
    ceiling_of_r,
    divisors,
    noise_corrected,
    ratio_by_participant,
    unbiased_reliability,
)
from isocortex_metrics.numerics.arrays import on_device
from isocortex_metrics.numerics.correlation import signed_square, weighted_pearson
from isocortex_metrics.numerics.draws import draws_over_participants, first_order_share, moved, spread_apart
from isocortex_metrics.numerics.explained import explained_variance, mean_squared_error
from isocortex_metrics.numerics.gram import gram_matrix
from isocortex_metrics.numerics.influence import holds_influence
from isocortex_metrics.numerics.primal_ridge import Units
from isocortex_metrics.target.splits import stack_tests

if TYPE_CHECKING:
    import xarray as xr

NoiseCorrection = Literal["ratio-of-aggregates", "per-neuroid", "none"]

#: neuroids whose bootstrap samples are drawn together
_BOOTSTRAP_BLOCK = 512
#: values of one block of features: 16 MB in float64
_BLOCK_VALUES = 2_000_000
#: arrays of scores that have dims of their own
_LARGE = ("prediction", "influence")
#: measures that are made of r, once it is averaged over splits
SQUARED = ("r2", "r2_corrected")
REFITTED = "bootstrap standard deviation, stimuli drawn for training and test alike (infinitesimal jackknife)"
WIDENED = "bootstrap standard deviation, widened for shared training stimuli (Nadeau & Bengio 2003)"


class LinearComparison(Comparison):
    """Predictions of responses, judged neuroid by neuroid over the test stimuli of every split.

    Parameters
    ----------
    responses
        Dims ("presentation", "neuroid"), checked; repetitions are averaged.
    splits
        Of the stimuli in order of appearance.
    noise_correction
        How ``r2_corrected`` is made; with one repetition there is none. It rests on all pairs of repetitions, whichever
        way the ceiling is estimated.
    device
        Where matrix products are formed (see ``arrays.on_device``).
    preparation
        Its rules name the ceiling, one of ``ceilings.estimators``.

    Raises
    ------
    DataError
        A ceiling that these responses do not allow was asked for by name.
    """

    statistic = "r"
    error_kind = WIDENED
    smaller_is_better: ClassVar[frozenset[str]] = frozenset({"mse"})
    ceiling_estimators: ClassVar[tuple[str, ...]] = tuple(ESTIMATORS)
    #: whether fits give "influence": what each stimulus does to r
    knows_influence: ClassVar[bool] = False
    #: measures that ``resample`` can draw
    drawn: tuple[str, ...] = ("r", *SQUARED, "explained_variance", "mse")

    def __init__(
        self,
        responses: xr.DataArray,
        splits: Sequence[Split],
        *,
        noise_correction: NoiseCorrection = "ratio-of-aggregates",
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(preparation)
        on_device(np.zeros(1), device)  # a device that is not there is refused here, before anything is computed
        self.device = device
        self.stimulus_id = stimulus_order(responses)
        self.n_stimuli = len(self.stimulus_id)
        self.responses = averaged(responses)
        self.splits = list(splits)
        self.noise_correction: str = noise_correction
        self.neuroid = responses.isel(presentation=0, drop=True)
        self.reliability: Array | None = None
        self.unbiased: Array | None = None
        repeated = from_repetitions(responses)
        ceiling = self.rules.ceiling
        estimate = repeated if ceiling == "repetitions" else ESTIMATORS[ceiling](responses)
        self.ceiling = estimate and self.ceiling_from(estimate, responses)
        if repeated is not None:
            assert repeated.reliability is not None
            self.reliability = repeated.reliability
            self.unbiased = unbiased_reliability(self.reliability, self.n_stimuli)
            self.neuroid = self.neuroid.assign_coords(reliability=("neuroid", self.reliability))
        elif noise_correction != "none":
            self.noise_correction = "none, for want of repetitions"
        self.made_of = dict.fromkeys(SQUARED if self._corrects else SQUARED[:1], "r")

    def ceiling_from(self, estimate: Estimate, responses: xr.DataArray) -> Ceiling:
        """The ceiling of r that an estimate from the responses gives."""
        if estimate.reliability is None:
            return SharedBand(estimate.name, "r", None, *(estimate.band or (None, None)), responses=responses)
        bound = self.neuroid.copy(data=ceiling_of_r(estimate.reliability))
        return Ceiling(f"square root of the {estimate.name}", "r", bound)

    # --- scores -------------------------------------------------------------------------------------------------------

    def gram(self, activations: Activations) -> Array:
        """Gram matrix (n_stimuli, n_stimuli) of a layer, in the order of the stimuli, on the device."""
        width = max(1, _BLOCK_VALUES // self.n_stimuli)
        return gram_matrix(activations.blocks(self.stimulus_id, width), self.n_stimuli, self.device)

    def features(self, activations: Activations) -> Array | Units:
        """What a split is fitted from: the Gram matrix, or where a comparison can, units that are few."""
        return self.gram(activations)

    def assembled(
        self, parts: Sequence[Mapping[str, Array]], splits: Sequence[Split], attrs: Mapping[str, str]
    ) -> xr.Dataset:
        """One Dataset from what each of some splits gave: (n_neuroids,) values, single numbers, and ``prediction``."""
        import xarray as xr

        found = {name: np.stack([part[name] for part in parts]) for name in parts[0] if name not in _LARGE}
        if "r" in found:
            found |= self.squared(found["r"], np.arange(self.responses.shape[1]))
        variables: dict[str, Any] = {
            name: (("split", "neuroid")[: values.ndim], values) for name, values in found.items()
        }
        if "prediction" in parts[0]:
            stacked = stack_tests([part["prediction"] for part in parts])
            variables["prediction"] = (("split", "test", "neuroid"), stacked)
        if "influence" in parts[0]:
            variables["influence"] = (("split", "stimulus", "neuroid"), np.stack([part["influence"] for part in parts]))
        tested = stack_tests([split.test for split in splits])
        coordinates = {**self.neuroid.coords, "test_stimulus": (("split", "test"), tested)}
        return xr.Dataset(variables, coords=coordinates, attrs={**attrs, **self.split_columns})

    @property
    def _corrects(self) -> bool:
        return self.reliability is not None and self.noise_correction != "none"

    def squared(self, r: Array, columns: Array) -> dict[str, Array]:
        """``r2`` and, with repetitions, ``r2_corrected`` of correlations (…, n_columns) of some of the neuroids."""
        found = {"r2": signed_square(r)}
        if not self._corrects:
            return found
        assert self.reliability is not None
        if self.noise_correction == "per-neuroid":
            return {**found, "r2_corrected": noise_corrected(r, self.reliability[columns])}
        assert self.unbiased is not None
        divisor = divisors(self.unbiased[columns], codes_of(self.neuroid)[columns])
        return {**found, "r2_corrected": found["r2"] / divisor}

    def permuted(self, order: Array) -> LinearComparison:
        """The same with the averaged responses of the stimuli in another order; it keeps nothing beside its scores."""
        other = self.keeping()
        other.responses = self.responses[order]
        return other

    # --- the value ----------------------------------------------------------------------------------------------------

    def collapse(self, values: xr.DataArray, measure: str) -> xr.DataArray:
        """As any metric, but r² and corrected r² are those of each neuroid's r once it is averaged over splits.

        The mean over splits of squares is too large by the variance of r over a fold, (1 − r²)² / n_test.
        """
        if measure not in self.made_of:
            return super().collapse(values, measure)
        per_neuroid = values.mean("split") if "split" in values.dims else values
        along = per_neuroid.transpose(..., "neuroid")
        found = over_participants(self._participants(along.values, measure, along))
        return along.isel(neuroid=0, drop=True).copy(data=found)

    def _participants(self, values: Array, measure: str, like: xr.DataArray) -> Array:
        """Values (…, n_neuroids), means over splits, → (…, n_participants); for measures that are made of r: of r."""
        codes = codes_of(like)
        if measure not in SQUARED:
            return by_participant(values, codes, self.rules.aggregate)
        columns = self._columns(like)
        if measure == "r2_corrected" and self.noise_correction == "ratio-of-aggregates":
            assert self.unbiased is not None
            return ratio_by_participant(signed_square(values), self.unbiased[columns], codes)
        return by_participant(self.squared(values, columns)[measure], codes, self.rules.aggregate)

    def _columns(self, like: xr.DataArray) -> Array:
        """Places of some neuroids, found by name."""
        places = {name: place for place, name in enumerate(self.neuroid["neuroid_id"].values)}
        return np.array([places[name] for name in like["neuroid_id"].values])

    # --- the bootstrap ------------------------------------------------------------------------------------------------

    @property
    def _by_influence(self) -> bool:
        """Whether the fits of this metric say what each stimulus does to the measure, and it can be held."""
        shape = len(self.splits), *self.responses.shape
        return self.knows_influence and measure_of(self) in ("r", *SQUARED) and holds_influence(*shape)

    @property
    def kept_of_fits(self) -> tuple[str, ...]:
        """What fits are asked to give beside their scores: what is kept, and what draws are made of."""
        return (*self.keep, "influence") if "prediction" in self.keep and self._by_influence else self.keep

    def resample(self, scores: xr.Dataset, n_draws: int, seed: int) -> Resampled | None:
        """Bootstrap over stimuli and participants; reliabilities stay as they are.

        Where fits say what each stimulus does to r, as a test and as a part of the training, draws follow that, up to
        1 GB of it (``holds_influence``). Of others they repeat the test alone, and their spread is multiplied by the
        square root of (1/J + n_test/n_train) / (n_test/n_tested) for J splits in which n_tested stimuli are tested in
        all: the variance of Nadeau & Bengio 2003, Machine Learning 52, section 3, over that of independent tests.
        """
        scores = as_layered(self, scores)
        measure, readout = str(scores.attrs["measure"]), scores["readout"]
        counts = draw_counts(self.n_stimuli, n_draws, seed, "stimuli")
        joined = partial(draws_over_participants, n_stimuli=self.n_stimuli, seed=seed, bounded=measure == "r")
        if measure in ("r", *SQUARED) and "influence" in scores:
            found = joined(*self._by_role(scores, measure, counts))
            return found and found._replace(error_kind=REFITTED)
        if measure not in self.drawn or "prediction" not in scores:
            return None
        prediction = _by_split(scores["prediction"]).values  # (n_splits, n_test, n_neuroids)
        per_neuroid = _by_split(self.readout_of(scores, "r") if measure in SQUARED else readout)
        value = self._participants(per_neuroid.mean("split").values, measure, readout)
        spread = widened if measure == "r" else spread_apart
        drawn = by_blocks(
            lambda some: self._participants(self._drawn(scores, prediction, some, measure), measure, readout), counts
        )
        return joined(spread(drawn, value, self._widening()), value)

    def _by_role(self, scores: xr.Dataset, measure: str, counts: Array) -> tuple[Array, Array]:
        """Draws (n_draws, n_participants) by the influence of stimuli on r, and values (n_participants,)."""
        like = scores["readout"]
        r = _by_split(self.readout_of(scores, "r")).mean("split").values
        influence = scores["influence"].mean("split").transpose("stimulus", "neuroid").values.astype(np.float64)
        of_r = partial(self._participants, measure="r", like=like)
        drawn = partial(moved, r, influence)
        draws, value = by_blocks(lambda some: of_r(drawn(some)), counts), of_r(r)
        factor = first_order_share(draws, value)
        if measure == "r":
            return widened(draws, value, factor), value
        of_measure = partial(self._participants, measure=measure, like=like)
        draws, value = by_blocks(lambda some: of_measure(drawn(some)), counts), of_measure(r)
        return spread_apart(draws, value, factor), value

    def _widening(self) -> float:
        n_test = np.mean([len(split.test) for split in self.splits])
        n_train = np.mean([len(split.train) for split in self.splits])
        n_tested = len(np.unique(np.concatenate([split.test for split in self.splits])))
        return float(np.sqrt((1 / len(self.splits) + n_test / n_train) / (n_test / n_tested)))

    def _drawn(self, scores: xr.Dataset, prediction: Array, counts: Array, measure: str) -> Array:
        """(n_draws, n_neuroids): mean over splits of each draw, a block of neuroids at a time.

        A split of which a draw holds one stimulus over and over is left out of it.
        """
        columns = self._columns(scores["readout"])
        null = _by_split(read_out(scores["null"], scores["chosen"])).values
        drawn = np.empty((len(counts), len(columns)))
        for part in _blocks(len(columns)):
            total, n_valid = np.zeros((2, len(counts), len(columns[part])))
            for split, (_, test) in enumerate(self.splits):
                of_test = prediction[split, : len(test), part]
                values = self._split_draws(split, of_test, columns[part], counts[:, test], measure)
                if measure == "r" or measure in SQUARED:
                    values[:, null[split, part]] = 0.0
                valid = np.isfinite(values)
                total += np.where(valid, values, 0.0)
                n_valid += valid
            drawn[:, part] = np.where(n_valid > 0, total / np.maximum(n_valid, 1), np.nan)
        return drawn

    def _split_draws(self, split: int, prediction: Array, columns: Array, counts: Array, measure: str) -> Array:
        """(n_draws, n_columns) of one split; r for the measures that are made of it."""
        response = self.responses[np.ix_(self.splits[split].test, columns)]
        return _WEIGHTED["r" if measure in SQUARED else measure](prediction, response, counts)


_WEIGHTED: dict[str, Callable[[Array, Array, Array], Array]] = {
    "r": weighted_pearson,
    "explained_variance": explained_variance,
    "mse": mean_squared_error,
}


def _by_split(values: xr.DataArray) -> xr.DataArray:
    """With the dim "split" first; values without splits are one."""
    return (values if "split" in values.dims else values.expand_dims("split")).transpose("split", ..., "neuroid")


def _blocks(n_neuroids: int) -> Iterator[slice]:
    return (slice(start, start + _BOOTSTRAP_BLOCK) for start in range(0, n_neuroids, _BOOTSTRAP_BLOCK))
