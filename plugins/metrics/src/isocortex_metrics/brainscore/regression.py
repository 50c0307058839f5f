"""Brain-Score's regression metrics: ``pls`` (``brainscore-pls``) and its relatives, exact to the published package."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from isocortex.activations import Activations
from isocortex.data import Dataset, stimulus_order
from isocortex.errors import SettingsError
from isocortex.interfaces import Comparison, MetricPlugin, Preparation, Split, check_settings
from isocortex.typing import Array
from isocortex_metrics.brainscore.ceiling import internal_consistency
from isocortex_metrics.brainscore.compact import BLOCK_VALUES, compact_features
from isocortex_metrics.brainscore.fits import (
    CROSS_VALIDATED_ALPHAS,
    best_units,
    least_squares,
    ridge_dual,
    ridge_primal,
    searched_ridge,
)
from isocortex_metrics.brainscore.pls import permuted_pls, pls_predictions
from isocortex_metrics.brainscore.regression_comparison import Predicted, Regression, RegressionComparison
from isocortex_metrics.brainscore.reverse import ReverseComparison
from isocortex_metrics.brainscore.splits import (
    N_SPLITS,
    SEED,
    STRATA,
    TRAIN_SIZE,
    Rows,
    brainscore_rows,
    brainscore_splits,
)
from isocortex_metrics.numerics.arrays import on_device
from isocortex_metrics.numerics.gram import gram_matrix
from isocortex_metrics.target.responses import labels_of, refuse_seed, responses_of
from isocortex_metrics.target.splits import fixed_split

if TYPE_CHECKING:
    import xarray as xr


# --- settings ---------------------------------------------------------------------------------------------------------


class CrossValidationSettings(BaseModel):
    """Settings of Brain-Score's cross-validated regressions."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    stratify: str | Literal[False] | None = Field(
        default=None, description="stimulus column that splits are stratified by; default object_name, false: none"
    )
    kfold: bool = Field(default=False, description="ten folds that test every stimulus once, in place of ten draws")
    inner_folds: int = Field(
        default=3, ge=2, description="folds of each split's training stimuli on which a layer is chosen"
    )


class PlsSettings(CrossValidationSettings):
    """Settings of ``pls``, ``brainscore-pls`` and ``brainscore-reverse-pls``."""

    n_components: int = Field(default=25, ge=1, description="components; at most as many as there are features")


class FixedSplitSettings(BaseModel):
    """Settings of ``brainscore-ridgecv-split``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    split_column: str | None = Field(
        default=None, description="stimulus column with the words train and test; default split"
    )


def published_splits(rows: Rows, settings: CrossValidationSettings) -> tuple[list[Split], dict[str, str]]:
    """The published splits of the rows, and how they were drawn."""
    by = "" if rows.labels is None else f" stratified by {settings.stratify or STRATA}"
    how = f"{N_SPLITS} folds" if settings.kfold else f"{N_SPLITS} draws of {TRAIN_SIZE:.0%} training stimuli"
    splits = brainscore_splits(len(rows.stimulus_id), rows.labels, kfold=settings.kfold)
    return splits, {"splits": f"{how}{by or ', not stratified'}, random_state {SEED}"}


# --- regressions ------------------------------------------------------------------------------------------------------


def _blocks(layer: Activations, stimulus_id: Sequence[str]) -> Iterator[Array]:
    return layer.blocks(stimulus_id, max(1, BLOCK_VALUES // max(1, len(stimulus_id))))


def _with_means(found: Iterator[Array], responses: Array, splits: Sequence[Split]) -> Iterator[Predicted]:
    for split, deviation in zip(splits, found, strict=True):
        yield Predicted(deviation, responses[split.train].mean(axis=0))


class PlsRegression(Regression):
    """Partial least squares with scikit-learn's stopping rule."""

    def __init__(self, n_components: int, device: str) -> None:
        self.n_components, self.device = n_components, device

    def prepare(self, layer: Activations, stimulus_id: Sequence[str]) -> Any:
        """Centred units, or a factor of their Gram matrix where there are more units than stimuli."""
        n_stimuli = len(stimulus_id)
        features = compact_features(_blocks(layer, stimulus_id), n_stimuli, layer.n_units, self.device)
        return features, min(self.n_components, layer.n_units)

    def predict(
        self, prepared: Any, responses: Array, splits: Sequence[Split], *, inner: bool = False
    ) -> Iterator[Predicted]:
        """With as many components as there are units, and within training stimuli as these allow."""
        features, n_components = prepared
        if inner:
            n_components = min(n_components, min(len(split.train) for split in splits) - 1)
        found = pls_predictions(features, responses, splits, n_components, self.device)
        for split, part in zip(splits, found, strict=True):
            facts = {"n_components_found": part.n_found}
            yield Predicted(part.deviation, responses[split.train].mean(axis=0), facts, part.training_role)

    def predict_permuted(
        self, prepared: Any, responses: Array, rows: Array, splits: Sequence[Split], *, inner: bool = False
    ) -> Iterator[Array]:
        """All orders of the responses advance together, one component at a time."""
        features, n_components = prepared
        if inner:
            n_components = min(n_components, min(len(split.train) for split in splits) - 1)
        return permuted_pls(features, responses, rows, splits, n_components, self.device)

    def facts(self, layer: Activations) -> dict[str, float]:
        """How many components are asked for: never more than units."""
        return {"n_components": min(self.n_components, layer.n_units)}


