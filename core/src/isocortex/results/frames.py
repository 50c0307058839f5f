"""Results as tidy tables: a row each, a row per layer, and the seeds of one control gathered into one row.

Every cell holds a number, a text or a truth; whatever figures, tables and pages show is read from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from isocortex.catalogue.cards import SEEDED
from isocortex.results.false_discovery import with_q
from isocortex.results.scores_file import WHOLE
from isocortex.scoring.stages import Stage, relative_depth
from isocortex.scoring.summary import Summary

if TYPE_CHECKING:
    import pandas as pd

    from isocortex.results.result import Result


_HEAD = ("benchmark", "region", "model", "variant", "status")
_OF_RESULT = (
    *("dataset", "stimuli", "metric", "benchmark_version", "reduction", "splits", "seed", "n_draws", "limit", "digest"),
)
_OF_SUMMARY = tuple(name for name in Summary.model_fields if name not in ("layers", "stage", "also", "draws"))
_OF_STAGE = tuple(name for name in Stage.model_fields if name not in ("value", "participants"))
_COUNTS = ("benchmark_version", "seed", "n_layers_searched", "n_stimuli", "n_subjects", "n_neuroids")
_TYPES = {
    **dict.fromkeys((*_COUNTS, "n_neuroids_total", "n_splits", "n_null"), "Int64"),
    **dict.fromkeys(("value", "error", "interval_low", "interval_high", "ceiling", "ceiling_lower"), "float64"),
    **dict.fromkeys(("ceiling_upper", "ceiled", "ceiled_low", "ceiled_high", "stage", "stage_error"), "float64"),
    **dict.fromkeys(("stage_spread", "stage_agreement", "stage_tied"), "float64"),
    **dict.fromkeys(("chance", "chance_sd", "calibrated", "p", "p_participants", "q"), "float64"),
    **dict.fromkeys(("dimensionality", "log10_dimensionality"), "float64"),
    "n_units": "Int64",
    **dict.fromkeys(("ordinary", "drop", "drop_low", "drop_high"), "float64"),
    **dict.fromkeys(("n_permutations", "n_exceeding", "most_permutations"), "Int64"),
    **dict.fromkeys(("stage_n_layers", "stage_n_subjects", "n_draws", "limit"), "Int64"),
}
#: parts of a result's digests that must be equal where rows are put side by side
SHARED_DIGESTS = ("dataset", "stimuli", "metric", "benchmark")


def row_name(region: str | None) -> str:
    """What a row is called; a region without a name ("") is no whole, and neither is one that is called "all".

    Examples
    --------
    >>> row_name(None), row_name("all"), row_name("V1")
    ('all', "'all'", 'V1')
    """
    return WHOLE if region is None else f"'{region}'" if region == WHOLE else region


def rows_frame(results: Iterable[Result]) -> pd.DataFrame:
    """One row per model × benchmark × region: numbers as float64 and Int64, texts as text, nothing nested.

    The whole result is the region "all" (one that has this name is "'all'"). Further measures stand in columns
    ``also_NAME``, the decadic logarithm of ``dimensionality`` in ``log10_dimensionality``, ``q`` is the
    false-discovery rate of ``p`` over the rows of a benchmark and statistic, regions apart
    from whole results, the fields of the stage in ``stage`` and ``stage_…``, warnings joined by spaces. A text that
    does not apply is empty. A failed cell is one row whose status is "failed", with the reason in ``failure`` and no
    value.

    Examples
    --------
    >>> rows_frame([]).columns[:6].tolist()
    ['benchmark', 'region', 'model', 'variant', 'status', 'statistic']
    """
    import pandas as pd

    rows = flat_rows(results)
    also = list(dict.fromkeys(name for row in rows for name in row if name.startswith("also_")))
    stage = ("stage", *(f"stage_{name}" for name in _OF_STAGE))
    columns = [*_HEAD, *_OF_SUMMARY, "log10_dimensionality", "q", *stage, *also, *_OF_RESULT, "failure", "warnings"]
    types = dict.fromkeys(columns, "object") | _TYPES | dict.fromkeys(also, "float64")
    frame = pd.DataFrame(rows, columns=columns).astype(types)
    texts = [name for name, kind in types.items() if kind == "object"]
    return frame.assign(**{name: frame[name].where(frame[name].notna(), "") for name in texts})


def flat_rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """The rows of ``rows_frame`` as they are before it is made: what does not apply is None or not there.

    Examples
    --------
    >>> flat_rows([])
    []
    """
    return with_q([row for result in results for row in _rows_of(result)])


def _rows_of(result: Result) -> Iterator[dict[str, Any]]:
    head = {name: getattr(result, name) for name in (*_OF_RESULT, "benchmark", "model", "variant", "status")}
    head["warnings"] = " ".join(result.warnings)
    if result.summary is None:
        yield {**head, "region": WHOLE, "failure": result.failure.message if result.failure else "unknown"}
        return
    for region, part in _parts(result):
        stage = {} if part.stage is None else {f"stage_{name}": getattr(part.stage, name) for name in _OF_STAGE}
        yield {
            **head,
            "region": row_name(region),
            **{name: getattr(part, name) for name in _OF_SUMMARY},
            **stage,
            "log10_dimensionality": None if part.dimensionality is None else float(np.log10(part.dimensionality)),
            "stage": None if part.stage is None else part.stage.value,
            **{f"also_{name}": value for name, value in part.also.items()},
        }


def _parts(result: Result) -> list[tuple[str | None, Summary]]:
    assert result.summary is not None
    return [(None, result.summary), *result.regions.items()]


def layers_frame(results: Iterable[Result]) -> pd.DataFrame:
    """The curves over layers, one row per model × benchmark × region × layer, in processing order.

    ``place`` counts from 0, ``depth`` is place / (n_layers − 1), ``value`` is that of the layer alone (nothing is
    chosen for it), and ``read_out`` the share of splits and neuroids in which the layer is read out.

    Examples
    --------
    >>> layers_frame([]).columns[-5:].tolist()
    ['layer', 'place', 'depth', 'value', 'read_out']
    """
    import pandas as pd

    columns = ("benchmark", "region", "model", "variant", "digest", "statistic", "target")
    rows = [
        (
            *(result.benchmark, row_name(region), result.model, result.variant, result.digest),
            *(part.statistic, part.target, layer.name, place),
            *(float(relative_depth(np.array(place), len(part.layers))), layer.value, layer.read_out),
        )
        for result in results
        if result.summary is not None
        for region, part in _parts(result)
        for place, layer in enumerate(part.layers)
    ]
    types = dict.fromkeys((*columns, "layer"), "object") | {"place": "Int64"}
    types |= dict.fromkeys(("depth", "value", "read_out"), "float64")
    return pd.DataFrame(rows, columns=list(types)).astype(types)


# --- seeds of one control ---------------------------------------------------------------------------------------------


def seed_of(variant: str) -> tuple[str, int] | None:
    """Kind and seed of a seeded variant, or None.

    Examples
    --------
    >>> seed_of("random:3"), seed_of("pretrained")
    (('random', 3), None)
    """
    kind, _, seed = variant.partition(":")
    return (kind, int(seed)) if kind in SEEDED and seed.isascii() and seed.isdigit() else None


def seeds_text(kind: str, seeds: Iterable[int]) -> str:
    """The name of a set of seeds; neighbours are a range.

    Examples
    --------
    >>> seeds_text("random", [2, 0, 1, 7])
    'random:0..2,7'
    """
    runs: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return f"{kind}:" + ",".join(f"{run[0]}..{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def seed_sets(frame: pd.DataFrame, results: Iterable[Result]) -> pd.DataFrame:
    """Gather the seeds of one control into one row: the mean over seeds, and their range, which is no interval.

    Rows are one set where model, kind of variant, benchmark, region, statistic, target, layer rule, layers that were
    asked for, the seed of the splits, and the versions of data, metric and benchmark are equal. A set has two seeds or
    more, each of them once; where one seed has several results, nothing is gathered. Intervals of a set are empty,
    since seeds are no participants and no stimuli.

    Parameters
    ----------
    frame
        Of ``rows_frame``, or some rows of it.
    results
        Those that the frame was made of, or more.

    Returns
    -------
    The frame with the columns ``n_seeds`` (1 where nothing was gathered), ``range_low``, ``range_high`` and
    ``members`` (digests joined by spaces). A set stands where its first row stood.
    """
    import pandas as pd

    rows = seed_rows([{str(name): value for name, value in row.items()} for row in frame.to_dict("records")], results)
    columns = [*frame.columns, "n_seeds", "range_low", "range_high", "members"]
    types = {str(name): kind for name, kind in frame.dtypes.items()} | {"n_seeds": "Int64"}
    return pd.DataFrame(rows, columns=columns).astype(types | {"range_low": "float64", "range_high": "float64"})


def seed_rows(rows: Iterable[dict[str, Any]], results: Iterable[Result]) -> list[dict[str, Any]]:
    """``seed_sets`` on rows of ``flat_rows``.

    Examples
    --------
    >>> seed_rows([], [])
    []
    """
    versions = {result.digest: _versions(result) for result in results}
    gathered: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for place, row in enumerate(rows):
        seeded = seed_of(str(row["variant"])) if row["status"] == "scored" else None
        own = (place,) if seeded is None else (seeded[0], *(row[name] for name in _SAME), versions[row["digest"]])
        gathered.setdefault(own, []).append(row)
    return [row for members in gathered.values() for row in _set_rows(members)]


_SAME = ("model", "benchmark", "region", "statistic", "target", "layer_rule", "seed")
#: what holds for one seed and not for a set
_OF_ONE = (
    *("error", "interval_low", "interval_high", "ceiled_low", "ceiled_high", "stage_error", "stage_spread"),
    *("chance_sd", "p", "p_participants", "q", "n_permutations", "n_exceeding"),
    *("drop_low", "drop_high"),
)


def _versions(result: Result) -> tuple[Any, ...]:
    return (*(result.digests.get(part) for part in SHARED_DIGESTS), *result.layers)


def _set_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for a set of seeds, or the rows as they are."""
    if len(rows) == 1 or len({row["variant"] for row in rows}) < len(rows):
        alone = {"n_seeds": 1, "range_low": None, "range_high": None}
        return [{**row, **alone, "members": row["digest"]} for row in rows]
    seeds = [found[1] for found in (seed_of(row["variant"]) for row in rows) if found is not None]
    values = [row["value"] for row in rows if is_number(row["value"])]
    layers = [row["best_layer"] for row in rows]
    gathered = {
        **{name: _mean(row.get(name) for row in rows) for name in rows[0] if _is_averaged(name)},
        **dict.fromkeys(_OF_ONE, None),
        "variant": seeds_text(str(rows[0]["variant"]).partition(":")[0], seeds),
        "error_kind": "none",
        "resampled": "none",
        "best_layer": min(set(layers), key=lambda name: (-layers.count(name), name)),
        "n_null": sum(row["n_null"] for row in rows),
        "n_seeds": len(rows),
        "range_low": min(values, default=None),
        "range_high": max(values, default=None),
        "members": " ".join(row["digest"] for row in rows),
        "warnings": " ".join(dict.fromkeys(row["warnings"] for row in rows if row["warnings"])),
    }
    return [rows[0] | gathered]


def _is_averaged(name: str) -> bool:
    return name not in _OF_ONE and (_TYPES.get(name) == "float64" or name.startswith("also_"))


def _mean(values: Iterable[float | None]) -> float | None:
    """None where a seed has no value."""
    found = list(values)
    known = [value for value in found if is_number(value)]
    return float(np.mean(known)) if len(known) == len(found) else None


def is_number(value: float | None) -> TypeGuard[float]:
    """Whether a cell holds a number: neither nothing nor NaN, which stands for nothing in a frame.

    Examples
    --------
    >>> is_number(0.5), is_number(None), is_number(float("nan"))
    (True, False, False)
    """
    return value is not None and value == value
