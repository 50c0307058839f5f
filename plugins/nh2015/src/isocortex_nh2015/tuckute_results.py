"""Results of the Tuckute et al. 2023 release (``df_output.pkl``) as records that ``isocortex show`` prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from isocortex.errors import DataError, shorten
from isocortex.files import digest_file, digest_of
from isocortex.scoring import by_participant, over_participants, subject_codes
from isocortex.typing import Array
from isocortex_nh2015.pickled_tables import read_frame
from isocortex_nh2015.tuckute_models import released_model
from isocortex_nh2015.voxel_files import FUNCTIONAL, INSIDE

if TYPE_CHECKING:
    import pandas as pd

    from isocortex.results import Result
    from isocortex.scoring import Summary


N_SPLITS: Final = 10
N_STIMULI: Final = 165
PREFIX: Final = "tuckute2023/"
COMPONENTS: Final = "NH2015comp"
TARGETS: Final = ("NH2015", "B2021", COMPONENTS)
#: column of a table to the measure that it is; medians over the ten splits
MEASURES: Final = {"median_r2_test": "r2", "median_r2_test_c": "r2_corrected", "median_r_test": "r"}
_IDENTITY: Final = ("source_model", "source_layer", "randnetw", "target")
NOTE: Final = "published values (df_output.pkl): medians over ten splits, no layer chosen apart from the test"


@dataclass(frozen=True)
class Published:
    """What the release says about one network, trained or permuted, and one target.

    Attributes
    ----------
    model, target
        Code name of the network; "NH2015", "B2021" or "NH2015comp".
    permuted
    layers
    values
        Measure → (n_layers, n_neuroids): "r2", "r" and, for voxels, "r2_corrected", not above 1.
    subjects
        Participant of each voxel; None for components.
    groups
        Coordinates over which rows of a result are made; "" is in none.
    digest
        Over the files.
    """

    model: str
    target: str
    permuted: bool
    layers: tuple[str, ...]
    values: Mapping[str, Array]
    subjects: list[str] | None
    groups: Mapping[str, list[str]]
    digest: str


@dataclass(frozen=True)
class _Table:
    """What is kept of one table: a layer, or some voxels of it."""

    layer: str
    voxel_id: Array
    values: dict[str, Array]
    subjects: list[str] | None
    groups: dict[str, list[str]]
    digest: str


def find_results(folder: Path) -> dict[str, list[Path]]:
    """Find the tables ``df_output.pkl``, and ``df_output_0.pkl``, … where voxels were run in parts, below a folder.

    Returns
    -------
    Folder of a network, above those of its layers, to its tables.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.resolve().rglob("df_output*.pkl")):
        if path.is_file():
            found.setdefault(str(path.parent.parent), []).append(path)
    return found


def read_results(paths: Iterable[Path]) -> list[Published]:
    """Read tables and put together those of one network and target; other targets are left aside.

    Raises
    ------
    DataError
        If a table lacks a column, or the layers of a network are not about the same voxels.
    """
    tables: dict[tuple[str, bool, str], list[_Table]] = {}
    for path in paths:
        content = read_frame(path)
        model, layer, permuted, target = _identity(content, path)
        if target in TARGETS:
            tables.setdefault((model, permuted, target), []).append(_table(content, layer, target, path))
    return [_published(*key, found) for key, found in tables.items()]


def _identity(table: pd.DataFrame, path: Path) -> tuple[str, str, bool, str]:
    _require(table, _IDENTITY, path)
    found = {name: sorted({str(value) for value in table[name]}) for name in _IDENTITY}
    mixed = [name for name, values in found.items() if len(values) != 1]
    if mixed:
        raise DataError(f"{path}: expected one {mixed[0]}, found {shorten(found[mixed[0]]) or 'none'}.")
    model, layer, permuted, target = (found[name][0] for name in _IDENTITY)
    return model, layer, permuted == "True", target


