"""What Brain-Score's regression metrics share: predictions of test stimuli, correlated, median over neuroids, mean over
splits, related to the internal consistency of the responses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from isocortex.activations import Activations
from isocortex.interfaces import Comparison, Preparation, Resampled, Split
from isocortex.scoring import (
    PermutedChoice,
    by_blocks,
    codes_of,
    distinct_layers,
    draw_counts,
    growing_blocks,
    optimistic_criterion,
    score_layers,
    unit_criterion,
    widened,
)
from isocortex.typing import Array
from isocortex_metrics.brainscore.ceiling import InternalConsistency, aggregate_splits
from isocortex_metrics.brainscore.fits import correlations
from isocortex_metrics.brainscore.splits import SEED, PermutedRows, Rows, brainscore_splits
from isocortex_metrics.numerics.draws import first_order_share, moved
from isocortex_metrics.numerics.influence import holds_influence, role_in_test
from isocortex_metrics.numerics.per_layer import PerLayer
from isocortex_metrics.target.splits import stack_tests

if TYPE_CHECKING:
    import xarray as xr


#: bytes of the scores of a block of permutations
_BLOCK_BYTES = 64 * 1024**2
ERROR_KIND = "standard error over splits (their standard deviation, by n, over the root of their number)"


class SplitMedians(Comparison):
    """Scores whose value is the mean over splits of the median over neuroids, participants pooled."""

    statistic = "r"
    measure = "score"
    aggregates = ("median-mean",)
    error_kind = ERROR_KIND

    def collapse(self, values: xr.DataArray, measure: str) -> xr.DataArray:
        """Median over neuroids, mean over splits; other measures, such as alpha, as for any metric."""
        if measure != self.measure:
            return super().collapse(values, measure)
        along = values.transpose("split", "neuroid", ..., missing_dims="ignore")
        n_reduced = len({"split", "neuroid"} & set(values.dims))
        flat = along.values.reshape(*along.shape[:n_reduced], -1)
        found = np.array([aggregate_splits(flat[..., place])[0] for place in range(flat.shape[-1])])
        like = along.isel({dim: 0 for dim in ("split", "neuroid") if dim in along.dims}, drop=True)
        return like.copy(data=found.reshape(like.shape))

    def spread(self, readout: xr.DataArray, measure: str) -> tuple[float, str] | None:
        """The standard deviation over splits over the root of their number, as published."""
        if measure != self.measure or readout.sizes.get("split", 1) == 1:
            return None
        return aggregate_splits(readout.transpose("split", ...).values)[1], self.error_kind


class Predicted(NamedTuple):
    """What a regression gives for one split.

    Attributes
    ----------
    deviation
        (n_test, n_neuroids) float64: the prediction less the offset; exactly constant where there is none.
    offset
        (n_neuroids,) what is added for the prediction, or 0.
    facts
        Numbers about the fit, by name.
    training_role
        Gradient (n_test, n_neuroids) of a statistic with the predictions → influence (n_train, n_neuroids) of the
        training stimuli on it; None: not known.
    """

    deviation: Array
    offset: Array | float
    facts: Mapping[str, float] = {}
    training_role: Callable[[Array], Array] | None = None


class Regression(ABC):
    """A way to predict responses from a layer."""

    @abstractmethod
    def prepare(self, layer: Activations, stimulus_id: Sequence[str]) -> Any:
        """Read a layer once: whatever ``predict`` needs of it, for all splits."""

    @abstractmethod
    def predict(
        self, prepared: Any, responses: Array, splits: Sequence[Split], *, inner: bool = False
    ) -> Iterator[Predicted]:
        """Fit and predict each split; ``inner`` ones, within training stimuli, may be fitted with less."""

    def deviations(self, prepared: Any, brains: Array, splits: Sequence[Split], *, inner: bool = False) -> Array:
        """Predict several sets of responses (n_brains, n_stimuli, n_neuroids) to the same stimuli.

        Returns
        -------
        (n_brains, n_splits, n_test, n_neuroids) of ``Predicted.deviation``, NaN beyond a short test part.
        """
        return np.stack(
            [
                stack_tests([part.deviation for part in self.predict(prepared, responses, splits, inner=inner)])
                for responses in brains
            ]
        )

    def size_of(self, prepared: Any) -> int:
        """Bytes of what ``prepare`` gives, where it may be kept for many permutations."""
        parts = prepared if isinstance(prepared, tuple) else (prepared,)
        return sum(int(getattr(part, "nbytes", 0)) for part in parts)

    def facts(self, layer: Activations) -> dict[str, float]:
        """Numbers that belong to the scores of a layer."""
        del layer
        return {}


def _median_draws(r: Array, influence: Array, counts: Array) -> Array:
    """(n_draws,): mean over splits of the median over neuroids whose r (n_splits, n_neuroids) is not NaN."""
    known = ~np.isnan(r)
    total = np.zeros(len(counts))
    for of_split, own, valid in zip(r, influence, known, strict=True):
        if valid.any():
            total += np.median(moved(of_split[valid], own[:, valid].astype(np.float64), counts), axis=1)
    return total / max(1, int(known.any(axis=1).sum()))


class RegressionComparison(SplitMedians):
    """A regression against one set of responses, judged as Brain-Score does.

    Parameters
    ----------
    rows
        Responses in the order on which splits are drawn (``brainscore_rows``).
    canonical
        The stimuli in canonical order, in which ``test_stimulus`` counts.
    splits
        Of the rows.
    regression
        What predicts them.
    ceiling
        Of the responses; None where they have no repetitions.
    inner_folds
        Folds of each split's training stimuli on which a layer is chosen; 0: the best layer is marked optimistic.
    attrs
        How the splits were drawn, for the scores.
    preparation
        As for ``Comparison``.
    """

    ceiling_modes = ("r2_over_c", "r_over_c_squared")
    default_permutations = 99

    def __init__(
        self,
        rows: Rows,
        canonical: Sequence[str],
        splits: Sequence[Split],
        regression: Regression,
        *,
        ceiling: InternalConsistency | None = None,
        inner_folds: int = 0,
        attrs: Mapping[str, str] | None = None,
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(preparation)
        self.rows = rows
        self.n_stimuli = len(rows.stimulus_id)
        self.splits, self.split_ids = list(splits), rows.stimulus_id
        self.regression = regression
        self.ceiling = ceiling
        self.inner_folds = inner_folds
        self.attrs = {"target": "pooled", **(attrs or {})}
        self.rows_of = PermutedRows(rows.stimulus_id, canonical)
        self.canonical_place = self.rows_of.canonical_place
        self.choosing = False

    # --- scores -------------------------------------------------------------------------------------------------------

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Fit and test every split for one layer.

        Returns
        -------
        score (Pearson r; NaN where prediction or response does not vary) and null (where it is NaN), both ("split",
        "neuroid"); prediction ("split", "test", "neuroid"), NaN beyond a short fold, where ``keep`` asks for it, with
        test_stimulus: places in the canonical order, -1 beyond a short fold; with it, of regressions that know it,
        influence ("split", "stimulus", "neuroid"): what each stimulus does to the score. Where ``score_all`` chooses
        among layers, selection ("split", "neuroid"): the mean r over folds of the training stimuli.

        Raises
        ------
        AlignmentError, DataError
            A stimulus has no activations, they are not finite, or the regression needs more training stimuli.
        """
        import xarray as xr

        layer = activations if isinstance(activations, Activations) else Activations.from_xarray(activations)
        found = self.scores_of(self.regression.prepare(layer, self.rows.stimulus_id))
        facts = found.pop("facts")
        if "alpha" in facts and "alpha" in self.keep:
            shape = found["score"][1].shape
            for name, kind in (("alpha", np.float64), ("alpha_at_bound", np.int8)):
                found[name] = (("split", "neuroid"), np.full(shape, facts[name][:, None], dtype=kind))
        tested = stack_tests([self.canonical_place[split.test] for split in self.splits])
        return xr.Dataset(
            found,
            coords={**self.rows.neuroid.coords, "test_stimulus": (("split", "test"), tested)},
            attrs={"layer": layer.layer, **self.attrs, **self.regression.facts(layer)}
            | {name: int(values.min()) for name, values in facts.items() if name == "n_components_found"},
        )

    def scores_of(self, prepared: Any) -> dict[str, Any]:
        """Dims and values of scores, and of the selection where a layer is chosen; under "facts" those of the fits."""
        found: dict[str, Any] = {}
        facts = self._outer(prepared, found)
        if self.choosing:
            found["selection"] = (("split", "neuroid"), self._selection(prepared))
        return {**found, "facts": facts}

    def _outer(self, prepared: Any, found: dict[str, Any]) -> dict[str, Array]:
        """Put the scores, and the predictions if they are kept, among what was found; return facts per split."""
        scores: list[Array] = []
        predictions: list[Array] = []
        influences: list[Array] = []
        facts: dict[str, list[float]] = {}
        parts = self.regression.predict(prepared, self.rows.values, self.splits)
        for split, part in zip(self.splits, parts, strict=True):
            scores.append(correlations(part.deviation, self.rows.values[split.test]))
            for name, value in part.facts.items():
                facts.setdefault(name, []).append(value)
            if "prediction" in self.keep:
                predictions.append(part.deviation + part.offset)
                if part.training_role is not None and holds_influence(len(self.splits), *self.rows.values.shape):
                    influences.append(self._influence(split, part))
        r = np.stack(scores)
        found["score"] = (("split", "neuroid"), r)
        found["null"] = (("split", "neuroid"), np.isnan(r))
        if predictions:
            found["prediction"] = (("split", "test", "neuroid"), stack_tests(predictions))
        if influences:
            found["influence"] = (("split", "stimulus", "neuroid"), np.stack(influences))
        return {name: np.array(values) for name, values in facts.items()}

    def _influence(self, split: Split, part: Predicted) -> Array:
        """(n_stimuli, n_neuroids) float32 in canonical order: what each stimulus does to r, in test or training."""
        assert part.training_role is not None
        found = np.zeros((self.n_stimuli, self.rows.values.shape[1]), dtype=np.float32)
        role = role_in_test(part.deviation, self.rows.values[split.test])
        found[self.canonical_place[split.test]] = role.influence
        found[self.canonical_place[split.train]] = part.training_role(role.gradient)
        return found

    def resample(self, scores: xr.Dataset, n_draws: int, seed: int) -> Resampled | None:
        """Bootstrap over stimuli, of regressions that say what each does to r; participants are pooled, as published.

        None where what stimuli do is too much to be held (``holds_influence``).
        Each draw is the mean over splits of the median over neuroids, as the value is.
        """
        scores = self.layered(scores)
        if "influence" not in scores or scores.attrs["measure"] != self.measure:
            return None
        counts = draw_counts(self.n_stimuli, n_draws, seed, "stimuli")
        r = scores["readout"].transpose("split", "neuroid").values
        influence = scores["influence"].transpose("split", "stimulus", "neuroid").values
        value = np.array([aggregate_splits(r)[0]])
        if np.isnan(value).all():
            return None
        draws = by_blocks(lambda some: _median_draws(r, influence, some), counts)[:, None]
        return Resampled(widened(draws, value, first_order_share(draws, value))[:, 0], "stimuli")

    def _selection(self, prepared: Any) -> Array:
        """(n_splits, n_neuroids): mean r over folds of each split's training stimuli."""
        folds = self._folds
        parts = self.regression.predict(prepared, self.rows.values, folds, inner=True)
        r = np.array(
            [correlations(part.deviation, self.rows.values[fold.test]) for fold, part in zip(folds, parts, strict=True)]
        )
        return _mean_of_folds(r.reshape(len(self.splits), self.inner_folds, -1))

    def of_brains(self, prepared: Any, brains: Array) -> tuple[Array, Array | None]:
        """Scores and selection of several sets of responses to the same stimuli, all splits of all of them at once.

        Parameters
        ----------
        prepared
            A layer, read by the regression.
        brains
            (n_brains, n_stimuli, n_neuroids), stimuli in the order of ``rows``.

        Returns
        -------
        score and selection, both (n_brains, n_splits, n_neuroids); None where no layer is chosen.
        """
        score = self._correlated(prepared, brains, self.splits)
        if not self.choosing:
            return score, None
        r = self._correlated(prepared, brains, self._folds, inner=True)
        return score, _mean_of_folds(r.reshape(len(brains), len(self.splits), self.inner_folds, -1))

    def _correlated(self, prepared: Any, brains: Array, splits: Sequence[Split], *, inner: bool = False) -> Array:
        """(n_brains, n_splits, n_neuroids): r over the test stimuli of each split."""
        found = self.regression.deviations(prepared, brains, splits, inner=inner)
        n_brains, _, n_neuroids = brains.shape
        r = np.empty((n_brains, len(splits), n_neuroids))
        for number, split in enumerate(splits):
            own = found[:, number, : len(split.test)].transpose(1, 0, 2).reshape(len(split.test), -1)
            tested = brains[:, split.test].transpose(1, 0, 2).reshape(len(split.test), -1)
            r[:, number] = correlations(own, tested).reshape(n_brains, n_neuroids)
        return r

    @cached_property
    def _folds(self) -> list[Split]:
        return [fold for split in self.splits for fold in self._inner(split)]

    def _inner(self, split: Split) -> list[Split]:
        """Folds of the training stimuli of a split, stratified as it is where every stratum is large enough."""
        labels = None if self.rows.labels is None else self.rows.labels[split.train]
        if labels is not None and np.unique(labels, return_counts=True)[1].min() < self.inner_folds:
            labels = None
        folds = brainscore_splits(len(split.train), labels, n_splits=self.inner_folds, seed=SEED, kfold=True)
        return [Split(split.train[fold.train], split.train[fold.test]) for fold in folds]

    def score_all(self, layers: Mapping[str, Activations]) -> xr.Dataset:
        """Score all layers; with more than one, the layer is chosen on folds of each split's training stimuli."""
        return score_layers(self.searching(layers), layers)

    def searching(self, layers: Mapping[str, Activations]) -> RegressionComparison:
        """With more than one layer, a comparison that gives the selection."""
        if not self.inner_folds or len({layer.digest for layer in layers.values()}) < 2:
            return self
        comparison = copy(self)
        comparison.choosing = True
        return comparison

    # --- chance -------------------------------------------------------------------------------------------------------

    def permuted(self, order: Array) -> RegressionComparison:
        """The averaged responses of the stimuli in another order; nothing is kept beside the scores."""
        other = self.keeping()
        other.rows = self.rows._replace(values=self.rows.values[self.rows_of(order)])
        return other

    def permuted_readouts(self, layers: Mapping[str, Activations], orders: Array) -> Iterator[xr.DataArray]:
        """A fit for each permutation; layers are read once where 256 MB hold what is made of them.

        Memory beyond that: scores and predictions of 20 permutations and more, at most 64 MB of them.
        """
        import xarray as xr

        prepared = PerLayer(
            lambda layer: self.regression.prepare(layer, self.rows.stimulus_id),
            list(distinct_layers(layers)),
            lambda found: self.regression.size_of(found),
        )
        choosing, like = self.searching(layers), self.rows.neuroid
        n_tested = sum(len(split.test) for split in self.splits)
        most = max(1, _BLOCK_BYTES // (8 * 4 * n_tested * self.rows.values.shape[1]))
        for block in growing_blocks(orders, most):
            choice = PermutedChoice()
            brains = np.stack([self.rows.values[self.rows_of(order)] for order in block])
            for found in prepared:
                values, selection = choosing.of_brains(found, brains)
                if selection is not None:
                    choice.offer(values, unit_criterion(selection, like, self.rules))
                else:
                    choice.offer(values, optimistic_criterion(values, codes_of(like), self.rules))
            yield xr.DataArray(choice.values, dims=("draw", "split", "neuroid"), coords=like.coords)


def _mean_of_folds(r: Array) -> Array:
    """Mean over the folds (…, n_folds, n_neuroids) that have one."""
    valid = ~np.isnan(r)
    n = valid.sum(axis=-2)
    return np.where(n > 0, np.where(valid, r, 0.0).sum(axis=-2) / np.maximum(n, 1), np.nan)
