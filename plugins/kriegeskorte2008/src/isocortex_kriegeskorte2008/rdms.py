"""Dissimilarity matrices of the 92 images: per participant and session, as published, and of models.

Pairs (a, b) with a < b are in row-major order everywhere: (1, 2), (1, 3), …, (1, n), (2, 3), …
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isocortex.errors import DataError, shorten
from isocortex_kriegeskorte2008.reading import as_text, read_structs

_MEASUREMENT = re.compile(r"hIT \| (\w+) \| Session: (\d+)")


@dataclass(frozen=True)
class SubjectRDMs:
    """Dissimilarities per participant and session.

    Attributes
    ----------
    dissimilarity
        (n_subjects, n_sessions, n_pairs) 1 - Pearson correlation of response patterns; pairs in row-major order.
    subject
        (n_subjects,).
    session
        (n_sessions,).
    """

    dissimilarity: NDArray[np.float64]
    subject: tuple[str, ...]
    session: tuple[int, ...]


def pair_indices(n_stimuli: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the two members of each pair of stimuli, in row-major order of the upper triangle.

    Returns
    -------
    Two arrays (n_pairs,), n_pairs = n_stimuli (n_stimuli - 1) / 2.

    Examples
    --------
    >>> [index.tolist() for index in pair_indices(3)]
    [[0, 0, 1], [1, 2, 2]]
    """
    first, second = np.triu_indices(n_stimuli, k=1)
    return first, second


def upper_triangle(matrix: NDArray[Any]) -> NDArray[np.float64]:
    """Return the dissimilarities of a square matrix as a vector of pairs, in row-major order.

    Parameters
    ----------
    matrix
        (n_stimuli, n_stimuli), symmetric with a zero diagonal.

    Returns
    -------
    (n_pairs,).

    Raises
    ------
    DataError
        If the matrix is not square, not symmetric, not finite, or has other than zeros on its diagonal.

    Examples
    --------
    >>> upper_triangle(np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0]]))
    array([1., 2., 3.])
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise DataError(f"Expected a square dissimilarity matrix, found shape {matrix.shape}.")
    if not np.issubdtype(matrix.dtype, np.number) or np.iscomplexobj(matrix):
        raise DataError(f"Expected a dissimilarity matrix of real numbers, found {matrix.dtype}.")
    values = matrix.astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError(f"Expected finite dissimilarities, found {int((~np.isfinite(values)).sum())} that are not.")
    if (values != values.T).any() or np.diagonal(values).any():
        raise DataError("Expected a symmetric dissimilarity matrix with a zero diagonal, found another.")
    return values[pair_indices(len(values))]


def read_subject_rdms(path: Path) -> SubjectRDMs:
    """Read the human IT dissimilarities of each participant and session.

    Parameters
    ----------
    path
        ``92_brainRDMs.mat``, MATLAB 5: struct array RDMs with name ``hIT | <subject> | Session: <number>`` and RDM.

    Returns
    -------
    Placed by name, whatever the shape of the struct array.

    Raises
    ------
    DataError
        If a name has another form, a participant lacks a session, or the matrices differ in size.

    Examples
    --------
    >>> # read_subject_rdms(Path("92_brainRDMs.mat")).dissimilarity.shape == (4, 2, 4186)
    """
    by_place: dict[tuple[str, int], NDArray[np.float64]] = {}
    for item in read_structs(path, "RDMs", ["name", "RDM"]):
        name = as_text(item["name"], f"{path.name}: RDMs")
        match = _MEASUREMENT.fullmatch(name)
        if match is None:
            raise DataError(f"{path.name}: expected the name 'hIT | <subject> | Session: <number>', found {name!r}.")
        place = match[1], int(match[2])
        if place in by_place:
            raise DataError(f"{path.name}: expected each participant and session once, found {name!r} twice.")
        by_place[place] = _triangle_of(path, name, item["RDM"])
    _same_length(path, list(by_place.values()))
    subjects = tuple(dict.fromkeys(subject for subject, _ in by_place))
    sessions = tuple(sorted({session for _, session in by_place}))
    absent = [f"{who} session {when}" for who in subjects for when in sessions if (who, when) not in by_place]
    if absent:
        raise DataError(f"{path.name}: expected every session of every participant, found none of {shorten(absent)}.")
    stacked = np.stack([[by_place[subject, session] for session in sessions] for subject in subjects])
    return SubjectRDMs(stacked, subjects, sessions)


def read_published_rdms(path: Path) -> dict[str, NDArray[np.float64]]:
    """Read the two published dissimilarity vectors, of monkey IT and of human IT.

    Parameters
    ----------
    path
        ``Kriegeskorte_Neuron2008_supplementalData.mat``, MATLAB 5: struct array RDMs_mIT_hIT_fig1 with name and RDM.

    Returns
    -------
    Name (``mIT_674neurons``, ``hITvisStim_316vx``) to dissimilarities (n_pairs,), pairs in row-major order: the human
    vector equals the mean of the matrices of ``92_brainRDMs.mat`` in that order and in no other.

    Raises
    ------
    DataError
        If the file cannot be read, or a vector is not the triangle of a square matrix.

    References
    ----------
    Kriegeskorte et al. (2008), Neuron 60(6): 1126-1141, figure 1.

    Examples
    --------
    >>> # read_published_rdms(Path("Kriegeskorte_Neuron2008_supplementalData.mat"))["mIT_674neurons"].shape == (4186,)
    """
    published: dict[str, NDArray[np.float64]] = {}
    for item in read_structs(path, "RDMs_mIT_hIT_fig1", ["name", "RDM"]):
        name = as_text(item["name"], f"{path.name}: RDMs_mIT_hIT_fig1")
        vector = item["RDM"]
        n_stimuli = (1 + int(np.sqrt(1 + 8 * vector.size))) // 2
        if vector.size != max(vector.shape, default=0) or vector.size != n_stimuli * (n_stimuli - 1) // 2:
            raise DataError(
                f"{path.name}: expected {name} to be a vector of n(n-1)/2 dissimilarities, found shape {vector.shape}."
            )
        published[name] = vector.ravel().astype(np.float64)
    return published


def _triangle_of(path: Path, name: str, matrix: NDArray[Any]) -> NDArray[np.float64]:
    try:
        return upper_triangle(matrix)
    except DataError as error:
        raise DataError(f"{path.name}: {name}: {error}") from error


def _same_length(path: Path, vectors: list[NDArray[np.float64]]) -> None:
    lengths = sorted({len(vector) for vector in vectors})
    if len(lengths) != 1:
        raise DataError(f"{path.name}: expected matrices of one size, found {shorten(lengths)} pairs.")
