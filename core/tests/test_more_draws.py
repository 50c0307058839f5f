"""More bootstrap draws: a finished result is given more in its place, and its first draws stay to the last bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import isocortex
from isocortex.errors import SettingsError
from isocortex.results.records import FORMAT, write_record
from isocortex.results.result import Result, read_result, read_results
from isocortex.run.plan import RunConfig
from tests.lab import Lab


def score(lab: Lab, model: str = "lab-net", benchmark: str = "lab.regions", **how: object) -> Result:
    (result,) = isocortex.score(model, benchmark, config=RunConfig(**how), quiet=True)  # type: ignore[arg-type]
    assert result.status == "scored", result.failure
    return result


def record() -> Path:
    (path,) = Path("results").rglob("result.json")
    return path


def drawn(path: Path) -> np.ndarray:
    with xr.open_dataset(path) as found:
        return found["draws"].transpose("row", "draw").values


def test_a_finished_result_is_given_more_draws_and_keeps_the_first(lab: Lab) -> None:
    before = score(lab)
    first, scores = drawn(record().with_name("scores.nc")), record().with_name("scores.nc").read_bytes()
    assert first.shape == (3, 1000)
    assert len(lab.seen("load")) == 1
    after = score(lab, draws=3000)
    assert after.cached
    assert lab.seen("load") == [], "activations are there"
    assert record().with_name("scores.nc").read_bytes() == scores
    more = drawn(record().with_name("draws-3000.nc"))
    np.testing.assert_array_equal(more[:, :1000], first)
    assert len(np.unique(more)) > 8900
    assert (before.digest, before.n_draws, after.digest, after.n_draws) == (before.digest, 1000, before.digest, 3000)
    for row, (old, new) in enumerate(zip(summaries(before), summaries(after), strict=True)):
        assert new.value == old.value
        assert new.interval_low == pytest.approx(np.quantile(more[row], 0.025), abs=1e-6)
        assert new.interval_high == pytest.approx(np.quantile(more[row], 0.975), abs=1e-6)
        assert new.error == pytest.approx(np.std(more[row], ddof=1), abs=1e-6)
        assert new.interval_low != old.interval_low
    assert read_result(record()).model_dump(exclude={"cached"}) == after.model_dump(exclude={"cached"})


def summaries(result: Result) -> list:
    assert result.summary is not None
    return [result.summary, *result.regions.values()]


def test_many_draws_at_once_are_those_that_are_added(lab: Lab) -> None:
    score(lab)
    added = score(lab, draws=2500)
    kept = drawn(record().with_name("draws-2500.nc"))
    shutil.rmtree("results")
    once = score(lab, draws=2500)
    np.testing.assert_array_equal(drawn(record().with_name("draws-2500.nc")), kept)
    assert drawn(record().with_name("scores.nc")).shape == (3, 1000), "which do not depend on how many there are"
    assert [item.model_dump() for item in summaries(once)] == [item.model_dump() for item in summaries(added)]


def test_draws_grow_step_by_step_and_never_fewer(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    for n_draws in (1500, 2000):
        score(lab, draws=n_draws)
        assert [path.name for path in record().parent.glob("draws-*")] == [f"draws-{n_draws}.nc"]
    capsys.readouterr()
    isocortex.score("lab-net", "lab.regions", config=RunConfig(draws=1500))
    assert "lab-net@fixed × lab.regions has 2,000 draws, and all of them are used" in capsys.readouterr().err
    isocortex.score("lab-net", "lab.regions")
    assert "draws" not in capsys.readouterr().err
    assert read_result(record()).n_draws == 2000


def test_a_pair_is_compared_on_the_draws_that_both_have(lab: Lab) -> None:
    results = [score(lab, model) for model in ("lab-net", "lab-second")]
    before = isocortex.compare(results, regions="all")
    more = [*isocortex.score("lab-net", "lab.regions", config=RunConfig(draws=4000), quiet=True), results[1]]
    assert isocortex.compare(more, regions="all").equals(before)
    assert isocortex.compare("results", regions="all")["n_draws"].tolist() == [1000]
    score(lab, "lab-second", draws=4000)
    table = isocortex.compare("results", regions="all")
    assert table["n_draws"].tolist() == [4000]
    draws = {path.parent.parent.name: drawn(path)[0] for path in Path("results").rglob("draws-4000.nc")}
    apart = draws["lab-net@fixed"].astype(float) - draws["lab-second@fixed"]
    low, high = sorted(np.abs(np.quantile(apart, [0.025, 0.975])))
    assert sorted(np.abs(table[["interval_low", "interval_high"]].iloc[0])) == pytest.approx([low, high], abs=1e-6)


def test_a_result_of_which_the_draws_are_others_now_stays_as_it_is(lab: Lab) -> None:
    score(lab)
    path = record()
    content, scores = path.read_bytes(), xr.load_dataset(path.with_name("scores.nc"))
    from isocortex.results.scores_file import write_netcdf

    moved = scores.assign(draws=scores["draws"] + 0.01)
    result = read_result(path)
    digest = write_netcdf(path.with_name("scores.nc"), moved)
    write_record(path, result.model_copy(update={"scores_sha256": digest}))
    content = path.read_bytes()
    (failed,) = isocortex.score("lab-net", "lab.regions", config=RunConfig(draws=2000), quiet=True)
    assert failed.failure is not None
    assert "the draws of" in failed.failure.message
    assert path.read_bytes() == content
    assert not list(path.parent.glob("draws-*"))


def test_a_stop_before_the_record_leaves_the_result_as_it_was(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from isocortex.run import more_draws

    score(lab)
    before = record().read_bytes()

    def stop(*given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr(more_draws, "write_record", stop)
        with pytest.raises(KeyboardInterrupt):
            isocortex.score("lab-net", "lab.regions", config=RunConfig(draws=2000), quiet=True)
    assert record().read_bytes() == before
    assert [item.status for item in read_results(Path("results"))] == ["scored"]
    assert score(lab, draws=2000).n_draws == 2000


def test_damaged_draws_are_no_result(lab: Lab) -> None:
    score(lab, draws=2000)
    path = record().with_name("draws-2000.nc")
    path.write_bytes(path.read_bytes()[:-7])
    (found,) = read_results(Path("results"))
    assert found.failure is not None
    assert "draws-2000.nc is not what was written" in found.failure.message
    assert score(lab, draws=2000).cached is False, "it is scored again"
    assert read_results(Path("results"))[0].status == "scored"


@pytest.mark.parametrize("n_draws", [1, 999, 100_001])
def test_other_numbers_of_draws_are_refused(n_draws: int) -> None:
    with pytest.raises(SettingsError, match="Draws are 1,000 to 100,000"):
        RunConfig(draws=n_draws)


def test_the_command_takes_draws_and_hands_them_to_tasks(lab: Lab, typed) -> None:
    assert typed("score", "-m", "lab-net", "-b", "lab.fit", "--draws", "1200").code == 0
    assert read_result(record()).n_draws == 1200
    assert (
        '"draws": 1200'
        in typed("score", "-m", "lab-net", "-b", "lab.fit", "--draws", "1200", "--dry-run", "--json").out
    )
    assert typed("score", "-m", "lab-net", "-b", "lab.fit", "--draws", "10").code == 2
    assert FORMAT == 3
