"""What is known of results of one benchmark, each fact with its source: records, scores, cards, the code of the metric.

A fact is known where all results of a group agree on it. What the installed cards and code say counts only where they
are those that the results were made with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.errors import IsocortexError, PluginError
from isocortex.results import Result, open_scores
from isocortex_report.paper.clauses import Account, account_of
from isocortex_report.paper.quantities import between
from isocortex_report.selection import scores_of

if TYPE_CHECKING:
    from isocortex.interfaces import BenchmarkCard, DatasetCard, MetricCard, ModelCard, StimuliCard
    from isocortex.scoring import Summary

    Card = BenchmarkCard | DatasetCard | MetricCard | ModelCard | StimuliCard

Cards = Mapping[tuple[str, str], Any]

#: fields of a summary that are facts of a benchmark where all results agree
_OF_SUMMARY = (
    *("statistic", "target", "n_stimuli", "n_splits", "n_subjects", "n_neuroids", "n_neuroids_total"),
    *("ceiling_estimator", "resampled", "error_kind"),
)
_OF_RESULT = ("dataset", "stimuli", "metric", "reduction", "seed", "benchmark_version")
_OF_CARD = ("aggregate", "ceiling", "ceiling_mode", "measure", "baselines", "select")
NESTED = "nested by "


@dataclass(frozen=True)
class Group:
    """Results on one benchmark with one procedure, where their raw scores lie, and the cards that are installed."""

    results: Sequence[Result]
    files: Mapping[str, Path] = field(default_factory=dict)
    cards: Cards = field(default_factory=dict)

    @property
    def first(self) -> Result:
        """One of them."""
        return self.results[0]

    @property
    def summaries(self) -> list[Summary]:
        """Of all of them."""
        return [result.summary for result in self.results if result.summary is not None]

    def card(self, kind: str) -> Any:
        """The installed card of its benchmark, data set, stimuli or metric; None: there is none."""
        return self.cards.get((kind, named(self.first, kind)))

    @property
    def account(self) -> Account:
        """What the metric's package says of it; empty where that cannot be read."""
        return self._account[0]

    @property
    def problem(self) -> str:
        """Why it cannot be read, or nothing."""
        return self._account[1]

    @cached_property
    def _account(self) -> tuple[Account, str]:
        try:
            return account_of(self.card("metric")), ""
        except PluginError as error:
            return Account(), str(error)

    @cached_property
    def layer_rules(self) -> dict[str, list[int]]:
        """Each rule by which a layer was chosen, with the numbers of layers of the models."""
        found: dict[str, list[int]] = {}
        for summary in self.summaries:
            found.setdefault(summary.layer_rule, []).append(summary.n_layers_searched)
        return found

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Name → value; a name that is not there is not known. A setting that is not given is an empty text."""
        found: dict[str, Any] = {name: getattr(self.first, name) for name in _OF_RESULT}
        for name in _OF_SUMMARY:
            values = list(dict.fromkeys(getattr(summary, name) for summary in self.summaries))
            if len(values) == 1 and values[0] is not None:
                found[name] = values[0]
        found["layer_rule"] = list(self.layer_rules)
        searched = [n for rule, counts in self.layer_rules.items() if rule != "single layer" for n in counts]
        if searched:
            per_model = " per model" if len(set(_models(self, nested=True))) > 1 else ""
            single = "; models of one layer need no choice" if "single layer" in self.layer_rules else ""
            found["n_layers"] = f"among {between(searched)} layers{per_model}{single}"
        units = [rule.removeprefix(NESTED) for rule in self.layer_rules if rule.startswith(NESTED)]
        if len(units) == 1:
            found["layer_unit"] = units[0]
        return {**_of_scores(self), **found, **self._of_benchmark(), **self._of_metric(found)}

    def _of_benchmark(self) -> dict[str, Any]:
        card = self.card("benchmark")
        if card is None or not _is_of(card, self.first):
            return {}
        return {f"benchmark.{name}": getattr(card, name) for name in _OF_CARD}

    def _of_metric(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Settings, with defaults where they are known, and constants of the code where it is that of the results."""
        card = self.card("metric")
        given = dict(self.first.settings)
        constants: dict[str, Any] = {}
        if card is not None and is_code_of(card, self.first):
            given = _in_full(card, given)
            constants = _constants(card, self.account.constants)
        if self.first.splits is not None:
            given["scheme"] = self.first.splits  # in place of the splits that the settings speak of
        return {name: value for name, value in constants.items() if name not in known} | dict(_flat(given))


