"""The schema of ``isocortex.toml``: one card per row, checked when the row is used.

Cards are data. What they name in ``object`` is imported only when it is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from isocortex.catalogue.rows import Row
from isocortex.display import Shown, listed
from isocortex.errors import PluginError, UsageError, shorten

ANY_MODALITY = "any"
#: package of models that a user made in Python
OWN_PACKAGE = "python"
VARIANT_KINDS = ("pretrained", "random", "permuted", "file", "fixed", "trained", "participant")
#: kinds of variants that a seed tells apart
SEEDED = ("random", "permuted", "trained")
#: of one range
MOST_SEEDS = 1000

#: fields of a row that decide no number: what describes it, and where it was found
DESCRIBES = frozenset(
    {
        *("title", "notes", "licence", "published", "aliases", "package", "package_version", "module", "folder"),
        *("methods", "settings_model"),
    }
)

CeilingMode = Literal["none", "r_over_sqrt_c", "r2_over_c", "r_over_c_squared", "r2_over_rv_rvhat"]
Aggregate = Literal["median-mean", "mean-mean"]
CeilingName = Literal["repetitions", "split-half", "inter-subject"]
#: "model": it takes sounds at their own rate and says so
Resampler = Literal["soxr", "polyphase", "model"]


class Variant(BaseModel):
    """Which weights a model runs with: ``pretrained``, ``random:SEED``, ``permuted:SEED``, ``file:PATH`` or ``fixed``.

    ``trained:SEED`` learns from the training part of each split of a benchmark, and is scored on the rest;
    ``participant:ID`` is one participant of a data set, as a model of the others.

    Examples
    --------
    >>> Variant.parse("random:3")
    Variant(kind='random', seed=3, path=None, label=None)
    >>> str(Variant.parse("random"))
    'random:0'
    """

    model_config = ConfigDict(frozen=True)
    kind: Literal["pretrained", "random", "permuted", "file", "fixed", "trained", "participant"]
    seed: int | None = None
    path: str | None = None
    label: str | None = None

    @classmethod
    def parse(cls, text: str) -> Variant:
        """Read what stands behind the ``@`` of a model.

        Raises
        ------
        UsageError
            The text is no variant.
        """
        kind, _, rest = text.partition(":")
        if kind in SEEDED and (not rest or (rest.isascii() and rest.isdigit())):
            return cls(kind=kind, seed=int(rest or 0))  # pyright: ignore[reportArgumentType]
        path, _, label = rest.partition("=")
        if kind == "file" and path:
            return cls(kind="file", path=path, label=label or Path(path).stem)
        if kind == "participant" and rest:
            return cls(kind="participant", label=rest)
        if kind in ("pretrained", "fixed") and not rest:
            return cls(kind=kind)  # pyright: ignore[reportArgumentType]
        raise UsageError(
            f"{text!r} is no variant. Expected pretrained, fixed, random:SEED, permuted:SEED, "
            "trained:SEED or file:PATH[=LABEL]."
        )

    @classmethod
    def parse_all(cls, text: str) -> tuple[Variant, ...]:
        """Read one variant, or a range of seeds: ``random:0..19`` stands for twenty, both ends included.

        Raises
        ------
        UsageError
            The text is no variant, or a range without seeds or with more than 1,000.

        Examples
        --------
        >>> [str(variant) for variant in Variant.parse_all("random:3..5")]
        ['random:3', 'random:4', 'random:5']
        """
        kind, _, seeds = text.partition(":")
        first, dots, last = seeds.partition("..")
        if not dots or kind not in SEEDED:
            return (cls.parse(text),)
        if not (first.isascii() and first.isdigit() and last.isascii() and last.isdigit()):
            raise UsageError(f"{text!r} is no range of seeds. Expected for example {kind}:0..19.")
        count = int(last) - int(first) + 1
        if not 1 <= count <= MOST_SEEDS:
            raise UsageError(
                f"{text!r} holds {max(count, 0)} seeds. Expected 1 to {MOST_SEEDS}, the smaller seed first."
            )
        return tuple(cls.parse(f"{kind}:{seed}") for seed in range(int(first), int(last) + 1))

    def __str__(self) -> str:
        if self.kind in SEEDED:
            return f"{self.kind}:{self.seed}"
        return f"{self.kind}:{self.label}" if self.kind in ("file", "participant") else self.kind


class Card(BaseModel):
    """What every row has: an ID, where it comes from, and whom to cite."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str = Field(min_length=1)
    package: str = ""
    package_version: str = ""
    module: str = ""
    folder: Path = Path()
    family: str | None = None
    aliases: tuple[str, ...] = Field(default=(), description="other spellings of the same thing")
    title: str = ""
    licence: str = ""
    reference: str = ""
    notes: str = ""
    tags: dict[str, str | bool | int | float] = Field(default_factory=dict, description="words and numbers")
    requires: tuple[str, ...] = ()


