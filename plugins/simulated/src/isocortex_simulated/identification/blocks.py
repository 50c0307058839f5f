"""Brains of one metric at one reliability, block by block, so that a run that ends early goes on where it was.

A block is a file: some brains, what each candidate reaches on each, and how surely the best one is best. It is written
whole and sealed; one that was finished is not computed again, one that is damaged is. What a block holds depends on
nothing but its brains, so that it is the same whichever process computes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from isocortex_simulated.draws import Floats
from isocortex_simulated.identification.answers import Answered, References
from isocortex_simulated.identification.comparing import largest_p
from isocortex_simulated.identification.many_draws import (
    BY_NEUROID,
    BY_PARTICIPANT,
    BY_REGRESSION,
    Protocol,
    Readouts,
    readouts,
)
from isocortex_simulated.identification.plan import Question, name_of
from isocortex_simulated.identification.truths import Truths

MOST_VALUES = 1_000_000
"""Responses of all brains that are fitted together, stimuli by neuroids, unless one brain has more: bounds memory."""
MOST_BRAINS = 240
"""Brains of a block whose neuroids are fitted together, so that processes have blocks to share."""
MOST_PEOPLE = 80
"""Participants of all brains that are scored together: each has a matrix of stimuli by stimuli."""
FITTED_TOGETHER = 60
"""Brains of a block whose fits advance together."""
ONE_BY_ONE = 12
"""Brains of a block that are scored one after the other, so that little is lost where a run ends."""


class Clock:
    """Says how far a run is, and when it will end if it goes on as it went."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.n_brains, self.n_done, self.n_timed, self.say = 0, 0, 0, say
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


@dataclass(frozen=True)
class Block:
    """Brains that are computed together: candidate and number of each, and what they are for.

    Attributes
    ----------
    kind
        "open" and "closed": judged, with and without a comparison of candidates; "reference": of which it is known what
        values a candidate gives as the truth.
    brains
        Candidate and number of each.
    """

    kind: str
    brains: list[tuple[int, int]]

    def name(self, level: str, kind: str | None = None) -> str:
        """Name of the file."""
        (place, number), (last_place, last_number) = self.brains[0], self.brains[-1]
        return f"{level}-{kind or self.kind}-{number}.{place}-{last_number}.{last_place}.json"


class Level:
    """The brains of one metric at one reliability."""

    def __init__(
        self, question: Question, protocol: Protocol, truths: Truths, level: float | None, place: Path, clock: Clock
    ) -> None:
        self.question, self.protocol, self.truths = question, protocol, truths
        self.level, self.place, self.clock = level, place, clock
        self.families = [one.family for one in truths.contenders]
        self.said, self.n_draws = name_of(level), question.n_draws(protocol.name, level)
        is_open = question.is_open(level) and protocol.compares(truths.template)
        self.judged = [Block("open" if is_open else "closed", part) for part in self._parts(self.n_draws)]
        n_references = question.n_references if is_open else 0
        self.references = [Block("reference", part) for part in self._parts(n_references)]
        clock.n_brains += sum(len(block.brains) for block in self.blocks)

    @property
    def blocks(self) -> list[Block]:
        """All that is to be computed."""
        return [*self.judged, *self.references]

    def answered(self) -> Answered:
        """Answers of all blocks."""
        rows = self._rows(self.judged)
        numbers: Callable[[str], Floats] = partial(_column, rows)
        known = self._rows(self.references)
        references = References(_truth(known), np.array([row["layer"] for row in known]), _column(known, "values"))
        return Answered(
            [one.name for one in self.truths.contenders],
            self.families,
            _truth(rows),
            numbers("values"),
            numbers("p"),
            numbers("p_left_out"),
            references if known else None,
        )

    def _rows(self, blocks: Sequence[Block]) -> list[dict[str, Any]]:
        return [row for block in blocks for row in self.finished(block)["brains"]]

    def _parts(self, n_draws: int) -> Iterator[list[tuple[int, int]]]:
        """Candidate and number of each brain; but for the last, blocks are the same whatever the number of draws."""
        n, size = len(self.truths.contenders), self._size()
        per_block = size // n
        if per_block:
            for start in range(0, n_draws, per_block):
                stop = min(start + per_block, n_draws)
                yield [(place, number) for number in range(start, stop) for place in range(n)]
            return
        for number in range(n_draws):
            for start in range(0, n, size):
                yield [(place, number) for place in range(start, min(start + size, n))]

    def _size(self) -> int:
        template = self.truths.template
        if self.protocol.name in BY_NEUROID:
            return max(1, min(MOST_BRAINS, MOST_VALUES // (template.n_neuroids * len(template.stimulus_id))))
        if self.protocol.name in BY_PARTICIPANT:
            return max(1, MOST_PEOPLE // len(template.participants))
        return FITTED_TOGETHER if self.protocol.name in BY_REGRESSION else ONE_BY_ONE

    def finished(self, block: Block) -> dict[str, Any]:
        """A block from disk, or computed and written there."""
        from isocortex.files import read_sealed, write_sealed

        path = self.place / block.name(self.said)
        what = f"{self.protocol.name}, c = {self.said}"
        same = [path, *([self.place / block.name(self.said, "open")] if block.kind == "closed" else [])]
        for known in same:
            state, content = read_sealed(known)
            if state == "whole":
                self.clock.passed(what, len(block.brains), None)
                return content
        started = time.monotonic()
        content = {"brains": self._computed(block)}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_sealed(path, content)
        self.clock.passed(what, len(block.brains), time.monotonic() - started)
        return content

    def _computed(self, block: Block) -> list[dict[str, Any]]:
        word = "reference " if block.kind == "reference" else ""
        made = [self.truths.responses(place, f"{word}{number}", self.level) for place, number in block.brains]
        protocol = self.protocol if block.kind == "open" else self.protocol.without_samples()
        score = readouts(protocol, self.truths.template, [values for _, values in made])
        read = [score(one) for one in self.truths.contenders]
        rows: list[dict[str, Any]] = []
        for row, ((place, number), (layer, _)) in enumerate(zip(block.brains, made, strict=True)):
            values = np.array([one.values[row] for one in read])
            p, p_left_out = self._compared(read, row, values, place) if block.kind == "open" else (np.nan, np.nan)
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


def _truth(rows: Sequence[dict[str, Any]]) -> Any:
    return np.array([row["truth"] for row in rows], dtype=int)
