"""Checks of a model: what it declares, what it gives, and that nothing but the stimulus and the variant decides it.

Variants that need no weights ("fixed" and "random") are checked, on stimuli that the kit makes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from isocortex.activations.layer_names import match_layers
from isocortex.catalogue.cards import Variant
from isocortex.data.stimuli import StimulusSet
from isocortex.errors import shorten
from isocortex.interfaces import LoadedModel
from isocortex.testing.memory import check_memory
from isocortex.testing.model_runs import BATCHINGS, ModelUnderTest, RawRun
from isocortex.testing.outcomes import CheckFailed, CheckSkipped, described, expect
from isocortex.testing.probe import N_STIMULI
from isocortex.testing.rates import check_rates
from isocortex.testing.rows import skip_unless
from isocortex.typing import Array

if TYPE_CHECKING:
    from isocortex.activations.layer import Activations


#: largest difference in standard deviations of the layer; rounding to float32 is allowed for on top
TOLERANCE = 1e-5


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
            for emitted in _without_error(model, variant).emitted:
                _expect_emitted(names, emitted, str(variant))
            if len(names) > 1:
                _expect_emitted(names[-1:], _emitted(loaded, model.stimuli, names[-1:]), str(variant))


def _check_declared(patterns: Sequence[str], loaded: LoadedModel, variant: str) -> None:
    names = list(loaded.layers)
    for pattern in patterns:
        matched = match_layers(pattern, names)
        expect(matched, f"The card declares the layer {pattern!r}, but {variant} has only {shorten(names, 8)}.")
        found = list(loaded.find(pattern))
        lost = [name for name in matched if name not in found]
        expect(not lost, f"find({pattern!r}) of {variant} must give {shorten(lost)} too; found {found}.")
    undeclared = [name for name in names if patterns and not any(match_layers(pattern, [name]) for pattern in patterns)]
    expect(not undeclared, f"{variant} has the layers {shorten(undeclared)}, which the card does not declare.")
    for name in names:
        found = list(loaded.find(name))
        expect(found == [name], f"find({name!r}) of {variant} must give that layer alone; found {found}.")


def _emitted(loaded: LoadedModel, stimuli: StimulusSet, asked: Sequence[str]) -> list[str]:
    emitted: list[str] = []
    loaded.run(stimuli.batch([0]), asked, lambda layer, _: emitted.append(layer))
    return emitted


def _expect_emitted(asked: Sequence[str], emitted: Sequence[str], variant: str) -> None:
    expect(
        list(emitted) == list(asked),
        f"{variant} must emit the layers that are asked for, in processing order: {shorten(asked, 8)}; "
        f"found {shorten(emitted, 8) or 'none'}.",
    )


def _without_error(model: ModelUnderTest, variant: Variant) -> RawRun:
    found = model.raw_run(variant)
    if found.error is not None:
        raise skip_unless("outputs", found.error)
    return found


# --- what it gives ----------------------------------------------------------------------------------------------------


def check_outputs(model: ModelUnderTest) -> None:
    """Arrays, names of axes, valid lengths, units and times fit each other, and each layer has one number of units."""
    for variant in model.variants():
        found = model.raw_run(variant)
        if found.error is not None:
            message = f"run() of {variant} must take stimuli such as {shorten(model.stimuli.ids, 2)}; found "
            raise CheckFailed(message + described(found.error)) from found.error
        for layer, problem in found.problems.items():
            raise CheckFailed(f"Layer {layer!r} of {variant}: {problem}")
        for layer, n_units in found.n_units.items():
            expect(
                len(n_units) == 1,
                f"Layer {layer!r} of {variant} must have as many units for every stimulus once time and space are "
                f"averaged; found {sorted(n_units)}. An axis that varies must be named 'time', 'height' or 'width'.",
            )


def check_finite(model: ModelUnderTest) -> None:
    """No activation is NaN or infinite."""
    for variant in model.variants():
        for layer, bad in _without_error(model, variant).not_finite.items():
            raise CheckFailed(
                f"Layer {layer!r} of {variant} must be finite; found NaN or infinite values for {shorten(bad)}."
            )


# --- what decides it --------------------------------------------------------------------------------------------------


def check_determinism(model: ModelUnderTest) -> None:
    """Two loads, and a load in a fresh interpreter, give the same bytes."""
    for variant in model.variants():
        first, second = model.digests_of_two(variant)
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
    stimuli = model.stimuli
    alone = StimulusSet(stimuli.id, stimuli.modality, {stimuli.ids[0]: stimuli.load(0)}, table=stimuli.table)
    first = model.whole_run(Variant.parse("random:0"))
    second = model.extract(Variant.parse("random:1"), alone, 1)
    expect(
        any(difference(first[layer].array(alone.ids), second[layer].array()) for layer in first),
        "random:0 and random:1 must differ in at least one layer; found the same values in all.",
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
    known = [digest for digest in found.values() if digest is not None]
    expect(len(set(known)) == len(known), f"Variants and seeds must have digests of their own; found {found}.")
    if model.reference is not None:
        fresh = model.fresh_run(variants[0])
        expect(
            "error" in fresh or fresh["digest"] == found[str(variants[0])],
            f"The digest of {variants[0]} must be the same in a fresh interpreter; found another.",
        )


def check_batch_size(model: ModelUnderTest) -> None:
    """Batches of 1, of 3 and of all stimuli give the same values."""
    for variant in model.variants():
        whole = model.stable_run(variant)
        for size in (1, 3):
            found = model.extract(variant, model.stimuli, size)
            _expect_close(whole, found, f"{variant}, batches of {N_STIMULI} and of {size}")


def check_order(model: ModelUnderTest) -> None:
    """The order of the stimuli does not matter."""
    stimuli = model.stimuli
    sources = [(stimuli.ids[place], stimuli.load(place)) for place in reversed(range(len(stimuli)))]
    reverse = StimulusSet(stimuli.id, stimuli.modality, sources, table=stimuli.table)
    for variant in model.variants():
        whole = model.stable_run(variant)
        found = model.extract(variant, reverse, N_STIMULI)
        _expect_close(whole, found, f"{variant}, stimuli in canonical and in reverse order")


def _expect_close(expected: dict[str, Activations], found: dict[str, Activations], between: str) -> None:
    for layer, activations in expected.items():
        problem = difference(activations.array(), found[layer].array(activations.stimulus_id))
        expect(
            problem is None,
            f"{between}: expected the same values in layer {layer!r}, found {problem}. "
            "What a stimulus gives must not depend on the others.",
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
    "rates": check_rates,
    "memory": check_memory,
}
