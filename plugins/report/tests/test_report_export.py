"""Tables of results as files: the same digits in every form, and no formula for a spreadsheet."""

from __future__ import annotations

import builtins
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from scipy.io import loadmat

from isocortex.errors import DataError, StoreError, UsageError
from isocortex.results import Result, others_frame, read_results, rows_frame
from isocortex_report import export, import_eval_results, write_eval_results
from isocortex_report.paper.table_files import write_table
from tests.command_line import run_in_process
from tests.folders import image_folder, write_responses

HOSTILE = ("=1+1", "@cmd", "-2+3", "+x", "\tx", "two\nlines", "\u202eexe", 'a"b,c', "x" * 300, "<script>")


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of noise and pixels on images of two participants, with three metrics."""
    base = tmp_path_factory.mktemp("scored")
    images = image_folder(base / "images", n_images=24)
    values = np.random.default_rng(3).normal(size=(24, 12)) + np.linspace(0, 3, 24)[:, None]
    write_responses(images, [f"image{number:02d}" for number in range(24)], values)
    rows = [f"site{number},{'AB'[number % 2]},{'V1' if number < 6 else 'IT'}" for number in range(12)]
    (images / "neuroids.csv").write_text("\n".join(["neuroid_id,subject,region", *rows]) + "\n")
    (images / "dataset.toml").write_text('[benchmark]\nsummary_by = ["region"]\n')
    named = [text for metric in ("ridge", "tuckute2023-components") for text in ("-b", f"folder:{images}:{metric}")]
    kept = ("--keep", "alpha", "--keep", "training_r2", "--out", str(base / "results"))
    env = {"ISOCORTEX_CACHE": str(base / "cache"), "ISOCORTEX_DATA": str(base / "data")}
    for arguments in (named, ("-b", f"folder:{images}:rsa")):
        if "rsa" in arguments[-1]:
            (images / "dataset.toml").unlink()
        done = run_in_process(("score", "-m", "noise/2", "-m", "pixels", *arguments, *kept), base, env)
        assert done.returncode == 0, done.stderr
    return base / "results"


@pytest.fixture
def folder(scored: Path, tmp_path: Path) -> Path:
    """A copy of these results, in the folder where the command line runs."""
    return Path(shutil.copytree(scored, tmp_path / "results"))


def read_back(path: Path, like: pd.DataFrame) -> pd.DataFrame:
    """A table as whoever has no isocortex reads it."""
    if path.suffix == ".csv":
        return pd.read_csv(
            path, keep_default_na=False, na_values={name: [""] for name in like if like[name].dtype != object}
        )
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".nc":
        return xr.load_dataset(path).to_dataframe().reset_index(drop=True)
    fields = loadmat(path, simplify_cells=True)["results"]
    return pd.DataFrame({name: np.atleast_1d(np.asarray(values, dtype=object)) for name, values in fields.items()})


def same(one: Any, other: Any) -> bool:
    """Equal in every digit; what is missing is missing in both."""
    if isinstance(one, str):
        return one == (other if isinstance(other, str) else "" if np.size(other) == 0 else str(other))
    if one is None or one is pd.NA or one != one:
        return other is None or other is pd.NA or other != other
    return float(one) == float(other)


@pytest.mark.parametrize("level", ["summary", "participant", "neuroid", "split"])
@pytest.mark.parametrize("kind", ["csv", "parquet", "nc", "mat"])
def test_every_form_holds_every_digit(folder: Path, level: str, kind: str) -> None:
    path = folder.parent / f"table.{kind}"
    said: list[str] = []
    frame = export(folder, path, level=level, kind=kind, said=said)
    found = read_back(path, frame)
    assert len(found) == len(frame) > 3
    assert list(found) == list(frame)
    for name in frame:
        pairs = zip(frame[name].tolist(), found[name].tolist(), strict=True)
        assert all(same(one, other) for one, other in pairs), name


def test_the_summary_is_rows_frame(folder: Path) -> None:
    pd.testing.assert_frame_equal(export(folder), rows_frame(read_results(folder)))


def test_participants_have_the_mean_of_the_record(folder: Path) -> None:
    said: list[str] = []
    frame = export(folder, level="participant", said=said)
    rows = rows_frame(read_results(folder))
    means = frame.groupby(["benchmark", "model", "region"])["value"].mean()
    expected = rows.set_index(["benchmark", "model", "region"])["value"]
    assert {"images.ridge", "images.rsa", "images.tuckute2023-components"} == set(frame["benchmark"])
    assert set(frame["subject"]) == {"A", "B"}
    for key, value in means.items():
        assert value == pytest.approx(expected[key], abs=2e-6)
    assert not said


def test_neuroids_are_the_means_over_splits(folder: Path) -> None:
    import isocortex as package

    result = next(one for one in read_results(folder) if one.metric == "ridge" and one.model == "noise/2")
    scores = package.scores(result, folder)
    frame = export([result], level="neuroid", folder=folder)
    assert frame["neuroid_id"].tolist() == [f"site{number}" for number in range(12)] * 2
    assert frame["layer"].tolist() == ["layer.0"] * 12 + ["layer.1"] * 12
    np.testing.assert_array_equal(frame["r"], scores["r"].values.astype(float).mean(axis=1).ravel())
    shares = frame.groupby("neuroid_id")["read_out"].sum()
    np.testing.assert_allclose(shares, 1)
    split = export([result], level="split", folder=folder)
    assert len(split) == 2 * 10 * 12
    np.testing.assert_array_equal(split["r"], scores["r"].values.astype(float).ravel())


def test_their_regression_has_the_fifteen_columns_of_the_release(folder: Path, scored: Path, isocortex) -> None:
    import isocortex as package

    frame = export(folder, level="neuroid", benchmarks=["images.tuckute2023-components"], models=["noise/2"])
    names = [name for name in frame if name.partition("_")[0] in ("mean", "median", "std")]
    assert len(names) == 15
    result = next(one for one in read_results(folder) if one.metric.startswith("tuckute") and one.model == "noise/2")
    scores = package.scores(result, folder)
    r2 = scores["r2"].transpose("layer", "neuroid", "split").values.astype(float).reshape(24, 10)
    np.testing.assert_allclose(frame["median_r2_test"], np.median(r2, axis=1), rtol=1e-12)
    np.testing.assert_allclose(frame["std_r2_test"], r2.std(axis=1), rtol=1e-12)
    alpha = package.kept(result, "alpha", folder)["alpha"].transpose("layer", "neuroid", "split").values.astype(float)
    np.testing.assert_allclose(frame["median_alpha"], np.median(10.0**alpha, axis=2).ravel(), rtol=1e-12)
    assert frame["mean_r2_test_c"].isna().all(), "there are no repetitions"
    data = package.load_dataset(f"folder:{scored.parent / 'images'}").responses
    tested = scores["test_stimulus"].values.astype(int)
    expected = np.mean([data.values[rows].std(axis=0) for rows in tested], axis=0)
    np.testing.assert_allclose(frame["y_test_std_mean"], np.tile(expected, 2), rtol=1e-6)
    trained = [np.setdiff1d(np.arange(len(data)), rows) for rows in tested]
    expected = np.mean([data.values[rows].std(axis=0) for rows in trained], axis=0)
    np.testing.assert_allclose(frame["y_train_std_mean"], np.tile(expected, 2), rtol=1e-6)
    assert (frame["y_pred_train_std_mean"] > 0).all()
    assert (frame["y_pred_test_std_mean"] > 0).all()
    said: list[str] = []
    export(folder, level="neuroid", benchmarks=["images.ridge"], said=said)
    assert said == []


def test_no_cell_of_a_csv_is_a_formula(tmp_path: Path) -> None:
    frame = pd.DataFrame({"name": list(HOSTILE), "=value": np.linspace(-1, 1, len(HOSTILE))})
    write_table(frame, tmp_path / "a.csv", "csv")
    found = pd.read_csv(tmp_path / "a.csv", keep_default_na=False)
    assert all(not str(name).startswith(("=", "+", "-", "@", "\t", "\r")) for name in [*found["name"], *found])
    assert [name.removeprefix("'") for name in found["name"]] == list(HOSTILE)
    np.testing.assert_array_equal(found["'=value"], frame["=value"])
    for kind in ("parquet", "nc", "mat"):
        write_table(frame, tmp_path / f"a.{kind}", kind)
        back = read_back(tmp_path / f"a.{kind}", frame)
        assert back.iloc[:, 0].tolist() == list(HOSTILE)


def test_parquet_without_pyarrow_is_one_clear_line(folder: Path, isocortex, monkeypatch: pytest.MonkeyPatch) -> None:
    known = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "pyarrow":
            raise ImportError(name)
        return known(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    done = isocortex("export", "--out", "a.parquet")
    assert done.returncode == 2
    assert done.stderr.strip().endswith("pip install 'isocortex-report[parquet]', or take csv.")
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (folder.parent / "a.parquet").exists()


def test_what_has_no_rows_is_named(folder: Path, isocortex) -> None:
    done = isocortex("export", "--level", "split", "--out", "a.csv")
    assert done.returncode == 0
    assert "images.rsa: no rows" in done.stderr
    assert "a.csv: " in done.stdout
    only = isocortex("export", "--level", "neuroid", "-b", "images.rsa", "--out", "b.csv")
    assert only.returncode == 2
    assert "No result has rows of this level" in only.stderr
    for path in folder.rglob("scores.nc"):
        path.unlink()
    gone = isocortex("export", "--level", "split", "--out", "c.csv")
    assert gone.returncode == 2
    assert "raw scores are not here" in gone.stderr


# --- the form of the Hub ----------------------------------------------------------------------------------------------


def test_eval_results_are_in_the_documented_form_and_come_back(folder: Path, isocortex) -> None:
    paths = write_eval_results(folder, folder.parent / "hub", dataset="lab/cortex", source="https://example.org/a")
    results = {(f"{one.model}@{one.variant}", one.benchmark): one for one in read_results(folder)}
    assert len(paths) == len(results) == 6
    for path in paths:
        assert path.parent.name == ".eval_results"
        (entry,) = yaml.safe_load(path.read_text())
        assert set(entry) == {"dataset", "value", "notes", "evaluation_framework", "date", "source"}
        assert entry["dataset"]["id"] == "lab/cortex"
        assert entry["source"]["url"] == "https://example.org/a"
    done = isocortex("import", "eval-results", "hub", "--out", "results")
    assert done.returncode == 0, done.stderr
    frame = others_frame(folder)
    for row in frame.to_dict("records"):
        assert row["value"] == results[row["model"], row["benchmark"]].summary.value
        assert row["coverage"] == "3 of 3 tasks"
        assert row["source"] == "isocortex https://example.org/a"
    shown = isocortex("show", "results", "-b", "images.ridge").stdout
    assert "Scores of others, not computed here and not ranked" in shown
    assert shown.count("https://example.org/a") == 2, "of the two models on this benchmark"
    assert "Scores of others" not in isocortex("show", "results", "--csv").stdout


PUBLISHED = """
- dataset:
    id: cais/hle
    task_id: default
    revision: 5503434
  value: 20.90
  verifyToken: abc
  date: "2025-01-15"
  source:
    url: https://huggingface.co/spaces/x/y
    name: Eval traces
    user: x
  evaluation_framework: hle
  notes: "no-tools"
