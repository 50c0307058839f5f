"""The published files: what the loaders give agrees with the published matrices and numbers."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from isocortex.catalogue.cards import read_card
from isocortex.catalogue.rows import Catalogue
from isocortex.files.file_store import FileStore, read_specs
from isocortex.loading.resolver import make_plugin
from isocortex.testing import run_checks
from isocortex_kriegeskorte2008 import pair_indices, read_published_rdms, upper_triangle
from isocortex_kriegeskorte2008.reading import as_text, read_structs

ROOT = Path(os.environ.get("ISOCORTEX_REALDATA") or Path(__file__).parents[4] / "shared" / "realdata")
REALDATA = ROOT / "kriegeskorte2008"

pytestmark = pytest.mark.skipif(not REALDATA.is_dir(), reason="the 92 images and RDMs are absent (ISOCORTEX_REALDATA)")


def load(kind, name, store, *stimuli):
    card = read_card(Catalogue.discover().find(kind, name))
    specs = read_specs(card.folder, card.files)
    assert store.adopt(card.package, specs, REALDATA) == []
    return make_plugin(kind, card).load(store.present(card.package, specs, name), *stimuli)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISOCORTEX_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield FileStore(tmp_path_factory.mktemp("data"), offline=True)


@pytest.fixture(scope="module")
def stimuli(store):
    return load("stimuli", "kriegeskorte92", store)


@pytest.fixture(scope="module")
def human(store, stimuli):
    return load("dataset", "Kriegeskorte2008.human-IT", store, stimuli).rdm


@pytest.fixture(scope="module")
def monkey(store, stimuli):
    return load("dataset", "Kriegeskorte2008.monkey-IT", store, stimuli).rdm


def test_there_are_92_images_in_six_categories(stimuli):
    assert len(stimuli) == 92
    assert stimuli.ids[0] == "stim01"
    assert stimuli.ids[-1] == "stim92"
    assert {(stimulus.array.shape, stimulus.array.dtype.name) for stimulus in stimuli} == {((175, 175, 3), "uint8")}
    assert stimuli.table["category"].value_counts().to_dict() == {
        "human bodypart": 12,
        "human face": 12,
        "nonhuman bodypart": 12,
        "nonhuman face": 12,
        "natural inanimate": 23,
        "artificial inanimate": 21,
    }
    assert stimuli.table[["human", "face", "animal", "natural"]].sum().tolist() == [24, 24, 48, 71]


def test_objects_lie_on_grey(stimuli):
    corners = [stimulus.array[[0, 0, -1, -1], [0, -1, 0, -1]] for stimulus in stimuli]
    assert np.median(corners) == 128


def test_the_published_human_vector_is_the_mean_of_the_measured_matrices(human):
    assert human.shape == (4, 2, 4186)
    assert human["subject"].values.tolist() == ["BE", "KO", "SN", "TI"]
    published = read_published_rdms(REALDATA / "Kriegeskorte_Neuron2008_supplementalData.mat")["hITvisStim_316vx"]
    np.testing.assert_allclose(human.mean(["subject", "session"]).values, published, rtol=0, atol=1e-12)


def model_rdms() -> dict[str, np.ndarray]:
    """What models predict; the file lies beside the data and comes with no benchmark."""
    found = read_structs(REALDATA / "92_modelRDMs.mat", "Models", ["name", "RDM"])
    return {as_text(item["name"], "Models"): upper_triangle(item["RDM"]) for item in found}


def test_human_and_monkey_agree_as_published(human, monkey):
    assert monkey.shape == (1, 4186)
    np.testing.assert_array_equal(human["stimulus_a"].values, monkey["stimulus_a"].values)
    group = human.mean(["subject", "session"]).values
    assert pearsonr(group, monkey.values[0])[0] == pytest.approx(0.4912, abs=1e-4)
    assert spearmanr(group, monkey.values[0])[0] == pytest.approx(0.4389, abs=1e-4)


def test_images_and_matrices_are_in_one_order(stimuli, human):
    """Animacy from the labels of the images is the authors' animacy model, and correlates with the brain as known."""
    animal = stimuli.table["animal"].to_numpy()
    first, second = pair_indices(92)
    animacy = (animal[first] != animal[second]).astype(float)
    np.testing.assert_array_equal(animacy, model_rdms()["animacy"])
    of_group = spearmanr(animacy, human.mean(["subject", "session"]).values)[0]
    of_subjects = [spearmanr(animacy, values)[0] for values in human.mean("session").values]
    assert of_group == pytest.approx(0.5882, abs=1e-4)
    assert np.mean(of_subjects) == pytest.approx(0.386, abs=1e-3)


@pytest.mark.parametrize(("name", "rho"), [("V1", 0.0393), ("HMAX", 0.2217), ("monkeyIT", 0.4389)])
def test_model_rdms_give_the_known_correlations(human, name, rho):
    models = model_rdms()
    assert len(models) == 8
    group = human.mean(["subject", "session"]).values
    assert spearmanr(models[name], group)[0] == pytest.approx(rho, abs=1e-4)


def test_the_monkey_matrix_is_the_monkey_model(monkey):
    """Two files of the same repository hold the same matrix, one as a square, one as a vector."""
    model = model_rdms()["monkeyIT"]
    np.testing.assert_allclose(monkey.values[0], model, rtol=0, atol=1e-12)


def test_the_conformance_kit_passes_on_the_published_files(tmp_path, monkeypatch):
    monkeypatch.setenv("ISOCORTEX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ISOCORTEX_CACHE", str(tmp_path / "cache"))
    for kind, name in (("stimuli", "kriegeskorte92"), ("dataset", "Kriegeskorte2008.human-IT")):
        card = read_card(Catalogue.discover().find(kind, name))
        assert FileStore().adopt(card.package, read_specs(card.folder, card.files), REALDATA) == []
    ended = {outcome.id: outcome for outcome in run_checks("isocortex-kriegeskorte2008")}
    assert [outcome for outcome in ended.values() if outcome.status != "passed"] == []
    assert {"stimuli:kriegeskorte92:contents", "dataset:Kriegeskorte2008.monkey-IT:order"} <= ended.keys()