class FixedRidgeRegression(Regression):
    """Ridge regression with alpha 1: over units, or over stimuli where there are more units than these."""

    def prepare(self, layer: Activations, stimulus_id: Sequence[str]) -> Any:
        """Centred units, or their Gram matrix."""
        n_stimuli = len(stimulus_id)
        if layer.n_units > n_stimuli:
            return ridge_dual, gram_matrix(_blocks(layer, stimulus_id), n_stimuli)
        return ridge_primal, compact_features(_blocks(layer, stimulus_id), n_stimuli, layer.n_units)

    def predict(
        self, prepared: Any, responses: Array, splits: Sequence[Split], *, inner: bool = False
    ) -> Iterator[Predicted]:
        """One solution per split."""
        del inner
        method, of_layer = prepared
        return _with_means(method(of_layer, responses, splits), responses, splits)


class LinearRegression(Regression):
    """Least squares, of least norm where there are more units than training stimuli."""

    def prepare(self, layer: Activations, stimulus_id: Sequence[str]) -> Any:
        """Centred units, or a factor of their Gram matrix."""
        return compact_features(_blocks(layer, stimulus_id), len(stimulus_id), layer.n_units)

    def predict(
        self, prepared: Any, responses: Array, splits: Sequence[Split], *, inner: bool = False
    ) -> Iterator[Predicted]:
        """One solution per split."""
        del inner
        return _with_means(least_squares(prepared, responses, splits), responses, splits)


class BestUnitRegression(Regression):
    """The one unit that correlates best over the training stimuli."""

    def prepare(self, layer: Activations, stimulus_id: Sequence[str]) -> Any:
        """Nothing: units are read in blocks, once for all splits."""
        layer.rows(stimulus_id)
        return layer, stimulus_id

    def predict(
        self, prepared: Any, responses: Array, splits: Sequence[Split], *, inner: bool = False
    ) -> Iterator[Predicted]:
        """The unit itself, nothing fitted to it; 0 where no unit correlates."""
        del inner
        for best in best_units(_blocks(*prepared), responses, splits):
            yield Predicted(np.where(best.unit < 0, 0.0, best.values), 0.0)


class SearchedRidgeRegression(Regression):
    """Ridge regression with one of 99 alphas, the same for all neuroids."""

    def prepare(self, layer: Activations, stimulus_id: Sequence[str]) -> Any:
        """The Gram matrix."""
        return gram_matrix(_blocks(layer, stimulus_id), len(stimulus_id))

    def predict(
        self, prepared: Any, responses: Array, splits: Sequence[Split], *, inner: bool = False
    ) -> Iterator[Predicted]:
        """With the alpha of the smallest leave-one-out error over the training stimuli."""
        del inner
        for split in splits:
            deviation, place = searched_ridge(prepared, responses, split)
            at_bound = int(place == len(CROSS_VALIDATED_ALPHAS) - 1) - int(place == 0)
            facts = {"alpha": float(np.log10(CROSS_VALIDATED_ALPHAS[place])), "alpha_at_bound": at_bound}
            yield Predicted(deviation, responses[split.train].mean(axis=0), facts)


# --- metrics ----------------------------------------------------------------------------------------------------------


