"""Which presentation is which, how reliable a cell is, and whether running changes it; pure functions on arrays."""

from __future__ import annotations

from typing import Final

import numpy as np

from isocortex.errors import DataError
from isocortex.typing import Array

#: cm/s from which a mouse counts as running, and trials of each kind that a test needs, as the Allen Institute has them
RUNNING_CM_S: Final = 1.0
MIN_TRIALS: Final = 5
N_SPLITS: Final = 100
#: values of one block of cells: 32 MB in float64
_BLOCK_VALUES: Final = 4_000_000


def presentations(scene: Array, n_scenes: int) -> Array:
    """Trials of each scene, in the order in which they were shown: (n_presentations, n_scenes) places.

    As many as every scene has; the later ones of the others are left out.

    Parameters
    ----------
    scene
        (n_trials,) number of the scene that a trial showed, below 0 for the blank.

    Raises
    ------
    DataError
        A scene that was shown less than four times: too few to select on some and score on others, in halves.

    Examples
    --------
    >>> presentations(np.array([1, 0, -1, 0, 1, 1, 0, 0, 1]), 2).tolist()
    [[1, 0], [3, 4], [6, 5], [7, 8]]
    """
    places = [np.flatnonzero(scene == number) for number in range(n_scenes)]
    n_presentations = min(len(found) for found in places)
    if n_presentations < 4:
        rare = min(range(n_scenes), key=lambda number: len(places[number]))
        raise DataError(
            f"Every scene must have been shown at least 4 times; scene {rare} was shown {n_presentations} times."
        )
    return np.stack([found[:n_presentations] for found in places], axis=1)


def split_half_reliability(trials: Array, n_splits: int = N_SPLITS, seed: int = 0) -> Array:
    r"""Mean over random halves of the trials of 2r / (1 + r), r between the mean responses of both halves.

    Every half has the same presentations of all stimuli. Conwell et al. 2021 (``neural_reliability.py``), who drew
    without a seed.

    Parameters
    ----------
    trials
        (n_trials, n_stimuli, n_cells), at least two trials.
    n_splits
        Halves that are drawn.
    seed
        Draws them.

    Returns
    -------
    (n_cells,) float64, NaN for a cell that does not vary in some half. Memory: 64 MB beside the trials.

    Examples
    --------
    >>> same = np.tile(np.arange(6.0).reshape(3, 2), (4, 1, 1))
    >>> split_half_reliability(same).round(12).tolist()
    [1.0, 1.0]
    """
    n_trials, n_stimuli, n_cells = trials.shape
    stream = np.random.default_rng(seed)
    first = np.zeros((n_splits, n_trials))
    for row in first:
        row[stream.permutation(n_trials)[: n_trials // 2]] = 1.0
    halves = np.concatenate([first / first.sum(axis=1, keepdims=True), (1 - first) / (n_trials - n_trials // 2)])
    found = np.empty(n_cells)
    width = max(1, _BLOCK_VALUES // (len(halves) * n_stimuli))
    for start in range(0, n_cells, width):
        block = trials[:, :, start : start + width].astype(np.float64)
        means = (halves @ block.reshape(n_trials, -1)).reshape(2, n_splits, n_stimuli, -1)
        means -= means.mean(axis=2, keepdims=True)
        norms = np.sqrt((means**2).sum(axis=2))  # (2, n_splits, width)
        varies = (norms > 1e-12 * np.abs(block).max(initial=0.0)).all(axis=0)
        r = (means[0] * means[1]).sum(axis=1) / np.where(varies, norms[0] * norms[1], np.nan)
        found[start : start + width] = (2 * r / np.maximum(1 + r, 1e-12)).mean(axis=0)
    return found


def running_p(responses: Array, scene: Array, speed: Array, n_scenes: int) -> Array:
    """Whether a cell responds differently to its preferred scene while the mouse runs: p of Welch's t-test.

    The preferred scene is the one with the largest mean response. Allen Institute (``natural_scenes.py``).

    Parameters
    ----------
    responses
        (n_trials, n_cells).
    scene
        (n_trials,), below 0 for the blank.
    speed
        (n_trials,) cm/s, NaN where it is not known.

    Returns
    -------
    (n_cells,), NaN where fewer than five trials of the preferred scene were running, or fewer than five were not.

    Examples
    --------
    >>> responses = np.arange(12.0)[:, None]
    >>> running_p(responses, np.zeros(12), np.repeat([0.0, 9.0], 6), 1).round(4).tolist()
    [0.0002]
    """
    from scipy.stats import ttest_ind

    means = np.stack([responses[scene == number].mean(axis=0) for number in range(n_scenes)])
    preferred = means.argmax(axis=0)
    p = np.full(responses.shape[1], np.nan)
    for number in np.unique(preferred):
        cells = np.flatnonzero(preferred == number)
        runs = (scene == number) & (speed >= RUNNING_CM_S)
        rests = (scene == number) & (speed < RUNNING_CM_S)
        if min(runs.sum(), rests.sum()) >= MIN_TRIALS:
            both = [responses[np.ix_(np.flatnonzero(trials), cells)].astype(np.float64) for trials in (runs, rests)]
            _, p[cells] = ttest_ind(*both, equal_var=False)
    return p
