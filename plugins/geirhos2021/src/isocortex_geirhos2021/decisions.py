"""Decisions of people and machines as one table: from the published tables of trials, or from a compact copy of them.

A table of decisions has the columns of ``COLUMNS``, one row for each trial; memory is about 0.1 kB for each row, 15 MB
for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from isocortex.errors import DataError, shorten, suggest
from isocortex.typing import Array
from isocortex_geirhos2021.conditions import DATA_SETS, NO_CONDITION, condition_of, counts

if TYPE_CHECKING:
    import pandas as pd

CATEGORIES: Final = (
    *("airplane", "bear", "bicycle", "bird", "boat", "bottle", "car", "cat"),
    *("chair", "clock", "dog", "elephant", "keyboard", "knife", "oven", "truck"),
)
#: the word for a trial without a decision
NO_DECISION: Final = "na"
COLUMNS: Final = ("data_set", "stimulus_id", "condition", "category", "observer", "decision")
CUE_CONFLICT: Final = "cue-conflict"
#: of a compact copy: the observer did not see the picture
_NOT_SHOWN: Final = 255
_OF_TRIALS: Final = ("subj", "object_response", "category", "condition", "imagename")
_ENDINGS: Final = (".png", ".jpg", ".jpeg")
#: characters of a table of trials: ten times the largest that is published
_LARGEST: Final = 5_000_000


def image_name(name: str) -> str:
    """Name of a picture without what differs between observers and copies: number of the trial, session and ending.

    Examples
    --------
    >>> image_name("0001_cl_s01_cr_oven_40_n04111531_14126.png"), image_name("airplane1-bicycle2.png")
    ('n04111531_14126', 'airplane1-bicycle2')
    """
    stem = name[: -len(PurePosixPath(name).suffix)] if name.lower().endswith(_ENDINGS) else name
    *_, before, last = ["", *stem.split("_")]
    return f"{before}_{last}" if before.startswith("n0") else last


def texture_of(stimulus: str) -> str:
    """Category of the texture of a picture of the cue conflict, whose name begins with its shape.

    Examples
    --------
    >>> texture_of("cue-conflict/airplane10-bicycle2")
    'bicycle'
    """
    return stimulus.rpartition("-")[2].rstrip("0123456789")


def is_person(observer: str) -> bool:
    """Whether an observer is one of the people, ``subject-01`` and so on."""
    return observer.startswith("subject-")


# --- the published tables of trials -----------------------------------------------------------------------------------


def read_trials(path: Path, data_set: str | None = None) -> pd.DataFrame:
    """Read a published table of trials: ``subj``, ``object_response``, ``category``, ``condition``, ``imagename``.

    Parameters
    ----------
    path
        CSV with a header, in any case; further columns (session, trial, rt) are not used.
    data_set
        Which it belongs to; default: the folder that it lies in, or what its name begins with.

    Raises
    ------
    DataError
        It cannot be read, lacks a column, is of no data set, or holds a word that is no category.
    """
    import pandas as pd

    name = data_set if data_set is not None else _data_set_of(path)
    if name not in DATA_SETS:
        raise DataError(
            f"There is no data set {name!r}.{suggest(name, DATA_SETS)} Expected one of {shorten(DATA_SETS, 17)}."
        )
    table = _read_csv(path)
    found = pd.DataFrame(
        {
            "data_set": name,
            "stimulus_id": [f"{name}/{image_name(picture)}" for picture in table["imagename"]],
            "condition": [condition_of(name, text) for text in table["condition"]],
            "category": table["category"].str.strip().to_numpy(),
            "observer": table["subj"].str.strip().to_numpy(),
            "decision": table["object_response"].str.strip().str.lower().replace("nan", NO_DECISION).to_numpy(),
        }
    )
    _refuse_other_words(found, str(path))
    return found


def _data_set_of(path: Path) -> str:
    """The data set of a file by its folder, or by what its name begins with."""
    if path.absolute().parent.name in DATA_SETS:
        return path.absolute().parent.name
    known = [name for name in DATA_SETS if path.name.startswith(f"{name}_")]
    if len(known) != 1:
        raise DataError(
            f"{path} does not say which data set it belongs to: neither its folder nor its name begins with one. "
            f"Give --data-set, one of {shorten(DATA_SETS, 17)}."
        )
    return known[0]


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.stat().st_size > _LARGEST:
            raise DataError(
                f"{path} has {path.stat().st_size:,} bytes. Expected a table of trials, at most {_LARGEST:,}."
            )
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a table of trials ({error}). Copy or download it again.") from error
    table.columns = [str(column).strip().lower() for column in table.columns]
    absent = [name for name in _OF_TRIALS if list(table.columns).count(name) != 1]
    if absent or not len(table):
        raise DataError(
            f"{path} needs rows and the columns {', '.join(_OF_TRIALS)}, each once; found {len(table)} rows and "
            f"{shorten(table.columns, 12)}."
        )
    return table


def _refuse_other_words(table: pd.DataFrame, where: str) -> None:
    for column, known in (("category", CATEGORIES), ("decision", (*CATEGORIES, NO_DECISION))):
        other = sorted(set(table[column]) - set(known))
        if other:
            raise DataError(
                f"{where} has {len(other)} words as {column} that are none of the 16 categories: {shorten(other)}."
                f"{suggest(other[0], known)} A trial without a decision is {NO_DECISION!r}."
            )
    if (table["observer"] == "").any():
        raise DataError(f"{where} has trials without an observer ('subj').")


# --- a compact copy ---------------------------------------------------------------------------------------------------


def read_compact(members: Mapping[str, Path], data_sets: Sequence[str] = DATA_SETS) -> pd.DataFrame:
    """Read arrays ``<data set>/{response,subject,condition,image,category,in_benchmark}`` and ``categories``.

    Parameters
    ----------
    members
        Name of an array with ``.npy`` → its file; ``response`` is (n_observers, n_images), numbers among
        ``categories``, 255 where an observer did not see an image.
    data_sets
        Which to read.

    Raises
    ------
    DataError
        An array is absent or has another form, or a condition counts here and not in the copy, or the reverse.
    """
    import pandas as pd

    words = _words(members)
    return pd.concat([_compact_set(members, name, words) for name in data_sets], ignore_index=True)


def _words(members: Mapping[str, Path]) -> Array:
    words = _array(members, "categories")
    if tuple(map(str, words)) != (*CATEGORIES, NO_DECISION):
        raise DataError(f"categories must be the 16 categories and {NO_DECISION!r}; found {shorten(words, 17)}.")
    return np.array([*CATEGORIES, NO_DECISION], dtype=object)


def _array(members: Mapping[str, Path], name: str) -> Array:
    from isocortex.files import load_npy

    if f"{name}.npy" not in members:
        raise DataError(f"The copy of the decisions lacks the array {name!r}; it has {shorten(members)}.")
    return load_npy(members[f"{name}.npy"])


def _compact_set(members: Mapping[str, Path], name: str, words: Array) -> pd.DataFrame:
    fields = ("response", "subject", "condition", "image", "category", "in_benchmark")
    response, subject, condition, image, category, counted = (_array(members, f"{name}/{field}") for field in fields)
    if any(one.shape != image.shape for one in (condition, category, counted)) or image.ndim != 1 or subject.ndim != 1:
        raise DataError(f"{name}: condition, image, category and in_benchmark must have one length, subject be a list.")
    conditions = [condition_of(name, str(text)) for text in condition]
    other = {text for text, own in zip(conditions, counted, strict=True) if counts(name, text) != bool(own)}
    if other:
        raise DataError(
            f"{name}: the copy and the published rules differ in whether the conditions {shorten(sorted(other))} count."
        )
    stimuli = np.array([f"{name}/{image_name(str(one))}" for one in image], dtype=object)
    about = {"condition": np.array(conditions, dtype=object), "category": _named(category, words[:-1], name)}
    return _long(response, subject, stimuli, about, words, name)


def read_cue_conflict(members: Mapping[str, Path]) -> pd.DataFrame:
    """Read the responses of 2019 to the cue conflict: ``response``, ``observer``, ``image``, ``shape``, ``texture``.

    Raises
    ------
    DataError
        An array is absent or has another form, or a texture is another than the name of its picture says.
    """
    words = _words(members)
    fields = ("response", "observer", "image", "shape", "texture")
    response, observer, image, shape, texture = (_array(members, field) for field in fields)
    stimuli = np.array([f"{CUE_CONFLICT}/{image_name(str(one))}" for one in image], dtype=object)
    named = _named(texture, words[:-1], CUE_CONFLICT)
    other = [one for one, found in zip(stimuli, named, strict=True) if texture_of(one) != found]
    if other:
        raise DataError(f"{len(other)} pictures have another texture than their names say: {shorten(other)}.")
    about = {
        "condition": np.full(len(stimuli), NO_CONDITION, dtype=object),
        "category": _named(shape, words[:-1], CUE_CONFLICT),
    }
    return _long(response, observer, stimuli, about, words, CUE_CONFLICT)


def _named(codes: Array, words: Array, where: str) -> Array:
    if codes.dtype.kind not in "iu" or (len(codes) and (codes.min() < 0 or codes.max() >= len(words))):
        raise DataError(f"{where}: expected numbers of categories, 0 to {len(words) - 1}; found {codes.dtype}.")
    return words[codes]


def _long(
    response: Array, observer: Array, stimuli: Array, about: Mapping[str, Array], words: Array, name: str
) -> pd.DataFrame:
    """One row for each picture that an observer saw."""
    import pandas as pd

    if response.shape != (len(observer), len(stimuli)):
        raise DataError(
            f"{name}: response must be (n_observers, n_images) = {(len(observer), len(stimuli))}; found "
            f"{response.shape}."
        )
    who, place = np.nonzero(response != _NOT_SHOWN)
    columns: dict[str, Any] = {
        "data_set": name,
        "stimulus_id": stimuli[place],
        **{field: values[place] for field, values in about.items()},
        "observer": np.array([str(one) for one in observer], dtype=object)[who],
        "decision": _named(response[who, place], words, name),
    }
    return pd.DataFrame(columns)[list(COLUMNS)]


# --- one table --------------------------------------------------------------------------------------------------------


def one_table(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put tables of decisions together.

    Raises
    ------
    DataError
        A picture has two categories or conditions, or an observer decided twice about one, and differently.
    """
    import pandas as pd

    table = pd.concat(list(tables), ignore_index=True).drop_duplicates(ignore_index=True)
    for column in ("category", "condition"):
        of_stimulus = table.drop_duplicates(["stimulus_id", column])["stimulus_id"]
        twice = of_stimulus[of_stimulus.duplicated()]
        if len(twice):
            raise DataError(f"{len(twice)} pictures have more than one {column}: {shorten(dict.fromkeys(twice))}.")
    twice = table[table.duplicated(["stimulus_id", "observer"])]
    if len(twice):
        raise DataError(
            f"{len(twice)} decisions are an observer's second about a picture, and another: "
            f"{shorten(twice['observer'] + ' on ' + twice['stimulus_id'])}. Expected one for each."
        )
    return table
