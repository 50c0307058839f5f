"""A model that learns here, in a run: one network for each split, fitted to its training part and tested on the rest.

What was fitted lies in the cache by contents: the digest of the model, the training stimuli with their responses, seed
and device. Two runs that need the same wait for each other, and one that was killed goes on at its last epoch.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.catalogue.cards import Variant
from isocortex.errors import DataError, FilesError, UsageError, shorten
from isocortex.extraction import in_use
from isocortex.extraction.cached import Uncached, lock
from isocortex.files.core_content import digest_core
from isocortex.files.digests import digest_of, short
from isocortex.files.disk import cache_folder
from isocortex.interfaces import LoadedModel, ModelPlugin, TrainableModel
from isocortex.scoring.comparison import Comparison
from isocortex.training.fitted import digest_of_fitted, read_fitted, read_record, read_trained_on, write_fitted
from isocortex.training.journal import Journal
from isocortex.training.record import TrainingRecord
from isocortex.training.trained_on import seen_in
from isocortex.training.training_part import TrainingPart, training_part

if TYPE_CHECKING:
    from isocortex.data.dataset import Dataset
    from isocortex.data.stimuli import StimulusSet
    from isocortex.progress import Reporter
    from isocortex.training.trained_on import TrainedOn


@dataclass(frozen=True)
class FittedSplit:
    """The network of one split: where it lies, and what a result says of it."""

    folder: Path
    record: TrainingRecord


class SplitModel(ModelPlugin):
    """The network that was fitted for one split, as a model that is extracted like any other."""

    def __init__(self, model: TrainableModel, variant: Variant, fit: FittedSplit) -> None:
        super().__init__(model.card)
        self.model, self.fit, self.part = model, fit, fit.record.digest
        own = model.digest(variant)
        self._digest = None if own is None else digest_of([own, fit.record.digest])

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Build the network that was fitted."""
        del variant
        return self.model.open(read_fitted(self.fit.folder), device=device)

    def digest(self, variant: Variant) -> str | None:
        """Digest over the model and what was fitted."""
        del variant
        return self._digest

    def trained_on(self, variant: Variant) -> TrainedOn | None:
        """What it has learned from."""
        del variant
        return read_trained_on(self.fit.folder)

    def fits(self, stimuli: StimulusSet, reduction: str) -> Sequence[str]:
        """As the model itself."""
        return self.model.fits(stimuli, reduction)


class Learning:
    """Fits a model to the training part of every split of a benchmark.

    Parameters
    ----------
    name
        ``model@variant × benchmark``, for whoever waits.
    model, variant, device
        What learns, from which seed, and where.
    reporter
        Told how far it is.
    uncached
        Holds networks of a model without digest.
    """

    def __init__(
        self, name: str, model: ModelPlugin, variant: Variant, *, device: str, reporter: Reporter, uncached: Uncached
    ) -> None:
        if not isinstance(model, TrainableModel):
            raise UsageError(f"{model.card.id} cannot be trained here: its class is no TrainableModel.")
        self.name, self.model, self.variant, self.device = name, model, variant, device
        self.reporter, self._uncached = reporter, uncached
        #: what was left out of training, for the result
        self.warnings: list[str] = []

    def fit_all(self, comparison: Comparison, dataset: Dataset) -> list[FittedSplit]:
        """One network for each split of a comparison, in order.

        Parameters
        ----------
        dataset
            What the comparison was made of.

        Raises
        ------
        DataError
            The metric has no splits with a training part, or one is too small.
        """
        refuse_without_splits(comparison, self.name)
        ids = np.asarray(comparison.split_ids or dataset.stimuli.ids, dtype=object)
        group = comparison.split_columns.get("group", "")
        n_splits, fits, n_left_out = len(comparison.splits), list[FittedSplit](), dict[str, None]()
        for number, split in enumerate(comparison.splits):
            name = f"{number + 1} of {n_splits}"
            part = training_part(dataset, ids[split.train].tolist(), ids[split.test].tolist(), group=group, split=name)
            n_left_out |= dict.fromkeys(part.left_out)
            fits.append(self._fitted(number, n_splits, part))
        if n_left_out:
            near = f", or has its {group!r}" if group else ""
            self.warnings.append(
                f"{len(n_left_out)} stimuli were left out of training where a tested one holds the same{near}: "
                f"{shorten(list(n_left_out))}."
            )
        return fits

    def of_split(self, fit: FittedSplit) -> SplitModel:
        """The network of one split as a model of its own."""
        return SplitModel(self.model, self.variant, fit)

    def _fitted(self, number: int, n_splits: int, part: TrainingPart) -> FittedSplit:
        """Find the network of a training part, or fit it; one process at a time."""
        own, seed = self.model.digest(self.variant), self.variant.seed or 0
        key = digest_of([digest_core("training"), own, part.digest, seed, self.device])
        top = cache_folder() / "fitted" if own is not None else self._uncached.folder("fitted")
        folder = top / short(key)
        name = f"{self.name}, split {number + 1} of {n_splits}"
        if own is not None:
            in_use.mark(key)
        with lock(key, f"the training of {name}", self.reporter):
            record = _believed(folder)
            if record is None:
                self._fit(folder, top / f"{short(key)}.journal", part, name)
                record = read_record(folder)
        return FittedSplit(
            folder,
            TrainingRecord(
                split=number,
                digest=digest_of_fitted(record),
                n_stimuli=len(part.stimuli),
                n_left_out=len(part.left_out),
                settings=record["settings"],
                curves=record["curves"],
            ),
        )

    def _fit(self, folder: Path, notes: Path, part: TrainingPart, name: str) -> None:
        journal = Journal(notes, self.reporter, name)
        found = self.model.fit(
            part.stimuli, part.responses, seed=self.variant.seed or 0, device=self.device, journal=journal
        )
        write_fitted(folder, replace(found, trained_on=part.trained_on, model=self.model.card.id))
        shutil.rmtree(notes, ignore_errors=True)


