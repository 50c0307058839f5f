"""A model on its way through the checks: loaded anew for each run, on stimuli that the kit makes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.activations.output import LayerOutput
from isocortex.activations.reductions import reduce_output
from isocortex.catalogue.cards import ModelCard, Variant
from isocortex.catalogue.rows import Catalogue
from isocortex.data.stimuli import StimulusBatch, StimulusSet
from isocortex.errors import FilesError
from isocortex.extraction.chance import seeded
from isocortex.extraction.extractor import activations_in_memory
from isocortex.extraction.hearing import heard
from isocortex.interfaces import LoadedModel, ModelPlugin
from isocortex.testing.outcomes import CheckSkipped
from isocortex.testing.probe import N_MEMORY_RUNS, N_STIMULI, REDUCTION
from isocortex.testing.processes import imported_ahead, run_probe
from isocortex.testing.rows import RowUnderTest, made, skip_unless
from isocortex.testing.synthetic import MODALITIES, synthetic_stimuli
from isocortex.typing import Array

if TYPE_CHECKING:
    from isocortex.activations.layer import Activations
    from isocortex.testing.learning import LearnerUnderTest


BATCHINGS = ("any", "equal-length", "single")
WITHOUT_WEIGHTS = ("fixed", "random")
#: stimuli of one run of the memory check: fewer for slow models, so that all runs take about this long
MAX_PER_RUN, MEMORY_SECONDS = 8, 6.0
#: a model that takes longer even so is not measured
MAX_MEMORY_SECONDS = 400.0


@dataclass
class RawRun:
    """What a model emitted for all stimuli, looked at as it came.

    Attributes
    ----------
    emitted
        Layers of each batch, in the order in which they came.
    problems
        Layer → what is wrong with its output.
    not_finite
        Layer → stimuli for which it is NaN or infinite.
    n_units
        Layer → numbers of units that were found once time and space are averaged.
    error
        What ``run`` raised.
    """

    emitted: list[list[str]] = field(default_factory=list[list[str]])
    problems: dict[str, str] = field(default_factory=dict[str, str])
    not_finite: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    n_units: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    error: Exception | None = None

    def take(self, batch: StimulusBatch, layer: str, output: LayerOutput) -> None:
        """Look at one layer's output for a batch."""
        self.emitted[-1].append(layer)
        problem = output_problem(output, len(batch))
        if problem is not None:
            self.problems.setdefault(layer, problem)
            return
        values = reduce_output(output, REDUCTION, layer)
        self.n_units.setdefault(layer, set()).add(values.shape[1])
        bad = [name for name, row in zip(batch.ids, values, strict=True) if not np.isfinite(row).all()]
        if bad:
            self.not_finite.setdefault(layer, []).extend(bad)