class ModelCard(Card):
    """A ``[[model]]`` row."""

    object: str
    modality: str
    sample_rate: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="Hz: what the model hears")
    resampler: Resampler = Field(default="soxr", description="who brings sounds to that rate, and how")
    random: bool = Field(default=False, description="draws numbers while it runs; each stimulus is given a seed")
    layers: tuple[str, ...] = Field(description="names or patterns; empty: those of the loaded model")
    variants: tuple[str, ...] = ("fixed",)
    parameters: int | None = None
    weights: str | None = None
    files: str | None = None
    options: dict[str, Any] = Field(default_factory=dict, description="passed on to the plugin as they are")

    @field_validator("variants")
    @classmethod
    def _known_variants(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in value if name not in VARIANT_KINDS]
        if unknown or not value:
            raise ValueError(f"variants must be among {', '.join(VARIANT_KINDS)}; found {unknown or 'none'}")
        return value

    @field_validator("resampler")
    @classmethod
    def _has_a_rate(cls, value: str, known: ValidationInfo) -> str:
        if value == "polyphase" and known.data.get("sample_rate", 0) is None:
            raise ValueError("needs sample_rate, the rate in Hz to which sounds are resampled")
        return value


class StimuliCard(Card):
    """A ``[[stimuli]]`` row; data sets that name the same stimuli share one extraction."""

    object: str
    modality: str
    files: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class DatasetCard(Card):
    """A ``[[dataset]]`` row."""

    object: str
    stimuli: str
    kind: Literal["responses", "rdm", "trials"] = "responses"
    files: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class MetricCard(Card):
    """A ``[[metric]]`` row."""

    object: str
    accepts: tuple[Literal["responses", "rdm", "trials"], ...] = ("responses",)
    unbiased: bool = Field(default=True, description="features that know nothing score 0 on average")
    named_units: bool = Field(default=False, description="compares units by name, with neuroids or choices")
    spaces: bool = Field(default=False, description="takes several models together, as feature spaces (-m 'a+b')")
    splits: bool = Field(default=False, description="takes splits that it is given (--splits)")
    options: dict[str, Any] = Field(default_factory=dict)
    settings_model: str = Field(default="", description="module:Class, the pydantic model of the settings")
    methods: str | None = Field(default=None, description="file with what a methods section says of the metric")


class LayerRule(BaseModel):
    """How the layer that is read out is chosen, and for which unit of choice."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    choose: Literal["nested", "none"] = "nested"
    unit: Literal["model", "region", "neuroid"] = "region"


class BenchmarkCard(Card):
    """A ``[[benchmark]]`` row: a data set with a metric and its settings."""

    dataset: str
    metric: str
    version: int = Field(default=1, ge=1)
    reduction: str = "flatten"
    select: dict[str, str | list[str]] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict)
    splits: str | None = Field(default=None, description="stricter splits, by name, as --splits takes them")
    baselines: tuple[str, ...] = Field(default=(), description="models whose activations the metric is given")
    measure: str | None = None
    aggregate: Aggregate = Field(default="median-mean", description="over neuroids, then over participants")
    ceiling: CeilingName = Field(default="repetitions", description="what the ceiling is estimated from")
    ceiling_mode: CeilingMode = "none"
    layer_rule: LayerRule = LayerRule()
    summary_by: tuple[str, ...] = ()
    published: str | None = None


class CommandCard(Card):
    """A ``[[command]]`` row: a command that a plugin adds to the command line."""

    object: str
    help: str = ""
    name: str = Field(default="", pattern=r"^([a-z][a-z0-9-]*( [a-z][a-z0-9-]*)?)?$", description="one word, or two")


class SuiteCard(Card):
    """A ``[[suite]]`` row: a named, versioned list of benchmarks, which a paper can cite."""

    version: int = Field(default=1, ge=1)
    benchmarks: tuple[str, ...] = Field(min_length=1)


class ExecutorCard(Card):
    """An ``[[executor]]`` row: where the tasks of a run are done."""

    object: str
    options: dict[str, Any] = Field(default_factory=dict, description="passed on to the plugin as they are")


CARDS: dict[str, type[Card]] = {
    "model": ModelCard,
    "stimuli": StimuliCard,
    "dataset": DatasetCard,
    "metric": MetricCard,
    "benchmark": BenchmarkCard,
    "command": CommandCard,
    "executor": ExecutorCard,
    "suite": SuiteCard,
}


def read_card(row: Row) -> Card:
    """Check a row against its schema.

    Raises
    ------
    PluginError
        The row has unknown, missing or ill-typed fields; the message names package, row and field.
    """
    origin = {
        "package": row.package,
        "package_version": row.version,
        "module": row.module,
        "folder": row.folder,
        "family": row.family,
    }
    try:
        return CARDS[row.kind].model_validate({**row.table, "id": row.id, **origin})
    except ValidationError as error:
        fields = shorten(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise PluginError(
            f"{row.kind} {row.id!r} of {row.package} {row.version}: the manifest row is not valid ({fields}). "
            f"Run 'isocortex check {row.package}'."
        ) from error


# --- as they are shown ------------------------------------------------------------------------------------------------


def shown_model(card: ModelCard) -> Shown:
    """What a model shows of itself."""
    rate = f" at {card.sample_rate:g} Hz" if card.sample_rate else ""
    facts = {
        "title": card.title,
        "takes": f"{card.modality}{rate}",
        "variants": listed(card.variants),
        "layers": listed(card.layers),
        "parameters": f"{card.parameters:,}" if card.parameters else "",
    }
    return Shown(f"Model {card.id!r}", facts | _of_package(card))


def shown_metric(card: MetricCard) -> Shown:
    """What a metric shows of itself."""
    facts = {"title": card.title, "takes": listed(card.accepts)}
    return Shown(f"Metric {card.id!r}", facts | _of_package(card))


def _of_package(card: Card) -> dict[str, str]:
    package = f"{card.package} {card.package_version}".strip()
    return {"licence": card.licence, "reference": card.reference, "package": package}
