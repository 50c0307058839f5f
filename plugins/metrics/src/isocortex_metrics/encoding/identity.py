"""``identity``: a model's output unit that is named after a neuroid against that neuroid; nothing is fitted.

For networks that were trained to give responses: their outputs are predictions already. Unless a scheme is set, all
stimuli are test stimuli, so that none of them may have been among those that the network was trained on. With a scheme
there are splits: a network that learns here is trained on the training part of each and tested on its test part, and
any other is tested there as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from isocortex.activations import Activations
from isocortex.data import Dataset
from isocortex.errors import AlignmentError, DataError, shorten
from isocortex.interfaces import Comparison, MetricPlugin, Preparation, Split, check_settings
from isocortex.scoring import MIN_TEST
from isocortex.typing import Array
from isocortex_metrics.encoding.linear_comparison import WIDENED, LinearComparison, NoiseCorrection
from isocortex_metrics.numerics.correlation import pearson
from isocortex_metrics.numerics.explained import explained_variance, mean_squared_error
from isocortex_metrics.target.responses import responses_of
from isocortex_metrics.target.splits import SplitSettings, columns_of, draw_splits

if TYPE_CHECKING:
    import xarray as xr


#: every stimulus is tested once
EVERYTHING = "all"


class IdentitySettings(SplitSettings):
    """Settings of ``identity``."""

    scheme: str = Field(
        default=EVERYTHING,
        description="all: every stimulus is tested; or as for ridge: k-fold, leave-one-group-out, fixed",
    )
    noise_correction: Literal["ratio-of-aggregates", "per-neuroid", "none"] = Field(
        default="ratio-of-aggregates", description="how r2_corrected is made where stimuli were repeated"
    )

    @field_validator("scheme")
    @classmethod
    def _known(cls, value: str) -> str:
        return value if value == EVERYTHING else super()._known(value)

    @model_validator(mode="after")
    def _splits_are_asked_for(self) -> Self:
        unused = sorted(self.model_fields_set & (set(SplitSettings.model_fields) - {"scheme"}))
        if self.scheme == EVERYTHING and unused:
            raise ValueError(f"{', '.join(unused)} say how stimuli are split, which they are with a scheme alone")
        return self


class Identity(MetricPlugin):
    """Outputs against the neuroids that they are named after."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Average repetitions, estimate the ceiling and draw the splits; there is nothing for a device to do.

        Raises
        ------
        SettingsError, DataError
            Settings that are not valid, no responses, fewer than three stimuli, or a ceiling that they do not allow.
        """
        del device
        chosen = check_settings(IdentitySettings, settings, self.card.id)
        responses = responses_of(target, self.card.id)
        splits = [] if chosen.scheme == EVERYTHING else draw_splits(target, responses, chosen, seed)
        comparison = IdentityComparison(responses, splits, chosen.noise_correction, preparation)
        comparison.split_columns = columns_of(target, chosen)
        return comparison


def match_units(units: Sequence[str] | None, neuroid_id: Sequence[str], layer: str) -> tuple[Array, Array]:
    """Places of the units that are named after a neuroid, and of those neuroids, in the order of the neuroids.

    Raises
    ------
    DataError
        Units without names, or two of one name.
    AlignmentError
        No unit has the name of a neuroid.

    Examples
    --------
    >>> [places.tolist() for places in match_units(["b", "x", "a"], ["a", "b", "c"], "output")]
    [[2, 0], [0, 1]]
    """
    if units is None:
        raise DataError(
            f"identity compares units with the neuroids that they are named after, but the units of layer {layer!r} "
            "have no names. Name the model's outputs (LayerOutput.units; in a DataArray the coordinate 'neuroid_id'), "
            "pick the output layer with --layers, or use ridge."
        )
    place = {name: number for number, name in enumerate(units)}
    known = [number for number, name in enumerate(neuroid_id) if name in place]
    twice = sorted({name for number, name in enumerate(units) if place[name] != number} & set(neuroid_id))
    if twice:
        raise DataError(f"Layer {layer!r} has {len(twice)} unit names twice: {shorten(twice)}. Names must be unique.")
    if not known:
        raise AlignmentError(
            f"None of {len(units)} units of layer {layer!r} ({shorten(units, 3)}) is named after one of "
            f"{len(neuroid_id)} neuroids ({shorten(neuroid_id, 3)}). Was the model made for another data set?"
        )
    return np.array([place[neuroid_id[number]] for number in known]), np.array(known)


class IdentityComparison(LinearComparison):
    """Outputs of a model against one set of responses, over the test stimuli of every split.

    Parameters
    ----------
    responses
        Dims ("presentation", "neuroid"), checked; repetitions are averaged.
    splits
        Empty: all stimuli are tested, in one split without a training part.
    noise_correction, preparation
        As for ``LinearComparison``.
    """

    def __init__(
        self,
        responses: xr.DataArray,
        splits: Sequence[Split] = (),
        noise_correction: NoiseCorrection = "ratio-of-aggregates",
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(responses, splits, noise_correction=noise_correction, preparation=preparation)
        if self.n_stimuli < MIN_TEST:
            raise DataError(f"A correlation needs at least {MIN_TEST} stimuli; found {self.n_stimuli}.")
        everything = np.arange(self.n_stimuli)
        self.splits = list(splits) or [Split(everything[:0], everything)]
        self.error_kind = WIDENED if self._trains else "bootstrap standard deviation"
        self.n_neuroids_total = self.n_neuroids_total or len(self.neuroid["neuroid_id"])

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Compare the outputs with the responses.

        Returns
        -------
        As ``score_split``; with splits every variable has the dim "split" in front.
        """
        return super().score(activations) if self._trains else self.score_split(activations, self.splits[0])

    def score_split(self, activations: Activations | xr.DataArray, split: Split) -> xr.Dataset:
        """Compare the outputs with the responses to the test stimuli of one split.

        Returns
        -------
        r, r2 (sign(r) r²), explained_variance, mse, null and, with repetitions, r2_corrected, all ("neuroid",), of the
        neuroids that have an output (the attribute ``neuroids`` says how many of how many); prediction ("test",
        "neuroid") with the coordinate test_stimulus where ``keep`` names it.

        Raises
        ------
        DataError, AlignmentError
            Units without names, none with the name of a neuroid, a stimulus without activations.
        """
        import xarray as xr

        layer = activations if isinstance(activations, Activations) else Activations.from_xarray(activations)
        units, known = match_units(layer.units, [str(name) for name in self.neuroid["neuroid_id"].values], layer.layer)
        output = _columns(layer, [self.stimulus_id[place] for place in split.test], units)
        response = self.responses[np.ix_(split.test, known)]
        r, null = pearson(output, response)
        found = {
            "r": r,
            **self.squared(r, known),
            "explained_variance": explained_variance(output, response),
            "mse": mean_squared_error(output, response),
            "null": null,
        }
        variables: dict[str, Any] = {name: ("neuroid", values) for name, values in found.items()}
        if "prediction" in self.keep:
            variables["prediction"] = (("test", "neuroid"), output)
        return xr.Dataset(
            variables,
            coords={**self.neuroid.isel(neuroid=known).coords, "test_stimulus": ("test", split.test)},
            attrs={
                "layer": layer.layer,
                "noise_correction": self.noise_correction,
                "neuroids": f"{len(known)} of {len(self.neuroid['neuroid_id'])}",
                **(self.split_columns if self._trains else {}),
            },
        )

    @property
    def _trains(self) -> bool:
        return any(len(split.train) for split in self.splits)

    def _widening(self) -> float:
        return super()._widening() if self._trains else 1.0  # nothing was trained on what is drawn


def _columns(layer: Activations, order: Sequence[str], units: Array) -> Array:
    """Values (n_stimuli, n_columns) float64 of some units; the layer is read block by block."""
    found = np.empty((len(order), len(units)))
    first = 0
    for block in layer.blocks(order):
        inside = (units >= first) & (units < first + block.shape[1])
        found[:, inside] = block[:, units[inside] - first]
        first += block.shape[1]
    return found
