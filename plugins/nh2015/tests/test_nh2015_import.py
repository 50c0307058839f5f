"""``isocortex import tuckute``: activations, results and data of a synthetic release, as isocortex keeps them."""

from __future__ import annotations

import json
import pickle
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from isocortex.catalogue.cards import Variant
from isocortex.errors import AlignmentError, DataError, IsocortexError, UsageError
from isocortex.loading.folder_activations import FolderActivations
from isocortex.results.result import read_results
from isocortex_nh2015 import read_frame
from isocortex_nh2015.import_command import tuckute
from isocortex_nh2015.tuckute_activations import find_models, listed_stimuli, read_external, read_in_house
from isocortex_nh2015.tuckute_models import find_key, released_model
from plugins.nh2015.tests import release as synthetic
from plugins.nh2015.tests.old_pickles import write_old_frame

IDS = synthetic.IDS
PAPER = {
    "Kell2018word": ("CochCNN9-Word", 9), "Kell2018musicSeed2": ("CochCNN9-GenreSeed2", 9),
    "Kell2018speakerCleanSeed2": ("CochCNN9-SpeakerCleanSeed2", 9), "Kell2018multitask": ("CochCNN9-MultiTask", 9),
    "ResNet50audioset": ("CochResNet50-AudioSet", 7), "ResNet50music": ("CochResNet50-Genre", 7), "AST": ("AST", 14),
    "wav2vec": ("Wav2Vec2", 14), "S2T": ("S2T", 13), "VGGish": ("VGGish", 13), "sepformer": ("SepFormer", 33),
    "DS2": ("DeepSpeech2", 8), "metricGAN": ("MetricGAN", 4), "DCASE2020": ("DCASE2020", 5),
    "ZeroSpeech2020": ("VQ-VAE", 5), "spectemp": ("SpectroTemporal", 1),
}  # fmt: skip


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ISOCORTEX_DATA", str(tmp_path / "store"))
    monkeypatch.setenv("ISOCORTEX_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path) -> Path:
    """A release with its data and no activations yet."""
    folder = tmp_path / "release"
    (folder / "data/neural/NH2015").mkdir(parents=True)
    np.save(folder / "data/neural/NH2015/neural_stim_meta.npy", synthetic.stimulus_records())
    return folder


def bring(source: Path, out: Path, *more: str) -> tuple[int, str, Exception | None]:
    done = CliRunner().invoke(tuckute, [str(source), "--out", str(out), *more])
    error = done.exception if not isinstance(done.exception, SystemExit) else None
    assert error is None or isinstance(error, IsocortexError), error
    return done.exit_code, done.output, error


def activations(folder: Path, layer: str, order=IDS) -> np.ndarray:
    """What scoring reads from a folder."""
    plugin = FolderActivations.at(folder)
    found: dict[str, np.ndarray] = {}
    with plugin.load(Variant.parse("fixed"), device="cpu") as model:
        batch = synthetic.stimuli().batch([IDS.index(name) for name in order])
        model.run(batch, [layer], lambda name, output: found.__setitem__(name, output.array))
    return found[layer]


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", PAPER)
def test_networks_have_the_names_and_numbers_of_layers_of_the_paper(code):
    model = released_model(code)
    assert (model.shown, len(model.keys)) == PAPER[code]


def test_an_unknown_network_keeps_its_name_and_takes_all_layers():
    assert released_model("mynet").shown == "mynet"
    assert not released_model("mynet").keys
    assert released_model("Kell2018words").shown == "Kell2018words"


def test_there_are_165_listed_stimuli_in_canonical_order():
    assert len(listed_stimuli()) == 165
    assert listed_stimuli()[:3] == ("stim5_alarm_clock", "stim7_applause", "stim11_baby_crying")


@pytest.mark.parametrize(
    ("wanted", "keys", "expected"),
    [
        ("ReLU()--3", ["ReLU()--3", "ReLU(inplace=True)--3"], "ReLU()--3"),
        ("ReLU()--3", ["ReLU(inplace)--3", "ReLU(inplace)--2"], "ReLU(inplace)--3"),
        ("Hardtanh(min_val=0, max_val=20)--1", ["Hardtanh(min_val=0.0, max_val=20.0, inplace=True)--1"], 0),
        ("MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)--0",
         ["MaxPool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0), dilation=(1, 1), ceil_mode=False)--0"], 0),
        ("GRU(512, 256, batch_first=True)--0--hidden",
         ["GRU(512, 256, batch_first=True, bidirectional=True)--0--hidden", "GRU(512, 256)--0--hidden"], 1),
    ],
)  # fmt: skip
def test_keys_are_found_however_torch_prints_modules(wanted, keys, expected):
    assert find_key(wanted, keys, "demo") == (keys[expected] if isinstance(expected, int) else expected)


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        ("ReLU()--3", ["ReLU()--4", "ReLU6()--3"]),
        ("ReLU()--3", ["ReLU(inplace=True)--3", "ReLU(inplace)--3"]),
        ("GRU(64, 256)--0--hidden", ["GRU(64, 256)--0--cell", "GRU(512, 256)--0--hidden"]),
        (
            "Linear(in_features=256, out_features=4367, bias=True)--0",
            ["Linear(in_features=4367, out_features=2, bias=True)--0"],
        ),
    ],
)
def test_keys_that_do_not_fit_or_fit_twice_are_an_error(wanted, keys):
    with pytest.raises(DataError, match=r"demo: expected the key"):
        find_key(wanted, keys, "demo")


