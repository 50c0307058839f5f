"""What is asked: a benchmark, candidates, metrics, reliabilities, and how brains are made; and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from isocortex.errors import UsageError
from isocortex_simulated.identification.brains import Template
from isocortex_simulated.identification.many_draws import Protocol
from isocortex_simulated.identification.typical import FEWEST_REFERENCES

if TYPE_CHECKING:
    from isocortex.interfaces import BenchmarkCard
    from isocortex_simulated.identification.truths import Truths

CURVE = (0.1, 0.2, 0.4, 0.6, 0.8)
"""Reliabilities of the curve."""
FEWEST_SAMPLES = 40
"""Bootstrap samples whose smallest p, 2 / (n + 1), is below .05."""
USUAL_EXPONENT = 1.0
"""a of q_k = k^−a where nothing was repeated and none was asked for."""
DECIDING = (
    *("spectrum", "brains", "truths", "contenders", "many_draws", "comparing", "blocks"),
    *("../cortex", "../draws"),
)
"""Modules that decide the numbers of a brain."""


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes
    ----------
    benchmark
        ID.
    metrics
        IDs; empty: the benchmark's own.
    levels
        Reliabilities; None: those of the recorded neuroids. Empty: these, where stimuli were repeated, and `CURVE`.
    draws
        Brains that are made of each candidate: under "" for all metrics and reliabilities, and others under ``METRIC``
        or ``METRIC@C``, of which the closest counts.
    layer
        "any": each brain is made of a layer drawn from the default layers; "chosen": of the one that is read out most
        often on the recorded responses.
    exponent
        a of q_k = k^−a where nothing was repeated, so that it cannot be estimated; None: `USUAL_EXPONENT`.
    seed
        Of everything that is drawn.
    n_samples
        Bootstrap samples with which candidates are compared.
    n_references
        Further brains that are made of each candidate, where the open set is asked: they say what is typical of it.
    open_levels
        Reliabilities at which the open set is asked; empty: at none, None: at all.
    """

    benchmark: str
    metrics: tuple[str, ...] = ()
    levels: tuple[float | None, ...] = ()
    draws: tuple[tuple[str, int], ...] = (("", 20),)
    layer: str = "any"
    exponent: float | None = None
    seed: int = 0
    n_samples: int = 200
    n_references: int = 60
    open_levels: tuple[float | None, ...] | None = None

    def n_draws(self, metric: str, level: float | None) -> int:
        """Brains that are made of each candidate for a metric at a reliability.

        Examples
        --------
        >>> asked = Question("x", draws=(("", 20), ("pls", 2), ("pls@0.75", 17)))
        >>> asked.n_draws("rsa", 0.75), asked.n_draws("pls", 0.1), asked.n_draws("pls", 0.75)
        (20, 2, 17)
        """
        known = dict(self.draws)
        at = f"{metric}@{name_of(level)}"
        return known.get(at, known.get(metric, known.get("", 20)))

    def is_open(self, level: float | None) -> bool:
        """Whether the open set is asked at a reliability."""
        return self.open_levels is None or level in self.open_levels


def name_of(level: float | None) -> str:
    """A reliability as it is written.

    Examples
    --------
    >>> name_of(0.75), name_of(None)
    ('0.75', 'recorded')
    """
    return "recorded" if level is None else repr(level)


def card_of(benchmark: str) -> BenchmarkCard:
    """The row of a benchmark."""
    import isocortex

    return cast("BenchmarkCard", isocortex.load_card("benchmark", benchmark))


def template_of(card: BenchmarkCard) -> Template:
    """The recorded responses of a benchmark, as it selects them.

    Raises
    ------
    IsocortexError
        If the data are not here, or hold no responses.
    """
    import isocortex

    return Template.of(isocortex.load_dataset(card.dataset).select(**card.select))


def protocols_of(card: BenchmarkCard, metrics: Sequence[str], n_samples: int) -> dict[str, Protocol]:
    """How each metric scores: its own settings for the benchmark's metric, else those of a sister benchmark.

    A sister is the benchmark of the same ID but for the metric, of the same data set and selection; where there is
    none, the settings are the metric's defaults.
    """
    import isocortex

    found: dict[str, Protocol] = {}
    for name in metrics:
        metric = isocortex.load_metric(name)
        settings = card.settings if name == card.metric else _of_sister(card, name)
        found[name] = Protocol.of(metric, card, settings, n_samples)
    return found


def _of_sister(card: BenchmarkCard, metric: str) -> Mapping[str, Any]:
    sister = sister_of(card, metric)
    return sister.settings if sister else {}


