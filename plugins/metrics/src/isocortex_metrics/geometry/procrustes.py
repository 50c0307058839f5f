"""``procrustes``: how alike are two clouds of stimuli once one is turned and scaled to fit the other?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from typing import TYPE_CHECKING

import numpy as np

from isocortex.activations import Activations
from isocortex.data import Dataset
from isocortex.errors import DataError
from isocortex.interfaces import Comparison, MetricPlugin, Preparation, check_settings
from isocortex.scoring import PermutedChoice, distinct_layers, growing_blocks, measure_of, optimistic_criterion
from isocortex.typing import Array
from isocortex_metrics.geometry.kernels import kernel_of
from isocortex_metrics.geometry.participants import Participants, participants_of
from isocortex_metrics.geometry.shape_distance import procrustes_similarities, procrustes_similarity, unit_factor
from isocortex_metrics.numerics.arrays import on_device
from isocortex_metrics.numerics.per_layer import PerLayer
from isocortex_metrics.target.responses import NoSettings, responses_of

if TYPE_CHECKING:
    import xarray as xr


#: bytes that permuted clouds may take
_CLOUD_BYTES = 256 * 1024**2
#: three points always make a flat cloud, which fits any other well
_MIN_STIMULI = 4


class Procrustes(MetricPlugin):
    """Similarity after the best rotation with each participant."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Average repetitions and bring each participant's cloud to size 1; nothing is drawn.

        Raises
        ------
        SettingsError, DataError
            Any setting, no responses, fewer than four stimuli, or responses that do not vary.
        """
        del seed
        check_settings(NoSettings, settings, self.card.id)
        people = participants_of(responses_of(target, self.card.id))
        return ProcrustesComparison(people, device, preparation)


class ProcrustesComparison(Comparison):
    """Clouds of participants; there is no bootstrap, because stimuli that are drawn twice raise the similarity.

    Parameters
    ----------
    people
        Mean responses of each participant.
    device
        Where products are formed.
    preparation
        As for ``Comparison``.
    """

    statistic = "procrustes"
    smaller_is_better = frozenset({"angle"})
    ceiling_modes = ()
    default_permutations = 999
    refits_permutations = False
    aggregates = ("median-mean",)

    def __init__(
        self,
        people: Participants,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(preparation)
        self.people, self.device = people, device
        self.n_stimuli = len(people.stimulus_id)
        if self.n_stimuli < _MIN_STIMULI:
            raise DataError(f"Procrustes needs at least {_MIN_STIMULI} stimuli; found {self.n_stimuli}.")
        factors = [unit_factor(values) for values in people.values]
        if not any(factor.any() for factor in factors):
            raise DataError(f"No response varies over the {self.n_stimuli} stimuli, so that there is no cloud of them.")
        self.brains = [on_device(factor, device) for factor in factors]

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Compare the cloud of one layer with each participant's.

        Returns
        -------
        procrustes ("subject",), from 0 to 1; angle: its arccos, in radians, a distance; null: where layer or
        participant does not vary, and procrustes is NaN.
        """
        import xarray as xr

        name, kernel = kernel_of(activations, self.people.stimulus_id, self.device)
        value = np.array([procrustes_similarity(kernel, brain) for brain in self.brains])
        found: dict[str, Array] = {"procrustes": value, "angle": np.arccos(value), "null": np.isnan(value)}
        return xr.Dataset(
            {key: ("subject", values) for key, values in found.items()},
            coords={"subject": list(self.people.names)},
            attrs={"layer": name, "target": self.people.target},
        )

    # --- chance -------------------------------------------------------------------------------------------------------

    def permuted(self, order: Array) -> ProcrustesComparison:
        """The clouds of the participants with their stimuli permuted."""
        other = copy(self)
        other.brains = [brain[order] for brain in self.brains]
        return other

    def permuted_readouts(self, layers: Mapping[str, Activations], orders: Array) -> Iterator[xr.DataArray]:
        """Kernels of layers stay; memory: those that 256 MB hold (others are made again), and 256 MB of clouds."""
        import xarray as xr

        if measure_of(self) != self.statistic:
            yield from super().permuted_readouts(layers, orders)
            return
        kernels = PerLayer(
            lambda layer: kernel_of(layer, self.people.stimulus_id, self.device)[1],
            list(distinct_layers(layers)),
            lambda kernel: 8 * len(kernel) ** 2,
        )
        widest = max(brain.shape[1] for brain in self.brains)
        for block in growing_blocks(orders, max(1, _CLOUD_BYTES // (8 * 3 * self.n_stimuli * widest))):
            choice = PermutedChoice()
            for kernel in kernels:
                found = [procrustes_similarities(kernel, brain[block]) for brain in self.brains]
                values = np.stack(found, axis=1)  # (n_permutations, n_participants)
                choice.offer(values, optimistic_criterion(values, None, self.rules))
            yield xr.DataArray(choice.values, dims=("draw", "subject"))
