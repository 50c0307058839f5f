"""The command ``dimensionality``, in process: its numbers are those of numpy's eigenvalues of the same activations."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from click.testing import CliRunner

import isocortex
from isocortex.errors import UsageError
from isocortex_report.dimensionality_command import dimensionality

pytest.importorskip("isocortex_baselines")
pytest.importorskip("isocortex_simulated")

GIVEN = ("-m", "noise/3", "--stimuli", "simulated-images")


def run(*arguments: str) -> str:
    done = CliRunner().invoke(dimensionality, [*arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def test_every_layer_has_the_dimensionality_of_its_eigenvalues() -> None:
    layers = isocortex.extract("noise/3", "simulated-images", quiet=True)
    rows = json.loads(run(*GIVEN, "--json"))
    assert [row["layer"] for row in rows] == list(layers)
    for row, layer in zip(rows, layers.values(), strict=True):
        x = np.concatenate(list(layer.blocks(layer.stimulus_id)), axis=1).astype(float)
        assert (row["n_stimuli"], row["n_units"]) == x.shape
        for name, covariance in (("units", np.cov(x.T)), ("raw", np.cov(x))):
            values = np.linalg.eigvalsh(covariance)
            assert row[name] == pytest.approx(values.sum() ** 2 / np.sum(values**2), rel=1e-10)


def test_table_and_csv_hold_the_same_rows() -> None:
    rows = json.loads(run(*GIVEN, "--json"))
    listed = list(csv.DictReader(io.StringIO(run(*GIVEN, "--csv"))))
    assert [{name: value if name == "layer" else float(value) for name, value in row.items()} for row in listed] == [
        {name: value if name == "layer" else pytest.approx(value, rel=1e-12) for name, value in row.items()}
        for row in rows
    ]
    text = run(*GIVEN)
    assert "noise/3: effective dimensionality on simulated-images, flatten" in text
    for row in rows:
        assert row["layer"] in text
        assert f"{row['units']:.2f}" in text


def test_some_layers_and_another_reduction() -> None:
    name = json.loads(run(*GIVEN, "--json"))[0]["layer"]
    (row,) = json.loads(run("-m", "noise/3", "--stimuli", "simulated-images", "--layers", name, "--json"))
    assert row["layer"] == name
    sounds = json.loads(run("-m", "noise/3", "--stimuli", "simulated-sounds", "--reduction", "time-mean", "--json"))
    assert {row["n_stimuli"] for row in sounds} == {48}


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="Give --json or --csv, not both"):
        run(*GIVEN, "--json", "--csv")
    with pytest.raises(UsageError, match="nothing-here"):
        run("-m", "nothing-here", "--stimuli", "simulated-images")


def test_a_layer_in_which_nothing_varies_has_a_dash_and_null(monkeypatch: pytest.MonkeyPatch) -> None:
    from isocortex.activations import Activations

    flat = Activations("flat", ["a", "b", "c"], [np.ones((3, 4))])
    monkeypatch.setattr(isocortex, "extract", lambda *_, **__: {"flat": flat})
    assert json.loads(run(*GIVEN, "--json"))[0]["units"] is None
    assert "–" in run(*GIVEN)
