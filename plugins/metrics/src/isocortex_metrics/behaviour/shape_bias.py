"""``shape-bias``: where the shape of one thing has the texture of another, how often does the shape decide?

Geirhos et al. 2019, doi:10.48550/arXiv.1811.12231: decisions for the shape over decisions for the shape or the texture,
pooled over all stimuli whose shape and texture differ. A mean over the categories of shapes is another number, and has
another name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from isocortex.activations import Activations
from isocortex.data import Dataset
from isocortex.errors import DataError
from isocortex.interfaces import Comparison, MetricPlugin, Preparation, Resampled, check_settings
from isocortex.scoring import by_blocks, draw_counts, over_participants
from isocortex.typing import Array
from isocortex_metrics.behaviour.accuracy import first_choice_credit
from isocortex_metrics.behaviour.readout import ReadoutSettings, choice_outputs, divide
from isocortex_metrics.behaviour.trials import Trials, trials_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from isocortex_metrics.behaviour.readout import Division


# --- pure functions ---------------------------------------------------------------------------------------------------


def shape_bias(shape: Array, texture: Array) -> Array:
    """Decisions for the shape over those for the shape or the texture: S / (S + T).

    Parameters
    ----------
    shape, texture
        S and T, any shape.

    Returns
    -------
    In [0, 1]; NaN where nothing was decided for either.

    Examples
    --------
    >>> shape_bias(np.array([3.0, 0.0]), np.array([1.0, 0.0])).tolist()
    [0.75, nan]
    """
    decided = shape + texture
    return np.where(decided > 0, shape / np.where(decided > 0, decided, 1.0), np.nan)


def category_mean(shape: Array, texture: Array, category: Sequence[str]) -> float:
    """Mean over categories of the shape bias within each; a category in which nothing was decided is left out.

    Parameters
    ----------
    shape, texture
        (n_stimuli,): decisions for either.
    category
        (n_stimuli,): of the shape.

    Examples
    --------
    >>> category_mean(np.array([1.0, 1, 0]), np.array([0.0, 0, 1]), ["cat", "cat", "dog"])
    0.5
    """
    _, number = np.unique(np.asarray(category), return_inverse=True)
    sums = (np.bincount(number, weights=decisions) for decisions in (shape, texture))
    return float(over_participants(shape_bias(*sums)))


# --- the metric -------------------------------------------------------------------------------------------------------


class ShapeBiasSettings(BaseModel):
    """Settings of ``shape-bias``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    shape: str = Field(default="truth", description="column of stimuli or trials with the category of the shape")
    texture: str = Field(default="texture", description="column with the category of the texture")
    readout: ReadoutSettings | None = Field(
        default=None, description="fit probabilities of the choices on features; default: units are the choices"
    )


