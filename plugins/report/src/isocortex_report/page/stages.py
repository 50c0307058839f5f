"""How deep in each model the layer lies that predicts a region best."""

from __future__ import annotations

from collections.abc import Mapping

from isocortex_report.page.contents import Panel, Record, Row, Score


def stages_of(panel: Panel) -> tuple[list[str], list[tuple[Row, Mapping[str, Score]]], str]:
    """Regions, each model with its stages by region, and a note on the procedure.

    Models of a single layer have none and are left out.
    """
    found = [(row, _stages(row)) for row in panel.rows]
    kept = [(row, stages) for row, stages in found if stages]
    regions = [name for name in ("all", *panel.regions) if any(name in stages for _, stages in kept)]
    procedures = dict.fromkeys(str(record["stage_procedure"]) for row, _ in kept for record in row.records)
    named = ", ".join(name for name in procedures if name not in ("", "None"))
    return regions, [(row, stages) for row, stages in kept], f"Layers chosen: {named}." if named else ""


def _stages(row: Row) -> dict[str, Score]:
    scores = {str(record["region"]): _score(record) for record in row.records}
    return {region: score for region, score in scores.items() if score is not None}


def _score(record: Record) -> Score | None:
    value, error = record["stage"], record["stage_error"]
    if value is None:
        return None
    style = f"--v:{round(100 * value, 2)}%"
    if error is None:
        return Score(value, style=style)
    low, high = max(0.0, value - error), min(1.0, value + error)
    style += f";--l:{round(100 * low, 2)}%;--h:{round(100 * high, 2)}%"
    return Score(value, low, high, "interval", style)
