"""Drawings for the page: bounded in size, free of whatever is no drawing, and readable on light and on dark."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from markupsafe import Markup

    from isocortex_report.figures import Figure

#: of drawings on one page, bytes; those beyond it are linked
MOST_BYTES = 2_500_000
_SVG = "http://www.w3.org/2000/svg"
#: what a drawing consists of; anything else is left out with all that is in it
_PARTS = frozenset(
    {"svg", "g", "defs", "path", "line", "polyline", "polygon", "rect", "circle", "ellipse", "text", "tspan", "use"}
    | {"image", "clipPath", "marker", "pattern", "linearGradient", "radialGradient", "stop", "style", "title", "desc"}
)
_GREY = re.compile(r"#([0-9a-fA-F]{6}|[0-9a-fA-F]{3})\b|(?<![\w-])(white|black)(?![\w-])")
#: kinds whose colours are a scale of values: they stay on white in the dark, too
COLOUR_SCALES = ("rdm", "heatmap", "confusion", "pairs", "agreement", "surface", "q")


@dataclass(frozen=True)
class Shown:
    """A figure as the page shows it.

    Attributes
    ----------
    svg
        Inline; None where it would make the page too large.
    links
        Text and address of each of its files.
    """

    name: str
    kind: str
    title: str
    note: str
    svg: Markup | None
    links: Sequence[tuple[str, str]]
    keeps_paper: bool
    region: str = ""


def inline(figure: Figure, svg: str, links: Sequence[tuple[str, str]], *, room: int, region: str = "") -> Shown:
    """A figure for the page; its drawing only if it fits into the bytes that are left."""
    from markupsafe import Markup

    keeps = any(word in figure.kind for word in COLOUR_SCALES)
    fits = len(svg.encode()) <= room
    drawing = Markup(cleaned(svg, recoloured=not keeps)) if fits else None  # noqa: S704 - made of known parts below
    return Shown(figure.name, figure.kind, figure.title, figure.note, drawing, links, keeps, region)


def cleaned(svg: str, *, recoloured: bool = True) -> str:
    """An SVG of known parts alone: no script, no handler, no address outside; greys follow the page's colours.

    Raises
    ------
    xml.etree.ElementTree.ParseError
        It is no XML.

    Examples
    --------
    >>> cleaned('<svg xmlns="http://www.w3.org/2000/svg"><script>x()</script><g onclick="x()"/></svg>')
    '<svg xmlns="http://www.w3.org/2000/svg"><g /></svg>'
    """
    if "<!" in svg:
        raise ElementTree.ParseError("a drawing for the page has no document type, no comment and no CDATA")
    root = ElementTree.fromstring(svg)  # noqa: S314 - without a document type there are no entities
    _clean(root, recoloured=recoloured)
    _widen(root)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    return ElementTree.tostring(root, encoding="unicode").replace("\r", "")


def _widen(root: ElementTree.Element) -> None:
    """Letters of a figure for print are small on a screen: the drawing is shown larger, as far as there is room."""
    box = [float(part) for part in root.get("viewBox", "").split() if _is_number(part)]
    if len(box) == 4:
        root.attrib.pop("height", None)
        root.attrib.pop("width", None)
        root.set("style", f"width:{box[2] * _ENLARGED:.0f}px")


#: pixels for one point of a drawing: a point is 1.33 pixels, and a third more
_ENLARGED = 1.75


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?[0-9.]+", text) is not None


def _clean(element: ElementTree.Element, *, recoloured: bool) -> None:
    for child in list(element):
        if not isinstance(child.tag, str) or child.tag.rpartition("}")[2] not in _PARTS:
            element.remove(child)
        else:
            _clean(child, recoloured=recoloured)
    is_text = str(element.tag).rpartition("}")[2] in ("text", "tspan")
    for name, value in list(element.attrib.items()):
        plain = name.rpartition("}")[2].lower()
        outside = plain == "href" and not value.startswith(("#", "data:image/png;base64,"))
        if plain.startswith("on") or outside or plain == "tabindex":
            del element.attrib[name]
        elif recoloured and plain in ("style", "fill", "stroke", "stop-color"):
            element.set(name, _GREY.sub(_letters_on_page if is_text else _marks_on_page, value))


def _marks_on_page(found: re.Match[str]) -> str:
    return _on_page(found[0])


def _letters_on_page(found: re.Match[str]) -> str:
    return _on_page(found[0], is_text=True)


def _on_page(colour: str, *, is_text: bool = False) -> str:
    """A grey as a mixture of the page's ink and paper; a hue stays, but for letters, which are lighter on dark.

    Examples
    --------
    >>> _on_page("#0072b2"), _on_page("#ffffff"), _on_page("white")
    ('#0072b2', 'var(--paper)', 'var(--paper)')
    >>> _on_page("#dddddd")
    'color-mix(in srgb,var(--ink) 15%,var(--paper))'
    """
    digits = {"white": "ffffff", "black": "000000"}.get(colour, colour.lstrip("#"))
    full = digits if len(digits) == 6 else "".join(digit * 2 for digit in digits)
    parts = [int(full[place : place + 2], 16) for place in (0, 2, 4)]
    if max(parts) - min(parts) > _MOST_TINT:
        return f"light-dark({colour},color-mix(in srgb,{colour} 55%,#fff))" if is_text else colour
    share = round(100 * (255 - sum(parts) / 3) / (255 - 25))
    if share <= 0:
        return "var(--paper)"
    return "var(--ink)" if share >= 96 else f"color-mix(in srgb,var(--ink) {share}%,var(--paper))"


#: between the strongest and the weakest of red, green and blue of what counts as grey
_MOST_TINT = 26
