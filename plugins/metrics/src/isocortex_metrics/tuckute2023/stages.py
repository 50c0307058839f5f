"""Stages as Tuckute et al. 2023 find them: layers chosen on all splits, or on all sounds, apart from no test.

The layers are not read out anywhere, so that the choice needs no test; but the stage of a region is chosen on the very
sounds that it is about, and is not comparable with a nested one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from isocortex.scoring import (
    Stage,
    best_depths,
    by_participant,
    relative_depth,
    stage_of_participants,
    subject_codes,
)
from isocortex.typing import Array
from isocortex_metrics.tuckute2023.aggregation import best_layers, layer_medians

if TYPE_CHECKING:
    import xarray as xr

#: each neuroid's layer with the largest median over all ten splits, as Tuckute et al. 2023 do for regressions
ALL_SPLITS = "tuckute2023 all splits"
#: each participant's layer with the largest Spearman's rho over all sounds, as Tuckute et al. 2023 do for RSA
ALL_SOUNDS = "tuckute2023 all sounds"
CORRECTED = "r2_corrected"
#: what is clipped after the median over splits
LIMITS = {CORRECTED: 1.0}


def with_best_layers(scores: xr.Dataset) -> xr.Dataset:
    """Add the layer of each neuroid with the largest median over all splits, and whether it was drawn from equals.

    The median is that of r2_corrected, clipped at 1, or of r2 where nothing is corrected. Equals are drawn for all
    neuroids of ``scores`` in a row, so that regions are cut out afterwards.

    Returns
    -------
    With stage_layer and stage_tied ("neuroid",); as it was where there is a single layer.

    Examples
    --------
    >>> import xarray as xr
    >>> scores = xr.Dataset({"r2": (("layer", "split", "neuroid"), np.array([[[0.1, 0.4]], [[0.3, 0.2]]]))})
    >>> with_best_layers(scores)["stage_layer"].values.tolist()
    [1, 0]
    """
    if scores.sizes["layer"] == 1:
        return scores
    name = CORRECTED if CORRECTED in scores else "r2"
    values = scores[name].transpose("layer", "neuroid", "split").values
    chosen, tied = best_layers(layer_medians(values, LIMITS.get(name, np.inf)))
    return scores.assign(stage_layer=(("neuroid",), chosen), stage_tied=(("neuroid",), tied))


def stage_over_splits(scores: xr.Dataset) -> Stage | None:
    """Stage of the neuroids that the scores hold, from ``with_best_layers``; None for a single layer.

    Examples
    --------
    >>> import xarray as xr
    >>> scores = xr.Dataset({"r2": (("layer", "split", "neuroid"), np.array([[[0.1, 0.4]], [[0.3, 0.2]]]))})
    >>> stage_over_splits(with_best_layers(scores).assign_attrs(n_layers_searched=2)).value
    0.5
    """
    if "stage_layer" not in scores or int(scores.attrs["n_layers_searched"]) == 1:
        return None
    subjects = scores["subject"].values if "subject" in scores.coords else None
    return stage_of_neuroids(scores["stage_layer"].values, scores["stage_tied"].values, subjects, scores.sizes["layer"])


def stage_over_sounds(scores: xr.Dataset) -> Stage | None:
    """Stage from whole_rho ("layer", "subject"), the rank correlation with each participant over all sounds.

    Returns
    -------
    None for a single layer, or where no participant has a correlation with any layer.

    Examples
    --------
    >>> import xarray as xr
    >>> scores = xr.Dataset({"whole_rho": (("layer", "subject"), np.array([[0.1, 0.4], [0.2, 0.3], [0.1, 0.1]]))})
    >>> scores = scores.assign_coords(subject=["a", "b"]).assign_attrs(n_layers_searched=3, target="participant")
    >>> stage_over_sounds(scores).participants
    {'a': 0.5, 'b': 0.0}
    """
    if int(scores.attrs["n_layers_searched"]) == 1:
        return None
    found = scores["whole_rho"].transpose("layer", "subject")
    names = list(map(str, found["subject"].values)) if scores.attrs.get("target") == "participant" else None
    return stage_of_participants(best_depths(found.values), names, len(found), ALL_SOUNDS)


def stage_of_neuroids(
    chosen: Array, tied: Array, subjects: Sequence[object] | Array | None, n_layers: int, procedure: str = ALL_SPLITS
) -> Stage | None:
    """Median over the neuroids of each participant of the depth of their layers, mean over participants.

    Parameters
    ----------
    chosen, tied
        (n_neuroids,): place of each neuroid's layer, and whether it was drawn from equals; see ``best_layers``.
    subjects
        Participant of each neuroid; None for pooled data.
    n_layers, procedure
        As for ``stage_of_participants``.

    Returns
    -------
    None for a single layer.

    Examples
    --------
    >>> stage = stage_of_neuroids(np.array([0, 1, 2]), np.array([False, True, False]), ["a", "a", "b"], 3)
    >>> stage.participants, round(stage.tied, 3)
    ({'a': 0.25, 'b': 1.0}, 0.333)
    """
    if n_layers == 1:
        return None
    names = None if subjects is None else list(dict.fromkeys(map(str, subjects)))
    depths = by_participant(relative_depth(chosen, n_layers), subject_codes(subjects, len(chosen)))
    stage = stage_of_participants(depths, names, n_layers, procedure)
    return stage and stage.model_copy(update={"tied": float(np.mean(tied))})
