"""``rsa``: do the stimuli that are alike for the model look alike for the brain?

A layer's dissimilarity matrix is compared with that of each participant; the value is the mean over participants. The
correlation with the group-mean matrix is a different, higher statistic and has its own name, ``group_rho``; it never
stands beside the participants' ceiling.

A single layer is compared over all pairs of stimuli. Among several, the layer is chosen on the pairs within one half of
the stimuli and read out on the pairs within the other half.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from isocortex.activations import Activations
from isocortex.data import Dataset
from isocortex.errors import DataError, shorten
from isocortex.interfaces import Ceiling, Comparison, MetricPlugin, Preparation, Resampled, check_settings
from isocortex.scoring import as_layered, by_blocks, distinct_layers, draw_counts, measure_of, score_layers
from isocortex.typing import Array
from isocortex_metrics.geometry.dissimilarity import (
    FlatPatternError,
    pair_places,
    pairs_among,
)
from isocortex_metrics.geometry.layer_halves import HalvesChoice, halves
from isocortex_metrics.geometry.pair_statistics import COMPARISONS, TIE_SHARE, varies
from isocortex_metrics.geometry.participant_rdms import ParticipantRdms, participant_rdms, rdm_of
from isocortex_metrics.geometry.participants import OfParticipants
from isocortex_metrics.geometry.permuted_rdms import PermutedRdms
from isocortex_metrics.geometry.rdm_ceilings import brainscore_upper_bound, leave_one_out, pairwise_agreement
from isocortex_metrics.numerics.draws import leaving_one_out, of_pairs
from isocortex_metrics.numerics.threads import few_threads

if TYPE_CHECKING:
    import xarray as xr


log = logging.getLogger(__name__)

#: stimuli that are compared at least, in a half too: six pairs; fewer cannot be ranked to any purpose
_MIN_STIMULI = 4
#: values of one block of features: 2 MB in float64, which a cache holds, or a block as large as the matrix of products
_BLOCK_VALUES = 250_000
#: ranks of brains within halves of the stimuli that are kept from layer to layer
_READY_BYTES = 50_000_000
#: what the mean of all matrices stands for
_OF_GROUP = {"participant": "group-mean"}
_Half = tuple[Array, Array, Array]


class RsaSettings(BaseModel):
    """Settings of ``rsa``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    dissimilarity: Literal["correlation", "cosine", "euclidean", "cross-validated-euclidean"] = "correlation"
    comparison: Literal["spearman", "pearson", "kendall", "rho-a", "cosine"] = "spearman"
    standardise: bool = Field(
        default=False, description="z-score every unit and neuroid over the stimuli before patterns are compared"
    )
    ceiling: Literal["leave-one-out", "inter-subject", "brainscore"] = Field(
        default="leave-one-out", description="a band, or a number that a benchmark can divide by"
    )
    ceiling_average: Literal["rank", "raw"] = Field(
        default="rank", description="matrices of participants are ranked before they are averaged for the band, or not"
    )
    n_halvings: int = Field(
        default=10, ge=1, description="times the stimuli are halved; each half chooses a layer, the other tests it"
    )


class Rsa(MetricPlugin):
    """Representational similarity analysis, for responses and dissimilarity matrices."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Make or take the matrices of the participants, rank them once, and bound what can be reached.

        Sessions are averaged. Responses are averaged over repetitions (but for the cross-validated dissimilarity, which
        needs them); each participant's matrix is over all of their neuroids, with the dissimilarity that the model's
        has. The seed draws the halves of the stimuli on which a layer is chosen.

        Raises
        ------
        SettingsError, DataError
            Settings that are not valid, or a target without dissimilarities.
        """
        chosen = check_settings(RsaSettings, settings, self.card.id)
        brains = participant_rdms(target, chosen.dissimilarity, self.card.id, standardise=chosen.standardise)
        return _KINDS[chosen.comparison](brains, chosen, seed=seed, device=device, preparation=preparation)