- dataset: {id: Idavidrein/gpqa, task_id: gpqa_diamond}
  value: 0.412
"""


def test_a_file_of_the_hub_is_read_with_source_and_coverage(tmp_path: Path) -> None:
    mine, other = tmp_path / "repo" / "net", tmp_path / "repo" / "other"
    for place, text in ((mine, PUBLISHED), (other, PUBLISHED.replace("default", "text-only"))):
        (place / ".eval_results").mkdir(parents=True)
        (place / ".eval_results" / "all.yaml").write_text(text)
    import_eval_results([tmp_path / "repo"], tmp_path / "results")
    frame = others_frame(tmp_path / "results").set_index(["model", "benchmark"])
    row = frame.loc[("net", "default")]
    assert (row["value"], row["source"]) == (20.9, "Eval traces https://huggingface.co/spaces/x/y")
    assert (row["coverage"], row["verified"], row["status"]) == ("1 of 2 tasks", True, "others")
    assert frame.loc[("other", "gpqa_diamond"), "source"] == "not named"
    path = next((tmp_path / "results" / "others").rglob("*.json"))
    path.write_bytes(path.read_bytes().replace(b"0.412", b"0.942"))
    with pytest.raises(StoreError, match="was edited"):
        others_frame(tmp_path / "results")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- dataset: {id: a/b, task_id: c}\n  value: high\n", "value must be a number, found 'high'"),
        ("- dataset: {id: a/b, task_id: c}\n  value: .nan\n", "value must be a number"),
        ("- dataset: {id: a/b}\n  value: 1\n", "dataset.task_id must be a text"),
        (
            "- dataset: {id: a/b, task_id: c}\n  value: 1\n  source: {url: 'javascript:alert(1)'}\n",
            "begin with https://",
        ),
        ("value: 1\n", "must hold a list of entries"),
        ("- !!python/object/apply:os.system ['true']\n", "is no YAML"),
        ("a: &a [x]\nb: [*a, *a]\n", "has aliases"),
        ("- [\n", "is no YAML"),
        ("", "must hold a list of entries"),
    ],
)
def test_what_is_no_list_of_scores_is_refused_and_nothing_is_written(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "good.yaml").write_text(PUBLISHED)
    (tmp_path / "scores.yaml").write_text(text)
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        import_eval_results([tmp_path / "good.yaml", tmp_path / "scores.yaml"], tmp_path / "out", "org/net")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [*HOSTILE, "../../x"])
def test_hostile_names_are_harmless_in_files_and_lines(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from isocortex.results.others import print_others

    (tmp_path / "scores.yaml").write_text(
        yaml.safe_dump([{"dataset": {"id": "a/b", "task_id": name}, "value": 1, "notes": name}])
    )
    (path,) = import_eval_results([tmp_path / "scores.yaml"], tmp_path / "out", name)
    assert path.resolve().parent.parent == (tmp_path / "out" / "others").resolve()
    print_others(tmp_path / "out")
    shown = capsys.readouterr().out
    assert shown.startswith("Scores of others, not computed here")
    assert not {"\u202e", "\t", "\r"} & set(shown)
    assert " ".join(shown.split()).count("by not named; 1 of 1 task of a/b") == 1
    result = Result.model_validate({
        **dict.fromkeys(("digest", "model", "variant", "benchmark", "dataset", "stimuli", "metric"), name),
        "status": "scored", "benchmark_version": 1,
        "summary": {"statistic": "r", "target": "pooled", "value": 0.5, "layer_rule": "single layer", "best_layer": "a",
                    "n_layers_searched": 1, "n_stimuli": 3},
    })  # fmt: skip
    (written,) = write_eval_results([result], tmp_path / "hub", dataset="a/b")
    assert written.resolve().is_relative_to((tmp_path / "hub").resolve())
    assert yaml.safe_load(written.read_text())[0]["dataset"]["task_id"] == name


def test_eval_results_ask_for_what_the_form_needs(folder: Path) -> None:
    with pytest.raises(UsageError, match="--dataset ORG/NAME"):
        write_eval_results(folder, folder.parent / "hub", dataset=None)
    with pytest.raises(UsageError, match="an address"):
        write_eval_results(folder, folder.parent / "hub", dataset="a/b", source="my page")
