"""From what was typed to names: globs, ranges of seeds and suites expanded, each with how it was named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

from isocortex.catalogue.cards import SuiteCard, read_card
from isocortex.catalogue.rows import is_pattern
from isocortex.errors import ModalityError, UnknownIDError, UsageError
from isocortex.files.disk import home_expanded_name
from isocortex.loading.brain_model import BRAIN_PREFIX
from isocortex.loading.model_sum import PLUS
from isocortex.loading.own_data import OWN_PREFIX
from isocortex.loading.resolver import ACTIVATIONS_PREFIX, FOLDER_PREFIX, split_model_name, variants_of

if TYPE_CHECKING:
    from isocortex.loading.resolver import Resolver

SUITE_PREFIX = "suite:"


def choose_models(resolver: Resolver, patterns: Sequence[str]) -> dict[tuple[str, str], bool]:
    """Expand globs over models and ranges of seeds: (model, variant) → whether only a glob named it.

    Raises
    ------
    UsageError
        Unknown or ambiguous IDs, or a variant that is not offered.
    """
    chosen: dict[tuple[str, str], bool] = {}
    for pattern in map(home_expanded_name, patterns):
        if summands := resolver.summands(pattern):
            globbed = any(is_pattern(split_model_name(summand)[0]) for summand in summands)
            for name in _sums(resolver, summands, globbed=globbed):
                chosen[name, "fixed"] = chosen.get((name, "fixed"), True) and globbed
            continue
        name, variant = split_model_name(pattern)
        globbed = is_pattern(name) and not name.startswith((ACTIVATIONS_PREFIX, BRAIN_PREFIX))
        for model in _expand_models(resolver, name) if globbed else [_one_model(resolver, name)]:
            card = resolver.model_card(model)
            if globbed and variant is not None and variant.partition(":")[0] not in card.variants:
                continue
            found = variants_of(card, variant)  # refused where the card does not offer it
            for text in [str(variant)] if _is_file(variant) else map(str, found):
                chosen[model, text] = chosen.get((model, text), True) and globbed
    if not chosen:
        raise UsageError("No model was named. 'isocortex list models' shows what is installed.")
    return chosen


def _sums(resolver: Resolver, summands: Sequence[str], *, globbed: bool) -> list[str]:
    """The one name of each sum that is meant: globs and ranges of seeds stand for several, each with each.

    Where a glob made them, models of other modalities are no sum, and neither is a model with itself.

    Raises
    ------
    UsageError
        A summand without a name, models that do not go together, or none that do.
    """
    if not all(summands):
        raise UsageError(f"{'+'.join(summands)!r} is no sum of models: each is one model, ID[@VARIANT], or a glob.")
    found: dict[str, None] = {}
    for names in product(*(_summands(resolver, summand) for summand in summands)):
        name = PLUS.join(names)
        if globbed and len(set(names)) < len(names):
            continue
        try:
            resolver.model_card(name)  # refused where the models do not go together
        except ModalityError:
            if not globbed:
                raise
        else:
            found[name] = None
    if not found:
        raise UsageError(f"No models of {'+'.join(summands)!r} see the same stimuli.")
    return list(found)


def _summands(resolver: Resolver, pattern: str) -> list[str]:
    """``ID[@VARIANT]`` of each model that one part of a sum stands for; without a variant where none was named."""
    name, variant = split_model_name(pattern)
    if not is_pattern(name) or name.startswith(ACTIVATIONS_PREFIX):
        return [f"{_one_model(resolver, name)}{text}" for text in _variant_texts(resolver, name, variant)]
    models = [
        model
        for model in _expand_models(resolver, name)
        if variant is None or variant.partition(":")[0] in resolver.model_card(model).variants
    ]
    return [f"{model}{text}" for model in models for text in _variant_texts(resolver, model, variant)]


def _variant_texts(resolver: Resolver, model: str, variant: str | None) -> list[str]:
    if variant is None or _is_file(variant):
        return ["" if variant is None else f"@{variant}"]
    return [f"@{found}" for found in variants_of(resolver.model_card(model), variant)]


def _is_file(variant: str | None) -> bool:
    return variant is not None and variant.startswith("file:")


def _expand_models(resolver: Resolver, pattern: str) -> list[str]:
    """What is installed and matches; the user's own objects are named one by one."""
    if pattern in resolver.objects:
        return [pattern]
    package = pattern.rpartition("::")[0]
    rows = resolver.catalogue.match("model", pattern)
    return [resolver.canonical("model", row.reference if package else row.id) for row in rows]


def _one_model(resolver: Resolver, name: str) -> str:
    """The one name of a model; folders and the user's own objects are called as they were named."""
    own = name in resolver.objects or name.startswith((ACTIVATIONS_PREFIX, BRAIN_PREFIX))
    return name if own else resolver.canonical("model", name)


@dataclass
class ChosenBenchmark:
    """How a benchmark came into a plan.

    Parameters
    ----------
    globbed
        Only a glob or a suite named it.
    suites
        The suites that it was named by, each as ``ID version``.
    """

    globbed: bool
    suites: dict[str, None] = field(default_factory=dict[str, None])


def choose_benchmarks(resolver: Resolver, patterns: Sequence[str]) -> dict[str, ChosenBenchmark]:
    """Expand globs and ``suite:ID``: benchmark → how it was named.

    Raises
    ------
    UsageError
        An unknown or ambiguous ID, also in a suite; nothing was named.
    """
    chosen: dict[str, ChosenBenchmark] = {}
    for pattern in map(home_expanded_name, patterns):
        suites = _suites(resolver, pattern) if pattern.startswith(SUITE_PREFIX) else [(None, pattern)]
        for suite, named in suites:
            globbed = suite is not None or (is_pattern(named) and not named.startswith((FOLDER_PREFIX, OWN_PREFIX)))
            for name in _expand_benchmarks(resolver, named, suite):
                found = chosen.setdefault(name, ChosenBenchmark(globbed))
                found.globbed = found.globbed and globbed
                found.suites.update({suite: None} if suite is not None else {})
    if not chosen:
        raise UsageError("No benchmark was named. 'isocortex list benchmarks' shows what is installed.")
    return chosen


def _suites(resolver: Resolver, pattern: str) -> list[tuple[str | None, str]]:
    """``ID version`` of each suite that is meant, with each of its benchmarks."""
    cards = [read_card(row) for row in resolver.catalogue.match("suite", pattern.removeprefix(SUITE_PREFIX))]
    return [
        (f"{card.id} {card.version}", name) for card in cards if isinstance(card, SuiteCard) for name in card.benchmarks
    ]


def _expand_benchmarks(resolver: Resolver, pattern: str, suite: str | None) -> list[str]:
    if pattern.startswith(FOLDER_PREFIX) or (resolver.own is not None and pattern == resolver.own.card.id):
        return [pattern]
    package = pattern.rpartition("::")[0]
    try:
        rows = resolver.catalogue.match("benchmark", pattern)
        return [resolver.canonical("benchmark", row.reference if package else row.id) for row in rows]
    except UnknownIDError as error:
        raise UnknownIDError(f"{f'The suite {suite}: ' if suite else ''}{error}") from error
