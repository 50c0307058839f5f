"""Checks of a model: what it declares, what it gives, and that nothing but the stimulus and the variant decides it.

Variants that need no weights ("fixed" and "random") are checked, on stimuli that the kit makes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.catalogue import Catalogue
from isocortex.errors import DataError, PluginError, shorten
from isocortex.extraction import CHUNK_SIZE, activations_in_memory
from isocortex.interfaces import LayerOutput, LoadedModel, ModelPlugin
from isocortex.layers import match_layers
from isocortex.manifest import ModelCard, Variant
from isocortex.reductions import reduce_output
from isocortex.stimuli import StimulusBatch, StimulusSet
from isocortex.testing.outcomes import CheckFailed, CheckSkipped, described, expect
from isocortex.testing.probe import N_STIMULI, REDUCTION
from isocortex.testing.processes import run_probe
from isocortex.testing.rows import RowUnderTest, made, skip_unless
from isocortex.testing.synthetic import MODALITIES, synthetic_stimuli

if TYPE_CHECKING:
    from isocortex.activations import Activations

Array = np.ndarray[Any, Any]

BATCHINGS = ("any", "equal-length", "single")
WITHOUT_WEIGHTS = ("fixed", "random")
#: largest difference in standard deviations of the layer; rounding to float32 is allowed for on top
TOLERANCE = 1e-5
#: memory that may come and go between two equal runs: allocators, caches of libraries
MEMORY_SLACK_BYTES = 20_000_000
#: a model that takes longer over the stimuli of the memory check is not measured
MAX_MEMORY_SECONDS = 400.0


class ModelUnderTest:
    """A model plugin with what several checks need of it."""

    def __init__(self, name: str, make: Callable[[], ModelPlugin], reference: str | None = None) -> None:
        self.name = name
        self.reference = reference
        self._make = make
        self._runs: dict[str, dict[str, Activations]] = {}
        self._fresh: dict[str, dict[str, Any]] = {}

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
        """A few stimuli of the model's modality; sounds have four different durations."""
        if self.card.modality not in (*MODALITIES, "any"):
            raise CheckSkipped(f"The kit makes no stimuli of modality {self.card.modality!r}.")
        return synthetic_stimuli(self.card.modality, N_STIMULI)

    def variants(self) -> list[Variant]:
        """The variants that need no weights, with seed 0."""
        offered = [kind for kind in self.card.variants if kind in WITHOUT_WEIGHTS]
        if not offered:
            raise CheckSkipped(f"It offers {', '.join(self.card.variants)} only, which need weights.")
        return [Variant.parse(kind) for kind in offered]

    def load(self, variant: Variant) -> LoadedModel:
        """Load the model anew."""
        return self.plugin.load(variant, device="cpu")

    def opened(self, variant: Variant) -> LoadedModel:
        """Load the model; where it does not load, the check is skipped."""
        try:
            return self.load(variant)
        except Exception as error:
            raise skip_unless("loads", error) from error

    def run(self, variant: Variant, stimuli: StimulusSet, batch_size: int | None = None) -> dict[str, Activations]:
        """Load the model anew and extract its layers as the runner does."""
        with self.opened(variant) as loaded:
            try:
                return activations_in_memory(
                    loaded, stimuli, list(loaded.layers), reduction=REDUCTION, batch_size=batch_size
                )
            except Exception as error:
                raise skip_unless("layers, outputs or finite", error) from error

    def whole_run(self, variant: Variant) -> dict[str, Activations]:
        """The layers for all stimuli in one batch; kept."""
        if str(variant) not in self._runs:
            self._runs[str(variant)] = self.run(variant, self.stimuli, batch_size=N_STIMULI)
        return self._runs[str(variant)]

    def fresh_run(self, variant: Variant) -> dict[str, Any]:
        """Digests of the plugin and of the layers in a fresh interpreter; kept."""
        if str(variant) not in self._fresh:
            self._fresh[str(variant)] = run_probe(
                "run", reference=self.reference, variant=str(variant), modality=self.card.modality
            )
        return self._fresh[str(variant)]


