"""Scores of participants of whom each was compared by itself, with features of its own, as scores of all together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING

import numpy as np

from isocortex.errors import DataError, SettingsError, shorten
from isocortex.files.digests import digest_of
from isocortex.scoring.contract import Resampled
from isocortex.scoring.layer_choice import measure_of
from isocortex.scoring.summary import region_rows
from isocortex.typing import Array

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.activations.layer import Activations
    from isocortex.scoring.comparison import Comparison


class LayerOfParticipants:
    """One layer of models of which each predicts one participant."""

    def __init__(self, of_participants: Mapping[str, Activations]) -> None:
        self.of_participants = of_participants

    @property
    def digest(self) -> str:
        """Digest over the contents of all."""
        return digest_of([[name, layer.digest] for name, layer in self.of_participants.items()])

    @property
    def units(self) -> Sequence[str] | None:
        """Features of different participants have no names in common."""
        return None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was found odd in any of them, each once."""
        return tuple(dict.fromkeys(text for layer in self.of_participants.values() for text in layer.warnings))


def scored_apart(
    whole: Comparison, parts: Mapping[str, Comparison], layers: Mapping[str, LayerOfParticipants]
) -> tuple[Comparison, xr.Dataset]:
    """Score every participant by its own comparison and layers, and put the scores together.

    Parameters
    ----------
    whole
        The comparison with all participants; it summarises.
    parts
        Name of a participant → the comparison with this one alone, drawn with the same seed.
    layers
        As ``score_all`` takes them, with one entry of ``parts`` each.

    Returns
    -------
    ``whole`` with the draws of the parts, where it cannot draw from the scores itself, and the scores: those of
    neuroids, participant by participant, or those of participants. ``participant_value``
    ("participant_row", "participant") is what the metric makes of each participant, the row "" that of the whole,
    others those of regions.

    Raises
    ------
    DataError
        The splits of a participant are others than those of the whole, or the metric gives no value of participants.
    SettingsError
        Several layers, of which the metric chooses one for everybody.
    """
    for name, part in parts.items():
        _refuse_other_splits(name, whole, part)
    found = {
        name: part.score_all({layer: own.of_participants[name] for layer, own in layers.items()})
        for name, part in parts.items()
    }
    merged = _together(measure_of(whole), list(found.values()), len(layers)).merge(_by_participant(parts, found))
    other = copy(whole)
    changed: dict[str, object] = {"stage": _no_stage}
    if "neuroid" not in merged.dims:
        values = merged["participant_value"].sel(participant_row="").values
        changed |= {"resample": _Draws(whole, parts, found, values), "parts": {}}
    vars(other).update(changed)
    return other, merged


def _refuse_other_splits(name: str, whole: Comparison, part: Comparison) -> None:
    same = len(whole.splits) == len(part.splits) and all(
        np.array_equal(mine.train, own.train) and np.array_equal(mine.test, own.test)
        for mine, own in zip(whole.splits, part.splits, strict=True)
    )
    if not same:
        raise DataError(
            f"The stimuli are split in another way for the participant {name} alone than for all together, so that "
            "their scores cannot stand side by side."
        )


def _together(measure: str, found: Sequence[xr.Dataset], n_layers: int) -> xr.Dataset:
    """Scores of several participants along "neuroid", or along "subject" where there are no neuroids."""
    import xarray as xr

    dims = [dim for dim in ("neuroid", "subject") if all(dim in one[measure].dims for one in found)]
    if not dims:
        raise DataError(
            f"This metric gives no {measure} of single participants, but one of all together: it cannot leave out of "
            "the features whoever is predicted. A benchmark whose row selects one participant can be scored so."
        )
    dim = dims[0]
    common = [name for name in found[0].data_vars if all(name in one and "part" not in one[name].dims for one in found)]
    kept = [name for name in common if all(dim in one[name].dims for one in found)]
    if "chosen" not in kept and n_layers > 1:
        raise SettingsError(
            "This metric chooses one layer for all neuroids of a participant, and participants would differ in it: "
            "pick one layer with --layers."
        )
    alone = [] if "chosen" in kept else ["chosen"]
    drop = ["prediction"] if dim == "subject" else []
    sides = [one[kept].drop_vars(drop, errors="ignore") for one in found]
    merged = xr.concat(
        sides,
        dim=dim,
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )
    merged = merged.assign({name: found[0][name] for name in alone})
    said = dict.fromkeys(str(one.attrs["identical_layers"]) for one in found if "identical_layers" in one.attrs)
    return merged.assign_attrs(identical_layers=shorten(said, 1)) if said else merged


def _by_participant(parts: Mapping[str, Comparison], found: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """The value of each participant, of the whole ("") and of each region; NaN for a region that somebody lacks."""
    import xarray as xr

    values: dict[str, dict[str, float]] = {"": {}}
    for name, part in parts.items():
        measure = measure_of(part)
        scores = part.layered(found[name])
        readout = part.readout_of(scores, measure)
        values[""][name] = float(part.collapse(readout, measure))
        places = region_rows(scores, part.rules.summary_by) if "neuroid" in readout.dims else {}
        for region, own in places.items():
            inside = part.collapse(readout.isel(neuroid=own), measure)
            values.setdefault(region, {})[name] = float(inside)
    table = [[of_row.get(name, np.nan) for name in parts] for of_row in values.values()]
    return xr.Dataset(
        {"participant_value": (("participant_row", "participant"), np.array(table))},
        coords={"participant_row": list(values), "participant": list(parts)},
    )


def _no_stage(scores: xr.Dataset) -> None:
    """Regions of a brain have no depth that is known."""
    del scores


class _Draws:
    """Bootstrap draws over stimuli of each participant, put together as the metric does it."""

    def __init__(
        self, whole: Comparison, parts: Mapping[str, Comparison], scores: Mapping[str, xr.Dataset], values: Array
    ) -> None:
        self.whole, self.parts, self.scores, self.values = whole, parts, scores, values

    def __call__(self, scores: xr.Dataset, n_draws: int, seed: int) -> Resampled | None:
        del scores
        drawn = [part.resample(self.scores[name], n_draws, seed) for name, part in self.parts.items()]
        known = [draws for draws in drawn if draws is not None]
        if len(known) < len(drawn):
            return None
        if len(known) == 1:
            return known[0]
        columns = np.stack([one.draws for one in known], axis=1)  # (n_draws, n_participants), over the same stimuli
        return self.whole.joined_draws(columns, self.values, seed)
