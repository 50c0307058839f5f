"""The published data: twelve published numbers, people among themselves, shape bias, and trained networks that look."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import isocortex as package
from isocortex.activations import ActivationFolder, Activations
from isocortex.catalogue.cards import Variant
from isocortex.data import Dataset
from isocortex.interfaces import Preparation, Rules
from isocortex.loading.resolver import resolver
from isocortex_geirhos2021.decisions import is_person
from isocortex_geirhos2021.import_command import read_source, write_observer
from isocortex_geirhos2021.source_files import DECISIONS, PICTURES, bring

PUBLISHED = Path(__file__).parents[1] / "src/isocortex_geirhos2021/published"
#: how the published tables call the observers
NAMES = {
    "ResNet-50": "resnet50",
    "SimCLR-x1": "simclr_resnet50x1",
    "BagNet-33": "bagnet33",
    "AlexNet (caffe)": "caffe:alexnet",
    "GoogLeNet (caffe)": "caffe:googlenet",
    "VGG-16 (caffe)": "caffe:vgg",
    "ResNet-50 (pytorch)": "pytorch:resnet50",
}
MEASURES = {
    "error-consistency": ("kappa", 0.4312),
    "observed-consistency": ("observed_consistency", 0.8085),
    "ood-accuracy": ("accuracy", 0.7228),
    "accuracy-difference": ("accuracy_difference", None),
}


@pytest.fixture(scope="module")
def published_data(realdata) -> Path:
    """The folder of the data, or a skip."""
    if not (realdata / "geirhos2021").is_dir():
        pytest.skip("decisions and pictures of Geirhos et al. are absent (ISOCORTEX_REALDATA)")
    return realdata / "geirhos2021"


@pytest.fixture(scope="module")
def datasets(published_data, tmp_path_factory) -> Iterator[Callable[[str], Dataset]]:
    """Loads data sets, each once, from a data folder that they were fetched into."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISOCORTEX_DATA", str(tmp_path_factory.mktemp("data")))
        patch.setenv("ISOCORTEX_CACHE", str(tmp_path_factory.mktemp("cache")))
        for part in (DECISIONS, PICTURES["silhouette"], PICTURES["edge"]):
            bring(part, published_data)
        found = resolver(offline=True)
        names = ("Geirhos2021", "Geirhos2021.stored-cue-conflict", "Geirhos2021.silhouette", "Geirhos2021.edge")
        yield {name: found.dataset(name) for name in names}.__getitem__


@pytest.fixture(scope="module")
def trials(published_data) -> pd.DataFrame:
    """All trials of people and machines."""
    return read_source(published_data / "geirhos2021_model_vs_human.npz")


@pytest.fixture(scope="module")
def stored(published_data, trials, tmp_path_factory) -> Callable[[str], Activations]:
    """Stored decisions of machines, imported."""
    out, found = tmp_path_factory.mktemp("models"), {}
    for table in (trials, read_source(published_data / "geirhos2019_cue_conflict_responses.npz")):
        for observer in sorted(set(table["observer"]) & set(NAMES.values())):
            folder = write_observer(table[table["observer"] == observer], out, observer)
            found[observer] = ActivationFolder.at(folder).open("decision")
    return found.__getitem__