class RsaComparison(OfParticipants):
    """Dissimilarity matrices of participants, ranked.

    Parameters
    ----------
    target
        The participants' matrices.
    settings
        How the model's matrix is made and compared.
    seed
        Draws the halves on which a layer is chosen.
    device
        Where products of patterns are formed.
    preparation
        As for ``Comparison``.
    """

    statistic = "rho"
    aggregates = ("median-mean",)
    default_permutations = 999
    refits_permutations = False

    def __init__(
        self,
        target: ParticipantRdms,
        settings: RsaSettings,
        *,
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(preparation)
        self.stimulus_id = target.stimulus_id
        self.n_stimuli = len(self.stimulus_id)
        if self.n_stimuli < _MIN_STIMULI:
            raise DataError(
                f"RSA needs at least {_MIN_STIMULI} stimuli, so that pairs can be ranked; found {self.n_stimuli}."
            )
        self.subjects = list(target.subjects)
        self.target, self.settings, self.seed, self.device = target.target, settings, seed, device
        self.kind = COMPARISONS[settings.comparison]
        rdms, tie_share = target.rdms, target.tie_share
        self.brains = self.kind.transform(rdms, tie_share)
        self.made_of = {f"group_{self.statistic}": "group_test"}  # read out as the value is, where a layer was chosen
        self.group = self.brains[0]
        if len(self.subjects) > 1:
            self.group = self.kind.transform(rdms.mean(axis=0), TIE_SHARE)
            self.ceiling = self._bounds(rdms, tie_share)

    def _bounds(self, rdms: Array, tie_share: float) -> Ceiling:
        """The ceiling that the settings ask for."""
        if self.settings.ceiling == "inter-subject":
            value = pairwise_agreement(rdms, self.kind, tie_share)
            return Ceiling("mean over pairs of participants", self.statistic, value)
        if self.settings.ceiling == "brainscore":
            value = brainscore_upper_bound(rdms, self.kind, tie_share)
            return Ceiling("each participant against the mean of all (Brain-Score)", self.statistic, value)
        lower, upper = leave_one_out(rdms, self.kind, self.settings.ceiling_average, tie_share, self.brains)
        averaging = self.kind.averaging if self.settings.ceiling_average == "rank" else "averaged as they are"
        estimator = f"leave-one-participant-out, {averaging} (Nili et al. 2014)"
        return Ceiling(estimator, self.statistic, lower=lower, upper=upper)

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Compare the matrix of one layer with each participant's.

        Returns
        -------
        rho ("subject",), group_rho (), null ("subject",) and prediction ("pair",): the layer's dissimilarities. A layer
        whose dissimilarities are all equal, or not defined for some stimulus (a warning names it), is null: its rho is
        0 and its prediction 0 throughout. With other comparisons the names are r, tau_a, rho_a or cosine, and group_r
        and so on.
        """
        import xarray as xr

        layer = activations if isinstance(activations, Activations) else Activations.from_xarray(activations)
        rdm = self._rdm(layer)
        found, of_group = self._compared(rdm, self.brains, self.group)
        null = bool(np.isnan(of_group))
        of_mean = {"target": _OF_GROUP.get(self.target, self.target)}
        variables: dict[str, Any] = {
            self.statistic: ("subject", np.nan_to_num(found)),
            f"group_{self.statistic}": ((), np.nan_to_num(of_group), of_mean),
            "null": ("subject", np.full(len(self.subjects), null)),
        }
        if "prediction" in self.keep:
            variables["prediction"] = ("pair", np.zeros_like(rdm) if null else rdm)
        return xr.Dataset(
            variables, coords={"subject": self.subjects}, attrs={"layer": layer.layer, "target": self.target}
        )

    def _rdm(self, layer: Activations) -> Array:
        width = max(1, _BLOCK_VALUES // self.n_stimuli, self.n_stimuli)
        blocks = partial(layer.blocks, self.stimulus_id, width)
        try:
            made = partial(rdm_of, standardise=self.settings.standardise, device=self.device)
            return made(blocks, self.n_stimuli, self.settings.dissimilarity)
        except FlatPatternError as error:
            flat = shorten(self.stimulus_id[place] for place in error.stimuli)
            log.warning("Layer %r counts as null; stimuli %s: %s", layer.layer, flat, error)
            return np.zeros(self.n_stimuli * (self.n_stimuli - 1) // 2)

    def _compared(self, rdm: Array, brains: Array, group: Array) -> tuple[Array, float]:
        """The statistic for each participant and for the group, NaN for a matrix of equal entries."""
        if not varies(rdm):
            return np.full(len(brains), np.nan), np.nan
        model = self.kind.transform(rdm)
        with few_threads(self.n_stimuli):
            return self.kind.compare(brains, model), float(self.kind.compare(group[None], model)[0])

    # --- several layers -----------------------------------------------------------------------------------------------

    def score_all(self, layers: Mapping[str, Activations]) -> xr.Dataset:
        """Compare every layer; choose on the pairs within each half of the stimuli, read out on the other half.

        Ranks are those within each half. Memory: one layer's matrix, those of the layers that are read out, and at most
        50 MB of the brains' ranks in halves.

        Returns
        -------
        As ``score``, along "layer", over all pairs; test and selection ("layer", "split", "subject"): the statistic on
        the half that tests and on the half that chooses; group_test ("layer", "split"); chosen ("split",); readout
        ("split", "subject"); test_stimulus ("split", "stimulus"); prediction ("readout_layer", "pair") of the layers
        that are read out. A single layer is read out on all pairs; so is the best one where there are fewer than eight
        stimuli, which is marked optimistic.
        """
        if not self._nests(layers):
            return score_layers(self, layers)
        choice, of_group = HalvesChoice(self._inside), dict[str, Array]()
        for name, layer in layers.items():
            choice.offer(name, layer.digest, partial(self._halved, layer, of_group))
        scores = choice.scores(self.statistic, self.subjects, {"target": self.target})
        group = np.nan_to_num(
            np.stack([of_group[layer.digest] for layer in layers.values()])
        )  # (n_layers, 1 + n_splits)
        filled = {name: scores[name].fillna(0.0) for name in (self.statistic, "selection", "test", "readout")}
        scores = scores.assign(filled).assign_attrs(layer_rule="nested by model")
        scores[f"group_{self.statistic}"] = ("layer", group[:, 0])
        scores["group_test"] = (("layer", "split"), group[:, 1:][:, choice.other_half])
        return scores

    def _nests(self, layers: Mapping[str, Activations]) -> bool:
        """Whether a layer is chosen on halves of the stimuli."""
        many = len({layer.digest for layer in layers.values()}) > 1 and self.n_stimuli >= 2 * _MIN_STIMULI
        return many and self.rules.layer_rule.choose != "none" and measure_of(self) == self.statistic

    @cached_property
    def _inside(self) -> Array:
        return halves(self.n_stimuli, self.settings.n_halvings, self.seed, _MIN_STIMULI)

    @cached_property
    def _halves(self) -> dict[int, _Half]:
        """Halves that are ready, as many as ``_READY_BYTES`` hold."""
        return {}

    def _half(self, number: int) -> _Half:
        """Places of a half's pairs, the participants' matrices there, the group's; ranked anew where many are kept."""
        if number in self._halves:
            return self._halves[number]
        places = pairs_among(np.flatnonzero(self._inside[number]), self.n_stimuli)
        parts = [*self.brains[:, places], self.group[places]]
        flat = [name for name, part in zip([*self.subjects, "the mean"], parts, strict=True) if not varies(part)]
        if flat:
            raise DataError(
                f"The dissimilarities of {shorten(flat)} are all equal among a half of the {self.n_stimuli} "
                "stimuli, so that no layer can be chosen there. Score one layer (--layers), or use more stimuli."
            )
        # ties are exact by now: of what is ranked the ranks were taken before
        ready = self.kind.transform(np.stack(parts if len(self.subjects) > 1 else parts[:1]), 0.0)
        half = places.astype(np.int32), ready[: len(self.subjects)], ready[-1]
        if (len(self._halves) + 1) * (half[0].nbytes + ready.nbytes) <= _READY_BYTES:
            self._halves[number] = half
        return half

    def _halved(self, layer: Activations, of_group: dict[str, Array]) -> tuple[Array, Callable[[], Array] | None]:
        """The statistic over all pairs and within each half, (1 + n_splits, n_participants); the group's beside it."""
        rdm = self._rdm(layer)
        compared = [self._compared(rdm, self.brains, self.group)]
        for number in range(len(self._inside)):
            places, brains, group = self._half(number)
            compared.append(self._compared(rdm[places], brains, group))
        of_group[layer.digest] = np.array([group for _, group in compared])
        return np.stack([found for found, _ in compared]), (lambda: rdm) if "prediction" in self.keep else None

    # --- chance -------------------------------------------------------------------------------------------------------

    def permuted(self, order: Array) -> RsaComparison:
        """Rows and columns of the matrices of participants and group permuted; nothing is kept beside the scores."""
        other = self.keeping()
        first, second = np.triu_indices(self.n_stimuli, 1)
        low, high = np.minimum(order[first], order[second]), np.maximum(order[first], order[second])
        places = pair_places(low, high, self.n_stimuli)
        other.brains, other.group = self.brains[:, places], self.group[places]
        vars(other).pop("_halves", None)  # of the order that was
        return other

    def permuted_readouts(self, layers: Mapping[str, Activations], orders: Array) -> Iterator[xr.DataArray]:
        """Layers are ranked once, in all and in each half; the participants' permuted ranks are found by counting."""
        if measure_of(self) not in (self.statistic, f"group_{self.statistic}"):
            return super().permuted_readouts(layers, orders)
        inside = self._inside if self._nests(layers) else None
        of_group = measure_of(self) != self.statistic
        rdms = PermutedRdms(self.kind, self.group[None] if of_group else self.brains, self._rdm)
        found = rdms.pairs(self.n_stimuli, inside).readouts(list(distinct_layers(layers)), orders, fill=0.0)
        return (part.isel(subject=0) for part in found) if of_group else found

    # --- interval and value -------------------------------------------------------------------------------------------

    def resample(self, scores: xr.Dataset, n_draws: int, seed: int) -> Resampled | None:
        """Bootstrap over stimuli and participants, with ranks of the whole sample (of each half that tests).

        Where a layer was chosen, the choice among those that are read out is repeated in each draw.
        """
        if "prediction" not in scores or scores.attrs.get("measure", self.statistic) != self.statistic:
            return None
        scores = as_layered(self, scores)
        counts = draw_counts(self.n_stimuli, n_draws, seed, "stimuli")
        values = scores["readout"].transpose(..., "subject").values.reshape(-1, len(self.subjects)).mean(axis=0)
        chosen = "readout_layer" in scores.dims
        fixed = partial(self._drawn_halves, scores) if chosen else partial(self._drawn, scores["prediction"].values)
        drawn, left_out = by_blocks(fixed, counts), by_blocks(fixed, leaving_one_out(self.n_stimuli))
        anew = by_blocks(partial(self._chosen_halves, scores), counts) if chosen else None
        return self.joined_draws(of_pairs(drawn, values, left_out, anew), values, seed)

    def _drawn(self, rdm: Array, counts: Array, brains: Array | None = None) -> Array:
        brains = self.brains if brains is None else brains
        if not varies(rdm):
            return np.zeros((len(counts), len(brains)))
        return self.kind.draws(self.kind.transform(rdm), brains, counts)

    def _drawn_halves(self, scores: xr.Dataset, counts: Array) -> Array:
        """Mean over the halves that test; one of which a draw holds one stimulus over and over is left out of it."""
        rdms = dict(zip(scores["readout_layer"].values, scores["prediction"].values, strict=True))
        chosen = scores["layer"].values[scores["chosen"].values]
        total, n_valid = np.zeros((2, len(counts), len(self.subjects)))
        for name, tested in zip(chosen, np.roll(np.arange(len(chosen)), len(chosen) // 2), strict=True):
            places, brains, _ = self._half(int(tested))
            drawn = self._drawn(rdms[name][places], counts[:, self._inside[tested]], brains)
            valid = np.isfinite(drawn)
            total += np.where(valid, drawn, 0.0)
            n_valid += valid
        return np.where(n_valid > 0, total / np.maximum(n_valid, 1), np.nan)

    def _chosen_halves(self, scores: xr.Dataset, counts: Array) -> Array:
        """As ``_drawn_halves``, each draw with the layer that is best there in the half that chooses."""
        rdms, n_halves = scores["prediction"].values, len(self._inside)
        total, n_valid = np.zeros((2, len(counts), len(self.subjects)))
        rows = np.arange(len(counts))
        for tested in range(n_halves):
            found = []
            for half in ((tested + n_halves // 2) % n_halves, tested):
                places, brains, _ = self._half(half)
                inside = counts[:, self._inside[half]]
                found.append(np.stack([self._drawn(rdm[places], inside, brains) for rdm in rdms]))
            best = np.nan_to_num(found[0], nan=-np.inf).mean(axis=-1).argmax(axis=0)
            drawn = found[1][best, rows]
            valid = np.isfinite(drawn)
            total += np.where(valid, drawn, 0.0)
            n_valid += valid
        return np.where(n_valid > 0, total / np.maximum(n_valid, 1), np.nan)

    def further(self, scores: xr.Dataset) -> Sequence[str]:
        """As any metric, but what the halves test is the value, or is read out under the name of the whole."""
        return [name for name in super().further(scores) if name not in ("test", "group_test")]


class _PearsonRsaComparison(RsaComparison):
    statistic = "r"


class _KendallRsaComparison(RsaComparison):
    statistic = "tau_a"


class _RhoARsaComparison(RsaComparison):
    statistic = "rho_a"


class _CosineRsaComparison(RsaComparison):
    statistic = "cosine"


_KINDS: dict[str, type[RsaComparison]] = {
    "spearman": RsaComparison,
    "pearson": _PearsonRsaComparison,
    "kendall": _KendallRsaComparison,
    "rho-a": _RhoARsaComparison,
    "cosine": _CosineRsaComparison,
}
