"""The paragraph on models: which, of what kind, with which weights and seeds, and whom to cite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from isocortex.results import Result
from isocortex_report.paper.benchmark_text import one_line
from isocortex_report.paper.facts import Cards
from isocortex_report.paper.quantities import counted, listed, seeds

if TYPE_CHECKING:
    from isocortex_report.paper.citations import Citations

#: more models than this are listed without their titles
MOST_TITLES = 12
#: beginning of the name of a data set that is a model
_BRAIN = "brain:"
_WEIGHTS = {
    "pretrained": "ran with trained weights",
    "random": "ran untrained, as initialised at random",
    "permuted": "ran with every weight tensor shuffled",
    "trained": "was trained here, anew for every split and on its training part alone",
    "drawn": "was drawn at random",
}


def models_paragraph(results: Sequence[Result], known: Cards, citations: Citations, unsaid: list[str]) -> str:
    """Which models were scored, and in which variants.

    Parameters
    ----------
    results
        That have a score.
    known
        Cards that are installed.
    citations
        Told whom to cite.
    unsaid
        Told of models that are not installed.
    """
    variants: dict[str, list[str]] = {}
    for result in results:
        own = variants.setdefault(result.model, [])
        if result.variant not in own:
            own.append(result.variant)
    cards = {model: known.get(("model", model)) for model in variants}
    brains = [model for model in variants if model.startswith(_BRAIN)]
    absent = [model for model, card in cards.items() if card is None and model not in brains]
    if absent:
        unsaid.append(f"what {listed([one_line(model) for model in absent])} is: no installed package knows it")
    titles = len(variants) <= MOST_TITLES
    names = [_named(model, cards[model], citations, with_title=titles) for model in variants]
    separator = "; " if titles else ", "
    text = f"{counted(len(variants), 'model')} {'was' if len(variants) == 1 else 'were'} scored"
    lines = [f"{text[:1].upper()}{text[1:]}: {separator.join(names)}."]
    return " ".join([*lines, *_brains(brains), *_controls(variants, cards)])


def _named(model: str, card: Any, citations: Citations, *, with_title: bool) -> str:
    title = f" ({card.title})" if with_title and card is not None and card.title else ""
    return f"{one_line(model)}{title}{citations.of_card(card)}"


def _brains(brains: Sequence[str]) -> list[str]:
    """What a brain is as a model."""
    if not brains:
        return []
    names = listed([one_line(model) for model in brains])
    return [
        f"The features of {names} were responses of participants, averaged over repetitions and not standardised; each "
        "participant was predicted from others alone."
    ]


def _controls(variants: dict[str, list[str]], cards: dict[str, Any]) -> list[str]:
    """One sentence per kind of weights; what has no weights to speak of has none."""
    by_kind: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for model, names in variants.items():
        without = cards[model] is not None and set(cards[model].variants) == {"random"}
        for kind in dict.fromkeys(name.partition(":")[0] for name in names):
            of_kind = tuple(sorted({name.partition(":")[2] for name in names if name.partition(":")[0] == kind}))
            by_kind.setdefault(("drawn" if without else kind, of_kind), []).append(one_line(model))
    lines: list[str] = []
    for (kind, of_kind), models in by_kind.items():
        if kind == "file":
            lines.append(f"{listed(models)} ran with the weights {listed([one_line(name) for name in of_kind])}.")
        elif kind in _WEIGHTS:
            drawn = [int(seed) for seed in of_kind if seed.isascii() and seed.isdigit()]
            ran = _WEIGHTS[kind] if len(models) == 1 else _WEIGHTS[kind].replace("was ", "were ")
            lines.append(f"{listed(models)} {ran}{f' ({seeds(drawn)})' if drawn else ''}.")
    return lines
