"""``rsa``: do the stimuli that are alike for the model look alike for the brain?

A layer's dissimilarity matrix is compared with that of each participant by Spearman's rho; the value is the mean over
participants. The correlation with the group-mean matrix is a different, higher statistic and has its own name,
``group_rho``; it never stands beside the participants' ceiling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from isocortex.activations import Activations
from isocortex.dataset import Dataset, averaged, check_responses, stimulus_order
from isocortex.errors import DataError
from isocortex.interfaces import Ceiling, Comparison, MetricPlugin, check_settings
from isocortex.stats import draw_counts, subject_codes
from isocortex_metrics.rdm import DISSIMILARITIES, noise_ceiling, unit_ranks, weighted_rho

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray[Any, Any]


class RsaSettings(BaseModel):
    """Settings of ``rsa``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    dissimilarity: Literal["correlation", "euclidean"] = "correlation"


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
        """Make or take the matrices of the participants, rank them once, and bound what can be reached."""
        del device, seed
        chosen = check_settings(RsaSettings, settings, self.card.id)
        if isinstance(target, Dataset) and target.rdm is not None:
            rdm = target.rdm.mean("session") if "session" in target.rdm.dims else target.rdm
            named = str(target.attrs.get("target", target.rdm.attrs.get("target", "participant")))
            return RsaComparison(rdm.values, target.stimuli.ids, rdm["subject"].values.astype(str), named, chosen)
        if isinstance(target, Dataset) and target.responses is None:
            raise DataError(f"The metric {self.card.id!r} takes responses or RDMs; {target.id!r} holds {target.kind}.")
        responses = target.responses if isinstance(target, Dataset) else check_responses("responses", target)
        assert responses is not None
        return _from_responses(responses, chosen)


def _from_responses(responses: xr.DataArray, settings: RsaSettings) -> RsaComparison:
    """One matrix per participant, from the mean over repetitions of all its neuroids."""
    values, ids = averaged(responses), stimulus_order(responses)
    subjects = responses["subject"].values if "subject" in responses.coords else None
    codes = subject_codes(subjects, values.shape[1])
    rdm_of = DISSIMILARITIES[settings.dissimilarity]
    patterns = [values[:, codes == code] for code in range(int(codes.max()) + 1)]
    rdms = np.stack([rdm_of(lambda own=own: iter([own]), len(ids)) for own in patterns])
    names = ["pooled"] if subjects is None else list(dict.fromkeys(map(str, subjects)))
    return RsaComparison(rdms, ids, names, "pooled" if subjects is None else "participant", settings)


class RsaComparison(Comparison):
    """Dissimilarity matrices of participants, ranked."""

    statistic = "rho"

    def __init__(
        self, rdms: Array, stimulus_id: tuple[str, ...], subjects: Any, target: str, settings: RsaSettings
    ) -> None:
        self.stimulus_id = stimulus_id
        self.n_stimuli = len(stimulus_id)
        if self.n_stimuli < 4:
            raise DataError(f"RSA needs at least 4 stimuli, so that pairs can be ranked; found {self.n_stimuli}.")
        self.subjects = list(subjects)
        self.target = target
        self.settings = settings
        self.ranks = unit_ranks(rdms.astype(np.float64))
        self.group_ranks = unit_ranks(rdms.astype(np.float64).mean(axis=0))
        if len(self.subjects) > 1:
            lower, upper = noise_ceiling(rdms)
            self.ceiling = Ceiling(
                "leave-one-participant-out, rank-averaged (Nili et al. 2014)", "rho", lower=lower, upper=upper
            )

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Compare the matrix of one layer with each participant's.

        Returns
        -------
        rho ("subject",), group_rho (), and prediction ("pair",): the layer's dissimilarities.
        """
        import xarray as xr

        if isinstance(activations, xr.DataArray):
            activations = Activations.from_xarray(activations)
        opened = activations
        dissimilarity = DISSIMILARITIES[self.settings.dissimilarity]
        rdm = dissimilarity(lambda: opened.blocks(self.stimulus_id), self.n_stimuli)
        ranks = unit_ranks(rdm)
        return xr.Dataset(
            {
                "rho": ("subject", self.ranks @ ranks),
                "group_rho": ((), float(self.group_ranks @ ranks)),
                "prediction": ("pair", rdm),
            },
            coords={"subject": self.subjects},
            attrs={"layer": activations.layer, "target": self.target},
        )

    def resample(self, scores: xr.Dataset, n_draws: int, seed: int) -> tuple[Array, str] | None:
        """Bootstrap over stimuli and participants, with ranks of the whole sample."""
        counts = draw_counts(self.n_stimuli, n_draws, seed, "stimuli")
        drawn = weighted_rho(unit_ranks(scores["prediction"].values), self.ranks, counts)
        n_subjects = len(self.subjects)
        if n_subjects == 1:
            return drawn[:, 0], "stimuli"
        weights = draw_counts(n_subjects, n_draws, seed, "participants") / n_subjects
        return (drawn * weights).sum(axis=1), "stimuli × participants"
