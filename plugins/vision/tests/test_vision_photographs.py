"""Really trained networks through the rows' own classes: they name what is in photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("isocortex_vision")

from safetensors.torch import save_file  # noqa: E402

from isocortex.catalogue.cards import Variant  # noqa: E402
from isocortex.data.stimuli import Stimulus, StimulusSet  # noqa: E402
from isocortex.extraction.extractor import activations_in_memory  # noqa: E402
from isocortex_vision.torchvision_import import import_torchvision  # noqa: E402

pytestmark = pytest.mark.xdist_group("vision")

#: photograph of scikit-image or scikit-learn → what it shows, by names of ImageNet
SHOWN = {
    "chelsea": ("Egyptian cat", "tabby", "tiger cat"),
    "coffee": ("espresso", "cup"),
    "camera": ("tripod",),
    "motorcycle_left": ("moped", "motor scooter", "disk brake"),
    "rocket": ("missile", "projectile"),
    "china": ("palace", "stupa", "monastery", "bell cote"),
}


@pytest.fixture(scope="module")
def photographs() -> StimulusSet:
    """Photographs that come with scikit-image and scikit-learn."""
    import skimage
    from sklearn.datasets import load_sample_image

    from isocortex.data.media import read_image

    folder = Path(skimage.__file__).parent / "data"
    arrays = {name: read_image(next(folder.glob(f"{name}.*")))[0] for name in SHOWN if name != "china"}
    arrays["china"] = load_sample_image("china.jpg")
    made = {name: Stimulus(name, "image", np.ascontiguousarray(array)) for name, array in arrays.items()}
    return StimulusSet("photographs", "image", {name: made[name] for name in SHOWN})


def converted(source: Path, folder: Path) -> Variant:
    """An .npz of tensors as a .safetensors file, and the variant that names it."""
    with np.load(source, allow_pickle=False) as file:
        tensors = {name: torch.from_numpy(np.array(file[name], order="C")) for name in file.files}
    save_file(tensors, folder / "weights.safetensors")
    return Variant.parse(f"file:{folder / 'weights.safetensors'}=trained")


def names_of(plugin: Any, variant: Variant, layer: str, shown: StimulusSet) -> dict[str, list[str]]:
    """Photograph → the three classes with the largest logits, the first first."""
    categories = import_torchvision().models.AlexNet_Weights.IMAGENET1K_V1.meta["categories"]
    with plugin.load(variant, device="cpu") as model:
        logits = activations_in_memory(model, shown, [layer], reduction="spatial-mean")[layer].array(list(shown.ids))
    return {
        name: [categories[place] for place in row.argsort()[::-1][:3]]
        for name, row in zip(shown.ids, logits, strict=True)
    }


@pytest.mark.parametrize(
    ("model", "file", "layer"),
    [
        ("torchvision/squeezenet1_1", "squeezenet1_1_imagenet.npz", "classifier.3"),
        ("torchvision/timm/tf_efficientnet_lite0", "tf_efficientnet_lite0_imagenet_fp16.npz", "classifier"),
    ],
)
def test_trained_networks_name_photographs(timm, plugin, realdata, tmp_path, photographs, model, file, layer) -> None:
    variant = converted(realdata / "networks" / file, tmp_path)
    trained = names_of(plugin(model), variant, layer, photographs)
    right = [name for name, found in trained.items() if set(found) & set(SHOWN[name])]
    assert len(right) >= 5, trained
    assert trained["coffee"][0] == "espresso"
    assert trained["chelsea"][0] in SHOWN["chelsea"]
    untrained = names_of(plugin(model), Variant.parse("random:0"), layer, photographs)
    assert sum(bool(set(found) & set(SHOWN[name])) for name, found in untrained.items()) <= 1, untrained


def test_a_trained_body_without_labels_gives_its_features(plugin, realdata, tmp_path, photographs) -> None:
    """A cat and its mirror image are alike and other photographs are not: the network sees, though it has no labels."""
    variant = converted(realdata / "networks" / "efficientnet_b0_body_fp16.npz", tmp_path)
    chelsea = photographs.load(0)
    mirrored = Stimulus("mirrored", "image", np.ascontiguousarray(chelsea.array[:, ::-1]))
    shown = StimulusSet("more", "image", {"mirrored": mirrored, **{image.id: image for image in photographs}})

    with plugin("efficientnet_b0").load(variant, device="cpu") as model:
        assert "classifier.1" not in model.find("**")
        features = activations_in_memory(model, shown, ["avgpool"])["avgpool"].array(list(shown.ids))
    likeness = np.corrcoef(features)[0, 1:]
    assert likeness.argmax() == 0, "the same cat"
    assert likeness[0] > 0.97
    assert np.median(likeness[1:]) < 0.5
