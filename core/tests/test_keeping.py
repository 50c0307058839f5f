"""``--keep`` adds arrays to a result: one computation is one result, whatever is kept of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import xarray as xr

from isocortex.results.paired import compare_results
from isocortex.results.result import Result
from tests.lab import Lab, Typed


def kept(lab: Lab) -> dict[str, xr.Dataset]:
    """Arrays that are kept, by the name of their file."""
    return {path.stem: xr.load_dataset(path) for path in lab.records("kept/*.nc")}


def unchanged(lab: Lab) -> dict[Path, tuple[bytes, int]]:
    """Content and time of change of records and scores."""
    paths = [*lab.records("result.json"), *lab.records("scores.nc")]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def test_what_is_kept_later_is_what_would_have_been_kept_at_once(lab: Lab) -> None:
    (first,) = lab.score("lab-net", "lab.regions", out=Path("other"), keep=("alpha", "prediction"))
    at_once = {path.stem: xr.load_dataset(path) for path in (lab.folder / "other").rglob("kept/*.nc")}
    lab.score("lab-net", "lab.regions")
    before = unchanged(lab)
    lab.seen()
    (later,) = lab.score("lab-net", "lab.regions", keep=("alpha", "prediction"))
    assert unchanged(lab) == before, "the result itself is not touched"
    assert later.digest == first.digest
    assert len(lab.records("result.json")) == 1
    found = kept(lab)
    assert set(found) == {"alpha", "prediction"}
    for name, arrays in found.items():
        xr.testing.assert_identical(arrays, at_once[name])
    assert set(found["alpha"]) == {"alpha", "alpha_at_bound"}


def test_what_is_kept_is_not_computed_again(lab: Lab) -> None:
    lab.score("lab-net", "lab.fit", keep=("alpha",))
    lab.seen()
    for keep in (("alpha",), ()):
        assert lab.score("lab-net", "lab.fit", keep=keep)[0].cached
    assert lab.seen("score") == []
    lab.score("lab-net", "lab.fit", keep=("alpha", "training_r2"))
    assert len(lab.seen("score")) > 0
    assert set(kept(lab)) == {"alpha", "training_r2"}


@pytest.mark.parametrize("name", ["alpha.nc", "alpha.json"])
def test_a_damaged_array_is_kept_anew(lab: Lab, name: str) -> None:
    lab.score("lab-net", "lab.fit", keep=("alpha",))
    before = kept(lab)["alpha"]
    (path,) = lab.records(f"kept/{name}")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    lab.score("lab-net", "lab.fit", keep=("alpha",))
    xr.testing.assert_identical(kept(lab)["alpha"], before)


def test_arrays_of_other_values_than_the_record_are_not_kept(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = lab.score("lab-net", "lab.fit")
    import iso_lab  # type: ignore[import-not-found]

    true = iso_lab.correlation
    monkeypatch.setattr(iso_lab, "correlation", lambda x, y: true(x, y) * 0.999)
    before = unchanged(lab)
    (again,) = lab.score("lab-net", "lab.fit", keep=("alpha",))
    assert again.failure is not None
    assert "Computed again for --keep, the cell has other values than" in again.failure.message
    assert "summary.value is" in again.failure.message
    assert kept(lab) == {}
    assert unchanged(lab) == before
    monkeypatch.setattr(iso_lab, "correlation", true)
    (last,) = lab.score("lab-net", "lab.fit", keep=("alpha",))
    assert last.summary == Result.model_validate_json(lab.records("result.json")[0].read_bytes()).summary
    assert last.digest == first.digest


def test_what_a_metric_does_not_give_is_said_and_asked_for_once(lab: Lab, typed: Typed) -> None:
    code = lab.site / "iso_lab" / "__init__.py"
    code.write_text(code.read_text().replace('"training_r2": np.ones(4),', ""))
    score = ("score", "-m", "lab-net", "-b", "lab.fit", "--keep", "training_r2")
    assert "The metric 'lab-fit' gives no training_r2" in typed(*score).err
    assert kept(lab) == {}
    lab.seen()
    assert "cached" in typed(*score).err
    assert lab.seen("score") == []


# --- one result, one row ----------------------------------------------------------------------------------------------


def test_a_result_of_which_something_is_kept_counts_once_in_a_comparison(lab: Lab) -> None:
    lab.score(["lab-net", "lab-second"], "lab.fit")
    before = compare_results("results")
    lab.score("lab-net", "lab.fit", keep=("alpha",))
    after = compare_results("results")
    assert len(before) == len(after) == 1
    assert after["q"].tolist() == before["q"].tolist()


def test_the_seed_is_told_wherever_a_result_is(lab: Lab, typed: Typed) -> None:
    import isocortex

    for seed in (0, 7):
        lab.score(["lab-net", "lab-second"], "lab.fit", seed=seed)
    assert sorted(row["seed"] for row in json.loads(typed("show", "--json").out)) == [0, 0, 7, 7]
    assert sorted(isocortex.results()["seed"]) == [0, 0, 7, 7]
    assert "seed" in typed("show", "--csv").out.splitlines()[0].split(",")
    assert "lab-net [seed 7] " in typed("show").out
    assert "│ 7    │" in typed("show", "--long").out
    table = isocortex.compare()
    assert sorted(table[table["p"].notna()]["seed"]) == [0, 7]
    compared = typed("compare")
    assert "seed" in compared.out
    assert "they differ in seed (" in compared.out, "what was not compared is said"
