"""How all figures look: widths of journals, type, colours of model families, and what marks mean.

Colour means the family of a model and nothing else: trained models and fixed features have one hue per family, controls
are grey, the label baseline is hollow, a ceiling is a pale band, a published value an open diamond. The form of a mark
says how its layer was chosen.
"""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from isocortex.errors import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

#: of a column and of a page, mm
COLUMN, PAGE = 85.0, 174.0
#: the highest figure that a page holds with its caption, mm
HIGHEST = 225.0
MM = 1 / 25.4

#: Okabe & Ito 2008 without black and yellow, then Tol's muted scheme; neighbours differ in luminance
HUES = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"),
    *("#332288", "#882255", "#999933", "#44AA99", "#117733", "#AA4499"),
)
#: of lines, so that they can be told apart without colours
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.2)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
#: of the families beyond those that have a hue
MORE = "#5B6770"
INK, FAINT, RULE, CONTROL, CEILING = "#1F2328", "#5F6670", "#DDE0E4", "#8E959C", "#E3ECF3"
CEILING_INK = "#4E6B84"
#: how a layer was chosen → form of the mark
FORMS = {"nested": "o", "single": "s", "optimistic": "^"}
FORM_WORDS = {
    "nested": "layer chosen within training stimuli",
    "single": "a single layer",
    "optimistic": "layer chosen on the tested stimuli: too high",
}
PUBLISHED = "D"
#: what a browser shows where matplotlib measured with DejaVu Sans, which is wider than these
SANS = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"

#: beginnings of settings of matplotlib that say where it draws, and not how
_NOT_OF_LOOK = ("backend", "interactive", "toolbar", "webagg", "savefig.directory", "date.epoch", "docstring")
_RC: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 7.5,
    "text.parse_math": False,
    "text.usetex": False,
    "text.color": INK,
    "axes.labelsize": 7.5,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "axes.unicode_minus": True,
    "axes.formatter.use_mathtext": False,
    "axes.facecolor": "white",
    "figure.facecolor": "white",
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.1,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 7,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "pdf.compression": 6,
    "ps.fonttype": 42,
    "savefig.dpi": 300,
    "figure.dpi": 100,
}


@contextlib.contextmanager
def styled(**more: Any) -> Generator[None]:
    """The look of all figures, whatever the user's own settings of matplotlib are; they are as before afterwards."""
    import matplotlib as mpl
    from cycler import cycler

    fixed: Any = {**_RC, "axes.prop_cycle": cycler(color=[INK]), **more}
    plain: Any = {name: value for name, value in mpl.rcParamsDefault.items() if not name.startswith(_NOT_OF_LOOK)}
    with mpl.rc_context():
        mpl.rcParams.update(plain | fixed)
        yield


def new_axes(width: float, height: float) -> Axes:
    """Axes of a new figure of this size in mm, for a notebook or a script."""
    from matplotlib import pyplot

    return pyplot.figure(figsize=(width * MM, height * MM), layout="constrained").add_subplot()


def canvas_of(width: float, height: float) -> Canvas:
    """A figure of this size in mm that no window and no list of open figures knows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(width * MM, height * MM))
    FigureCanvasAgg(canvas)
    return canvas


def write_height_label(ax: Axes, text: str, up: float = 11.0) -> None:
    """What the vertical axis says, level above it, where it is read first and long words fit; ``up`` in points."""
    ax.annotate(text, (0, 1), (0, up), xycoords="axes fraction", textcoords="offset points", ha="left", va="bottom",
        size=7.5, annotation_clip=False)  # fmt: skip


# --- colours ----------------------------------------------------------------------------------------------------------


def hues_of(families: Iterable[str]) -> dict[str, str]:
    """A colour for each family, in their order; families beyond the twelfth share one.

    Examples
    --------
    >>> hues_of(["resnet", "vgg", "resnet"])
    {'resnet': '#0072B2', 'vgg': '#E69F00'}
    """
    named = list(dict.fromkeys(families))
    return {name: HUES[place] if place < len(HUES) else MORE for place, name in enumerate(named)}


def dash_of(colour: str) -> Any:
    """The dash of lines of a colour, so that lines of like luminance differ in a print without colours."""
    return DASHES[HUES.index(colour) % len(DASHES)] if colour in HUES else "-"


def luminance(colour: str) -> float:
    """Lightness L* of a colour, 0 black to 100 white: what is left of it in grey.

    Examples
    --------
    >>> round(luminance("#FFFFFF")), round(luminance("#0072B2"))
    (100, 46)
    """
    from matplotlib.colors import to_rgb

    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    y = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 116 * y ** (1 / 3) - 16 if y > 0.008856 else 903.3 * y


# --- names ------------------------------------------------------------------------------------------------------------


def short_name(name: str, longest: int = 34) -> str:
    """A name in one line: no controls, ends of lines as spaces, the middle of a long one left out.

    Examples
    --------
    >>> short_name("a" * 30 + "b" * 30, 11)
    'aaaaa…bbbbb'
    """
    one_line = " ".join(printable(name).split())
    plain = "".join(letter for letter in one_line if unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co"))
    if len(plain) <= longest:
        return plain or "''"
    head = longest // 2
    return f"{plain[:head].rstrip()}…{plain[len(plain) - (longest - 1 - head) :].lstrip()}"


def distinct_names(names: Sequence[str], longest: int = 34) -> list[str]:
    """Short names; where two different ones become the same, they are numbered.

    Examples
    --------
    >>> distinct_names(["a" * 99, "a" * 98, "b"], 5)
    ['aa…aa', 'aa…aa (2)', 'b']
    """
    given: dict[str, dict[str, int]] = {}
    found: list[str] = []
    for name in names:
        short = short_name(name, longest)
        number = given.setdefault(short, {}).setdefault(name, len(given[short]) + 1)
        found.append(short if number == 1 else f"{short} ({number})")
    return found
