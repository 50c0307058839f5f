"""A dry run says what a run needs, computes nothing and writes nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from isocortex.run.dry_run import extraction_need
from isocortex.run.plan import RunConfig, plan
from tests.lab import Lab, Typed


def needs(lab: Lab, models: list[str], benchmarks: list[str], **config: object) -> list[dict]:
    """What each extraction of a plan needs."""
    found, resolver = RunConfig(**config), lab.resolver()
    cells = {cell.extraction: cell for cell in plan(resolver, models, benchmarks, found).cells}
    return [extraction_need(resolver, cell, found) for cell in cells.values()]


def stored(folder: Path) -> int:
    """Bytes of all stored activations."""
    return sum(np.load(path).nbytes for path in folder.rglob("*.npy"))


@pytest.mark.parametrize("model", ["lab-net", "lab-double", "lab-weighty@random:1"])
@pytest.mark.parametrize("layers", [(), ("net.*",), ("net.hidden",)], ids=str)
def test_the_bytes_are_those_that_a_run_then_stores(lab: Lab, own_folders: Path, model: str, layers: tuple) -> None:
    found = needs(lab, [model], ["lab.fit", "lab.again", "lab.mean"], layers=layers)
    assert len(found) == 2
    assert stored(own_folders) == 0
    lab.score(model, ["lab.fit", "lab.again", "lab.mean"], layers=layers)
    announced = sum(need["disk_bytes"] for need in found)
    if model == "lab-double":  # whether single precision suffices is seen when all stimuli are there
        assert announced >= stored(own_folders) > 0
    else:
        assert announced == stored(own_folders) > 0


def test_one_stimulus_is_run_and_nothing_is_written(lab: Lab, own_folders: Path, typed: Typed) -> None:
    before = sorted(lab.folder.rglob("*"))
    done = typed("score", "-m", "lab-net", "-m", "lab-second", "-b", "lab.fit", "-b", "lab.again", "--dry-run")
    assert done.code == 0, done.err
    ran = [name for _, _, names in lab.seen("run") for name in names]
    assert len(set(ran)) <= 9, "a few stimuli"
    assert [path for path in sorted(lab.folder.rglob("*")) if "__pycache__" not in path.parts] == before
    assert [path for path in own_folders.rglob("*") if path.is_file()] == []
    lines = done.out.splitlines()
    assert lines[0] == "4 cells, 2 extractions, 0 pairs left out (another modality)"
    assert "  lab-net@fixed × lab.again  (lab-fit on Lab, flatten, seed 0)" in lines
    (line,) = [line for line in lines if line.startswith("  lab-net@fixed on lab-images: ")]
    assert re.search(r": 0.0 MB disk, 0.0 MB memory per chunk, [\d.]+ MB model, about [\d.]+ s$", line)
    assert re.match(r"about [\d.]+ s in all", lines[-1])


def test_the_memory_of_a_chunk_is_at_most_what_is_held(lab: Lab, monkeypatch) -> None:
    (need,) = needs(lab, ["lab-net"], ["lab.fit"])
    per_stimulus = 4 * (2 + 18)
    assert need["disk_bytes"] == 40 * per_stimulus
    assert need["memory_bytes"] == 32 * per_stimulus
    monkeypatch.setattr("isocortex.run.dry_run.HELD_BYTES", 100)
    assert needs(lab, ["lab-net"], ["lab.fit"])[0]["memory_bytes"] == 100


def test_the_plan_as_json_holds_cells_and_needs(lab: Lab, typed: Typed) -> None:
    done = typed("score", "-m", "lab-[en]*", "-b", "lab.fit", "--seed", "4", "--dry-run", "--json")
    planned = json.loads(done.out)
    assert [(cell["model"], cell["seed"]) for cell in planned["cells"]] == [("lab-net", 4)]
    assert planned["left_out"] == ["lab-ear@fixed × lab.fit"]
    (need,) = planned["extractions"]
    assert need["model"] == "lab-net@fixed"
    assert need["disk_bytes"] == 40 * 4 * 20


@pytest.mark.parametrize(
    ("model", "benchmark", "reason"),
    [
        ("lab-weighty", "lab.fit", "not known before the weights are here (The weights of lab-weighty are not here.)"),
        ("fault-load", "lab.fit", "not known (ZeroDivisionError: the tape is torn)"),
        ("fault-run", "lab.fit", "not known (ZeroDivisionError: the tape is torn)"),
        ("fault-exit", "lab.fit", "not known (SystemExit: no licence)"),
    ],
)
def test_what_is_not_known_is_said_with_the_reason_beside_what_is(
    lab: Lab, model: str, benchmark: str, reason: str
) -> None:
    one, other = needs(lab, [model, "lab-net"], [benchmark])
    assert (one["unknown_because"], one["disk_bytes"], one["memory_bytes"]) == (reason, None, None)
    assert other["disk_bytes"] > 0


def test_an_object_that_is_not_there_and_a_wrong_layer_are_reasons(lab: Lab) -> None:
    (need,) = needs(lab, ["fault-absent"], ["lab.fit"])
    assert "has no 'Absent'" in need["unknown_because"]
    (need,) = needs(lab, ["lab-net"], ["lab.fit"], layers=("net.pixel",))
    assert "Did you mean net.pixels?" in need["unknown_because"]


def test_stimuli_that_are_not_here_are_a_reason(lab: Lab) -> None:
    manifest = lab.site / "iso_lab" / "isocortex.toml"
    text = manifest.read_text()
    manifest.write_text(text.replace('id = "lab-images"\n', 'id = "lab-images"\nfiles = "away.csv"\n'))
    (need,) = needs(lab, ["lab-weighty"], ["lab.fit"])
    assert need["unknown_because"].startswith("not known before the data are here (The stimuli lab-images")
    assert "and the weights are here (The weights of lab-weighty are not here.)" in need["unknown_because"]
    assert "\n" not in need["unknown_because"]


def test_names_and_devices_are_refused_as_in_a_run(lab: Lab, typed: Typed, monkeypatch) -> None:
    monkeypatch.setattr("isocortex.devices.accelerators", lambda: ())
    for arguments, words in (
        (("-m", "lab-nett", "-b", "lab.fit"), "Did you mean lab-net"),
        (("-m", "lab-ear", "-b", "lab.fit"), "takes audio"),
        (("-m", "lab-net", "-b", "lab.fit", "--device", "abacus"), "no device 'abacus'"),
    ):
        done = typed("score", *arguments, "--dry-run")
        assert (done.code, done.out) == (2, "")
        assert words in done.err
    assert lab.seen() == []