class _CrossValidated(MetricPlugin):
    """A regression on Brain-Score's ten splits."""

    schema: ClassVar[type[CrossValidationSettings]] = CrossValidationSettings

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Average repetitions, draw the published splits, and estimate the ceiling.

        Raises
        ------
        SettingsError
            Settings that are not valid, or a seed other than 0.
        DataError
            No responses, or too few stimuli for the splits.
        """
        chosen = check_settings(self.schema, settings, self.card.id)
        refuse_seed(seed, self.card.id)
        on_device(np.zeros(1), device)  # a device that is not there is refused here
        rows = brainscore_rows(target, stratify=chosen.stratify, metric=self.card.id)
        responses = responses_of(target, self.card.id)
        splits, attrs = published_splits(rows, chosen)
        return RegressionComparison(
            rows,
            stimulus_order(responses),
            splits,
            self.regression(chosen, device),
            ceiling=internal_consistency(responses),
            inner_folds=chosen.inner_folds,
            attrs=attrs,
            preparation=preparation,
        )

    @abstractmethod
    def regression(self, settings: CrossValidationSettings, device: str) -> Regression:
        """What predicts."""


class Pls(_CrossValidated):
    """Brain-Score's ``pls``."""

    schema = PlsSettings

    def regression(self, settings: CrossValidationSettings, device: str) -> Regression:
        """Partial least squares, on the device."""
        assert isinstance(settings, PlsSettings)
        return PlsRegression(settings.n_components, device)


class FixedRidge(_CrossValidated):
    """Brain-Score's ``ridge``."""

    def regression(self, settings: CrossValidationSettings, device: str) -> Regression:
        """Ridge with alpha 1, on the CPU."""
        del settings, device
        return FixedRidgeRegression()


class Linear(_CrossValidated):
    """Brain-Score's ``linear_predictivity``."""

    def regression(self, settings: CrossValidationSettings, device: str) -> Regression:
        """Least squares, on the CPU."""
        del settings, device
        return LinearRegression()


class NeuronToNeuron(_CrossValidated):
    """Brain-Score's ``neuron_to_neuron``."""

    def regression(self, settings: CrossValidationSettings, device: str) -> Regression:
        """The best unit, on the CPU."""
        del settings, device
        return BestUnitRegression()


class ReversePls(MetricPlugin):
    """Brain-Score's ``reverse_pls``."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Average repetitions; splits are drawn on the rows of the model.

        Raises
        ------
        SettingsError
            Settings that are not valid, or a seed other than 0.
        DataError
            No responses.
        """
        chosen = check_settings(PlsSettings, settings, self.card.id)
        refuse_seed(seed, self.card.id)
        on_device(np.zeros(1), device)
        rows = brainscore_rows(target, stratify=chosen.stratify, metric=self.card.id)
        canonical = stimulus_order(responses_of(target, self.card.id))
        n_components = min(chosen.n_components, rows.values.shape[1])
        return ReverseComparison(
            rows, canonical, n_components, kfold=chosen.kfold, device=device, preparation=preparation
        )


class RidgeCvSplit(MetricPlugin):
    """Brain-Score's ``ridgecv_split``."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Average repetitions and read the fixed split; the CPU does it, whatever the device.

        Raises
        ------
        SettingsError
            Settings that are not valid, a column that does not exist, or a seed other than 0.
        DataError
            No responses, words other than train and test, or too few stimuli in one of the parts.
        """
        del device
        chosen = check_settings(FixedSplitSettings, settings, self.card.id)
        refuse_seed(seed, self.card.id)
        rows = brainscore_rows(target, metric=self.card.id)
        responses = responses_of(target, self.card.id)
        split, how = split_of_rows(target, responses, rows, chosen.split_column)
        return RegressionComparison(
            rows,
            stimulus_order(responses),
            [split],
            SearchedRidgeRegression(),
            ceiling=internal_consistency(responses),
            attrs={"splits": how},
            preparation=preparation,
        )


def split_of_rows(
    target: Dataset | xr.DataArray, responses: xr.DataArray, rows: Rows, column: str | None
) -> tuple[Split, str]:
    """Training and test stimuli as a column of the stimuli says, and how they were found.

    Without a column ``split``, and none named, they are those of the first of Brain-Score's ten draws.

    Raises
    ------
    SettingsError
        The named column does not exist.
    DataError
        Words other than train and test, or fewer than three stimuli in one of the parts.
    """
    canonical = stimulus_order(responses)
    try:
        labels = labels_of(target, responses, column or "split", canonical)
    except SettingsError:
        if column is not None:
            raise
        split = brainscore_splits(len(rows.stimulus_id), rows.labels)[0]
        return split, "no column split: the first of Brain-Score's ten draws"
    of_stimulus = dict(zip(canonical, labels, strict=True))
    split = fixed_split([of_stimulus[name] for name in rows.stimulus_id], column or "split")
    return split, f"fixed, column {column or 'split'}"
