"""``pca-ridge``: ridge regression on the leading principal components of each split's training stimuli.

The components are found in the dual, from the Gram matrix of the training stimuli, and test stimuli are projected onto
them; they never take part in finding them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from isocortex.data import Dataset
from isocortex.errors import SettingsError
from isocortex.interfaces import Comparison, MetricPlugin, Preparation, check_settings
from isocortex_metrics.encoding.ridge import RidgeComparison, RidgeSettings
from isocortex_metrics.encoding.split_fits import FitPlan
from isocortex_metrics.target.responses import responses_of
from isocortex_metrics.target.splits import draw_splits

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.interfaces import Split

#: components where none are asked for, as far as the training stimuli allow
DEFAULT_COMPONENTS = 1000


class PcaRidgeSettings(RidgeSettings):
    """Settings of ``pca-ridge``."""

    n_components: int | None = Field(
        default=None, ge=1, description="principal components; default 1000, or as many as the training stimuli allow"
    )
    alpha: float | None = Field(
        default=None, gt=0, description="fixed penalty, as scikit-learn's Ridge(alpha); default: leave-one-out"
    )


class PcaRidge(MetricPlugin):
    """Ridge regression on principal components, for responses."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Average repetitions, draw the splits and estimate the ceiling.

        Raises
        ------
        SettingsError, DataError
            Settings that are not valid, more components than the training stimuli allow, no responses, too few
            stimuli for the splits, or a ceiling that they do not allow.
        """
        chosen = check_settings(PcaRidgeSettings, settings, self.card.id)
        responses = responses_of(target, self.card.id)
        splits = draw_splits(target, responses, chosen, seed)
        n_components = components_for(splits, chosen.n_components)
        return PcaRidgeComparison(responses, splits, chosen, n_components, device=device, preparation=preparation)


def components_for(splits: list[Split], asked: int | None) -> int:
    """Number of components: what was asked for, or 1000 where the training stimuli allow as many.

    n stimuli, centred by their mean, span at most n − 1 directions.

    Raises
    ------
    SettingsError
        More were asked for than the smallest training set allows.

    Examples
    --------
    >>> from isocortex_metrics.target.splits import folds
    >>> components_for(folds(50), None), components_for(folds(50), 8)
    (39, 8)
    """
    n_train = min(len(split.train) for split in splits)
    if asked is not None and asked > n_train - 1:
        raise SettingsError(
            f"pca-ridge was asked for {asked} principal components, but {n_train} training stimuli (of the smallest "
            f"split) have at most {n_train - 1}. Set n_components to {n_train - 1} or less, or leave it away."
        )
    return min(DEFAULT_COMPONENTS, n_train - 1) if asked is None else asked


class PcaRidgeComparison(RidgeComparison):
    """Ridge regression on principal components against one set of responses.

    Parameters
    ----------
    responses, splits, device, preparation
        As for ``LinearComparison``.
    settings
        Of the metric.
    n_components
        How many components of the training stimuli are kept.
    """

    def __init__(
        self,
        responses: xr.DataArray,
        splits: list[Split],
        settings: PcaRidgeSettings,
        n_components: int,
        *,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(
            responses,
            splits,
            noise_correction=settings.noise_correction,
            device=device,
            preparation=preparation,
        )
        self.alpha = settings.alpha
        self.n_components = n_components

    @property
    def plan(self) -> FitPlan:
        """What is fitted in each split; scores hold explained_variance, mse and n_components beside those of ridge."""
        return FitPlan(self.alpha, self.n_components, self.keep)
