"""What scoring knows of a metric that is prepared for a target: what is asked of it, its ceiling, and its rules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from isocortex.catalogue.cards import Aggregate, BenchmarkCard, CeilingName, LayerRule
from isocortex.scoring.stats import DRAWS, draw_counts, over_participants
from isocortex.typing import Array

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.activations.layer import Activations
    from isocortex.scoring.mapping import LinearMapping
    from isocortex.scoring.stages import Stage
    from isocortex.scoring.summary import Summary


KEEPABLE = ("prediction", "alpha", "training_r2")  # beside scores
#: what draws are made of beside the prediction; never written
FOR_DRAWS = ("influence",)
#: what goes with it, of a metric that has it
KEPT_WITH: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "alpha": ("alpha_at_bound",),
        "training_r2": ("prediction_std", "training_prediction_std", "response_std", "training_response_std"),
    }
)


class Split(NamedTuple):
    """Places of training and test stimuli in the canonical order, each ascending."""

    train: Array
    test: Array


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

    def among(self, neuroid_ids: Sequence[str] | Array) -> Ceiling:
        """The ceiling of some neuroids, in that order and met by name; of a name that it does not know there is none.

        A ceiling that is not made of neuroids is the same for all of them.

        Examples
        --------
        >>> import xarray as xr
        >>> value = xr.DataArray([0.5, 0.9], dims="neuroid", coords={"neuroid_id": ("neuroid", ["a", "b"])})
        >>> Ceiling("repetitions", "r", value).among(["b", "x"]).value.values.tolist()
        [0.9]
        """
        if self.value is None or "neuroid" not in getattr(self.value, "dims", ()):
            return self
        return replace(self, value=of_neuroids(self.value, neuroid_ids))  # pyright: ignore[reportArgumentType]


def of_neuroids(values: xr.DataArray, neuroid_ids: Sequence[str] | Array) -> xr.DataArray:
    """Values along "neuroid" of the neuroids with these names, in this order; names that are not there are left out.

    Examples
    --------
    >>> import xarray as xr
    >>> values = xr.DataArray([1, 2], dims="neuroid", coords={"neuroid_id": ("neuroid", ["a", "b"])})
    >>> of_neuroids(values, ["b", "a"]).values.tolist()
    [2, 1]
    """
    place = {str(name): number for number, name in enumerate(values["neuroid_id"].values)}
    return values.isel(neuroid=[place[str(name)] for name in neuroid_ids if str(name) in place])


class Resampled(NamedTuple):
    """Bootstrap draws of a value.

    Attributes
    ----------
    draws
        (n_draws,): their standard deviation is the error, and models are compared draw by draw.
    resampled
        "stimuli", "stimuli × participants": what the draws generalise over.
    reaching
        (n_draws,) the same draws spread as far as Student's t asks for where few participants were drawn; the interval
        is made of them. None: it is made of the draws.
    error_kind
        How the draws were made, where that is not what the comparison says of all its draws.
    """

    draws: Array
    resampled: str
    reaching: Array | None = None
    error_kind: str | None = None


@dataclass(frozen=True)
class Rules:
    """How raw scores become a summary; from the benchmark's card and the run."""

    measure: str | None = None
    ceiling_mode: str = "none"
    layer_rule: LayerRule = field(default_factory=LayerRule)
    summary_by: tuple[str, ...] = ()
    n_draws: int = DRAWS
    seed: int = 0
    aggregate: Aggregate = "median-mean"
    ceiling: CeilingName = "repetitions"

    @classmethod
    def of(cls, card: BenchmarkCard, seed: int, n_draws: int = DRAWS) -> Rules:
        """The rules that a benchmark declares."""
        return cls(
            card.measure,
            card.ceiling_mode,
            card.layer_rule,
            card.summary_by,
            n_draws=n_draws,
            seed=seed,
            aggregate=card.aggregate,
            ceiling=card.ceiling,
        )


@dataclass(frozen=True)
class Preparation:
    """What a benchmark and a run hand to a metric beside the target, so that a comparison is whole when it is made.

    Attributes
    ----------
    rules
        How raw scores become a summary.
    keep
        What is kept beside the scores (``KEEPABLE``); the rest need not be computed.
    baselines
        Activations of the models that the benchmark names as baselines, one entry per layer.
    n_neuroids_total
        Number of neuroids before any selection; None: those of the target.
    splits
        Splits of the stimuli, places in the canonical order; a metric whose row says ``splits = true`` takes them in
        place of those that it would draw. Empty: it draws its own.

    Examples
    --------
    >>> Preparation(Rules(ceiling="split-half")).rules.ceiling
    'split-half'
    """

    rules: Rules = Rules()
    keep: tuple[str, ...] = KEEPABLE
    baselines: Mapping[str, Activations] = field(default_factory=lambda: MappingProxyType({}))
    n_neuroids_total: int | None = None
    splits: Sequence[Split] = ()


