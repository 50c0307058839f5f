"""Gaps: trials that are not there, as NaN; and what is done where a neuroid has no trial of a stimulus at all.

A neuroid's mean response is over its own trials, so that trials may be missing for some neuroids and not for others.
A stimulus of which a neuroid has none would have to be left out for that neuroid alone, and neuroids would be trained
on different stimuli: that is refused, or the stimulus or the neuroid is dropped for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from isocortex.errors import DataError, SettingsError, shorten, suggest

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.data.stimuli import StimulusSet
    from isocortex.typing import Array

#: what is done where a neuroid has no trial of a stimulus
Gaps = Literal["refuse", "drop-stimuli", "drop-neuroids", "drop-trials"]
_CHOICES = "gaps = 'drop-stimuli' or gaps = 'drop-neuroids'"


def check_gaps(gaps: str) -> None:
    """Refuse what is no policy of gaps.

    Raises
    ------
    SettingsError
        An unknown word.

    Examples
    --------
    >>> check_gaps("drop-neuroids")
    """
    known = get_args(Gaps)
    if gaps not in known:
        raise SettingsError(f"gaps = {gaps!r} is unknown.{suggest(gaps, known)} Expected one of {', '.join(known)}.")


def trial_counts(responses: xr.DataArray, stimulus_id: Sequence[str]) -> Array:
    """How many trials each neuroid has of each stimulus, (n_stimuli, n_neuroids) whole numbers.

    Parameters
    ----------
    responses
        Dims ("presentation", "neuroid"); a trial that is not there is NaN.
    stimulus_id
        The stimuli that are asked for; one that was never presented has no trials.

    Examples
    --------
    >>> from isocortex.data.dataset import make_responses
    >>> trial_counts(make_responses(np.array([[[1.0, np.nan]], [[2.0, 3.0]]]), ["a"]), ["a", "b"]).tolist()
    [[2, 1], [0, 0]]
    """
    rank = {name: place for place, name in enumerate(stimulus_id)}
    rows = np.array([rank[name] for name in responses["stimulus_id"].values.astype(str)], dtype=np.intp)
    gone = np.isnan(responses.values)
    shown = np.bincount(rows, minlength=len(rank))[:, None]
    if not gone.any():
        return np.broadcast_to(shown, (len(rank), responses.shape[1]))
    missing = np.zeros((len(rank), responses.shape[1]), dtype=np.intp)
    np.add.at(missing, rows, gone)
    return shown - missing


def closed(
    where: str, responses: xr.DataArray, gaps: str, stimulus_id: Sequence[str]
) -> tuple[xr.DataArray, list[str]]:
    """Responses in which every neuroid has a trial of every stimulus that is left, and warnings of what went.

    Presentations of which no neuroid has a trial are no presentations, and go.

    Parameters
    ----------
    where
        For messages: the name of the data set.
    responses
        Dims ("presentation", "neuroid"), float; NaN where a trial is not there.
    gaps
        "refuse"; "drop-stimuli" or "drop-neuroids" where a neuroid has no trial of a stimulus; "drop-trials" leaves
        out every presentation that is not there for all neuroids, and then refuses.
    stimulus_id
        All stimuli, also those that were never presented.

    Raises
    ------
    DataError
        A neuroid without a trial of a stimulus, unless something is dropped for it; or nothing is left.
    """
    said: list[str] = []
    gone: Array = np.isnan(responses.values)
    if gone.any():
        incomplete = np.asarray(gone.any(axis=1))
        if gaps == "drop-trials" and incomplete.any():
            places = np.flatnonzero(incomplete)
            said.append(_dropped(where, "trials", places, len(gone), "are not there for all neuroids"))
        left_out = incomplete if gaps == "drop-trials" else np.asarray(gone.all(axis=1))
        responses = _in_order(responses.isel(presentation=np.flatnonzero(~left_out)), stimulus_id)
    empty: Array = trial_counts(responses, stimulus_id) == 0
    if empty.any():
        dropping = _DROPPING.get(gaps)
        if dropping is None:
            raise DataError(_refusal(where, empty, stimulus_id, responses["neuroid_id"].values))
        responses, what = dropping(where, responses, empty, stimulus_id)
        said.append(what)
    return responses, said


def _in_order(responses: xr.DataArray, stimulus_id: Sequence[str]) -> xr.DataArray:
    """Stimuli appear in the order in which they are given, also where the first presentations of some are gone."""
    rank = {name: place for place, name in enumerate(stimulus_id)}
    ranks = [rank[name] for name in responses["stimulus_id"].values.astype(str)]
    appearing = list(dict.fromkeys(ranks))
    if appearing == sorted(appearing):
        return responses
    return responses.isel(presentation=np.argsort(ranks, kind="stable"))


def with_trials(
    where: str, stimuli: StimulusSet, responses: xr.DataArray, gaps: str
) -> tuple[StimulusSet, xr.DataArray, list[str]]:
    """Stimuli and responses of a data set, closed as ``gaps`` says, and warnings of what went.

    A stimulus that was never presented is a gap that "drop-stimuli" closes; else it is left to be refused.

    Raises
    ------
    DataError
        As ``closed``.
    """
    if gaps != "drop-stimuli":
        found = dict.fromkeys(responses["stimulus_id"].values.tolist())
        return stimuli, *closed(where, responses, gaps, tuple(found))
    responses, said = closed(where, responses, gaps, stimuli.ids)
    left = set(responses["stimulus_id"].values.tolist())
    return stimuli if len(left) == len(stimuli) else stimuli.only(left), responses, said


def filled(values: Array) -> Array:
    """Columns whose gaps are filled with their first value, so that what is constant stays constant.

    Examples
    --------
    >>> filled(np.array([[np.nan], [2.0], [3.0]])).tolist()
    [[2.0], [2.0], [3.0]]
    """
    gone = np.isnan(values)
    if not gone.any():
        return values
    return np.where(gone, np.take_along_axis(values, (~gone).argmax(axis=0)[None], axis=0), values)


def _refusal(where: str, empty: Array, stimulus_id: Sequence[str], neuroid_id: Array) -> str:
    stimuli = [stimulus_id[place] for place in np.flatnonzero(empty.any(axis=1)).tolist()]
    neuroids = neuroid_id[empty.any(axis=0)]
    return (
        f"{where!r} has no trial of {len(stimuli)} of {len(stimulus_id)} stimuli ({shorten(stimuli, 3)}) for "
        f"{len(neuroids)} of {len(neuroid_id)} neuroids ({shorten(neuroids, 3)}): what is there is not finite (NaN). "
        f"All neuroids are trained on the same stimuli, so drop these stimuli or these neuroids: {_CHOICES}, which "
        "isocortex.data.Dataset and isocortex.data.close_gaps take."
    )


def _dropped(where: str, what: str, names: Sequence[str] | Array, total: int, why: str) -> str:
    return f"{len(names)} of {total} {what} of {where!r} {why} and were dropped: {shorten(names)}."


def _without_stimuli(
    where: str, responses: xr.DataArray, empty: Array, stimulus_id: Sequence[str]
) -> tuple[xr.DataArray, str]:
    bad = np.asarray(empty.any(axis=1))
    if bad.all():
        raise DataError(
            f"Each of {len(bad)} stimuli of {where!r} lacks trials of some neuroid, so that none is left. Drop "
            "neuroids instead: gaps = 'drop-neuroids'."
        )
    names = [name for name, is_bad in zip(stimulus_id, bad, strict=True) if is_bad]
    kept = ~np.isin(responses["stimulus_id"].values.astype(str), names)
    return responses.isel(presentation=np.flatnonzero(kept)), _dropped(
        where, "stimuli", names, len(bad), "have no trial for some neuroids"
    )


def _without_neuroids(
    where: str, responses: xr.DataArray, empty: Array, stimulus_id: Sequence[str]
) -> tuple[xr.DataArray, str]:
    del stimulus_id
    bad = np.asarray(empty.any(axis=0))
    if bad.all():
        raise DataError(
            f"Each of {len(bad)} neuroids of {where!r} lacks trials of some stimulus, so that none is left. Drop "
            "stimuli instead: gaps = 'drop-stimuli'."
        )
    names = responses["neuroid_id"].values[bad]
    return responses.isel(neuroid=np.flatnonzero(~bad)), _dropped(
        where, "neuroids", names, len(bad), "have no trial of some stimuli"
    )


_DROPPING = {"drop-stimuli": _without_stimuli, "drop-neuroids": _without_neuroids}


def missing_for_some(where: str, responses: xr.DataArray) -> list[str]:
    """A warning of trials that some neuroids have and others have not."""
    gone = np.isnan(responses.values)
    if not gone.any():
        return []
    some = gone.any(axis=0)
    names = responses["neuroid_id"].values[some]
    return [
        f"Of {gone.shape[0]} presentations of {where!r}, {int(gone.any(axis=1).sum())} are missing for some neuroids "
        f"({int(some.sum())} of {gone.shape[1]}: {shorten(names)}). Means and ceilings are over each neuroid's own "
        "trials."
    ]


def close_gaps(responses: xr.DataArray, gaps: Gaps) -> xr.DataArray:
    """Drop the stimuli, neuroids or trials that have gaps, for use in a notebook; what is dropped is warned of.

    Parameters
    ----------
    responses
        Dims ("presentation", "neuroid"), float; NaN where a trial is not there.
    gaps
        "drop-stimuli": stimuli of which some neuroid has no trial. "drop-neuroids": neuroids that have no trial of some
        stimulus. "drop-trials": presentations that are not there for all neuroids. "refuse": nothing.

    Raises
    ------
    SettingsError
        Another word.
    DataError
        A neuroid without a trial of a stimulus is left, or nothing is left.

    Examples
    --------
    >>> import warnings
    >>> from isocortex.data.dataset import make_responses
    >>> responses = make_responses(np.array([[1.0, np.nan], [2.0, 3.0]]), ["a", "b"])
    >>> with warnings.catch_warnings(action="ignore"):
    ...     close_gaps(responses, "drop-neuroids").neuroid_id.values.tolist()
    ['neuroid0']
    """
    import warnings

    check_gaps(gaps)
    ids = tuple(dict.fromkeys(map(str, responses["stimulus_id"].values)))
    found, said = closed("the responses", responses, gaps, ids)
    for text in [*said, *missing_for_some("the responses", found)]:
        warnings.warn(text, stacklevel=2)
    return found
