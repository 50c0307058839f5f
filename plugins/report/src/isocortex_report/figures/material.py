"""What figures are made of: results, their rows with names and colours, and where the raw scores lie."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.errors import IsocortexError, StoreError
from isocortex.files import short
from isocortex.results import Result, layers_frame, open_scores, row_name, rows_frame, seed_sets
from isocortex_report.figures.brain import loaded_dataset
from isocortex_report.figures.style import CONTROL, INK, hues_of
from isocortex_report.figures.words import form_of
from isocortex_report.stage_rows import PERMUTED, RANDOM, weights_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from isocortex.data import Dataset
    from isocortex.interfaces import ModelCard

TRAINED, FEATURES, CONTROLS, LABELS = "trained", "features", "control", "labels"
#: what makes rows of results comparable enough for one axis
ONE_AXIS = ("benchmark", "region", "statistic", "target")
#: variants that need not be said beside the name of a model
_PLAIN = ("pretrained", "fixed")


@dataclass(frozen=True, eq=False)
class Material:
    """Results and what every figure of them shares.

    Attributes
    ----------
    results
        Those that are drawn.
    folder
        Where their raw scores are; None: figures that need them are left out.
    colours_of
        Results that colours are given for, so that a model has one colour in the figures of a part of them, too;
        empty: ``results``.
    regions
        Names or globs of rows that figures are made of; empty: all. The whole is "all".
    against
        The model, ``ID`` or ``ID@variant``, that others are compared with; None: all with all.
    """

    results: Sequence[Result]
    folder: Path | None = None
    colours_of: Sequence[Result] = ()
    regions: Sequence[str] = ()
    against: str | None = None

    @cached_property
    def rows(self) -> pd.DataFrame:
        """``rows_frame`` with the seeds of a control gathered, and label, family, role, colour and form of each."""
        frame = seed_sets(rows_frame(self.results), self.results)
        return self._identified(frame).assign(form=[form_of(str(rule)) for rule in frame["layer_rule"]])

    @cached_property
    def layers(self) -> pd.DataFrame:
        """``layers_frame`` with label, family, role and colour of each model."""
        return self._identified(layers_frame(self.results))

    def _identified(self, frame: pd.DataFrame) -> pd.DataFrame:
        named = [self.identities.get(str(model), _UNKNOWN) for model in frame["model"]]
        variants = [str(variant) for variant in frame["variant"]]
        roles = [
            CONTROLS if variant.partition(":")[0] in (RANDOM, PERMUTED) else one.role
            for one, variant in zip(named, variants, strict=True)
        ]
        colours = {CONTROLS: CONTROL, LABELS: INK}
        return frame.assign(
            label=[_label(str(model), variant) for model, variant in zip(frame["model"], variants, strict=True)],
            family=[one.family for one in named],
            role=roles,
            colour=[colours.get(role) or self.hues[one.family] for role, one in zip(roles, named, strict=True)],
        )

    @cached_property
    def identities(self) -> dict[str, Identity]:
        """Family and role of every model, by ID; from its card, or from its name where none is installed."""
        known = [*self.colours_of, *self.results]
        names = list(dict.fromkeys(result.model for result in known))
        cards = self.cards
        trained = {result.model for result in known if weights_of(result) == "trained"}
        controls = {result.model for result in known if weights_of(result) == PERMUTED and result.variant == "fixed"}
        return {name: _identity(name, cards.get(name), name in trained, name in controls) for name in names}

    @cached_property
    def cards(self) -> Mapping[str, Any]:
        """Cards of the models that are installed, by ID."""
        import isocortex

        return isocortex.load_cards("model", [result.model for result in (*self.colours_of, *self.results)])

    @cached_property
    def numbers(self) -> dict[str, dict[str, float]]:
        """Numeric tags of every model, its number of parameters among them; of one that is not installed, none."""
        found: dict[str, dict[str, float]] = {result.model: {} for result in self.results}
        for name, card in self.cards.items():
            tags = {"parameters": card.parameters or None, **card.tags}
            found[name] = {
                tag: float(value)
                for tag, value in tags.items()
                if isinstance(value, int | float) and value is not True and value is not False
            }
        return found

    @cached_property
    def hues(self) -> dict[str, str]:
        """A colour for each family: those of trained models first, then those of fixed features."""
        coloured = sorted(
            {(one.role != TRAINED, one.family) for one in self.identities.values() if one.role in (TRAINED, FEATURES)}
        )
        rest = {one.family: CONTROL for one in (*self.identities.values(), _UNKNOWN)}
        return rest | hues_of(family for _, family in coloured)

    @cached_property
    def files(self) -> dict[str, Path]:
        """``scores.nc`` of each result of the folder, by the short digest."""
        return {} if self.folder is None else {path.parent.name: path for path in self.folder.rglob("scores.nc")}

    @cached_property
    def by_digest(self) -> dict[str, Result]:
        """Results by digest."""
        return {result.digest: result for result in self.results}

    def dataset(self, result: Result) -> Dataset | None:
        """The data set that a result was scored on, if it is on this machine and still the same."""
        key = result.benchmark, result.digests.get("dataset")
        if key not in self._datasets:
            path = self.files.get(short(result.digest))
            self._datasets[key] = loaded_dataset(result, None if path is None else path.parent.parent)
        return self._datasets[key]

    @cached_property
    def _datasets(self) -> dict[tuple[str, str | None], Dataset | None]:
        return {}

    def kept(self, digest: str, name: str) -> xr.Dataset | None:
        """An array that was kept beside a result on request, or None."""
        import isocortex

        result = self.by_digest.get(digest)
        if self.folder is None or result is None or short(digest) not in self.files:
            return None
        kept = self.files[short(digest)].parent / "kept" / f"{name}.nc"
        if not kept.exists():
            return None
        try:
            return isocortex.kept(result, name, kept.parent.parent)
        except IsocortexError:
            return None

    def scores(self, digest: str) -> xr.Dataset | None:
        """Raw scores of a result, or None where they are not there or damaged."""
        path, result = self.files.get(short(digest)), self.by_digest.get(digest)
        if path is None or result is None:
            return None
        try:
            return open_scores(path, result)
        except StoreError:
            return None

    def compared(self, benchmark: str) -> pd.DataFrame | str:
        """All pairs of a benchmark that can be compared, regions by their row names; or why there are none."""
        if benchmark not in self._pairs:
            self._pairs[benchmark] = _compared(self, benchmark)
        return self._pairs[benchmark]

    @cached_property
    def _pairs(self) -> dict[str, pd.DataFrame | str]:
        return {}

    def wholes(self) -> Iterable[tuple[tuple[str, ...], pd.DataFrame]]:
        """``groups`` of whole results alone, unless regions were asked for."""
        for key, rows in self.groups():
            if self.regions or key[1] == "all":
                yield key, rows

    def groups(self, columns: Sequence[str] = ONE_AXIS) -> Iterable[tuple[tuple[str, ...], pd.DataFrame]]:
        """Rows that were scored, of the regions that were asked for, by what makes them comparable, in their order."""
        scored = self.rows[self.rows["status"] == "scored"]
        if self.regions:
            wanted = [any(fnmatch.fnmatchcase(str(name), one) for one in self.regions) for name in scored["region"]]
            scored = scored[wanted]
        for key, part in scored.groupby(list(columns), sort=False):
            yield tuple(map(str, key)), part


@dataclass(frozen=True)
class Identity:
    """What a model is in figures."""

    family: str
    role: str


def _compared(material: Material, benchmark: str) -> pd.DataFrame | str:
    import isocortex

    chosen = [result for result in material.results if result.benchmark == benchmark]
    try:
        table = isocortex.compare(chosen, out=material.folder if material.folder is not None else "results")
    except IsocortexError as error:
        return str(error).removeprefix("Nothing can be compared. ")
    regions = [row_name(None if region is None or region != region else str(region)) for region in table["region"]]
    return table.assign(region=regions)[table["p"].notna()]


_UNKNOWN = Identity("", CONTROLS)


def _identity(name: str, card: ModelCard | Any | None, is_trained: bool, is_control: bool) -> Identity:
    tags: dict[str, Any] = dict(card.tags) if card is not None else {}
    family = str(tags.get("family") or tags.get("library") or family_of(name))
    kind = tags.get("kind")
    if family == "category" or name.startswith("category"):
        return Identity("category", LABELS)
    if is_control or kind == "control":
        return Identity(family, CONTROLS)
    return Identity(family, TRAINED if is_trained else FEATURES)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame as dictionaries."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def family_of(name: str) -> str:
    """The family of a model without a card: the first word of its name.

    Examples
    --------
    >>> family_of("resnet50"), family_of("nvidia/parakeet-ctc-0.6b"), family_of("activations:AST-permuted")
    ('resnet', 'parakeet', 'ast')
    """
    own = name.removeprefix("activations:").rsplit("/", 1)[-1]
    found = re.search(r"[^\W\d_]+", own)
    return found[0].lower() if found else own


def _label(model: str, variant: str) -> str:
    return model if variant in _PLAIN else f"{model}@{variant}"
