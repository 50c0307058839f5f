"""Made-up results on disk, with draws that can be compared, for the tests of the page."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from isocortex.results import Result, cell_folder, record_path, write_record
from isocortex.results.scores_file import write_scores
from isocortex.scoring import Stage, Summary
from plugins.report.tests.results_for_figures import curve, result, summary

N_DRAWS = 400


def drawn(value: float, noise: np.ndarray[Any, Any], **fields: Any) -> Summary:
    """A row whose draws lie around its value; rows with one noise are paired."""
    draws = value + 0.03 * noise
    low, high = np.quantile(draws, [0.025, 0.975]).tolist()
    return summary(value, **({"draws": draws.tolist(), "interval_low": low, "interval_high": high} | fields))


def scored(model: str, value: float, variant: str = "pretrained", **fields: Any) -> Result:
    """A result with two regions, whose draws share most of their noise with those of all others."""
    own = np.random.default_rng(int(sha256(f"{model}@{variant}".encode()).hexdigest()[:8], 16))
    noise = np.random.default_rng(0).standard_normal(N_DRAWS) + 0.2 * own.standard_normal(N_DRAWS)
    more, shifts = fields.pop("row", {}), fields.pop("regions", {"V1": 0.1, "IT": -0.1})
    regions = {name: drawn(value + shift, noise, **more) for name, shift in shifts.items()}
    return result(model, value, variant, summary=drawn(value, noise, **more), regions=regions, **fields)


def staged(depth: float) -> dict[str, Any]:
    """Fields of a row with four layers and a stage."""
    stage = Stage(value=depth, error=0.1, error_kind="made up", procedure="nested", n_layers=4, n_subjects=4)
    return {"stage": stage, **curve([0.2, 0.3, 0.4, 0.1])}


def written(folder: Path, results: Sequence[Result]) -> Path:
    """Records below a folder, with the draws of those that have some."""
    for one in results:
        cell = cell_folder(folder, one.benchmark, one.model, one.variant)
        path = record_path(cell, one.digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = one
        if one.summary is not None and one.summary.draws is not None:
            checksum = write_scores(path.parent / "scores.nc", xr.Dataset(), one)
            kept = one.model_copy(update={"scores_sha256": checksum})
        write_record(path, kept)
    return folder


def many(n_models: int, n_benchmarks: int, seed: int = 0) -> list[Result]:
    """Results of many models on many benchmarks, one in twenty failed and one in twenty not run; without draws."""
    stream = np.random.default_rng(seed)
    found: list[Result] = []
    for place in range(n_benchmarks):
        for number in range(n_models):
            name, chance = f"family{number % 12}/network-{number:03d}", stream.random()
            fields: dict[str, Any] = {"benchmark": f"cortex-{place:02d}.ridge"}
            if chance < 0.05:
                continue
            if chance < 0.1:
                failure = {"kind": "DataError", "message": "The sounds are too short for this model."}
                found.append(result(name, status="failed", summary=None, failure=failure, **fields))
                continue
            value = float(np.clip(0.3 + 0.15 * stream.standard_normal(), -0.1, 0.75))
            layers = staged(float(stream.random())) if number % 4 == 0 else {}
            shifts = {region: 0.1 * stream.standard_normal() for region in ("A1", "belt", "STG")}
            parts = {region: plain(value + shift, **layers) for region, shift in shifts.items()}
            found.append(result(name, summary=plain(value, **layers), regions=parts, **fields))
    return found


def plain(value: float, **fields: Any) -> Summary:
    """A row with an interval and no draws."""
    return summary(value, draws=None, interval_low=value - 0.08, interval_high=value + 0.08, **fields)
