"""Random command lines and mutated manifests end in messages: a sample in the gate, the campaign beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("commands.py")


@pytest.mark.parametrize(
    ("commands", "manifests"),
    [(20, 8), pytest.param(3000, 1000, marks=pytest.mark.long)],
    ids=["sample", "campaign"],
)
def test_whatever_is_typed_or_installed_ends_in_a_message(tmp_path: Path, commands: int, manifests: int) -> None:
    record = tmp_path / "counts.json"
    counts = ["--commands", str(commands), "--manifests", str(manifests), "--check-every", "40"]
    done = subprocess.run([sys.executable, str(SCRIPT), *counts, "--json", str(record)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(record.read_text())
    assert sum(found["commands"].values()) == commands
    assert {"0", "1", "2"} <= set(found["commands"])
    assert sum(found["manifests"].values()) == manifests
    assert found["manifests"].get("broken")
    assert found["manifests"].get("listed")