# --- activations ------------------------------------------------------------------------------------------------------


def test_every_row_of_an_in_house_file_lands_at_its_stimulus(root, tmp_path):
    layers = {"input_after_preproc": 3, **dict.fromkeys(released_model("Kell2018word").keys, 5), "final": 2}
    synthetic.write_in_house(root / "model_actv/Kell2018word", layers)
    synthetic.write_in_house(root / "model_actv/Kell2018word", layers, permuted=True)
    code, output, error = bring(root, tmp_path / "out", "-m", "Kell2018word")
    assert (code, error) == (0, None)
    for name, permuted in (("CochCNN9-Word", False), ("CochCNN9-Word-permuted", True)):
        folder = tmp_path / "out/activations" / name
        assert f"-m activations:{folder}" in output
        about = json.loads((folder / "activations.json").read_text())
        assert about["layers"] == list(released_model("Kell2018word").keys)
        assert tuple(about["stimulus_id"]) == IDS
        shuffled = list(np.random.default_rng(0).permutation(IDS))
        for layer in ("relu0", "relufc"):
            expected = synthetic.features(f"{layer}{permuted}", 5, shuffled)
            np.testing.assert_array_equal(activations(folder, layer, shuffled), expected)


def test_rows_follow_the_stimuli_of_the_release_not_ours(root, tmp_path):
    """In-house files name no stimuli: their rows are in the order of ``neural_stim_meta.npy``, whatever that is."""
    order = list(np.random.default_rng(1).permutation(IDS))
    np.save(root / "data/neural/NH2015/neural_stim_meta.npy", synthetic.stimulus_records(order))
    synthetic.write_in_house(root / "model_actv/spectemp", {"avgpool": 4}, order)
    assert bring(root, tmp_path / "out", "-m", "SpectroTemporal")[0] == 0
    found = activations(tmp_path / "out/activations/SpectroTemporal", "avgpool")
    np.testing.assert_array_equal(found, synthetic.features("avgpoolFalse", 4))


def test_the_alias_of_one_network_is_known(root, tmp_path):
    keys = released_model("ResNet50music").keys
    assert keys["conv1_relu1"] == "relu1"
    synthetic.write_in_house(root / "model_actv/ResNet50music", dict.fromkeys(keys.values(), 3))
    assert bring(root, tmp_path / "out", "-m", "ResNet50music")[0] == 0
    found = activations(tmp_path / "out/activations/CochResNet50-Genre", "conv1_relu1")
    np.testing.assert_array_equal(found, synthetic.features("relu1False", 3))


