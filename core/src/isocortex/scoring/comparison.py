"""A metric with its target prepared, as a third party writes it: the contract with core's defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Self

import numpy as np

from isocortex.errors import DataError, PluginError, SettingsError
from isocortex.scoring.contract import KEPT_WITH, Contract, Preparation, Split
from isocortex.scoring.layer_choice import (
    as_layered,
    collapsed,
    measure_of,
    over_splits,
    read_out,
    score_layers,
    source_of,
)
from isocortex.scoring.stages import nested_stage
from isocortex.scoring.summary import summarise
from isocortex.typing import Array

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.activations.layer import Activations
    from isocortex.scoring.stages import Stage
    from isocortex.scoring.summary import Summary


#: variables along "layer" that are no measures
_NO_MEASURES = ("selection", "null", "training_r2", *KEPT_WITH["training_r2"])


class Comparison(Contract):
    """A metric with its target prepared: everything that depends on the brain alone is done once.

    ``score`` returns a Dataset that holds the measure (its name is ``statistic`` unless the rules say otherwise) with
    dims ("split", "neuroid"), ("subject",) or none, and may hold

    - ``selection`` ("split", "neuroid"): how well the layer does *within the training stimuli* of each split; with it
      the layer is chosen nested, without it the best layer is reported as optimistic;
    - ``prediction``: whatever ``resample`` needs of the layer that is read out, with dims ("split", "test", "neuroid")
      or ("pair",); kept for that layer only;
    - ``null`` ("split", "neuroid"): where there is no prediction, so that the measure was set to 0;
    - ``alpha``, ``alpha_at_bound`` (-1 lowest, 0 inside, 1 highest of its grid), ``training_r2`` ("split", "neuroid").

    Coordinates on neuroid (``neuroid_id``, ``region``, ``subject``) are those of the responses.

    Parameters
    ----------
    preparation
        Rules, what is kept, baselines; the comparison is whole once it is made.

    Raises
    ------
    SettingsError
        The benchmark's row asks for an aggregate or a ceiling that the metric does not offer.
    """

    def __init__(self, preparation: Preparation = Preparation()) -> None:
        self.rules, self.keep = preparation.rules, preparation.keep
        self.baselines, self.n_neuroids_total = preparation.baselines, preparation.n_neuroids_total
        asked = {
            "aggregate": (self.rules.aggregate, self.aggregates),
            "ceiling": (self.rules.ceiling, self.ceiling_estimators),
        }
        for key, (name, offered) in asked.items():
            if name not in offered:
                raise SettingsError(
                    f"{key} = {name!r} is not offered by this metric. It has {', '.join(map(repr, offered))}."
                )

    def keeping(self, *names: str) -> Self:
        """A copy that keeps these beside its scores; it shares what was prepared."""
        other = copy(self)
        vars(other).update(keep=names)
        return other

    # --- scores -------------------------------------------------------------------------------------------------------

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Compare one layer with the target: ``score_split`` over the splits.

        Raises
        ------
        PluginError
            The metric has neither its own ``score`` nor splits with a ``score_split``.
        """
        if not self.splits or type(self).score_split is Comparison.score_split:
            raise PluginError(f"{type(self).__name__} needs a score(), or splits and a score_split().")
        return over_splits([self.score_split(activations, split) for split in self.splits])

    def score_split(self, activations: Activations | xr.DataArray, split: Split) -> xr.Dataset:
        """Compare one layer with the target in one of the splits: what ``score`` gives, without the dim "split".

        A metric that can do it without the other splits says how.

        Raises
        ------
        DataError
            The split is none of the comparison's.
        """
        numbers = [number for number, own in enumerate(self.splits) if own is split]
        if not numbers or type(self).score is Comparison.score:
            raise DataError(f"{type(self).__name__} has {len(self.splits)} splits, and this is none of them.")
        return self.score(activations).isel(split=numbers[0])

    def score_all(self, layers: Mapping[str, Activations]) -> xr.Dataset:
        """Compare all layers, one by one, and choose the one that is read out.

        Adds ``chosen`` (index of the layer) and ``readout`` (the measure there) with the dims of the measure, keeps
        ``prediction`` of the chosen layers only.
        """
        return score_layers(self, layers)

    # --- chance -------------------------------------------------------------------------------------------------------

    def permuted(self, order: Array) -> Contract:
        """The same comparison with the responses of the stimuli in another order; features and splits stay.

        A metric that says how, and sets ``default_permutations``, has levels of chance. A matrix of dissimilarities has
        its rows and columns permuted.

        Parameters
        ----------
        order
            (n_stimuli,): at each place of the canonical order, the stimulus whose response stands there.

        Raises
        ------
        PluginError
            The metric does not say how.
        """
        del order
        raise PluginError(f"{type(self).__name__} needs a permuted(), so that chance can be taken from permutations.")

    def permuted_readouts(self, layers: Mapping[str, Activations], orders: Array) -> Iterator[xr.DataArray]:
        """What ``collapse`` is given of the value, for each permutation: everything fitted or chosen is repeated.

        By default every permutation is scored as the data are; a metric that can do it faster says how.

        Parameters
        ----------
        layers
            As for ``score_all``.
        orders
            (n_permutations, n_stimuli), as for ``permuted``.

        Yields
        ------
        Blocks of permutations, in order, along the dim "draw".
        """
        measure = measure_of(self)
        for order in orders:
            other = self.permuted(order)
            scores = other.layered(other.score_all(layers))
            yield other.readout_of(scores, measure).expand_dims("draw")

    def layered(self, scores: xr.Dataset) -> xr.Dataset:
        """Scores with the dim "layer" and the layer that is read out; those of a single layer get them here."""
        return as_layered(self, scores)

    # --- from scores to a row -----------------------------------------------------------------------------------------

    def collapse(self, values: xr.DataArray, measure: str) -> xr.DataArray:
        """Mean over splits, the benchmark's aggregate of the neuroids of a participant, mean over participants."""
        del measure
        return collapsed(values, self.rules.aggregate)

    def readout_of(self, scores: xr.Dataset, measure: str) -> xr.DataArray:
        """The variable that a measure is made of, at the layers that are read out."""
        source = source_of(self, scores, measure)
        return scores["readout"] if source.name == scores.attrs["measure"] else read_out(source, scores["chosen"])

    def further(self, scores: xr.Dataset) -> Sequence[str]:
        """Names of every other measure along "layer"."""
        own = {str(scores.attrs["measure"]), *_NO_MEASURES}
        return [
            str(name)
            for name, variable in scores.data_vars.items()
            if "layer" in variable.dims and str(name) not in own and np.issubdtype(variable.dtype, np.floating)
        ]

    def shares(self, scores: xr.Dataset) -> Array:
        """How often each layer was chosen, as a share of the choices."""
        chosen = np.bincount(scores["chosen"].values.ravel(), minlength=scores.sizes["layer"])
        return chosen / chosen.sum()

    def stage(self, scores: xr.Dataset) -> Stage | None:
        """The stage that is chosen within the training stimuli of each split."""
        return nested_stage(scores)

    def summarise(self, scores: xr.Dataset) -> Summary:
        """Reduce raw scores (of ``score`` or ``score_all``, whole or restricted to a region) to one row."""
        return summarise(self, scores)