class ShapeBias(MetricPlugin):
    """Share of decisions for the shape among those for shape or texture."""

    def against(
        self,
        target: Dataset | pd.DataFrame | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Look up the categories of shapes and textures, and how people decided; the CPU does it.

        Raises
        ------
        SettingsError, DataError
            Settings that are not valid, stimuli without a category, or none whose shape and texture differ.
        """
        del device, seed
        chosen = check_settings(ShapeBiasSettings, settings, self.card.id)
        trials = trials_of(target, self.card.id)
        return ShapeBiasComparison(trials, divide(trials, chosen.readout), chosen, preparation)


class ShapeBiasComparison(Comparison):
    """A model's decisions for shapes and textures, beside those of people.

    Parameters
    ----------
    trials
        Of all stimuli.
    division
        Which stimuli are tested, and which a readout is fitted on.
    settings
        Which columns there are, and how choices are made.
    preparation
        As for ``Comparison``.
    """

    statistic = "shape_bias"
    ceiling_modes = ()
    aggregates = ("median-mean",)

    def __init__(
        self,
        trials: Trials,
        division: Division,
        settings: ShapeBiasSettings,
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(preparation)
        tested = trials.only(division.test)
        shapes, textures = tested.of_stimuli(settings.shape), tested.of_stimuli(settings.texture)
        ids = [name for name, shape, texture in zip(tested.ids, shapes, textures, strict=True) if shape != texture]
        if not ids:
            raise DataError(
                f"No stimulus of {trials.where} has another {settings.texture!r} than {settings.shape!r}: there is "
                "nothing to decide between. Expected stimuli whose shape and texture are of different categories."
            )
        n_alike = len(shapes) - len(ids)
        self.division = division.testing(ids)
        self.warnings = self.division.warnings
        if n_alike:
            self.warnings += (
                f"{n_alike} of {len(shapes)} stimuli of {trials.where} have one category as {settings.shape!r} and "
                f"{settings.texture!r}: they are no conflict, and shape-bias leaves them out.",
            )
        conflicts = tested.only(ids)
        self.readout = settings.readout
        self.n_stimuli = len(ids)
        self.shapes, self.textures = conflicts.of_stimuli(settings.shape), conflicts.of_stimuli(settings.texture)
        self.people = self._of_people(conflicts) if trials.has("choice") else {}

    def _of_people(self, trials: Trials) -> dict[str, float]:
        """What people decided: pooled over all trials, and as a mean over observers where they are known."""
        choice, rows = trials.column("choice"), trials.rows
        shape, texture = (
            (choice == np.array(names, dtype=object)[rows]).astype(np.float64) for names in (self.shapes, self.textures)
        )
        found = {
            "human_shape_bias_pooled": float(shape_bias(shape.sum(), texture.sum())),
            "human_decided": float((shape + texture).mean()),
        }
        if trials.has("subject"):
            _, subject = np.unique(trials.column("subject").astype(str), return_inverse=True)
            sums = (np.bincount(subject, weights=decisions) for decisions in (shape, texture))
            found["human_shape_bias"] = float(over_participants(shape_bias(*sums)))
        return found

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Count one layer's decisions for shapes and textures.

        The decision is the choice whose unit has the largest output; between ties it is drawn at random, and the
        expectation over the draws is counted.

        Returns
        -------
        shape_bias () pooled over stimuli; decided (), shape and texture (): shares of stimuli that were decided for
        either, and for each; shape_bias_category_mean (); human_shape_bias (mean over observers),
        human_shape_bias_pooled and human_decided () where the trials have choices; prediction ("stimulus", "cue"):
        probabilities of deciding for the shape and for the texture.

        Raises
        ------
        AlignmentError
            A stimulus has no activations.
        DataError
            Units that are not named after the categories.
        """
        import xarray as xr

        layer = activations if isinstance(activations, Activations) else Activations.from_xarray(activations)
        outputs = choice_outputs(layer, self.division, self.readout)
        shape, texture = (first_choice_credit(outputs, names) for names in (self.shapes, self.textures))
        found: dict[str, Any] = {
            "shape_bias": ((), float(shape_bias(shape.sum(), texture.sum()))),
            "decided": ((), float((shape + texture).mean())),
            "shape": ((), float(shape.mean())),
            "texture": ((), float(texture.mean())),
            "shape_bias_category_mean": ((), category_mean(shape, texture, self.shapes)),
            **{name: ((), value) for name, value in self.people.items()},
            "prediction": (("stimulus", "cue"), np.stack([shape, texture], axis=1)),
        }
        coordinates = {"cue": ["shape", "texture"], "stimulus_id": ("stimulus", list(self.division.test))}
        return xr.Dataset(found, coords=coordinates, attrs={"layer": layer.layer, "target": "pooled"})

    def resample(self, scores: xr.Dataset, n_draws: int, seed: int) -> Resampled | None:
        """Bootstrap over stimuli."""
        if "prediction" not in scores or scores.attrs.get("measure", self.statistic) != self.statistic:
            return None
        decided = scores["prediction"].values.astype(np.float64)
        drawn = by_blocks(lambda some: some @ decided, draw_counts(self.n_stimuli, n_draws, seed, "stimuli"))
        found = shape_bias(drawn[:, 0], drawn[:, 1])
        return None if np.isnan(found).all() else Resampled(found, "stimuli")
