"""What responses must be, whatever the stimuli are: dimensions, labels, and values that metrics can work with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from isocortex.data.gaps import closed
from isocortex.data.labels import text_array
from isocortex.data.numbers import real_numbers, refuse_range
from isocortex.data.suspect_columns import CONTINUOUS
from isocortex.errors import DataError, shorten

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.typing import Array


def check_responses(where: str, responses: xr.DataArray) -> xr.DataArray:
    """Check dimensions, coordinates and values of responses, whatever the stimuli are; labels become text.

    A trial that is not there is NaN: it may be missing for some neuroids, as long as each neuroid has one of every
    stimulus. Presentations of which no neuroid has a trial go.

    Raises
    ------
    DataError
        Something else than a DataArray, wrong dimensions, missing coordinates, continuous stimuli, labels that are
        missing, values that are infinite, masked, complex or beyond the range of metrics, a neuroid without a trial of
        a stimulus, duplicated neuroids or presentations.
    """
    checked = check_trials(where, responses)
    return closed(where, checked, "refuse", tuple(dict.fromkeys(checked["stimulus_id"].values.tolist())))[0]


def check_trials(where: str, responses: xr.DataArray) -> xr.DataArray:
    """As ``check_responses``, but trials may be missing wherever they do.

    Raises
    ------
    DataError
        As ``check_responses``, but for gaps.
    """
    import numpy as np

    refuse_other_types(responses, f"Responses of {where!r}", "isocortex.data.make_responses(values, stimulus_id)")
    _refuse_continuous(where, responses)
    if responses.dims[:2] != ("presentation", "neuroid") or responses.ndim != 2:
        raise DataError(f"Responses of {where!r} need dims ('presentation', 'neuroid'); found {responses.dims}.")
    if 0 in responses.shape:
        raise DataError(f"Responses of {where!r} are empty: shape {responses.shape}.")
    for name, dim in (("stimulus_id", "presentation"), ("neuroid_id", "neuroid")):
        if name not in responses.coords or responses[name].dims != (dim,):
            raise DataError(
                f"Responses of {where!r} need the coordinate {name!r} on {dim!r}; found {list(responses.coords)}."
            )
    if np.issubdtype(real_numbers(responses.values, f"Responses of {where!r}").dtype, np.integer):
        responses = responses.astype(np.float64)
    responses = with_text_labels(where, responses)
    gaps = np.isnan(responses.values)
    values = np.where(gaps, 0, responses.values) if gaps.any() else responses.values
    refuse_not_finite(where, responses.copy(data=values), "neuroid_id", "neuroid")
    refuse_range(values, responses["neuroid_id"].values.tolist(), f"Responses of {where!r}", "neuroid")
    names = twice(responses["neuroid_id"].values)
    if names:
        raise DataError(f"neuroid_id must be unique in {where!r}; found more than once: {shorten(names)}.")
    repetition = responses["repetition"].values if "repetition" in responses.coords else np.zeros(len(responses))
    shown = twice(
        [
            f"{name} (repetition {count})"
            for name, count in zip(responses["stimulus_id"].values, repetition, strict=True)
        ]
    )
    if shown:
        raise DataError(
            f"Responses of {where!r} hold a stimulus_id and repetition more than once: {shorten(shown)}. "
            "Number the repetitions, or average them first."
        )
    return responses


def refuse_other_types(data: object, what: str, how: str) -> None:
    """Refuse what is no xarray.DataArray, and say what it lacks.

    Raises
    ------
    DataError
        An array of numpy, a table of pandas, or anything else.
    """
    import xarray as xr

    if isinstance(data, xr.DataArray):
        return
    found = getattr(data, "shape", None)
    shape = f" of shape {found}" if isinstance(found, tuple) else ""
    kind = f"{type(data).__module__.partition('.')[0]}.{type(data).__qualname__}"
    raise DataError(
        f"{what} must be an xarray.DataArray, whose rows are named by 'stimulus_id'; found {kind}{shape}, which does "
        f"not say which stimulus a row is. Make one with {how}."
    )


def with_text_labels(where: str, data: xr.DataArray) -> xr.DataArray:
    """Data whose labels are text (see ``isocortex.data.labels``); the same where they were that already.

    Labels that were whole numbers keep that as ``attrs["numbers"]``: published metrics sort such by value.

    Raises
    ------
    DataError
        A label is missing.
    """
    changed = {}
    for name, coordinate in data.coords.items():
        values = coordinate.values
        found = text_array(values, str(name), f"{where!r}")
        if found is not values:
            numbers = {"numbers": 1} if all(isinstance(value, int) for value in values.ravel().tolist()) else {}
            changed[str(name)] = (coordinate.dims, found, {**coordinate.attrs, **numbers})
    return data.assign_coords(changed) if changed else data


def _refuse_continuous(where: str, responses: xr.DataArray) -> None:
    on_rows = [str(name) for name in responses.coords if responses[name].dims[:1] == ("presentation",)]
    found = sorted(CONTINUOUS & {*map(str, responses.dims), *on_rows})
    if found:
        raise DataError(
            f"Responses of {where!r} go on in time ({', '.join(found)}), which is not scored yet and never averaged in "
            "silence. Average over time within each presentation, and leave these out."
        )


def refuse_not_finite(where: str, data: xr.DataArray, coordinate: str, dim: str) -> None:
    """Refuse NaN and infinite values, and count and name what they are in.

    Raises
    ------
    DataError
        There are some.
    """
    import numpy as np

    finite = np.isfinite(data.values)
    if finite.all():
        return
    axis = tuple(number for number, name in enumerate(data.dims) if name != dim)
    affected = data[coordinate].values[~finite.all(axis=axis)]
    raise DataError(
        f"{where!r} has {int((~finite).sum())} values that are not finite (NaN or infinite), in {len(affected)} of "
        f"{data.sizes[dim]} {dim}s: {shorten(affected)}. Remove these {dim}s, or fill the gaps before scoring."
    )


def twice(names: Sequence[object] | Array) -> list[str]:
    """Names that are there more than once.

    Examples
    --------
    >>> twice(["a", "b", "a"])
    ['a']
    """
    return [str(name) for name, count in Counter(map(str, names)).items() if count > 1]
