"""A model's outputs for the choices of a task: its own units, where they are named, or a linear readout of features.

The readout is the field's (Rajalingham et al. 2018; Schrimpf et al. 2018, doi:10.1101/407007): features z-scored on the
fitting stimuli, then multinomial logistic regression. It is fitted on stimuli that are never tested, unless a benchmark
asks for what was published with one that is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from isocortex.activations import Activations
from isocortex.errors import DataError, shorten, suggest
from isocortex.typing import Array
from isocortex_metrics.numerics.threads import few_threads
from isocortex_metrics.target.splits import folds

if TYPE_CHECKING:
    from isocortex_metrics.behaviour.trials import Trials


log = logging.getLogger(__name__)

#: values of one block of features: 16 MB in float64
_BLOCK_VALUES = 2_000_000
#: values of the features that a readout is fitted on as they are: 256 MB in float64
_WHOLE_VALUES = 32_000_000
FIT, TEST = "fit", "test"


class ReadoutSettings(BaseModel):
    """The setting ``readout``: how probabilities of choices are made of a layer's features."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    fit: Literal["column", "folds", "same"] = Field(
        default="column",
        description="fitted on the stimuli that fit_column names, on the other folds, or on the tested ones themselves",
    )
    n_folds: int = Field(default=5, ge=2, description="folds of fit = 'folds', each with its share of every label")
    fit_column: str = Field(default="split", description="column of stimuli or trials with the words 'fit' and 'test'")
    label: str = Field(default="truth", description="column with what the fitting stimuli are to be called")
    c: float = Field(default=1e-3, gt=0, description="inverse strength of the L2 penalty, C of scikit-learn")


