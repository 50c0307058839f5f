"""What prediction loses under stricter splits: beside the value that of their counterparts, and the difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from isocortex.scoring.stats import paired_difference
from isocortex.scoring.summary import Summary, by_region

if TYPE_CHECKING:
    from isocortex.activations.layer import Activations
    from isocortex.scoring.contract import Contract

#: fields that tell of it
OF_DROP = ("ordinary", "drop", "drop_low", "drop_high")


def with_drop(stricter: Summary, ordinary: Summary) -> Summary:
    """A row under stricter splits, with the value of the ordinary ones, the drop, and its interval.

    The two test the same stimuli in the same sets, so that the same bootstrap draws of stimuli and participants serve
    both, and the interval is that of the difference draw by draw. Without draws there is none.

    Parameters
    ----------
    stricter, ordinary
        The same row, summarised under either splits.

    Examples
    --------
    >>> one = Summary(statistic="r", target="pooled", value=0.2, draws=[0.1, 0.3], n_stimuli=9, best_layer="a",
    ...               layer_rule="single layer", n_layers_searched=1)
    >>> found = with_drop(one, one.model_copy(update={"value": 0.5, "draws": [0.4, 0.6]}))
    >>> round(found.drop, 9), round(found.drop_low, 9), found.ordinary
    (0.3, 0.3, 0.5)
    """
    if stricter.value is None or ordinary.value is None:
        return stricter.model_copy(update={"ordinary": ordinary.value})
    found: dict[str, float | None] = {"ordinary": ordinary.value, "drop": ordinary.value - stricter.value}
    if stricter.draws and ordinary.draws:
        _, low, high = paired_difference(np.array(ordinary.draws), np.array(stricter.draws))
        found |= {"drop_low": low, "drop_high": high} if np.isfinite([low, high]).all() else {}
    return stricter.model_copy(update=found)


def rows_with_drop(
    ordinary: Contract, layers: Mapping[str, Activations], rows: tuple[Summary, dict[str, Summary]]
) -> tuple[Summary, dict[str, Summary]]:
    """The whole and its regions, each ``with_drop``; the layers are scored, and chosen, under the ordinary splits.

    Parameters
    ----------
    ordinary
        The comparison with the counterparts of the stricter splits, in their order.
    rows
        Under the stricter splits.
    """
    scores = ordinary.score_all(layers)
    summary, regions = ordinary.summarise(scores), by_region(ordinary, scores)
    return with_drop(rows[0], summary), {name: with_drop(part, regions[name]) for name, part in rows[1].items()}
