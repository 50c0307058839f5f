"""Interrupts and kills lose nothing, hang nowhere and leave nothing: a sample in the gate, the campaign beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("interrupts.py")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    ("n", "cold"), [(10, 1), pytest.param(400, 40, marks=pytest.mark.long)], ids=["sample", "campaign"]
)
def test_a_command_that_is_stopped_anywhere_loses_nothing(tmp_path: Path, n: int, cold: int) -> None:
    record = tmp_path / "counts.json"
    command = [sys.executable, str(SCRIPT), "--n", str(n), "--cold", str(cold), "--json", str(record)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = json.loads(record.read_text())
    assert counts["n"] >= 0.8 * n, "a signal that comes too late counts nothing"
    phases = {key.partition(" × ")[0] for key in counts["rows"]}
    assert len(phases) >= 3
    if n > 100:
        written = [row["tried"] for key, row in counts["rows"].items() if key.startswith("scores.nc")]
        assert sum(written) >= 30
