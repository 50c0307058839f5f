"""Cards, variants and weights of the plugins."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import save_file  # noqa: E402

from isocortex.catalogue.cards import ModelCard, Variant, read_card  # noqa: E402
from isocortex.catalogue.rows import Catalogue  # noqa: E402
from isocortex.data.stimuli import Stimulus, StimulusSet  # noqa: E402
from isocortex.errors import DataError, FilesError  # noqa: E402
from isocortex.extraction.extractor import activations_in_memory  # noqa: E402
from isocortex.loading.by_name import load_model  # noqa: E402
from isocortex.loading.resolver import resolver  # noqa: E402
from isocortex.models.convert_checkpoint import main as convert  # noqa: E402
from isocortex.models.variants import build_variant  # noqa: E402
from isocortex.testing import check_manifest  # noqa: E402
from isocortex_cochnets.models import waveforms  # noqa: E402
from isocortex_cochnets.weights import published_state  # noqa: E402

pytestmark = pytest.mark.xdist_group("cochresnet50")

TASKS = ("word", "speaker", "genre", "audioset", "multitask")
IDS = ["kell2018", *(f"{family}-{task}" for family in ("cochcnn9", "cochresnet50") for task in TASKS)]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def cards() -> dict[str, ModelCard]:
    rows = [row for row in Catalogue.discover().of_kind("model") if row.package == "isocortex-cochnets"]
    return {row.id: read_card(row) for row in rows}  # type: ignore[misc]


def plugin_of(name: str) -> Any:
    return resolver(offline=True).model(name)


# --- cards


def test_the_manifest_is_sound() -> None:
    assert {outcome.status for outcome in check_manifest("isocortex_cochnets")} == {"passed"}


def test_every_network_has_a_card_whose_numbers_are_those_of_the_network() -> None:
    found = cards()
    assert sorted(found) == sorted(IDS)
    for name, card in found.items():
        with torch.device("meta"):
            network = plugin_of(name).build()
        assert sum(parameter.numel() for parameter in network.parameters()) == card.parameters, name
        modules = dict(network.named_modules())
        assert all(layer in modules for layer in card.layers), name
        assert card.variants[0] == "pretrained"
        assert (card.weights is None) == name.endswith("-genre")


def test_listing_imports_neither_torch_nor_the_package() -> None:
    code = (
        "import sys; from isocortex.catalogue.rows import Catalogue; "
        "names = [row.id for row in Catalogue.discover().rows];"
        "assert 'kell2018' in names; print([m for m in ('torch', 'numpy', 'isocortex_cochnets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- published checkpoints


def test_names_of_a_published_checkpoint_become_the_networks(tmp_path: Path) -> None:
    """A small checkpoint in the published layout, through the converter, into a small network."""

    def small() -> Any:
        return torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))

    trained = small()
    torch.nn.init.uniform_(trained[1].running_var)
    layout = {f"module.model.1.{name}": tensor for name, tensor in trained.state_dict().items()}
    layout |= {f"module.attacker.model.1.{name}": tensor for name, tensor in trained.state_dict().items()}
    layout |= {f"module.{part}model.0.full_rep.0.coch_filters": torch.zeros(2, 5) for part in ("", "attacker.")}
    layout["module.normalizer.new_mean"] = torch.zeros(1)
    checkpoint, converted = tmp_path / "5_checkpoint.pt", tmp_path / "small.safetensors"
    torch.save({"model": layout, "epoch": 5, "schedule": Path("optimizer")}, checkpoint)
    variant = Variant.parse(f"file:{checkpoint}")
    with pytest.raises(DataError, match=r"isocortex\.models\.convert_checkpoint"):
        build_variant(small, variant, rename=published_state)
    assert convert([str(checkpoint), str(converted), "--i-trust-this-file"]) == 0
    found = build_variant(small, Variant.parse(f"file:{converted}"), rename=published_state)
    for name, tensor in trained.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor)


def test_own_names_are_left_as_they_are_and_heads_can_be_dropped() -> None:
    assert published_state({"conv0.weight": 1}) == {"conv0.weight": 1}
    published = {"module.model.1.fc.weight": 1, "module.model.1.fc_other": 2, "module.model.1.conv1.weight": 3}
    assert published_state(published, without=["fc."]) == {"fc_other": 2, "conv1.weight": 3}
    assert published_state({"model.1.a": 1, "model.0.b": 2}) == {"a": 1}


@pytest.mark.parametrize("name", ["cochcnn9-word", "cochresnet50-multitask@permuted:1", "cochcnn9-genre"])
def test_absent_weights_name_every_place_and_the_converter(name: str, own_folders: Path) -> None:
    model = name.partition("@")[0]
    with pytest.raises(FilesError) as caught:
        load_model(name)
    message = str(caught.value)
    for ending in (".safetensors", ".pt"):
        assert str(own_folders / "data" / "isocortex-cochnets" / f"{model}{ending}") in message
    if model.endswith("genre"):
        assert "not published" in message
    else:
        assert "python -m isocortex.models.convert_checkpoint 5_checkpoint.pt" in message
        assert "https://mcdermottlab.mit.edu/cochdnn/cochdnn_model_checkpoints.tar" in message
        assert "audio_rep_training_cochleagram_1" in message
    assert f"{model}@random:0" in message
    variant = Variant.parse(name.partition("@")[2] or "pretrained")
    with pytest.raises(FilesError, match="Looked for"):
        plugin_of(model).digest(variant)


# --- variants, on the smallest network


@pytest.fixture
def trained(own_folders: Path) -> dict[str, Any]:
    """Weights in the published layout in the data folder, with a head of unknown size."""
    torch.manual_seed(3)
    with torch.device("meta"):
        names = plugin_of("cochresnet50-genre").build().state_dict()
    state = {
        name: torch.empty(meta.shape).uniform_(0.5, 1.5) * (0.02 if meta.ndim == 4 else 1.0)
        if meta.is_floating_point()
        else torch.tensor(7)
        for name, meta in names.items()
    }
    folder = own_folders / "data" / "isocortex-cochnets"
    folder.mkdir(parents=True)
    published = {f"module.model.1.{name}": tensor for name, tensor in state.items()}
    head = {"module.model.1.fc.weight": torch.zeros(41, 2048), "module.model.1.fc.bias": torch.zeros(41)}
    save_file(published | head, folder / "cochresnet50-genre.safetensors")
    return state


def sounds() -> StimulusSet:
    stream = np.random.default_rng(0)
    made = {
        "long": Stimulus("long", "audio", 0.1 * stream.standard_normal(3 * 16_000).astype(np.float32), 16_000.0),
        "short": Stimulus("short", "audio", 0.1 * stream.standard_normal((9000, 2)).astype(np.float32), 20_000.0),
    }
    return StimulusSet("two", "audio", made)


def test_trained_and_permuted_weights(trained: dict[str, Any]) -> None:
    with load_model("cochresnet50-genre") as model:
        state = model.module.state_dict()  # type: ignore[attr-defined]
        assert all(torch.equal(state[name], tensor) for name, tensor in trained.items())
        assert list(state) == list(trained)
        before = activations_in_memory(model, sounds(), ["cochleagram", "conv1_relu1"], reduction="time-mean")
    with load_model("cochresnet50-genre@permuted:0") as model:
        shuffled = model.module.state_dict()  # type: ignore[attr-defined]
        after = activations_in_memory(model, sounds(), ["cochleagram", "conv1_relu1"], reduction="time-mean")
    for name, tensor in trained.items():
        if tensor.numel() < 100_000:
            assert torch.equal(shuffled[name].flatten().sort().values, tensor.flatten().sort().values), name
    assert not torch.equal(shuffled["layer1.0.conv1.weight"], trained["layer1.0.conv1.weight"])
    np.testing.assert_array_equal(after["cochleagram"].array(), before["cochleagram"].array())
    assert np.abs(after["conv1_relu1"].array() - before["conv1_relu1"].array()).max() > 1e-3
    assert before["conv1_relu1"].shape == (2, 64 * 106)


def test_the_digest_holds_the_weights(trained: dict[str, Any], own_folders: Path) -> None:
    plugin, file = plugin_of("cochresnet50-genre"), own_folders / "data" / "isocortex-cochnets"
    variants = [Variant.parse(text) for text in ("pretrained", "permuted:0", "random:0", "random:1")]
    first = [plugin.digest(variant) for variant in variants]
    assert len(set(first)) == 4
    save_file({"fc.weight": torch.zeros(1)}, file / "cochresnet50-genre.safetensors")
    second = [plugin.digest(variant) for variant in variants]
    assert [a == b for a, b in zip(first, second, strict=True)] == [False, False, True, True]


def test_weights_of_another_network_are_refused(trained: dict[str, Any], own_folders: Path) -> None:
    path = own_folders / "data" / "isocortex-cochnets" / "cochresnet50-genre.safetensors"
    with pytest.raises(DataError, match=r"do not fit CochResNet50: tensors 2 of another shape"):
        load_model(f"cochresnet50-word@file:{path}")


# --- input


def test_sounds_are_brought_to_rate_length_and_level() -> None:
    found = waveforms(sounds().batch([0, 1]), plugin_of("cochcnn9-word").prepare)
    assert found.shape == (2, 40_000)
    assert found.dtype == np.float32
    assert np.sqrt(np.mean(found[0] ** 2)) == pytest.approx(0.1, abs=1e-6)
    assert not found[1, 9000:].any()
    assert np.sqrt(np.mean(found[1, :9000] ** 2)) == pytest.approx(0.1, abs=1e-6)
    integers = Stimulus("i", "audio", (np.arange(32_000) % 200 - 100).astype(np.float32) / 32_768, 16_000.0)
    whole = StimulusSet("one", "audio", {"i": integers})
    found = waveforms(whole.batch([0]), plugin_of("kell2018").prepare)
    np.testing.assert_array_equal(found[0], np.arange(32_000) % 200 - 100)


def test_a_sound_that_cannot_be_used_is_named() -> None:
    prepare = plugin_of("cochcnn9-word").prepare
    broken = Stimulus("broken", "audio", np.full(1000, np.nan, dtype=np.float32), 16_000.0)
    with pytest.raises(DataError, match=r"'broken'.*1000 of 1000"):
        waveforms(StimulusSet("one", "audio", {"broken": broken}).batch([0]), prepare)
    rateless = Stimulus("rateless", "audio", np.zeros(1000, dtype=np.float32))
    with pytest.raises(DataError, match=r"'rateless'.*sampling rate"):
        waveforms(StimulusSet("one", "audio", {"rateless": rateless}).batch([0]), prepare)
