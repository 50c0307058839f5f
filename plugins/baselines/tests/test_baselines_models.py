"""The plugins: what the manifest declares is what the models give, whatever the batches; bad input is named."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isocortex.catalogue.cards import Variant, read_card
from isocortex.catalogue.rows import Catalogue
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import DataError, ModalityError, UnknownIDError, UsageError
from isocortex.extraction.extractor import activations_in_memory
from isocortex.loading.by_name import load_model
from isocortex_baselines.cochleagram import cochleagram_cochcnn9, cochleagram_kell2018
from isocortex_baselines.gabor import SIGMAS, gabor_energy, prepare_image
from isocortex_baselines.pixels import pixels
from isocortex_baselines.sounds import prepare_cochcnn9, prepare_kell2018
from isocortex_baselines.spectrotemporal import spectrotemporal

SHAPES = {
    "pixels": (3, 64, 64),
    "cochleagram-kell2018": (211, 400),
    "cochleagram-cochcnn9": (211, 390),
    "spectrotemporal": (111, 211),
    "spectrotemporal-sqrt": (111, 211),
    "category": (2,),
    "threshold-units": (256,),
    "noise": (128,),
    "noise/3": (128,),
}
AUDIO = ["cochleagram-kell2018", "cochleagram-cochcnn9", "spectrotemporal", "spectrotemporal-sqrt"]
ANY = ["category", "threshold-units", "noise", "noise/3"]


def sounds() -> StimulusSet:
    rng = np.random.default_rng(0)
    lengths = {"a": 44_100, "b": 88_200, "c": 100_000}
    made = {
        name: Stimulus(name, "audio", (0.1 * rng.standard_normal((n, 2))).astype(np.float32), 44_100.0)
        for name, n in lengths.items()
    }
    made["d"] = Stimulus("d", "audio", np.zeros(3000, dtype=np.float32), 16_000.0)
    table = pd.DataFrame({"category": ["music", "speech", "music", "speech"]}, index=pd.Index(list(made)))
    return StimulusSet("test sounds", "audio", made, table=table)


def photographs() -> StimulusSet:
    rng = np.random.default_rng(0)
    sizes = {"a": (30, 40), "b": (175, 175), "c": (300, 20), "d": (64, 64)}
    made = {
        name: Stimulus(name, "image", rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for name, size in sizes.items()
    }
    table = pd.DataFrame({"category": ["face", "face", "house", "house"]}, index=pd.Index(list(made)))
    return StimulusSet("test photographs", "image", made, table=table)


STIMULI = {"audio": sounds, "image": photographs}


def rows_of(model: str, stimuli: StimulusSet, batch_size: int = 16) -> dict[str, np.ndarray]:
    with load_model(model) as loaded:
        found = activations_in_memory(loaded, stimuli, list(loaded.layers), batch_size=batch_size)
    return {layer: activations.array(stimuli.ids) for layer, activations in found.items()}


# --- against the functions


@pytest.mark.parametrize(
    ("model", "function"),
    [
        ("cochleagram-cochcnn9", lambda s: cochleagram_cochcnn9(prepare_cochcnn9(s.array, s.sample_rate))),
        ("cochleagram-kell2018", lambda s: cochleagram_kell2018(prepare_kell2018(s.array, s.sample_rate))),
        (
            "spectrotemporal",
            lambda s: spectrotemporal(cochleagram_cochcnn9(prepare_cochcnn9(s.array, s.sample_rate))),
        ),
    ],
)
def test_sound_models_give_what_their_function_gives(model: str, function: object) -> None:
    stimuli = sounds()
    (values,) = rows_of(model, stimuli).values()
    for row, stimulus in zip(values, stimuli, strict=True):
        expected = function(stimulus).reshape(-1)  # type: ignore[operator]
        assert np.abs(row - expected).max() <= 1e-6 * np.abs(expected).max()


def test_the_root_is_the_root_of_the_published_features() -> None:
    stimuli = sounds()
    power = rows_of("spectrotemporal", stimuli)["avgpool"].astype(float)
    root = rows_of("spectrotemporal-sqrt", stimuli)["avgpool"].astype(float)
    assert np.abs(root**2 - power).max() <= 1e-6 * power.max()


def test_image_models_give_what_their_function_gives() -> None:
    stimuli = photographs()
    energy, flat = rows_of("gabor-pyramid", stimuli), rows_of("pixels", stimuli)["pixels"]
    assert list(energy) == ["sigma.2", "sigma.4", "sigma.8", "sigma.16"]
    for place, stimulus in enumerate(stimuli):
        assert np.array_equal(flat[place], pixels(stimulus.array).astype(np.float32).reshape(-1))
        for sigma in SIGMAS:
            expected = gabor_energy(prepare_image(stimulus.array), sigma)
            assert np.array_equal(energy[f"sigma.{sigma}"][place], expected.astype(np.float32).reshape(-1))


def test_the_mean_over_time_of_a_cochleagram_has_a_value_per_frequency() -> None:
    stimuli = sounds()
    with load_model("cochleagram-cochcnn9") as model:
        means = activations_in_memory(model, stimuli, ["cochleagram"], reduction="time-mean")["cochleagram"]
    whole = rows_of("cochleagram-cochcnn9", stimuli)["cochleagram"].reshape(4, 211, 390)
    assert means.shape == (4, 211)
    assert np.abs(means.array(stimuli.ids) - whole.mean(axis=2, dtype=float)).max() < 1e-7


# --- manifest and contract


def test_the_manifest_holds_every_model_and_each_card_is_valid() -> None:
    rows = [row for row in Catalogue.discover().of_kind("model") if row.package == "isocortex-baselines"]
    assert {row.id for row in rows} == {*SHAPES, "pixels-224", "pixels-256", "gabor-pyramid", "log-mel", "noise/*"} - {
        "noise/3"
    }
    assert all(read_card(row).id == row.id for row in rows)


@pytest.mark.parametrize(
    ("model", "modality"),
    [(m, "audio") for m in AUDIO + ANY] + [(m, "image") for m in ["pixels", "gabor-pyramid", *ANY]],
)
def test_batches_and_order_do_not_matter(model: str, modality: str) -> None:
    stimuli = STIMULI[modality]()
    reversed_order = StimulusSet(
        "reversed", modality, [(s.id, s) for s in reversed(list(stimuli))], table=stimuli.table
    )
    whole, again = rows_of(model, stimuli), rows_of(model, reversed_order, batch_size=3)
    assert list(again) == list(whole)
    assert all(np.array_equal(values, again[layer][::-1]) for layer, values in whole.items())
    if model in SHAPES:
        assert all(values.shape == (4, int(np.prod(SHAPES[model]))) for values in whole.values())


def test_only_the_layers_that_are_asked_for_are_given() -> None:
    emitted = []
    with load_model("gabor-pyramid") as model:
        model.run(photographs().batch([2, 0]), ["sigma.16"], lambda layer, output: emitted.append((layer, output)))
    ((layer, output),) = emitted
    assert layer == "sigma.16"
    assert output.axes == ("orientation", "height", "width")
    assert output.array.shape == (2, 8, 8, 8)


# --- controls


def test_category_codes_the_labels_of_the_whole_set() -> None:
    stimuli = photographs()
    emitted = []
    with load_model("category") as model:
        model.run(stimuli.batch([3]), ["category"], lambda _, output: emitted.append(output))
    assert emitted[0].units == ("face", "house")
    assert emitted[0].array.tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("table", [None, pd.DataFrame({"category": ["x", None]}, index=pd.Index(["a", "b"]))])
def test_category_says_what_is_missing(table: pd.DataFrame | None) -> None:
    made = {name: Stimulus(name, "image", np.zeros((4, 4, 3), dtype=np.uint8)) for name in "ab"}
    stimuli = StimulusSet("unlabelled", "image", made, table=table)
    with pytest.raises(DataError, match="'category' needs a label for every stimulus of 'unlabelled'"):
        rows_of("category", stimuli)


def test_seeds_change_noise_and_threshold_units() -> None:
    stimuli = photographs()
    for model in ("noise", "threshold-units"):
        first, again, other = (rows_of(f"{model}@random:{seed}", stimuli) for seed in (0, 0, 1))
        (layer,) = first
        assert np.array_equal(first[layer], again[layer])
        assert not np.array_equal(first[layer], other[layer])


def test_noise_has_the_number_of_layers_in_its_name() -> None:
    with load_model("noise/43@random:7") as model:
        assert list(model.layers) == [f"layer.{number}" for number in range(43)]
        assert list(model.find("layer.4*")) == ["layer.4", "layer.40", "layer.41", "layer.42"]


@pytest.mark.parametrize("name", ["noise/0", "noise/many", "noise/", "noise/-3", "noise/10001", "noise/4/3"])
def test_a_wrong_number_of_noise_layers_is_named(name: str) -> None:
    with pytest.raises(UnknownIDError, match="Expected noise/N"):
        load_model(name)


def test_variants_that_a_model_does_not_have_are_refused() -> None:
    for name in ("pixels@random", "noise@fixed"):
        with pytest.raises(UsageError, match="no variant"):
            load_model(name)


def test_digests_tell_models_and_seeds_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from isocortex.loading.resolver import resolver

    monkeypatch.setenv("ISOCORTEX_CACHE", str(tmp_path))
    found = resolver()
    digests = [
        found.model(model).digest(Variant.parse(variant))
        for model, variant in [
            ("noise", "random:0"),
            ("noise", "random:1"),
            ("noise/3", "random:0"),
            ("spectrotemporal", "fixed"),
            ("spectrotemporal-sqrt", "fixed"),
        ]
    ]
    assert len(set(digests)) == len(digests)


# --- bad input


def test_a_stimulus_that_cannot_be_used_is_named() -> None:
    broken = Stimulus("broken", "audio", np.full(1000, np.nan, dtype=np.float32), 16_000.0)
    with pytest.raises(DataError, match=r"'broken'.*1000 of 1000"):
        rows_of("spectrotemporal", StimulusSet("one", "audio", {"broken": broken}))
    rateless = Stimulus("rateless", "audio", np.zeros(1000, dtype=np.float32))
    with pytest.raises(DataError, match=r"'rateless'.*sampling rate"):
        rows_of("cochleagram-kell2018", StimulusSet("one", "audio", {"rateless": rateless}))


def test_threshold_units_say_what_they_take() -> None:
    text = Stimulus("word", "text", np.zeros(3))
    with pytest.raises(ModalityError, match="audio or image, found text"):
        rows_of("threshold-units", StimulusSet("words", "text", {"word": text}))


# --- real sounds


def test_real_sounds_have_finite_features_of_different_sounds() -> None:
    default = Path(__file__).parents[4] / "shared" / "realdata"
    folder = Path(os.environ.get("ISOCORTEX_REALDATA", default)) / "nh2015" / "sounds"
    if not folder.is_dir():
        pytest.skip("the sounds of NH2015 are not there (set ISOCORTEX_REALDATA)")
    files = sorted(folder.glob("*.wav"))[:3]
    (features,) = rows_of("spectrotemporal", StimulusSet("real", "audio", {f.stem: f for f in files})).values()
    assert features.shape == (3, 23_421)
    assert np.isfinite(features).all()
    assert (features > 0).all()
    assert len(np.unique(features, axis=0)) == 3
