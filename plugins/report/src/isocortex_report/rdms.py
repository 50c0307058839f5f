"""Dissimilarity matrices of a model and of a brain, square and labelled, in the canonical order of their stimuli."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

import isocortex
from isocortex.data import Dataset, StimulusSet
from isocortex.errors import SettingsError, UsageError, suggest
from isocortex.interfaces import ModelPlugin
from isocortex.typing import Array
from isocortex_metrics.geometry.dissimilarity import DISSIMILARITIES, standardised
from isocortex_metrics.geometry.participant_rdms import participant_rdms

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from isocortex.activations import Activations


def rdm(
    of: str | ModelPlugin | Dataset,
    stimuli: str | StimulusSet | Dataset | None = None,
    *,
    dissimilarity: str = "correlation",
    standardise: bool = False,
    reduction: str = "flatten",
    layers: Sequence[str] = (),
) -> xr.DataArray:
    r"""The dissimilarity matrices of a brain's participants, or of a model's layers, as ``rsa`` makes them.

    Parameters
    ----------
    of
        A data set, or its ID; with ``stimuli`` a model: ``ID[@variant]`` or what ``isocortex.wrap`` made.
    stimuli
        What a model is shown: an ID, ``folder:PATH``, a set, or a data set, of which these are the stimuli.
    dissimilarity
        "correlation" (1 − r), "cosine", "euclidean" or "cross-validated-euclidean"; of data that are RDMs, none.
    standardise
        z-score every unit or neuroid over the stimuli first.
    reduction, layers
        Of a model, as for ``isocortex.extract``.

    Returns
    -------
    Dims ("subject" or "layer", "stimulus_a", "stimulus_b"), float64, symmetric with a diagonal of 0. ``stimulus_a`` and
    ``stimulus_b`` are the IDs in canonical order; columns of the stimulus table, such as the category, stand on
    ``stimulus_a`` by their names. Repetitions and sessions are averaged.

    Raises
    ------
    UsageError, SettingsError
        A model without stimuli, or a dissimilarity that is not known.
    DataError
        A pattern that does not vary, of which a correlation is not defined.

    Examples
    --------
    >>> # brain = rdm("Kriegeskorte2008")
    >>> # model = rdm("pixels", isocortex.load_dataset("Kriegeskorte2008"), reduction="flatten").sel(layer="pixels")
    """
    if dissimilarity not in DISSIMILARITIES:
        known = ", ".join(DISSIMILARITIES)
        raise SettingsError(
            f"{dissimilarity!r} is no dissimilarity.{suggest(dissimilarity, DISSIMILARITIES)} There are {known}."
        )
    if stimuli is None and isinstance(of, (str, Dataset)):
        return _of_brain(isocortex.load_dataset(of) if isinstance(of, str) else of, dissimilarity, standardise)
    if stimuli is None or isinstance(of, Dataset):
        raise UsageError("A model needs stimuli=, an ID or a data set; a data set has its own, and takes none.")
    shown = _stimuli(stimuli)
    found = isocortex.extract(of, shown, reduction=reduction, layers=layers)
    make = DISSIMILARITIES[dissimilarity]

    def blocks(layer: Activations) -> Callable[[], object]:
        plain = lambda: layer.blocks(shown.ids)  # noqa: E731
        return (lambda: standardised(plain)) if standardise else plain

    pairs = [make(blocks(layer), len(shown)) for layer in found.values()]  # pyright: ignore[reportArgumentType]
    return _square(np.stack(pairs), "layer", list(found), shown.ids, shown.table, dissimilarity)


def _stimuli(stimuli: str | StimulusSet | Dataset) -> StimulusSet:
    if isinstance(stimuli, Dataset):
        return stimuli.stimuli
    return isocortex.load_stimuli(stimuli) if isinstance(stimuli, str) else stimuli


def _of_brain(dataset: Dataset, dissimilarity: str, standardise: bool) -> xr.DataArray:
    people = participant_rdms(dataset, dissimilarity, "rdm", standardise=standardise)
    table = dataset.stimuli.table
    made = "as given" if dataset.rdm is not None else dissimilarity
    return _square(people.rdms, "subject", people.subjects, people.stimulus_id, table, made)


def _square(
    pairs: Array, dim: str, names: Sequence[str], ids: Sequence[str], table: pd.DataFrame, dissimilarity: str
) -> xr.DataArray:
    """(n, n_pairs) → (n, n_stimuli, n_stimuli) with labels."""
    import xarray as xr

    first, second = np.triu_indices(len(ids), 1)
    matrices = np.zeros((len(pairs), len(ids), len(ids)))
    matrices[:, first, second] = matrices[:, second, first] = pairs
    labels = np.asarray(list(ids), dtype=object)
    known = table.loc[list(ids)]
    columns = {str(name): ("stimulus_a", known[name].to_numpy()) for name in known if name not in (dim, "stimulus_b")}
    coords = {**columns, dim: list(names), "stimulus_a": labels, "stimulus_b": labels}
    return xr.DataArray(
        matrices, coords, (dim, "stimulus_a", "stimulus_b"), "rdm", attrs={"dissimilarity": dissimilarity}
    )
