"""Trained weights: where they are looked for, how they get here, and that no others are taken for them."""

from __future__ import annotations

import hashlib
import http.server
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("isocortex_vision")

from safetensors.torch import save_file  # noqa: E402

from isocortex.catalogue.cards import Variant  # noqa: E402
from isocortex.errors import DataError, FilesError, LayerError, PluginError  # noqa: E402
from isocortex.extraction.extractor import activations_in_memory  # noqa: E402

pytestmark = pytest.mark.xdist_group("vision")

PRETRAINED, PERMUTED = Variant.parse("pretrained"), Variant.parse("permuted:0")
NAME = "squeezenet1_1"


def build(plugin: Any, name: str = NAME, seed: int = 3) -> Any:
    """The network of a row with other weights than any variant has."""
    torch.manual_seed(seed)
    return plugin(name).build().eval()


def file_of(path: Path, label: str = "mine") -> Variant:
    return Variant.parse(f"file:{path}={label}")


def assert_loaded(model: Any, network: Any) -> None:
    own = model.module.state_dict()
    for name, tensor in network.state_dict().items():
        assert torch.equal(own[name], tensor), name


@pytest.fixture
def published(plugin: Any, tmp_path: Path) -> Path:
    """A file of weights with the digits of its contents in its name, as torchvision publishes them."""
    folder = tmp_path / "published" / "models"
    folder.mkdir(parents=True)
    torch.save(build(plugin).state_dict(), folder / "weights.pth")
    digest = hashlib.sha256((folder / "weights.pth").read_bytes()).hexdigest()
    return (folder / "weights.pth").rename(folder / f"{NAME}-{digest[:8]}.pth")


@pytest.fixture
def server(published: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a server of that file, and what it was asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(published.parent))

        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as opened:
        threading.Thread(target=opened.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{opened.server_port}", asked
        opened.shutdown()


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def online(plugin: Any, url: str) -> Any:
    made = plugin(NAME, weights=url)
    made.offline = False
    return made


# --- where they come from ---------------------------------------------------------------------------------------------


def test_weights_are_downloaded_once_and_checked(plugin, published, server, own_folders) -> None:
    address, asked = server
    network = online(plugin, f"{address}/{published.name}")
    [path] = network.fetch(PRETRAINED)
    assert path == own_folders / "data" / "isocortex-vision" / published.name
    assert path.read_bytes() == published.read_bytes()
    network.offline = True
    with network.load(PRETRAINED, device="cpu") as model:
        assert_loaded(model, build(plugin))
    with network.load(PERMUTED, device="cpu") as model:
        weight = model.module.features[0].weight
        assert not torch.equal(weight, build(plugin).features[0].weight)
        assert torch.equal(weight.flatten().sort().values, build(plugin).features[0].weight.flatten().sort().values)
    assert asked == [f"/{published.name}"]


def test_what_is_not_what_its_name_promises_is_not_kept(plugin, published, server, own_folders) -> None:
    address, _ = server
    other = published.with_name(f"{NAME}-00000000.pth")
    shutil.copyfile(published, other)
    with pytest.raises(FilesError, match="what came has another checksum than the name promises; it was not kept"):
        online(plugin, f"{address}/{other.name}").fetch(PRETRAINED)
    assert list((own_folders / "data").rglob("*.pth")) == []
    with pytest.raises(FilesError, match=r"404") as caught:
        online(plugin, f"{address}/absent-00000000.pth").fetch(PRETRAINED)
    assert "Traceback" not in str(caught.value)


def test_offline_every_place_is_named_and_torchs_cache_is_one(plugin, published, own_caches, own_folders) -> None:
    network = plugin(NAME, weights=f"https://example.org/{published.name}")
    with pytest.raises(FilesError) as caught:
        network.load(PRETRAINED, device="cpu")
    for text in (
        str(own_caches),
        str(own_folders),
        "isocortex runs offline",
        f"isocortex fetch -m {NAME}",
        "@random:0",
    ):
        assert text in str(caught.value)
    own_caches.mkdir(parents=True)
    shutil.copyfile(published, own_caches / published.name)
    with network.load(PRETRAINED, device="cpu") as model:
        assert_loaded(model, build(plugin))
    before = network.digest(PRETRAINED)
    (own_caches / published.name).write_bytes(b"cut")
    with pytest.raises(FilesError, match="is damaged: the digits in its name"):
        network.load(PRETRAINED, device="cpu")
    (own_caches / published.name).unlink()
    assert network.fetch(PRETRAINED, published.parent.parent) == network.fetch(PRETRAINED)
    assert network.digest(PRETRAINED) == before, "it follows from the contents"


def test_a_folder_without_them_is_named(plugin, tmp_path) -> None:
    network = plugin(NAME)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FilesError, match=r"does not hold squeezenet1_1: expected squeezenet1_1-b8a52dc0.pth"):
        network.fetch(PRETRAINED, tmp_path / "empty")
    (tmp_path / "empty" / "squeezenet1_1-b8a52dc0.pth").write_bytes(b"no")
    with pytest.raises(FilesError, match="has another checksum than its name promises"):
        network.fetch(PRETRAINED, tmp_path / "empty")


