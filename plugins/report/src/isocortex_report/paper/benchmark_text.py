"""The paragraph on one benchmark, in blocks: data, procedure, and statistics. Equal blocks are said once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from isocortex_report.paper.citations import Citations
from isocortex_report.paper.clauses import said
from isocortex_report.paper.facts import Group
from isocortex_report.paper.quantities import counted, in_words, listed, number

SINGLE = "single layer"
#: more regions than this are counted and not named
MOST_REGIONS = 12
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")


@dataclass
class Blocks:
    """What is said of one benchmark.

    Attributes
    ----------
    data
        What was recorded, and what of it took part.
    procedure
        From activations to a score.
    statistics
        Ceiling and interval.
    unsaid
        What is not known.
    """

    data: str
    procedure: str
    statistics: str
    unsaid: list[str] = field(default_factory=list[str])


def one_line(text: str) -> str:
    """A name that was given by whoever made a model or a data set, on one line and without hidden marks.

    Examples
    --------
    >>> one_line("a\\nb")
    'a b'
    """
    return _UNSEEN.sub(" ", text).strip()


def blocks_of(group: Group, citations: Citations) -> Blocks:
    """Everything that is known of how the results of a group were made."""
    unsaid: list[str] = []
    data = " ".join(_data(group, citations))
    procedure = " ".join([_reduction(group), *_metric(group, citations, unsaid), *_layers(group), *_splits(group)])
    statistics = " ".join([*_ceiling(group, citations), *_interval(group, citations, unsaid)])
    name = one_line(group.first.benchmark)
    return Blocks(data, procedure, statistics, [f"{name}: {line}" for line in unsaid])


# --- data -------------------------------------------------------------------------------------------------------------


def _data(group: Group, citations: Citations) -> list[str]:
    first = group.first
    kind = getattr(group.card("dataset"), "kind", "responses")
    what = {"responses": "Responses", "rdm": "Dissimilarity matrices", "trials": "Decisions"}.get(kind, "Data")
    data = _described(group.card("dataset"), first.dataset, citations)
    stimuli = _described(group.card("stimuli"), first.stimuli, citations)
    about = "about" if kind == "trials" else "to" if kind == "responses" else "of"
    lines = [f"{what} were those of {data} {about} {stimuli}.", *_counts(group.facts)]
    regions = list(dict.fromkeys(name for result in group.results for name in result.regions))
    if regions:
        names = f": {listed([one_line(name) for name in regions])}" if len(regions) <= MOST_REGIONS else ""
        lines.append(f"Scores are given for the whole and for {counted(len(regions), 'part')} of it{names}.")
    return lines


def _described(card: Any, name: str, citations: Citations) -> str:
    title = f" ({card.title})" if card is not None and card.title else ""
    return f"{one_line(name)}{title}{citations.of_card(card)}"


def _counts(facts: dict[str, Any]) -> list[str]:
    """How many stimuli, neuroids and participants the scores rest on."""
    taken = [counted(facts["n_stimuli"], "stimulus", "stimuli")] if "n_stimuli" in facts else []
    if {"n_neuroids", "n_neuroids_total"} <= facts.keys():
        kept, total = facts["n_neuroids"], facts["n_neuroids_total"]
        every = f"all {in_words(total)} neuroids" if total > 1 else "one neuroid"
        taken.append(every if kept == total else f"{number(kept)} of {number(total)} neuroids")
    if "n_subjects" in facts:
        taken.append(counted(facts["n_subjects"], "participant"))
    lines = [f"Scores rest on {listed(taken)}."] if taken else []
    pooled = "Data were pooled, without regard to participants."
    return [*lines, pooled] if facts.get("target") == "pooled" else lines


# --- procedure --------------------------------------------------------------------------------------------------------

_STEPS = {
    "flatten": "taken as they are",
    "time-mean": "averaged over time",
    "time-max": "reduced to their maximum over time",
    "time-first": "taken at the first step of time",
    "time-last": "taken at the last step of time",
    "spatial-mean": "averaged over space",
}


def _reduction(group: Group) -> str:
    return f"Activations of a layer were {' and then '.join(map(_step, group.first.reduction.split('+')))}."


def _step(step: str) -> str:
    """A step of a reduction in words.

    Examples
    --------
    >>> _step("time-mean"), _step("spatial-mean-4")
    ('averaged over time', 'averaged over the cells of a grid of 4 × 4')
    """
    if step in _STEPS:
        return _STEPS[step]
    kind, *numbers = re.split(r"-(?=\d)", step)
    if kind == "spatial-mean":
        return f"averaged over the cells of a grid of {numbers[0]} × {numbers[0]}"
    if kind in ("srp", "projection"):
        return f"projected at random onto {number(int(numbers[0]))} dimensions (“{step}”)"
    return f"reduced by “{one_line(step)}”"


def _metric(group: Group, citations: Citations, unsaid: list[str]) -> list[str]:
    """What the metric's row says of it, or its title and settings."""
    card = group.card("metric")
    reference = citations.of_card(card)
    clauses = group.account.said
    if clauses:
        found = said(clauses, {**group.facts, "self": reference.strip()}, unsaid)
        if found and reference and not any("{self}" in clause.text for clause in clauses):
            found[0] = f"{found[0].rstrip('.')}{reference}."
        return [re.sub(r"\s+([.,;:])", r"\1", " ".join(line.split())) for line in found]
    settings = ", ".join(f"{one_line(name)} = {value}" for name, value in group.first.settings.items())
    title = f" (“{card.title}”)" if card is not None and card.title else ""
    with_settings = f" with the settings {one_line(settings)}" if settings else ""
    name = one_line(group.first.metric)
    why = group.problem or "its package says nothing of it for a methods section"
    unsaid.append(f"how the metric {name} works: {why}")
    return [f"They were compared with the data by the metric {name}{title}{reference}{with_settings}."]


