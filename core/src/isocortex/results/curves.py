"""Curves over layers as text: what every layer scores, with no choice made, and how often it is read out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def curve_text(layers: Sequence[Mapping[str, Any]]) -> str:
    """Name and value of every layer in processing order; the share of read-outs in brackets, where there are any.

    Parameters
    ----------
    layers
        Rows with "name", "value" (None where it is not defined) and "read_out", as in ``Summary.layers``.

    Examples
    --------
    >>> first = {"name": "conv1", "value": 0.31, "read_out": 0.0}
    >>> curve_text([first, {"name": "conv2", "value": 0.4, "read_out": 1.0}])
    'conv1 0.31, conv2 0.40 [100 %]'
    """
    return ", ".join(_point(layer) for layer in layers)


def _point(layer: Mapping[str, Any]) -> str:
    value = "–" if layer["value"] is None else f"{layer['value']:.2f}"
    share = f" [{100 * layer['read_out']:.0f} %]" if layer["read_out"] else ""
    return f"{layer['name']} {value}{share}"


def curves_of(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Model and curve of each row that stands for the whole target and has several layers.

    Parameters
    ----------
    rows
        As from ``Result.rows``.

    Examples
    --------
    >>> one = {"name": "pool", "value": 0.5, "read_out": 1.0}
    >>> curves_of([{"model": "m", "variant": "fixed", "region": None, "layers": [one]}])
    []
    """
    return [
        (f"{row['model']}@{row['variant']}", curve_text(row["layers"]))
        for row in rows
        if row["region"] is None and len(row["layers"]) > 1
    ]
