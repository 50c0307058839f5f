"""``--null``: what chance gives, by permuting stimuli, for a cell that is scored or a result that is finished."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.data.stimulus_labels import labels_of_dataset
from isocortex.results.kept_arrays import refuse_other_values
from isocortex.results.records import write_record
from isocortex.run.asked_null import NOT_OFFERED, Null
from isocortex.scoring.calibrated_zero import calibrated
from isocortex.scoring.permutations import Exchangeable, joined
from isocortex.scoring.summary import OF_NULL, Summary

if TYPE_CHECKING:
    from isocortex.activations.layer import Activations
    from isocortex.data.dataset import Dataset
    from isocortex.results.result import Result
    from isocortex.scoring.contract import Contract


def exchangeable_of(dataset: Dataset, comparison: Contract, within: str = "") -> tuple[Exchangeable, list[str]]:
    """Which stimuli of a data set may change places, and sentences on those that may not.

    Stimuli of one group (of the benchmark's splits, or else the data set's) and of equal content are one block.

    Raises
    ------
    SettingsError
        ``within`` is no column of the stimuli.
    DataError
        A stimulus has no label there, or nothing can be permuted.
    """
    ids = list(dataset.stimuli.ids)
    first = {name: names[0] for names in dataset.stimuli.equal for name in names}
    blocks = [first.get(name, name) for name in ids]
    column = comparison.split_columns.get("group") or str(dataset.attrs.get("group") or "")
    if column:
        blocks = joined(labels_of_dataset(dataset, column), blocks)
    found = Exchangeable.of(blocks, labels_of_dataset(dataset, within) if within else None)
    said: list[str] = []
    if 0 < found.n_fixed < len(ids):
        said.append(
            f"{found.n_fixed} of {len(ids)} stimuli stay where they are in all permutations, because no other group "
            "has their size (and labels): p rests on the others."
        )
    return found, said


def with_null(
    comparison: Contract,
    layers: Mapping[str, Activations],
    rows: tuple[Summary, dict[str, Summary]],
    dataset: Dataset,
    null: Null,
    seed: int,
) -> tuple[Summary, dict[str, Summary], list[str]]:
    """Summary and regions with what chance gives, and warnings; a metric that cannot be permuted is said."""
    summary, regions = rows
    if comparison.default_permutations is None:
        return without_null(rows, "its metric has no way to score permuted responses")
    exchangeable, said = exchangeable_of(dataset, comparison, null.within)
    n_permutations = null.n_permutations or comparison.default_permutations
    if exchangeable.n_arrangements < n_permutations + 1:
        said.append(
            f"The stimuli have {exchangeable.n_arrangements:.0f} arrangements only, fewer than {n_permutations} "
            "permutations: p cannot be as small as it looks."
        )
    found = calibrated(
        comparison, layers, {None: summary, **regions}, exchangeable, n_permutations=n_permutations, seed=seed
    )
    made = {name: {**fields, "permuted": null.name} for name, fields in found.items()}
    parts = {name: part.model_copy(update=made[name]) for name, part in regions.items()}
    return summary.model_copy(update=made[None]), parts, said


def without_null(
    rows: tuple[Summary, dict[str, Summary]], because: str
) -> tuple[Summary, dict[str, Summary], list[str]]:
    """Summary and regions marked as having no level of chance, and why."""
    summary, regions = rows
    marked = {"permuted": NOT_OFFERED}
    parts = {name: part.model_copy(update=marked) for name, part in regions.items()}
    return summary.model_copy(update=marked), parts, [f"There is no level of chance, because {because}."]


def add_null(path: Path, found: Result, again: Result) -> Result:
    """Write what chance gives into the record of a finished result; returns it.

    Raises
    ------
    StoreError
        The cell has other values now: nothing is changed.
    """
    refuse_other_values(path, found, again, "for --null")
    assert found.summary is not None
    assert again.summary is not None
    regions = {name: _extended(part, again.regions[name]) for name, part in found.regions.items()}
    extended = found.model_copy(
        update={
            "summary": _extended(found.summary, again.summary),
            "regions": regions,
            "warnings": list(dict.fromkeys([*found.warnings, *again.warnings])),
        }
    )
    write_record(path, extended)
    return extended


def _extended(part: Summary, again: Summary) -> Summary:
    return part.model_copy(update={name: getattr(again, name) for name in OF_NULL})


def said_of_cost(name: str, comparison: Contract, null: Null, seconds: float) -> str:
    """What the permutations of a cell cost, where each takes as long as the score did; else empty."""
    from isocortex.progress import lasting

    if comparison.default_permutations is None or not comparison.refits_permutations:
        return ""
    n_permutations = null.n_permutations or comparison.default_permutations
    return (
        f"{name}: up to {n_permutations:,} permutations of the stimuli, each fitted anew, at most about "
        f"{lasting(n_permutations * seconds)}; it ends early where chance does as well"
    )