class ModelUnderTest:
    """A model plugin with what several checks need of it."""

    def __init__(self, name: str, make: Callable[[], ModelPlugin], reference: str | None = None) -> None:
        self.name = name
        self.reference = reference
        self._make = make
        self._raw: dict[str, RawRun] = {}
        self._whole: dict[str, dict[str, Activations]] = {}
        self._again: dict[str, dict[str, str]] = {}
        self._fresh: dict[str, dict[str, Any]] = {}
        self.seconds_per_stimulus = 0.0
        #: what the checks of a model that learns share
        self.learner: LearnerUnderTest | None = None

    @classmethod
    def of(cls, model: str | ModelPlugin) -> ModelUnderTest:
        """The model of an ID or an object."""
        if isinstance(model, ModelPlugin):
            return cls(model.card.id, lambda: model)
        return cls.of_row(RowUnderTest(Catalogue.discover().find("model", model)))

    @classmethod
    def of_row(cls, row: RowUnderTest) -> ModelUnderTest:
        """The model of a row."""
        return cls(row.row.id, lambda: row.plugin, row.reference)

    def make(self) -> ModelPlugin:
        """Make the plugin object."""
        return self._make()

    @cached_property
    def plugin(self) -> ModelPlugin:
        """The plugin object; where it cannot be made, the check is skipped."""
        return made(self._make)

    @property
    def card(self) -> ModelCard:
        """The card of the model."""
        return self.plugin.card

    @cached_property
    def stimuli(self) -> StimulusSet:
        """A few stimuli of the model's modality, as it hears them; sounds have four different durations."""
        if self.card.modality not in (*MODALITIES, "any"):
            raise CheckSkipped(f"The kit makes no stimuli of modality {self.card.modality!r}.")
        return heard(synthetic_stimuli(self.card.modality, N_STIMULI), self.card)

    def variants(self) -> list[Variant]:
        """The variants that need no weights, with seed 0."""
        offered = [kind for kind in self.card.variants if kind in WITHOUT_WEIGHTS]
        if not offered:
            raise CheckSkipped(f"It offers {', '.join(self.card.variants)} only, which need weights.")
        return [self._with_its_files(Variant.parse(kind)) for kind in offered]

    def _with_its_files(self, variant: Variant) -> Variant:
        """The variant; the check is skipped where files that it needs are not here."""
        try:
            self.plugin.fetch(variant)
        except FilesError as error:
            first = str(error).partition("\n")[0]
            raise CheckSkipped(f"{variant} needs files that are not here: {first}") from error
        return variant

    def load(self, variant: Variant) -> LoadedModel:
        """Load the model anew; one that draws numbers runs under seeds, as in a run."""
        return seeded(self.plugin.load(variant, device="cpu"), self.card, variant)

    def opened(self, variant: Variant) -> LoadedModel:
        """Load the model; where it does not load, the check is skipped."""
        try:
            return self.load(variant)
        except Exception as error:
            raise skip_unless("loads", error) from error

    def raw_run(self, variant: Variant) -> RawRun:
        """What the model emits, without core in between; kept."""
        if str(variant) not in self._raw:
            with self.opened(variant) as loaded:
                self._raw[str(variant)] = _raw_run(loaded, self.stimuli)
        return self._raw[str(variant)]

    def extract(self, variant: Variant, stimuli: StimulusSet, batch_size: int) -> dict[str, Activations]:
        """Load the model anew and extract its layers as the runner does."""
        with self.opened(variant) as loaded:
            started = time.perf_counter()
            found = activations_in_memory(
                loaded, heard(stimuli, self.card), list(loaded.layers), reduction=REDUCTION, batch_size=batch_size
            )
            self.seconds_per_stimulus = (time.perf_counter() - started) / len(stimuli)
        return found

    def whole_run(self, variant: Variant) -> dict[str, Activations]:
        """The layers for all stimuli in one batch; kept. Where that does not run, the check is skipped."""
        if str(variant) not in self._whole:
            try:
                self._whole[str(variant)] = self.extract(variant, self.stimuli, N_STIMULI)
            except CheckSkipped:
                raise
            except Exception as error:
                raise skip_unless("layers, outputs or finite", error) from error
        return self._whole[str(variant)]

    def digests_of_two(self, variant: Variant) -> tuple[dict[str, str], dict[str, str]]:
        """Layer → digest, for two loads in this process; kept."""
        first = digests(self.whole_run(variant))
        if str(variant) not in self._again:
            self._again[str(variant)] = digests(self.extract(variant, self.stimuli, N_STIMULI))
        return first, self._again[str(variant)]

    def stable_run(self, variant: Variant) -> dict[str, Activations]:
        """As ``whole_run``; where a second load gives something else, the check is skipped."""
        first, second = self.digests_of_two(variant)
        if first != second:
            raise CheckSkipped("See determinism, which fails first.")
        return self.whole_run(variant)

    def fresh_run(self, variant: Variant) -> dict[str, Any]:
        """Digests of the plugin and of the layers in a fresh interpreter; kept."""
        if str(variant) not in self._fresh:
            self._fresh[str(variant)] = self._in_a_fresh_interpreter(variant, 0)
        return self._fresh[str(variant)]

    def memory_run(self, variant: Variant) -> dict[str, Any]:
        """The same, and memory in use after each of several runs on other stimuli."""
        self.whole_run(variant)  # which says how fast it is
        return self._in_a_fresh_interpreter(variant, n_per_run(self.seconds_per_stimulus))

    def _in_a_fresh_interpreter(self, variant: Variant, n_memory_stimuli: int) -> dict[str, Any]:
        package = str(self.reference).partition("::")[0]
        return run_probe(
            "run",
            ahead=imported_ahead(package, self.card.requires),
            reference=self.reference,
            variant=str(variant),
            modality=self.card.modality,
            n_memory_stimuli=n_memory_stimuli,
        )


