"""Several processes leave what one leaves: a sample of `tests/proof/many_models.py`, which has 200 models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.folders import results_of
from tests.proof.many_models import differences

PROOF = Path(__file__).parent / "proof" / "many_models.py"


@pytest.mark.long
def test_two_processes_leave_the_results_of_one_byte_for_byte(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, PROOF, tmp_path, "--models", "2"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "two: 0 of 24 files differ from one process, 12 records" in done.stdout
    assert len(results_of(tmp_path / "two")) == 24


@pytest.mark.parametrize("change", ["value", "file"])
def test_a_result_that_differs_is_named(tmp_path: Path, change: str) -> None:
    for way in ("one", "two"):
        (tmp_path / way).mkdir()
        (tmp_path / way / "result.json").write_text('{"value": 1, "provenance": "' + way + '"}')
    assert differences(*(results_of(tmp_path / way) for way in ("one", "two"))) == []
    if change == "value":
        (tmp_path / "two" / "result.json").write_text('{"value": 2, "provenance": "two"}')
    else:
        (tmp_path / "two" / "more.nc").write_bytes(b"")
    named = "result.json" if change == "value" else "more.nc"
    assert differences(*(results_of(tmp_path / way) for way in ("one", "two"))) == [named]
