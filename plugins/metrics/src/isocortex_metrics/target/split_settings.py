"""Settings that say how stimuli are split, shared by the metrics that fit and test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from isocortex.data import Dataset, stimulus_order
from isocortex.errors import SettingsError
from isocortex_metrics.target.responses import labels_of
from isocortex_metrics.target.splits import Split, folds, leave_one_group_out

if TYPE_CHECKING:
    import xarray as xr


class SplitSettings(BaseModel):
    """How stimuli are split into training and test stimuli.

    Examples
    --------
    >>> SplitSettings(scheme="leave-one-group-out", group="category").group
    'category'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    scheme: Literal["k-fold", "leave-one-group-out"] = Field(
        default="k-fold", description="leave-one-group-out tests each group of 'group' in turn"
    )
    n_folds: int = Field(default=5, ge=2, description="folds per repeat")
    n_repeats: int = Field(default=2, ge=1, description="times the folds are drawn")
    stratify: str | None = Field(default=None, description="stimulus column of which every fold gets its share")
    group: str | None = Field(default=None, description="column whose stimuli are never on both sides")


def draw_splits(
    target: Dataset | xr.DataArray, responses: xr.DataArray, settings: SplitSettings, seed: int
) -> list[Split]:
    """Splits of the stimuli in canonical order; a data set may ask for ``stratify`` or ``group``, settings go first.

    Raises
    ------
    SettingsError
        Strata and groups at once, an unknown column, or groups to leave out without 'group'.
    DataError
        Too few stimuli or groups, or stimuli without a label.

    Examples
    --------
    >>> import numpy as np
    >>> from isocortex.data import make_responses
    >>> responses = make_responses(np.ones((9, 2)), list("abcdefghi"))
    >>> len(draw_splits(responses, responses, SplitSettings(n_folds=3, n_repeats=4), seed=0))
    12
    """
    asked = {name: getattr(settings, name) for name in ("stratify", "group")}
    if isinstance(target, Dataset) and not any(asked.values()):
        asked = {name: target.attrs.get(name) for name in asked}
    if all(asked.values()):
        raise SettingsError("Splits are stratified or grouped, not both; give 'stratify' or 'group'.")
    stimulus_id = stimulus_order(responses)
    labels = {name: labels_of(target, responses, str(column), stimulus_id) for name, column in asked.items() if column}
    if settings.scheme == "leave-one-group-out":
        if "group" not in labels:
            raise SettingsError("scheme = 'leave-one-group-out' needs 'group', the stimulus column that is left out.")
        return leave_one_group_out(labels["group"])
    return folds(
        len(stimulus_id),
        n_folds=settings.n_folds,
        n_repeats=settings.n_repeats,
        seed=seed,
        strata=labels.get("stratify"),
        groups=labels.get("group"),
    )
