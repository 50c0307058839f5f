"""NH2015 and B2021 on a synthetic release: every value at its stimulus, scan and voxel; misfits are refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isocortex.catalogue.cards import BenchmarkCard, read_card
from isocortex.catalogue.rows import Catalogue
from isocortex.errors import AlignmentError, DataError, FilesError
from isocortex.files.file_store import DataFiles
from isocortex.loading.resolver import make_plugin
from isocortex.scoring.contract import Preparation, Rules
from isocortex.testing import CheckSkipped
from isocortex_nh2015 import read_components, read_frame, release, stimulus_number
from plugins.nh2015.tests import release as synthetic
from plugins.nh2015.tests.old_pickles import write_old_frame

N_STIMULI = 165
ROI_TABLE = "df_roi_meta.pkl"


@pytest.fixture(scope="session")
def written(tmp_path_factory) -> Path:
    """A release that no test changes."""
    return synthetic.write_data(tmp_path_factory.mktemp("release"))


@pytest.fixture
def root(written, tmp_path) -> Path:
    """A copy of the release that a test may change."""
    return Path(shutil.copytree(written, tmp_path / "release"))


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ISOCORTEX_DATA", str(tmp_path / "store"))
    monkeypatch.setenv("ISOCORTEX_CACHE", str(tmp_path / "cache"))


def of(root: Path, dataset: str) -> Path:
    return root / "data/neural" / dataset


def files(root: Path, dataset: str) -> DataFiles:
    names = (*release.NEEDED[dataset], *release.OPTIONAL.get(dataset, ()))
    return DataFiles({name: root / "data" / name for name in names if (root / "data" / name).exists()})


def plugin(dataset: str):
    return make_plugin("dataset", read_card(Catalogue.discover().find("dataset", dataset)))


def load(root: Path, dataset: str):
    return plugin(dataset).load(files(root, dataset), synthetic.stimuli())


def expect_encoded(dataset, n_voxels: int) -> None:
    """Every value is the one that names its stimulus, scan and voxel."""
    found = dataset.responses
    row = np.array([synthetic.IDS.index(name) for name in found["stimulus_id"].values])
    block = (192 * found["repetition"].values + row)[:, None] * n_voxels
    expected = block + found["voxel_id"].values[None, :] + 1
    np.testing.assert_array_equal(found.values, expected if dataset.id == "NH2015" else -expected)
    assert len(np.unique(found.values)) == found.size


# --- NH2015 -----------------------------------------------------------------------------------------------------------


def test_every_value_of_nh2015_lands_at_its_stimulus_scan_and_voxel(written):
    dataset = load(written, "NH2015")
    expect_encoded(dataset, 29)
    found = dataset.responses
    assert found.dtype == np.float64  # as in the file
    assert found.sizes == {"presentation": 3 * N_STIMULI, "neuroid": 24}
    assert tuple(dict.fromkeys(found["stimulus_id"].values)) == synthetic.IDS
    assert found["repetition"].values[:4].tolist() == [0, 1, 2, 0]
    assert found.attrs["units"] == dataset.attrs["units"] == "voxel response, as released"


def test_only_voxels_with_three_scans_are_taken(written):
    meta = np.load(of(written, "NH2015") / "voxel_features_meta.npy")
    found = load(written, "NH2015").responses
    assert sorted(found["voxel_id"].values) == sorted(meta["voxel_id"][meta["n_reps"] == 3])
    assert (meta["n_reps"] < 3).sum() == 5
    assert np.isnan(np.load(of(written, "NH2015") / "voxel_features_array.npy")).any()
    assert np.isfinite(found.values).all()


def test_coordinates_are_those_of_the_voxel_by_its_id(written):
    table = read_frame(of(written, "NH2015") / ROI_TABLE).set_index("voxel_id")
    found = load(written, "NH2015").responses
    assert len(set(found["subject"].values)) == 3
    for place in range(found.sizes["neuroid"]):
        voxel = found.isel(neuroid=place, presentation=0)
        row = table.loc[int(voxel["voxel_id"])]
        region = row["roi_label_general"] if isinstance(row["roi_label_general"], str) else ""
        area = row["roi_label_specific"] if isinstance(row["roi_label_specific"], str) else ""
        assert str(voxel["neuroid_id"].item()) == f"NH2015.{row.name}"
        assert (voxel["subject"].item(), voxel["region"].item(), voxel["area"].item()) == (
            f"s{row['subj_idx']}", region, area,
        )  # fmt: skip
        assert (voxel["hemisphere"].item(), voxel["x_ras"].item(), voxel["y_ras"].item()) == (
            row["hemi"], row["x_ras"], row["y_ras"],
        )  # fmt: skip
        for name in ("kell_r_reliability", "pearson_r_reliability"):
            assert voxel[name].item() == row[name]
        for name in ("tonotopic", "pitch", "music", "speech"):
            assert voxel[name].item() == ("inside" if row[name] else "")
    assert set(found["region"].values) == {"Primary", "Lateral", "Posterior", "Anterior", ""}


def test_regions_can_be_selected(written):
    dataset = load(written, "NH2015")
    music = dataset.select(music="inside", region=["Primary", "Lateral"]).responses
    assert 0 < music.sizes["neuroid"] < 24
    assert set(music["music"].values) == {"inside"}
    assert set(music["region"].values) <= {"Primary", "Lateral"}


def test_another_order_of_rows_of_the_table_changes_nothing(root):
    before = load(root, "NH2015")
    path = of(root, "NH2015") / ROI_TABLE
    table = read_frame(path)
    shuffled = table.sample(frac=1, random_state=0)
    assert shuffled["voxel_id"].tolist() != table["voxel_id"].tolist()
    write_old_frame(path, shuffled.reset_index(drop=True))
    assert load(root, "NH2015").digest == before.digest


def test_another_order_of_stimuli_changes_nothing_as_long_as_the_names_go_with_it(root):
    before = load(root, "NH2015")
    folder = of(root, "NH2015")
    order = np.random.default_rng(0).permutation(N_STIMULI)
    np.save(folder / "voxel_features_array.npy", np.load(folder / "voxel_features_array.npy")[order])
    np.save(folder / "neural_stim_meta.npy", np.load(folder / "neural_stim_meta.npy")[order])
    after = load(root, "NH2015")
    expect_encoded(after, 29)
    assert after.digest == before.digest


def test_another_order_of_voxels_is_followed_by_their_id(root):
    folder = of(root, "NH2015")
    order = np.random.default_rng(1).permutation(29)
    for name in ("voxel_features_meta.npy", "voxel_features_array.npy"):
        values = np.load(folder / name)
        np.save(folder / name, values[order] if values.ndim == 1 else values[:, order])
    (folder / "roi_masks.cpy").unlink()
    expect_encoded(load(root, "NH2015"), 29)


def test_tables_of_this_version_of_pandas_are_read_too(root):
    before = load(root, "NH2015")
    path = of(root, "NH2015") / ROI_TABLE
    read_frame(path).to_pickle(path)
    assert load(root, "NH2015").digest == before.digest


# --- what does not fit ------------------------------------------------------------------------------------------------


def change_array(root: Path, dataset: str, name: str, change) -> None:
    path = of(root, dataset) / name
    np.save(path, change(np.load(path)))


def change_table(root: Path, dataset: str, change) -> None:
    path = of(root, dataset) / ROI_TABLE
    write_old_frame(path, change(read_frame(path)))


def renamed(records: np.ndarray, row: int, name: bytes) -> np.ndarray:
    records["filename"][row] = name
    return records


def with_value(records: np.ndarray, field: str, row: int, value: object) -> np.ndarray:
    records[field][row] = value
    return records


def set_cell(table: pd.DataFrame, name: str, row: int, value: object) -> pd.DataFrame:
    column = table[name].tolist()
    column[row] = value
    return table.assign(**{name: pd.Series(column, dtype=object if isinstance(value, str) else None)})


def with_field(field: str, value: object, rows: object = slice(None)):
    return lambda records: with_value(records, field, rows, value)


def three_scans(records: np.ndarray) -> np.ndarray:
    return with_value(records, "n_reps", slice(None), 3)


STIMULI, VALUES, VOXELS = "neural_stim_meta.npy", "voxel_features_array.npy", "voxel_features_meta.npy"
ARRAYS = {
    "an unknown stimulus": (
        STIMULI, lambda a: renamed(a, 3, b"stim9999_bell.wav"), AlignmentError, "not in 'natsound165': stim9999_bell",
    ),
    "a stimulus twice": (
        STIMULI, lambda a: renamed(a, 3, a["filename"][0]), DataError,
        "stimuli must be unique; found more than once: stim5_alarm_clock",
    ),
    "no file names": (STIMULI, lambda a: a["id"], DataError, "expected records with filename"),
    "other file names": (
        STIMULI, lambda a: renamed(a, 0, b"stim5_alarm_clock.mp3"), DataError, r"end with \.wav, found stim5_alarm",
    ),
    "fewer stimuli": (STIMULI, lambda a: a[:164], DataError, "a row for each of 164 stimuli"),
    "fewer rows": (VALUES, lambda a: a[:164], DataError, "a row for each of 165 stimuli"),
    "fewer voxels": (VALUES, lambda a: a[:, 1:], DataError, r"29 voxels, 3 scans\), found float64"),
    "two scans": (VALUES, lambda a: a[:, :, :2], DataError, r"of shape \(165, 29, 2\)"),
    "a matrix": (VALUES, lambda a: a[:, :, 0], DataError, r"of shape \(165, 29\)"),
    "whole numbers": (VALUES, lambda a: np.ones(a.shape, int), DataError, "found int64"),
    "not finite": (VALUES, lambda a: np.full_like(a, np.inf), DataError, "not finite"),
    "no repetitions": (VOXELS, lambda a: a["voxel_id"], DataError, "expected records with voxel_id"),
    "a voxel twice": (
        VOXELS, lambda a: with_value(three_scans(a), "voxel_id", 1, a["voxel_id"][0]), DataError,
        "voxels of NH2015 must be unique",
    ),
    "another participant": (VOXELS, with_field("subj_idx", 9), AlignmentError, "differ in subj_idx of 24 voxels"),
    "another coordinate": (VOXELS, with_field("x_ras", 500), AlignmentError, "differ in x_ras of 24 voxels"),
    "more voxels with three scans": (
        VOXELS, three_scans, AlignmentError, "describes 24 voxels, the responses are of 29: 5 are not described",
    ),
    "fewer voxels with three scans": (
        VOXELS, lambda a: with_value(a, "n_reps", np.flatnonzero(a["n_reps"] == 3)[:2], 2), AlignmentError,
        "the responses are of 22: .* 2 have no responses",
    ),
    "no voxels with three scans": (VOXELS, with_field("n_reps", 2), AlignmentError, "the responses are of 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_of_nh2015_that_do_not_fit_are_refused(root, case):
    name, change, kind, message = ARRAYS[case]
    change_array(root, "NH2015", name, change)
    with pytest.raises(kind, match=message):
        load(root, "NH2015")


TABLES = {
    "a voxel twice": (lambda t: set_cell(t, "voxel_id", 1, int(t["voxel_id"][0])), DataError, "voxels must be unique"),
    "another voxel": (lambda t: set_cell(t, "voxel_id", 1, 900), AlignmentError, "1 are not described"),
    "a voxel less": (lambda t: t.iloc[1:].reset_index(drop=True), AlignmentError, "describes 23 voxels"),
    "no regions": (lambda t: t.drop(columns=["roi_label_general", "pitch"]), DataError,
                   "lacks the columns roi_label_general, pitch"),
    "an unknown region": (lambda t: set_cell(t, "roi_label_general", 0, "V1"), DataError, "_general.*found V1"),
    "an unknown side": (lambda t: set_cell(t, "hemi", 0, "up"), DataError, "found up|differ in hemi"),
    "half inside": (lambda t: set_cell(t, "music", 0, 0.5), DataError, "music.*found 0.5|differ in the region"),
    "another mask": (lambda t: t.assign(music=1.0 - t["music"]), AlignmentError, r"roi_masks\.cpy .* region 'music'"),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLES)
def test_tables_of_nh2015_that_do_not_fit_are_refused(root, case):
    change, kind, message = TABLES[case]
    change_table(root, "NH2015", change)
    with pytest.raises(kind, match=message):
        load(root, "NH2015")


@pytest.mark.parametrize(("dataset", "name"), [(key, name) for key, names in release.NEEDED.items() for name in names])
def test_truncated_files_are_named(root, dataset, name):
    path = root / "data" / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=path.name.partition(".")[0]):
        load(root, dataset)


@pytest.mark.parametrize("dataset", ["NH2015", "B2021"])
def test_a_table_that_would_run_something_is_refused(root, dataset, tmp_path):
    path = of(root, dataset) / ROI_TABLE
    path.write_bytes(f"cos\nsystem\n(S'touch {tmp_path / 'trace'}'\ntR.".encode())
    with pytest.raises(DataError, match=r"names os\.system"):
        load(root, dataset)
    assert not (tmp_path / "trace").exists()


def test_arrays_of_objects_are_not_unpickled(root):
    change_array(root, "NH2015", "voxel_features_meta.npy", lambda a: a)
    path = of(root, "NH2015") / "voxel_features_meta.npy"
    np.save(path, np.array([{"voxel_id": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"voxel_features_meta\.npy cannot be read as an array"):
        load(root, "NH2015")


# --- B2021 ------------------------------------------------------------------------------------------------------------


def test_the_first_165_of_192_sounds_of_b2021_are_used(written):
    assert len(np.load(of(written, "B2021") / "voxel_features_array.npy")) == 192
    dataset = load(written, "B2021")
    expect_encoded(dataset, 20)
    found = dataset.responses
    assert found.sizes == {"presentation": 3 * N_STIMULI, "neuroid": 20}
    assert len(set(found["subject"].values)) == 4
    assert "music" not in found.coords
    assert found["hemisphere"].values[:2].tolist() == ["rh", "lh"]


def test_b2021_follows_the_names_of_its_own_file(root):
    before = load(root, "B2021")
    folder = of(root, "B2021")
    order = np.r_[np.random.default_rng(0).permutation(N_STIMULI), np.arange(N_STIMULI, 192)]
    change_array(root, "B2021", "voxel_features_array.npy", lambda a: a[order])
    names = synthetic.b2021_names()
    synthetic.write_stimulus_info(folder / "stim_info_v4.mat", [names[row] for row in order])
    assert load(root, "B2021").digest == before.digest


def test_b2021_is_matched_with_its_table_by_voxel(root):
    before = load(root, "B2021")
    change_table(root, "B2021", lambda t: t.iloc[::-1].reset_index(drop=True))
    assert load(root, "B2021").digest == before.digest


def test_music_among_the_first_165_is_refused(root):
    names = synthetic.b2021_names()
    names[0], names[170] = names[170], names[0]
    synthetic.write_stimulus_info(of(root, "B2021") / "stim_info_v4.mat", names)
    with pytest.raises(
        AlignmentError, match=r"The first 165 of the 192 stimuli .* 1 are not among them: stim5_alarm_clock"
    ):
        load(root, "B2021")


B2021_CASES = {
    "other rows": ("voxel_features_array.npy", lambda a: a[:165], "a row for each of 192 stimuli"),
    "fewer voxels": ("voxel_features_array.npy", lambda a: a[:, 1:], "20 voxels"),
    "voxels of no number": ("voxel_features_meta.npy", lambda a: a + 0.5, "expected whole numbers, found float64"),
    "a voxel twice": ("voxel_features_meta.npy", lambda a: np.where(a == 1, 0, a), "voxels of B2021 must be unique"),
    "other voxels": ("voxel_features_meta.npy", lambda a: a + 1, "1 are not described"),
}


@pytest.mark.parametrize("case", B2021_CASES)
def test_arrays_of_b2021_that_do_not_fit_are_refused(root, case):
    name, change, message = B2021_CASES[case]
    change_array(root, "B2021", name, change)
    with pytest.raises(DataError, match=message):
        load(root, "B2021")


def test_stimulus_info_without_names_is_refused(root):
    from scipy.io import savemat

    savemat(of(root, "B2021") / "stim_info_v4.mat", {"stim_info": {"ids": np.arange(3)}})
    with pytest.raises(DataError, match=r"one struct stim_info with the field stim_names"):
        load(root, "B2021")


# --- NH2015comp -------------------------------------------------------------------------------------------------------


def test_components_are_read_from_the_release_too(written):
    path = of(written, "NH2015comp") / "components.mat"
    dataset = plugin("NH2015comp").load(DataFiles({"neural/NH2015comp/components.mat": path}), synthetic.stimuli())
    expected = [[stimulus_number(name) + place / 10 for place in range(6)] for name in synthetic.IDS]
    np.testing.assert_array_equal(dataset.responses.values, expected)
    assert list(read_components(path).stimulus_id) != list(synthetic.IDS)
    table = read_frame(of(written, "NH2015comp") / ROI_TABLE)
    assert table["comp"].tolist() == dataset.responses["region"].values.tolist()


# --- stimuli ----------------------------------------------------------------------------------------------------------


def test_sounds_and_categories_of_the_release_make_the_same_stimuli(written, tmp_path):
    table = read_frame(written / "data/stimuli/df_stimuli_meta.pkl")
    labels = tmp_path / "category_labels.csv"
    labels.write_text("".join(f"{name},{label}\n" for name, label in table["category_label"].items()))
    sounds = synthetic.write_sounds(tmp_path / "165_natural_sounds_16kHz")
    paths = {f"sounds/{path.name}": path for path in sorted(sounds.iterdir(), reverse=True)}
    card = read_card(Catalogue.discover().find("stimuli", "natsound165"))
    stimuli = make_plugin("stimuli", card).load(DataFiles({**paths, labels.name: labels}))
    assert stimuli.ids == synthetic.IDS
    assert stimuli.table["category"].tolist() == synthetic.stimuli().table["category"].tolist()
    sound = stimuli.load(7)
    assert (sound.sample_rate, len(sound.array)) == (16_000.0, 32_000)
    np.testing.assert_array_equal(sound.array, np.float32(stimulus_number(sound.id) / 32768))


# --- files: recorded on first use, verified since ---------------------------------------------------------------------


def test_files_are_recorded_once_and_found_from_then_on(root):
    names = release.record(root, "NH2015")
    assert sorted(names) == sorted((*release.NEEDED["NH2015"], *release.OPTIONAL["NH2015"]))
    shutil.rmtree(root)
    expect_encoded(plugin("NH2015").load(DataFiles({}), synthetic.stimuli()), 29)


@pytest.mark.parametrize("depth", ["", "data", "data/neural"])
def test_files_are_found_at_any_depth_by_their_folder(written, depth):
    assert len(release.record(written / depth, "B2021")) == 4
    voxels = plugin("B2021").load(DataFiles({}), synthetic.stimuli()).responses.sizes["neuroid"]
    assert voxels == 20  # not the array of NH2015, whose file has the same name


def test_a_folder_without_the_data_set_gives_nothing_and_half_of_it_is_an_error(root, tmp_path):
    (tmp_path / "empty").mkdir()
    assert release.record(tmp_path / "empty", "NH2015") == []
    (of(root, "NH2015") / "voxel_features_array.npy").unlink()
    with pytest.raises(FilesError, match=r"lacks 1 of the 4 files of NH2015: neural/NH2015/voxel_features_array\.npy"):
        release.record(root, "NH2015")


def test_another_file_than_the_recorded_one_is_refused(root):
    release.record(root, "B2021")
    change_array(root, "B2021", "voxel_features_array.npy", lambda a: a + 1)
    with pytest.raises(
        FilesError, match=r"1 of 4 files differ .* recorded first .*has SHA-256 [0-9a-f]{16}…, recorded"
    ):
        release.record(root, "B2021")


def test_a_file_that_changes_after_it_was_recorded_is_refused(root):
    release.record(root, "B2021")
    kept = release.release_folder() / "neural/B2021/voxel_features_array.npy"
    np.save(kept, np.load(kept) + 1)
    os.utime(kept, ns=(1, 1))
    with pytest.raises(FilesError, match=r"1 of 4 files differ .* recorded first in .*: neural/B2021/voxel"):
        release.present("B2021")


def test_two_different_files_of_one_name_are_refused(root):
    (root / "copy/neural").mkdir(parents=True)
    shutil.copytree(of(root, "B2021"), root / "copy/neural/B2021")
    assert len(release.record(root, "B2021")) == 4  # the same file twice is no question
    change_array(root, "B2021", "voxel_features_array.npy", lambda a: a + 1)
    with pytest.raises(FilesError, match="holds 2 different files neural/B2021/voxel_features_array"):
        release.record(root, "B2021")


@pytest.mark.parametrize("dataset", ["NH2015", "B2021"])
def test_without_the_release_one_line_says_how_to_get_it(dataset):
    with pytest.raises(
        FilesError, match=r"4 of 4 files of .* are not in .*isocortex import tuckute data\.tar"
    ) as error:
        plugin(dataset).load(DataFiles({}), synthetic.stimuli())
    assert isinstance(error.value, CheckSkipped)  # so that the conformance kit skips, in one line
    assert "\n" not in str(error.value)


# --- the benchmarks ---------------------------------------------------------------------------------------------------


def benchmark(name: str) -> BenchmarkCard:
    card = read_card(Catalogue.discover().find("benchmark", name))
    assert isinstance(card, BenchmarkCard)
    return card


@pytest.mark.parametrize("dataset", ["NH2015", "B2021"])
def test_the_benchmarks_fit_the_data(written, dataset):
    loaded = load(written, dataset)
    known = {str(name) for name in loaded.responses.coords if loaded.responses[name].dims == ("neuroid",)}
    for metric in ("ridge", "rsa", "tuckute2023", "tuckute2023-rsa"):
        card = benchmark(f"{dataset}.{metric}")
        assert card.dataset == dataset
        assert card.reduction == "time-mean"
        assert set(card.summary_by) <= known
        assert card.published
        assert (card.folder / card.published).is_file()
    assert benchmark("NH2015.ridge").summary_by == ("region", "hemisphere", "tonotopic", "pitch", "music", "speech")


def signal(dataset: str, ids, voxels: np.ndarray) -> np.ndarray:
    """Responses that a model of eight units explains: odd voxels read it, even ones are noise."""
    draw = np.random.default_rng(len(ids) + len(voxels))
    weights = draw.normal(size=(8, len(voxels))) * (voxels % 2)
    clean = synthetic.features("signal", 9, ids)[:, 1:] @ weights
    return clean[:, :, None] + draw.normal(size=(len(ids), len(voxels), 3))


@pytest.fixture(scope="module")
def signalling(tmp_path_factory):
    root = synthetic.write_data(tmp_path_factory.mktemp("signal"), responses=signal)
    return {name: load(root, name) for name in ("NH2015", "B2021")}


@pytest.mark.parametrize("dataset", ["NH2015", "B2021"])
@pytest.mark.parametrize("metric", ["ridge", "rsa", "tuckute2023", "tuckute2023-rsa"])
def test_a_model_that_made_the_responses_is_found_in_those_that_it_made(signalling, dataset, metric):
    from isocortex.activations.layer import Activations
    from isocortex.loading.by_name import load_metric
    from isocortex.scoring.summary import by_region

    card = benchmark(f"{dataset}.{metric}")
    target = signalling[dataset]
    comparison = load_metric(card.metric).against(
        target, settings=card.settings, seed=0, preparation=Preparation(Rules.of(card, 0))
    )
    layers = {
        "signal": Activations("signal", synthetic.IDS, [synthetic.features("signal", 9)[:, 1:]]),
        "noise": Activations("noise", synthetic.IDS, [synthetic.features("noise", 9)[:, 1:]]),
    }
    scores = comparison.score_all(layers)
    summary = comparison.summarise(scores)
    assert summary.best_layer == "signal"
    assert summary.n_stimuli == N_STIMULI
    assert summary.n_subjects == len(set(target.responses["subject"].values))
    if "rsa" in metric:
        assert summary.value > 0.2
        return
    places = scores["readout"].mean([dim for dim in scores["readout"].dims if dim != "neuroid"])
    odd = scores["voxel_id"].values % 2 == 1
    assert places.values[odd].min() > 0.5 > 0.3 > places.values[~odd].max()
    rows = by_region(comparison, scores)
    assert {"region=Primary", "hemisphere=lh"} <= set(rows)
    assert ("music=inside" in rows) == (dataset == "NH2015")
    assert rows["region=Primary"].n_neuroids == int((target.responses["region"] == "Primary").sum())


@pytest.mark.parametrize("dataset", ["NH2015", "B2021"])
def test_regions_have_rows_and_stages_of_their_own_by_the_published_rsa(tmp_path, dataset):
    from isocortex.activations.layer import Activations
    from isocortex.loading.by_name import load_metric
    from isocortex.scoring.summary import by_region

    sizes = synthetic.Sizes(n_voxels=90, n_voxels_b2021=120)
    target = load(synthetic.write_data(tmp_path, sizes, signal), dataset)
    card = benchmark(f"{dataset}.tuckute2023-rsa")
    assert card.summary_by == ("region",)
    comparison = load_metric(card.metric).against(
        target, settings=card.settings, seed=0, preparation=Preparation(Rules.of(card, 0))
    )
    layers = {
        name: Activations(name, synthetic.IDS, [synthetic.features(name, 9)[:, 1:]]) for name in ("noise", "signal")
    }
    rows = by_region(comparison, comparison.score_all(layers))
    assert set(rows) == {"Primary", "Lateral", "Posterior", "Anterior"}
    for row in rows.values():
        assert row.stage.procedure == "tuckute2023 all sounds"
        assert set(row.stage.participants) == set(target.responses["subject"].values)
        assert row.stage.value == 1.0  # the last layer made the responses


def test_voxels_are_the_same_beside_sounds_at_16_khz(root: Path) -> None:
    """The row of another name has the files of the release that it is of."""
    assert plugin("NH2015-16khz").fetch(root) != []
    found, other = (plugin(name).load(DataFiles({}), synthetic.stimuli()) for name in ("NH2015-16khz", "NH2015"))
    assert found.id == "NH2015-16khz"
    np.testing.assert_array_equal(found.responses.values, other.responses.values)