_RULES = {
    "optimistic": "The layer that scored best was reported; as it was chosen on what it is tested on, the score is "
    "optimistic.",
    "all layers, weighted": "All layers took part together, so that none was chosen.",
}


def _layers(group: Group) -> list[str]:
    """How a layer was chosen, where the metric has not said it."""
    own = [clause for clause in group.account.said if "layer_rule" in clause.when]
    lines: list[str] = []
    for rule in group.layer_rules:
        if rule == SINGLE:
            lines += [] if len(group.layer_rules) > 1 else ["Models have one layer each, so that none was chosen."]
        elif not any(said([clause], {**group.facts, "layer_rule": [rule], "self": ""}, []) for clause in own):
            lines.append(_RULES.get(rule, f"The rule by which the layer was chosen is “{rule}”."))
    return lines


def _splits(group: Group) -> list[str]:
    facts, stricter = group.facts, group.first.splits
    if stricter is not None:
        return [*_stricter(stricter), _DROP]
    if "n_splits" in facts and {"n_train", "n_test"} <= facts.keys():
        return [f"Each split had {facts['n_train']} training and {facts['n_test']} test stimuli."]
    return []


_DROP = (
    "Each was tested in two halves after training on stimuli of all others. The drop is the difference to the score of "
    "the same halves after training on as many stimuli, drawn from all that were not tested, its own kind included."
)


def _stricter(name: str) -> list[str]:
    """What stricter splits leave out of training.

    Examples
    --------
    >>> _stricter("leave-category-out")
    ['Every category in turn was left out of training.']
    """
    kind, _, rest = name.partition(":")
    if kind == "clusters":
        count, _, model = rest.partition(":")
        how = f"{count} clusters by the features of {one_line(model)} (Ward's linkage of Euclidean distances)"
        return [f"Stimuli were divided into {how}, and every cluster in turn was left out of training."]
    column, _, value = name.removeprefix("leave-").removesuffix("-out").partition("=")
    if name == "out-of-distribution":
        return ["The stimuli that the data set calls out of distribution were left out of training."]
    if value:
        return [f"The stimuli of which {one_line(column)} is {one_line(value)} were left out of training."]
    return [f"Every {one_line(column)} in turn was left out of training."]


