"""``identity``: a model's output unit that is named after a neuroid against that neuroid; nothing is fitted.

For networks that were trained to give responses: their outputs are predictions already. All stimuli are test stimuli,
so that none of them may have been among those that the network was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from isocortex.activations import Activations
from isocortex.data import Dataset
from isocortex.errors import AlignmentError, DataError, shorten
from isocortex.interfaces import Comparison, MetricPlugin, Preparation, Split, check_settings
from isocortex.typing import Array
from isocortex_metrics.encoding.linear_comparison import LinearComparison, NoiseCorrection
from isocortex_metrics.numerics.correlation import pearson
from isocortex_metrics.numerics.explained import explained_variance, mean_squared_error
from isocortex_metrics.target.responses import responses_of
from isocortex_metrics.target.splits import MIN_TEST

if TYPE_CHECKING:
    import xarray as xr


class IdentitySettings(BaseModel):
    """Settings of ``identity``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    noise_correction: Literal["ratio-of-aggregates", "per-neuroid", "none"] = Field(
        default="ratio-of-aggregates", description="how r2_corrected is made where stimuli were repeated"
    )


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
        """Average repetitions and estimate the ceiling; there is nothing to draw and nothing for a device to do.

        Raises
        ------
        SettingsError, DataError
            Settings that are not valid, no responses, fewer than three stimuli, or a ceiling that they do not allow.
        """
        del seed, device
        chosen = check_settings(IdentitySettings, settings, self.card.id)
        return IdentityComparison(responses_of(target, self.card.id), chosen.noise_correction, preparation)


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
    """Outputs of a model against one set of responses, over all stimuli.

    Parameters
    ----------
    responses
        Dims ("presentation", "neuroid"), checked; repetitions are averaged.
    noise_correction, preparation
        As for ``LinearComparison``.
    """

    error_kind = "bootstrap standard deviation"

    def __init__(
        self,
        responses: xr.DataArray,
        noise_correction: NoiseCorrection = "ratio-of-aggregates",
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(responses, [], noise_correction=noise_correction, preparation=preparation)
        if self.n_stimuli < MIN_TEST:
            raise DataError(f"A correlation needs at least {MIN_TEST} stimuli; found {self.n_stimuli}.")
        everything = np.arange(self.n_stimuli)
        self.splits = [Split(everything[:0], everything)]
        self.n_neuroids_total = self.n_neuroids_total or len(self.neuroid["neuroid_id"])

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Compare the outputs with the responses.

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
        output = _columns(layer, self.stimulus_id, units)
        response = self.responses[:, known]
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
            coords={**self.neuroid.isel(neuroid=known).coords, "test_stimulus": ("test", np.arange(self.n_stimuli))},
            attrs={
                "layer": layer.layer,
                "noise_correction": self.noise_correction,
                "neuroids": f"{len(known)} of {len(self.neuroid['neuroid_id'])}",
            },
        )

    def _widening(self) -> float:
        return 1.0  # nothing was trained on what is drawn


def _columns(layer: Activations, order: Sequence[str], units: Array) -> Array:
    """Values (n_stimuli, n_columns) float64 of some units; the layer is read block by block."""
    found = np.empty((len(order), len(units)))
    first = 0
    for block in layer.blocks(order):
        inside = (units >= first) & (units < first + block.shape[1])
        found[:, inside] = block[:, units[inside] - first]
        first += block.shape[1]
    return found
