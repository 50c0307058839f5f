"""Checks of a model that learns from a benchmark: it is the same again, goes on after a kill, and remembers nothing."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.data.dataset import Dataset, make_responses
from isocortex.errors import shorten
from isocortex.extraction.extractor import activations_in_memory
from isocortex.interfaces import TrainableModel
from isocortex.testing.outcomes import CheckSkipped, expect
from isocortex.testing.rows import skip_unless
from isocortex.testing.synthetic import MODALITIES, synthetic_stimuli
from isocortex.training.fitted import Fitted, read_fitted, write_fitted
from isocortex.training.journal import Journal, Part
from isocortex.training.training_part import TrainingPart, training_part
from isocortex.typing import Array

if TYPE_CHECKING:
    from isocortex.testing.model_runs import ModelUnderTest

N_STIMULI, N_TRAIN, N_NEUROIDS, SIDE = 36, 24, 5, 32


class Interrupted(BaseException):
    """Stands for a kill at the end of an epoch."""


class Interrupting(Journal):
    """A journal after whose first epoch the process dies; without ``dies`` one that counts epochs."""

    def __init__(self, folder: Path, *, dies: bool = False) -> None:
        super().__init__(folder)
        self.dies, self.n_epochs = dies, 0

    def tell(self, part: Part) -> None:
        """Count an epoch, or end."""
        super().tell(part)
        self.n_epochs += 1
        if self.dies:
            raise Interrupted


class LearnerUnderTest:
    """A model that learns, with made-up responses to stimuli of its modality."""

    def __init__(self, model: ModelUnderTest) -> None:
        plugin = model.plugin
        if not isinstance(plugin, TrainableModel):
            raise CheckSkipped(f"{plugin.card.id} offers 'trained', and its class is no TrainableModel: see learns.")
        if plugin.card.modality not in MODALITIES:
            raise CheckSkipped(f"The kit makes no stimuli of modality {plugin.card.modality!r} to learn from.")
        self.plugin: TrainableModel = plugin
        self.dataset = _made_up(plugin.card.modality)
        ids = self.dataset.stimuli.ids
        self.part = training_part(self.dataset, ids[:N_TRAIN], ids[N_TRAIN:])
        self.whole = training_part(self.dataset, ids, [])
        self._first: Fitted | None = None

    def fit(self, part: TrainingPart, journal: Journal, seed: int = 0) -> Fitted:
        """Fit the model to a part of the made-up data."""
        return self.plugin.fit(part.stimuli, part.responses.copy(deep=True), seed=seed, device="cpu", journal=journal)

    def keep(self, found: Fitted) -> None:
        """Take a fit as the first that there was."""
        self._first = found

    def first(self) -> Fitted:
        """The first fit that there was, before anything else was seen."""
        if self._first is None:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    self._first = self.fit(self.part, Journal(Path(folder)))
                except Exception as error:
                    raise skip_unless("learns", error) from error
        return self._first


def _made_up(modality: str) -> Dataset:
    """Responses to the coarse contents of stimuli, with noise; every stimulus has a category."""
    stimuli = synthetic_stimuli(modality, N_STIMULI, side=SIDE, durations_s=(0.5,))
    halves = [np.array_split(np.asarray(item.array, dtype=np.float64).ravel(), 6) for item in stimuli]
    features = np.array([[part.std() for part in halved] for halved in halves])  # (n_stimuli, 6)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    stream = np.random.default_rng(0)
    signal = features @ stream.standard_normal((features.shape[1], N_NEUROIDS))
    values = signal + 0.5 * stream.standard_normal((2, N_STIMULI, N_NEUROIDS))
    names = [f"unit-{number}" for number in range(N_NEUROIDS)]
    return Dataset("made-up", stimuli, responses=make_responses(values, stimuli.ids, neuroid={"neuroid_id": names}))


def _learner(model: ModelUnderTest) -> LearnerUnderTest:
    if model.learner is None:
        model.learner = LearnerUnderTest(model)
    return model.learner


def check_learns(model: ModelUnderTest) -> None:
    """It learns from a training part, and what it left can be written, read, opened and run on other stimuli."""
    plugin = model.make()
    expect(
        isinstance(plugin, TrainableModel),
        f"A model that offers 'trained' must be an isocortex.interfaces.TrainableModel; found {type(plugin).__name__}.",
    )
    learner = _learner(model)
    with tempfile.TemporaryDirectory() as folder:
        found = learner.fit(learner.part, Journal(Path(folder) / "journal"))
        expect(
            isinstance(found, Fitted), f"fit() must return an isocortex.training.Fitted; found {type(found).__name__}."
        )
        learner.keep(found)
        expect(found.curves, "fit() must leave curves, one value for each epoch, such as the loss; found none.")
        write_fitted(Path(folder) / "fitted", found)
        outputs = [_outputs(learner, fitted) for fitted in (found, read_fitted(Path(folder) / "fitted"))]
    for layer, (values, units) in outputs[0].items():
        expect(np.isfinite(values).all(), f"Layer {layer!r} of what was fitted must be finite on other stimuli.")
        expect(
            np.array_equal(values, outputs[1][layer][0]),
            f"What was written and read again must give the same; layer {layer!r} does not.",
        )
        unknown = sorted(set(units or ()) - set(learner.part.trained_on.neuroid_ids))
        expect(
            not unknown or len(unknown) == len(units or ()),
            f"Outputs of layer {layer!r} must be named after neuroids that were trained on; found {shorten(unknown)}.",
        )


def _outputs(learner: LearnerUnderTest, fitted: Fitted) -> dict[str, tuple[Array, Any]]:
    """Layer → activations of the stimuli that were not trained on, and names of units."""
    tested = learner.dataset.stimuli.only(learner.dataset.stimuli.ids[N_TRAIN:])
    with learner.plugin.open(fitted, device="cpu") as loaded:
        found = activations_in_memory(loaded, tested, list(loaded.layers), reduction="flatten")
    return {layer: (activations.array(), activations.units) for layer, activations in found.items()}


def check_same_bytes(model: ModelUnderTest) -> None:
    """Equal seeds give equal bytes, and other seeds others."""
    learner = _learner(model)
    first = learner.first()
    with tempfile.TemporaryDirectory() as folder:
        again = learner.fit(learner.part, Journal(Path(folder) / "again"))
        other = learner.fit(learner.part, Journal(Path(folder) / "other"), seed=1)
    _expect_equal(first, again, "Two fits with one seed must leave the same bytes")
    same = [name for name in first.tensors if _are_equal(first.tensors[name], other.tensors.get(name))]
    expect(len(same) < len(first.tensors), "Seeds 0 and 1 must leave other weights; found the same in all tensors.")


def check_resumes(model: ModelUnderTest) -> None:
    """Killed at the end of an epoch, it goes on from there and ends with the same bytes."""
    learner = _learner(model)
    first = learner.first()
    with tempfile.TemporaryDirectory() as folder:
        whole = Interrupting(Path(folder) / "whole")
        learner.fit(learner.part, whole)
        expect(
            whole.n_epochs, "fit() must end its epochs with journal.part(…).keep(…), so that a kill loses one at most."
        )
        with contextlib.suppress(Interrupted):
            learner.fit(learner.part, Interrupting(Path(folder) / "killed", dies=True))
        rest = Interrupting(Path(folder) / "killed")
        resumed = learner.fit(learner.part, rest)
    expect(
        rest.n_epochs == whole.n_epochs - 1,
        f"After a kill at the end of the first of {whole.n_epochs} epochs, {whole.n_epochs - 1} are left; found "
        f"{rest.n_epochs}. Begin at part.n_done with part.state.",
    )
    _expect_equal(first, resumed, "A fit that was killed and went on must leave the bytes of one that was not")


def check_remembers_nothing(model: ModelUnderTest) -> None:
    """What it saw in another fit, such as the stimuli that are tested in this one, does not come back."""
    learner = _learner(model)
    first = learner.first()
    with tempfile.TemporaryDirectory() as folder:
        learner.fit(learner.whole, Journal(Path(folder) / "whole"))
        again = learner.fit(learner.part, Journal(Path(folder) / "part"))
    _expect_equal(
        first,
        again,
        "A fit after one that saw more stimuli must leave the bytes of one that did not: nothing may be kept",
    )


def _expect_equal(first: Fitted, second: Fitted, what: str) -> None:
    names = sorted({*first.tensors, *second.tensors})
    other = [name for name in names if not _are_equal(first.tensors.get(name), second.tensors.get(name))]
    expect(not other, f"{what}; found others in {len(other)} of {len(names)} tensors ({shorten(other)}).")


def _are_equal(one: Array | None, other: Array | None) -> bool:
    return one is not None and other is not None and one.dtype == other.dtype and np.array_equal(one, other)


LEARNING_CHECKS: Mapping[str, Callable[[ModelUnderTest], None]] = {
    "learns": check_learns,
    "same-bytes": check_same_bytes,
    "resumes": check_resumes,
    "remembers-nothing": check_remembers_nothing,
}


def learns_here(variants: object) -> bool:
    """Whether a row offers a variant that is trained here.

    Examples
    --------
    >>> learns_here(["trained", "file"]), learns_here(["fixed"])
    (True, False)
    """
    return isinstance(variants, (list, tuple)) and "trained" in variants