def _believed(folder: Path) -> dict[str, Any] | None:
    """The record of a fit that is whole, tensors included."""
    with contextlib.suppress(FilesError):
        read_fitted(folder)
        return read_record(folder)
    return None


def refuse_without_splits(comparison: Comparison, name: str) -> None:
    """Refuse to train for a metric that tests no stimuli apart from those that it trains on.

    Raises
    ------
    DataError
        It has no splits, or splits without a training part.
    """
    if any(len(split.train) for split in comparison.splits):
        return
    raise DataError(
        f"{name}: a model that learns needs training stimuli that are apart from those that are tested, and this "
        "metric has none as it is set. Use ridge or pca-ridge, or identity with scheme = 'k-fold' or 'fixed'."
    )


def refuse_own_choice(comparison: Comparison, layers: Sequence[str], name: str) -> None:
    """Refuse several layers where the metric chooses among them in a way of its own.

    Raises
    ------
    DataError
        It does; one layer needs no choice.
    """
    if len(layers) > 1 and type(comparison).score_all is not Comparison.score_all:
        raise DataError(
            f"{name}: this metric chooses among layers in a way of its own, which cannot be done for networks that "
            f"were trained for one split each. Pick one of {shorten(layers)} with --layers, or use ridge."
        )


def refuse_seen(name: str, trained_on: TrainedOn | None, comparison: Comparison, stimuli: StimulusSet) -> None:
    """Refuse to test a model on what it has learned from, whatever that is called here.

    Parameters
    ----------
    name
        ``model@variant``.
    stimuli
        Those of the comparison, in canonical order.

    Raises
    ------
    DataError
        A tested stimulus holds what the model has seen, or is a near-duplicate of it.
    """
    if trained_on is None:
        return
    ids = np.asarray(comparison.split_ids or stimuli.ids, dtype=object)
    tests = [ids[np.asarray(split.test)] for split in comparison.splits] or [ids]
    tested = stimuli.only(dict.fromkeys(str(one) for test in tests for one in test))
    seen = seen_in(trained_on, tested)
    if seen:
        learned = f"{trained_on.n_stimuli} stimuli of {trained_on.stimuli!r}" if trained_on.stimuli else "stimuli"
        raise DataError(
            f"{name} has learned from {learned}, and {len(seen)} of the {len(tested)} that would be tested are among "
            f"them, or nearly the same ({shorten(seen)}): its score would be no prediction. Score @trained, which "
            "learns from the training part of each split, or test it on stimuli that it never saw."
        )
