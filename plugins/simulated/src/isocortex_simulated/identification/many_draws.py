"""Scores of one candidate on many simulated brains at once, equal to those of a run on each of them alone.

What depends on the model is done once: simulated brains are further neuroids, or further participants, of one data set,
where the metric treats these one by one. Where it does not, brains are scored one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from isocortex.interfaces import Preparation, Resampled, Rules
from isocortex.scoring import distinct_layers, measure_of, over_participants, unit_criterion
from isocortex.typing import Array
from isocortex_metrics.brainscore.regression_comparison import RegressionComparison
from isocortex_simulated.draws import Floats
from isocortex_simulated.identification.brains import Template, as_dataset, together

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.data import Dataset
    from isocortex.interfaces import BenchmarkCard, Comparison, MetricPlugin
    from isocortex_simulated.identification.contenders import Contender

BY_NEUROID = ("ridge",)
"""Metrics that fit each neuroid by itself."""
BY_PARTICIPANT = ("rsa", "cka", "procrustes")
"""Metrics that compare the geometry of each participant by itself."""
BY_REGRESSION = ("pls", "brainscore-pls")
"""Metrics that fit all neuroids of a brain together, and that a rotation of the units changes not."""


@dataclass(frozen=True)
class Protocol:
    """How candidates are scored: a metric with the settings and rules of a benchmark.

    Attributes
    ----------
    metric
        The plugin.
    settings
        Of the metric.
    rules
        How raw scores become a value; ``rules.n_draws`` bootstrap samples are drawn where models are compared.
    keep
        Of the fits: "prediction", which bootstrap samples are drawn from, or nothing where only values are asked.
    """

    metric: MetricPlugin
    settings: Mapping[str, Any]
    rules: Rules
    keep: tuple[str, ...] = ("prediction",)

    @classmethod
    def of(cls, metric: MetricPlugin, card: BenchmarkCard, settings: Mapping[str, Any], n_samples: int) -> Protocol:
        """Take the rules of a benchmark; its measure and ceiling belong to its own metric."""
        rules = Rules.of(card, 0, n_samples)
        own = metric.card.id == card.metric
        rules = replace(rules, measure=rules.measure if own else None, ceiling="repetitions", ceiling_mode="none")
        return cls(metric, settings, replace(rules, aggregate=rules.aggregate if own else "median-mean"))

    @property
    def name(self) -> str:
        """ID of the metric."""
        return self.metric.card.id

    def compares(self, template: Template) -> bool:
        """Whether candidates are compared: the metric has a bootstrap, and does not need a fit of its own for it.

        One that fits all neuroids of a brain together does: comparisons and references would cost ten times what the
        values do.
        """
        from isocortex.interfaces import Comparison

        if self.name in BY_REGRESSION:
            return False
        shape = (len(template.stimulus_id), template.n_neuroids)
        prepared = self.against(template, np.random.default_rng(0).normal(size=shape))
        return type(prepared).resample is not Comparison.resample

    def without_samples(self) -> Protocol:
        """The same values by fits of which nothing is kept to compare candidates with, which takes less time."""
        return replace(self, keep=())

    def against(self, template: Template, values: Floats) -> Comparison:
        """Prepare one simulated brain, as a run does."""
        return self.prepared(as_dataset(template, values), self.rules)

    def against_recorded(self, template: Template) -> Comparison:
        """Prepare the recorded responses."""
        return self.prepared(template.dataset, self.rules)

    def prepared(self, dataset: Dataset, rules: Rules) -> Comparison:
        """Prepare a data set under some rules."""
        preparation = Preparation(rules, keep=self.keep)
        return self.metric.against(dataset, settings=self.settings, seed=0, preparation=preparation)


class Readouts(NamedTuple):
    """What one candidate reaches on each of some brains.

    Attributes
    ----------
    values
        (n_brains,), NaN where there is none.
    layers
        Name of the layer that is read out most often in each.
    samples
        Takes the number of a brain, and gives the bootstrap samples (n_samples,) of its value as ``compare`` uses them;
        None where the metric has none.
    """

    values: Floats
    layers: list[str]
    samples: Callable[[int], Floats | None]


def readouts(protocol: Protocol, template: Template, brains: Sequence[Floats]) -> Callable[[Contender], Readouts]:
    """Prepare brains once for all candidates.

    Parameters
    ----------
    protocol
        Metric and rules.
    template
        What the brains have in common.
    brains
        (n_stimuli, n_neuroids) each.

    Returns
    -------
    A function that scores a candidate on all of them.
    """
    if protocol.name in BY_NEUROID:
        return _Neuroids(protocol, template, brains)
    plain = protocol.rules.measure is None
    if protocol.name in BY_PARTICIPANT and plain:
        return _Participants(protocol, template, brains)
    if protocol.name in BY_REGRESSION and plain:
        return _Regressed(protocol, template, brains)
    return _OneByOne(protocol, template, brains)


def as_compared(drawn: Resampled | None) -> Floats | None:
    """Bootstrap samples in the precision in which they are stored, so that ties stay ties."""
    return None if drawn is None else np.asarray(drawn.draws, dtype=np.float32).astype(np.float64)


def _value(comparison: Comparison, readout: xr.DataArray) -> float:
    return float(comparison.collapse(readout, measure_of(comparison)))


class _Neuroids:
    """Brains side by side as further neuroids; the region of a neuroid names its brain, and layers are chosen in it."""

    def __init__(self, protocol: Protocol, template: Template, brains: Sequence[Floats]) -> None:
        self.n_neuroids, self.n_brains = template.n_neuroids, len(brains)
        unit = protocol.rules.layer_rule.unit
        apart = "region" if unit == "region" else "draw"
        rule = protocol.rules.layer_rule.model_copy(update={"unit": "neuroid" if unit == "neuroid" else "region"})
        self.rules = replace(protocol.rules, layer_rule=rule, summary_by=())
        self.comparison = protocol.prepared(together(template, list(brains), apart), self.rules)

    def __call__(self, contender: Contender) -> Readouts:
        comparison = self.comparison
        scores = comparison.score_all(contender.layers)
        measure = str(scores.attrs["measure"])
        along, chosen = comparison.readout_of(scores, measure), scores["chosen"].values
        names = list(map(str, scores["layer"].values))
        of_draws = [name for name in ("prediction", "influence") if name in scores]
        needed = scores[["readout", "chosen", "null", *of_draws, *{"r", measure}]]
        parts = [slice(self.n_neuroids * k, self.n_neuroids * (k + 1)) for k in range(self.n_brains)]
        values = np.array([_value(comparison, along.isel(neuroid=part)) for part in parts])
        layers = [names[int(np.bincount(chosen[..., part].ravel()).argmax())] for part in parts]

        def samples(k: int) -> Floats | None:
            return as_compared(comparison.resample(needed.isel(neuroid=parts[k]), self.rules.n_draws, self.rules.seed))

        return Readouts(values, layers, samples)


class _Participants:
    """Brains one after the other as further participants; a layer is chosen anew among those of each brain."""

    def __init__(self, protocol: Protocol, template: Template, brains: Sequence[Floats]) -> None:
        self.protocol, self.template, self.brains = protocol, template, list(brains)
        self.n_people = len(template.participants)
        self.all = protocol.prepared(together(template, self.brains, "draw"), protocol.rules)
        self._alone: dict[int, Comparison] = {}

    def __call__(self, contender: Contender) -> Readouts:
        scores = self.all.score_all(contender.layers)
        alone = [
            _of_participants(scores, self._people(k), str(scores.attrs["measure"])) for k in range(len(self.brains))
        ]
        values = np.array([_value(self.all, one["readout"]) for one in alone])
        names = list(map(str, scores["layer"].values))
        layers = [names[int(np.bincount(one["chosen"].values.ravel()).argmax())] for one in alone]
        predictions = _Predictions(self.all, contender)

        def samples(k: int) -> Floats | None:
            if k not in self._alone:  # brains are asked about one after the other
                self._alone = {k: self.protocol.against(self.template, self.brains[k])}
            comparison, rules = self._alone[k], self.protocol.rules
            own = predictions.added_to(alone[k], comparison)
            return None if own is None else as_compared(comparison.resample(own, rules.n_draws, rules.seed))

        return Readouts(values, layers, samples)

    def _people(self, k: int) -> slice:
        return slice(self.n_people * k, self.n_people * (k + 1))


def _of_participants(scores: xr.Dataset, people: slice, measure: str) -> xr.Dataset:
    """Scores of some participants with the layer that is chosen among them, as a comparison of them alone gives it."""
    import xarray as xr

    own = scores.isel(subject=people)
    along = own[measure].transpose("layer", "subject")
    if "selection" not in own:
        found = over_participants(along.values)
        chosen = int(np.where(np.isnan(found), -np.inf, found).argmax())
        readout = along.isel(layer=chosen, drop=True)
        return own.assign(chosen=xr.DataArray(chosen), readout=readout)
    criterion = over_participants(own["selection"].transpose("layer", "split", "subject").values)
    null: Array = np.asarray(own["null"].transpose("layer", "subject").values.all(axis=1))
    criterion = np.where(np.isnan(criterion) | null[:, None], -np.inf, criterion)
    chosen = criterion.argmax(axis=0)  # (n_splits,)
    test = own["test"].transpose("layer", "split", "subject").values
    readout = test[chosen, np.arange(len(chosen))]
    return own.assign(chosen=("split", chosen), readout=(("split", "subject"), readout))


class _Predictions:
    """What the bootstrap needs of each layer of a candidate; found when it is first asked for."""

    def __init__(self, comparison: Comparison, contender: Contender) -> None:
        self.comparison, self.contender = comparison, contender

    @cached_property
    def of_layer(self) -> list[xr.DataArray | None]:
        scored = (self.comparison.score(layer) for layer in self.contender.layers.values())
        return [scores.get("prediction") for scores in scored]

    def added_to(self, scores: xr.Dataset, comparison: Comparison) -> xr.Dataset | None:
        """Scores of one brain with its participants' own names and the predictions of the layers that are read out."""
        if any(item is None for item in self.of_layer):
            return None
        subjects = list(getattr(comparison, "subjects", scores["subject"].values))
        own = scores.drop_vars(["prediction", "readout_layer", "readout_share"], errors="ignore")
        own = own.assign_coords(subject=subjects)
        chosen = np.atleast_1d(own["chosen"].values)
        places = sorted(set(map(int, chosen)))
        rows = [self.of_layer[place] for place in places]
        if "split" not in own.dims:
            return own.assign(prediction=("pair", rows[0].values))  # pyright: ignore[reportOptionalMemberAccess]
        names = [str(own["layer"].values[place]) for place in places]
        shares = [float(np.mean(chosen == place)) for place in places]
        stacked = np.stack([row.values for row in rows if row is not None])
        return own.assign(prediction=(("readout_layer", "pair"), stacked)).assign_coords(
            readout_layer=names, readout_share=("readout_layer", shares)
        )


