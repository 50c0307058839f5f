"""Making brains, scoring all candidates on them, and keeping what is finished: block by block, so that it can go on.

A block is a file: some brains of one metric at one reliability, what each candidate reaches on each, and how surely the
best one is best. It is written whole and sealed; one that was finished is not computed again, one that is damaged is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex_simulated.draws import Floats
from isocortex_simulated.identification.answers import Answered
from isocortex_simulated.identification.comparing import largest_p
from isocortex_simulated.identification.contenders import Contender, contenders_of
from isocortex_simulated.identification.many_draws import BY_NEUROID, BY_PARTICIPANT, Protocol, Readouts, readouts
from isocortex_simulated.identification.plan import (
    CURVE,
    Question,
    Truths,
    card_of,
    checked_levels,
    digest_of_question,
    name_of,
    protocols_of,
    read_out_most,
    refuse_few,
    template_of,
)

if TYPE_CHECKING:
    from isocortex.interfaces import BenchmarkCard
    from isocortex_simulated.identification.brains import Template

MOST_COLUMNS = 1440
"""Neuroids of all brains that are scored together, unless one brain has more: bounds memory."""
MOST_PEOPLE = 80
"""Participants of all brains that are scored together: each has a matrix of stimuli by stimuli."""
ONE_BY_ONE = 12
"""Brains of a block that are scored one after the other, so that little is lost where a run ends."""

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


def recovered(question: Question, models: Sequence[str], out: Path, say: Say) -> Found:
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

    Raises
    ------
    UsageError, IsocortexError
        If something is asked that cannot be, a model or its data are not here, or nothing can be written.
    """
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
    folder = out / "recovery" / folder_name(card.id)
    n_brains = sum(question.n_draws(name, level) for name in protocols for level in levels) * len(contenders)
    clock = _Clock(n_brains, say)
    answered: dict[tuple[str, float | None], Answered] = {}
    for name, protocol in protocols.items():
        digest = digest_of_question(question, card, template, contenders, protocol)
        place = folder / f"{folder_name(name)}-{short(digest)}"
        for level in levels:
            one = _Level(question, protocol, truths, level, place, clock)
            answered[name, level] = one.answered()
    return Found(question, card, template, contenders, answered, truths.exponents, truths.left_out, folder)


class _Clock:
    """Says how far a run is, and when it will end if it goes on as it went."""

    def __init__(self, n_brains: int, say: Say) -> None:
        self.n_brains, self.n_done, self.n_timed, self.say = n_brains, 0, 0, say
        self.seconds = 0.0

    def passed(self, what: str, n_brains: int, seconds: float | None) -> None:
        """Count brains that are finished; those that were found on disk took no time."""
        self.n_done += n_brains
        if seconds is None:
            return
        self.n_timed += n_brains
        self.seconds += seconds
        left = self.seconds / self.n_timed * (self.n_brains - self.n_done)
        self.say(f"{what}: {self.n_done} of {self.n_brains} brains, about {left / 60:.0f} min left at this pace")


class _Level:
    """The brains of one metric at one reliability."""

    def __init__(
        self, question: Question, protocol: Protocol, truths: Truths, level: float | None, place: Path, clock: _Clock
    ) -> None:
        self.question, self.protocol, self.truths = question, protocol, truths
        self.level, self.place, self.clock = level, place, clock
        self.families = [one.family for one in truths.contenders]
        self.said, self.n_draws = name_of(level), question.n_draws(protocol.name, level)

    def answered(self) -> Answered:
        """Answers of all blocks."""
        rows = [row for block in self._blocks() for row in self._finished(block)["brains"]]
        kept = [row for row in rows if row["number"] < self.n_draws]
        numbers: Callable[[str], Floats] = partial(_column, kept)
        return Answered(
            [one.name for one in self.truths.contenders],
            self.families,
            np.array([row["truth"] for row in kept]),
            numbers("values"),
            numbers("p"),
            numbers("p_left_out"),
        )

    def _blocks(self) -> Iterator[list[tuple[int, int]]]:
        """Candidate and number of each brain; a block has the same ones whatever the number of draws."""
        n = len(self.truths.contenders)
        size = self._size()
        per_block = max(1, size // n) if size >= n else 0
        numbers = range(self.n_draws)
        if per_block:
            for start in range(0, len(numbers), per_block):
                stop = min(start + per_block, len(numbers))
                yield [(place, number) for number in range(start, stop) for place in range(n)]
            return
        for number in numbers:
            for start in range(0, n, size):
                yield [(place, number) for place in range(start, min(start + size, n))]

    def _size(self) -> int:
        template = self.truths.template
        if self.protocol.name in BY_NEUROID:
            return max(1, MOST_COLUMNS // template.n_neuroids)
        if self.protocol.name in BY_PARTICIPANT:
            return max(1, MOST_PEOPLE // len(template.participants))
        return ONE_BY_ONE

    def _finished(self, block: list[tuple[int, int]]) -> dict[str, Any]:
        """A block from disk, or computed and written there."""
        from isocortex.files import read_sealed, write_sealed

        (place, number), (last_place, last_number) = block[0], block[-1]
        is_open = self.question.is_open(self.level)
        word = "open" if is_open else "closed"
        name = f"{self.said}-{word}-{number}.{place}-{last_number}.{last_place}.json"
        path = self.place / name
        what = f"{self.protocol.name}, c = {self.said}"
        for known in (path, *([] if is_open else [path.with_name(name.replace("closed", "open"))])):
            state, content = read_sealed(known)
            if state == "whole":
                self.clock.passed(what, len(block), None)
                return content
        started = time.monotonic()
        content = {"brains": self._computed(block, is_open)}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_sealed(path, content)
        self.clock.passed(what, len(block), time.monotonic() - started)
        return content

    def _computed(self, block: list[tuple[int, int]], is_open: bool) -> list[dict[str, Any]]:
        made = [self.truths.responses(place, number, self.level) for place, number in block]
        score = readouts(self.protocol, self.truths.template, [values for _, values in made])
        read = [score(one) for one in self.truths.contenders]
        rows: list[dict[str, Any]] = []
        for row, ((place, number), (layer, _)) in enumerate(zip(block, made, strict=True)):
            values = np.array([one.values[row] for one in read])
            p, p_left_out = self._compared(read, row, values, place) if is_open else (np.nan, np.nan)
            rows.append(
                {
                    "truth": place,
                    "number": number,
                    "layer": layer,
                    "values": [_kept(value) for value in values],
                    "read_out": [one.layers[row] for one in read],
                    "p": _kept(p),
                    "p_left_out": _kept(p_left_out),
                }
            )
        return rows

    def _compared(self, read: Sequence[Readouts], row: int, values: Floats, place: int) -> tuple[float, float]:
        """p of the best candidate against those of other families: among all, and without the truth's family."""
        known: dict[int, Floats | None] = {}

        def samples(k: int) -> Floats | None:
            if k not in known:
                known[k] = read[k].samples(row)
            return known[k]

        among_all = largest_p(values, samples, self.families)
        return among_all, largest_p(values, samples, self.families, without=self.families[place])


def _kept(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _column(rows: Sequence[dict[str, Any]], name: str) -> Floats:
    return np.array([row[name] for row in rows], dtype=np.float64)  # None is NaN
