"""From what was typed to names: globs, ranges of seeds and suites expanded, each with how it was named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from isocortex.catalogue.cards import SuiteCard, read_card
from isocortex.catalogue.rows import is_pattern
from isocortex.errors import UnknownIDError, UsageError
from isocortex.files.disk import home_expanded_name
from isocortex.loading.brain_model import BRAIN_PREFIX
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
            chosen[_one_sum(resolver, summands), "fixed"] = False
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


def _one_sum(resolver: Resolver, summands: Sequence[str]) -> str:
    """The one name of a sum of models, each of which is one variant of one model."""
    globbed = [summand for summand in summands if is_pattern(split_model_name(summand)[0])]
    if globbed or not all(summands):
        raise UsageError(f"{'+'.join(summands)!r} is no sum of models: each is one model, ID[@VARIANT], and no glob.")
    name = "+".join(
        _one_model(resolver, model) + ("" if variant is None else f"@{variant}")
        for model, variant in map(split_model_name, summands)
    )
    resolver.model_card(name)  # refused where the models do not go together
    return name


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
