"""Made-up results for the tests of figures, on disk and in memory."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from isocortex.results import Result, cell_folder, record_path, write_record
from isocortex.results.scores_file import write_scores
from isocortex.scoring import LayerValue, Summary

#: hostile names of models, stimuli and regions
HOSTILE = (
    "<script>alert(1)</script>", "../../x", "n" * 300, "\u202eמודל‏", "two\nlines\r\nand\x1b[2Jmore",
    "$\\frac{a}{b}$ _x^2",
    "=cmd|' /C calc'!A0", 'quote" id="figure_1"', "&amp; %s {0} | a,b;c",
)  # fmt: skip


def summary(value: float | None, seed: int = 0, **fields: Any) -> Summary:
    """A row with draws around its value."""
    draws = None if value is None else (value + 0.04 * np.random.default_rng(seed).standard_normal(200)).tolist()
    low, high = (None, None) if draws is None else np.quantile(draws, [0.025, 0.975]).tolist()
    given: dict[str, Any] = {
        "statistic": "r", "target": "participant", "value": value, "interval_low": low, "interval_high": high,
        "resampled": "stimuli × participants", "ceiling": 0.8, "ceiling_estimator": "made up", "draws": draws,
        "layer_rule": "single layer", "n_layers_searched": 1, "best_layer": "layer.0", "n_stimuli": 60, "n_subjects": 4,
        "n_neuroids": 40, "n_neuroids_total": 50, "n_splits": 10,
    }  # fmt: skip
    return Summary(**(given | fields))


def curve(values: Sequence[float]) -> dict[str, Any]:
    """Fields of a row whose layer was chosen among several."""
    layers = [LayerValue(name=f"layer.{n}", value=v, read_out=float(v == max(values))) for n, v in enumerate(values)]
    return {"layers": layers, "n_layers_searched": len(values), "layer_rule": "nested by region"}


def result(model: str, value: float | None = 0.5, variant: str = "pretrained", **fields: Any) -> Result:
    """One result of a made-up benchmark."""
    digest = sha256(repr((model, variant, fields.get("benchmark"))).encode()).hexdigest()
    given: dict[str, Any] = {
        "status": "scored", "digest": digest, "model": model,
        "variant": variant, "benchmark": "made.ridge", "benchmark_version": 1, "dataset": "made", "stimuli": "made",
        "metric": "ridge", "digests": {"dataset": "d", "stimuli": "s", "metric": "m", "benchmark": "b"},
        "summary": summary(value, len(model)),
    }  # fmt: skip
    return Result(**(given | fields))


def failed(model: str, **fields: Any) -> Result:
    """A cell that failed."""
    return result(
        model, status="failed", summary=None, failure={"kind": "DataError", "message": "Too short."}, **fields
    )


def write(folder: Path, results: Sequence[Result]) -> Path:
    """Records of results below a folder, as a run leaves them."""
    for one in results:
        cell = cell_folder(folder, one.benchmark, one.model, one.variant)
        write_record(record_path(cell, one.digest), one)
    return folder


def write_with_scores(folder: Path, one: Result, scores: xr.Dataset) -> Result:
    """A record with its raw scores beside it."""
    path = record_path(cell_folder(folder, one.benchmark, one.model, one.variant), one.digest)
    kept = one.model_copy(update={"scores_sha256": write_scores(path.with_name("scores.nc"), scores, one)})
    write_record(path, kept)
    return kept


def neuroid_scores(readout: np.ndarray, selection: np.ndarray | None = None, **coordinates: Any) -> xr.Dataset:
    """Raw scores: readout (n_splits, n_neuroids), selection (n_layers, n_splits, n_neuroids)."""
    n_splits, n_neuroids = readout.shape
    given: dict[str, Any] = {
        "neuroid_id": [f"n{n}" for n in range(n_neuroids)], "subject": [f"S{n % 4}" for n in range(n_neuroids)],
    }  # fmt: skip
    found = xr.Dataset(
        {"readout": (("split", "neuroid"), readout)},
        coords={name: ("neuroid", values) for name, values in (given | coordinates).items()},
        attrs={"measure": "r"},
    )
    found["test_stimulus"] = (("split", "test"), np.arange(60).reshape(6, 10)[np.arange(n_splits) % 6])
    if selection is None:
        return found
    found["selection"] = (("layer", "split", "neuroid"), selection)
    return found.assign_coords(layer=[f"layer.{n}" for n in range(len(selection))])