def test_layers_of_an_unknown_network_are_those_of_its_list_with_slashes_too(root, tmp_path):
    synthetic.write_in_house(root / "mynet", {"b": 3, "a": 2, "final/signal/word_int": 4})
    assert bring(root, tmp_path / "out", "-m", "mynet")[0] == 0
    folder = tmp_path / "out/activations/mynet"
    assert json.loads((folder / "activations.json").read_text())["layers"] == ["b", "a", "final/signal/word_int"]
    found = activations(folder, "final/signal/word_int")
    np.testing.assert_array_equal(found, synthetic.features("final/signal/word_intFalse", 4))


@pytest.mark.parametrize(
    "code", ["AST", "wav2vec", "S2T", "VGGish", "sepformer", "DS2", "metricGAN", "DCASE2020", "ZeroSpeech2020"]
)
def test_every_layer_of_an_external_network_is_the_one_that_the_paper_means(tmp_path, code):
    keys = released_model(code).keys
    others = {"Post-Processed_Features": 2, "Conv2d(1, 64, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))--0": 2}
    units = {key: 2 + number % 5 for number, key in enumerate(dict.fromkeys(keys.values()))}
    folder = synthetic.write_external(tmp_path / code, {**others, **units}, IDS[:20])
    found = read_external(sorted(folder.iterdir()), keys, IDS[:20])
    assert list(found) == list(keys)
    for layer, key in keys.items():
        np.testing.assert_array_equal(found[layer], synthetic.features(f"{key}False", units[key], IDS[:20]))
    assert len({values.tobytes() for values in found.values()}) == len(keys)


def test_external_files_are_matched_by_name_and_end_up_as_a_model(root, tmp_path):
    keys = {f"ReLU(inplace=True)--{number}": 3 for number in range(5)}
    synthetic.write_external(root / "model_actv/ZeroSpeech2020", keys)
    synthetic.write_external(root / "model_actv/ZeroSpeech2020", keys, permuted=True)
    assert bring(root, tmp_path / "out", "-m", "VQ-VAE")[0] == 0
    for name, permuted in (("VQ-VAE", False), ("VQ-VAE-permuted", True)):
        found = activations(tmp_path / "out/activations" / name, "ReLU_2")
        np.testing.assert_array_equal(found, synthetic.features(f"ReLU(inplace=True)--1{permuted}", 3))


def test_a_missing_stimulus_is_an_error_and_leaves_nothing(root, tmp_path):
    folder = synthetic.write_external(root / "model_actv/S2T", dict.fromkeys(released_model("S2T").keys, 2))
    (folder / "stim7_applause_activations.pkl").unlink()
    code, output, error = bring(root, tmp_path / "out", "-m", "S2T")
    assert code != 0
    assert isinstance(error, DataError)
    assert "lacks 1 of 165 stimuli: stim7_applause" in output
    assert not (tmp_path / "out/activations/S2T").exists()


def test_one_network_that_fails_hides_no_other(root, tmp_path):
    synthetic.write_in_house(root / "a/spectemp", {"avgpool": 4})
    (root / "b/Kell2018word").mkdir(parents=True)
    (root / "b/Kell2018word/natsound_activations.h5").write_bytes(b"not HDF5")
    code, output, error = bring(root, tmp_path / "out", "-m", "spectemp", "-m", "Kell2018word")
    assert code != 0
    assert "1 of 2 parts could not be brought in: CochCNN9-Word" in str(error)
    assert (tmp_path / "out/activations/SpectroTemporal/activations.json").exists()
    assert "cannot be read as HDF5" in output


def external(folder: Path, change) -> dict[str, np.ndarray]:
    synthetic.write_external(folder, {"Embedding": 3, "Final": 2}, IDS[:8])
    path = folder / f"{IDS[4]}_activations.pkl"
    path.write_bytes(change(pickle.loads(path.read_bytes())))
    return read_external(sorted(folder.iterdir()), {"Embedding": "Embedding", "Final": "Final"}, IDS[:8])