class Contract(ABC):
    """What is asked of a comparison, and what others may ask it; `isocortex.scoring.comparison` has the defaults."""

    #: the statistic that ``value`` is, and the name of its variable in the scores
    statistic: ClassVar[str] = "r"
    #: the variable that ``value`` is made of, where its name is another
    measure: ClassVar[str | None] = None
    #: measures that are errors or distances, of which a smaller value is the better one
    smaller_is_better: ClassVar[frozenset[str]] = frozenset()
    #: permutations of the stimuli that chance is taken from where no number is asked for; None: it cannot be had
    default_permutations: ClassVar[int | None] = None
    #: whether each permutation takes about as long as the score itself
    refits_permutations: ClassVar[bool] = True
    #: modes that fit the ceiling; one that is a reliability and no r takes "r2_over_c" or "r_over_c_squared"
    ceiling_modes: ClassVar[tuple[str, ...]] = ("r_over_sqrt_c",)
    #: what a benchmark's row may ask for; a metric with one way of its own has the first alone
    aggregates: ClassVar[tuple[str, ...]] = ("median-mean", "mean-mean")
    ceiling_estimators: ClassVar[tuple[str, ...]] = ("repetitions",)
    #: what ``error`` is, where ``resample`` gives draws
    error_kind: str = "bootstrap standard deviation"
    ceiling: Ceiling | None = None
    rules: Rules = Rules()
    #: number of stimuli that are compared, and of neuroids before any selection, where that is known
    n_stimuli: int = 0
    n_neuroids_total: int | None = None
    #: number of neuroids of a metric whose scores have none
    n_neuroids: int | None = None
    #: training and test stimuli; empty where a metric has none
    splits: Sequence[Split] = ()
    #: ``stimulus_id`` of the rows that splits are places of; empty: the stimuli in canonical order
    split_ids: Sequence[str] = ()
    #: "stratify" and "group": columns that the splits were drawn by, "" for none; kept with the scores
    split_columns: Mapping[str, str] = MappingProxyType({})
    #: what is kept beside the scores; the rest need not be computed
    keep: tuple[str, ...] = KEEPABLE
    #: activations of the models that the benchmark names as baselines, one entry per layer
    baselines: Mapping[str, Activations] = MappingProxyType({})
    #: measure → variable of the scores that it is collapsed from, where that is another
    made_of: Mapping[str, str] = MappingProxyType({})
    #: what was dropped, grouped or found odd when the target was prepared; results keep it
    warnings: Sequence[str] = ()
    #: regions of a metric whose scores have no neuroids; the scores hold theirs along the dim "part" as "part_NAME"
    parts: Mapping[str, Contract] = MappingProxyType({})

    # --- scores -------------------------------------------------------------------------------------------------------

    @abstractmethod
    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Compare one layer with the target."""

    @abstractmethod
    def score_split(self, activations: Activations | xr.DataArray, split: Split) -> xr.Dataset:
        """Compare one layer with the target in one split, without the dim "split"."""

    @abstractmethod
    def score_all(self, layers: Mapping[str, Activations]) -> xr.Dataset:
        """Compare all layers and choose the one that is read out."""

    @abstractmethod
    def layered(self, scores: xr.Dataset) -> xr.Dataset:
        """Scores of ``score`` or ``score_all``, whole or restricted to some neuroids, with the layer that is read."""

    def fit(self, layers: Mapping[str, Activations], split: Split | None = None) -> LinearMapping | None:
        """Fit the map that predicts responses to other stimuli, as scores are fitted.

        Parameters
        ----------
        layers
            The layers among which is chosen, as ``score_all`` takes them.
        split
            Only its training stimuli are fitted and chosen on; None: all stimuli are.

        Returns
        -------
        None: this metric fits no linear map.
        """
        del layers, split

    # --- chance -------------------------------------------------------------------------------------------------------

    @abstractmethod
    def permuted(self, order: Array) -> Contract:
        """The same comparison with the responses of the stimuli in another order; features and splits stay."""

    @abstractmethod
    def permuted_readouts(self, layers: Mapping[str, Activations], orders: Array) -> Iterator[xr.DataArray]:
        """What ``collapse`` is given of the value, for each permutation."""

    # --- from scores to a row -----------------------------------------------------------------------------------------

    @abstractmethod
    def collapse(self, values: xr.DataArray, measure: str) -> xr.DataArray:
        """Reduce "split", "neuroid" and "subject", and leave other dims, such as "layer" and "draw", as they are.

        The value, the curve over layers, the other measures and the ceiling all go through it.
        """

    @abstractmethod
    def readout_of(self, scores: xr.Dataset, measure: str) -> xr.DataArray:
        """What ``collapse`` is given of a measure: its variable (see ``made_of``) at the layers that are read out."""

    @abstractmethod
    def further(self, scores: xr.Dataset) -> Sequence[str]:
        """Names of the measures that are shown beside the value."""

    @abstractmethod
    def shares(self, scores: xr.Dataset) -> Array:
        """Share of each layer in what is read out, (n_layers,)."""

    @abstractmethod
    def stage(self, scores: xr.Dataset) -> Stage | None:
        """How deep in the model the best layer lies."""

    def resample(self, scores: xr.Dataset, n_draws: int, seed: int) -> Resampled | None:
        """Bootstrap the value.

        ``scores`` may be restricted to some of the neuroids. None: this metric has no interval.
        """
        del scores, n_draws, seed
        return None

    def joined_draws(self, draws: Array, values: Array, seed: int) -> Resampled | None:
        """Draws of the value from those of participants, who are drawn as well.

        Parameters
        ----------
        draws
            (n_draws, n_participants), in the same samples of stimuli.
        values
            (n_participants,).
        """
        weights = draw_counts(len(values), len(draws), seed, "participants")
        return Resampled(over_participants(draws, weights), "stimuli × participants")

    def spread(self, readout: xr.DataArray, measure: str) -> tuple[float, str] | None:
        """An error that is not the standard deviation of the draws, with its kind; for published metrics."""
        del readout, measure
        return None

    def bounds(self, value: float, measure: str) -> tuple[float, float, str] | None:
        """An interval that is not that of the draws, and what it generalises over."""
        del value, measure
        return None

    def corrected(self, scores: xr.Dataset) -> xr.DataArray | None:
        """Values that a metric relates to their ceilings one by one; collapsed they are ``ceiled``."""
        del scores
        return None

    @abstractmethod
    def summarise(self, scores: xr.Dataset) -> Summary:
        """Reduce raw scores to one row."""