@dataclass(frozen=True)
class Division:
    """Stimuli that are tested, and those that a readout is fitted on with their labels.

    Attributes
    ----------
    test, fit, labels
        Stimuli that are tested; those that are fitted, and a label of each.
    parts
        Where each tested stimulus belongs to one of several such divisions: these; then nothing is fitted here.
    """

    test: tuple[str, ...]
    fit: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    parts: tuple[Division, ...] = ()

    def testing(self, ids: Sequence[str]) -> Division:
        """The same, with some of the tested stimuli alone: what is fitted stays.

        Examples
        --------
        >>> halves = (Division(("a", "b"), ("c",), ("dog",)), Division(("c",), ("a", "b"), ("cat", "dog")))
        >>> [part.test for part in Division(("a", "b", "c"), parts=halves).testing(["b"]).parts]
        [('b',)]
        """
        wanted = set(ids)
        inside = [(part, [name for name in part.test if name in wanted]) for part in self.parts]
        parts = tuple(part.testing(names) for part, names in inside if names)
        return replace(self, test=tuple(ids), parts=parts)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What has to be said of a readout that has seen what it is tested on."""
        n_same = len(set(self.test) & set(self.fit))
        if not n_same:
            return ()
        return (
            f"Overlapping: the readout is fitted on {n_same} of the {len(self.test)} stimuli that it is tested on, so "
            "that the value is too high. A readout with fit = 'folds' is fitted on other stimuli.",
        )


def divide(trials: Trials, readout: ReadoutSettings | None) -> Division:
    """Which stimuli are tested; without a readout all of them.

    Raises
    ------
    SettingsError
        There is no such column.
    DataError
        Another word than 'fit' and 'test', no stimuli of one of them, or fewer than two labels to fit.

    Examples
    --------
    >>> import pandas as pd
    >>> from isocortex_metrics.behaviour.trials import trials_of
    >>> table = pd.DataFrame({"stimulus_id": list("abc"), "truth": ["dog", "cat", "dog"],
    ...                       "split": ["fit", "fit", "test"]})
    >>> divide(trials_of(table, "accuracy"), ReadoutSettings())
    Division(test=('c',), fit=('a', 'b'), labels=('dog', 'cat'), parts=())
    """
    if readout is None:
        return Division(trials.ids)
    if readout.fit != "column":
        return _over_all(trials.ids, _labels(trials, readout), readout)
    part = trials.of_stimuli(readout.fit_column)
    found = {word: part.count(word) for word in dict.fromkeys(part)}
    if set(found) != {FIT, TEST}:
        raise DataError(
            f"A readout is fitted on some stimuli and tested on others: the column {readout.fit_column!r} of "
            f"{trials.where} must hold {FIT!r} and {TEST!r}; found {found}."
        )
    fit, test = (
        tuple(name for name, word in zip(trials.ids, part, strict=True) if word == kind) for kind in (FIT, TEST)
    )
    return Division(test, fit, _labels(trials.only(fit), readout))


def _labels(trials: Trials, readout: ReadoutSettings) -> tuple[str, ...]:
    labels = trials.of_stimuli(readout.label)
    if len(set(labels)) < 2:
        raise DataError(f"A readout needs at least 2 labels; the {len(labels)} fitting stimuli have {shorten(labels)}.")
    return labels


def _over_all(ids: tuple[str, ...], labels: tuple[str, ...], readout: ReadoutSettings) -> Division:
    """All stimuli are tested, each by a readout of the other folds, or all by one readout of them all."""
    if readout.fit == "same":
        return Division(ids, ids, labels)
    parts: list[Division] = []
    for train, test in folds(len(ids), n_folds=readout.n_folds, n_repeats=1, strata=labels):
        fitted = tuple(labels[place] for place in train)
        absent = sorted(set(labels) - set(fitted))
        if absent:
            raise DataError(
                f"{shorten(absent)} have too few stimuli for {readout.n_folds} folds: all of them are in one. Use "
                "fewer folds (readout.n_folds), or leave these stimuli out."
            )
        parts.append(Division(tuple(ids[place] for place in test), tuple(ids[place] for place in train), fitted))
    return Division(ids, parts=tuple(parts))


@dataclass(frozen=True)
class ChoiceOutputs:
    """A model's outputs for named choices, (n_stimuli, n_choices), read in blocks of rows.

    Attributes
    ----------
    layer
        Name of the layer, for messages.
    names
        The choices, one per column.
    blocks
        Yields slices of the tested stimuli and their rows, float64.
    """

    layer: str
    names: tuple[str, ...]
    blocks: Callable[[], Iterator[tuple[slice, Array]]]

    def columns(self, wanted: Sequence[str]) -> Array:
        """Places of choices among the columns.

        Raises
        ------
        DataError
            A choice that no unit is named after.
        """
        place = {name: number for number, name in enumerate(self.names)}
        absent = [name for name in wanted if name not in place]
        if absent:
            raise DataError(
                f"{len(absent)} of {len(wanted)} choices have no unit of {self.layer!r} named after them: "
                f"{shorten(absent)}.{suggest(absent[0], self.names)} Its units are {shorten(self.names)}. Name the "
                "model's outputs after the choices, or set readout = {} to fit a readout of features."
            )
        return np.array([place[name] for name in wanted], dtype=np.intp)


def choice_outputs(activations: Activations, division: Division, readout: ReadoutSettings | None) -> ChoiceOutputs:
    """Outputs of one layer for the tested stimuli: its named units, or the probabilities of a readout.

    Raises
    ------
    AlignmentError
        A stimulus has no activations.
    DataError
        Units without names or with a name twice, where there is no readout.

    Examples
    --------
    >>> layer = Activations("softmax", ["a", "b"], [np.array([[0.9, 0.1], [0.2, 0.8]])], units=["dog", "cat"])
    >>> outputs = choice_outputs(layer, Division(("b", "a")), None)
    >>> outputs.names, [rows.tolist() for _, rows in outputs.blocks()]
    (('dog', 'cat'), [[[0.2, 0.8], [0.9, 0.1]]])
    """
    if division.parts:
        return _crossed(activations, division, readout)
    if readout is not None:
        order = (*division.fit, *division.test)
        blocks = activations.blocks(order, max(1, _BLOCK_VALUES // len(order)))
        probabilities, names = logistic_readout(blocks, division.labels, activations.n_units, readout.c)
        return ChoiceOutputs(activations.layer, names, lambda: iter([(slice(0, len(division.test)), probabilities)]))
    activations.rows(division.test)  # all stimuli that are absent are named at once
    names = tuple(map(str, activations.units or ()))
    if not names:
        raise DataError(
            f"The {activations.n_units} units of {activations.layer!r} have no names, so that nothing says which "
            "choice each is. Name the model's outputs after the choices (Activations(units=...), or a coordinate "
            "'choice'), or set readout = {} to fit a readout of features. A network with ImageNet's 1,000 classes "
            "names one of 16 objects as 16-way/NAME (isocortex-vision)."
        )
    if len(names) != activations.n_units or len(set(names)) < len(names):
        raise DataError(
            f"Each of the {activations.n_units} units of {activations.layer!r} needs a name of its own; found "
            f"{len(names)} names, {len(set(names))} of them different."
        )
    return ChoiceOutputs(activations.layer, names, partial(_row_blocks, activations, division.test))


def _crossed(activations: Activations, division: Division, readout: ReadoutSettings | None) -> ChoiceOutputs:
    """Outputs of the readouts of all parts, in the order of the tested stimuli."""
    place = {name: row for row, name in enumerate(division.test)}
    names: tuple[str, ...] = ()
    found = np.empty((0, 0))
    for part in division.parts:
        outputs = choice_outputs(activations, part, readout)
        if not names:
            names = outputs.names
            found = np.empty((len(division.test), len(names)))
        rows = [place[name] for name in part.test]
        found[rows] = np.concatenate([values for _, values in outputs.blocks()])
    return ChoiceOutputs(activations.layer, names, lambda: iter([(slice(0, len(found)), found)]))


def _row_blocks(activations: Activations, ids: tuple[str, ...]) -> Iterator[tuple[slice, Array]]:
    height = max(1, _BLOCK_VALUES // activations.n_units)
    for start in range(0, len(ids), height):
        part = slice(start, min(start + height, len(ids)))
        yield part, activations.array(ids[part]).astype(np.float64)


def logistic_readout(
    blocks: Iterable[Array], labels: Sequence[str], n_units: int, c: float = 1e-3
) -> tuple[Array, tuple[str, ...]]:
    """Probabilities of the labels for test stimuli: z-scored features, multinomial logistic regression.

    Minimises the mean cross-entropy of softmax(Z W + b) plus ‖W‖² / (2 C n_fit) with scikit-learn's newton-cg and its
    default tolerance, where Z are the features less their mean over the fitting stimuli, over their standard deviation.
    A layer that is wider than the fitting stimuli are many and that takes more than 256 MB is fitted in the coordinates
    of Z in the span of the fitting stimuli, which holds W: the same minimum, with n × n_fit numbers in memory. There
    newton-cg may stop an iteration earlier or later, which moves probabilities by some 1e-5.

    Parameters
    ----------
    blocks
        Column blocks (n_fit + n_test, width) of the features, fitting stimuli first.
    labels
        (n_fit,), at least two different ones.
    n_units
        Number of columns over all blocks.
    c
        Inverse strength of the penalty. With two labels scikit-learn fits one vector, the difference of the two; the
        penalty is then that of the two vectors, as in the multinomial form.

    Returns
    -------
    (n_test, n_labels) float64, and the labels of the columns, sorted.

    Notes
    -----
    Rajalingham et al. 2018, J. Neurosci. 38(33), Methods; the constants are Brain-Score's.

    Examples
    --------
    >>> features = np.array([[0.0], [1.0], [0.1], [0.9], [0.8]])
    >>> probabilities, names = logistic_readout([features], ["dog", "cat", "dog", "cat"], n_units=1, c=1.0)
    >>> names, probabilities.round(2).tolist()
    (('cat', 'dog'), [[0.73, 0.27]])
    """
    n_fit = len(labels)
    with few_threads(n_fit):
        wide = n_units > n_fit and n_units * n_fit > _WHOLE_VALUES
        features = _coordinates(blocks, n_fit) if wide else np.hstack(list(_standardised(blocks, n_fit)))
        return _fitted(features, np.asarray(labels, dtype=str), c)


def _standardised(blocks: Iterable[Array], n_fit: int) -> Iterator[Array]:
    from sklearn.preprocessing import StandardScaler

    for block in blocks:
        values = block.astype(np.float64)
        yield np.asarray(StandardScaler().fit(values[:n_fit]).transform(values))


def _coordinates(blocks: Iterable[Array], n_fit: int) -> Array:
    """(n_fit + n_test, rank): features in an orthonormal basis of the rows of the fitting stimuli."""
    products = 0.0
    for values in _standardised(blocks, n_fit):
        products = products + values @ values[:n_fit].T  # (n_fit + n_test, n_fit)
    products = np.asarray(products)
    eigenvalues, vectors = np.linalg.eigh(products[:n_fit])
    kept = eigenvalues > eigenvalues[-1] * n_fit * np.finfo(np.float64).eps
    if not kept.any():  # no unit varies over the fitting stimuli
        return np.zeros((len(products), 1))
    return products @ (vectors[:, kept] / np.sqrt(eigenvalues[kept]))


def _fitted(features: Array, labels: Array, c: float) -> tuple[Array, tuple[str, ...]]:
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    strength = c if len(np.unique(labels)) > 2 else 2 * c
    model = LogisticRegression(C=strength, solver="newton-cg")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(features[: len(labels)], labels)
    if any(issubclass(item.category, ConvergenceWarning) for item in caught):
        log.warning("The readout did not converge in %d iterations; its probabilities are approximate.", model.max_iter)
    return np.asarray(model.predict_proba(features[len(labels) :])), tuple(map(str, model.classes_))