def batches(loaded: LoadedModel, stimuli: StimulusSet, size: int = N_STIMULI) -> Iterator[StimulusBatch]:
    """Put stimuli together as the model asks for it."""
    groups: dict[object, list[int]] = {}
    for place in range(len(stimuli)):
        shape = stimuli.load(place).array.shape
        key = {"any": None, "equal-length": shape, "single": place}[loaded.batching]
        groups.setdefault(key, []).append(place)
    for group in groups.values():
        for start in range(0, len(group), size):
            yield stimuli.batch(group[start : start + size])


# --- what it declares -------------------------------------------------------------------------------------------------


def check_loads(model: ModelUnderTest) -> None:
    """Every variant that needs no weights loads, with layers and a known way of batching."""
    model.make()
    for variant in model.variants():
        with model.load(variant) as loaded:
            expect(
                isinstance(loaded, LoadedModel),
                f"load({variant}) must return an isocortex.interfaces.LoadedModel; found {type(loaded).__name__}.",
            )
            expect(
                loaded.batching in BATCHINGS,
                f"batching must be one of {', '.join(BATCHINGS)}; found {loaded.batching!r} in {variant}.",
            )
            names = list(loaded.layers)
            expect(
                names and all(isinstance(name, str) and name for name in names),
                f"layers must be names, at least one; found {names!r} in {variant}.",
            )
            expect(len(set(names)) == len(names), f"layers must be different; found {names} in {variant}.")


def check_layers(model: ModelUnderTest) -> None:
    """The layers of the card, of the loaded model, and those it emits are the same, in processing order."""
    for variant in model.variants():
        with model.opened(variant) as loaded:
            names = list(loaded.layers)
            _check_declared(model.card.layers, loaded, str(variant))
            _check_emitted(loaded, model.stimuli, names, str(variant))
            _check_emitted(loaded, model.stimuli, names[-1:], str(variant))


def _check_declared(patterns: Sequence[str], loaded: LoadedModel, variant: str) -> None:
    names = list(loaded.layers)
    for pattern in patterns:
        expect(
            match_layers(pattern, names),
            f"The card declares the layer {pattern!r}, but {variant} has only {shorten(names, 8)}.",
        )
        lost = [name for name in match_layers(pattern, names) if name not in loaded.find(pattern)]
        expect(not lost, f"find({pattern!r}) of {variant} must give {shorten(lost)} too; found {loaded.find(pattern)}.")
    undeclared = [name for name in names if not any(match_layers(pattern, [name]) for pattern in patterns)]
    expect(not undeclared, f"{variant} has the layers {shorten(undeclared)}, which the card does not declare.")
    for name in names:
        expect(
            list(loaded.find(name)) == [name],
            f"find({name!r}) of {variant} must give it alone; found {loaded.find(name)}.",
        )


def _check_emitted(loaded: LoadedModel, stimuli: StimulusSet, asked: Sequence[str], variant: str) -> None:
    for batch in batches(loaded, stimuli):
        emitted: list[str] = []
        try:
            loaded.run(batch, asked, lambda layer, _, emitted=emitted: emitted.append(layer))
        except Exception as error:
            raise skip_unless("outputs", error) from error
        expect(
            emitted == list(asked),
            f"{variant} must emit the layers that are asked for, in processing order: {shorten(asked, 8)}; "
            f"found {shorten(emitted, 8) or 'none'}.",
        )


# --- what it gives ----------------------------------------------------------------------------------------------------


def check_outputs(model: ModelUnderTest) -> None:
    """Arrays, names of axes, valid lengths, units and times fit each other, and each layer has one number of units."""
    for variant in model.variants():
        with model.opened(variant) as loaded:
            n_units: dict[str, set[int]] = {}
            for size in (N_STIMULI, 1):
                for batch in batches(loaded, model.stimuli, size):
                    _run_and_check(loaded, batch, n_units, str(variant))
        for layer, found in n_units.items():
            expect(
                len(found) == 1,
                f"Layer {layer!r} of {variant} must have as many units for every stimulus once time and space are "
                f"averaged; found {sorted(found)}. An axis that varies must be named 'time', 'height' or 'width'.",
            )
        _expect_extracted(model, variant)


def _expect_extracted(model: ModelUnderTest, variant: Variant) -> None:
    """What extraction refuses for its layers or for NaN is found by those checks."""
    with contextlib.suppress(PluginError, DataError), model.opened(variant) as loaded:
        activations_in_memory(loaded, model.stimuli, list(loaded.layers), reduction=REDUCTION)


