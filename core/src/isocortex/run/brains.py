"""A brain as a model in a run: each participant is predicted by others, and never by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from isocortex.errors import DataError, UsageError, shorten
from isocortex.loading.brain_features import participants_of, refuse_copies
from isocortex.scoring.contract import Preparation, Rules
from isocortex.scoring.participants_apart import LayerOfParticipants, scored_apart

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.activations.layer import Activations
    from isocortex.catalogue.cards import BenchmarkCard, Variant
    from isocortex.data.dataset import Dataset
    from isocortex.interfaces import MetricPlugin, ModelPlugin
    from isocortex.loading.brain_model import BrainModel
    from isocortex.scoring.comparison import Comparison


@dataclass(frozen=True)
class Asked:
    """What a benchmark asks of each participant alone.

    Attributes
    ----------
    metric, card, seed, device, n_draws, n_neuroids_total
        As of the run.
    """

    metric: MetricPlugin
    card: BenchmarkCard
    seed: int
    device: str
    n_draws: int
    n_neuroids_total: int | None

    def against(self, target: Dataset, participants: Sequence[str], keep: Sequence[str]) -> Comparison:
        """The comparison with some of the participants; one alone has no ceiling over participants."""
        target = target.select(subject=list(participants))
        rules = Rules.of(self.card, self.seed, self.n_draws)
        if rules.ceiling == "inter-subject" and len(participants) < 2:
            rules = replace(rules, ceiling="repetitions")
        preparation = Preparation(rules, keep=tuple(keep), n_neuroids_total=self.n_neuroids_total)
        return self.metric.against(
            target, settings=self.card.settings, seed=self.seed, device=self.device, preparation=preparation
        )


def refuse_stricter(name: str) -> None:
    """A brain is not scored under stricter splits.

    Raises
    ------
    UsageError
        Always.
    """
    raise UsageError(
        f"{name} is a brain, and predicts participants under the benchmark's own splits alone. Leave --splits away, or "
        "score other models with it."
    )


def score_brain(
    brain: BrainModel,
    variant: Variant,
    whole: Comparison,
    dataset: Dataset,
    asked: Asked,
    activations: Callable[[ModelPlugin], dict[str, Activations]],
) -> tuple[Comparison, Mapping[str, Activations | LayerOfParticipants], xr.Dataset, list[str]]:
    """Score a brain on the selected data of a benchmark.

    Where nobody who is predicted is among its participants, it is a model like any other. Else each participant is
    compared by itself, with the responses of others. Memory: a comparison for each participant beside the whole one,
    together about as large.

    Parameters
    ----------
    whole
        The comparison with all participants.
    activations
        Extracts a model, for as long as the scores are needed.

    Returns
    -------
    A comparison that summarises the scores, the layers, the scores, and warnings.

    Raises
    ------
    DataError
        A participant would be predicted by itself, whatever its name is, or the metric has no value of participants.
    """
    predicted = participants_of(dataset)
    sources = brain.sources(variant, predicted)
    if whole.baselines:
        raise DataError(f"{brain.card.id} is no model for a benchmark with baselines ({shorten(whole.baselines)}).")
    brain.fits(dataset.stimuli, asked.card.reduction)
    for name, own in sources.items():
        refuse_copies(f"{brain.card.id}, for {name},", brain.dataset, own, dataset, [name])
    said = _said(brain, dataset, predicted, sources)
    if len(sources) == len(predicted) and len(set(sources.values())) == 1:
        layers = activations(brain.of(next(iter(sources.values()))))
        return whole, layers, whole.score_all(layers), said
    if len(sources) < len(predicted):
        whole = asked.against(dataset, list(sources), whole.keep)
    parts = {name: asked.against(dataset, [name], whole.keep) for name in sources}
    found = {name: activations(brain.of(own, predicted=name)) for name, own in sources.items()}
    names = [layer for layer in next(iter(found.values())) if all(layer in own for own in found.values())]
    layers = {layer: LayerOfParticipants({name: own[layer] for name, own in found.items()}) for layer in names}
    lacking = dict.fromkeys(layer for own in found.values() for layer in own if layer not in names)
    if lacking:
        said.append(f"Not in everybody's features, and so no layer: {shorten(lacking)}.")
    other, scores = scored_apart(whole, parts, layers)
    return other, layers, scores, said


def _said(
    brain: BrainModel, dataset: Dataset, predicted: Sequence[str], sources: Mapping[str, tuple[str, ...]]
) -> list[str]:
    n_sources = sorted({len(own) for own in sources.values()})
    many = f"{n_sources[0]} to {n_sources[-1]} others" if len(n_sources) > 1 else f"{n_sources[0]} others"
    others = "one other" if n_sources == [1] else many
    each = f"{len(sources)} participants of {dataset.id!r} are" if len(sources) > 1 else f"{next(iter(sources))} is"
    said = [
        f"{each} predicted from the responses of {others} of {brain.dataset.id!r}, never from responses of the "
        "predicted one."
    ]
    alone = [name for name in predicted if name not in sources]
    if alone:
        said.append(f"Not predicted, since nobody else is among the features: {shorten(alone)}.")
    if brain.dataset.id != dataset.id:
        said.append(
            f"Whether somebody took part in both {brain.dataset.id!r} and {dataset.id!r} is known by names and by "
            "equal recordings alone."
        )
    return said