class _Regressed:
    """Brains whose fits advance together: they share a layer's features and the splits, and are fitted apart."""

    def __init__(self, protocol: Protocol, template: Template, brains: Sequence[Floats]) -> None:
        self.alone = [protocol.against(template, values) for values in brains]
        first = self.alone[0]
        assert isinstance(first, RegressionComparison)
        self.first, self.rules = first, protocol.rules
        self.values = np.stack([one.rows.values for one in self.alone if isinstance(one, RegressionComparison)])

    def __call__(self, contender: Contender) -> Readouts:
        import xarray as xr

        first, names, like = self.first, list(contender.compact), self.first.rows.neuroid
        layers = distinct_layers(contender.compact)
        asked = first.searching(contender.compact)
        shape = (len(self.values), len(first.splits), self.values.shape[2])
        best, chosen, read = np.full(shape, -np.inf), np.zeros(shape, dtype=int), np.full(shape, np.nan)
        for number, layer in enumerate(layers):
            score, selection = asked.of_brains(first.regression.prepare(layer, first.rows.stimulus_id), self.values)
            criterion = np.zeros(shape) if selection is None else unit_criterion(selection, like, first.rules)
            criterion = np.where(np.isnan(criterion), -np.inf, criterion)
            better = criterion > best if number else np.ones(shape, dtype=bool)
            best, read = np.where(better, criterion, best), np.where(better, score, read)
            chosen = np.where(better, names.index(layer.layer), chosen)
        along = [xr.DataArray(one, dims=("split", "neuroid"), coords=like.coords) for one in read]
        values = np.array([_value(first, one) for one in along])
        most = [names[int(np.bincount(one.ravel()).argmax())] for one in chosen]

        def samples(k: int) -> Floats | None:
            scores = self.alone[k].layered(self.alone[k].score_all(contender.compact))
            return as_compared(self.alone[k].resample(scores, self.rules.n_draws, self.rules.seed))

        return Readouts(values, most, samples)


class _OneByOne:
    """Brains one after the other, each as a run scores it."""

    def __init__(self, protocol: Protocol, template: Template, brains: Sequence[Floats]) -> None:
        self.protocol = protocol
        self.comparisons = [protocol.against(template, values) for values in brains]

    def __call__(self, contender: Contender) -> Readouts:
        values: list[float] = []
        best: list[str] = []
        samples: list[Floats | None] = []
        for comparison in self.comparisons:
            scores = comparison.layered(comparison.score_all(contender.layers))
            measure = str(scores.attrs["measure"])
            values.append(float(comparison.collapse(comparison.readout_of(scores, measure), measure)))
            best.append(str(scores["layer"].values[int(comparison.shares(scores).argmax())]))
            rules = self.protocol.rules
            samples.append(as_compared(comparison.resample(scores, rules.n_draws, rules.seed)))
        return Readouts(np.array(values), best, samples.__getitem__)
