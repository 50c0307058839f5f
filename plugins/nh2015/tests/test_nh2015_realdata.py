"""The published files: what the loaders give has the properties that the paper reports."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from isocortex.catalogue.cards import read_card
from isocortex.catalogue.rows import Catalogue
from isocortex.files.file_store import FileStore, read_specs
from isocortex.loading.resolver import make_plugin
from isocortex.testing import run_checks

REALDATA = Path(os.environ.get("ISOCORTEX_REALDATA") or Path(__file__).parents[4] / "shared" / "realdata") / "nh2015"

pytestmark = pytest.mark.skipif(
    not REALDATA.is_dir(), reason="the sounds and components are absent (ISOCORTEX_REALDATA)"
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISOCORTEX_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield adopted_and_loaded(tmp_path_factory)


def adopted_and_loaded(tmp_path_factory):
    store = FileStore(tmp_path_factory.mktemp("data"), offline=True)
    catalogue = Catalogue.discover()
    files = {}
    for kind, name in (("stimuli", "natsound165"), ("dataset", "NH2015comp")):
        card = read_card(catalogue.find(kind, name))
        specs = read_specs(card.folder, card.files)
        assert store.adopt(card.package, specs, REALDATA) == []
        files[kind] = make_plugin(kind, card), store.present(card.package, specs, name)
    plugin, paths = files["stimuli"]
    stimuli = plugin.load(paths)
    plugin, paths = files["dataset"]
    return plugin.load(paths, stimuli)


def test_there_are_165_sounds_in_numeric_order(dataset):
    stimuli = dataset.stimuli
    assert len(stimuli) == 165
    assert stimuli.ids[:3] == ("stim5_alarm_clock", "stim7_applause", "stim11_baby_crying")
    assert stimuli.ids[-1] == "stim527_ringtone"
    assert stimuli.table["category"].nunique() == 11
    lengths = {(sound.sample_rate, sound.array.ndim) for sound in stimuli}
    assert lengths == {(44_100.0, 1)}
    assert all(abs(len(sound.array) / 44_100 - 2) < 0.01 for sound in stimuli)


def test_responses_are_those_of_the_file_under_their_own_name(dataset):
    from scipy.io import loadmat

    content = loadmat(REALDATA / "components.mat")
    names = [str(cell[0]) for cell in content["stim_names"][0]]
    assert names[0] == "stim28_big_band_music"
    by_name = dict(zip(names, content["R"], strict=True))
    expected = np.stack([by_name[name] for name in dataset.stimuli.ids])
    np.testing.assert_array_equal(dataset.responses.values, expected)
    labels = dict(zip(names, (str(cell[0]) for cell in content["category_labels"][0]), strict=True))
    assert dict(dataset.stimuli.table["category"]) == labels


@pytest.mark.parametrize(
    ("component", "category", "ratio"),
    [
        ("speech", "ForSpeech", 15.7),
        ("speech", "EngSpeech", 13.2),
        ("speech", "Song", 7.5),
        ("music", "Song", 2.6),
        ("music", "Music", 2.5),
    ],
)
def test_components_select_what_the_paper_reports(dataset, component, category, ratio):
    profile = dataset.select(region=component).responses.values[:, 0]
    of_category = profile[(dataset.stimuli.table["category"] == category).to_numpy()].mean()
    assert of_category / profile.mean() == pytest.approx(ratio, abs=0.05)


def test_the_conformance_kit_passes_on_the_published_files(tmp_path, monkeypatch):
    monkeypatch.setenv("ISOCORTEX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ISOCORTEX_CACHE", str(tmp_path / "cache"))
    for kind, name in (("stimuli", "natsound165"), ("dataset", "NH2015comp")):
        card = read_card(Catalogue.discover().find(kind, name))
        assert FileStore().adopt(card.package, read_specs(card.folder, card.files), REALDATA) == []
    ended = {outcome.id: outcome for outcome in run_checks("isocortex-nh2015")}
    others = [outcome for outcome in ended.values() if outcome.status != "passed"]
    assert {outcome.status for outcome in others} <= {"skipped"}  # voxels, which are not here
    assert all("isocortex import tuckute data.tar" in outcome.message for outcome in others)
    assert all(
        outcome.id.partition(":")[2].startswith(("NH2015:", "NH2015.", "NH2015-16khz", "B2021")) for outcome in others
    )
    assert {"stimuli:natsound165:contents", "dataset:NH2015comp:order"} <= ended.keys()
