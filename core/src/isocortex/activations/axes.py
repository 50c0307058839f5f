"""Names of axes that nobody gave: none is guessed where it decides a number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from isocortex.errors import PluginError, UsageError, shorten, suggest

if TYPE_CHECKING:
    from isocortex.activations.output import LayerOutput

#: an axis of which the model does not know what it is
UNKNOWN_AXIS = "?"
#: names that reductions know, and those that say that an axis is none of them
KNOWN_AXES = ("time", "height", "width", "channel", "frequency", "unit", "batch")
#: layer → its axes, and what they were inferred from
Inferred = Mapping[str, tuple[tuple[str, ...], str]]


def needs_names(steps: Iterable[str]) -> bool:
    """Whether the steps of a reduction look for an axis by its name.

    Examples
    --------
    >>> needs_names(["flatten", "projection-16"]), needs_names(["time-mean"])
    (False, True)
    """
    return any(step.startswith(("time-", "spatial-")) for step in steps)


def refuse_unknown_axes(output: LayerOutput, reduction: str, layer: str) -> None:
    """Ask for the names of axes where a reduction needs them and nobody gave them.

    Raises
    ------
    PluginError
        The reduction looks for an axis by its name, and some have none.
    """
    if UNKNOWN_AXIS not in output.axes or not needs_names(reduction.split("+")):
        return
    sought = ("time",) if "time-" in reduction else ("height", "width")
    example = ("channel",) * (len(output.axes) - len(sought)) + sought
    shape = ", ".join(["n_stimuli", *map(str, output.array.shape[1:])])
    raise PluginError(
        f"Layer {layer!r} gave ({shape}), and {reduction!r} has to know which axis is {' and which '.join(sought)}. "
        f"Name the axes after the first, for example isocortex.wrap(…, axes={{{layer!r}: {example}}}); an axis that is "
        "'channel', 'frequency' or 'unit' is kept."
    )


def inferred_axes(found: Inferred) -> list[str]:
    """What is said of axes that were inferred, one sentence for the layers of one kind.

    Examples
    --------
    >>> print(*inferred_axes({"0": (("channel", "time"), "Conv1d")}))
    The axes of layer 0 were taken for (channel, time), as it is Conv1d; where they are others, name them with axes=.
    """
    by_kind: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for layer, kind in found.items():
        by_kind.setdefault(kind, []).append(layer)
    return [
        f"The axes of layer{'s' * (len(layers) > 1)} {shorten(layers)} were taken for ({', '.join(axes)}), as "
        f"{'they are' if len(layers) > 1 else 'it is'} {source}; where they are others, name them with axes=."
        for (axes, source), layers in by_kind.items()
    ]


def check_axis_names(names: Iterable[object], what: str) -> tuple[str, ...]:
    """Names of axes, of which none is a misspelling and none but "unit" or "channel" comes twice.

    Raises
    ------
    UsageError
        A name that is no text, comes twice or is nearly one that reductions know.

    Examples
    --------
    >>> check_axis_names(["time", "channel"], "axes")
    ('time', 'channel')
    """
    listed: tuple[str, ...] = ()
    for name in names:
        if not isinstance(name, str) or not name:
            raise UsageError(f"{what}: names of axes are texts, such as 'time' or 'channel'; found {name!r}.")
        listed = (*listed, name)
        close = suggest(name.casefold(), KNOWN_AXES, limit=1)
        if name not in KNOWN_AXES and close:
            raise UsageError(f"{what}: {name!r} is no axis that a reduction finds.{close}")
    twice = sorted({name for name in listed if listed.count(name) > 1 and name in ("time", "height", "width", "batch")})
    if twice:
        raise UsageError(f"{what}: several axes are called {shorten(twice)}; one may be.")
    return listed
