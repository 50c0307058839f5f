"""From raw scores to rows of a table: aggregation, interval, ceiling, and the context that belongs to a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from isocortex.errors import SettingsError
from isocortex.scoring.layer_choice import as_layered, codes_of, read_out
from isocortex.scoring.stages import Stage, nested_stage
from isocortex.scoring.stats import aggregate, interval
from isocortex.typing import Array

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.scoring.contract import Contract


#: ceiling mode → ceiled value; "r_over_sqrt_c" takes a ceiling on r itself (√c), the others a reliability c
CEILED: dict[str, Callable[[float, float], float]] = {
    "r_over_sqrt_c": lambda value, ceiling: value / ceiling,
    "r2_over_c": lambda value, ceiling: value**2 / ceiling,
    "r_over_c_squared": lambda value, ceiling: (value / ceiling) ** 2,
}


def summarise(comparison: Contract, scores: xr.Dataset) -> Summary:
    """Reduce raw scores to one row; scores may be restricted to the neuroids of a region.

    Splits are averaged per neuroid, neuroids within a participant give their median, participants their mean.

    Raises
    ------
    SettingsError
        A ceiling mode that is unknown or does not fit.
    """
    scores = as_layered(comparison, scores)
    measure = str(scores.attrs["measure"])
    readout = scores["readout"]
    value = _number(_collapse(readout))
    lower, upper, ceiling, estimator = _ceiling(comparison, readout, measure)
    return Summary(
        statistic=statistic_of(comparison, measure),
        target=_target(scores, readout),
        value=value,
        ceiling=ceiling,
        ceiling_lower=lower,
        ceiling_upper=upper,
        ceiling_estimator=estimator,
        ceiled=ceiled(comparison, value, ceiling),
        layer_rule=str(scores.attrs["layer_rule"]),
        n_layers_searched=int(scores.attrs["n_layers_searched"]),
        stage=nested_stage(scores),
        n_stimuli=comparison.n_stimuli,
        also=_further(scores, measure),
        **_interval(comparison, scores),
        **_layer_fields(scores, measure),
        **_counts(scores, readout, comparison),
    )


def by_region(comparison: Contract, scores: xr.Dataset) -> dict[str, Summary]:
    """One summary for each value of the coordinates that the benchmark names in ``summary_by``; "" is no region."""
    found = {
        name: comparison.summarise(scores.isel(neuroid=places))
        for name, places in region_rows(scores, comparison.rules.summary_by).items()
    }
    for place, (name, part) in enumerate(comparison.parts.items()):
        found[name] = part.summarise(_part_of(scores, place))
    return found


def region_rows(data: xr.Dataset | xr.DataArray, summary_by: Sequence[str]) -> dict[str, Array]:
    """Places of the neuroids of each row of a result: regions, or ``coordinate=region`` where several are named.

    Examples
    --------
    >>> import xarray as xr
    >>> data = xr.DataArray(np.zeros(3), dims="neuroid", coords={"region": ("neuroid", ["A1", "", "A1"])})
    >>> {name: places.tolist() for name, places in region_rows(data, ["region"]).items()}
    {'A1': [0, 2]}
    """
    found: dict[str, Array] = {}
    names = [name for name in summary_by if name in data.coords and data[name].dims == ("neuroid",)]
    for name in names:
        values = data[name].values.astype(str)
        for group in filter(None, dict.fromkeys(values.tolist())):
            found[group if len(names) == 1 else f"{name}={group}"] = np.flatnonzero(values == group)
    return found


def _part_of(scores: xr.Dataset, place: int) -> xr.Dataset:
    """Scores of one part, under the names that those of the whole have."""
    inside = [str(name) for name, values in scores.data_vars.items() if "part" in values.dims]
    own = {name.removeprefix("part_"): scores[name].isel(part=place, drop=True) for name in inside}
    return scores.drop_dims("part").assign(own)


def _collapse(values: xr.DataArray) -> float:
    if "neuroid" in values.dims:
        per_neuroid = values.mean([dim for dim in values.dims if dim != "neuroid"]).values
        return float(aggregate(per_neuroid, codes_of(values)))
    return float(values.mean())


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _target(scores: xr.Dataset, readout: xr.DataArray) -> str:
    if "target" in scores.attrs:
        return str(scores.attrs["target"])
    return "participant" if "subject" in readout.coords else "pooled"


def _interval(comparison: Contract, scores: xr.Dataset) -> dict[str, Any]:
    drawn = comparison.resample(scores, comparison.rules.n_draws, comparison.rules.seed)
    if drawn is None:
        return {}
    draws, resampled = drawn
    low, high = interval(draws)
    return {
        "draws": [float(draw) for draw in draws],
        "error": _number(float(np.nanstd(draws, ddof=1))),
        "error_kind": comparison.error_kind,
        "interval_low": _number(low),
        "interval_high": _number(high),
        "resampled": resampled,
    }


def _ceiling(
    comparison: Contract, readout: xr.DataArray, measure: str
) -> tuple[float | None, float | None, float | None, str]:
    ceiling = comparison.ceiling
    if ceiling is None or ceiling.statistic != statistic_of(comparison, measure):
        return None, None, None, "none"
    return ceiling.lower, ceiling.upper, _ceiling_number(ceiling.value, readout), ceiling.estimator


def _ceiling_number(value: xr.DataArray | float | None, readout: xr.DataArray) -> float | None:
    """Collapse a ceiling as the value is collapsed; neuroids meet by name."""
    if value is None:
        return None
    dims = getattr(value, "dims", ())
    if "neuroid" not in dims:
        return _number(float(np.asarray(value).mean()))
    known = dict(zip(value["neuroid_id"].values, value.values, strict=True))  # pyright: ignore[reportIndexIssue, reportAttributeAccessIssue]
    per_neuroid = np.array([known.get(name, np.nan) for name in readout["neuroid_id"].values])
    return _number(float(aggregate(per_neuroid, codes_of(readout))))


def statistic_of(comparison: Contract, measure: str) -> str:
    """The statistic that a measure is: its own name, unless it is the metric's own measure."""
    return comparison.statistic if measure == comparison.measure else measure


