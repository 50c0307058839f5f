"""Responses, RDMs and trials in the canonical order of their stimuli, each stimulus met by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isocortex.data.labels import labels
from isocortex.data.numbers import real_numbers, refuse_range
from isocortex.data.response_checks import refuse_not_finite, refuse_other_types, with_text_labels
from isocortex.errors import AlignmentError, DataError, shorten, suggest

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from isocortex.data.stimuli import StimulusSet


def ordered_responses(where: str, stimuli: StimulusSet, responses: xr.DataArray) -> xr.DataArray:
    """Responses in canonical order, repetitions of a stimulus in their own order."""
    import numpy as np

    ids = responses["stimulus_id"].values.astype(str)
    _same_stimuli(where, stimuli, set(ids))
    rank = {name: place for place, name in enumerate(stimuli.ids)}
    order = np.argsort([rank[name] for name in ids], kind="stable")
    if "repetition" in responses.coords:
        order = np.lexsort((responses["repetition"].values, np.array([rank[name] for name in ids])))
    return responses.isel(presentation=order)


def _same_stimuli(where: str, stimuli: StimulusSet, found: set[str]) -> None:
    refuse_unknown(where, stimuli, found)
    silent = [name for name in stimuli.ids if name not in found]
    if silent:
        raise AlignmentError(
            f"{len(silent)} of {len(stimuli)} stimuli of {where!r} have no responses: {shorten(silent)}. "
            "Remove them from the stimuli (gaps = 'drop-stimuli' does), or add their responses."
        )


def refuse_unknown(where: str, stimuli: StimulusSet, found: set[str]) -> None:
    """Refuse responses of stimuli that are not in the set.

    Raises
    ------
    AlignmentError
        There are some.
    """
    unknown = sorted(found - set(stimuli.ids))
    if unknown:
        raise AlignmentError(
            f"{where!r} has responses for {len(unknown)} stimuli that are not in {stimuli.id!r}: {shorten(unknown)}. "
            f"The stimuli are {shorten(stimuli.ids, 3)}.{suggest(unknown[0], stimuli.ids)}"
        )


def ordered_rdm(where: str, stimuli: StimulusSet, rdm: xr.DataArray) -> xr.DataArray:
    """Checked RDMs, their pairs in canonical order."""
    import numpy as np

    refuse_other_types(rdm, f"RDMs of {where!r}", "xarray.DataArray(values, dims=('subject', 'pair'), coords=…)")
    if rdm.dims not in (("subject", "pair"), ("subject", "session", "pair")):
        raise DataError(f"RDMs of {where!r} need dims ('subject'[, 'session'], 'pair'); found {rdm.dims}.")
    for name in ("subject", "stimulus_a", "stimulus_b"):
        if name not in rdm.coords:
            raise DataError(f"RDMs of {where!r} need the coordinate {name!r}; found {list(rdm.coords)}.")
    real_numbers(rdm.values, f"RDMs of {where!r}")
    rdm = with_text_labels(where, rdm)
    refuse_not_finite(where, rdm, "subject", "subject")
    by_subject = rdm.transpose("subject", ...).values.reshape(rdm.sizes["subject"], -1).T
    refuse_range(by_subject, rdm["subject"].values.tolist(), f"RDMs of {where!r}", "subject")
    ids_a, ids_b = (rdm[name].values.astype(str) for name in ("stimulus_a", "stimulus_b"))
    _same_stimuli(where, stimuli, set(ids_a) | set(ids_b))
    rank = {name: place for place, name in enumerate(stimuli.ids)}
    first = np.array([rank[name] for name in ids_a])
    second = np.array([rank[name] for name in ids_b])
    low, high = np.minimum(first, second), np.maximum(first, second)
    n_pairs = len(stimuli) * (len(stimuli) - 1) // 2
    if (low == high).any() or len(set(zip(low, high, strict=True))) != n_pairs or len(low) != n_pairs:
        raise DataError(
            f"RDMs of {where!r} need each pair of {len(stimuli)} stimuli once ({n_pairs} pairs); found {len(low)}."
        )
    names = np.asarray(stimuli.ids, dtype=object)
    order = np.lexsort((high, low))
    ordered = rdm.isel(pair=order)
    return ordered.assign_coords(stimulus_a=("pair", names[low[order]]), stimulus_b=("pair", names[high[order]]))


def ordered_trials(where: str, stimuli: StimulusSet, trials: pd.DataFrame) -> pd.DataFrame:
    """Checked trials by stimulus in canonical order, those of a stimulus as they came."""
    import pandas as pd

    if not isinstance(trials, pd.DataFrame):
        raise DataError(f"Trials of {where!r} must be a pandas.DataFrame; found {type(trials).__name__}.")
    if "stimulus_id" not in trials.columns or not len(trials):
        raise DataError(f"Trials of {where!r} need rows and a column 'stimulus_id'; found {list(trials.columns)}.")
    ids = labels(trials["stimulus_id"], "stimulus_id", f"Trials of {where!r}")
    if ids != trials["stimulus_id"].tolist():
        trials = trials.assign(stimulus_id=ids)
    _same_stimuli(where, stimuli, set(ids))
    rank = {name: place for place, name in enumerate(stimuli.ids)}
    numbered = trials.reset_index(drop=True)
    if "trial" not in numbered.columns:
        numbered = numbered.assign(trial=range(len(numbered)))
    order = numbered["stimulus_id"].astype(str).map(rank).sort_values(kind="stable").index
    return numbered.loc[order].reset_index(drop=True)


#: kind of data → what checks it and puts it into canonical order
ORDERED = {"responses": ordered_responses, "rdm": ordered_rdm, "trials": ordered_trials}