def rows_of(name: str) -> dict[str, float]:
    with (PUBLISHED / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return {row["model"]: float(row["value"]) for row in csv.DictReader(file)}


def against(metric: str, target: Any, measure: str | None = None, **settings: object) -> Any:
    preparation = Preparation(Rules(measure=measure, n_draws=3))
    return package.load_metric(metric).against(target, settings=settings, preparation=preparation)


def summary_of(comparison: Any, activations: Activations) -> Any:
    return comparison.summarise(comparison.score_all({"decision": activations}))


def test_the_published_table_and_people_among_themselves(datasets, stored) -> None:
    comparison = against("model-vs-human", datasets("Geirhos2021"))
    for model in ("ResNet-50", "SimCLR-x1", "BagNet-33"):
        summary = summary_of(comparison, stored(NAMES[model]))
        assert (summary.n_stimuli, summary.n_subjects, summary.n_null) == (11_520, 90, 0)
        found = {"kappa": summary.value, **summary.also}
        for name, (measure, people) in MEASURES.items():
            assert round(found[measure], 3) == pytest.approx(rows_of(name)[model], abs=1e-9), (model, measure)
            among = comparison.ceiling.value if measure == "kappa" else found[f"human_{measure}"]
            assert people is None or among == pytest.approx(people, abs=5e-5)
    assert {len(rows_of(name)) for name in MEASURES} == {3}


def test_there_are_85120_trials_of_people(datasets, trials) -> None:
    people = trials[[is_person(name) for name in trials["observer"]]]
    dataset = datasets("Geirhos2021")
    assert (len(trials), len(people), len(dataset.trials)) == (139_360, 85_120, 58_880)
    assert dataset.stimuli.table["data_set"].nunique() == 17
    n_people = people.groupby("data_set")["observer"].nunique()
    assert (n_people.min(), n_people.max()) == (4, 10)


@pytest.mark.parametrize(
    ("kept", "wrong"), [("true", 0.2059), pytest.param("", 0.1756, marks=pytest.mark.long)], ids=["true", "all"]
)
def test_conditions_that_do_not_count_give_the_known_wrong_numbers(datasets, trials, stored, kept, wrong) -> None:
    """ "True" and "true" not taken for one condition, and all conditions."""
    people = trials[[is_person(name) for name in trials["observer"]]]
    counted = people["stimulus_id"].isin(datasets("Geirhos2021").stimuli.ids)
    people = people[counted | (people["condition"] == kept if kept else True)].reset_index(drop=True)
    columns = {"category": "truth", "observer": "subject", "decision": "choice"}
    comparison = against("model-vs-human", people.rename(columns=columns))
    assert summary_of(comparison, stored("resnet50")).value == pytest.approx(wrong, abs=5e-5)


def test_conditions_that_are_pooled_before_kappa_give_the_known_wrong_number(datasets, stored) -> None:
    pooled = against("model-vs-human", datasets("Geirhos2021"), condition="")
    assert summary_of(pooled, stored("resnet50")).value == pytest.approx(0.2787, abs=5e-5)


def test_shape_bias_is_what_was_published(datasets, stored) -> None:
    comparison = against("shape-bias", datasets("Geirhos2021.stored-cue-conflict"))
    published = rows_of("shape-bias")
    people = published.pop("humans")
    assert len(published) == 4
    for model, value in published.items():
        summary = summary_of(comparison, stored(NAMES[model]))
        assert summary.value == pytest.approx(value, abs=1e-3), model
        assert summary.n_stimuli == 1200
    assert summary.also["human_shape_bias_pooled"] == pytest.approx(people, abs=1e-3)
    assert summary.also["human_shape_bias_pooled"] == pytest.approx(0.9587, abs=5e-5)
    assert summary.also["human_shape_bias"] == pytest.approx(0.9576, abs=5e-5)
    alexnet = summary_of(comparison, stored("caffe:alexnet"))
    assert alexnet.also["shape_bias_category_mean"] == pytest.approx(0.371, abs=5e-4)
    assert alexnet.also["decided"] == pytest.approx(0.5492, abs=5e-5)


# --- networks that look -----------------------------------------------------------------------------------------------

SQUEEZENET, LITE0 = "squeezenet1_1", "timm/tf_efficientnet_lite0"
WEIGHTS = {SQUEEZENET: "squeezenet1_1_imagenet.npz", LITE0: "tf_efficientnet_lite0_imagenet_fp16.npz"}


@pytest.fixture(scope="module")
def weights(realdata, tmp_path_factory) -> Callable[[str], Variant]:
    """Trained weights as .safetensors."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("isocortex_vision")
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("weights")

    def convert(network: str) -> Variant:
        path = folder / f"{network.replace('/', '-')}.safetensors"
        with np.load(realdata / "networks" / WEIGHTS[network], allow_pickle=False) as file:
            save_file({name: torch.from_numpy(np.array(file[name], order="C")) for name in file.files}, path)
        return Variant.parse(f"file:{path}=trained")

    return convert


@pytest.mark.xdist_group("vision")
@pytest.mark.parametrize(
    ("data_set", "model", "n_right", "kappa"),
    [
        ("silhouette", f"as-is/{SQUEEZENET}", 51, 0.197),
        pytest.param("silhouette", f"as-is/{LITE0}", 83, 0.395, marks=pytest.mark.long),
        pytest.param("edge", f"as-is/{SQUEEZENET}", 29, 0.011, marks=pytest.mark.long),
        pytest.param("edge", f"as-is/{LITE0}", 57, 0.103, marks=pytest.mark.long),
        pytest.param("silhouette", f"torchvision/{SQUEEZENET}", 35, None, marks=pytest.mark.long),
        pytest.param("silhouette", f"torchvision/{LITE0}", 68, None, marks=pytest.mark.long),
        pytest.param("edge", f"torchvision/{SQUEEZENET}", 33, None, marks=pytest.mark.long),
        pytest.param("edge", f"torchvision/{LITE0}", 52, None, marks=pytest.mark.long),
    ],
)
def test_trained_networks_name_silhouettes_and_edges(datasets, weights, data_set, model, n_right, kappa) -> None:
    network = model.partition("/")[2]
    if "timm" in network and find_spec("timm") is None:
        pytest.skip("needs timm")
    variant, dataset = weights(network), datasets(f"Geirhos2021.{data_set}")
    from isocortex.extraction.extractor import activations_in_memory

    with resolver(offline=True).model(f"16-way/{model}").load(variant, device="cpu") as observer:
        [found] = activations_in_memory(observer, dataset.stimuli, ["categories"]).values()
    summary = summary_of(against("model-vs-human", dataset), found)
    assert summary.n_stimuli == 160
    assert summary.also["accuracy"] * 160 == pytest.approx(n_right, abs=1e-9)
    assert kappa is None or summary.value == pytest.approx(kappa, abs=5e-3)