def n_per_run(seconds_per_stimulus: float) -> int:
    """Stimuli of one run, for a model of that speed; 0: even one would take too long.

    Examples
    --------
    >>> n_per_run(0.001), n_per_run(0.11), n_per_run(5.0), n_per_run(60.0)
    (8, 5, 1, 0)
    """
    if N_MEMORY_RUNS * seconds_per_stimulus > MAX_MEMORY_SECONDS:
        return 0
    affordable = MEMORY_SECONDS / max(N_MEMORY_RUNS * seconds_per_stimulus, 1e-6)
    return int(min(MAX_PER_RUN, max(1, math.floor(affordable))))


def digests(layers: dict[str, Activations]) -> dict[str, str]:
    """Layer → digest of its activations."""
    return {layer: activations.digest for layer, activations in layers.items()}


def _raw_run(loaded: LoadedModel, stimuli: StimulusSet) -> RawRun:
    found = RawRun()
    for batch in batches(loaded, stimuli):
        found.emitted.append([])
        try:
            loaded.run(batch, list(loaded.layers), lambda *output, batch=batch: found.take(batch, *output))
        except Exception as error:  # whatever a third party's model raises
            found.error = error
            break
    return found


def batches(loaded: LoadedModel, stimuli: StimulusSet) -> Iterator[StimulusBatch]:
    """Put all stimuli together as the model asks for it."""
    groups: dict[object, list[int]] = {}
    for place in range(len(stimuli)):
        shape = stimuli.load(place).array.shape
        key = {"any": None, "equal-length": shape, "single": place}.get(loaded.batching)
        groups.setdefault(key, []).append(place)
    for group in groups.values():
        yield stimuli.batch(group)


# --- the output of a layer --------------------------------------------------------------------------------------------


def output_problem(output: LayerOutput, n_stimuli: int) -> str | None:
    """What is wrong with the output of a layer for a batch, or None.

    Examples
    --------
    >>> output_problem(LayerOutput(np.zeros((2, 3)), ("unit", "time")), 2)
    "2 names of axes, ('unit', 'time'), for an array of shape (2, 3); expected one for each axis after the first."
    """
    if not isinstance(output, LayerOutput):
        return f"expected a LayerOutput, found {type(output).__name__}."
    array = np.asarray(output.array)
    if array.dtype.kind not in "fiub":
        return f"expected real numbers, found dtype {array.dtype}."
    if array.ndim != len(output.axes) + 1:
        return (
            f"{len(output.axes)} names of axes, {output.axes}, for an array of shape {array.shape}; expected one for "
            "each axis after the first."
        )
    if array.ndim < 2 or len(array) != n_stimuli:
        return f"expected (n_stimuli, …) with {n_stimuli} stimuli, found shape {array.shape}."
    n_steps = dict(zip(output.axes, array.shape[1:], strict=True)).get("time")
    return _lengths_problem(output, n_stimuli, n_steps) or _names_problem(output, array, n_steps)


def _lengths_problem(output: LayerOutput, n_stimuli: int, n_steps: int | None) -> str | None:
    if output.lengths is None:
        return None
    lengths = [int(length) for length in output.lengths]
    if n_steps is None:
        return f"valid lengths without the axis 'time' among {output.axes}."
    if len(lengths) != n_stimuli or min(lengths) < 1 or max(lengths) > n_steps:
        return f"expected {n_stimuli} valid lengths from 1 to {n_steps}, found {lengths}."
    return None


def _names_problem(output: LayerOutput, array: Array, n_steps: int | None) -> str | None:
    if output.units is not None and (output.axes != ("unit",) or len(output.units) != array.shape[1]):
        return f"{len(output.units)} names of units for shape {array.shape} with the axes {output.axes}."
    if output.step_ms is not None and np.shape(output.step_ms) != (n_steps, 2):
        return f"expected step_ms of shape ({n_steps}, 2), found {np.shape(output.step_ms)}."
    return None
