"""The time of a run, estimated from a few stimuli and made-up activations."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pytest

import isocortex
from isocortex.catalogue.rows import Catalogue
from isocortex.files.file_store import FileStore
from isocortex.loading.resolver import Resolver
from isocortex.run.dry_run import extraction_need
from isocortex.run.plan import RunConfig, plan
from isocortex.run.speed import ScoringSpeed, scoring_speed, seconds_of_run
from tests.lab import Lab, Typed


def test_an_extraction_takes_what_its_stimuli_take(lab: Lab) -> None:
    """10 ms a stimulus, 40 stimuli."""

    def slow(images: np.ndarray) -> np.ndarray:
        time.sleep(0.01 * len(images))
        return images.mean(axis=(1, 2))

    model = isocortex.wrap(slow, modality="image", name="slow")
    resolver = Resolver(Catalogue.discover(), FileStore(), {"slow": model})
    (cell,) = plan(resolver, ["slow"], ["lab.fit"], RunConfig()).cells
    need = extraction_need(resolver, cell, RunConfig())
    assert 0.2 < need["seconds"] < 0.8
    assert need["units"] == [3]


def test_a_benchmark_takes_what_its_layers_take(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """30 ms a layer, and 1 ms for each of its units."""
    lab.score("lab-net", "lab.fit")
    fitted = sys.modules["iso_lab"].Fitted
    plain = fitted.score

    def slow(self, activations):
        time.sleep(0.03 + 0.001 * activations.n_units)
        return plain(self, activations)

    monkeypatch.setattr(fitted, "score", slow)
    resolver = lab.resolver()
    (cell,) = plan(resolver, ["lab-net"], ["lab.fit"], RunConfig()).cells
    speed = scoring_speed(resolver, cell, RunConfig(), [2, 100])
    assert isinstance(speed, ScoringSpeed)
    assert 0.12 / 1.5 < speed.of_cell([2, 100]) - speed.per_cell - 2 * 0.02 < 0.32


def test_all_cells_are_added_up(lab: Lab) -> None:
    cells = plan(lab.resolver(), ["lab-net", "lab-second"], ["lab.fit", "lab.again"], RunConfig()).cells
    needs = {cell.extraction: {"seconds": 10.0, "units": [2, 18]} for cell in cells}
    speed = ScoringSpeed(once=100.0, per_cell=1.0, per_layer=0.5, per_unit=0.1)
    assert seconds_of_run(cells, needs, {"lab.fit": speed, "lab.again": speed}) == pytest.approx(
        2 * 10 + 2 * 100 + 4 * (1 + 2 * 0.5 + 20 * 0.1)
    )
    assert seconds_of_run(cells, needs, {"lab.fit": speed, "lab.again": "it has baselines"}) is None


def test_a_dry_run_says_the_time_and_why_it_is_not_known(lab: Lab, typed: Typed) -> None:
    known = json.loads(typed("score", "-m", "lab-net", "-b", "lab.fit", "--dry-run", "--json").out)
    assert known["seconds"] > 0
    assert known["extractions"][0]["model_bytes"] >= 0
    other = typed("score", "-m", "lab-net", "-b", "lab.added", "--dry-run")
    assert "lab.added: the time of its scores is not known (it has baselines)" in other.out
    assert "in all" not in other.out