def _require(table: pd.DataFrame, names: Iterable[str], path: Path) -> None:
    absent = [name for name in names if name not in table.columns]
    if absent:
        raise DataError(f"{path} lacks the columns {shorten(absent)}; it has {shorten(table.columns, 8)}.")


def _table(content: pd.DataFrame, layer: str, target: str, path: Path) -> _Table:
    pooled = target == COMPONENTS
    measures = {name: measure for name, measure in MEASURES.items() if not (pooled and measure == "r2_corrected")}
    _require(content, [*measures, "comp" if pooled else "subj_idx"], path)
    values = {measure: content[name].to_numpy(dtype=np.float64) for name, measure in measures.items()}
    for measure, found in values.items():
        if not np.isfinite(found).all():
            raise DataError(f"{path}: {int((~np.isfinite(found)).sum())} values of {measure} are not finite.")
    if not pooled:
        values["r2_corrected"] = np.minimum(values["r2_corrected"], 1.0)
    return _Table(
        layer=layer,
        voxel_id=np.asarray(content["voxel_id"] if "voxel_id" in content.columns else content.index),
        values=values,
        subjects=None if pooled else [f"s{int(number)}" for number in content["subj_idx"]],
        groups=_groups(content, target),
        digest=digest_file(path),
    )


def _groups(table: pd.DataFrame, target: str) -> dict[str, list[str]]:
    if target == COMPONENTS:
        return {"region": [str(name) for name in table["comp"]]}
    found: dict[str, list[str]] = {}
    for name, column in (("region", "roi_label_general"), ("hemisphere", "hemi")):
        if column in table.columns:
            found[name] = [value if isinstance(value, str) else "" for value in table[column]]
    for name in FUNCTIONAL:
        if name in table.columns:
            found[name] = [INSIDE if value == 1 else "" for value in table[name]]
    return found


def _published(model: str, permuted: bool, target: str, tables: Sequence[_Table]) -> Published:
    where = f"{model} on {target}{', permuted' if permuted else ''}"
    layers = list(dict.fromkeys(table.layer for table in tables))
    known = list(released_model(model).keys)
    layers.sort(key=lambda name: known.index(name) if name in known else len(known))
    whole = {name: _joined([table for table in tables if table.layer == name]) for name in layers}
    first = whole[layers[0]]
    rows = {name: _aligned(table, first, f"{where}, {name}") for name, table in whole.items()}
    return Published(
        model=model,
        target=target,
        permuted=permuted,
        layers=tuple(layers),
        values={name: np.stack([whole[layer].values[name][rows[layer]] for layer in layers]) for name in first.values},
        subjects=first.subjects,
        groups=first.groups,
        digest=digest_of(["tuckute2023", sorted(table.digest for table in tables)]),
    )


def _joined(parts: Sequence[_Table]) -> _Table:
    """The parts of one layer, voxel after voxel."""
    first = parts[0]
    subjects = [name for part in parts for name in part.subjects or ()]
    return _Table(
        layer=first.layer,
        voxel_id=np.concatenate([part.voxel_id for part in parts]),
        values={name: np.concatenate([part.values[name] for part in parts]) for name in first.values},
        subjects=subjects if first.subjects is not None else None,
        groups={name: [value for part in parts for value in part.groups[name]] for name in first.groups},
        digest=first.digest,
    )


def _aligned(table: _Table, first: _Table, where: str) -> Array:
    """Places of the first layer's voxels among those of a layer."""
    place = {name: row for row, name in enumerate(table.voxel_id.tolist())}
    wanted = first.voxel_id.tolist()
    if len(place) != len(table.voxel_id):
        raise DataError(f"{where}: {len(table.voxel_id) - len(place)} voxels occur twice.")
    absent, beyond = [name for name in wanted if name not in place], sorted(set(place) - set(wanted))
    if absent or beyond:
        raise DataError(
            f"{where}: expected the {len(wanted)} voxels of the other layers; {len(absent)} are missing "
            f"({shorten(absent) or 'none'}), {len(beyond)} are others ({shorten(beyond) or 'none'})."
        )
    return np.array([place[name] for name in wanted], dtype=np.intp)