def sister_of(card: BenchmarkCard, metric: str) -> BenchmarkCard | None:
    """The benchmark of the same ID but for the metric, of the same data set and selection; None: there is none."""
    import isocortex

    base = card.id.removesuffix(f".{card.metric}")
    cards = isocortex.load_cards("benchmark", [f"{base}.{metric}"]).values()
    sisters = [cast("BenchmarkCard", one) for one in cards]
    return next((one for one in sisters if (one.dataset, one.select) == (card.dataset, card.select)), None)


def digest_of_question(question: Question, card: BenchmarkCard, truths: Truths, protocol: Protocol) -> str:
    """Digest over everything that decides what one metric says: two different computations never share a place.

    The number of draws is not in it: further brains are added to those that are there. Nor are reliabilities and the
    open set, which have files of their own.
    """
    from isocortex.files import digest_files, digest_of

    asked = asdict(question)
    for name in ("metrics", "levels", "draws", "n_references", "open_levels"):
        del asked[name]
    here = Path(__file__).parent
    code = [here / f"{name}.py" for name in DECIDING]
    models = [
        [one.name, one.family, [[name, layer.digest] for name, layer in one.layers.items()], truths.layers_of(one)]
        for one in truths.contenders
    ]
    row = card.model_dump(mode="json", include={"id", "version", "select", "measure", "aggregate", "layer_rule"})
    metric = [protocol.name, protocol.metric.digest(), dict(protocol.settings)]
    found = digest_files(code)
    return digest_of([asked, row, truths.template.dataset.digest, models, metric, [found[path] for path in code]])


def checked_levels(levels: Sequence[float | None], template: Template, benchmark: str) -> tuple[float | None, ...]:
    """Reliabilities that can be had.

    Raises
    ------
    UsageError
        If one lies outside 0 and 1, or the recorded ones are asked for where nothing was repeated.
    """
    for level in levels:
        if level is None and template.reliability is None:
            raise UsageError(
                f"{benchmark} was recorded once for each stimulus, so that its reliability is unknown. Ask for numbers "
                f"between 0 and 1, such as {', '.join(f'{c:g}' for c in CURVE)}."
            )
        if level is not None and not 0 < level < 1:
            raise UsageError(f"A reliability lies between 0 and 1, and is neither; found {level:g}.")
    return tuple(dict.fromkeys(levels))


def checked_exponent(question: Question, template: Template) -> float:
    """The a that is used where nothing was repeated.

    Raises
    ------
    UsageError
        If one is asked for where repetitions say what it is.
    """
    if question.exponent is None:
        return USUAL_EXPONENT
    if template.trials is not None:
        raise UsageError(
            f"Stimuli of {question.benchmark} were repeated, so that the spectrum is estimated from the responses, for "
            "each layer. Leave --spectrum out."
        )
    return question.exponent


def refuse_unasked(question: Question) -> None:
    """Refuse settings for a metric or a reliability that is not asked.

    Parameters
    ----------
    question
        With its metrics and levels filled in.

    Raises
    ------
    UsageError
        Draws of another metric or at another reliability, or the open set at another reliability.
    """
    levels = {name_of(level): level for level in question.levels}
    for level in question.open_levels or ():
        if level not in question.levels:
            raise UsageError(f"--open asks at {name_of(level)}, but the reliabilities are {', '.join(levels)}.")
    for where, _ in question.draws:
        metric, at, level = where.partition("@")
        if metric and metric not in question.metrics:
            raise UsageError(f"--draws names {metric!r}, but the metrics are {', '.join(question.metrics)}.")
        if at and level not in levels:
            raise UsageError(f"--draws names the reliability {level}, but those asked are {', '.join(levels)}.")


def refuse_few(question: Question) -> None:
    """Refuse what cannot be answered.

    Raises
    ------
    UsageError
        Fewer than one draw, bootstrap samples that cannot give a p of .05, or references that say nothing.
    """
    if min(n for _, n in question.draws) < 1:
        raise UsageError("Ask for at least one draw: of no brain nothing can be said.")
    if question.n_samples < FEWEST_SAMPLES:
        raise UsageError(
            f"Ask for {FEWEST_SAMPLES} bootstrap samples or more; {question.n_samples} cannot give a p of .05."
        )
    if question.n_references < FEWEST_REFERENCES:
        raise UsageError(
            f"Ask for {FEWEST_REFERENCES} references or more: of {question.n_references} the central 95 % are not "
            "known."
        )
