"""What is asked: a benchmark, candidates, metrics, reliabilities, and how brains are made; and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from isocortex.errors import DataError, UsageError
from isocortex_simulated.draws import Floats, Stream
from isocortex_simulated.identification.brains import Brain, Template, brain_of
from isocortex_simulated.identification.contenders import Contender
from isocortex_simulated.identification.many_draws import Protocol
from isocortex_simulated.identification.spectrum import exponent_of, power_law, split_half_spectrum
from isocortex_simulated.identification.typical import FEWEST_REFERENCES

if TYPE_CHECKING:
    from isocortex.interfaces import BenchmarkCard

CURVE = (0.1, 0.2, 0.4, 0.6, 0.8)
"""Reliabilities of the curve."""
DECIDING = ("spectrum", "brains", "contenders", "many_draws", "comparing", "blocks", "../cortex", "../draws")
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
        a of q_k = k^−a where nothing was repeated, so that it cannot be estimated.
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
    exponent: float = 1.0
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
    return "recorded" if level is None else f"{level:g}"


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

    A sister is the one other benchmark of the same package, data set and selection with that metric; where there is
    none, or are several, the settings are the metric's defaults.
    """
    import isocortex

    found: dict[str, Protocol] = {}
    for name in metrics or (card.metric,):
        metric = isocortex.load_metric(name)
        settings = card.settings if name == card.metric else _of_sister(card, name)
        found[name] = Protocol.of(metric, card, settings, n_samples)
    return found


def _of_sister(card: BenchmarkCard, metric: str) -> Mapping[str, Any]:
    import isocortex

    base = card.id.removesuffix(f".{card.metric}")
    cards = isocortex.load_cards("benchmark", [f"{base}.{metric}"]).values()
    sisters = [cast("BenchmarkCard", one) for one in cards]
    same = [one for one in sisters if (one.dataset, one.select) == (card.dataset, card.select)]
    return same[0].settings if same else {}


class Truths:
    """Brains made of each candidate; each is drawn when it is asked for.

    Parameters
    ----------
    question, template, contenders
        What is asked.
    layers
        Candidate → the layers that its brains may be made of.

    Attributes
    ----------
    exponents
        Candidate and layer → a of q_k = k^−a.
    left_out
        A sentence for each layer that nothing can be made of.
    """

    def __init__(
        self,
        question: Question,
        template: Template,
        contenders: Sequence[Contender],
        layers: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.question, self.template, self.contenders = question, template, list(contenders)
        self.exponents: dict[tuple[str, str], float] = {}
        self.left_out: list[str] = []
        for one in contenders:
            allowed = one.layers if layers is None else layers[one.name]
            for layer in allowed:
                self._estimate(one, layer)

    def _estimate(self, one: Contender, layer: str) -> None:
        if layer not in one.components:
            self.left_out.append(f"No brain is made of {one.name} {layer}: no unit varies over the stimuli.")
            return
        trials, question = self.template.trials, self.question
        if trials is None:
            self.exponents[one.name, layer] = question.exponent
            return
        try:
            stream = Stream(question.seed, f"{question.benchmark}/{one.name}/{layer}/halves")
            self.exponents[one.name, layer] = exponent_of(split_half_spectrum(one.components[layer], trials, stream))
        except DataError as error:
            self.left_out.append(f"No brain is made of {one.name} {layer}: {error}.")

    def layers_of(self, one: Contender) -> list[str]:
        """Layers that brains of a candidate are made of.

        Raises
        ------
        UsageError
            If nothing can be made of any.
        """
        found = [layer for name, layer in self.exponents if name == one.name]
        if not found:
            raise UsageError(f"No brain can be made of {one.name}. {' '.join(self.left_out)} Leave it out.")
        return found

    def drawn(self, place: int, number: int | str) -> tuple[str, Brain]:
        """The layer and the brain of one draw of one candidate; the same at every reliability and for every metric."""
        one = self.contenders[place]
        name = f"{self.question.benchmark.partition('::')[2] or self.question.benchmark}/{one.name}/{number}"
        layers = self.layers_of(one)
        layer = layers[Stream(self.question.seed, f"{name}/layer").integer(0, len(layers) - 1)]
        u = one.components[layer]
        variances = power_law(self.exponents[one.name, layer], u.shape[1])
        return layer, brain_of(u, variances, self.template, self.question.seed, name)

    def responses(self, place: int, number: int | str, level: float | None) -> tuple[str, Floats]:
        """The layer and the responses (n_stimuli, n_neuroids) of a draw at a reliability."""
        layer, brain = self.drawn(place, number)
        return layer, brain.at(self.template.levels(level))


def read_out_most(protocol: Protocol, template: Template, contenders: Sequence[Contender]) -> dict[str, list[str]]:
    """Candidate → the layer that is read out most often on the recorded responses.

    Raises
    ------
    IsocortexError
        If the recorded responses cannot be scored.
    """
    comparison = protocol.against_recorded(template)
    found: dict[str, list[str]] = {}
    for one in contenders:
        scores = comparison.layered(comparison.score_all(one.layers))
        found[one.name] = [str(scores["layer"].values[int(comparison.shares(scores).argmax())])]
    return found


def digest_of_question(
    question: Question, card: BenchmarkCard, template: Template, contenders: Sequence[Contender], protocol: Protocol
) -> str:
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
        [one.name, one.family, [[name, layer.digest] for name, layer in one.layers.items()]] for one in contenders
    ]
    row = card.model_dump(mode="json", include={"id", "version", "select", "measure", "aggregate", "layer_rule"})
    metric = [protocol.name, protocol.metric.digest(), dict(protocol.settings)]
    found = digest_files(code)
    return digest_of([asked, row, template.dataset.digest, models, metric, [found[path] for path in code]])


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
            raise UsageError(f"A reliability lies between 0 and 1; found {level:g}.")
    return tuple(dict.fromkeys(levels))


def refuse_few(question: Question) -> None:
    """Refuse what cannot be answered.

    Raises
    ------
    UsageError
        Fewer than one draw, bootstrap samples that cannot give a p of .05, or references that say nothing.
    """
    if min(n for _, n in question.draws) < 1 or question.n_samples < 40:
        raise UsageError("Ask for at least one draw, and for 40 bootstrap samples: fewer cannot give a p of .05.")
    if question.n_references < FEWEST_REFERENCES:
        raise UsageError(
            f"Ask for {FEWEST_REFERENCES} references or more: of {question.n_references} the central 95 % are not "
            "known."
        )