def test_weights_of_another_network_are_not_fetched(plugin, tmp_path) -> None:
    """The name is right and the contents are those of the name, but the network is another."""
    torch.save(build(plugin, "shufflenet_v2_x0_5").state_dict(), tmp_path / "weights.pth")
    digest = hashlib.sha256((tmp_path / "weights.pth").read_bytes()).hexdigest()
    named = (tmp_path / "weights.pth").rename(tmp_path / f"{NAME}-{digest[:8]}.pth")
    with pytest.raises(FilesError, match=r"is no checkpoint of squeezenet1_1. The weights do not fit SqueezeNet"):
        plugin(NAME, weights=f"https://example.org/{named.name}").fetch(PRETRAINED, tmp_path)


def test_weights_of_the_hub_are_taken_from_a_folder_and_its_cache(
    timm, plugin, tmp_path, monkeypatch, own_folders
) -> None:
    """timm's and transformers' weights lie on the hub; core's tests speak its protocol."""
    network, made = plugin("timm/test_vit"), build(plugin, "timm/test_vit")
    assert network.source().weights == "hf:timm/test_vit.r160_in1k"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(
        FilesError, match=r"trained weights of timm/test_vit are not here(.|\n)*timm/test_vit.r160_in1k"
    ):
        network.load(PRETRAINED, device="cpu")
    folder = tmp_path / "clone" / "test_vit"
    folder.mkdir(parents=True)
    save_file(made.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    [weights] = network.fetch(PRETRAINED, tmp_path / "clone")
    assert own_folders in weights.parents
    with network.load(PRETRAINED, device="cpu") as model:
        assert_loaded(model, made)


# --- files of the user ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "prefix"),
    [
        (NAME, ""),
        (NAME, "module."),
        (NAME, "module._orig_mod."),
        pytest.param("CORnet-S", "module.", marks=pytest.mark.long),
    ],
)
def test_a_file_may_have_what_training_puts_before_every_name(plugin, tmp_path, row: str, prefix: str) -> None:
    """As for CORnet-S, whose published checkpoint was trained in parallel and holds more than the network."""
    network = build(plugin, row)
    state = {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 43, "optimizer": {"lr": 0.1}}, tmp_path / "weights.pth.tar")
    with plugin(row).load(file_of(tmp_path / "weights.pth.tar"), device="cpu") as model:
        assert_loaded(model, network)


def test_a_checkpoint_of_another_architecture_is_named_in_one_line(plugin, tmp_path) -> None:
    torch.save(build(plugin, "resnet18").state_dict(), tmp_path / "other.pth")
    for name in ("shufflenet_v2_x0_5", "resnet34"):
        with pytest.raises(DataError, match=rf"other.pth is no checkpoint of {name}. The weights do not fit") as caught:
            plugin(name).load(file_of(tmp_path / "other.pth"), device="cpu")
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400


