"""A sample of the proof that intervals hold the truth: `tests/proof/intervals_cover.py` has all of it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from isocortex.scoring import Resampled
from isocortex_metrics.geometry import participants


@pytest.fixture(scope="module")
def proof() -> ModuleType:
    """The script as a module."""
    path = Path(__file__).parent / "proof" / "intervals_cover.py"
    spec = importlib.util.spec_from_file_location("intervals_cover", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_intervals_of_rsa_hold_the_truth(proof: ModuleType) -> None:
    row = proof.coverage(proof.Cell("rsa", 80, 20, "noise", 1, 6, "normal", 1), 30)
    assert row["value_inside"] / row["value_n"] >= 0.85
    assert 0.7 < row["ratio"] < 1.6


def test_half_an_interval_is_found_too_narrow(proof: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def halved(*given: object) -> Resampled:
        found = whole(*given)
        return Resampled(found.draws.mean() + (found.draws - found.draws.mean()) / 3, found.resampled)

    whole = participants.draws_over_participants
    monkeypatch.setattr(participants, "draws_over_participants", halved)
    row = proof.coverage(proof.Cell("rsa", 80, 20, "strong", 1, 6, "normal", 1), 15)
    assert row["value_inside"] / row["value_n"] < 0.85
    assert row["ratio"] < 0.7


@pytest.mark.long
@pytest.mark.parametrize("metric", ["ridge", "rsa", "pls"])
@pytest.mark.parametrize("signal", ["noise", "weak", "strong"])
@pytest.mark.parametrize(("people", "neuroids", "tails", "n_layers"), [(1, 6, "heavy", 1), (1, 6, "normal", 4)])
def test_intervals_hold_the_truth(proof, metric, signal, people, neuroids, tails, n_layers) -> None:
    row = proof.coverage(proof.Cell(metric, 80, 20, signal, people, neuroids, tails, n_layers), 80)
    assert row["value_inside"] / row["value_n"] >= 0.86
    assert 0.75 < row["ratio"] < 1.6
