"""Brains whose truth is known: of which layers of a candidate they are made, and how weights on them are spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from isocortex.errors import DataError, UsageError
from isocortex_simulated.draws import Floats, Stream
from isocortex_simulated.identification.brains import Brain, Template, brain_of
from isocortex_simulated.identification.plan import USUAL_EXPONENT, Question
from isocortex_simulated.identification.spectrum import exponent_of, power_law, split_half_spectrum

if TYPE_CHECKING:
    from isocortex_simulated.identification.contenders import Contender
    from isocortex_simulated.identification.many_draws import Protocol


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
            self.exponents[one.name, layer] = USUAL_EXPONENT if question.exponent is None else question.exponent
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
