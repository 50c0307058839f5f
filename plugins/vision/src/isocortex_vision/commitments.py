"""Which layer Brain-Score takes for which region of the brain, as data: never the only result.

``commitments.csv`` holds what its repository says (models/ of brain-score/vision, commit c642dbe), with the file that
says so. A run scores all layers; what a commitment gives is then read off the curve.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.errors import UnknownIDError, suggest

if TYPE_CHECKING:
    from isocortex.results import Result


@dataclass(frozen=True)
class Commitment:
    """The layer that Brain-Score takes for a region, for a recurrent network in a window of time.

    Attributes
    ----------
    source
        The file of Brain-Score that says so, below ``models/``.
    """

    region: str
    layer: str
    start_ms: float | None
    stop_ms: float | None
    source: str


@cache
def _all() -> dict[str, tuple[Commitment, ...]]:
    found: dict[str, tuple[Commitment, ...]] = {}
    with Path(__file__).with_name("commitments.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            start, stop = (float(row[name]) if row[name] else None for name in ("start_ms", "stop_ms"))
            commitment = Commitment(row["region"], row["layer"], start, stop, row["source"])
            found[row["model"]] = (*found.get(row["model"], ()), commitment)
    return found


def commitments(model: str) -> tuple[Commitment, ...]:
    """What Brain-Score has committed a model to.

    Parameters
    ----------
    model
        ID of a row.

    Raises
    ------
    UnknownIDError
        None are known for it.

    Examples
    --------
    >>> [(found.region, found.layer) for found in commitments("alexnet")]
    [('V1', 'features.2'), ('V2', 'features.7'), ('V4', 'features.7'), ('IT', 'features.12')]
    """
    known = _all()
    if model not in known:
        raise UnknownIDError(
            f"Brain-Score's commitments of {model!r} are not known here.{suggest(model, known)} Known are those of "
            f"{', '.join(known)}."
        )
    return known[model]


def committed_values(result: Result, *, start_ms: float = 70.0) -> dict[str, tuple[str, float | None]]:
    """What a result gives for each region at the layer that Brain-Score has committed it to.

    Parameters
    ----------
    result
        With summaries by region, as benchmarks with ``summary_by = ["region"]`` give; its curve holds the layer.
    start_ms
        Of the responses; a network with time steps is read at the step whose window starts nearest to it, the earlier
        of two.

    Returns
    -------
    Region → (layer, value); the value is None where the layer was not scored. Regions without a commitment are absent.

    Raises
    ------
    UnknownIDError
        No commitments are known for the model.
    """
    found: dict[str, tuple[str, float | None]] = {}
    for region, summary in result.regions.items():
        offered = [one for one in commitments(result.model) if one.region == region]
        if offered:
            nearest = min(offered, key=lambda one: abs((one.start_ms or 0.0) - start_ms))
            curve = {layer.name: layer.value for layer in summary.layers}
            found[region] = nearest.layer, curve.get(nearest.layer)
    return found
