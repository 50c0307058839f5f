"""The visual half of ``isocortex demo`` from nothing: seconds, where the whole takes a minute."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from isocortex_simulated import demo, truth

NAME = "simulated-visual"


def test_visual_half_of_the_demo_passes_its_checks_and_is_kept(
    isocortex: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "CANDIDATES", {NAME: demo.CANDIDATES[NAME]})
    done = isocortex("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 cells: 5 computed, 0 cached, 0 failed" in done.stdout
    assert (done.stdout.count("  passed  "), done.stdout.count("FAILED")) == (5, 0)
    assert (len(re.findall("  recovered$", done.stdout, re.MULTILINE)), done.stdout.count("no recovery")) == (2, 3)
    for region, stage in truth(NAME).items():
        made_of = "nothing" if stage is None else f"{stage.model} {stage.layer}"
        assert f"{region}, made of {made_of}" in done.stdout
    records = [json.loads(path.read_text()) for path in (tmp_path / "results/demo").rglob("result.json")]
    assert len(records) == 5
    for summary in (summary for record in records for summary in record["regions"].values()):
        assert summary["interval_low"] < summary["value"] < summary["interval_high"]

    again = isocortex("demo")
    assert again.returncode == 0
    assert "5 cells: 0 computed, 5 cached, 0 failed (nothing was computed again)" in again.stdout
