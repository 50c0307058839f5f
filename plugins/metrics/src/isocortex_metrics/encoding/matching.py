"""``one-to-one`` and ``soft-matching``: single units against single neuroids, with no linear map between.

Units are matched with neuroids on correlations over the training stimuli, and judged by the correlations of the same
pairs over the test stimuli. One to one every neuroid has a unit of its own; in soft matching (Khosla & Williams 2024)
equal weights of all units go to equal weights of all neuroids, whatever their numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from isocortex.activations import Activations
from isocortex.data import Dataset
from isocortex.errors import SettingsError, shorten
from isocortex.interfaces import Comparison, MetricPlugin, Preparation, Split, check_settings
from isocortex.typing import Array
from isocortex_metrics.encoding.linear_comparison import LinearComparison, NoiseCorrection
from isocortex_metrics.encoding.unit_matching import Scan, one_to_one, transport
from isocortex_metrics.numerics.correlation import pearson
from isocortex_metrics.numerics.gram import centred_responses
from isocortex_metrics.numerics.threads import in_threads
from isocortex_metrics.target.responses import responses_of
from isocortex_metrics.target.splits import SplitSettings, columns_of, draw_splits, folds

if TYPE_CHECKING:
    import xarray as xr

#: correlations that are held rather than formed again; 128 MB
HELD_VALUES = 1 << 24
#: activations of one block, in values; 16 MB in float64
_BLOCK_VALUES = 2_000_000
#: parts of the training stimuli on which layers are compared, each judged after matching on the other
_INNER_FOLDS = 2

Match = Callable[[Scan, int, int], Any]


class MatchingSettings(SplitSettings):
    """Settings of ``one-to-one`` and ``soft-matching``."""

    within: tuple[str, ...] = Field(
        default=("subject",),
        description="columns of neuroids: those that share all of them are matched together, with all units",
    )
    noise_correction: Literal["ratio-of-aggregates", "per-neuroid", "none"] = Field(
        default="ratio-of-aggregates", description="how r2_corrected is made where stimuli were repeated"
    )


class OneToOne(MetricPlugin):
    """Every neuroid against a unit of its own, for responses."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Average repetitions, draw the splits and estimate the ceiling; matching is done on the CPU.

        Raises
        ------
        SettingsError, DataError
            Settings that are not valid, no responses, neuroids without a column of ``within``, too few stimuli for the
            splits, or a ceiling that they do not allow.
        """
        del device
        chosen = check_settings(MatchingSettings, settings, self.card.id)
        responses = responses_of(target, self.card.id)
        splits = list(preparation.splits) or draw_splits(target, responses, chosen, seed)
        comparison = MatchingComparison(
            responses, splits, self.match(), _groups(responses, chosen), chosen.noise_correction, preparation
        )
        comparison.split_columns = columns_of(target, chosen)
        return comparison

    def match(self) -> Match:
        """How neuroids get their units: the best assignment."""
        return one_to_one


class SoftMatching(OneToOne):
    """All neuroids against all units, by the best plan of transport, for responses."""

    def match(self) -> Match:
        """The best plan of transport."""
        return transport


def _groups(responses: xr.DataArray, settings: MatchingSettings) -> list[Array]:
    """Places of the neuroids that are matched together; data without ``subject`` are one participant."""
    known = [str(name) for name in responses.coords if responses[name].dims == ("neuroid",)]
    absent = [name for name in settings.within if name not in known and name != "subject"]
    if absent:
        raise SettingsError(f"Neuroids have no {shorten(absent)} to be matched within. Known: {shorten(known)}.")
    columns = [responses[name].values.astype(str) for name in settings.within if name in known]
    labels = list(zip(*columns, strict=True)) if columns else [()] * responses.sizes["neuroid"]
    return [np.array([place for place, own in enumerate(labels) if own == label]) for label in dict.fromkeys(labels)]


class MatchingComparison(LinearComparison):
    """Single units against the neuroids of one set of responses, over the test stimuli of every split.

    Parameters
    ----------
    responses, splits, noise_correction, preparation
        As for ``LinearComparison``.
    match
        Weights of the units of every neuroid from correlations (see ``unit_matching``).
    groups
        Places of the neuroids that are matched together.
    """

    drawn = ("r", "r2", "r2_corrected")

    def __init__(
        self,
        responses: xr.DataArray,
        splits: Sequence[Split],
        match: Match,
        groups: Sequence[Array],
        noise_correction: NoiseCorrection = "ratio-of-aggregates",
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(responses, splits, noise_correction=noise_correction, preparation=preparation)
        self.match, self.groups = match, list(groups)

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        r"""Match on the training stimuli of every split, and judge on its test stimuli.

        Returns
        -------
        r = Σ_i w_ij corr(x_i, y_j), the correlation over the test stimuli of neuroid j with its units, by their
        weights (one unit of weight 1, one to one); selection, the same within the training stimuli (mean over two
        halves, each matched on the other); null (no unit, units that do not vary, or a response that does not); r2
        (sign(r) r²) and, with repetitions, r2_corrected, all ("split", "neuroid"); prediction ("split", "test",
        "neuroid"): the weighted mean of the units, each standardised over the test stimuli, on the scale of the
        training responses. Memory: ``HELD_VALUES`` correlations, a block of the layer, and what the match needs, for
        every thread.

        Raises
        ------
        AlignmentError, DataError
            A stimulus has no activations, or they are not finite; too few training stimuli to halve.
        """
        return self._scored(activations, self.splits)

    def score_split(self, activations: Activations | xr.DataArray, split: Split) -> xr.Dataset:
        """Match and judge in one split: what ``score`` gives, without the dim "split"."""
        return self._scored(activations, [split]).isel(split=0)

    def _scored(self, activations: Activations | xr.DataArray, splits: Sequence[Split]) -> xr.Dataset:
        layer = activations if isinstance(activations, Activations) else Activations.from_xarray(activations)
        parts = in_threads(lambda split: self._split_scores(layer, split), splits)
        attrs = {"layer": layer.layer, "noise_correction": self.noise_correction}
        return self.assembled(parts, splits, attrs)

    def _split_scores(self, layer: Activations, split: Split) -> dict[str, Array]:
        r, null, mean_unit = self._judged(layer, split)
        inner = [
            self._judged(layer, Split(split.train[fold.train], split.train[fold.test]))[0]
            for fold in folds(len(split.train), n_folds=_INNER_FOLDS, n_repeats=1)
        ]
        found = {"r": r, "null": null, "selection": np.mean(inner, axis=0)}
        if "prediction" in self.keep:
            training = self.responses[split.train]
            found["prediction"] = training.mean(axis=0) + self._scale(split) * mean_unit
        return found

    def _scale(self, split: Split) -> Array:
        """(n_neuroids,) what a mean unit, of norm 1 at most, is multiplied with to be a prediction."""
        return self.responses[split.train].std(axis=0) * np.sqrt(len(split.test))

    def _judged(self, layer: Activations, split: Split) -> tuple[Array, Array, Array]:
        """r and null (n_neuroids,) over the test stimuli, and the weighted mean (n_test, n_neuroids) of the units."""
        mean_unit = np.empty((len(split.test), self.responses.shape[1]))
        for group in self.groups:
            response = unit_norm(self.responses[np.ix_(split.train, group)])
            weights = self.match(
                correlations(lambda: self._blocks(layer, split.train), response, layer.n_units),
                layer.n_units,
                len(group),
            )
            mean_unit[:, group] = weighted_units(self._blocks(layer, split.test), weights)
        r, null = pearson(mean_unit, unit_norm(self.responses[split.test]))
        return r * np.linalg.norm(mean_unit, axis=0), null, mean_unit

    def _blocks(self, layer: Activations, places: Array) -> Iterator[Array]:
        order = [self.stimulus_id[place] for place in places]
        return layer.blocks(order, max(1, _BLOCK_VALUES // len(order)))

    def _split_draws(self, split: int, prediction: Array, columns: Array, counts: Array, measure: str) -> Array:
        """As for one unit, times how alike the units of a neuroid are, which stays as it is on the test stimuli."""
        scale = self._scale(self.splits[split])[columns]
        norm = np.linalg.norm(prediction - prediction.mean(axis=0), axis=0) / np.where(scale > 0, scale, 1.0)
        return super()._split_draws(split, prediction, columns, counts, measure) * norm


def unit_norm(values: Array) -> Array:
    """Columns in float64, centred and of norm 1; 0 where they do not vary.

    Examples
    --------
    >>> unit_norm(np.array([[1.0, 2.0], [3.0, 2.0]])).round(3).tolist()
    [[-0.707, 0.0], [0.707, 0.0]]
    """
    centred, _ = centred_responses(np.asarray(values, dtype=np.float64))
    norm = np.linalg.norm(centred, axis=0)
    return centred / np.where(norm > 0, norm, 1.0)


def correlations(blocks: Callable[[], Iterator[Array]], response: Array, n_units: int) -> Scan:
    """Correlations of units with neuroids in blocks of units, held where they are few and formed again where not.

    Parameters
    ----------
    blocks
        Opens the column blocks (n_train, width) of the features.
    response
        (n_train, n_neuroids), columns centred and of norm 1.
    """

    def formed() -> Iterator[Array]:
        return (unit_norm(block).T @ response for block in blocks())

    if n_units * response.shape[1] > HELD_VALUES:
        return formed
    held = list(formed())
    return lambda: iter(held)


def weighted_units(blocks: Iterator[Array], weights: Any) -> Array:
    """Σ_i w_ij x̂_i (n_test, n_neuroids) of units that are centred and of norm 1 over the test stimuli.

    Parameters
    ----------
    blocks
        Column blocks (n_test, width) of the features.
    weights
        Sparse (n_units, n_neuroids).
    """
    total, first = None, 0
    for block in blocks:
        part = unit_norm(block) @ weights[first : first + block.shape[1]]
        total = part if total is None else total + part
        first += block.shape[1]
    assert total is not None
    return total
