"""Per neuroid, the columns of ``df_output`` of the Tuckute 2023 release, where the metric is that paper's regression.

Over the ten splits: mean and median of r before and after negative values count as 0, mean, median and standard
deviation (by n) of r², corrected r² and training r², and mean and median of alpha: fifteen columns. Corrected r² exists
with repetitions only; training r² and alpha where ``--keep training_r2 --keep alpha`` kept them. With it come the
four standard deviations of the release, of predictions and responses over test and training stimuli, as means over
splits.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from isocortex.errors import IsocortexError
from isocortex.results import Result

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_THEIRS: Final = ("tuckute2023-ridge", "tuckute2023-components")
_OVER: Final[dict[str, Callable[..., Any]]] = {"mean": np.mean, "median": np.median, "std": np.std}
#: name in the release → ours, and what is taken over splits
_COLUMNS: Final = {
    "r_prior_zero_test": ("r_prior_zero", ("mean", "median")),
    "r_test": ("r", ("mean", "median")),
    "r2_test": ("r2", ("mean", "median", "std")),
    "r2_test_c": ("r2_corrected", ("mean", "median", "std")),
    "r2_train": ("training_r2", ("mean", "median", "std")),
    "alpha": ("alpha", ("mean", "median")),
}
#: name in the release → ours, kept with training_r2
_SPREADS: Final = {
    "y_pred_test_std_mean": "prediction_std",
    "y_pred_train_std_mean": "training_prediction_std",
    "y_test_std_mean": "response_std",
    "y_train_std_mean": "training_response_std",
}
#: beside the scores → the name that it is kept under
_KEPT: Final = {"training_r2": "training_r2", "alpha": "alpha", **dict.fromkeys(_SPREADS.values(), "training_r2")}


def is_theirs(result: Result) -> bool:
    """Whether a result is of the paper's regression."""
    return result.metric in _THEIRS


def with_their_columns(
    table: pd.DataFrame, result: Result, scores: xr.Dataset, folder: Path | None, said: list[str]
) -> pd.DataFrame:
    """Add the columns of the release to rows of layer × neuroid; what was not kept is empty, and said.

    Parameters
    ----------
    table
        A row per layer and neuroid, layers outermost.
    result, scores
        Whose they are.
    folder
        The results folder, for what was kept.
    said
        Told what is empty.
    """
    columns: dict[str, Any] = {}
    for name, (own, kinds) in _COLUMNS.items():
        values = _values(own, result, scores, folder, said)
        for kind in kinds:
            columns[f"{kind}_{name}"] = np.nan if values is None else _OVER[kind](values, axis=-1).ravel()
    for name, own in _SPREADS.items():
        values = _values(own, result, scores, folder, said)
        columns[name] = np.nan if values is None else values.mean(axis=-1).ravel()
    return table.assign(**columns)


def _values(name: str, result: Result, scores: xr.Dataset, folder: Path | None, said: list[str]) -> Any:
    """(n_layers, n_neuroids, n_splits) float64, or None."""
    found = scores.get(name)
    if found is None and name in _KEPT and folder is not None:
        found = _kept(name, result, folder)
    if found is None:
        if name in _KEPT:
            said.append(
                f"{result.model}@{result.variant} × {result.benchmark}: {name} was not kept and is empty; "
                f"'isocortex score … --keep {_KEPT[name]}' keeps it"
            )
        return None
    values = found.transpose("layer", "neuroid", "split").values.astype(np.float64)
    return 10.0**values if name == "alpha" else values  # kept as its logarithm


def _kept(name: str, result: Result, folder: Path) -> xr.DataArray | None:
    import isocortex

    try:
        return isocortex.kept(result, _KEPT[name], folder)[name]
    except (IsocortexError, KeyError):  # kept by a version that kept less
        return None
