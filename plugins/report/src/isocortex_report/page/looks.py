"""Colour and mark of each model on the page: those of the figures, as variables of CSS where they are greys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isocortex_report.figures import Material

TRAINED, CONTROL, LABELS = "trained", "control", "labels"
_GREY = "var(--grey)"


@dataclass(frozen=True)
class Look:
    """How a model is drawn.

    Attributes
    ----------
    colour
        A colour of CSS.
    kind
        "trained" (also fixed features), "control" (grey) or "labels" (hollow).
    family
        By which models share a colour.
    """

    colour: str
    kind: str
    family: str = ""

    @property
    def is_control(self) -> bool:
        """Whether it is drawn grey or hollow: nothing is claimed for it."""
        return self.kind != TRAINED


def looks_of(material: Material) -> dict[str, Look]:
    """Full name of each row of the gathered frame → its look."""
    rows = material.rows
    named = zip(rows["model"], rows["variant"], rows["role"], rows["colour"], rows["family"], strict=True)
    return {f"{model}@{variant}": _look(role, colour, family) for model, variant, role, colour, family in named}


def _look(role: str, colour: str, family: str) -> Look:
    kind = role if role in (CONTROL, LABELS) else TRAINED
    return Look(colour if kind == TRAINED else _GREY, kind, family)