BY_STIMULUS = {
    "a layer less": (lambda c: pickle.dumps({"Final": c["Final"]}), "lacks the key 'Embedding'"),
    "another size": (lambda c: pickle.dumps({**c, "Final": np.zeros(9)}), "Final: .* others have more or fewer"),
    "a matrix": (lambda c: pickle.dumps({**c, "Final": np.zeros((2, 2))}), "expected a vector of numbers in 'Final'"),
    "texts": (lambda c: pickle.dumps({**c, "Final": np.array(["a", "b"])}), "expected a vector of numbers in 'Final'"),
    "a number": (lambda c: pickle.dumps({**c, "Final": 3.0}), "expected a vector of numbers in 'Final'"),
    "no dictionary": (lambda _: pickle.dumps([1, 2]), "cannot be read as a dictionary of arrays"),
    "half a file": (lambda c: pickle.dumps(c)[:60], "is damaged"),
    "code": (lambda _: b"cos\nsystem\n(S'true'\ntR.", r"names os\.system"),
}


@pytest.mark.parametrize("case", BY_STIMULUS)
def test_external_files_that_do_not_fit_are_refused(tmp_path, case):
    change, message = BY_STIMULUS[case]
    with pytest.raises(DataError, match=message):
        external(tmp_path / "S2T", change)


def test_files_of_other_stimuli_are_refused(tmp_path):
    folder = synthetic.write_external(tmp_path / "S2T", {"Final": 2}, IDS[:8])
    with pytest.raises(AlignmentError, match=f"files of 1 unknown stimuli: {IDS[7]}"):
        read_external(sorted(folder.iterdir()), {}, IDS[:7])


def in_house(folder: Path, change) -> dict[str, np.ndarray]:
    import h5py

    path = synthetic.write_in_house(folder, {"relu0": 3, "avgpool": 2}, IDS[:8])
    with h5py.File(path, "a") as file:
        change(file)
    return read_in_house(path, {"relu0": "relu0", "avgpool": "avgpool"}, 8)


def replaced(file, name: str, values: object) -> None:
    del file[name]
    file[name] = values


def linked(file, name: str) -> None:
    import h5py

    del file[name]
    file[name] = h5py.ExternalLink("elsewhere.h5", "/secret")


IN_HOUSE = {
    "a layer less": (lambda f: f.__delitem__("avgpool"), "has no dataset 'avgpool'"),
    "a link into another file": (lambda f: linked(f, "avgpool"), "/avgpool is a link into another file"),
    "a group": (lambda f: (f.__delitem__("avgpool"), f.create_group("avgpool")), "has no dataset 'avgpool'"),
    "fewer rows": (lambda f: replaced(f, "avgpool", np.zeros((7, 2))), r"8 stimuli, n_units\) in 'avgpool'.*\(7, 2\)"),
    "a vector": (lambda f: replaced(f, "avgpool", np.zeros(8)), r"of shape \(8,\)"),
    "texts": (lambda f: replaced(f, "avgpool", np.full((8, 2), b"x")), "expected numbers"),
}


@pytest.mark.parametrize("case", IN_HOUSE)
def test_in_house_files_that_do_not_fit_are_refused(tmp_path, case):
    change, message = IN_HOUSE[case]
    with pytest.raises(DataError, match=message):
        in_house(tmp_path / "Kell2018word", change)


def test_half_precision_is_read(tmp_path):
    found = in_house(tmp_path / "net", lambda f: replaced(f, "avgpool", np.ones((8, 2), "f2")))
    np.testing.assert_array_equal(found["avgpool"], np.ones((8, 2)))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_truncated_in_house_files_are_named(tmp_path, share):
    path = synthetic.write_in_house(tmp_path / "net", {"relu0": 30}, IDS)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=r"natsound_activations\.h5"):
        read_in_house(path, {}, 165)