def ceiled(comparison: Contract, value: float | None, ceiling: float | None) -> float | None:
    """Relate a value to its ceiling as the benchmark asks; None where there is no ceiling above zero.

    Raises
    ------
    SettingsError
        The metric does not offer the benchmark's ceiling mode.
    """
    mode = comparison.rules.ceiling_mode
    if mode == "none":
        return None
    if mode not in comparison.ceiling_modes or mode not in CEILED:
        known = ", ".join(("none", *comparison.ceiling_modes))
        raise SettingsError(f"ceiling_mode {mode!r} is not offered by this metric. Known: {known}.")
    if value is None or ceiling is None or ceiling <= 0:
        return None
    return CEILED[mode](value, ceiling)


def _layer_fields(scores: xr.Dataset, measure: str) -> dict[str, Any]:
    names = [str(name) for name in scores["layer"].values]
    chosen = np.bincount(scores["chosen"].values.ravel(), minlength=len(names))
    shares = chosen / chosen.sum()
    curve = [
        LayerValue(
            name=name, value=_number(_collapse(scores[measure].isel(layer=index))), read_out=float(shares[index])
        )
        for index, name in enumerate(names)
    ]
    return {"best_layer": names[int(shares.argmax())], "layers": curve}


def _counts(scores: xr.Dataset, readout: xr.DataArray, comparison: Contract) -> dict[str, Any]:
    neuroids = readout.sizes.get("neuroid")
    subjects = readout["subject"].values if _target(scores, readout) == "participant" else None
    null = read_out(scores["null"], scores["chosen"]) if "null" in scores else None
    return {
        "n_subjects": None if subjects is None else len(set(map(str, np.atleast_1d(subjects)))),
        "n_neuroids": neuroids,
        "n_neuroids_total": comparison.n_neuroids_total or neuroids,
        "n_splits": readout.sizes.get("split"),
        "n_null": 0 if null is None else int(null.sum()),
    }


def _further(scores: xr.Dataset, measure: str) -> dict[str, float | None]:
    """Every other variable along "layer", at the chosen layers and collapsed as the value is."""
    known = {measure, "selection", "null", "training_r2"}
    further: dict[str, float | None] = {}
    for name, variable in scores.data_vars.items():
        if "layer" in variable.dims and str(name) not in known and np.issubdtype(variable.dtype, np.floating):
            further[str(name)] = _number(_collapse(read_out(variable, scores["chosen"])))
    return further


class LayerValue(BaseModel):
    """One point of the curve over layers; no layer was chosen for it."""

    model_config = ConfigDict(extra="forbid")
    name: str
    value: float | None
    read_out: float = Field(default=0.0, description="share of splits × neuroids in which this layer is read out")


class Summary(BaseModel):
    """A score with its context: never show ``value`` without ``statistic``, ``target`` and the counts."""

    model_config = ConfigDict(extra="forbid")
    statistic: str = Field(description="r, r2, r2_corrected, rho, …")
    target: str = Field(description="participant, group-mean or pooled")
    value: float | None
    error: float | None = None
    error_kind: str = "none"
    interval_low: float | None = Field(default=None, description="2.5 % of the draws")
    interval_high: float | None = Field(default=None, description="97.5 % of the draws")
    resampled: str = "none"
    ceiling: float | None = None
    ceiling_lower: float | None = None
    ceiling_upper: float | None = None
    ceiling_estimator: str = "none"
    ceiled: float | None = None
    layer_rule: str
    n_layers_searched: int
    best_layer: str
    layers: list[LayerValue] = Field(default_factory=list[LayerValue])
    stage: Stage | None = Field(default=None, description="depth of the best layer; none for a single layer")
    n_stimuli: int
    n_subjects: int | None = None
    n_neuroids: int | None = None
    n_neuroids_total: int | None = None
    n_splits: int | None = None
    n_null: int = 0
    also: dict[str, float | None] = Field(default_factory=dict, description="further measures, by name")
    draws: list[float] | None = Field(default=None, exclude=True, description="bootstrap draws; kept in scores.nc")
