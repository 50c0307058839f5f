"""A metric: a response is predicted by that to the stimulus that is nearest for the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from isocortex.activations import Activations
from isocortex.data import Dataset, averaged, check_responses, stimulus_order
from isocortex.errors import DataError
from isocortex.interfaces import Comparison, MetricPlugin, Preparation, check_settings

if TYPE_CHECKING:
    import xarray as xr


class NearestSettings(BaseModel):
    """Settings of ``example-nearest``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    distance: Literal["euclidean", "correlation"] = "euclidean"


def nearest_stimulus(features: NDArray[np.float64], distance: str) -> NDArray[np.intp]:
    """Give for each row of features (n_stimuli, n_units) the row that is nearest, itself left out."""
    if distance == "correlation" and features.shape[1] > 1:
        features = features - features.mean(axis=1, keepdims=True)
        norm = np.linalg.norm(features, axis=1, keepdims=True)
        features = features / np.where(norm > 0, norm, 1)
    square = (features**2).sum(axis=1)
    distances = square[:, None] + square - 2 * features @ features.T  # (n_stimuli, n_stimuli)
    np.fill_diagonal(distances, np.inf)
    return distances.argmin(axis=1)


def pearson(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlate the columns of two arrays (n_stimuli, n_neuroids); 0 where one is constant."""
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    norm = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    return np.where(norm > 0, (first * second).sum(axis=0) / np.where(norm > 0, norm, 1), 0.0)


class NearestComparison(Comparison):
    """Nearest neighbours against one set of responses."""

    statistic = "r"

    def __init__(self, responses: xr.DataArray, settings: NearestSettings, preparation: Preparation) -> None:
        super().__init__(preparation)
        self.stimulus_id = stimulus_order(responses)
        self.n_stimuli = len(self.stimulus_id)
        self.responses = averaged(responses)
        self.neuroid = responses.isel(presentation=0, drop=True)
        self.settings = settings

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Correlate the responses with those to the nearest stimulus: r ("neuroid",)."""
        import xarray as xr

        if not isinstance(activations, Activations):
            activations = Activations.from_xarray(activations)
        features = activations.array(self.stimulus_id).astype(np.float64)
        predicted = self.responses[nearest_stimulus(features, self.settings.distance)]
        r = ("neuroid", pearson(predicted, self.responses))
        return xr.Dataset({"r": r}, coords=self.neuroid.coords, attrs={"layer": activations.layer})


class Nearest(MetricPlugin):
    """Prediction by the nearest stimulus."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Average the repetitions."""
        del seed, device
        chosen = check_settings(NearestSettings, settings, self.card.id)
        if isinstance(target, Dataset) and target.responses is None:
            raise DataError(f"The metric {self.card.id!r} takes responses; {target.id!r} holds {target.kind}.")
        responses = target.responses if isinstance(target, Dataset) else check_responses("responses", target)
        assert responses is not None
        return NearestComparison(responses, chosen, preparation)