def test_values_that_are_not_finite_are_refused(root, tmp_path):
    import h5py

    path = synthetic.write_in_house(root / "spectemp", {"avgpool": 4})
    with h5py.File(path, "a") as file:
        file["avgpool"][3, 1] = np.nan
    _, output, error = bring(root, tmp_path / "out", "-m", "spectemp")
    assert error is not None
    assert f"avgpool: values of 1 stimuli are not finite: {IDS[3]}" in output
    assert not (tmp_path / "out/activations/SpectroTemporal").exists()


def test_in_house_files_without_the_order_of_stimuli_say_what_is_missing(tmp_path):
    synthetic.write_in_house(tmp_path / "only/spectemp", {"avgpool": 4})
    _, output, error = bring(tmp_path / "only", tmp_path / "out")
    assert error is not None
    assert "Run 'isocortex import tuckute data.tar' first" in output


def test_the_order_of_stimuli_is_remembered_from_the_data(tmp_path):
    written = synthetic.write_data(tmp_path / "release")
    assert bring(written, tmp_path / "out")[0] == 0
    shutil.rmtree(written)
    synthetic.write_in_house(tmp_path / "only/spectemp", {"avgpool": 4})
    assert bring(tmp_path / "only", tmp_path / "out")[0] == 0
    found = activations(tmp_path / "out/activations/SpectroTemporal", "avgpool")
    np.testing.assert_array_equal(found, synthetic.features("avgpoolFalse", 4))


def test_models_are_found_by_their_folder(root):
    synthetic.write_in_house(root / "model_actv/Kell2018word", {"relu0": 1}, permuted=True)
    synthetic.write_external(root / "model_actv/wav2vec", {"Final": 1}, IDS[:3])
    (root / "model_actv/wav2vec/natsound_activations_full.h5").write_bytes(b"")
    found = {item.name: (item.by_stimulus, len(item.files)) for item in find_models(root)}
    assert found == {"CochCNN9-Word-permuted": (False, 1), "Wav2Vec2": (True, 3)}


def test_a_second_import_replaces_the_first(root, tmp_path):
    synthetic.write_in_house(root / "mynet", {"a": 3, "b": 2})
    assert bring(root, tmp_path / "out", "-m", "mynet")[0] == 0
    synthetic.write_in_house(root / "mynet", {"a": 4})
    assert bring(root, tmp_path / "out", "-m", "mynet")[0] == 0
    folder = tmp_path / "out/activations/mynet"
    assert activations(folder, "a").shape == (165, 4)
    assert sorted(path.name for path in folder.iterdir()) == ["a", "activations.json"]
    assert [path.name for path in folder.parent.iterdir()] == ["mynet"]


# --- data, archives, nothing ------------------------------------------------------------------------------------------


def test_an_archive_is_taken_as_it_comes(tmp_path):
    written = synthetic.write_data(tmp_path / "release")
    with tarfile.open(tmp_path / "data.tar", "w") as archive:
        archive.add(written / "data", "data")
    shutil.rmtree(written)
    code, output, error = bring(tmp_path / "data.tar", tmp_path / "out")
    assert (code, error) == (0, None)
    assert "NH2015: 5 files with recorded checksums" in output
    assert "B2021: 4 files with recorded checksums" in output
    assert "components.mat is another file than the published one: left aside" in output
    left = [path.name for path in (tmp_path / "store").iterdir()]
    assert left == ["isocortex-nh2015"]


def test_an_archive_that_leads_outside_is_refused(tmp_path):
    (tmp_path / "x").write_text("x")
    with tarfile.open(tmp_path / "data.tar", "w") as archive:
        archive.add(tmp_path / "x", "../x")
    _, _, error = bring(tmp_path / "data.tar", tmp_path / "out")
    assert "outside its folder" in str(error)


def test_a_folder_with_nothing_of_the_release_says_what_was_looked_for(tmp_path):
    (tmp_path / "empty").mkdir()
    _, _, error = bring(tmp_path / "empty", tmp_path / "out")
    assert isinstance(error, DataError)
    assert "holds nothing of the release: neither neural/NH2015" in str(error)
    _, _, error = bring(tmp_path / "empty", tmp_path / "out", "-m", "AST")
    assert "holds nothing of the release of AST" in str(error)


