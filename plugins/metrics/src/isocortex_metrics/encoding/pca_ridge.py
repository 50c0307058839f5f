"""``pca-ridge``: ridge regression on the leading principal components of each split's training stimuli.

The components are found in the dual, from the Gram matrix of the training stimuli, and test stimuli are projected onto
them; they never take part in finding them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from isocortex.data import Dataset
from isocortex.errors import SettingsError
from isocortex.interfaces import Comparison, MetricPlugin, Preparation, check_settings
from isocortex.scoring import distinct_layers
from isocortex.typing import Array
from isocortex_metrics.encoding.permuted_fits import PermutedFits
from isocortex_metrics.encoding.ridge import RidgeComparison, RidgeSettings
from isocortex_metrics.encoding.split_fits import FitPlan
from isocortex_metrics.target.responses import responses_of
from isocortex_metrics.target.splits import columns_of, draw_splits

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.activations import Activations
    from isocortex.interfaces import Split
    from isocortex.scoring import LinearMapping

#: components where none are asked for, as far as the training stimuli allow
DEFAULT_COMPONENTS = 1000


class PcaRidgeSettings(RidgeSettings):
    """Settings of ``pca-ridge``."""

    n_components: int | list[int] | None = Field(
        default=None,
        description="principal components, or several numbers of which the training stimuli choose one; default 1000, "
        "or as many as the training stimuli allow",
    )
    layer: Literal["nested", "on-test"] = Field(
        default="nested",
        description="one of several layers is chosen within the training stimuli, or on the test stimuli themselves, "
        "which is marked optimistic",
    )

    @field_validator("n_components")
    @classmethod
    def _some(cls, value: int | list[int] | None) -> int | list[int] | None:
        if value is not None and (value == [] or min(as_several(value)) < 1):
            raise ValueError(f"expected 1 or more components, found {value}")
        return value


def as_several(value: int | list[int]) -> list[int]:
    """One number, or several, as a list."""
    return [value] if isinstance(value, int) else value


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
        splits = list(preparation.splits) or draw_splits(target, responses, chosen, seed)
        n_components = components_for(splits, chosen.n_components)
        found = PcaRidgeComparison(responses, splits, chosen, n_components, device=device, preparation=preparation)
        found.split_columns = columns_of(target, chosen)
        return found


def components_for(splits: list[Split], asked: int | list[int] | None) -> tuple[int, ...]:
    """Numbers of components: what was asked for, ascending, or 1000 where the training stimuli allow as many.

    Of several numbers, those beyond what the training stimuli allow stand for all components that there are.

    n stimuli, centred by their mean, span at most n − 1 directions.

    Raises
    ------
    SettingsError
        One number was asked for, and it is more than the smallest training set allows.

    Examples
    --------
    >>> from isocortex_metrics.target.splits import folds
    >>> components_for(folds(50), None), components_for(folds(50), 8), components_for(folds(50), [16, 4])
    ((39,), (8,), (4, 16))
    """
    n_train = min(len(split.train) for split in splits)
    if asked is None:
        return (min(DEFAULT_COMPONENTS, n_train - 1),)
    if not isinstance(asked, int):
        return tuple(sorted({min(number, n_train - 1) for number in asked}))
    if asked > n_train - 1:
        raise SettingsError(
            f"pca-ridge was asked for {asked} principal components, but {n_train} training stimuli (of the "
            f"smallest split) have at most {n_train - 1}. Set n_components to {n_train - 1} or less, or leave it away."
        )
    return (asked,)


class PcaRidgeComparison(RidgeComparison):
    """Ridge regression on principal components against one set of responses.

    Parameters
    ----------
    responses, splits, device, preparation
        As for ``LinearComparison``.
    settings
        Of the metric.
    n_components
        How many components of the training stimuli are kept; of several, the training stimuli choose.
    """

    def __init__(
        self,
        responses: xr.DataArray,
        splits: list[Split],
        settings: PcaRidgeSettings,
        n_components: tuple[int, ...],
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
        self.on_test = settings.layer == "on-test"

    @property
    def plan(self) -> FitPlan:
        """What is fitted in each split; scores hold explained_variance, r2_score, mse and n_components, too."""
        return FitPlan(self.alpha, self.n_components, self.kept_of_fits, with_errors=True)

    def permuted_readouts(self, layers: Mapping[str, Activations], orders: Array) -> Iterator[xr.DataArray]:
        """As ``ridge``; the number of components, and a layer on the test stimuli, are chosen for each permutation."""
        plan = replace(self.plan, keep=())
        return PermutedFits(self, plan, list(distinct_layers(layers)), nested=not self.on_test).readouts(orders)

    def fit(self, layers: Mapping[str, Activations], split: Split | None = None) -> LinearMapping | None:
        """As for ridge; none where the layer is chosen on the test stimuli, which a map has not."""
        return None if self.on_test else super().fit(layers, split)

    def _scored(self, activations: Activations | xr.DataArray, splits: Sequence[Split]) -> xr.Dataset:
        scores = super()._scored(activations, splits)
        # without it core reads out the layer that is best on the test stimuli, and says so
        return scores.drop_vars("selection") if self.on_test else scores