def _models(group: Group, *, nested: bool) -> list[str]:
    """Models of several layers, or of one."""
    rules = [(result.model, result.summary.layer_rule) for result in group.results if result.summary is not None]
    return [model for model, rule in rules if (rule != "single layer") is nested]


def groups_of(results: Iterable[Result], files: Mapping[str, Path], cards: Cards) -> list[Group]:
    """Results that have a score, by benchmark and by whatever decides how it was computed."""
    groups: dict[tuple[Any, ...], list[Result]] = {}
    for result in results:
        if result.summary is not None:
            shared = [result.digests.get(part) for part in ("dataset", "stimuli", "metric", "benchmark")]
            settings = repr(sorted(result.settings.items()))
            named = (getattr(result, name) for name in ("benchmark", *_OF_RESULT))
            own = (*named, settings, *shared)
            groups.setdefault(own, []).append(result)
    return [Group(found, files, cards) for found in groups.values()]


def cards_of(results: Iterable[Result]) -> Cards:
    """The installed cards of everything that results name: (kind, ID) → card."""
    import isocortex

    kinds = ("model", "benchmark", "dataset", "stimuli", "metric")
    known = list(results)
    return {
        (kind, name): card
        for kind in kinds
        for name, card in isocortex.load_cards(kind, (named(result, kind) for result in known)).items()
    }


def named(result: Result, kind: str) -> str:
    """What a result names of a kind, as it is installed.

    Examples
    --------
    >>> # named(result, "benchmark")
    """
    return result.benchmark_id if kind == "benchmark" else str(getattr(result, kind))


def is_code_of(card: MetricCard, result: Result) -> bool:
    """Whether the installed metric is the one that a result was made with.

    By its digest; or, where only versions of libraries differ, by the version of its package, if neither this nor that
    is a checkout of the sources.
    """
    import isocortex

    try:
        if isocortex.load_metric(f"{card.package}::{card.id}").digest() == result.digests.get("metric"):
            return result.digests.get("metric") is not None
    except (Exception, SystemExit):  # whatever a third party's plugin raises
        return False
    made = result.provenance
    version = None if made is None else made.plugins.get(f"{card.package}::{card.id}")
    return made is not None and made.revision is None and bool(version) and version == card.package_version


def _is_of(card: BenchmarkCard, result: Result) -> bool:
    from isocortex.interfaces import digest_benchmark

    return digest_benchmark(card, result.dataset, result.metric) == result.digests.get("benchmark")


def _in_full(card: MetricCard, given: Mapping[str, Any]) -> dict[str, Any]:
    from isocortex.interfaces import settings_in_full

    try:
        return settings_in_full(card, given)
    except IsocortexError:
        return dict(given)


def _constants(card: MetricCard, named: Mapping[str, str]) -> dict[str, Any]:
    """Constants of the metric's code; an array is told by its number, its smallest and its largest value."""
    import numpy as np

    from isocortex.interfaces import named_object

    found: dict[str, Any] = {}
    for name, where in named.items():
        try:
            value = named_object(card, where)
        except IsocortexError:
            continue
        if isinstance(value, np.ndarray):
            found |= {f"{name}.n": value.size, f"{name}.low": float(value.min()), f"{name}.high": float(value.max())}
        else:
            found[name] = value
    return found


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "" if value is None else value


def _of_scores(group: Group) -> dict[str, Any]:
    """What the raw scores hold and the records do not: bootstrap draws, training and test stimuli of a split."""
    found: dict[str, set[Any]] = {}
    for result in group.results:
        summary = result.summary
        if result.n_draws:
            found.setdefault("n_draws", set()).add(result.n_draws)
        elif summary is not None and summary.draws is not None:
            found.setdefault("n_draws", set()).add(len(summary.draws))
        for name, value in _in_file(group, result).items():
            if (
                name != "n_draws" or not result.n_draws
            ):  # more draws than the raw scores hold lie in a file of their own
                found.setdefault(name, set()).add(value)
    return {name: next(iter(values)) for name, values in found.items() if len(values) == 1}


def _in_file(group: Group, result: Result) -> dict[str, Any]:
    path = scores_of(dict(group.files), result)
    if path is None or result.summary is None:
        return {}
    try:
        scores = open_scores(path, result)
    except IsocortexError:
        return {}
    facts: dict[str, Any] = {f"scores.{name}": str(value) for name, value in scores.attrs.items()}
    if "draws" in scores:
        facts["n_draws"] = scores.sizes["draw"]
    if "test_stimulus" in scores:
        n_test = (scores["test_stimulus"].transpose("split", ...).values >= 0).sum(axis=1).tolist()
        facts["n_test"] = between(n_test)
        facts["n_train"] = between([result.summary.n_stimuli - n for n in n_test])
    return facts
