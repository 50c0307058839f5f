"""The monkey's IT as a model of the human one: features of which the dissimilarities are the published matrix.

For ``isocortex reproduce kriegeskorte2008``, so that brain and brain are compared as model and brain are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

import isocortex
from isocortex.errors import DataError
from isocortex.interfaces import Emit, LayerOutput, LoadedModel, ModelCard, ModelPlugin, Variant, digest_plugin

if TYPE_CHECKING:
    from isocortex.data import Dataset, StimulusBatch
    from isocortex.typing import Array

DATASET = "Kriegeskorte2008.monkey-IT"
LAYER = "monkey IT"
#: an eigenvalue of a matrix of correlations may be so far below 0 by rounding, as a share of the largest
_ROUNDING = 1e-6


def features_of(dissimilarity: Array) -> Array:
    """Features (n_stimuli, 2 n_stimuli) whose 1 − Pearson correlations are the dissimilarities.

    With R = 1 − D = F Fᵀ, rows of F have length 1, and those of [F, −F] / √2 the mean 0 besides, so that their
    correlations are R.

    Parameters
    ----------
    dissimilarity
        (n_stimuli, n_stimuli), 1 − correlation.

    Raises
    ------
    DataError
        It is no matrix of 1 − correlations: R has an eigenvalue below 0.

    Examples
    --------
    >>> distances = np.array([[0.0, 0.5, 1.2], [0.5, 0.0, 0.9], [1.2, 0.9, 0.0]])
    >>> bool(np.allclose(1 - np.corrcoef(features_of(distances)), distances))
    True
    """
    values, vectors = np.linalg.eigh(1.0 - dissimilarity)
    if values[0] < -_ROUNDING * values[-1]:
        raise DataError(f"These dissimilarities are not 1 − correlation: an eigenvalue is {values[0]:.3g}.")
    rows = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.concatenate([rows, -rows], axis=1) / np.sqrt(2)


class MonkeyModel(ModelPlugin):
    """Monkey IT, for the 92 images of the paper alone."""

    def _dataset(self) -> Dataset:
        # a digest never downloads; whoever scores the human IT has the file already
        return isocortex.load_dataset(DATASET, offline=True)

    def digest(self, variant: Variant) -> str | None:
        """Digest over the code and the published matrix.

        Raises
        ------
        FilesError
            The published file is not here.
        """
        return digest_plugin(self, str(variant), self._dataset().digest)

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Make the features."""
        del variant, device
        dataset = self._dataset()
        ids = dataset.stimuli.ids
        square = np.zeros((len(ids), len(ids)))
        assert dataset.rdm is not None
        square[np.triu_indices(len(ids), k=1)] = np.asarray(dataset.rdm.values[0])
        return _Rows(dict(zip(ids, features_of(square + square.T), strict=True)))


class _Rows(LoadedModel):
    """Features by stimulus ID."""

    def __init__(self, rows: dict[str, Array]) -> None:
        self.layers = (LAYER,)
        self.rows = rows

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        """Give the features of the images of a batch.

        Raises
        ------
        DataError
            An image that the monkeys did not see.
        """
        unknown = [one.id for one in batch if one.id not in self.rows]
        if unknown:
            raise DataError(f"No neuron of the monkeys saw {unknown[0]!r}: expected the images of kriegeskorte92.")
        values = np.stack([self.rows[one.id] for one in batch]).astype(np.float32)
        for layer in layers:
            emit(layer, LayerOutput(values, ("unit",)))


def monkey_model(name: str) -> ModelPlugin:
    """The monkey's IT as a model of this name."""
    card = ModelCard(
        id=name,
        object="isocortex_kriegeskorte2008.monkey_model:MonkeyModel",
        modality="image",
        layers=(LAYER,),
        package="isocortex-kriegeskorte2008",
        reference="doi:10.1016/j.neuron.2008.10.043",
    )
    return MonkeyModel(card)
