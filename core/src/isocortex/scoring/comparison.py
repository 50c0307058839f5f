"""A metric with its target prepared, as a third party writes it: the contract with core's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from isocortex.scoring.contract import Contract
from isocortex.scoring.layer_choice import score_layers
from isocortex.scoring.summary import summarise

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.activations.layer import Activations
    from isocortex.scoring.summary import Summary


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
    """

    def score_all(self, layers: Mapping[str, Activations]) -> xr.Dataset:
        """Compare all layers, one by one, and choose the one that is read out.

        Adds ``chosen`` (index of the layer) and ``readout`` (the measure there) with the dims of the measure, keeps
        ``prediction`` of the chosen layers only.
        """
        return score_layers(self, layers)

    def summarise(self, scores: xr.Dataset) -> Summary:
        """Reduce raw scores (of ``score`` or ``score_all``, whole or restricted to a region) to one row."""
        return summarise(self, scores)
