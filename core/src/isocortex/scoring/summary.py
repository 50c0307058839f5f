"""From raw scores to rows of a table: aggregation, interval, ceiling, and the context that belongs to a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from isocortex.display import Displayed, Shown, counted, number
from isocortex.errors import SettingsError
from isocortex.scoring.contract import of_neuroids
from isocortex.scoring.layer_choice import source_of
from isocortex.scoring.stages import Stage
from isocortex.scoring.stats import interval
from isocortex.typing import Array

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.scoring.contract import Contract, Resampled


#: ceiling mode → ceiled value; "r_over_sqrt_c" takes a ceiling on r itself (√c), the others a reliability c
CEILED: dict[str, Callable[[Any, float], Any]] = {
    "r_over_sqrt_c": lambda value, ceiling: value / ceiling,
    "r2_over_c": lambda value, ceiling: value**2 / ceiling,
    "r_over_c_squared": lambda value, ceiling: (value / ceiling) ** 2,
}


class LayerValue(BaseModel):
    """One point of the curve over layers; no layer was chosen for it."""

    model_config = ConfigDict(extra="forbid")
    name: str
    value: float | None
    read_out: float = Field(default=0.0, description="share of splits × neuroids in which this layer is read out")


class Summary(Displayed, BaseModel):
    """A score with its context: never show ``value`` without ``statistic``, ``target`` and the counts."""

    model_config = ConfigDict(extra="forbid")
    statistic: str = Field(description="r, r2, r2_corrected, rho, …")
    target: str = Field(description="participant, group-mean or pooled")
    better: Literal["higher", "lower"] = Field(default="higher", description="lower: value is an error or a distance")
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
    ceiled_low: float | None = Field(default=None, description="2.5 % of the draws, each related to the ceiling")
    ceiled_high: float | None = Field(default=None, description="97.5 % of the draws, each related to the ceiling")
    layer_rule: str
    n_layers_searched: int
    best_layer: str
    n_units: int | None = Field(default=None, description="of the layer that is read out; none where several are")
    dimensionality: float | None = Field(
        default=None, description="effective, of the layer that is read out, over the stimuli; none where several are"
    )
    layers: list[LayerValue] = Field(default_factory=list[LayerValue])
    stage: Stage | None = Field(default=None, description="depth of the best layer; none for a single layer")
    n_stimuli: int
    n_subjects: int | None = None
    n_neuroids: int | None = None
    n_neuroids_total: int | None = None
    n_splits: int | None = None
    n_null: int = 0
    permuted: str = Field(
        default="none", description="how stimuli were permuted: unrestricted, within COLUMN; none, or not offered"
    )
    chance: float | None = Field(default=None, description="mean of the value over permutations")
    chance_sd: float | None = Field(default=None, description="standard deviation of the value over permutations")
    calibrated: float | None = Field(default=None, description="value less chance")
    p: float | None = Field(default=None, description="one-sided, of the value among those of permutations")
    p_participants: float | None = Field(
        default=None,
        description="one-sided, of all sign flips of what participants have beyond chance; 2 to 12 of them",
    )
    n_permutations: int | None = Field(default=None, description="that p rests on")
    n_exceeding: int | None = Field(default=None, description="permutations that do at least as well")
    most_permutations: int | None = Field(default=None, description="B, that would have been made without an early end")
    ordinary: float | None = Field(
        default=None, description="under stricter splits: the value with others of its kind in as large a training set"
    )
    drop: float | None = Field(default=None, description="ordinary less value")
    drop_low: float | None = Field(default=None, description="2.5 % of the draws, paired over the same stimuli")
    drop_high: float | None = Field(default=None, description="97.5 % of the draws, paired over the same stimuli")
    also: dict[str, float | None] = Field(default_factory=dict, description="further measures, by name")
    draws: list[float] | None = Field(default=None, exclude=True, description="bootstrap draws; kept in scores.nc")

    def _shown(self) -> Shown:
        return Shown(f"Summary: {self.statistic} = {number(self.value)}, {self.target}", self.facts())

    def facts(self) -> dict[str, str]:
        """What belongs to the value, in words; an empty text where there is none."""
        ceiling = number(self.ceiling)
        if self.ceiling_lower is not None:
            ceiling = f"{number(self.ceiling_lower)} … {number(self.ceiling_upper)}"
        n_layers = counted(self.n_layers_searched, "layer")
        counts = [counted(self.n_stimuli, "stimulus", "stimuli")]
        counts += [f"{self.n_neuroids} of {self.n_neuroids_total} neuroids"] if self.n_neuroids is not None else []
        counts += [counted(n, word) for n, word in ((self.n_subjects, "subject"), (self.n_splits, "split")) if n]
        counts += [f"{self.n_null} null"] if self.n_null else []
        low, high = number(self.interval_low), number(self.interval_high)
        return {
            "95 % interval": "" if self.interval_low is None else f"{low} … {high}, over {self.resampled}",
            "ceiling": "" if self.ceiling_estimator == "none" else f"{ceiling} ({self.ceiling_estimator})",
            "ceiled": "" if self.ceiled is None else number(self.ceiled),
            "chance": "" if self.chance is None else self._of_chance(),
            "layer": f"{self.best_layer} ({self.layer_rule}, {n_layers})",
            "n": ", ".join(counts),
            "also": ", ".join(f"{name} {number(value)}" for name, value in self.also.items()),
        }

    def _of_chance(self) -> str:
        found = f"{number(self.chance)}, calibrated {number(self.calibrated)}, p = {_p_text(self.p)}"
        return f"{found} ({counted(self.n_permutations or 0, 'permutation')}, {self.permuted})"


#: fields that tell what permutations of the stimuli give
OF_NULL = (
    *("permuted", "chance", "chance_sd", "calibrated", "p", "p_participants"),
    *("n_permutations", "n_exceeding", "most_permutations"),
)


def _p_text(p: float | None) -> str:
    return "–" if p is None else f"{p:.3g}"


def summarise(comparison: Contract, scores: xr.Dataset) -> Summary:
    """Reduce raw scores to one row; scores may be restricted to the neuroids of a region.

    What is measured, and how it is collapsed, the comparison says; by default splits are averaged per neuroid,
    neuroids within a participant give their median, participants their mean.

    Raises
    ------
    SettingsError
        A ceiling mode that is unknown or does not fit.
    """
    scores = comparison.layered(scores)
    measure = str(scores.attrs["measure"])
    readout = comparison.readout_of(scores, measure)
    value = _number(comparison.collapse(readout, measure))
    ceiling = _ceiling(comparison, readout, measure)
    own = comparison.corrected(scores)
    drawn = comparison.resample(scores, comparison.rules.n_draws, comparison.rules.seed)
    return Summary(
        statistic=statistic_of(comparison, measure),
        target=_target(scores, readout),
        better="lower" if measure in comparison.smaller_is_better else "higher",
        value=value,
        ceiled=_ceiled(comparison, value, ceiling["ceiling"], own, measure),
        layer_rule=str(scores.attrs["layer_rule"]),
        n_layers_searched=int(scores.attrs["n_layers_searched"]),
        stage=comparison.stage(scores),
        n_stimuli=comparison.n_stimuli,
        also={
            name: _number(comparison.collapse(comparison.readout_of(scores, name), name))
            for name in comparison.further(scores)
        },
        **ceiling,
        **_interval(comparison, drawn, value, readout, measure),
        **({} if drawn is None or own is not None else _ceiled_interval(comparison, drawn, ceiling["ceiling"])),
        **_layer_fields(comparison, scores, measure),
        **_counts(comparison, scores, readout),
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


def _number(value: xr.DataArray | float) -> float | None:
    """One number, None where it is not defined; dims that nobody reduced are averaged."""
    found = float(value) if np.ndim(value) == 0 else float(value.mean())  # pyright: ignore[reportAttributeAccessIssue]
    return None if np.isnan(found) else found


def _target(scores: xr.Dataset, readout: xr.DataArray) -> str:
    """What the value stands for: as its variable says, or else the scores; of participants only where it has theirs."""
    of_people = "subject" in readout.coords
    named = readout.attrs.get("target", scores.attrs.get("target", "participant"))
    return str(named) if named != "participant" or of_people else "pooled"


def _interval(
    comparison: Contract, drawn: Resampled | None, value: float | None, readout: xr.DataArray, measure: str
) -> dict[str, Any]:
    """Error and interval: those of the draws, and in their place what the metric has of its own."""
    found: dict[str, Any] = {}
    if drawn is not None:
        draws = drawn.draws
        low, high = interval(_reaching(drawn))
        found = {
            "draws": [float(draw) for draw in draws],
            "error": _number(float(np.nanstd(draws, ddof=1))),
            "error_kind": drawn.error_kind or comparison.error_kind,
            "interval_low": _number(low),
            "interval_high": _number(high),
            "resampled": drawn.resampled,
        }
    spread = None if value is None else comparison.spread(readout, measure)
    if spread is not None:
        found |= {"error": _number(spread[0]), "error_kind": spread[1]}
    bounds = None if value is None else comparison.bounds(value, measure)
    if bounds is not None:
        found |= {"interval_low": bounds[0], "interval_high": bounds[1], "resampled": bounds[2]}
    return found


def _reaching(drawn: Resampled) -> Array:
    """The draws that the interval is made of."""
    return drawn.draws if drawn.reaching is None else drawn.reaching


def _ceiled_interval(comparison: Contract, drawn: Resampled, ceiling: float | None) -> dict[str, Any]:
    """2.5 % and 97.5 % of the draws, each related to the ceiling as the value is."""
    mode = comparison.rules.ceiling_mode
    if mode == "none" or ceiling is None or ceiling <= 0:
        return {}
    low, high = interval(CEILED[mode](_reaching(drawn), ceiling))
    return {"ceiled_low": _number(low), "ceiled_high": _number(high)}


def _ceiling(comparison: Contract, readout: xr.DataArray, measure: str) -> dict[str, Any]:
    """The ceiling of what is read out; neuroids meet by name."""
    ceiling = comparison.ceiling
    if ceiling is None or ceiling.statistic != statistic_of(comparison, measure):
        return {"ceiling": None}
    if "neuroid" in readout.dims and "neuroid_id" in readout.coords:
        ceiling = ceiling.among(readout["neuroid_id"].values)
    return {
        "ceiling": _ceiling_number(comparison, ceiling.value, readout, measure),
        "ceiling_lower": ceiling.lower,
        "ceiling_upper": ceiling.upper,
        "ceiling_estimator": ceiling.estimator,
    }


def _ceiling_number(
    comparison: Contract, value: xr.DataArray | float | None, readout: xr.DataArray, measure: str
) -> float | None:
    if value is None or not getattr(value, "dims", ()):
        return None if value is None else _number(value)
    along: xr.DataArray = value  # pyright: ignore[reportAssignmentType]
    if "neuroid" in along.dims:
        along = _alongside(along, readout)
    return _number(comparison.collapse(along, measure)) if along.size else None


def _alongside(value: xr.DataArray, readout: xr.DataArray) -> xr.DataArray:
    """A ceiling of some neuroids with the coordinates that these have in what is read out."""
    known = of_neuroids(readout, value["neuroid_id"].values)
    coordinates = {name: item for name, item in known.coords.items() if item.dims == ("neuroid",)}
    return value.reset_coords(drop=True).assign_coords(coordinates)


def statistic_of(comparison: Contract, measure: str) -> str:
    """The statistic that a measure is: its own name, unless it is the metric's own measure."""
    return comparison.statistic if measure == comparison.measure else measure


