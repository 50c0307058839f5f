"""Clusters of stimuli by the distances between their features: Ward's linkage, cut at a number of clusters.

Nothing is drawn at random: the same features give the same clusters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isocortex.errors import DataError
from isocortex.typing import Array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isocortex.activations.layer import Activations


def squared_distances(activations: Activations, stimulus_id: Sequence[str]) -> Array:
    """Squared Euclidean distances (n_stimuli, n_stimuli) between the activations of stimuli, as they are.

    Memory: two matrices (stimuli × stimuli), and a block of units.

    Raises
    ------
    AlignmentError, DataError
        A stimulus has no activations, or they are not finite.

    Examples
    --------
    >>> from isocortex.activations.layer import Activations
    >>> squared_distances(Activations("x", ["a", "b"], [np.array([[0.0, 0.0], [3.0, 4.0]])]), ["a", "b"]).tolist()
    [[0.0, 25.0], [25.0, 0.0]]
    """
    products = np.zeros((len(stimulus_id), len(stimulus_id)))
    for block in activations.blocks(stimulus_id):
        near = block.astype(np.float64)
        near -= near.mean(axis=0)  # what all have in common would cost digits
        products += near @ near.T
    sizes = np.diag(products)
    found = np.maximum(sizes[:, None] + sizes - 2 * products, 0.0)
    np.fill_diagonal(found, 0.0)
    return found


def ward_clusters(squared: Array, n_clusters: int) -> Array:
    """Clusters of Ward's linkage: each merge adds least to the sum of squares within clusters.

    The chain of nearest neighbours (Murtagh 1983, *The Computer Journal* 26) finds all merges in n² steps; those of the
    smallest height are made until so many clusters are left.

    Parameters
    ----------
    squared
        (n_stimuli, n_stimuli) squared Euclidean distances.
    n_clusters
        How many are left.

    Returns
    -------
    (n_stimuli,) numbers of clusters, in order of first appearance.

    Raises
    ------
    DataError
        Fewer than two clusters, or more than stimuli.

    Examples
    --------
    >>> places = np.array([0.0, 9.0, 0.1, 9.2, 5.0])
    >>> ward_clusters((places[:, None] - places) ** 2, 3).tolist()
    [0, 1, 0, 1, 2]
    """
    n_stimuli = len(squared)
    if not 2 <= n_clusters <= n_stimuli:
        raise DataError(f"Clusters are 2 to the number of stimuli, {n_stimuli}; found {n_clusters}.")
    merges = sorted(_merges(squared), key=lambda merge: merge[0])  # stable: equal heights stay in their order
    parent = np.arange(n_stimuli)
    for _, one, other in merges[: n_stimuli - n_clusters]:
        parent[parent == parent[other]] = parent[one]
    number: dict[int, int] = {}
    return np.array([number.setdefault(int(leader), len(number)) for leader in parent], dtype=np.intp)


def _merges(squared: Array) -> list[tuple[float, int, int]]:
    """(height, stimulus of the one cluster, stimulus of the other) of each of the n − 1 merges, as they are found."""
    distance = squared.astype(np.float64)
    np.fill_diagonal(distance, np.inf)
    size, alive = np.ones(len(distance)), np.ones(len(distance), dtype=bool)
    merges: list[tuple[float, int, int]] = []
    chain: list[int] = []
    while len(merges) < len(distance) - 1:
        chain = chain or [int(np.argmax(alive))]
        one = chain[-1]
        other = int(np.argmin(distance[one]))  # of equal neighbours the first, so that no chain is a circle
        if len(chain) < 2 or other != chain[-2]:
            chain.append(other)
            continue
        del chain[-2:]
        height = float(distance[one, other])
        merges.append((height, one, other))
        rest = alive.copy()
        rest[[one, other]] = False
        joint = size[one] + size[rest]
        both = size[other] + size[rest]
        merged = joint * distance[one, rest] + both * distance[other, rest] - size[rest] * height
        distance[one, rest] = distance[rest, one] = merged / (joint + size[other])
        size[one] += size[other]
        alive[other] = False
        distance[other], distance[:, other] = np.inf, np.inf
    return merges
