"""``cka``: are two kernels over the same stimuli aligned?

It is unbiased, per participant, and chooses among layers on halves of the stimuli.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from isocortex.activations import Activations
from isocortex.data import Dataset
from isocortex.errors import DataError
from isocortex.interfaces import Ceiling, Comparison, MetricPlugin, Preparation, Resampled, check_settings
from isocortex.scoring import as_layered, by_blocks, distinct_layers, draw_counts, measure_of, score_layers
from isocortex.typing import Array
from isocortex_metrics.geometry.dissimilarity import upper_triangle
from isocortex_metrics.geometry.kernels import (
    MIN_STIMULI,
    CentredKernel,
    alignment,
    centre,
    kernel_of,
    linear_kernel,
    participant_band,
)
from isocortex_metrics.geometry.layer_halves import HalvesChoice, halves
from isocortex_metrics.geometry.participants import OfParticipants, Participants, participants_of
from isocortex_metrics.geometry.permuted_kernels import PermutedKernels
from isocortex_metrics.numerics.arrays import on_device, to_numpy
from isocortex_metrics.numerics.draws import leaving_one_out, of_pairs
from isocortex_metrics.target.responses import responses_of

if TYPE_CHECKING:
    import xarray as xr


class CkaSettings(BaseModel):
    """Settings of ``cka``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    n_halvings: int = Field(
        default=10, ge=1, description="times the stimuli are halved; each half chooses a layer, the other tests it"
    )


class Cka(MetricPlugin):
    """Unbiased linear CKA with each participant."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Average repetitions, form each participant's kernel, and bound what can be reached.

        Raises
        ------
        SettingsError, DataError
            Settings that are not valid, no responses, fewer than four stimuli, or no participant whose responses have
            a geometry.
        """
        chosen = check_settings(CkaSettings, settings, self.card.id)
        people = participants_of(responses_of(target, self.card.id))
        return CkaComparison(people, chosen, seed, device, preparation)


