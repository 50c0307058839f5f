"""The brain side: stimuli with responses, RDMs or trials, checked once and put into canonical order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from isocortex.data.canonical_order import ORDERED, refuse_unknown
from isocortex.data.gaps import Gaps, check_gaps, filled, missing_for_some, with_trials
from isocortex.data.labels import label, labels
from isocortex.data.numbers import real_numbers
from isocortex.data.response_checks import check_trials
from isocortex.data.suspect_columns import suspect_columns
from isocortex.display import Displayed, Shown, listed
from isocortex.errors import DataError, shorten, suggest
from isocortex.files.digests import digest_array, digest_of, jsonable

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from isocortex.data.stimuli import StimulusSet
    from isocortex.typing import Array


@dataclass(frozen=True, repr=False)
class Dataset(Displayed):
    """Stimuli and what a brain did with them; exactly one of ``responses``, ``rdm`` and ``trials`` is set.

    Parameters
    ----------
    id
        Name of the data set.
    stimuli
        The stimuli; their order is the canonical order.
    responses
        Dims ("presentation", "neuroid"), float; a trial that is not there is NaN. Coordinates on presentation:
        ``stimulus_id`` and, where stimuli were shown several times, ``repetition``; on neuroid: ``neuroid_id``, and as
        far as known ``region``, ``subject``, …
    rdm
        Dims ("subject", "pair") or ("subject", "session", "pair"), float; coordinates ``stimulus_a`` and
        ``stimulus_b`` on pair, ``subject`` on subject.
    trials
        A table with one row per trial and a column ``stimulus_id``. A column ``trial`` numbers the rows as they came,
        unless there is one.
    attrs
        What else belongs to the data: units, licence, versions. Must be JSON-able.
    warnings
        What was dropped, guessed or found odd when the data were read; results keep it.
    gaps
        What is done where a neuroid has no trial of a stimulus: "refuse", "drop-stimuli" or "drop-neuroids"; or
        "drop-trials", to use only presentations that are there for all neuroids. What is dropped is a warning.

    Raises
    ------
    DataError, AlignmentError
        Wrong dimensions, values that are not finite, duplicates, unknown stimuli, stimuli without responses.
    SettingsError
        Another word for ``gaps``.

    Examples
    --------
    >>> import numpy as np
    >>> from isocortex.data.stimuli import Stimulus, StimulusSet
    >>> sounds = {name: Stimulus(name, "audio", np.zeros(9, "float32"), 8000.0) for name in "ab"}
    >>> responses = make_responses(np.ones((2, 3)), ["b", "a"])
    >>> Dataset("demo", StimulusSet("two", "audio", sounds), responses=responses).responses.stimulus_id.values.tolist()
    ['a', 'b']
    """

    id: str
    stimuli: StimulusSet
    responses: xr.DataArray | None = None
    rdm: xr.DataArray | None = None
    trials: pd.DataFrame | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    warnings: tuple[str, ...] = ()
    gaps: Gaps = "refuse"

    def __post_init__(self) -> None:
        check_gaps(self.gaps)
        given = [kind for kind in ("responses", "rdm", "trials") if getattr(self, kind) is not None]
        if len(given) != 1:
            raise DataError(f"Data set {self.id!r} needs exactly one of responses, rdm and trials; found {given}.")
        if self.responses is not None:
            checked = check_trials(self.id, self.responses)
            refuse_unknown(self.id, self.stimuli, set(checked["stimulus_id"].values.tolist()))
            stimuli, responses, said = with_trials(self.id, self.stimuli, checked, self.gaps)
            object.__setattr__(self, "stimuli", stimuli)
            object.__setattr__(self, "responses", responses)
            object.__setattr__(self, "warnings", tuple(dict.fromkeys([*self.warnings, *said])))
        ordered = ORDERED[given[0]](self.id, self.stimuli, getattr(self, given[0]))
        object.__setattr__(self, given[0], ordered)
        object.__setattr__(self, "_given_warnings", tuple(self.warnings))
        object.__setattr__(self, "warnings", tuple(dict.fromkeys([*self.warnings, *self._said_of_responses()])))

    def _said_of_responses(self) -> list[str]:
        """Warnings of trials that some neuroids lack, and of neuroids that are probably none."""
        if self.responses is None:
            return []
        names = self.responses["neuroid_id"].values.tolist()
        suspect = suspect_columns(filled(self.responses.values), names, f"neuroids of {self.id!r}")
        return missing_for_some(self.id, self.responses) + suspect

    def _shown(self) -> Shown:
        facts = {"stimuli": f"{len(self.stimuli):,} of {self.stimuli.id!r} ({self.stimuli.modality})"}
        data = self.responses if self.responses is not None else self.rdm
        if data is None:
            assert self.trials is not None
            facts["trials"] = f"{len(self.trials):,} with {listed(list(self.trials.columns), 8)}"
        else:
            sizes = " × ".join(f"{size:,} {name}" for name, size in data.sizes.items())
            facts[self.kind] = f"{sizes}, {data.dtype}"
            facts |= {
                name: listed(list(dict.fromkeys(map(str, data[name].values.tolist()))), 8)
                for name in ("region", "subject")
                if name in data.coords
            }
        facts["units"] = str(self.attrs.get("units") or (data is not None and data.attrs.get("units")) or "")
        facts["warnings"] = str(len(self.warnings) or "")
        return Shown(f"Dataset {self.id!r}: {self.kind}", facts)

    @property
    def kind(self) -> str:
        """``responses``, ``rdm`` or ``trials``."""
        return next(kind for kind in ("responses", "rdm", "trials") if getattr(self, kind) is not None)

    @cached_property
    def digest(self) -> str:
        """Digest over stimuli, canonical order, values and coordinates."""
        if self.trials is not None:
            content: Any = self.trials.to_csv(float_format="%.17g")
        else:
            data = self.responses if self.responses is not None else self.rdm
            assert data is not None
            coordinates = {str(name): jsonable(data[name].values.tolist()) for name in sorted(map(str, data.coords))}
            content = [digest_array(data.values), coordinates]
        return digest_of({"kind": self.kind, "stimuli": self.stimuli.digest, "content": content})

    def select(self, **chosen: str | Sequence[str]) -> Dataset:
        """Keep the neuroids (for RDMs: the subjects) or the stimuli that have the given values.

        A name is looked for among the coordinates of the neuroids or subjects, then among the columns of the stimulus
        table; stimuli are not selected where there are RDMs.

        Raises
        ------
        DataError
            No such coordinate or column, or nothing is left.

        Examples
        --------
        >>> # dataset.select(region="IT", subject=["M1", "M2"], variation="3")
        """
        if not chosen:
            return self
        data = self.responses if self.responses is not None else self.rdm
        dim = "subject" if self.rdm is not None else "neuroid"
        known = [] if data is None else [str(key) for key in data.coords if data[key].dims == (dim,)]
        of_stimuli = [] if self.rdm is not None else [name for name in self.stimuli.table.columns if name not in known]
        stimuli = self.stimuli
        for name, value in chosen.items():
            if name in of_stimuli:
                column = stimuli.table[name].astype(str)
                wanted = _wanted(f"Data set {self.id!r} has no stimuli", name, value, column.to_numpy())
                stimuli = stimuli.only(stimuli.table.index[column.isin(wanted).to_numpy()])
            elif data is not None:
                data = _select_one(self.id, data, dim, name, value, of_stimuli)
            else:
                raise DataError(
                    f"Data set {self.id!r} holds trials; select applies to columns of its stimuli, and {name!r} is "
                    f"none.{suggest(name, of_stimuli)} Known: {of_stimuli}."
                )
        return self._selected(data, stimuli)

    def only(self, ids: Iterable[str]) -> Dataset:
        """Some of the stimuli, in canonical order, with what belongs to them.

        Raises
        ------
        DataError
            A stimulus that is not there, or none is named.

        Examples
        --------
        >>> # dataset.only(dataset.stimuli.ids[:20])
        """
        stimuli = self.stimuli.only(ids)
        if self.rdm is None:
            return self._selected(self.responses, stimuli)
        given: tuple[str, ...] = getattr(self, "_given_warnings", ())
        first, second = (self.rdm[name].to_index().isin(list(stimuli.ids)) for name in ("stimulus_a", "stimulus_b"))
        inside = (first & second).nonzero()[0]
        return replace(self, warnings=given, stimuli=stimuli, rdm=self.rdm.isel(pair=inside))

    def _selected(self, data: xr.DataArray | None, stimuli: StimulusSet) -> Dataset:
        """With these responses or RDMs, and what belongs to these stimuli."""
        given: tuple[str, ...] = getattr(self, "_given_warnings", ())  # what is said of neuroids is said anew
        if stimuli is self.stimuli:
            return replace(self, warnings=given, **{self.kind: data})
        if data is None:
            assert self.trials is not None
            kept = self.trials[self.trials["stimulus_id"].isin(stimuli.ids)]
            return replace(self, warnings=given, stimuli=stimuli, trials=kept)
        inside = data["stimulus_id"].to_index().isin(list(stimuli.ids))
        return replace(self, warnings=given, stimuli=stimuli, responses=data.isel(presentation=inside.nonzero()[0]))


def _select_one(
    where: str, data: xr.DataArray, dim: str, name: str, value: str | Sequence[str], of_stimuli: Sequence[str]
) -> xr.DataArray:
    import numpy as np

    known = [str(key) for key in data.coords if data[key].dims == (dim,)]
    if name not in known:
        columns = f" Its stimuli have {shorten(of_stimuli, 12)}." if of_stimuli else ""
        raise DataError(
            f"Data set {where!r} has no {dim} coordinate {name!r}.{suggest(name, [*known, *of_stimuli])} "
            f"Known: {known}.{columns}"
        )
    values = data[name].values.astype(str)
    wanted = _wanted(f"Data set {where!r} has no {dim}", name, value, values)
    return data.isel({dim: np.flatnonzero(np.isin(values, wanted))})


def _wanted(beginning: str, name: str, value: str | Sequence[str], values: Array) -> list[str]:
    """What is asked for, all of which must be there."""
    wanted = [label(item) for item in ([value] if isinstance(value, str) else value)]
    absent = [item for item in wanted if item not in values]
    if absent or not wanted:
        known = shorten(sorted(set(values)))
        raise DataError(f"{beginning} with {name} = {shorten(absent)}; it has {known}.")
    return wanted


def make_responses(
    values: Array,
    stimulus_id: Sequence[str],
    *,
    neuroid: Mapping[str, Sequence[Any]] | None = None,
    units: str = "",
) -> xr.DataArray:
    """Build responses from an array: (n_stimuli, n_neuroids) or (n_repetitions, n_stimuli, n_neuroids).

    Raises
    ------
    DataError
        Another shape, values that are no real numbers or masked, or a stimulus without an ID.

    Examples
    --------
    >>> import numpy as np
    >>> make_responses(np.zeros((3, 2, 4)), ["a", "b"]).sizes["presentation"]
    6
    """
    import numpy as np
    import xarray as xr

    values = real_numbers(values, "Responses")
    if values.ndim not in (2, 3) or 0 in values.shape or values.shape[-2] != len(stimulus_id):
        raise DataError(
            f"Responses must be (n_stimuli, n_neuroids) or (n_repetitions, n_stimuli, n_neuroids) with "
            f"{len(stimulus_id)} stimuli; found shape {values.shape}."
        )
    n_neuroids = values.shape[-1]
    n_repetitions = values.shape[0] if values.ndim == 3 else 1
    ids = np.array(labels(stimulus_id, "stimulus_id", "The list of stimuli"), dtype=object)
    columns = {"neuroid_id": [f"neuroid{number}" for number in range(n_neuroids)], **(neuroid or {})}
    return xr.DataArray(
        values.reshape(-1, n_neuroids),  # (n_repetitions * n_stimuli, n_neuroids)
        dims=("presentation", "neuroid"),
        coords={
            "stimulus_id": ("presentation", np.tile(ids, n_repetitions)),
            "repetition": ("presentation", np.repeat(np.arange(n_repetitions), len(stimulus_id))),
            **{name: ("neuroid", list(column)) for name, column in columns.items()},
        },
        attrs={"units": units},
    )


def repetitions(responses: xr.DataArray) -> Array:
    """Return all trials, (n_repetitions, n_stimuli, n_neuroids) float64; stimuli in order of appearance.

    Trials that are not there are NaN: those beyond the last of a stimulus that was shown less often than others, and
    those that a neuroid lacks.

    Examples
    --------
    >>> import numpy as np
    >>> repetitions(make_responses(np.arange(8.0).reshape(2, 2, 2), ["a", "b"])).shape
    (2, 2, 2)
    """
    import numpy as np

    ids = responses["stimulus_id"].values.astype(str)
    places: dict[str, list[int]] = {}
    for place, name in enumerate(ids):
        places.setdefault(name, []).append(place)
    n_repetitions = max(len(rows) for rows in places.values())
    rows = np.array([[*rows, *[-1] * (n_repetitions - len(rows))] for rows in places.values()])
    trials = responses.values.astype(np.float64)[rows.T]  # (n_repetitions, n_stimuli, n_neuroids)
    trials[rows.T < 0] = np.nan
    return trials


def averaged(responses: xr.DataArray) -> Array:
    """Return (n_stimuli, n_neuroids) float64: each neuroid's mean over its own trials, stimuli in order of appearance.

    Examples
    --------
    >>> import numpy as np
    >>> averaged(make_responses(np.arange(8.0).reshape(2, 2, 2), ["a", "b"])).tolist()
    [[2.0, 3.0], [4.0, 5.0]]
    """
    import numpy as np

    ids = responses["stimulus_id"].values.astype(str)
    names, inverse = _codes(ids)
    sums = np.zeros((len(names), responses.shape[1]))
    values = responses.values.astype(np.float64)
    gone = np.isnan(values)
    np.add.at(sums, inverse, np.where(gone, 0.0, values) if gone.any() else values)
    counts = np.bincount(inverse, minlength=len(names))[:, None]
    if gone.any():
        missing = np.zeros(sums.shape, dtype=np.intp)
        np.add.at(missing, inverse, gone)
        counts = counts - missing
    return sums / counts


def stimulus_order(responses: xr.DataArray) -> tuple[str, ...]:
    """Return each ``stimulus_id`` once, in order of appearance: the rows of ``averaged`` and ``repetitions``."""
    return tuple(_codes(responses["stimulus_id"].values.astype(str))[0])


def _codes(ids: Array) -> tuple[list[str], Array]:
    import numpy as np

    names: dict[str, int] = {}
    codes = np.array([names.setdefault(name, len(names)) for name in ids], dtype=np.intp)
    return list(names), codes