# --- statistics -------------------------------------------------------------------------------------------------------

_CEILED = {
    "r_over_sqrt_c": "Normalised scores are the score divided by this ceiling.",
    "r2_over_c": "Normalised scores are the squared score divided by this ceiling.",
    "r_over_c_squared": "Normalised scores are the square of the score divided by this ceiling.",
}
#: what is named in estimators and kinds of errors, and where it was published
_NAMED = {
    "Nili et al. 2014": "doi:10.1371/journal.pcbi.1003553",
    "Nadeau & Bengio 2003": "doi:10.1023/A:1024068626366",
    "Efron 1982": "doi:10.1137/1.9781611970319",
}


def _ceiling(group: Group, citations: Citations) -> list[str]:
    facts = group.facts
    estimator = facts.get("ceiling_estimator")
    if estimator is None:
        return []
    if estimator == "none":
        return ["No noise ceiling was estimated."]
    lines = [f"Estimator of the noise ceiling: {_with_numbers(str(estimator), citations)}; it was not clipped."]
    ceiled = _CEILED.get(str(facts.get("benchmark.ceiling_mode")))
    return [*lines, ceiled] if ceiled else lines


def _with_numbers(text: str, citations: Citations) -> str:
    """Authors and year replaced by the number of the reference."""
    for name, reference in _NAMED.items():
        if name in text:
            text = text.replace(f" ({name})", citations.named(reference)).replace(name, citations.named(reference))
    return text


def _interval(group: Group, citations: Citations, unsaid: list[str]) -> list[str]:
    facts = group.facts
    resampled, kind = facts.get("resampled"), str(facts.get("error_kind", ""))
    if resampled is None or "error_kind" not in facts:
        unsaid.append("what intervals and errors rest on: results differ in it")
        return []
    if resampled == "none":
        return [f"Errors are the {kind}."] if kind != "none" else ["No interval was computed."]
    what = str(resampled).replace("×", "and")
    if not kind.startswith("bootstrap"):
        return [f"Intervals are over {what}."]
    if "n_draws" not in facts:
        unsaid.append("how many bootstrap draws were made: their number is in the raw scores, which are not here")
    draws = f"{number(facts['n_draws'])} " if "n_draws" in facts else ""
    line = f"Intervals are the 2.5th and 97.5th percentiles of {draws}bootstrap draws of {what}"
    if "widened" in kind:
        line += f", widened for the training stimuli that splits share{citations.named(_NAMED['Nadeau & Bengio 2003'])}"
    if "jackknife" in kind:
        source = citations.named(_NAMED["Efron 1982"])
        line += f", each of which tests and trains in a draw (infinitesimal jackknife{source})"
    if "participants" in what:
        line += ", spread as far as Student's t asks for so few participants"
    return [f"{line}{'' if 'participants' in what else '; they generalise over stimuli only'}."]


# --- what several benchmarks share ------------------------------------------------------------------------------------


def paragraphs_of(names: Sequence[str], blocks: Sequence[Blocks]) -> list[str]:
    """The text of each benchmark; a block that was said before is referred to by the name of its benchmark."""
    lines: list[str] = []
    for place, (own, _) in enumerate(zip(blocks, names, strict=True)):
        parts = [own.data if _first(blocks, place, "data") == place else _as_for(names, blocks, place, "data")]
        same = _first(blocks, place, "procedure")
        parts.append(own.procedure if same == place else f"Scores were computed as for {names[same]}.")
        shared = len(blocks) > 1 and len({one.statistics for one in blocks}) == 1
        parts.append("" if shared else own.statistics)
        lines.append(" ".join(filter(None, parts)))
    return lines


def _first(blocks: Sequence[Blocks], place: int, kind: str) -> int:
    return next(number for number, one in enumerate(blocks) if getattr(one, kind) == getattr(blocks[place], kind))


def _as_for(names: Sequence[str], blocks: Sequence[Blocks], place: int, kind: str) -> str:
    return f"Data and stimuli were those of {names[_first(blocks, place, kind)]}."