def _run_and_check(loaded: LoadedModel, batch: StimulusBatch, n_units: dict[str, set[int]], variant: str) -> None:
    def visit(layer: str, output: LayerOutput) -> None:
        problem = output_problem(output, len(batch))
        expect(problem is None, f"Layer {layer!r} of {variant}: {problem}")
        n_units.setdefault(layer, set()).add(reduce_output(output, REDUCTION, layer).shape[1])

    try:
        loaded.run(batch, list(loaded.layers), visit)
    except CheckFailed:
        raise
    except Exception as error:
        raise CheckFailed(
            f"run() of {variant} must take a batch of {len(batch)}; {shorten(batch.ids)} gave {described(error)}"
        ) from error


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


def check_finite(model: ModelUnderTest) -> None:
    """No activation is NaN or infinite."""
    for variant in model.variants():
        with model.opened(variant) as loaded:
            for batch in batches(loaded, model.stimuli):
                try:
                    loaded.run(
                        batch, list(loaded.layers), lambda *emitted, batch=batch: _expect_finite(batch, *emitted)
                    )
                except CheckFailed:
                    raise
                except Exception as error:
                    raise skip_unless("outputs", error) from error


def _expect_finite(batch: StimulusBatch, layer: str, output: LayerOutput) -> None:
    values = reduce_output(output, REDUCTION, layer)
    bad = [name for name, row in zip(batch.ids, values, strict=True) if not np.isfinite(row).all()]
    expect(not bad, f"Layer {layer!r} must be finite; found NaN or infinite values for {shorten(bad)}.")


# --- what decides it --------------------------------------------------------------------------------------------------


def check_determinism(model: ModelUnderTest) -> None:
    """Two loads, and a load in a fresh interpreter, give the same bytes."""
    for variant in model.variants():
        first = {layer: activations.digest for layer, activations in model.whole_run(variant).items()}
        second = {
            layer: found.digest for layer, found in model.run(variant, model.stimuli, batch_size=N_STIMULI).items()
        }
        _expect_same(first, second, variant, "two loads in one process")
        if model.reference is not None:
            fresh = model.fresh_run(variant)
            expect("error" not in fresh, f"{variant} must run in a fresh interpreter; found {fresh.get('error')}.")
            _expect_same(first, fresh["digests"], variant, "this process and a fresh one")


def _expect_same(first: dict[str, str], second: dict[str, str], variant: Variant, between: str) -> None:
    different = [layer for layer in first if first[layer] != second.get(layer)]
    expect(
        not different,
        f"{variant} must give the same bytes in {between}; found others in the layers {shorten(different)}. "
        "Seed every generator, and let nothing hang on the order of a set or on hash().",
    )


def check_seeds(model: ModelUnderTest) -> None:
    """Another seed gives other activations."""
    if not any(variant.kind == "random" for variant in model.variants()):
        raise CheckSkipped("It offers no random variant.")
    first, second = (model.whole_run(Variant.parse(f"random:{seed}")) for seed in (0, 1))
    expect(
        any(first[layer].digest != second[layer].digest for layer in first),
        "random:0 and random:1 must differ in at least one layer; found the same bytes in all.",
    )


def check_digest(model: ModelUnderTest) -> None:
    """The digest is a text or None, the same in every process, and another for every variant and seed."""
    variants = model.variants()
    if any(variant.kind == "random" for variant in variants):
        variants = [*variants, Variant.parse("random:1")]
    found = {str(variant): model.plugin.digest(variant) for variant in variants}
    for variant, digest in found.items():
        expect(digest is None or (isinstance(digest, str) and digest), f"Expected a text or None, found {digest!r}.")
        again = model.plugin.digest(Variant.parse(variant))
        expect(digest == again, f"The digest of {variant} must stay the same; found {digest} and {again}.")
    digests = [digest for digest in found.values() if digest is not None]
    expect(len(set(digests)) == len(digests), f"Variants and seeds must have digests of their own; found {found}.")
    if model.reference is not None:
        fresh = model.fresh_run(variants[0])
        expect(
            "error" in fresh or fresh["digest"] == found[str(variants[0])],
            f"The digest of {variants[0]} must be the same in a fresh interpreter; found another.",
        )


