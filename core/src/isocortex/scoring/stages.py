"""Stages: how deep in a model the layer lies that predicts a region best, 0 for the first layer and 1 for the last.

The stage of a participant in a region is the relative depth of the layer that is best there; the stage of the region
is the mean over participants. Procedures differ in what the layer is chosen on, have different names, and are never
mixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from isocortex.scoring.layer_choice import codes_of
from isocortex.scoring.stats import by_participant
from isocortex.typing import Array

if TYPE_CHECKING:
    import xarray as xr


#: chosen within the training stimuli of each split
NESTED = "nested"
OVER_PARTICIPANTS = "standard error over participants"


class Stage(BaseModel):
    """How deep in a model the layer lies that is best: 0 is the first layer, 1 the last."""

    model_config = ConfigDict(extra="forbid")
    value: float = Field(ge=0, le=1, description="mean over participants of the relative depth")
    error: float | None = None
    error_kind: str = "none"
    procedure: str = Field(description="what the layers were chosen on: nested, tuckute2023 all splits, …")
    n_layers: int = Field(description="layers that the depth is relative to, those of equal content among them")
    n_subjects: int | None = None
    participants: dict[str, float] = Field(default_factory=dict[str, float], description="by name; none if pooled")
    spread: float | None = Field(default=None, description="standard deviation over splits, mean over participants")
    agreement: float | None = Field(default=None, description="share of pairs of splits that choose the same layer")
    tied: float | None = Field(default=None, description="share of neuroids whose layer was drawn among equals")


def relative_depth(places: Array, n_layers: int) -> Array:
    """Depth of layers, place / (n_layers − 1): 0 for the first, 1 for the last, 0 for a single one.

    Examples
    --------
    >>> relative_depth(np.array([0, 2, 8]), 9).tolist()
    [0.0, 0.25, 1.0]
    """
    return np.asarray(places) / max(1, n_layers - 1)


def best_depths(criterion: Array) -> Array:
    """Relative depth of the best layer, the first of equals: (n_layers, …) → (…).

    NaN where there is nothing to choose by: no layer has a value, or several have and all are equal.

    Examples
    --------
    >>> best_depths(np.array([[0.1, 0.0, np.nan], [0.3, 0.0, np.nan], [0.2, 0.0, 0.5]])).tolist()
    [0.5, nan, 1.0]
    """
    known = ~np.isnan(criterion)
    high = np.where(known, criterion, -np.inf)
    low = np.where(known, criterion, np.inf).min(axis=0)
    n_known = known.sum(axis=0)
    chosen = (n_known > 0) & ((high.max(axis=0) > low) | (n_known == 1))
    return np.where(chosen, relative_depth(high.argmax(axis=0), len(criterion)), np.nan)


def over_splits(depths: Array) -> tuple[Array, float | None, float | None]:
    """Stage of each participant, and how much the choice moves between splits.

    Parameters
    ----------
    depths
        (n_splits, n_participants); NaN is no choice.

    Returns
    -------
    Mean over splits (n_participants,); spread: the standard deviation over splits (ddof 0), mean over participants;
    agreement: the share of pairs of splits that choose the same layer, mean over participants. None where no
    participant has two splits.

    Examples
    --------
    >>> stage, spread, agreement = over_splits(np.array([[0.0, 0.5], [1.0, 0.5]]))
    >>> stage.tolist(), spread, agreement
    ([0.5, 0.5], 0.25, 0.5)
    """
    known = ~np.isnan(depths)
    n_known = known.sum(axis=0)
    filled = np.where(known, depths, 0.0)
    mean = np.where(n_known > 0, filled.sum(axis=0) / np.maximum(n_known, 1), np.nan)
    several = n_known > 1
    if not several.any():
        return mean, None, None
    squares = np.where(known, (depths - mean) ** 2, 0.0).sum(axis=0)
    spread = np.sqrt(squares[several] / n_known[several])
    pairs = np.triu(np.ones((len(depths), len(depths)), dtype=bool), 1)
    same = np.array([(column[:, None] == column)[pairs].sum() for column in depths.T[several]])
    agreement = same / (n_known * (n_known - 1) / 2)[several]
    return mean, round(float(spread.mean()), 12), float(agreement.mean())  # a choice that never moves has spread 0


# --- the record -------------------------------------------------------------------------------------------------------


def stage_of_participants(depths: Array, names: Sequence[str] | None, n_layers: int, procedure: str) -> Stage | None:
    """Mean over participants of their stages, with its standard error; those without one (NaN) are left out.

    Parameters
    ----------
    depths
        (n_participants,), or one for pooled data.
    names
        Of the participants; None for pooled data.
    n_layers
        Number of layers that depths are relative to.
    procedure
        How the layers were chosen.

    Returns
    -------
    None where no participant has a stage.

    Examples
    --------
    >>> stage = stage_of_participants(np.array([0.25, 0.75, np.nan]), ["a", "b", "c"], 5, NESTED)
    >>> stage.value, stage.error, stage.participants
    (0.5, 0.25, {'a': 0.25, 'b': 0.75})
    """
    known = ~np.isnan(depths)
    if not known.any():
        return None
    found = depths[known]
    several = names is not None and len(found) > 1
    people = {} if names is None else dict(zip(np.asarray(names)[known].tolist(), found.tolist(), strict=True))
    return Stage(
        value=float(found.mean()),
        error=float(found.std(ddof=1) / np.sqrt(len(found))) if several else None,
        error_kind=OVER_PARTICIPANTS if several else "none",
        n_subjects=None if names is None else len(found),
        n_layers=n_layers,
        procedure=procedure,
        participants=people,
    )


def nested_stage(scores: xr.Dataset) -> Stage | None:
    """Stage from the criterion within the training stimuli of each split; the stimuli that are tested have no part.

    In each split, for each participant, the layer with the best median over neuroids of ``selection`` (a metric that
    has one number per participant: with the best ``selection``); its depth averaged over splits; mean over
    participants. ``scores`` may be restricted to some of the neuroids.

    Returns
    -------
    None for a single layer, or where the metric does not choose within training stimuli.

    Examples
    --------
    >>> import xarray as xr
    >>> selection = np.array([[[0.1], [0.2]], [[0.3], [0.4]]])
    >>> scores = xr.Dataset({"selection": (("layer", "split", "neuroid"), selection)}, attrs={"n_layers_searched": 2})
    >>> nested_stage(scores).value
    1.0
    """
    several = "selection" in scores and int(scores.attrs["n_layers_searched"]) > 1
    if not several or not {"layer", "split"} <= set(scores["selection"].dims):
        return None
    selection = scores["selection"]
    names: list[str] | None = None
    if "subject" in selection.coords:
        names = list(dict.fromkeys(map(str, np.atleast_1d(selection["subject"].values))))
    if "neuroid" in selection.dims:
        values, codes = selection.transpose("layer", "split", "neuroid").values, codes_of(selection)
        criterion = np.stack([by_participant(layer, codes) for layer in values])
    elif "subject" in selection.dims:
        criterion = selection.transpose("layer", "split", "subject").values
        names = names if scores.attrs.get("target") == "participant" else None
    else:
        return None
    depths, spread, agreement = over_splits(best_depths(criterion))
    stage = stage_of_participants(depths, names, len(criterion), NESTED)
    return stage and stage.model_copy(update={"spread": spread, "agreement": agreement})
