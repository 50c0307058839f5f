"""What a network gets of an image, against torchvision's and timm's own transforms: the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("isocortex_vision")

from PIL import Image  # noqa: E402

from isocortex.catalogue.cards import Variant  # noqa: E402
from isocortex.data.stimuli import StimulusSet  # noqa: E402
from isocortex.errors import DataError, PluginError, UnknownIDError  # noqa: E402
from isocortex_vision.torchvision_import import import_torchvision  # noqa: E402

pytestmark = pytest.mark.xdist_group("vision")

RANDOM = Variant.parse("random:0")
#: (height, width): smaller than every input, between, larger, and with an odd margin around the crop
SIZES = ((90, 120), (224, 300), (401, 300), (256, 343), (256, 256))


def given(network: Any, images: StimulusSet) -> np.ndarray:
    """What the network gets, (n_images, 3, height, width)."""
    return network.chosen().make(images.batch(range(len(images))))


def of_torchvision(images: StimulusSet, transform: Callable[[Any], Any]) -> np.ndarray:
    return np.stack([transform(Image.fromarray(image.array)).numpy() for image in images])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["alexnet", "efficientnet_b0", "vgg16.imagenet1k_features", "efficientnet_v2_l"])
def test_torchvision_is_its_own_evaluation(images, plugin, name: str, size: tuple[int, int]) -> None:
    network, shown = plugin(f"torchvision/{name}").network, images(1, *size)
    expected = of_torchvision(shown, network.trained.transforms())
    np.testing.assert_array_equal(given(network, shown), expected)


def squashed(images: StimulusSet, side: int) -> np.ndarray:
    """Brain-Score and Conwell et al.: Resize((side, side)), ToTensor, Normalize."""
    import_torchvision()
    from torchvision import transforms

    steps = [transforms.Resize((side, side)), transforms.ToTensor()]
    steps += [transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    return of_torchvision(images, transforms.Compose(steps))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "side"), [("alexnet", 224), ("inception_v3", 299), ("fcn_resnet50", 520)])
def test_brainscore_squashes_the_whole_image(images, plugin, name: str, side: int, size: tuple[int, int]) -> None:
    shown = images(1, *size)
    network = plugin(f"brainscore/{name}").network
    np.testing.assert_array_equal(given(network, shown), squashed(shown, side))
    if name == "alexnet":
        np.testing.assert_array_equal(given(plugin(name), shown), given(network, shown))


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("efficientnet_b7", 224),
        ("inception_v3", 299),
        ("vit_h_14", 518),
        ("CORnet-S", 224),
        ("microsoft/cvt-13-384", 224),
    ],
)
def test_conwell_takes_224_pixels_unless_the_network_takes_one_size(images, plugin, name: str, side: int) -> None:
    shown = images(1)
    np.testing.assert_array_equal(given(plugin(f"conwell/{name}").network, shown), squashed(shown, side))


def test_a_row_may_have_an_input_of_another_size(images, plugin) -> None:
    def smaller(name: str):
        made = plugin(name)
        return type(made)(made.card.model_copy(update={"options": {**made.card.options, "size": 64}}))

    shown = images(1)
    np.testing.assert_array_equal(given(smaller("resnet18"), shown), squashed(shown, 64))
    with pytest.raises(PluginError, match=r"vit_b_16 runs at 224 × 224 pixels alone; found size = 64\."):
        smaller("vit_b_16").chosen()


def test_cvt_is_squashed_as_brainscore_squashes_for_it(images, plugin) -> None:
    """Pillow's own default, bicubic, before torchvision's Normalize."""
    shown = images(1)
    picture = Image.fromarray(shown.load(0).array).resize((384, 384))
    mean, std = (np.array(values, np.float32) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    expected = ((np.asarray(picture, np.float32) / 255 - mean) / std).transpose(2, 0, 1)
    found = given(plugin("microsoft/cvt-w24-384-22k"), shown)[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_timms_own_is_timms(timm, images, plugin) -> None:
    network = plugin("torchvision/timm/tf_efficientnet_lite0").network
    config = timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg("tf_efficientnet_lite0").to_dict())
    assert (config["mean"], config["interpolation"], config["crop_pct"]) == ((0.5, 0.5, 0.5), "bicubic", 0.875)
    shown = images(1, 300, 401)
    expected = of_torchvision(shown, timm.data.create_transform(**config))
    np.testing.assert_array_equal(given(network, shown), expected)
    squashed = given(plugin("timm/tf_efficientnet_lite0"), shown)
    assert (squashed.min(), squashed.max()) >= (-1, 0.9), "with the network's own mean and standard deviation"


def test_as_is_neither_resizes_nor_crops(timm, images, plugin) -> None:
    shown = images(2, 224, 224)
    pixels = np.stack([image.array for image in shown]).transpose(0, 3, 1, 2).astype(np.float64) / 255
    mean, std = (np.array(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    found = given(plugin("as-is/squeezenet1_1").network, shown)
    np.testing.assert_allclose(found, (pixels - mean) / std, rtol=0, atol=1e-6)
    found = given(plugin("as-is/timm/tf_efficientnet_lite0").network, shown)
    np.testing.assert_allclose(found, (pixels - 0.5) / 0.5, rtol=0, atol=1e-6)
    with pytest.raises(DataError, match=r"'image0' has 224 × 225 pixels, and .* 'as-is' takes 224 × 224 alone"):
        given(plugin("as-is/squeezenet1_1").network, images(1, 224, 225))


def test_a_preprocessing_is_part_of_the_digest(plugin) -> None:
    ways = ("", "conwell/", "torchvision/", "brainscore/", "as-is/")
    names = [f"{observer}{way}squeezenet1_1" for observer in ("", "16-way/") for way in ways]
    digests = {name: plugin(name).digest(RANDOM) for name in names}
    assert None not in digests.values()
    assert len(set(digests.values())) == 10


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "conwell/alexnett",
            UnknownIDError,
            r"'conwell/alexnett' is 'alexnett' with the preprocessing 'conwell'.*alexnet",
        ),
        ("conwell/torchvision/alexnet", PluginError, "names two ways of preprocessing"),
        (
            "torchvision/fcn_resnet50",
            PluginError,
            "keeps the shape of every image.*Expected one of brainscore, conwell",
        ),
    ],
)
def test_what_cannot_be_preprocessed_is_named(plugin, name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plugin(name).load(RANDOM, device="cpu")


def test_a_preprocessing_that_does_not_exist_is_named(plugin) -> None:
    with pytest.raises(PluginError, match=r"preprocessing = 'conwel'. Did you mean conwell\? Expected one of brain"):
        plugin("alexnet", options={"preprocessing": "conwel"}).load(RANDOM, device="cpu")
