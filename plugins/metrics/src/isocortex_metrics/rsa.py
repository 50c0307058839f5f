"""``rsa``: do the stimuli that are alike for the model look alike for the brain?

A layer's dissimilarity matrix is compared with that of each participant; the value is the mean over participants. The
correlation with the group-mean matrix is a different, higher statistic and has its own name, ``group_rho``; it never
stands beside the participants' ceiling.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from isocortex.activations import Activations
from isocortex.dataset import Dataset, averaged, stimulus_order
from isocortex.errors import DataError, shorten
from isocortex.interfaces import Ceiling, Comparison, MetricPlugin, check_settings
from isocortex.stats import draw_counts, over_participants, subject_codes
from isocortex_metrics.rdm import DISSIMILARITIES, Blocks, FlatPatternError, standardised
from isocortex_metrics.rdm_comparison import COMPARISONS, TIE_SHARE, noise_ceiling, varies, weighted_rho
from isocortex_metrics.targets import rdm_pairs, responses_of

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray[Any, Any]

log = logging.getLogger(__name__)

_MIN_STIMULI = 4
_BLOCK_VALUES = 2_000_000


class RsaSettings(BaseModel):
    """Settings of ``rsa``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    dissimilarity: Literal["correlation", "cosine", "euclidean"] = "correlation"
    comparison: Literal["spearman", "pearson"] = "spearman"
    standardise: bool = Field(
        default=False, description="z-score every unit and neuroid over the stimuli before patterns are compared"
    )


