"""Scoring layers one by one, and choosing the one that is read out without looking at the test.

Choice is nested: within each split, the layer with the best ``selection`` (a criterion computed on that split's
training stimuli alone) is read out on that split's test stimuli, separately for every unit of choice. Layers of equal
content count once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from isocortex.errors import DataError, LayerError, SettingsError, shorten
from isocortex.scoring.stats import aggregate, subject_codes
from isocortex.typing import Array

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.activations.layer import Activations
    from isocortex.scoring.contract import Contract


def score_layers(comparison: Contract, layers: Mapping[str, Activations]) -> xr.Dataset:
    """Score layers one by one along a new dim "layer" and choose the one that is read out.

    Memory: the scores of all layers, and ``prediction`` of the chosen layers only.
    """
    import xarray as xr

    if not layers:
        raise LayerError("There is no layer to score. 'isocortex info MODEL' lists the layers of a model.")
    first_with: dict[str, int] = {}
    twins = [first_with.setdefault(layer.digest, index) for index, layer in enumerate(layers.values())]
    if comparison.rules.layer_rule.choose == "none" and len(first_with) > 1:
        raise SettingsError(
            f"The benchmark chooses no layer, but {len(first_with)} were given. Pick one with --layers."
        )
    readout = _Readout(comparison)
    scores: list[xr.Dataset] = []
    for index, (activations, twin) in enumerate(zip(layers.values(), twins, strict=True)):
        if twin < index:
            scores.append(scores[twin])
            continue
        scored = comparison.score(activations)
        readout.offer(index, scored)
        scores.append(scored.drop_vars("prediction", errors="ignore"))
    whole = xr.concat(
        scores, dim=xr.Variable("layer", list(layers)), coords="minimal", compat="override", join="override"
    )
    return readout.add_to(whole, n_searched=len(first_with))


def as_layered(comparison: Contract, scores: xr.Dataset) -> xr.Dataset:
    """Scores of a single layer in the shape that ``score_layers`` gives."""
    if "layer" in scores.dims:
        return scores
    readout = _Readout(comparison)
    readout.offer(0, scores)
    whole = scores.drop_vars("prediction", errors="ignore").expand_dims(layer=[str(scores.attrs.get("layer", "layer"))])
    return readout.add_to(whole, n_searched=1)


class _Readout:
    """Running choice over layers that are offered one by one."""

    def __init__(self, comparison: Contract) -> None:
        self.rules = comparison.rules
        self.measure = measure_of(comparison)
        self.best: Array | None = None
        self.chosen: Array | None = None
        self.prediction: xr.DataArray | None = None

    def offer(self, index: int, scores: xr.Dataset) -> None:
        """Take a layer where it is better than those before."""
        if self.measure not in scores:
            raise SettingsError(
                f"The benchmark's measure {self.measure!r} is not among the scores "
                f"({shorten(map(str, scores.data_vars))})."
            )
        criterion = self._criterion(scores)
        criterion = np.where(np.isnan(criterion), -np.inf, criterion)
        if self.best is None or self.chosen is None:
            self.best, self.chosen = criterion, np.full(criterion.shape, index)
            self.prediction = scores["prediction"].copy() if "prediction" in scores else None
            return
        if criterion.shape != self.best.shape:
            raise DataError(f"Layers were scored on different shapes: {criterion.shape} after {self.best.shape}.")
        better = criterion > self.best
        self.best = np.where(better, criterion, self.best)
        self.chosen = np.where(better, index, self.chosen)
        self._take_prediction(scores, better)

    def _criterion(self, scores: xr.Dataset) -> Array:
        """(n_splits, n_neuroids) aggregated over each unit of choice, or one number where nothing is nested."""
        if "selection" not in scores:
            measure = scores[self.measure]
            if "neuroid" in measure.dims:
                codes = codes_of(measure)
                values = measure.mean([dim for dim in measure.dims if dim != "neuroid"]).values
                return np.asarray(aggregate(values, codes))
            return np.asarray(float(measure.mean()))
        selection = scores["selection"].transpose("split", "neuroid").values
        units = _unit_codes(scores["selection"], self.rules.layer_rule.unit)
        if units is None:
            return selection
        subjects = codes_of(scores["selection"])
        criterion = np.empty_like(selection)
        for unit in range(int(units.max()) + 1):
            inside = units == unit
            local = subject_codes(subjects[inside], int(inside.sum()))
            criterion[:, inside] = np.asarray(aggregate(selection[:, inside], local))[:, None]
        return criterion

    def _take_prediction(self, scores: xr.Dataset, better: Array) -> None:
        if self.prediction is None or "prediction" not in scores or not better.any():
            return
        if better.ndim == 0:
            self.prediction = scores["prediction"].copy()
            return
        current = self.prediction.transpose("split", "test", "neuroid")
        offered = scores["prediction"].transpose("split", "test", "neuroid").values
        np.copyto(current.values, offered, where=better[:, None, :])
        self.prediction = current

    def add_to(self, whole: xr.Dataset, n_searched: int) -> xr.Dataset:
        """Scores of all layers with ``chosen``, ``readout``, ``prediction`` and how the choice was made."""
        import xarray as xr

        assert self.chosen is not None
        nested = "selection" in whole
        chosen = xr.DataArray(self.chosen, dims=("split", "neuroid") if nested else ())
        rule = (
            "single layer" if n_searched == 1 else f"nested by {self.rules.layer_rule.unit}" if nested else "optimistic"
        )
        added = {"chosen": chosen, "readout": read_out(whole[self.measure], chosen)}
        if self.prediction is not None:
            added["prediction"] = self.prediction
        return whole.assign(added).assign_attrs(layer_rule=rule, n_layers_searched=n_searched, measure=self.measure)


def measure_of(comparison: Contract) -> str:
    """Name of the variable of the scores that the value is made of: the benchmark's, or else the metric's."""
    return comparison.rules.measure or comparison.measure or comparison.statistic


def read_out(variable: xr.DataArray, chosen: xr.DataArray) -> xr.DataArray:
    """Values of a variable with dim "layer" at the chosen layers."""
    return variable.isel(layer=chosen).drop_vars("layer", errors="ignore")


def codes_of(data: xr.DataArray) -> Array:
    """Participant of each neuroid as a number; pooled data are one participant."""
    subjects = data["subject"].values if "subject" in data.coords and "neuroid" in data["subject"].dims else None
    return subject_codes(subjects, data.sizes["neuroid"])


def _unit_codes(data: xr.DataArray, unit: str) -> Array | None:
    if unit == "neuroid":
        return None
    if unit == "region" and "region" in data.coords:
        return subject_codes(data["region"].values, data.sizes["neuroid"])
    return np.zeros(data.sizes["neuroid"], dtype=np.intp)