# --- results ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def described(tmp_path) -> dict[str, pd.DataFrame]:
    written = synthetic.write_data(tmp_path / "described")
    names = ("NH2015", "B2021", "NH2015comp")
    return {name: read_frame(written / "data/neural" / name / "df_roi_meta.pkl") for name in names}


def test_results_become_records_that_show_prints(described, tmp_path):
    tables = {}
    for target, table in described.items():
        for layer in ("relufc", "relu0"):
            for permuted in (False, True):
                found = synthetic.result_table(table, "Kell2018word", layer, target, permuted=permuted)
                tables[target, layer, permuted] = found
                synthetic.write_result(tmp_path / "release", found, old=layer == "relu0")
    assert bring(tmp_path / "release", tmp_path / "out")[0] == 0
    results = {(item.benchmark, item.variant): item for item in read_results(tmp_path / "out/results")}
    assert set(results) == {
        (f"{target}.tuckute2023", variant) for target in described for variant in ("pretrained", "permuted")
    }
    for (benchmark, variant), result in results.items():
        target = benchmark.partition(".")[0]
        assert (result.status, result.model) == ("scored", "tuckute2023/CochCNN9-Word")
        assert [item.name for item in result.summary.layers] == ["relu0", "relufc"]
        for item in result.summary.layers:
            table = tables[target, item.name, variant == "permuted"]
            assert item.value == pytest.approx(by_hand(table, "median_r2_test"), abs=1e-12)
        both = [tables[target, layer, variant == "permuted"] for layer in ("relu0", "relufc")]
        assert result.summary.value == pytest.approx(max(by_hand(table, "median_r2_test") for table in both), abs=1e-12)
        if target != "NH2015comp":
            best = max(by_hand(table, "median_r2_test_c") for table in both)
            assert result.summary.ceiled == pytest.approx(best, abs=1e-12)
        assert (result.summary.layer_rule, result.summary.n_layers_searched) == ("optimistic", 2)
        for row in (result.summary, *result.regions.values()):
            assert row.stage.procedure == "tuckute2023 all splits"
        assert result.summary.stage.value == pytest.approx(stage_by_hand(*both), abs=1e-12)
        if target == "NH2015":
            expected = stage_by_hand(*both, region="Primary")
            assert result.regions["region=Primary"].stage.value == pytest.approx(expected, abs=1e-12)


def stage_by_hand(first: pd.DataFrame, last: pd.DataFrame, region: str | None = None) -> float:
    """Depth 0 or 1 of each voxel, equals drawn voxel after voxel; median of a participant, mean over participants."""
    column = "median_r2_test_c" if "subj_idx" in first.columns else "median_r2_test"
    draw = np.random.RandomState(0)
    pairs = zip(first[column].clip(upper=1), last[column].clip(upper=1), strict=True)
    depth = np.array([draw.choice([place for place in (0, 1) if pair[place] == max(pair)]) for pair in pairs])
    if "subj_idx" not in first.columns:
        return float(np.median(depth))
    table = pd.DataFrame({"depth": depth, "subject": first["subj_idx"].to_numpy()})
    if region is not None:
        table = table[(first["roi_label_general"] == region).to_numpy()]
    return float(table.groupby("subject")["depth"].median().mean())


def by_hand(table: pd.DataFrame, column: str) -> float:
    """Median over voxels of a participant, mean over participants, corrected values not above 1."""
    values = table.assign(value=table[column].clip(upper=1) if column.endswith("_c") else table[column])
    if "subj_idx" not in values.columns:
        return float(values["value"].median())
    return float(values.groupby("subj_idx")["value"].median().mean())


