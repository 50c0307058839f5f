"""The two reliabilities of a voxel in Tuckute et al. 2023: that of Kell et al. 2018, and between pairs of scans.

They come with the published data, where they describe voxels; no published score leaves voxels out because of them.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from isocortex.data import check_responses, repetitions
from isocortex.errors import DataError
from isocortex.typing import Array
from isocortex_metrics.ceilings.split_half import column_correlation, spearman_brown

if TYPE_CHECKING:
    import xarray as xr


def kell_reliability(scans: Array) -> Array:
    r"""1 − ‖v₁₂ − proj_{v₃} v₁₂‖ / ‖v₁₂‖, v₁₂ the mean of the first two scans and v₃ the third.

    It is 1 − |sin| of the angle between both. Nothing is centred, so that a voxel which responds to every stimulus
    alike has a high value; and no sign is kept, so that a third scan of opposite sign counts as one that agrees.

    Parameters
    ----------
    scans
        (3, n_stimuli, n_neuroids).

    Returns
    -------
    (n_neuroids,) in [0, 1]; NaN where v₁₂ or v₃ is 0 for all stimuli.

    Raises
    ------
    DataError
        Another number of scans than three, or values that are not finite.

    References
    ----------
    Kell et al. 2018, Neuron 98, STAR Methods; Norman-Haignere et al. 2015, Neuron 88.

    Examples
    --------
    >>> v1, v2, v3 = [[1.0], [0.0]], [[1.0], [0.0]], [[1.0], [1.0]]
    >>> kell_reliability(np.array([v1, v2, v3])).round(6).tolist()  # 45 degrees: 1 − √½
    [0.292893]
    """
    scans = _checked(scans)
    if len(scans) != 3:
        raise DataError(f"The reliability of Kell et al. needs exactly 3 scans, two against one; found {len(scans)}.")
    first, third = scans[:2].mean(axis=0), scans[2]
    size, length = np.linalg.norm(first, axis=0), np.linalg.norm(third, axis=0)
    direction = third / np.where(length > 0, length, np.nan)
    rest = first - direction * np.einsum("ij,ij->j", direction, first)
    return 1 - np.linalg.norm(rest, axis=0) / np.where(size > 0, size, np.nan)


def pearson_reliability(scans: Array) -> Array:
    """Median over pairs of scans of the Pearson correlation over stimuli: the reliability of a single scan.

    Parameters
    ----------
    scans
        (n_scans, n_stimuli, n_neuroids), at least two scans; the paper has three.

    Returns
    -------
    (n_neuroids,); NaN where a scan does not vary.

    Raises
    ------
    DataError
        One scan, or values that are not finite.

    Examples
    --------
    >>> scans = np.array([[[1.0], [2.0], [3.0]], [[1.0], [3.0], [2.0]], [[1.0], [2.0], [3.0]]])
    >>> pearson_reliability(scans).round(6).tolist()  # pairs: 0.5, 1, 0.5
    [0.5]
    """
    scans = _checked(scans)
    if len(scans) < 2:
        raise DataError(f"The reliability between scans needs at least 2 scans; found {len(scans)}.")
    pairs = [column_correlation(scans[a], scans[b]) for a, b in combinations(range(len(scans)), 2)]
    return np.median(pairs, axis=0)


def voxel_reliability(responses: xr.DataArray) -> xr.Dataset:
    """Both reliabilities of every neuroid, and what Spearman and Brown make of them for the mean over all scans.

    3 r / (1 + 2 r) of the Pearson reliability is the published estimate for the mean of three scans. That of Kell's is
    there for comparison: it is an angle and no correlation, so that the formula has no derivation for it.

    Parameters
    ----------
    responses
        Dims ("presentation", "neuroid"), every stimulus three times; repetitions in order are the scans.

    Returns
    -------
    ``kell``, ``pearson``, ``kell_corrected``, ``pearson_corrected``, each ("neuroid",) with the coordinates of the
    responses. Nothing is clipped or floored; NaN where it is not defined.

    Raises
    ------
    DataError
        Responses that are not valid, or another number of repetitions than three.

    Examples
    --------
    >>> from isocortex.data import make_responses
    >>> scans = np.array([[[1.0], [2.0], [3.0]], [[1.0], [3.0], [2.0]], [[1.0], [2.0], [3.0]]])
    >>> found = voxel_reliability(make_responses(scans, ["a", "b", "c"]))
    >>> found["pearson_corrected"].values.round(6).tolist()
    [0.75]
    """
    import xarray as xr

    responses = check_responses("the responses", responses)
    counts = np.unique(responses["stimulus_id"].values.astype(str), return_counts=True)[1]
    if set(counts.tolist()) != {3}:
        found = f"{counts.min()} to {counts.max()}" if counts.min() < counts.max() else str(counts.min())
        raise DataError(f"The published reliabilities need every stimulus in exactly 3 scans; found {found}.")
    if "repetition" in responses.coords:
        responses = responses.isel(presentation=np.argsort(responses["repetition"].values, kind="stable"))
    scans = repetitions(responses)
    single = {"kell": kell_reliability(scans), "pearson": pearson_reliability(scans)}
    corrected = {f"{name}_corrected": spearman_brown(values, 3) for name, values in single.items()}
    neuroid = responses.isel(presentation=0, drop=True)
    return xr.Dataset({name: neuroid.copy(data=values) for name, values in {**single, **corrected}.items()})


def _checked(scans: Array) -> Array:
    values = np.asarray(scans, dtype=np.float64)
    if values.ndim != 3 or values.shape[1] < 2:
        raise DataError(
            f"Scans need the shape (n_scans, n_stimuli, n_neuroids), 2 stimuli or more; found {values.shape}."
        )
    if not np.isfinite(values).all():
        raise DataError("Reliabilities need finite responses; found NaN or infinite values. Leave those voxels out.")
    return values
