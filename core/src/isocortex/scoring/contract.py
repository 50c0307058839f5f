"""What scoring knows of a metric that is prepared for a target: what is asked of it, its ceiling, and its rules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from isocortex.catalogue.cards import BenchmarkCard, LayerRule

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.activations.layer import Activations
    from isocortex.scoring.summary import Summary
    from isocortex.typing import Array


KEEPABLE = ("prediction", "alpha", "training_r2")  # beside scores; "alpha" stands for "alpha_at_bound" too


@dataclass(frozen=True)
class Ceiling:
    """How well the best model could do, on the statistic and target that it belongs to.

    Attributes
    ----------
    estimator
        Name of the procedure, shown beside the value.
    statistic
        The statistic that it bounds ("r", "rho", …).
    value
        Per neuroid or per subject as a DataArray, or one number; None where only a band is known.
    lower, upper
        The band of an RDM ceiling; drawn, never a divisor.
    """

    estimator: str
    statistic: str
    value: xr.DataArray | float | None = None
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class Rules:
    """How raw scores become a summary; from the benchmark's card and the run."""

    measure: str | None = None
    ceiling_mode: str = "none"
    layer_rule: LayerRule = field(default_factory=LayerRule)
    summary_by: tuple[str, ...] = ()
    n_draws: int = 1000
    seed: int = 0

    @classmethod
    def of(cls, card: BenchmarkCard, seed: int) -> Rules:
        """The rules that a benchmark declares."""
        return cls(card.measure, card.ceiling_mode, card.layer_rule, card.summary_by, seed=seed)


class Contract(ABC):
    """What is asked of a comparison, and what others may ask it; `isocortex.scoring.comparison` has the defaults."""

    #: the statistic that ``value`` is, and the name of its variable in the scores
    statistic: ClassVar[str] = "r"
    #: the variable that ``value`` is made of, where its name is another
    measure: ClassVar[str | None] = None
    #: modes that fit the ceiling; one that is a reliability and no r takes "r2_over_c" or "r_over_c_squared"
    ceiling_modes: ClassVar[tuple[str, ...]] = ("r_over_sqrt_c",)
    #: what ``error`` is, where ``resample`` gives draws
    error_kind: ClassVar[str] = "bootstrap standard deviation"
    ceiling: Ceiling | None = None
    rules: Rules = Rules()
    #: number of stimuli that are compared, and of neuroids before any selection, where that is known
    n_stimuli: int = 0
    n_neuroids_total: int | None = None
    #: what is kept beside the scores; the rest need not be computed
    keep: tuple[str, ...] = KEEPABLE
    #: activations of the models that the benchmark names as baselines, one entry per layer
    baselines: Mapping[str, Activations] = MappingProxyType({})
    #: regions of a metric whose scores have no neuroids; the scores hold theirs along the dim "part" as "part_NAME"
    parts: Mapping[str, Contract] = MappingProxyType({})

    @abstractmethod
    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Compare one layer with the target."""

    @abstractmethod
    def score_all(self, layers: Mapping[str, Activations]) -> xr.Dataset:
        """Compare all layers and choose the one that is read out."""

    def resample(self, scores: xr.Dataset, n_draws: int, seed: int) -> tuple[Array, str] | None:
        """Bootstrap the value: (n_draws,) draws and what was resampled ("stimuli", "stimuli × participants").

        ``scores`` may be restricted to some of the neuroids. None: this metric has no interval.
        """
        del scores, n_draws, seed
        return None

    @abstractmethod
    def summarise(self, scores: xr.Dataset) -> Summary:
        """Reduce raw scores to one row."""
