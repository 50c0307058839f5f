"""From the published files to a row of the table, against plain scripts of numpy and scikit-learn; and bad files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.metrics import explained_variance_score, r2_score
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline

import isocortex as package
from isocortex.data import averaged, stimulus_order
from isocortex.errors import AlignmentError, DataError
from isocortex.files import data_folder
from plugins.majajhong2015.tests import plain_script as plain
from plugins.majajhong2015.tests.conftest import Listed
from plugins.majajhong2015.tests.published_layouts import write_majajhong, write_nx414
from tests.command_line import run_in_process

FILE = "assy_dicarlo_MajajHong2015_public.nc"


def rows_of(*arguments: str, folder: Path) -> list[dict]:
    """What a command prints as JSON."""
    done = run_in_process(arguments, folder, {})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# --- the whole path ---------------------------------------------------------------------------------------------------


@pytest.fixture
def published(tmp_path: Path, listed: Listed) -> Path:
    """A folder with images and recordings, which the lists know."""
    write_majajhong(tmp_path / "published")
    listed(tmp_path / "published")
    return tmp_path / "published"


def test_scores_and_ceilings_equal_those_of_a_plain_script(published: Path, tmp_path: Path) -> None:
    benchmarks = ["MajajHong2015public.IT-pls", "MajajHong2015public.IT-pls-r-over-c-squared"]
    done = run_in_process(("fetch", "-b", benchmarks[0], "--from", str(published)), tmp_path, {})
    assert done.returncode == 0, done.stderr
    chosen = [part for name in benchmarks for part in ("-b", name)]
    found = rows_of("score", "-m", "pixels", *chosen, "--offline", "--json", folder=tmp_path)
    new, old = ({row["benchmark"]: row for row in found}[name] for name in benchmarks)
    order, features, objects = plain.pixels(published)
    file = plain.read_assembly(published / FILE)
    values = file["data"][:, file["region"] == "IT", 0]
    medians = plain.pls_scores(features, plain.averaged(values, file["image_id"], order), objects)
    r, ceiling = medians.mean(), plain.consistency(values, file["image_id"], file["repetition"], order)
    expected = {
        "value": r,
        "error": medians.std() / np.sqrt(10),
        "ceiling": ceiling,
        "ceiled": r**2 / ceiling,
    }
    assert 0.2 < r < 0.95
    for name, number in expected.items():
        assert new[name] == pytest.approx(number, abs=1e-8), name
    assert old["value"] == new["value"]
    assert old["ceiled"] == pytest.approx((r / ceiling) ** 2, abs=1e-8)
    assert (new["n_stimuli"], new["n_neuroids"]) == (60, 12)


def test_rows_are_images_by_id_and_repetitions_are_averaged(published: Path, tmp_path: Path) -> None:
    run_in_process(("fetch", "-b", "MajajHong2015public.V4-pls", "--from", str(published)), tmp_path, {})
    dataset = package.load_dataset("MajajHong2015public")
    file = plain.read_assembly(published / FILE)
    order = sorted(set(file["image_id"].tolist()))
    assert list(stimulus_order(dataset.responses)) == list(dataset.stimuli.ids) == order
    expected = plain.averaged(file["data"][:, :, 0], file["image_id"], order)
    np.testing.assert_allclose(averaged(dataset.responses), expected, rtol=0, atol=1e-12)
    assert dataset.responses.dtype == np.float32
    assert dataset.warnings == ()
    assert dataset.attrs["stratify"] == "object_name"
    chosen = dataset.select(region="IT", animal="Tito", variation="3", object_name=["bear", "apple"])
    responses = chosen.responses
    assert set(responses["subregion"].values) == {"aIT"}
    assert responses["subject"].values.tolist() == ["Tito"] * 4
    table = pd.read_csv(published / "stimulus_hvm-public.csv")
    kept = table[(table["variation"] == 3) & table["object_name"].isin(["bear", "apple"])]["image_id"]
    assert list(chosen.stimuli.ids) == sorted(kept)
    assert chosen.stimuli.table["category"].tolist() == chosen.stimuli.table["category_name"].tolist()


def test_every_benchmark_of_the_recordings_is_scored_on_the_synthetic_files(published: Path, tmp_path: Path) -> None:
    names = ["IT-ridge", "V4-ridge", "IT-ridge-variation3", "IT-rsa", "V4-pls", "V4-pls-r-over-c-squared"]
    chosen = [part for name in names for part in ("-b", f"MajajHong2015public.{name}")]
    run_in_process(("fetch", "-b", "MajajHong2015public.IT-ridge", "--from", str(published)), tmp_path, {})
    found = rows_of("score", "-m", "category", *chosen, "--json", folder=tmp_path)
    whole = {row["benchmark"].partition(".")[2]: row for row in found if row["region"] is None}
    assert sorted(whole) == sorted(names)
    assert whole["IT-ridge-variation3"]["n_stimuli"] == 48
    assert whole["IT-ridge"]["n_stimuli"] == 60
    assert whole["IT-ridge"]["n_subjects"] == 2


# --- over time --------------------------------------------------------------------------------------------------------


def test_every_bin_of_time_equals_a_regression_on_stacked_bins(tmp_path: Path, listed: Listed) -> None:
    folder = tmp_path / "published"
    write_majajhong(folder, n_bins=3)
    listed(folder)
    run_in_process(("fetch", "-b", "MajajHong2015public.IT-temporal-pls", "--from", str(folder)), tmp_path, {})
    dataset = package.load_dataset("MajajHong2015public.temporal").select(region="IT")
    assert dataset.warnings[0].startswith("228 presentations were averaged")
    order, features, objects = plain.pixels(folder)
    file = plain.read_assembly(folder / "assy_dicarlo_MajajHong2015_temporal_public.nc")
    inside = file["region"] == "IT"
    values = plain.averaged(file["data"][:, inside], file["image_id"], order)  # (n_images, n_sites, n_bins)
    layer = xr.DataArray(features, dims=("presentation", "unit"), coords={"stimulus_id": ("presentation", order)})
    comparison = package.load_metric("brainscore-spantime-pls").against(dataset)
    scores = comparison.score(layer)
    draw = StratifiedShuffleSplit(n_splits=10, train_size=0.9, random_state=1)
    for split, (train, test) in enumerate(list(draw.split(features, objects))[:3]):
        train, test = np.sort(train), np.sort(test)
        stacked = np.concatenate([values[train, :, when] for when in range(3)])
        fit = PLSRegression(n_components=25, scale=False).fit(np.tile(features[train], (3, 1)), stacked)
        predicted = fit.predict(features[test])
        for when, name in enumerate(["70-90", "90-110", "110-130"]):
            found = scores["score"][split].values[scores["time_bin"].values == name]
            expected = plain.correlations(predicted, values[test, :, when])
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)
    assert scores["site"].values[0] == scores["site"].values[1] != scores["site"].values[3]


# --- the course -------------------------------------------------------------------------------------------------------


@pytest.fixture
def course(tmp_path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """``IT_data.h5``, brought in from a folder."""
    written = write_nx414(tmp_path / "course")
    done = run_in_process(("fetch", "-b", "MajajHong2015.nx414", "--from", str(tmp_path / "course")), tmp_path, {})
    assert done.returncode == 0, done.stderr
    assert "SHA-256 of the 1 files" in done.stderr
    return written


def test_the_course_is_scored_as_a_plain_script_does(course, tmp_path: Path) -> None:
    images, spikes, objects = course
    dataset = package.load_dataset("MajajHong2015.nx414")
    np.testing.assert_array_equal(np.stack([stimulus.array for stimulus in dataset.stimuli]), images)
    np.testing.assert_array_equal(dataset.responses.values, spikes)
    assert dataset.stimuli.table["object_name"].tolist() == objects
    assert dataset.stimuli.warnings == ("7 images of stimulus_test have no published responses and were left out.",)
    features = images.transpose(0, 3, 1, 2).reshape(len(images), -1) / 255.0
    ids = list(dataset.stimuli.ids)
    layer = xr.DataArray(features, dims=("presentation", "unit"), coords={"stimulus_id": ("presentation", ids)})
    settings = {"scheme": "fixed", "n_components": 20, "alpha": 2.0}
    scores = package.load_metric("pca-ridge").against(dataset, settings=settings).score(layer)
    train, test = slice(0, 80), slice(80, 110)
    fit = make_pipeline(PCA(20, svd_solver="full"), Ridge(2.0)).fit(features[train], spikes[train].astype(float))
    predicted = fit.predict(features[test])
    expected = {
        "explained_variance": explained_variance_score(spikes[test], predicted, multioutput="raw_values"),
        "r2_score": r2_score(spikes[test], predicted, multioutput="raw_values"),
        "r": plain.correlations(predicted, spikes[test].astype(float)),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(scores[name][0], values, rtol=0, atol=1e-8, err_msg=name)


def test_components_are_chosen_within_training_and_the_best_layer_is_marked(course, tmp_path: Path) -> None:
    benchmarks = [f"MajajHong2015.nx414{name}" for name in ("", "-median", "-best-layer")]
    chosen = [part for name in benchmarks for part in ("-b", name)]
    models = ("-m", "gabor-pyramid", "-m", "pixels")
    found = rows_of("score", *models, *chosen, "--json", folder=tmp_path)
    by = {(row["model"], row["benchmark"]): row for row in found if row["region"] is None}
    nested, median, best = (by["gabor-pyramid", name] for name in benchmarks)
    assert nested["layer_rule"].startswith("nested")
    assert best["layer_rule"] == "optimistic"
    assert nested["statistic"] == "explained_variance"
    assert nested["value"] != median["value"]
    assert {"r", "r2_score", "mse"} <= set(nested["also"])
    assert by["pixels", benchmarks[0]]["value"] > by["gabor-pyramid", benchmarks[0]]["value"]


def test_the_best_number_of_components_is_that_of_the_training_images() -> None:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((60, 30)) * np.geomspace(4, 0.2, 30)
    y = x[:, :6] @ generator.standard_normal((6, 4)) + generator.normal(0, 3, (60, 4))
    ids = [f"s{number:02d}" for number in range(60)]
    responses = package.data.make_responses(y, ids).assign_coords(
        split=("presentation", ["train"] * 45 + ["test"] * 15)
    )
    layer = xr.DataArray(x, dims=("presentation", "unit"), coords={"stimulus_id": ("presentation", ids)})

    def score(n_components) -> xr.Dataset:
        settings = {"scheme": "fixed", "n_components": n_components, "alpha": 1e-6}
        return package.load_metric("pca-ridge").against(responses, settings=settings).score(layer)

    single = {number: score(number) for number in (1, 6, 20)}
    best = max(single, key=lambda number: float(single[number]["selection"].mean()))
    chosen = score([20, 1, 6, 5000])
    assert int(chosen["n_components"][0]) in (best, 30)
    among = score([1, 6, 20])
    assert int(among["n_components"][0]) == best
    np.testing.assert_array_equal(among["r"], single[best]["r"])
    assert best == 6


def test_a_file_of_another_layout_is_refused(tmp_path: Path, own_folders: Path) -> None:
    import h5py

    write_nx414(tmp_path / "course")
    with h5py.File(tmp_path / "course" / "IT_data.h5", "r+") as file:
        del file["spikes_val"]
    run_in_process(("fetch", "-b", "MajajHong2015.nx414", "--from", str(tmp_path / "course")), tmp_path, {})
    with pytest.raises(DataError, match=r"IT_data\.h5 lacks spikes_val; it has .* It is another file"):
        package.load_stimuli("nx414")


# --- bad files --------------------------------------------------------------------------------------------------------


def load(published: Path, tmp_path: Path):
    """The data set, after bringing the files of the folder in."""
    done = run_in_process(("fetch", "-b", "MajajHong2015public.IT-pls", "--from", str(published)), tmp_path, {})
    assert done.returncode == 0, done.stderr
    return package.load_dataset("MajajHong2015public")


def rewrite(published: Path, listed: Listed, change, name: str = FILE) -> None:
    """Another assembly in place of the published one."""
    with xr.open_dataset(published / name) as opened:
        changed = change(opened.load())
    changed.to_netcdf(published / name)
    listed(published)


def test_dimensions_are_met_by_name_whatever_their_order(published: Path, tmp_path: Path, listed: Listed) -> None:
    straight = averaged(load(published, tmp_path).responses)
    rewrite(published, listed, lambda file: file.transpose("time_bin", "neuroid", "presentation"))
    forget(FILE)
    np.testing.assert_array_equal(averaged(load(published, tmp_path).responses), straight)


def forget(name: str) -> None:
    """Remove a file that was brought in, and what was recorded of it."""
    for one in (name, "recorded.json"):
        (data_folder() / "isocortex-majajhong2015" / one).unlink()


def test_a_transposed_assembly_is_refused_in_one_line(published: Path, tmp_path: Path, listed: Listed) -> None:

    def swapped(file: xr.Dataset) -> xr.Dataset:
        aside = file.rename_dims(presentation="aside")
        return aside.rename_dims(neuroid="presentation").rename_dims(aside="neuroid")

    rewrite(published, listed, swapped)
    with pytest.raises(
        DataError, match=r"public\.nc is transposed: 'image_id' names what lies along neuroid.*"
    ) as found:
        load(published, tmp_path)
    assert "\n" not in str(found.value)


def test_a_file_without_repetitions_is_refused_and_a_gap_is_said(
    published: Path, tmp_path: Path, listed: Listed
) -> None:
    whole = published.parent / "gap"
    whole.mkdir()
    for path in published.iterdir():
        (whole / path.name).write_bytes(path.read_bytes())
    with xr.open_dataset(whole / FILE) as opened:
        file = opened.load()
    first = str(file["image_id"].values[file["repetition"].values == 1][0])
    kept = ~((file["image_id"].values == first) & (file["repetition"].values == 1))
    rewrite(published, listed, lambda file: file.drop_vars("repetition"))
    with pytest.raises(DataError, match="the coordinate 'repetition' along 'presentation' is missing"):
        load(published, tmp_path)
    forget(FILE)
    rewrite(whole, listed, lambda file: file.isel(presentation=np.flatnonzero(kept)))
    (said,) = load(whole, tmp_path).warnings
    assert said.startswith(f"1 of 60 stimuli lack a repetition between their first and their last: {first}.")


def test_what_a_site_lacks_is_left_out_of_its_means_alone(published: Path, tmp_path: Path, listed: Listed) -> None:
    def gaps(file: xr.Dataset) -> xr.Dataset:
        values = file["data"].values.copy()
        values[np.random.default_rng(6).random(values.shape) < 0.02] = np.nan
        return file.assign(data=(file["data"].dims, values))

    rewrite(published, listed, gaps)
    file = plain.read_assembly(published / FILE)
    responses = load(published, tmp_path).responses
    order = sorted(set(file["image_id"].tolist()))
    expected = [np.nanmean(file["data"][file["image_id"] == name, :, 0].astype(float), axis=0) for name in order]
    np.testing.assert_allclose(averaged(responses), expected, rtol=0, atol=1e-12)
    write_majajhong(published, n_bins=2)
    name = "assy_dicarlo_MajajHong2015_temporal_public.nc"
    rewrite(published, listed, gaps, name)
    run_in_process(("fetch", "-b", "MajajHong2015public.IT-temporal-pls", "--from", str(published)), tmp_path, {})
    file = plain.read_assembly(published / name)
    over_time = package.load_dataset("MajajHong2015public.temporal").responses
    expected = [np.nanmean(file["data"][file["image_id"] == one].astype(float), axis=0).ravel() for one in order]
    np.testing.assert_allclose(over_time.values, expected, rtol=0, atol=1e-12)


def test_images_that_are_not_the_listed_ones_are_refused(published: Path, tmp_path: Path, listed: Listed) -> None:
    path = published / "stimulus_hvm-public.csv"
    table = pd.read_csv(path)
    table.assign(image_file_sha1="0" * 40).to_csv(path, index=False)
    listed(published)
    with pytest.raises(DataError, match="60 of 60 images are not the listed ones, by their SHA-1"):
        load(published, tmp_path)
    forget(path.name)
    table.iloc[1:].to_csv(path, index=False)
    listed(published)
    with pytest.raises(AlignmentError, match=r"0 of 59 listed images have no file \(none\), 1 files are not listed"):
        load(published, tmp_path)


def test_another_archive_is_not_taken(published: Path, tmp_path: Path) -> None:
    archive = published / "stimulus_hvm-public.zip"
    archive.write_bytes(archive.read_bytes()[:-1] + b"\1")
    done = run_in_process(("fetch", "-b", "MajajHong2015public.IT-pls", "--from", str(published)), tmp_path, {})
    assert done.returncode == 1
    assert "lacks 1 of the 2 files of hvm-public, or holds others of that name" in done.stderr