def test_a_checkpoint_with_code_is_not_run(plugin, tmp_path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "run"),)

    torch.save({"state_dict": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(DataError, match="would run code"):
        plugin(NAME).load(file_of(tmp_path / "evil.pth"), device="cpu")
    assert not (tmp_path / "run").exists()


def test_without_a_head_all_that_comes_before_it_is_there(plugin, tmp_path, images) -> None:
    """Networks that learned without labels have none: what would be untrained is no layer."""
    network = build(plugin, "resnet18")
    body = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("fc.")}
    torch.save(body, tmp_path / "body.pth")
    shown = images(1)
    with plugin("resnet18").load(file_of(tmp_path / "body.pth"), device="cpu") as model:
        assert "fc" not in model.find("**")
        assert "avgpool" in model.find("**")
        with pytest.raises(LayerError, match=r"'fc' is not trained: the checkpoint holds no weights for 'fc'"):
            model.find("fc")
        found = activations_in_memory(model, shown, ["layer4.1"])["layer4.1"].array()
    torch.save(network.state_dict(), tmp_path / "whole.pth")
    with plugin("resnet18").load(file_of(tmp_path / "whole.pth"), device="cpu") as model:
        assert "fc" in model.find("**")
        np.testing.assert_array_equal(found, activations_in_memory(model, shown, ["layer4.1"])["layer4.1"].array())
    del body["layer4.1.conv2.weight"]
    torch.save(body, tmp_path / "less.pth")
    with pytest.raises(DataError, match=r"3 missing|1 missing"):
        plugin("resnet18").load(file_of(tmp_path / "less.pth"), device="cpu")


def test_weights_that_are_no_numbers_make_no_layers(plugin, tmp_path) -> None:
    """As those of torchvision's vgg16 in the classifier, where only the convolutions were published."""
    network = build(plugin)
    with torch.no_grad():
        network.classifier[1].weight[0] = float("nan")
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    with plugin(NAME).load(file_of(tmp_path / "weights.pth"), device="cpu") as model:
        assert [name for name in model.find("**") if name.startswith("classifier")] == ["classifier.0"]
        with pytest.raises(LayerError, match=r"'classifier.3' is not trained"):
            model.find("classifier.3")


def of_old(name: str) -> str:
    """The first published DenseNets: "norm.1" for "norm1"."""
    for part in ("norm", "relu", "conv"):
        for number in "12":
            name = name.replace(f".{part}{number}.", f".{part}.{number}.") if "denselayer" in name else name
    return name


@pytest.mark.parametrize(
    ("row", "as_published"),
    [
        pytest.param("densenet121", lambda name, tensor: [(of_old(name), tensor)], marks=pytest.mark.long),
        ("mnasnet0_5", lambda name, tensor: [(name, tensor)]),
        ("resnet18", lambda name, tensor: [] if "num_batches_tracked" in name else [(name, tensor)]),
        pytest.param(
            "googlenet",
            lambda name, tensor: [(name, tensor), *([("aux1.fc1.weight", tensor)] if "fc" in name else [])],
            marks=pytest.mark.long,
        ),
    ],
)
def test_files_as_torchvision_published_them_fit(plugin, tmp_path, row: str, as_published: Callable[..., Any]) -> None:
    network = build(plugin, row)
    state = {name: tensor for old, value in network.state_dict().items() for name, tensor in as_published(old, value)}
    torch.save(state, tmp_path / "weights.pth")
    with plugin(row).load(file_of(tmp_path / "weights.pth"), device="cpu") as model:
        assert_loaded(model, network)


# --- timm -------------------------------------------------------------------------------------------------------------


def test_names_and_shapes_of_other_publishers_are_turned_into_timms(timm, plugin, tmp_path) -> None:
    """The first vision transformers keep the embedding of patches as a matrix; timm makes a convolution of it."""
    network = build(plugin, "timm/test_vit")
    state = dict(network.state_dict())
    state["patch_embed.proj.weight"] = state["patch_embed.proj.weight"].flatten(1)
    torch.save(state, tmp_path / "weights.pth")
    with plugin("timm/test_vit").load(file_of(tmp_path / "weights.pth"), device="cpu") as model:
        assert_loaded(model, network)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm/resnet5000", r"has no network 'resnet5000'. Did you mean resnet50.* It has [\d,]+: python -c"),
        ("timm/resnet18.a9_in1k", r"has no weights 'a9_in1k' of resnet18. Did you mean a._in1k"),
    ],
)
def test_a_name_that_timm_does_not_know_is_said_in_one_line(timm, plugin, name: str, message: str) -> None:
    with pytest.raises(PluginError, match=message) as caught:
        plugin(name).load(Variant.parse("random:0"), device="cpu")
    assert "\n" not in str(caught.value)


def test_weights_that_fit_two_networks_are_refused_by_name_or_said(timm, plugin, tmp_path: Path) -> None:
    network = timm.create_model("tf_efficientnet_lite0")
    named, other = tmp_path / "tf_efficientnet_lite0.safetensors", tmp_path / "weights.safetensors"
    for path in (named, other):
        save_file(network.state_dict(), path)
    with pytest.raises(DataError, match=r"called after tf_efficientnet_lite0.*pads and normalises"):
        plugin("timm/efficientnet_lite0").load(Variant.parse(f"file:{named}"), device="cpu")
    with plugin("timm/tf_efficientnet_lite0").load(Variant.parse(f"file:{named}"), device="cpu") as model:
        assert not model.warnings
    with plugin("timm/efficientnet_lite0").load(Variant.parse(f"file:{other}"), device="cpu") as model:
        assert any("fit tf_efficientnet_lite0, too" in text for text in model.warnings)
    with plugin("timm/efficientnet_lite0").load(Variant.parse("random:0"), device="cpu") as model:
        assert not model.warnings


def test_layers_of_timm_are_its_stages_and_blocks(timm, plugin) -> None:
    with plugin("timm/test_resnet").load(Variant.parse("random:0"), device="cpu") as model:
        assert list(model.layers) == ["act1", "layer1", "layer2", "layer3", "layer4"]
    with plugin("timm/test_vit").load(Variant.parse("random:0"), device="cpu") as model:
        assert list(model.layers) == [f"blocks.{number}" for number in range(len(model.module.blocks))]
    with plugin("timm/mobilenetv2_035").load(Variant.parse("random:0"), device="cpu") as model:
        listed = {one["module"] for one in model.module.feature_info}
        assert list(model.layers) == [f"blocks.{number}" for number in range(len(model.module.blocks))]
        assert set(model.layers) > listed, "timm passes over stages that keep the size of the maps"


def test_a_stage_of_several_tensors_is_several_layers(timm, plugin) -> None:
    from isocortex_vision.empty_network import construct_empty
    from isocortex_vision.layer_shapes import find_layers
    from isocortex_vision.timm_model import stages

    made = plugin("timm/crossvit_9_240")
    network = construct_empty(made.build).eval()
    found = find_layers(network, lambda n_images, device: torch.zeros(n_images, 3, 240, 240, device=device))
    assert list(stages(network, found)) == [f"blocks.{stage}[{branch}]" for stage in range(3) for branch in range(2)]
    network.feature_info = []
    assert list(stages(network, found)) == ["pos_drop#0", "pos_drop#1", "head_drop#0", "head_drop#1"]
