"""``tuckute2023-rsa``: the representational similarity analysis of Tuckute et al. 2023, PLOS Biology.

For each participant and split, the layer whose dissimilarities rank most like the participant's over the training
sounds is read out on the test sounds; the value is the median over the ten splits, averaged over participants. Regions
(``summary_by``) have matrices of their own, over the voxels of a participant inside them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.activations import Activations
from isocortex.data import Dataset
from isocortex.errors import DataError, SettingsError, shorten
from isocortex.interfaces import Ceiling, Comparison, MetricPlugin, Preparation, Split, check_settings
from isocortex.scoring import (
    OVER_PARTICIPANTS,
    Stage,
    along_layers,
    as_layered,
    measure_of,
    read_out,
    region_rows,
    score_layers,
)
from isocortex.typing import Array
from isocortex_metrics.geometry.dissimilarity import Blocks
from isocortex_metrics.geometry.pair_statistics import PUBLISHED_TIE_SHARE, unit_ranks, unit_values, varies
from isocortex_metrics.geometry.participants import Participants, participants_of
from isocortex_metrics.target.responses import NoSettings, labels_of, refuse_seed, responses_of
from isocortex_metrics.tuckute2023.rdms import (
    CATEGORIES,
    category_order,
    earliest_best_layers,
    half_rdms,
    median_over_splits,
    participant_ceiling,
)
from isocortex_metrics.tuckute2023.splits import tuckute_splits
from isocortex_metrics.tuckute2023.stages import stage_over_sounds

if TYPE_CHECKING:
    import xarray as xr


log = logging.getLogger(__name__)

#: values of one block of features: 2 MB in float64, which every split works on
_BLOCK_VALUES = 250_000
#: a half then has four stimuli and six pairs
_MIN_STIMULI = 8
#: two neuroids correlate by 1 or -1 whatever they do
_MIN_NEUROIDS = 3
_PUBLISHED_CEILING = "published_ceiling_r"


class TuckuteRsa(MetricPlugin):
    """Representational similarity analysis of Tuckute et al. 2023, for responses."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Average scans, sort sounds by ``category``, and rank each participant's matrices of every split.

        Stimuli whose categories are not the paper's, or which have none, stay in canonical order.

        Raises
        ------
        SettingsError
            A setting, or another seed than 0: the splits are those of the paper.
        DataError
            No responses, fewer than eight stimuli, stimuli with two categories or with none among others that have
            one, or a participant whose patterns have no correlation.
        """
        refuse_seed(seed, self.card.id)
        check_settings(NoSettings, settings, self.card.id)
        responses = responses_of(target, self.card.id)
        people = participants_of(responses)
        try:
            labels = labels_of(target, responses, "category", people.stimulus_id)
        except SettingsError:  # no such column
            labels = []
        order, sorted_by = np.arange(len(people.stimulus_id)), "canonical"
        if labels and set(labels) <= set(CATEGORIES):
            order, sorted_by = category_order(labels), "category"
        return TuckuteRsaComparison(people, order, sorted_by, device, responses=responses, preparation=preparation)


class TuckuteRsaComparison(Comparison):
    """Ranked dissimilarities of each participant, among the training and the test sounds of each split, and among all.

    Parameters
    ----------
    people
        Mean responses of each participant.
    order
        Places that sort the stimuli; splits are drawn on sorted rows.
    sorted_by
        "category", or "canonical" where the stimuli have none of the paper's categories.
    device
        Where products are formed.
    region
        What the responses are of. A participant without correlations that vary is left out of a region, and refused
        where there is none.
    responses
        Out of which the regions are cut that the rules name; None: there are none.
    preparation
        As for ``Comparison``.

    Attributes
    ----------
    ceiling_rho, ceiling_r
        (n_splits, n_participants): each participant's test matrix against the mean of the others', by Spearman's rho
        (as models are scored) and by Pearson's r (as published).
    """

    statistic = "rho"
    ceiling_modes = ()
    aggregates = ("median-mean",)
    error_kind = OVER_PARTICIPANTS

    def __init__(
        self,
        people: Participants,
        order: Array,
        sorted_by: str,
        device: str = "cpu",
        *,
        region: str | None = None,
        responses: xr.DataArray | None = None,
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(preparation)
        self.responses = responses
        self.n_stimuli = len(people.stimulus_id)
        if self.n_stimuli < _MIN_STIMULI:
            raise DataError(
                f"tuckute2023-rsa ranks pairs among one half of the stimuli and needs at least {_MIN_STIMULI} of them; "
                f"found {self.n_stimuli}."
            )
        self.stimulus_id = tuple(people.stimulus_id[place] for place in order)
        self.target, self.order, self.sorted_by, self.device = people.target, order, sorted_by, device
        self.splits = tuckute_splits(self.n_stimuli)
        self.split_ids = [people.stimulus_id[place] for place in order]
        self.tested = np.stack([order[split.test] for split in self.splits])  # places in the canonical order
        rdms = {
            name: self._rdms(partial(_as_one_block, values[order]))
            for name, values in zip(people.names, people.values, strict=True)
        }
        sizes = {name: values.shape[1] for name, values in zip(people.names, people.values, strict=True)}
        flat = [name for name, own in rdms.items() if sizes[name] < _MIN_NEUROIDS or not _all_vary(own)]
        self.warnings = _leave_out(rdms, flat, region)
        self.subjects = list(rdms)
        #: of each split the training and the test matrices of the participants, (n_participants, n_pairs) each
        halves = [
            [np.stack([own[split][part] for own in rdms.values()]) for part in (0, 1)]
            for split in range(len(self.splits))
        ]
        self.brains = [(_ranked(train), _ranked(test)) for train, test in halves]
        self.whole_brains = _ranked(np.stack([own[-1][0] for own in rdms.values()]))
        self.ceiling_rho = self.ceiling_r = np.full((len(self.splits), len(self.subjects)), np.nan)
        if len(self.subjects) > 1:
            self.ceiling_rho = np.stack([participant_ceiling(test) for _, test in halves])
            self.ceiling_r = np.stack([participant_ceiling(test, unit_values) for _, test in halves])
            estimator = "leave-one-participant-out on test sounds, Spearman's rho (published: Pearson's r)"
            self.ceiling = Ceiling(estimator, self.statistic, median_over_splits(self.ceiling_rho)[0])

    def _rdms(self, blocks: Blocks) -> list[tuple[Array, Array]]:
        """Training and test matrix of each split, and last the matrix of all sounds beside an empty one."""
        everything = Split(np.arange(self.n_stimuli), np.arange(0))
        return half_rdms(blocks, [*self.splits, everything], self.device)

    @cached_property
    def regions(self) -> Mapping[str, TuckuteRsaComparison]:
        """The same for each region that the rules name; one in which no participant has correlations is left out."""
        found: dict[str, TuckuteRsaComparison] = {}
        rules = Preparation(self.rules)
        rows = {} if self.responses is None else region_rows(self.responses, self.rules.summary_by)
        for name, places in rows.items():
            assert self.responses is not None
            people = participants_of(self.responses.isel(neuroid=places))
            try:
                found[name] = TuckuteRsaComparison(
                    people, self.order, self.sorted_by, self.device, region=name, preparation=rules
                )
            except DataError as error:
                self.warnings = [*self.warnings, f"There is no row for the region {name!r}. {error}"]
                continue
            self.warnings = [*self.warnings, *found[name].warnings]
        return found

    # --- scores -------------------------------------------------------------------------------------------------------

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Compare one layer's matrices with each participant's, in every split and over all sounds.

        Returns
        -------
        rho ("split", "subject"): Spearman's rho over pairs of test sounds; train_rho: over pairs of training sounds,
        NaN where it is not defined; null: where one of the two is not defined, because some pattern does not vary over
        units or all dissimilarities are equal, and rho is 0; whole_rho ("subject",): over pairs of all sounds, units
        z-scored over all. With regions the same as part_rho ("part", "split", "subject") and so on, NaN for
        participants who have too little of one. The attribute sorted_by says how rows were sorted.
        """
        import xarray as xr

        layer = activations if isinstance(activations, Activations) else Activations.from_xarray(activations)
        width = max(1, _BLOCK_VALUES // self.n_stimuli)
        rdms = self._rdms(partial(layer.blocks, self.stimulus_id, width))
        scores = self._compared(rdms)
        if scores["null"].any():
            log.warning("Layer %r counts as null in %d splits.", layer.layer, int(scores["null"].any("subject").sum()))
        self.parts = self.regions
        if self.parts:
            absent = {"rho": np.nan, "train_rho": np.nan, "whole_rho": np.nan, "null": False}
            parts = [
                part._compared(rdms).reindex(subject=self.subjects, fill_value=absent) for part in self.regions.values()
            ]
            whole = xr.concat(parts, dim=xr.Variable("part", list(self.parts)))
            scores = scores.assign({f"part_{name}": values for name, values in whole.data_vars.items()})
        return scores.assign_coords(test_stimulus=(("split", "test"), self.tested)).assign_attrs(
            layer=layer.layer, target=self.target, sorted_by=self.sorted_by
        )

    def _compared(self, rdms: Sequence[tuple[Array, Array]]) -> xr.Dataset:
        """Matrices of a layer against the participants'."""
        import xarray as xr

        *halves, (whole, _) = rdms
        pairs = [
            (_rho(train, own[0]), _rho(test, own[1])) for (train, test), own in zip(halves, self.brains, strict=True)
        ]
        train, test = (np.stack(part) for part in zip(*pairs, strict=True))
        null, dims = np.isnan(train) | np.isnan(test), ("split", "subject")
        found: dict[str, Any] = {
            "rho": (dims, np.where(null, 0.0, test)),
            "train_rho": (dims, train),
            "null": (dims, null),
            "whole_rho": ("subject", _rho(whole, self.whole_brains)),
        }
        return xr.Dataset(found, coords={"subject": self.subjects})

    def score_all(self, layers: Mapping[str, Activations]) -> xr.Dataset:
        """Compare every layer, and choose by training sounds, for each participant and split, in each region by itself.

        Returns
        -------
        As ``score``, along "layer"; chosen and readout ("split", "subject"), and with regions part_chosen and
        part_readout ("part", "split", "subject").
        """
        distinct: dict[str, xr.Dataset] = {}
        digests = [layer.digest for layer in layers.values()]
        several, measure = len(set(digests)) > 1, measure_of(self)
        if not several or self.rules.layer_rule.choose == "none" or measure != self.statistic:
            whole = score_layers(self, layers)
            if not self.parts:
                return whole
            chosen = whole["chosen"].expand_dims(part=whole["part"])
            return whole.assign(part_chosen=chosen, part_readout=read_out(whole[f"part_{measure}"], whole["chosen"]))
        for digest, layer in zip(digests, layers.values(), strict=True):
            if digest not in distinct:
                distinct[digest] = self.score(layer)
        whole = along_layers([distinct[digest] for digest in digests], list(layers))
        for part in ("", "part_") if self.parts else ("",):
            train = whole[f"{part}train_rho"]
            chosen = train.isel(layer=0, drop=True).copy(
                data=earliest_best_layers(train.transpose("layer", ...).values)
            )
            readout = read_out(whole[f"{part}rho"], chosen)
            whole = whole.assign({f"{part}chosen": chosen, f"{part}readout": readout})
        return whole.assign_attrs(
            layer_rule="nested by participant", n_layers_searched=len(distinct), measure=self.statistic
        )

    # --- the value ----------------------------------------------------------------------------------------------------

    def layered(self, scores: xr.Dataset) -> xr.Dataset:
        """Scores of the participants of the comparison, with the layer that is read out."""
        return as_layered(self, scores).sel(subject=self.subjects)

    def collapse(self, values: xr.DataArray, measure: str) -> xr.DataArray:
        """Median over splits, mean over participants."""
        if "split" not in values.dims:
            return super().collapse(values, measure)
        along = values.transpose("split", "subject", ...)
        return along.isel(split=0, subject=0, drop=True).copy(data=np.median(along.values, axis=0).mean(axis=0))

    def spread(self, readout: xr.DataArray, measure: str) -> tuple[float, str] | None:
        """The standard error over participants."""
        del measure
        medians = median_over_splits(readout.transpose("split", "subject").values)[1]
        several = len(medians) > 1
        return (float(medians.std(ddof=1) / np.sqrt(len(medians))), self.error_kind) if several else None

    def readout_of(self, scores: xr.Dataset, measure: str) -> xr.DataArray:
        """As for any metric; the published ceiling is that of each split and participant."""
        if measure == _PUBLISHED_CEILING:
            return scores["readout"].transpose("split", "subject").copy(data=self.ceiling_r)
        return super().readout_of(scores, measure)

    def further(self, scores: xr.Dataset) -> Sequence[str]:
        """The ceiling as published, where there are several participants."""
        return [_PUBLISHED_CEILING] if scores.sizes["subject"] > 1 else []

    def stage(self, scores: xr.Dataset) -> Stage | None:
        """The stage as published, over all sounds."""
        return stage_over_sounds(scores)


def _all_vary(rdms: Sequence[tuple[Array, Array]]) -> bool:
    return all(np.isfinite(rdm).all() and varies(rdm) for halves in rdms for rdm in halves if len(rdm))


def _leave_out(rdms: dict[str, list[tuple[Array, Array]]], flat: Sequence[str], region: str | None) -> list[str]:
    """Take participants without correlations out of a region, with a warning; elsewhere, or where nobody is left,
    refuse them.
    """
    problem = (
        f"The patterns of {shorten(flat)} have no correlations that vary: each needs at least {_MIN_NEUROIDS} "
        "neuroids, and patterns that vary over them, once every neuroid is z-scored over the training sounds."
    )
    if flat and (region is None or len(flat) == len(rdms)):
        raise DataError(problem)
    for name in flat:
        del rdms[name]
    n_all = len(rdms) + len(flat)
    return [f"Region {region!r} is without {len(flat)} of {n_all} participants. {problem}"] if flat else []


def _as_one_block(values: Array) -> Iterator[Array]:
    yield values


def _rho(rdm: Array, brains: Array) -> Array:
    """Spearman's rho with ranked matrices, NaN where it is not defined."""
    if not np.isfinite(rdm).all() or not varies(rdm):
        return np.full(len(brains), np.nan)
    return brains @ _ranked(rdm)


def _ranked(rdms: Array) -> Array:
    return unit_ranks(rdms, PUBLISHED_TIE_SHARE)