def _ceiled(
    comparison: Contract, value: float | None, ceiling: float | None, own: xr.DataArray | None, measure: str
) -> float | None:
    """A value related to its ceiling as the benchmark asks; None where there is no ceiling above zero.

    ``own`` are values that the metric has related to their ceilings itself.
    """
    mode = comparison.rules.ceiling_mode
    if mode != "none" and (mode not in comparison.ceiling_modes or (own is None and mode not in CEILED)):
        known = ", ".join(("none", *comparison.ceiling_modes))
        raise SettingsError(f"ceiling_mode {mode!r} is not offered by this metric. Known: {known}.")
    if own is not None:
        return _number(comparison.collapse(own, measure))
    if mode == "none" or value is None or ceiling is None or ceiling <= 0:
        return None
    return CEILED[mode](value, ceiling)


def _layer_fields(comparison: Contract, scores: xr.Dataset, measure: str) -> dict[str, Any]:
    names = [str(name) for name in scores["layer"].values]
    shares = comparison.shares(scores)
    along = source_of(comparison, scores, measure)
    curve = [
        LayerValue(
            name=name,
            value=_number(comparison.collapse(along.isel(layer=place, drop=True), measure)),
            read_out=float(shares[place]),
        )
        for place, name in enumerate(names)
    ]
    return {"best_layer": names[int(shares.argmax())], "layers": curve}


def _counts(comparison: Contract, scores: xr.Dataset, readout: xr.DataArray) -> dict[str, Any]:
    neuroids = readout.sizes.get("neuroid", comparison.n_neuroids)
    # a measure that has no value for each participant is made of all of them
    of_people = "participant" in (_target(scores, readout), scores.attrs.get("target"))
    people = (item for item in (readout, scores) if of_people and "subject" in item.coords)
    subjects = next((item["subject"].values for item in people), None)
    null = comparison.readout_of(scores, "null") if "null" in scores else None
    splits = [item.sizes.get("split") for item in (readout, scores["chosen"], null) if item is not None]
    return {
        "n_subjects": None if subjects is None else len(set(map(str, np.atleast_1d(subjects)))),
        "n_neuroids": neuroids,
        "n_neuroids_total": comparison.n_neuroids_total or neuroids,
        "n_splits": next(filter(None, splits), None),
        "n_null": 0 if null is None else int(null.sum()),
    }
