"""Making brains of each candidate, scoring all candidates on them, and answering: block by block (``blocks``)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from isocortex_simulated.identification.answers import Answered
from isocortex_simulated.identification.blocks import Clock, Level
from isocortex_simulated.identification.contenders import Contender, contenders_of
from isocortex_simulated.identification.plan import (
    CURVE,
    Question,
    card_of,
    checked_exponent,
    checked_levels,
    digest_of_question,
    protocols_of,
    refuse_few,
    refuse_unasked,
    sister_of,
    template_of,
)
from isocortex_simulated.identification.truths import Truths, read_out_most

if TYPE_CHECKING:
    from isocortex.interfaces import BenchmarkCard
    from isocortex_simulated.identification.brains import Template

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Found:
    """All that a run found out.

    Attributes
    ----------
    question, card, template, contenders
        What was asked.
    answered
        Metric and reliability → answers.
    exponents
        Candidate and layer → a of q_k = k^−a.
    said
        What was left out or guessed, in sentences.
    folder
        Where it is kept.
    """

    question: Question
    card: BenchmarkCard
    template: Template
    contenders: Sequence[Contender]
    answered: dict[tuple[str, float | None], Answered]
    exponents: dict[tuple[str, str], float]
    said: Sequence[str]
    folder: Path


def recovered(
    question: Question, models: Sequence[str], out: Path, say: Say, elsewhere: Callable[[], None] | None = None
) -> Found:
    """Answer a question: make the brains, score them, keep what is finished.

    Parameters
    ----------
    question
        What is asked.
    models
        The candidates, see `contenders_of`.
    out
        The results folder; blocks lie below ``recovery/BENCHMARK``.
    say
        Takes lines of progress.
    elsewhere
        Called when the activations are there: computes blocks in other processes.

    Raises
    ------
    UsageError, IsocortexError
        If something is asked that cannot be, a model or its data are not here, or nothing can be written.
    """
    prepared = _prepared(question, models, out, say)
    if elsewhere is not None:
        elsewhere()
    with each_said_once():
        answered = {key: level.answered() for key, level in prepared.levels.items()}
    truths = prepared.truths
    return Found(
        question=prepared.question,
        card=prepared.card,
        template=truths.template,
        contenders=truths.contenders,
        answered=answered,
        exponents=truths.exponents,
        said=prepared.said,
        folder=prepared.folder,
    )


def compute_part(question: Question, models: Sequence[str], out: Path, say: Say, part: tuple[int, int]) -> None:
    """Compute and keep every n-th block, from the k-th on.

    Parameters
    ----------
    question, models, out, say
        As for `recovered`.
    part
        k and n.
    """
    levels = _prepared(question, models, out, say).levels.values()
    blocks = [(level, block) for level in levels for block in level.blocks][part[0] :: part[1]]
    n_brains = sum(len(block.brains) for _, block in blocks)
    with each_said_once():
        for level, block in blocks:
            level.clock.n_brains = n_brains
            level.finished(block)


@contextmanager
def each_said_once() -> Generator[None]:
    """Let a message through once: a layer is scored again for each block of brains, and is each time found odd."""
    handlers = [*logging.getLogger().handlers, *([logging.lastResort] if logging.lastResort else [])]
    seen: dict[logging.Handler, set[str]] = {handler: set() for handler in handlers}

    def new_to(handler: logging.Handler, message: logging.LogRecord) -> bool:
        text = message.getMessage()
        known = text in seen[handler]
        seen[handler].add(text)
        return not known

    filters = {handler: partial(new_to, handler) for handler in handlers}
    for handler, only_new in filters.items():
        handler.addFilter(only_new)
    try:
        yield
    finally:
        for handler, only_new in filters.items():
            handler.removeFilter(only_new)


class _Prepared(NamedTuple):
    """Everything but the brains."""

    question: Question
    card: BenchmarkCard
    truths: Truths
    levels: dict[tuple[str, float | None], Level]
    said: list[str]
    folder: Path


def _prepared(question: Question, models: Sequence[str], out: Path, say: Say) -> _Prepared:
    from isocortex.files import folder_name, short

    refuse_few(question)
    card = card_of(question.benchmark)
    template = template_of(card)
    usual = (*((None,) if template.reliability is not None else ()), *CURVE)
    levels = checked_levels(question.levels or usual, template, card.id)
    question = replace(question, levels=levels, metrics=tuple(dict.fromkeys(question.metrics)) or (card.metric,))
    question = replace(question, exponent=checked_exponent(question, template))
    refuse_unasked(question)
    contenders = contenders_of(models, template.dataset.stimuli, template.stimulus_id, card.reduction)
    protocols = protocols_of(card, question.metrics, question.n_samples)
    layers = None
    if question.layer == "chosen":
        own = protocols_of(card, [card.metric], question.n_samples)[card.metric]
        layers = read_out_most(own, template, contenders)
    truths = Truths(question, template, contenders, layers)
    said = [*truths.left_out, *_settings_guessed(card, question.metrics)]
    for line in said:
        say(f"warning: {line}")
    folder, clock = out / "recovery" / folder_name(card.id), Clock(say)
    found: dict[tuple[str, float | None], Level] = {}
    for name, protocol in protocols.items():
        digest = digest_of_question(question, card, truths, protocol)
        place = folder / f"{folder_name(name)}-{short(digest)}"
        for level in levels:
            found[name, level] = Level(question, protocol, truths, level, place, clock)
    return _Prepared(question, card, truths, found, said, folder)


def _settings_guessed(card: BenchmarkCard, metrics: Sequence[str]) -> list[str]:
    """Say of which metrics no benchmark says how they score these responses."""
    base = card.id.removesuffix(f".{card.metric}")
    return [
        f"{metric} scores with its default settings: no benchmark {base}.{metric} of the same responses says others."
        for metric in metrics
        if metric != card.metric and sister_of(card, metric) is None
    ]
