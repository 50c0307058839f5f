"""What a metric is held against: responses or RDMs, from a data set or from arrays in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from isocortex.data import Dataset, check_responses, labels_of_stimuli
from isocortex.errors import DataError, SettingsError

if TYPE_CHECKING:
    import xarray as xr


class NoSettings(BaseModel):
    """There is nothing to set: a published metric is what was published."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def responses_of(target: Dataset | xr.DataArray, metric: str) -> xr.DataArray:
    """The responses, dims ("presentation", "neuroid"); a data set's are in canonical order.

    Raises
    ------
    DataError
        There are none, or they are not valid.
    """
    if not isinstance(target, Dataset):
        return check_responses("the responses", target)
    if target.responses is None:
        raise DataError(f"The metric {metric!r} takes responses, but the data set {target.id!r} holds {target.kind}.")
    return target.responses


def labels_of(
    target: Dataset | xr.DataArray, responses: xr.DataArray, column: str, stimulus_id: tuple[str, ...]
) -> list[str]:
    """A label for every stimulus: a column of the stimulus table, or a coordinate of the presentations.

    Raises
    ------
    SettingsError
        There is no such column or coordinate.
    DataError
        Stimuli without a label, or with two.
    """
    table = target.stimuli.table if isinstance(target, Dataset) else None
    return labels_of_stimuli(column, stimulus_id, table, responses)


def rdm_pairs(rdm: xr.DataArray) -> tuple[xr.DataArray, tuple[str, ...]]:
    """Put RDMs of a notebook into row-major order of the upper triangle, stimuli in order of first appearance.

    Parameters
    ----------
    rdm
        Dims ("subject"[, "session"], "pair"), coordinates ``stimulus_a`` and ``stimulus_b`` on pair.

    Returns
    -------
    The RDMs with ordered pairs, and ``stimulus_id`` in order.

    Raises
    ------
    DataError
        Missing coordinates, values that are not finite, or pairs that are absent or there twice.
    """
    if rdm.dims not in (("subject", "pair"), ("subject", "session", "pair")):
        raise DataError(f"RDMs need dims ('subject'[, 'session'], 'pair'); found {rdm.dims}.")
    absent = [name for name in ("stimulus_a", "stimulus_b") if name not in rdm.coords]
    if absent:
        raise DataError(f"RDMs need the coordinates {absent} on 'pair'; found {list(rdm.coords)}.")
    if not np.isfinite(rdm.values).all():
        raise DataError("RDMs hold values that are not finite (NaN or infinite). Leave those stimuli out.")
    pairs = np.stack([rdm[name].values.astype(str) for name in ("stimulus_a", "stimulus_b")], axis=1)  # (n_pairs, 2)
    ids = tuple(dict.fromkeys(str(name) for name in pairs.ravel()))
    rank = {name: place for place, name in enumerate(ids)}
    places = np.sort([[rank[str(name)] for name in pair] for pair in pairs], axis=1)
    n_pairs = len(ids) * (len(ids) - 1) // 2
    if len(pairs) != n_pairs or len(np.unique(places, axis=0)) != n_pairs or (places[:, 0] == places[:, 1]).any():
        raise DataError(f"RDMs need each pair of {len(ids)} stimuli once ({n_pairs} pairs); found {len(pairs)}.")
    return rdm.isel(pair=np.lexsort((places[:, 1], places[:, 0]))), ids


def refuse_seed(seed: int, metric: str) -> None:
    """A published metric draws its splits with the seed of its publication.

    Raises
    ------
    SettingsError
        Another seed than 0, which stands for the published one.

    Examples
    --------
    >>> refuse_seed(0, "brainscore-pls")
    """
    if seed != 0:
        raise SettingsError(
            f"{metric} draws its splits as published and takes no other seed; found seed {seed}. "
            "Leave --seed away, or use a metric of our own (ridge, rsa)."
        )