def check_batch_size(model: ModelUnderTest) -> None:
    """Batches of 1, of 3 and of all stimuli give the same values."""
    for variant in model.variants():
        whole = model.whole_run(variant)
        for size in (1, 3):
            found = model.run(variant, model.stimuli, batch_size=size)
            _expect_close(whole, found, f"{variant}, batches of {N_STIMULI} and of {size}")


def check_order(model: ModelUnderTest) -> None:
    """The order of the stimuli does not matter."""
    stimuli = model.stimuli
    turned = list(reversed(range(len(stimuli))))
    sources = [(stimuli.ids[place], stimuli.load(place)) for place in turned]
    reverse = StimulusSet(stimuli.id, stimuli.modality, sources, table=stimuli.table)
    for variant in model.variants():
        found = model.run(variant, reverse, batch_size=N_STIMULI)
        _expect_close(model.whole_run(variant), found, f"{variant}, stimuli in canonical and in reverse order")


def _expect_close(expected: dict[str, Activations], found: dict[str, Activations], between: str) -> None:
    for layer, activations in expected.items():
        values, others = activations.array(), found[layer].array(activations.stimulus_id)
        problem = difference(values, others)
        expect(
            problem is None,
            f"{between}: expected the same values in layer {layer!r}, found {problem}. A stimulus must not see the others.",
        )


def difference(expected: Array, found: Array) -> str | None:
    """How two sets of activations (n_stimuli, n_units) differ beyond the tolerance, or None.

    |a − b| may reach 1e-5 standard deviations of the layer and 8 units in the last place of its largest float32 value.

    Examples
    --------
    >>> difference(np.array([[0.0, 2.0]]), np.array([[0.5, 2.0]]))
    'a difference of 0.5, which is 0.5 standard deviations of the layer'
    """
    if expected.shape != found.shape:
        return f"shapes {expected.shape} and {found.shape}"
    largest = float(np.abs(expected.astype(np.float64) - found).max(initial=0.0))
    scale = float(expected.std(dtype=np.float64))
    rounding = 8 * float(np.finfo(np.float32).eps) * float(np.abs(expected).max(initial=0.0))
    if largest <= TOLERANCE * scale + rounding:
        return None
    relative = f"{largest / scale:.2g} standard deviations of the layer" if scale else "in a layer that is constant"
    return f"a difference of {largest:.2g}, which is {relative}"


def check_memory(model: ModelUnderTest) -> None:
    """Ten times as many stimuli take no more memory, extracted in chunks to disk, each in a process of its own."""
    if model.reference is None:
        raise CheckSkipped("Only the model of an installed package can run in a process of its own.")
    variant = model.variants()[0]
    model.whole_run(variant)
    few, many = CHUNK_SIZE, 10 * CHUNK_SIZE
    first = _measured(model, variant, few)
    if 10 * first["seconds"] > MAX_MEMORY_SECONDS:
        raise CheckSkipped(f"{many} stimuli would take {10 * first['seconds']:.0f} s here.")
    second = _measured(model, variant, many)
    grown = int(second["grown_bytes"]) - int(first["grown_bytes"])
    expect(
        grown <= MEMORY_SLACK_BYTES,
        f"{many} stimuli must take as much memory as {few} (within {MEMORY_SLACK_BYTES / 1e6:.0f} MB, since both write "
        f"chunks of {CHUNK_SIZE}); found {grown / 1e6:.0f} MB more. Keep nothing of a batch after run() returns.",
    )


def _measured(model: ModelUnderTest, variant: Variant, n_stimuli: int) -> dict[str, Any]:
    found = run_probe(
        "measure",
        reference=model.reference,
        variant=str(variant),
        modality=model.card.modality,
        n_stimuli=n_stimuli,
    )
    expect("error" not in found, f"{variant} must run on {n_stimuli} stimuli from files; found {found.get('error')}.")
    return found


MODEL_CHECKS: dict[str, Callable[[ModelUnderTest], None]] = {
    "loads": check_loads,
    "layers": check_layers,
    "outputs": check_outputs,
    "finite": check_finite,
    "determinism": check_determinism,
    "seeds": check_seeds,
    "digest": check_digest,
    "batch-size": check_batch_size,
    "order": check_order,
    "memory": check_memory,
}