# --- records ----------------------------------------------------------------------------------------------------------


def result_of(published: Published) -> Result:
    """The record of one network and target, beside which our own results of the benchmark can be shown.

    Its value is the best point of the curve over layers, found on the test sounds themselves ("optimistic"): what the
    paper reports needs the values of single splits, which these tables do not hold. Its stage is the paper's.
    """
    from isocortex.results import Result
    from isocortex_metrics.tuckute2023.aggregation import best_layers

    metric = "tuckute2023-components" if published.target == COMPONENTS else "tuckute2023-ridge"
    everything = np.arange(published.values["r2"].shape[1])
    best = best_layers(published.values.get("r2_corrected", published.values["r2"]))
    return Result(
        status="scored",
        digest=published.digest,
        model=f"{PREFIX}{released_model(published.model).shown}",
        variant="permuted" if published.permuted else "pretrained",
        benchmark=f"{published.target}.tuckute2023",
        benchmark_version=1,
        dataset=published.target,
        stimuli="natsound165",
        metric=metric,
        settings={"imported": NOTE},
        reduction="time-mean",
        layers=list(published.layers),
        digests={"files": published.digest},
        summary=_summary(published, everything, best),
        regions={name: _summary(published, rows, best) for name, rows in _rows(published).items()},
    )


def _rows(published: Published) -> dict[str, Array]:
    """Neuroids of each region, named as ``summary_by`` names them."""
    found: dict[str, Array] = {}
    for name, values in published.groups.items():
        for group in dict.fromkeys(value for value in values if value):
            label = group if len(published.groups) == 1 else f"{name}={group}"
            found[label] = np.flatnonzero(np.array(values) == group)
    return found


def _summary(published: Published, rows: Array, best_layer: tuple[Array, Array]) -> Summary:
    """Of some neuroids; ``best_layer``: that of every neuroid, and whether it was drawn from equals."""
    from isocortex.scoring import LayerValue, Summary
    from isocortex_metrics.tuckute2023.stages import stage_of_neuroids

    subjects = None if published.subjects is None else [published.subjects[row] for row in rows]
    codes = subject_codes(subjects, len(rows))
    medians = {name: by_participant(values[:, rows], codes) for name, values in published.values.items()}
    curves = {name: over_participants(values) for name, values in medians.items()}  # (n_layers,)
    best = int(curves["r2"].argmax())
    people = medians["r2"][best]
    corrected = curves.get("r2_corrected")
    n_layers = len(published.layers)
    chosen, tied = best_layer
    return Summary(
        statistic="r2",
        target="pooled" if subjects is None else "participant",
        value=float(curves["r2"][best]),
        error=float(people.std(ddof=1) / np.sqrt(len(people))) if len(people) > 1 else None,
        error_kind="standard error over participants" if len(people) > 1 else "none",
        ceiled=None if corrected is None else float(corrected.max()),
        layer_rule="optimistic" if n_layers > 1 else "single layer",
        n_layers_searched=n_layers,
        best_layer=published.layers[best],
        layers=[
            LayerValue(name=name, value=float(value))
            for name, value in zip(published.layers, curves["r2"], strict=True)
        ],
        stage=stage_of_neuroids(chosen[rows], tied[rows], subjects, n_layers),
        n_stimuli=N_STIMULI,
        n_subjects=None if subjects is None else len(people),
        n_neuroids=len(rows),
        n_neuroids_total=published.values["r2"].shape[1],
        n_splits=N_SPLITS,
        also={"r": float(curves["r"][best])},
    )


def write_result(folder: Path, result: Result) -> Path:
    """Write a record where ``isocortex show`` finds it; returns its path.

    Raises
    ------
    StoreError
        If the folder cannot be written.
    """
    from isocortex.results import cell_folder, record_path, write_record

    path = record_path(cell_folder(folder, result.benchmark, result.model, result.variant), result.digest)
    write_record(path, result)
    return path