class CkaComparison(OfParticipants):
    """Kernels of participants.

    Parameters
    ----------
    people
        Mean responses of each participant.
    settings
        How layers are chosen.
    seed
        Draws the halves.
    device
        Where kernels are formed.
    preparation
        As for ``Comparison``.
    """

    statistic = "cka"
    ceiling_modes = ()
    aggregates = ("median-mean",)
    default_permutations = 999
    refits_permutations = False

    def __init__(
        self,
        people: Participants,
        settings: CkaSettings,
        seed: int,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(preparation)
        self.stimulus_id, self.subjects, self.target = people.stimulus_id, list(people.names), people.target
        self.n_stimuli = len(self.stimulus_id)
        if self.n_stimuli < MIN_STIMULI:
            raise DataError(f"CKA needs at least {MIN_STIMULI} stimuli; found {self.n_stimuli}.")
        self.settings, self.seed, self.device = settings, seed, device
        self._ones = on_device(np.ones((1, self.n_stimuli)), device)
        kernels = (linear_kernel([values], self.n_stimuli, device=device) for values in people.values)
        self.brains = [centre(kernel, self._ones) for kernel in kernels]
        self._bound()

    def _bound(self) -> None:
        """The band of the participants that have a geometry."""
        valid = [brain for brain in self.brains if np.isfinite(to_numpy(brain.norm)[0])]
        if not valid:
            raise DataError(
                f"No response varies over the {self.n_stimuli} stimuli in a way that pairs of them share, so that "
                "nothing can be aligned with it. Are these the averaged responses that were meant?"
            )
        if len(valid) > 1:
            pairwise = np.array([[float(alignment(one, other)[0]) for other in valid] for one in valid])
            lower, upper = participant_band(pairwise)
            self.ceiling = Ceiling(
                "leave-one-participant-out, kernels of unit length averaged (after Nili et al. 2014)",
                self.statistic,
                lower=lower,
                upper=upper,
            )

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Align the kernel of one layer with each participant's.

        Returns
        -------
        cka ("subject",), signed; null ("subject",): where the layer or the participant has no geometry that could be
        aligned, and cka is NaN; prediction ("pair",): the layer's kernel above the diagonal.
        """
        import xarray as xr

        name, kernel = kernel_of(activations, self.stimulus_id, self.device)
        found = self._aligned(kernel, self._ones, self.brains)[0]
        variables = {"cka": ("subject", found), "null": ("subject", np.isnan(found))}
        if "prediction" in self.keep:
            variables["prediction"] = ("pair", _pairs(kernel))
        return xr.Dataset(variables, coords={"subject": self.subjects}, attrs={"layer": name, "target": self.target})

    def _aligned(self, kernel: Any, weights: Any, brains: list[CentredKernel]) -> Array:
        """CKA (n_draws, n_participants)."""
        layer = centre(kernel, weights)
        return np.stack([to_numpy(alignment(layer, brain)) for brain in brains], axis=1)

    def score_all(self, layers: Mapping[str, Activations]) -> xr.Dataset:
        """Align every layer, and choose on each half of the stimuli the layer that is read out on the other half.

        Returns
        -------
        As ``score``, along "layer", and test and selection ("layer", "split", "subject"): cka on the half that tests
        and on the half that chooses; chosen ("split",); readout ("split", "subject"); prediction ("readout_layer",
        "pair") of the layers that are read out. A single layer is read out on all stimuli at once; so is the best one
        where there are fewer than eight stimuli, which is marked optimistic.
        """
        if not self._nests(layers):
            return score_layers(self, layers)
        inside = halves(self.n_stimuli, self.settings.n_halvings, self.seed, MIN_STIMULI)
        weights = on_device(np.concatenate([np.ones((1, self.n_stimuli)), inside.astype(np.float64)]), self.device)
        brains = [centre(brain.kernel, weights) for brain in self.brains]
        choice = HalvesChoice(inside)
        for name, layer in layers.items():
            choice.offer(name, layer.digest, partial(self._halved, layer, weights, brains))
        return choice.scores(self.statistic, self.subjects, {"target": self.target})

    def _halved(
        self, layer: Activations, weights: Any, brains: list[CentredKernel]
    ) -> tuple[Array, Callable[[], Array] | None]:
        kernel = kernel_of(layer, self.stimulus_id, self.device)[1]
        keep = partial(_pairs, kernel) if "prediction" in self.keep else None
        return self._aligned(kernel, weights, brains), keep

    def _nests(self, layers: Mapping[str, Activations]) -> bool:
        """Whether a layer is chosen on halves of the stimuli."""
        many = len({layer.digest for layer in layers.values()}) > 1 and self.n_stimuli >= 2 * MIN_STIMULI
        return many and self.rules.layer_rule.choose != "none" and measure_of(self) == self.statistic

    # --- chance -------------------------------------------------------------------------------------------------------

    def permuted(self, order: Array) -> CkaComparison:
        """Rows and columns of the participants' kernels permuted; nothing is kept beside the scores."""
        other = self.keeping()
        kernels = (to_numpy(brain.kernel)[np.ix_(order, order)] for brain in self.brains)
        other.brains = [centre(on_device(kernel, self.device), self._ones) for kernel in kernels]
        return other

    def permuted_readouts(self, layers: Mapping[str, Activations], orders: Array) -> Iterator[xr.DataArray]:
        """Layers are centred once, in all and in each half; a permutation gathers the entries of the brains."""
        if measure_of(self) != self.statistic:
            return super().permuted_readouts(layers, orders)
        inside = None
        if self._nests(layers):
            inside = halves(self.n_stimuli, self.settings.n_halvings, self.seed, MIN_STIMULI)
        kernels = PermutedKernels([to_numpy(brain.kernel) for brain in self.brains], inside, self._kernel)
        return kernels.pairs().readouts(list(distinct_layers(layers)), orders)

    def _kernel(self, layer: Activations) -> Array:
        return to_numpy(kernel_of(layer, self.stimulus_id, self.device)[1])

    # --- interval and value -------------------------------------------------------------------------------------------

    def resample(self, scores: xr.Dataset, n_draws: int, seed: int) -> Resampled | None:
        """Bootstrap over stimuli and participants; a stimulus that is drawn twice makes no pair with itself.

        Where a layer was chosen, draws of the layers that are read out, on all stimuli, weigh as often as they are read
        out and are moved to the value; the choice is not repeated. With several participants their spread is corrected
        (``crossed_draws``).
        """
        if "prediction" not in scores or scores.attrs.get("measure", self.statistic) != self.statistic:
            return None
        counts = draw_counts(self.n_stimuli, n_draws, seed, "stimuli")
        pairs = scores["prediction"].values.reshape(-1, scores.sizes["pair"])
        shares = scores["readout_share"].values if "readout_share" in scores.coords else np.ones(1)
        draw = partial(self._moved, pairs, shares)
        readout = as_layered(self, scores)["readout"]
        values = (readout.mean("split") if "split" in readout.dims else readout).values
        left_out = by_blocks(draw, leaving_one_out(self.n_stimuli))
        draws = of_pairs(by_blocks(draw, counts) + values, values, left_out + values, choice_stays=len(pairs) > 1)
        return self.joined_draws(draws, values, seed)

    def _moved(self, pairs: Array, shares: Array, counts: Array) -> Array:
        """(n_draws, n_participants): how far the value of a draw lies from that of the whole sample."""
        weights = on_device(np.concatenate([np.ones((1, self.n_stimuli)), counts]), self.device)
        brains = [centre(brain.kernel, weights) for brain in self.brains]
        found = sum(
            share * self._aligned(on_device(_square(row, self.n_stimuli), self.device), weights, brains)
            for share, row in zip(shares, pairs, strict=True)
        )
        assert isinstance(found, np.ndarray)
        return found[1:] - found[0]

    def further(self, scores: xr.Dataset) -> Sequence[str]:
        """As any metric, but what the halves test is the value."""
        return [name for name in super().further(scores) if name != "test"]


def _pairs(kernel: Any) -> Array:
    return upper_triangle(to_numpy(kernel))


def _square(pairs: Array, n_stimuli: int) -> Array:
    """The symmetric matrix with the given entries above its diagonal, and 0 on it."""
    matrix = np.zeros((n_stimuli, n_stimuli))
    matrix[~np.tri(n_stimuli, dtype=bool)] = pairs
    return matrix + matrix.T
