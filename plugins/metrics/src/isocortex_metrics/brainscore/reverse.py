"""Brain-Score's ``reverse_pls``: how well do the neuroids predict the units of a model?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.activations import Activations
from isocortex.interfaces import Preparation, Split
from isocortex.scoring import score_layers
from isocortex.typing import Array
from isocortex_metrics.brainscore.ceiling import aggregate_splits
from isocortex_metrics.brainscore.compact import BLOCK_VALUES, centred_columns, compact_features
from isocortex_metrics.brainscore.fits import correlations
from isocortex_metrics.brainscore.nipals import PlsComponents
from isocortex_metrics.brainscore.pls import pls_components
from isocortex_metrics.brainscore.regression_comparison import SplitMedians
from isocortex_metrics.brainscore.splits import Rows, brainscore_splits
from isocortex_metrics.numerics.arrays import on_device, to_numpy
from isocortex_metrics.numerics.gram import centred_responses

if TYPE_CHECKING:
    import xarray as xr


#: units that vary, in order, of which an iteration may start from the first that is left
_N_STARTS = 64


class ReverseComparison(SplitMedians):
    """Units of a model as what is predicted, neuroids as what predicts them.

    Parameters
    ----------
    rows
        Responses and labels of the stimuli (``brainscore_rows``).
    canonical
        The stimuli in canonical order.
    n_components
        At most the number of neuroids.
    kfold
        Folds in place of draws.
    device
        Where products are formed (see ``backend.on_device``).
    preparation
        As for ``Comparison``.
    """

    ceiling_modes = ()

    def __init__(
        self,
        rows: Rows,
        canonical: Sequence[str],
        n_components: int,
        *,
        kfold: bool = False,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(preparation)
        self.rows, self.canonical = rows, tuple(canonical)
        self.n_stimuli = len(self.canonical)
        self.n_components, self.kfold, self.device = n_components, kfold, device
        self.medians_only = False

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Fit and test every split for one layer.

        Splits are drawn on the rows of the model: those of a DataArray in the order given, as published. Stored
        activations have no order of their own; the canonical order is taken, in which the package would run the model.

        Returns
        -------
        score (Pearson r; NaN where prediction or unit does not vary) and null (where it is NaN), ("split", "neuroid");
        the neuroids are units of the model, ``neuroid_id`` their names or numbers. No predictions: they would take as
        many values as the layer.

        Raises
        ------
        AlignmentError, DataError
            A stimulus has no activations, they are not finite, or there are too few stimuli.
        """
        import xarray as xr

        order = self.canonical
        if isinstance(activations, Activations):
            layer = activations
        else:
            layer = Activations.from_xarray(activations)
            layer.rows(self.canonical)  # every stimulus must be there
            order = tuple(name for name in layer.stimulus_id if name in set(self.canonical))
        r = self._correlations(layer, order)
        names = list(layer.units or map(str, range(layer.n_units)))
        scores = xr.Dataset(
            {"score": (("split", "neuroid"), r), "null": (("split", "neuroid"), np.isnan(r))},
            coords={"neuroid_id": ("neuroid", names)},
            attrs={"layer": layer.layer, "target": "pooled", "n_components": self.n_components},
        )
        return _medians(scores) if self.medians_only else scores

    def _correlations(self, layer: Activations, order: Sequence[str]) -> Array:
        place = {name: number for number, name in enumerate(self.rows.stimulus_id)}
        rows = np.array([place[name] for name in order])
        labels = None if self.rows.labels is None else self.rows.labels[rows]
        splits = brainscore_splits(len(order), labels, kfold=self.kfold)
        brain = self.rows.values[rows]
        features = compact_features([brain], brain.shape[0], brain.shape[1], self.device)
        components = self._components(features, layer, order, splits)
        found = [
            [self._of_block(block, split, part) for split, part in zip(splits, components, strict=True)]
            for block in _blocks(layer, order)
        ]
        return np.concatenate([np.stack(of_block) for of_block in found], axis=1)

    def _components(
        self, features: Any, layer: Activations, order: Sequence[str], splits: Sequence[Split]
    ) -> list[PlsComponents]:
        starts: list[Array] = []
        blocks = _collecting(_blocks(layer, order), starts)
        units = compact_features(blocks, len(order), layer.n_units, self.device)
        # columns of a factor stand in where no unit varies
        first = np.concatenate([*starts, to_numpy(units)[:, :1]], axis=1)[:, : max(1, _count(starts))]
        candidates = units if layer.n_units <= len(order) else on_device(first, self.device)
        return list(pls_components(features, units, splits, self.n_components, starts=candidates))

    def _of_block(self, block: Array, split: Split, components: PlsComponents) -> Array:
        training, _ = centred_responses(centred_columns(block)[split.train])
        deviation = to_numpy(components.deviations(on_device(training, self.device)))
        return correlations(deviation, block[split.test].astype(np.float64))

    def score_all(self, layers: Mapping[str, Activations]) -> xr.Dataset:
        """Score all layers; of several, whose units differ, the median over units of each split is kept."""
        comparison = self
        if len({layer.digest for layer in layers.values()}) > 1:
            comparison = copy(self)
            comparison.medians_only = True
        return score_layers(comparison, layers)


def _medians(scores: xr.Dataset) -> xr.Dataset:
    import xarray as xr

    medians = np.array([aggregate_splits(row[None])[0] for row in scores["score"].values])
    return xr.Dataset({"score": (("split",), medians), "null": (("split",), np.isnan(medians))}, attrs=scores.attrs)


def _blocks(layer: Activations, order: Sequence[str]) -> Iterator[Array]:
    return layer.blocks(order, max(1, BLOCK_VALUES // max(1, len(order))))


def _collecting(blocks: Iterable[Array], found: list[Array]) -> Iterator[Array]:
    """Pass blocks on and keep the first columns that vary."""
    for block in blocks:
        wanted = _N_STARTS - _count(found)
        if wanted > 0:
            varying = np.flatnonzero((block != block[:1]).any(axis=0))[:wanted]
            found.append(centred_columns(block[:, varying]))
        yield block


def _count(columns: Sequence[Array]) -> int:
    return sum(column.shape[1] for column in columns)