def test_rows_of_regions_are_those_of_the_voxels_inside(described, tmp_path):
    table = synthetic.result_table(described["NH2015"], "AST", "Final", "NH2015")
    synthetic.write_result(tmp_path / "release", table)
    assert bring(tmp_path / "release", tmp_path / "out")[0] == 0
    (result,) = read_results(tmp_path / "out/results")
    assert result.summary.layer_rule == "single layer"
    assert {"region=Primary", "region=Anterior", "hemisphere=lh", "music=inside"} <= set(result.regions)
    assert not any(name.endswith("=") for name in result.regions)
    for name, rows in (
        ("region=Primary", table["roi_label_general"] == "Primary"),
        ("music=inside", table["music"] == 1),
    ):
        assert result.regions[name].value == pytest.approx(by_hand(table[rows], "median_r2_test"), abs=1e-12)
        assert result.regions[name].n_neuroids == rows.sum()
    component = synthetic.result_table(described["NH2015comp"], "AST", "Final", "NH2015comp")
    synthetic.write_result(tmp_path / "more", component)
    assert bring(tmp_path / "more", tmp_path / "out2")[0] == 0
    (result,) = read_results(tmp_path / "out2/results")
    assert set(result.regions) == set(synthetic.COMPONENTS)
    speech = component.loc[component["comp"] == "speech", "median_r2_test"].item()
    assert result.regions["speech"].value == pytest.approx(speech, abs=1e-12)
    assert (result.summary.target, result.summary.ceiled, result.summary.n_subjects) == ("pooled", None, None)


def test_layers_meet_by_voxel_and_parts_are_joined(described, tmp_path):
    table = described["B2021"]
    first = synthetic.result_table(table, "AST", "Embedding", "B2021")
    second = synthetic.result_table(table, "AST", "Final", "B2021").sample(frac=1, random_state=0)
    for part, rows in enumerate((slice(0, 7), slice(7, None))):
        synthetic.write_result(tmp_path / "release", first.iloc[rows], part=part)
    synthetic.write_result(tmp_path / "release", second)
    assert bring(tmp_path / "release", tmp_path / "out")[0] == 0
    (result,) = read_results(tmp_path / "out/results")
    curve = {item.name: item.value for item in result.summary.layers}
    assert curve["Embedding"] == pytest.approx(by_hand(first, "median_r2_test"), abs=1e-12)
    assert curve["Final"] == pytest.approx(by_hand(second, "median_r2_test"), abs=1e-12)


RESULTS = {
    "a column less": (lambda t: t.drop(columns="median_r_test"), "lacks the columns median_r_test"),
    "no identity": (lambda t: t.drop(columns="randnetw"), "lacks the columns randnetw"),
    "two layers": (
        lambda t: t.assign(source_layer=["a", *["b"] * (len(t) - 1)]),
        "expected one source_layer, found a, b",
    ),
    "not finite": (lambda t: t.assign(median_r2_test=np.nan), "24 values of r2 are not finite"),
    "a voxel twice": (lambda t: pd.concat([t, t.iloc[:1]]), "1 voxels occur twice"),
    "a voxel less": (lambda t: t.iloc[1:], "expected the 24 voxels of the other layers; 1 are missing"),
}


@pytest.mark.parametrize("case", RESULTS)
def test_tables_that_do_not_fit_are_refused(described, tmp_path, case):
    change, message = RESULTS[case]
    for layer in ("Embedding", "Final"):
        path = synthetic.write_result(tmp_path, synthetic.result_table(described["NH2015"], "AST", layer, "NH2015"))
    write_old_frame(path, change(read_frame(path)))
    _, output, error = bring(tmp_path / "results", tmp_path / "out")
    assert error is not None
    assert message in output
    assert not (tmp_path / "out/results").exists()


# --- the command line -------------------------------------------------------------------------------------------------


def test_the_command_is_found_and_its_errors_are_one_line(isocortex, tmp_path):
    done = isocortex("import", "tuckute", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "holds nothing of the release" in done.stderr
    assert "Traceback" not in done.stderr
    assert "isocortex import tuckute" in isocortex("import", "tuckute", "--help").stdout


def test_a_folder_of_activations_needs_its_layers(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(UsageError):
        FolderActivations.at(tmp_path / "x")
