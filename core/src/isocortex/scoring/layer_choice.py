"""Scoring layers one by one, and choosing the one that is read out without looking at the test.

Choice is nested: within each split, the layer with the best ``selection`` (a criterion computed on that split's
training stimuli alone) is read out on that split's test stimuli, separately for every unit of choice. Layers of equal
content count once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from isocortex.errors import DataError, LayerError, SettingsError, shorten
from isocortex.files.digests import digest_of
from isocortex.scoring.contract import FOR_DRAWS
from isocortex.scoring.stats import aggregate, subject_codes
from isocortex.typing import Array

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.activations.layer import Activations
    from isocortex.scoring.contract import Contract, Rules

    _Layer = TypeVar("_Layer", Activations, "LayerOfSplits")

#: large arrays, which are kept of the layers that are read out alone
_OF_CHOSEN = ("prediction", *FOR_DRAWS)


class LayerOfSplits:
    """One layer of networks that were trained for one split each: activations of all stimuli, split by split."""

    def __init__(self, of_splits: Sequence[Activations]) -> None:
        self.of_splits = of_splits

    @property
    def digest(self) -> str:
        """Digest over the contents of all."""
        return digest_of([layer.digest for layer in self.of_splits])

    @property
    def units(self) -> Sequence[str] | None:
        """Names of the units, the same for all."""
        return self.of_splits[0].units

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was found odd in any of them, each once."""
        return tuple(dict.fromkeys(text for layer in self.of_splits for text in layer.warnings))


def score_trained(comparison: Contract, layers: Mapping[str, LayerOfSplits]) -> xr.Dataset:
    """As ``score_layers``, of networks that were trained for one split each: each is tested in its own split alone."""

    def score(layer: LayerOfSplits) -> xr.Dataset:
        splits = zip(layer.of_splits, comparison.splits, strict=True)
        return over_splits([comparison.score_split(own, split) for own, split in splits])

    return _score_layers(comparison, layers, score)


def score_layers(comparison: Contract, layers: Mapping[str, Activations]) -> xr.Dataset:
    """Score layers one by one along a new dim "layer" and choose the one that is read out.

    Memory: the scores of all layers, and of the chosen layers alone ``prediction`` and ``influence``.
    """
    return _score_layers(comparison, layers, comparison.score)


def _score_layers(
    comparison: Contract, layers: Mapping[str, _Layer], score: Callable[[_Layer], xr.Dataset]
) -> xr.Dataset:
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
        scored = score(activations)
        readout.offer(index, scored)
        scores.append(scored.drop_vars(_OF_CHOSEN, errors="ignore"))
    found = readout.add_to(along_layers(scores, list(layers)), n_searched=len(first_with))
    said = _said_of_twins(list(layers), twins)
    return found.assign_attrs(identical_layers=said) if said else found


def _said_of_twins(names: Sequence[str], twins: Sequence[int]) -> str:
    """A sentence about layers of equal content; empty where there are none."""
    same = [
        f"{name} (as {names[twin]})"
        for index, (name, twin) in enumerate(zip(names, twins, strict=True))
        if twin < index
    ]
    number = "layer holds" if len(same) == 1 else "layers hold"
    return f"{len(same)} {number} the same values as an earlier one and counted once: {shorten(same)}." if same else ""


def along_layers(scores: Sequence[xr.Dataset], names: Sequence[str]) -> xr.Dataset:
    """Scores of several layers along the dim "layer"; they meet by ``neuroid_id``, and participants by ``subject``.

    Raises
    ------
    DataError
        Layers whose neuroids or participants are others, or in another order.
    """
    import xarray as xr

    for name, found in zip(names, scores, strict=True):
        for dim, label in (("neuroid", "neuroid_id"), ("subject", "subject")):
            expected, own = (_labels(item, dim, label) for item in (scores[0], found))
            if expected != own:
                raise DataError(_differ(label, (names[0], expected), (name, own)))
    dim = xr.Variable("layer", list(names))
    return xr.concat(list(scores), dim=dim, coords="minimal", compat="override", join="override")