class Rsa(MetricPlugin):
    """Representational similarity analysis, for responses and dissimilarity matrices."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object],
        seed: int,
        device: str = "cpu",
    ) -> Comparison:
        """Make or take the matrices of the participants, rank them once, and bound what can be reached.

        Sessions are averaged. Responses are averaged over repetitions; each participant's matrix is over all of their
        neuroids, with the dissimilarity that the model's has.

        Raises
        ------
        SettingsError, DataError
            Settings that are not valid, or a target without dissimilarities.
        """
        del device, seed
        chosen = check_settings(RsaSettings, settings, self.card.id)
        rdm = target.rdm if isinstance(target, Dataset) else target if "pair" in target.dims else None
        if rdm is None:
            return _from_responses(responses_of(target, self.card.id), chosen)
        if isinstance(target, Dataset):
            named, ids = target.attrs.get("target", rdm.attrs.get("target")), target.stimuli.ids
        else:
            (rdm, ids), named = rdm_pairs(rdm), rdm.attrs.get("target")
        if "session" in rdm.dims:
            rdm = rdm.mean("session")
        subjects = rdm["subject"].values.astype(str).tolist() if "subject" in rdm.coords else range(len(rdm))
        return _KINDS[chosen.comparison](rdm.values, ids, subjects, str(named or "participant"), chosen)


def _from_responses(responses: xr.DataArray, settings: RsaSettings) -> RsaComparison:
    """One matrix per participant, from the mean over repetitions of all its neuroids."""
    values, ids = averaged(responses), stimulus_order(responses)
    known = "subject" in responses.coords
    codes = subject_codes(responses["subject"].values if known else None, values.shape[1])
    names = list(dict.fromkeys(map(str, responses["subject"].values))) if known else ["pooled"]
    rdms: list[Array] = []
    for code, name in enumerate(names):
        try:
            rdms.append(_rdm_of(partial(_as_one_block, values[:, codes == code]), len(ids), settings))
        except FlatPatternError as error:
            flat = shorten(ids[place] for place in error.stimuli)
            raise DataError(f"Participant {name!r}, stimuli {flat}: {error}") from error
    target = "participant" if known else "pooled"
    return _KINDS[settings.comparison](np.stack(rdms), ids, names, target, settings, tie_share=TIE_SHARE)


def _as_one_block(patterns: Array) -> Iterator[Array]:
    yield patterns


def _rdm_of(blocks: Blocks, n_stimuli: int, settings: RsaSettings) -> Array:
    prepared = partial(standardised, blocks) if settings.standardise else blocks
    return DISSIMILARITIES[settings.dissimilarity](prepared, n_stimuli)


class RsaComparison(Comparison):
    """Dissimilarity matrices of participants, ranked.

    Parameters
    ----------
    rdms
        (n_participants, n_pairs): the upper triangle, row by row.
    stimulus_id
        The stimuli in order.
    subjects
        Names of the participants.
    target
        What the matrices stand for: "participant", "group-mean" or "pooled".
    settings
        How the model's matrix is made and compared.
    tie_share
        Entries of ``rdms`` closer than this share of the largest are tied.
    """

    statistic = "rho"

    def __init__(
        self,
        rdms: Array,
        stimulus_id: tuple[str, ...],
        subjects: Sequence[object],
        target: str,
        settings: RsaSettings,
        *,
        tie_share: float = 0.0,
    ) -> None:
        self.stimulus_id = stimulus_id
        self.n_stimuli = len(stimulus_id)
        if self.n_stimuli < _MIN_STIMULI:
            raise DataError(
                f"RSA needs at least {_MIN_STIMULI} stimuli, so that pairs can be ranked; found {self.n_stimuli}."
            )
        self.subjects = [str(name) for name in subjects]
        self.target = target
        self.settings = settings
        self.transform = COMPARISONS[settings.comparison][1]
        rdms = rdms.astype(np.float64)
        flat = [name for name, rdm in zip(self.subjects, rdms, strict=True) if not varies(rdm, tie_share)]
        if flat:
            raise DataError(
                f"The dissimilarities of {shorten(flat)} are all equal, so that nothing correlates with them."
            )
        self.brains = self.transform(rdms, tie_share)
        self.group = self.transform(rdms.mean(axis=0), TIE_SHARE)
        if len(self.subjects) > 1:
            lower, upper = noise_ceiling(rdms, settings.comparison)
            averaging = {"spearman": "rank-averaged", "pearson": "averaged after standardising"}[settings.comparison]
            estimator = f"leave-one-participant-out, {averaging} (Nili et al. 2014)"
            self.ceiling = Ceiling(estimator, self.statistic, lower=lower, upper=upper)

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Compare the matrix of one layer with each participant's.

        Returns
        -------
        rho ("subject",), group_rho (), null ("subject",) and prediction ("pair",): the layer's dissimilarities. A layer
        whose dissimilarities are all equal, or not defined for some stimulus (a warning names it), is null: its rho is
        0 and its prediction 0 throughout. With Pearson comparison the names are r and group_r.
        """
        import xarray as xr

        layer = activations if isinstance(activations, Activations) else Activations.from_xarray(activations)
        rdm = self._rdm(layer)
        null = not varies(rdm)
        model = np.zeros_like(rdm) if null else self.transform(rdm)
        return xr.Dataset(
            {
                self.statistic: ("subject", self.brains @ model),
                f"group_{self.statistic}": ((), float(self.group @ model)),
                "null": ("subject", np.full(len(self.subjects), null)),
                "prediction": ("pair", np.zeros_like(rdm) if null else rdm),
            },
            coords={"subject": self.subjects},
            attrs={"layer": layer.layer, "target": self.target},
        )

    def _rdm(self, layer: Activations) -> Array:
        width = max(1, _BLOCK_VALUES // self.n_stimuli)
        try:
            return _rdm_of(partial(layer.blocks, self.stimulus_id, width), self.n_stimuli, self.settings)
        except FlatPatternError as error:
            flat = shorten(self.stimulus_id[place] for place in error.stimuli)
            log.warning("Layer %r counts as null; stimuli %s: %s", layer.layer, flat, error)
            return np.zeros(self.n_stimuli * (self.n_stimuli - 1) // 2)

    def resample(self, scores: xr.Dataset, n_draws: int, seed: int) -> tuple[Array, str] | None:
        """Bootstrap over stimuli and participants, with ranks of the whole sample."""
        if "prediction" not in scores or scores.attrs.get("measure", self.statistic) != self.statistic:
            return None
        rdm, n_subjects = scores["prediction"].values, len(self.subjects)
        if varies(rdm):
            counts = draw_counts(self.n_stimuli, n_draws, seed, "stimuli")
            drawn = weighted_rho(self.transform(rdm), self.brains, counts)
        else:
            drawn = np.zeros((n_draws, n_subjects))
        if n_subjects == 1:
            return drawn[:, 0], "stimuli"
        return over_participants(
            drawn, draw_counts(n_subjects, n_draws, seed, "participants")
        ), "stimuli × participants"


class _PearsonRsaComparison(RsaComparison):
    statistic = "r"


_KINDS: dict[str, type[RsaComparison]] = {"spearman": RsaComparison, "pearson": _PearsonRsaComparison}
