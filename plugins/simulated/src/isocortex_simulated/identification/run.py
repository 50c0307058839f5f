"""Making brains of each candidate, scoring all candidates on them, and answering: block by block (``blocks``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from isocortex_simulated.identification.answers import Answered
from isocortex_simulated.identification.blocks import Clock, Level
from isocortex_simulated.identification.contenders import Contender, contenders_of
from isocortex_simulated.identification.plan import (
    CURVE,
    Question,
    Truths,
    card_of,
    checked_levels,
    digest_of_question,
    protocols_of,
    read_out_most,
    refuse_few,
    template_of,
)

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
        What was left out, in sentences.
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
    answered = {key: level.answered() for key, level in prepared.levels.items()}
    found, truths = prepared, prepared.truths
    return Found(
        found.question,
        found.card,
        found.truths.template,
        truths.contenders,
        answered,
        truths.exponents,
        truths.left_out,
        found.folder,
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
    for level, block in blocks:
        level.clock.n_brains = n_brains
        level.finished(block)


class _Prepared(NamedTuple):
    """Everything but the brains."""

    question: Question
    card: BenchmarkCard
    truths: Truths
    levels: dict[tuple[str, float | None], Level]
    folder: Path


def _prepared(question: Question, models: Sequence[str], out: Path, say: Say) -> _Prepared:
    from isocortex.files import folder_name, short

    refuse_few(question)
    card = card_of(question.benchmark)
    template = template_of(card)
    usual = (*((None,) if template.reliability is not None else ()), *CURVE)
    levels = checked_levels(question.levels or usual, template, card.id)
    question = replace(question, levels=levels, metrics=question.metrics or (card.metric,))
    contenders = contenders_of(models, template.dataset.stimuli, template.stimulus_id, card.reduction)
    protocols = protocols_of(card, question.metrics, question.n_samples)
    first = next(iter(protocols.values()))
    layers = read_out_most(first, template, contenders) if question.layer == "chosen" else None
    truths = Truths(question, template, contenders, layers)
    for line in truths.left_out:
        say(f"warning: {line}")
    folder, clock = out / "recovery" / folder_name(card.id), Clock(say)
    found: dict[tuple[str, float | None], Level] = {}
    for name, protocol in protocols.items():
        digest = digest_of_question(question, card, template, contenders, protocol)
        place = folder / f"{folder_name(name)}-{short(digest)}"
        for level in levels:
            found[name, level] = Level(question, protocol, truths, level, place, clock)
    return _Prepared(question, card, truths, found, folder)