def _labels(scores: xr.Dataset, dim: str, label: str) -> list[str]:
    known = label in scores.coords and scores[label].dims == (dim,)
    return list(map(str, scores[label].values)) if known else []


def _differ(label: str, first: tuple[str, list[str]], other: tuple[str, list[str]]) -> str:
    (name, expected), (other_name, found) = first, other
    apart = set(expected) ^ set(found)
    if not apart:
        moved = [one for one, two in zip(expected, found, strict=False) if one != two]
        return (
            f"Layers {name!r} and {other_name!r} have the same {label}s in another order, from {shorten(moved)} on. "
            "Scores of all layers must name them in one order."
        )
    return (
        f"Layers {name!r} and {other_name!r} were scored on different {label}s: {len(expected)} and {len(found)}, of "
        f"which {shorten(sorted(apart))} are in one only. Score such layers separately (--layers)."
    )


def over_splits(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """Scores of single splits along the dim "split"; what a shorter one lacks of "test" is NaN.

    Examples
    --------
    >>> import xarray as xr
    >>> over_splits([xr.Dataset({"r": 0.1}), xr.Dataset({"r": 0.3})])["r"].values.tolist()
    [0.1, 0.3]
    """
    import xarray as xr

    longest = max(part.sizes.get("test", 0) for part in parts)
    padded = [part.pad(test=(0, longest - part.sizes["test"])) if "test" in part.dims else part for part in parts]
    return xr.concat(padded, dim="split", coords="minimal", compat="override", join="override")


def collapsed(values: xr.DataArray, how: str = "median-mean") -> xr.DataArray:
    """Mean over "split" and "subject"; over "neuroid" the aggregate within each participant, then their mean.

    Other dims stay; NaN is left out.

    Examples
    --------
    >>> import xarray as xr
    >>> values = xr.DataArray([[1.0, 2.0, 6.0]], dims=("layer", "neuroid"))
    >>> collapsed(values).values.tolist(), collapsed(values, "mean-mean").values.tolist()
    ([2.0], [3.0])
    """
    dims = [dim for dim in ("split", "subject") if dim in values.dims]
    averaged = values.mean(None if len(dims) == values.ndim else dims) if dims else values
    if "neuroid" not in averaged.dims:
        return averaged
    along = averaged.transpose(..., "neuroid")
    return along.isel(neuroid=0, drop=True).copy(data=aggregate(along.values, codes_of(values), how=how))


def as_layered(comparison: Contract, scores: xr.Dataset) -> xr.Dataset:
    """Scores of a single layer in the shape that ``score_layers`` gives."""
    if "layer" in scores.dims:
        return scores
    readout = _Readout(comparison)
    readout.offer(0, scores)
    whole = scores.drop_vars(_OF_CHOSEN, errors="ignore").expand_dims(layer=[str(scores.attrs.get("layer", "layer"))])
    return readout.add_to(whole, n_searched=1)


class _Readout:
    """Running choice over layers that are offered one by one."""

    def __init__(self, comparison: Contract) -> None:
        self.rules = comparison.rules
        self.measure = measure_of(comparison)
        self.sign = -1.0 if self.measure in comparison.smaller_is_better else 1.0
        self.best: Array | None = None
        self.chosen: Array | None = None
        self.arrays: dict[str, xr.DataArray] = {}

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
            self.arrays = {name: scores[name].copy() for name in _OF_CHOSEN if name in scores}
            return
        if criterion.shape != self.best.shape:
            raise DataError(f"Layers were scored on different shapes: {criterion.shape} after {self.best.shape}.")
        better = criterion > self.best
        self.best = np.where(better, criterion, self.best)
        self.chosen = np.where(better, index, self.chosen)
        self._take_arrays(scores, better)

    def _criterion(self, scores: xr.Dataset) -> Array:
        """(n_splits, n_neuroids) aggregated over each unit of choice, or one number where nothing is nested."""
        if "selection" not in scores:
            measure = scores[self.measure]
            if "neuroid" in measure.dims:
                codes = codes_of(measure)
                values = measure.mean([dim for dim in measure.dims if dim != "neuroid"]).values
                return self.sign * np.asarray(aggregate(values, codes, how=self.rules.aggregate))
            return np.asarray(self.sign * float(measure.mean()))
        selection = scores["selection"]
        return unit_criterion(selection.transpose("split", "neuroid").values, selection, self.rules)

    def _take_arrays(self, scores: xr.Dataset, better: Array) -> None:
        if not better.any():
            return
        for name in self.arrays.keys() & set(map(str, scores.data_vars)):
            if better.ndim == 0:
                self.arrays[name] = scores[name].copy()
                continue
            # (n_splits, n_test | n_stimuli, n_neuroids)
            current = self.arrays[name].transpose("split", ..., "neuroid")
            offered = scores[name].transpose("split", ..., "neuroid").values
            np.copyto(current.values, offered, where=better[:, None, :])
            self.arrays[name] = current

    def add_to(self, whole: xr.Dataset, n_searched: int) -> xr.Dataset:
        """Scores of all layers with ``chosen``, ``readout``, what is kept of these, and how the choice was made."""
        import xarray as xr

        assert self.chosen is not None
        nested = "selection" in whole
        chosen = xr.DataArray(self.chosen, dims=("split", "neuroid") if nested else ())
        rule = (
            "single layer" if n_searched == 1 else f"nested by {self.rules.layer_rule.unit}" if nested else "optimistic"
        )
        added = {"chosen": chosen, "readout": read_out(whole[self.measure], chosen), **self.arrays}
        return whole.assign(added).assign_attrs(layer_rule=rule, n_layers_searched=n_searched, measure=self.measure)


def measure_of(comparison: Contract) -> str:
    """Name of the variable of the scores that the value is made of: the benchmark's, or else the metric's."""
    return comparison.rules.measure or comparison.measure or comparison.statistic


def source_of(comparison: Contract, scores: xr.Dataset, measure: str) -> xr.DataArray:
    """The variable of the scores that a measure is made of."""
    name = comparison.made_of.get(measure, measure)
    return scores[name if name in scores else measure]


def read_out(variable: xr.DataArray, chosen: xr.DataArray) -> xr.DataArray:
    """Values of a variable with dim "layer" at the chosen layers."""
    return variable.isel(layer=chosen).drop_vars("layer", errors="ignore")


def codes_of(data: xr.DataArray) -> Array:
    """Participant of each neuroid as a number; pooled data are one participant."""
    subjects = data["subject"].values if "subject" in data.coords and "neuroid" in data["subject"].dims else None
    return subject_codes(subjects, data.sizes["neuroid"])


def unit_criterion(selection: Array, like: xr.DataArray, rules: Rules) -> Array:
    """Selection (…, n_neuroids), aggregated over each unit of choice and given to all neuroids of it.

    ``like`` has the coordinates of the neuroids.
    """
    units = _unit_codes(like, rules.layer_rule.unit)
    if units is None:
        return selection
    subjects = codes_of(like)
    criterion = np.empty_like(selection)
    for unit in range(int(units.max()) + 1):
        inside = units == unit
        local = subject_codes(subjects[inside], int(inside.sum()))
        criterion[..., inside] = np.asarray(aggregate(selection[..., inside], local, how=rules.aggregate))[..., None]
    return criterion


def _unit_codes(data: xr.DataArray, unit: str) -> Array | None:
    if unit == "neuroid":
        return None
    if unit == "region" and "region" in data.coords:
        return subject_codes(data["region"].values, data.sizes["neuroid"])
    return np.zeros(data.sizes["neuroid"], dtype=np.intp)
