"""Layers give what the networks compute there: before in-place rectification, at each call, by place and by token."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("isocortex_vision")

from torch import nn  # noqa: E402

from isocortex.catalogue.cards import Variant  # noqa: E402
from isocortex.errors import LayerError  # noqa: E402
from isocortex.extraction.extractor import activations_in_memory  # noqa: E402

pytestmark = pytest.mark.xdist_group("vision")

RANDOM = Variant.parse("random:0")


def load(plugin: Any, name: str, **changed: Any) -> Any:
    return plugin(name, **changed).load(RANDOM, device="cpu")


def layers_of(model: Any, shown: Any, layers: list[str]) -> dict[str, np.ndarray]:
    found = activations_in_memory(model, shown, layers, batch_size=len(shown))
    return {layer: activations.array() for layer, activations in found.items()}


def fed(model: Any, shown: Any) -> Any:
    """The input of the network itself."""
    return torch.from_numpy(model._sight.chosen.make(shown.batch(range(len(shown)))))


def assert_same(found: np.ndarray, expected: Any, tolerance: float = 1e-5) -> None:
    expected = expected.detach().reshape(len(found), -1).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def before_rectification(plugin: Any, images: Any, name: str, layer: str, *also: str) -> None:
    """A layer whose rectification is in place is what it gave before it, whatever else is asked for."""
    shown = images(2)
    with load(plugin, name) as model:
        together = layers_of(model, shown, [layer, *also])
        alone = layers_of(model, shown, [layer])
        module = model.module
        for part in module.modules():
            if isinstance(part, nn.ReLU):
                part.inplace = False
        seen: list[Any] = []
        handle = module.get_submodule(layer).register_forward_hook(lambda *given: seen.append(given[-1]))
        with torch.no_grad():
            module(fed(model, shown))
        handle.remove()
    assert together[layer].min() < 0
    np.testing.assert_array_equal(together[layer], alone[layer])
    assert_same(together[layer], seen[0])


def test_alexnets_first_convolution_is_not_rectified(plugin, images) -> None:
    before_rectification(plugin, images, "alexnet", "features.0", "features.1", "classifier.1")


@pytest.mark.long
def test_vgg19s_layers_by_name(plugin, images) -> None:
    before_rectification(plugin, images, "vgg19", "classifier.0", "features.28", "classifier.3")
    with load(plugin, "vgg19") as model:
        found = layers_of(model, images(1), ["features.28", "classifier.3"])
    assert {name: array.shape for name, array in found.items()} == {
        "features.28": (1, 512 * 14 * 14),
        "classifier.3": (1, 4096),
    }
    assert min(array.min() for array in found.values()) < 0, "a convolution and a linear map, before rectification"


# --- CORnet-S ---------------------------------------------------------------------------------------------------------


def cornet_by_hand(weights: dict[str, Any], images: Any) -> dict[str, Any]:
    """CORnet-S from its tensors alone, by the description of Kubilius et al. (2019), figure 1 and section 2."""
    functional = nn.functional

    def conv(maps: Any, name: str, stride: int = 1, padding: int = 0) -> Any:
        return functional.conv2d(maps, weights[f"{name}.weight"], stride=stride, padding=padding)

    def norm(maps: Any, name: str) -> Any:
        mean, variance = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        return functional.batch_norm(maps, mean, variance, weights[f"{name}.weight"], weights[f"{name}.bias"])

    maps = norm(conv(images, "V1.conv1", 2, 3), "V1.norm1").relu()
    maps = functional.max_pool2d(maps, 3, 2, 1)
    maps = norm(conv(maps, "V1.conv2", 1, 1), "V1.norm2").relu()
    found = {"V1.output": maps}
    for area, times in (("V2", 2), ("V4", 4), ("IT", 2)):
        maps = conv(maps, f"{area}.conv_input")
        for time in range(times):
            around = norm(conv(maps, f"{area}.skip", 2), f"{area}.norm_skip") if time == 0 else maps
            maps = norm(conv(maps, f"{area}.conv1"), f"{area}.norm1_{time}").relu()
            maps = norm(conv(maps, f"{area}.conv2", 2 if time == 0 else 1, 1), f"{area}.norm2_{time}").relu()
            maps = (norm(conv(maps, f"{area}.conv3"), f"{area}.norm3_{time}") + around).relu()
            found[f"{area}.output#{time}"] = maps
    return {**found, "decoder.avgpool": maps.mean((2, 3))}


def test_cornet_s_gives_each_area_at_each_time(plugin, images) -> None:
    shown = images(2)
    with load(plugin, "CORnet-S") as model:
        times = [f"{area}.output#{time}" for area, n in (("V2", 2), ("V4", 4), ("IT", 2)) for time in range(n)]
        assert list(model.layers) == ["V1.output", *times, "decoder.avgpool"]
        with torch.no_grad():
            for name, tensor in model.module.state_dict().items():  # normalisation that does something
                if name.endswith(("running_mean", "bias")):
                    tensor.normal_(0, 0.1)
                elif name.endswith("running_var"):
                    tensor.uniform_(0.5, 2)
            expected = cornet_by_hand(model.module.state_dict(), fed(model, shown))
        found = layers_of(model, shown, list(model.layers))
        alone = layers_of(model, shown, ["IT.output#1"])
        with pytest.raises(LayerError, match=r"'IT.output' runs 2 times for one image; say which call.*IT.output#0"):
            model.find("IT.output")
    for layer, array in found.items():
        assert_same(array, expected[layer])
    np.testing.assert_array_equal(alone["IT.output#1"], found["IT.output#1"])
    assert not np.array_equal(found["IT.output#0"], found["IT.output#1"])


# --- tokens -----------------------------------------------------------------------------------------------------------

SMALL_CVT = {"size": 64, "config": {"embed_dim": [8, 16, 32], "num_heads": [1, 2, 4], "depth": [1, 2, 3]}}


def test_cvt_is_given_without_its_class_token_and_with_it_as_a_choice(plugin, images) -> None:
    pytest.importorskip("transformers")
    shown, last = images(2), "cvt.encoder.stages.2.layers.2"
    with load(plugin, "microsoft/cvt-13", options=SMALL_CVT) as model:
        assert list(model.layers) == [
            "cvt.encoder.stages.0.layers.0",
            *(f"cvt.encoder.stages.1.layers.{number}" for number in range(2)),
            *(f"cvt.encoder.stages.2.layers.{number}" for number in range(3)),
            "layernorm",
        ]
        found = layers_of(
            model, shown, [last, f"{last}[class]", f"{last}[all]", "layernorm", "cvt.encoder.stages.2[0]"]
        )
        earlier = layers_of(model, shown, ["cvt.encoder.stages.0.layers.0"])
        with torch.no_grad():
            states = model.module.cvt(fed(model, shown), output_hidden_states=True)
        side = states.last_hidden_state.shape[-1]
        with pytest.raises(LayerError, match=r"'cvt.encoder.stages.2' gives several tensors"):
            model.find("cvt.encoder.stages.2")
        assert model.find("cvt.encoder.stages.*.layers.*[class]") == [
            f"cvt.encoder.stages.2.layers.{number}[class]" for number in range(3)
        ], "only the last stage has a class token"
    places = states.last_hidden_state.permute(0, 2, 3, 1)  # transformers gives (image, channel, height, width)
    assert_same(found[last], places)
    assert_same(found[f"{last}[class]"], states.cls_token_value)
    assert_same(found["cvt.encoder.stages.2[0]"], states.last_hidden_state)
    together = np.concatenate([found[f"{last}[class]"], found[last]], axis=1)
    np.testing.assert_array_equal(found[f"{last}[all]"], together)
    assert found["layernorm"].shape == (2, 32)
    assert (found[last].shape[1], earlier["cvt.encoder.stages.0.layers.0"].shape[1]) == (side * side * 32, 16 * 16 * 8)


@pytest.mark.parametrize(
    ("name", "layer", "n_units"),
    [
        pytest.param("vit_b_32", "encoder.layers.encoder_layer_1", 768, marks=pytest.mark.long),
        ("timm/test_vit", "blocks.1", 64),
    ],
)
def test_transformers_give_places_and_their_class_token_by_name(timm, plugin, images, name, layer, n_units) -> None:
    shown = images(1)
    with load(plugin, name) as model:
        found = activations_in_memory(model, shown, [layer, f"{layer}[class]"], reduction="spatial-mean")
        flat = layers_of(model, shown, [layer, f"{layer}[class]", f"{layer}[all]"])
        side = int((flat[layer].shape[1] // n_units) ** 0.5)
    assert flat[f"{layer}[class]"].shape == (1, n_units)
    np.testing.assert_array_equal(flat[f"{layer}[all]"], np.concatenate([flat[f"{layer}[class]"], flat[layer]], axis=1))
    expected = flat[layer].reshape(side * side, n_units).mean(0)
    np.testing.assert_allclose(found[layer].array()[0], expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_swin_has_its_channels_last_and_parts_that_are_no_layers(plugin, images) -> None:
    shown = images(1)
    with load(plugin, "swin_v2_t") as model:
        assert model.shapes["features.0"] == (64, 64, 96)
        flat = layers_of(model, shown, ["features.1.1"])["features.1.1"]
        mean = activations_in_memory(model, shown, ["features.1.1"], reduction="spatial-mean")["features.1.1"].array()
        [name, *_] = [name for name in model._found.others if "cpb_mlp" in name]
        with pytest.raises(LayerError, match="is no layer: it gives the same whatever the images are"):
            model.find(name)
        assert name not in model.find("**")
        assert model.find("nothing") == []
    np.testing.assert_allclose(mean[0], flat.reshape(64 * 64, 96).mean(0), rtol=0, atol=1e-5)


# --- what is a layer --------------------------------------------------------------------------------------------------


def test_every_layer_that_is_named_is_given_one_at_a_time_and_all_at_once(plugin, images) -> None:
    """resnet18's one ``relu`` of each block runs twice and in place; segmentation gives a mapping."""
    shown = images(2)
    for name in ("resnet18", "lraspp_mobilenet_v3_large"):
        with load(plugin, name) as model:
            layers = list(model.find("**"))
            assert list(model.shapes) == layers
            together = layers_of(model, shown, layers)
            for layer in layers[:: len(layers) // 6]:
                np.testing.assert_array_equal(layers_of(model, shown, [layer])[layer], together[layer], err_msg=layer)
            for layer in layers:
                assert together[layer].shape == (2, np.prod(model.shapes[layer])), layer
            if name == "resnet18":
                assert {"layer1.0.relu#0", "layer1.0.relu#1", "relu"} <= set(layers)
            else:
                assert {"backbone[high]", "backbone[low]"} <= set(layers)
                with pytest.raises(
                    LayerError, match=r"'backbone' gives several tensors; say which is meant: backbone\["
                ):
                    model.find("backbone")


def test_a_default_layer_that_does_not_exist_is_an_error(plugin) -> None:
    with pytest.raises(LayerError, match=r"AlexNet has no layer 'features.99'; it has features.0"):
        load(plugin, "alexnet", layers=("features.99",))


@pytest.mark.long
def test_every_network_below_100_million_parameters_gives_its_default_layers(images) -> None:
    """One image for real through each network of the rows; rows that differ in weights alone are one network."""
    from isocortex.catalogue.rows import is_pattern
    from isocortex.loading.resolver import resolver

    found, done = resolver(offline=True), set()
    rows = [row for row in found.catalogue.of_kind("model") if row.package == "isocortex-vision"]
    for row in rows:
        if is_pattern(row.id) or row.table["parameters"] >= 100_000_000:
            continue
        key = (row.id.partition(".")[0], row.table["tags"]["input_size"])
        if key in done:
            continue
        done.add(key)
        with found.model(row.id).load(RANDOM, device="cpu") as model:
            given = activations_in_memory(model, images(1), list(model.layers), reduction="spatial-mean", batch_size=1)
            assert set(given) == set(model.layers), row.id
            assert all(np.isfinite(layer.array()).all() for layer in given.values()), row.id
    assert len(done) >= 75
