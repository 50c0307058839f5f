"""Category: what the labels of the stimuli explain without hearing or seeing them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from isocortex.errors import DataError, shorten


def one_hot(labels: Sequence[object], categories: Sequence[str]) -> NDArray[np.float64]:
    """Code labels as one-hot features: 1 in the column of a stimulus's category, 0 elsewhere.

    Parameters
    ----------
    labels
        Category of each stimulus.
    categories
        The categories, one column each.

    Returns
    -------
    (n_stimuli, n_categories).

    Raises
    ------
    DataError
        If a label is not among the categories.

    Examples
    --------
    >>> one_hot(["music", "speech"], ["animal", "music", "speech"])
    array([[0., 1., 0.],
           [0., 0., 1.]])
    """
    column = {name: place for place, name in enumerate(categories)}
    unknown = sorted({str(label) for label in labels} - column.keys())
    if unknown:
        raise DataError(
            f"Expected labels among {shorten(categories)}, found {shorten(unknown)}. "
            "Complete the column 'category' of the stimulus table."
        )
    coded = np.zeros((len(labels), len(column)))
    coded[np.arange(len(labels)), [column[str(label)] for label in labels]] = 1.0
    return coded
