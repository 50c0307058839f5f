"""What a recipe is: the numbers that a paper prints, each with the model and the benchmark that give it here.

A recipe is data, ``NAME.toml`` in the folder ``published/reproduce/`` of a package; ``docs/reproduce/index.md`` has its
fields.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from isocortex.errors import UsageError, shorten

#: bytes of a recipe at most
MOST_BYTES = 1_000_000


class Number(BaseModel):
    """One number of a paper, and where it is found in a result.

    Examples
    --------
    >>> Number(name="r", read="also.r", published=0.69, tolerance=0.01).judged
    True
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(description="what it is, in a few words")
    read: str = Field(
        default="value",
        pattern=r"^(value|error|ceiling|ceiling_lower|ceiling_upper|ceiled|stage|median_layer|also\.\S+|layer\..+)$",
        description="field of a summary; also.NAME a further measure, layer.NAME a point of the curve over layers; "
        "stage: depth of the best layer, 0 to 1; median_layer: its place from 1, median over participants",
    )
    region: str | None = Field(default=None, description="the row of the result; default: the whole")
    published: float | None = Field(default=None, description="as it is printed; default: none was, or not transcribed")
    tolerance: float | None = Field(
        default=None, gt=0, description="largest absolute deviation; default: it is not judged"
    )
    source: str = Field(default="", description="where it is printed; default: the recipe's")
    why: str = Field(default="", description="why ours may be another, or why none was published")

    @property
    def judged(self) -> bool:
        """Whether it can be beyond its tolerance."""
        return self.published is not None and self.tolerance is not None

    @model_validator(mode="after")
    def _tolerance_of_something(self) -> Self:
        if self.tolerance is not None and self.published is None:
            raise ValueError("a tolerance needs a published number")
        return self


class Trial(BaseModel):
    """What is smaller in a trial: options of the model's row that replace its own, and other layers."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    options: dict[str, Any] = Field(default_factory=dict)
    layers: tuple[str, ...] = ()


class Part(BaseModel):
    """One model on one benchmark, and the numbers that a paper prints of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str
    model: str = Field(description="ID[@variant]")
    benchmark: str
    layers: tuple[str, ...] = Field(default=(), description="patterns; default: the model's own")
    object: str | None = Field(
        default=None, description="module:function that makes the model of this name, where no row does"
    )
    stand_in: bool = Field(default=False, description="takes the place of a network that is not here; never judged")
    trial: Trial | None = None
    number: tuple[Number, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _stand_ins_are_not_judged(self) -> Self:
        if self.stand_in and any(number.tolerance is not None for number in self.number):
            raise ValueError("a stand-in has no tolerance: it says nothing about the network that it stands for")
        return self


class Table(BaseModel):
    """Parts that are made of what a package lists as published for a benchmark, so that no number is written twice."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str
    benchmark: str
    statistic: str = Field(description="beginning of the statistic in the list")
    source: str = Field(default="", description="part of the source in the list; default: any")
    read: str = "value"
    tolerance: float | None = Field(default=None, gt=0, description="of models with trained weights")
    models: dict[str, str] = Field(description="name in the list → ID[@variant]; others have no row here")
    why: str = ""


class Mean(BaseModel):
    """A mean over models that other parts score."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str
    benchmark: str
    models: tuple[str, ...]
    n_published: int = Field(description="over how many models the published mean is")
    number: tuple[Number, ...] = Field(min_length=1)


class Difference(BaseModel):
    """Two parts compared pair by pair on what they share: the value of the first less that of the second."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str
    benchmark: str
    model: str
    against: str
    region: str | None = None
    published: float | None = None
    why: str = ""


class Absent(BaseModel):
    """Something that the paper reports and the recipe does not do."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str
    why: str = Field(description="what is missing: a file, a row, a number that could be read")


class Recipe(BaseModel):
    """The numbers of a paper, and how they come about here."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    title: str
    paper: str = Field(description="whom to cite")
    source: str = Field(description="where the published numbers were read")
    reference: str = ""
    data: str = Field(default="", description="which files it needs, and how they come here")
    about: str = Field(default="", description="what to know of the table, what does not fit in it")
    synthetic: str | None = Field(
        default=None, description="module:name of a context manager that takes a folder: within, data are made up"
    )
    kind: Literal["recipe"] = "recipe"
    part: tuple[Part, ...] = ()
    table: tuple[Table, ...] = ()
    mean: tuple[Mean, ...] = ()
    difference: tuple[Difference, ...] = ()
    absent: tuple[Absent, ...] = ()
    package: str = ""

    @property
    def n_published(self) -> int:
        """How many published numbers it has."""
        numbers = [number for one in (*self.part, *self.mean) for number in one.number]
        return sum(number.published is not None for number in numbers)

    @property
    def has_trial(self) -> bool:
        """Whether anything of it is smaller in a trial."""
        return any(part.trial is not None for part in self.part)


def read_recipe(path: Path, package: str = "") -> Recipe:
    """Read a recipe; its ID is the name of the file.

    Raises
    ------
    UsageError
        No such file, one that is no TOML or too large, or fields that a recipe does not have.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{path} is no recipe: it is larger than {MOST_BYTES:,} bytes.")
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is no recipe that can be read: {error}.") from error
    try:
        return Recipe.model_validate({**fields, "id": path.stem, "package": package})
    except ValidationError as error:
        faults = shorten((f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()), 3)
        raise UsageError(f"{path} is no recipe: {faults}. docs/reproduce/index.md has the fields.") from error
