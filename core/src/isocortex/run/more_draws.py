"""More bootstrap draws for a finished result, by one more scoring of its activations; the first ones stay.

Kept predictions do not serve: they are in single precision, and those of a strongly regularised fit vary so little that
its draws would differ by 1e-4. All draws are written into a file of their own, then the record that names it, so that
whatever stops this leaves the result as it was or as it becomes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isocortex.errors import StoreError
from isocortex.results.kept_arrays import refuse_other_values
from isocortex.results.records import draws_path, write_record
from isocortex.results.scores_file import stored_draws, write_draws
from isocortex.scoring.summary import Summary

if TYPE_CHECKING:
    from isocortex.results.result import Result

#: draws are kept in single precision, and made again with other numbers of threads they may differ in last bits
TOLERANCE = 1e-6
_FROM_DRAWS = ("error", "error_kind", "interval_low", "interval_high", "resampled", "ceiled_low", "ceiled_high")
_OF_DROP = ("drop_low", "drop_high")


def add_draws(path: Path, found: Result, again: Result) -> Result:
    """Write the draws of ``again`` beyond those of a result to these, and the record; returns the result.

    Raises
    ------
    StoreError
        The cell has other values now, or other draws: nothing is changed.
    """
    refuse_other_values(path, found, again, "for more draws")
    before = stored_draws(path.with_name("scores.nc"), found)
    summary = _extended(path, None, found.summary, again.summary, before)
    regions = {name: _extended(path, name, part, again.regions[name], before) for name, part in found.regions.items()}
    extended = write_draws(path, found.model_copy(update={"summary": summary, "regions": regions}))
    write_record(path, extended)
    if found.draws_sha256 is not None and found.n_draws is not None:
        draws_path(path, found.n_draws).unlink(missing_ok=True)
    return extended


def _extended(
    path: Path, row: str | None, part: Summary | None, again: Summary | None, before: Mapping[str | None, np.ndarray]
) -> Summary | None:
    """One row with all draws, and what follows from them."""
    if part is None or again is None or again.draws is None or row not in before:
        return part
    first, new = before[row], np.asarray(again.draws, dtype=np.float32).astype(np.float64)
    if not np.allclose(new[: len(first)], first, rtol=0, atol=TOLERANCE, equal_nan=True):
        raise StoreError(
            f"Drawn again, the draws of {path} are others, so that none could be added, and the result is as it was. "
            "Another machine may be the reason: do it where the result was made, or score into another --out."
        )
    values = {name: getattr(again, name) for name in (*_FROM_DRAWS, *_OF_DROP)}
    return part.model_copy(update={**values, "draws": [*first.tolist(), *new[len(first) :].tolist()]})
