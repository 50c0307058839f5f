"""The one-neuron networks: what they give equals a forward pass of numpy, by name, from both layouts of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isocortex as package
from isocortex.data import Dataset, Stimulus, StimulusSet, make_responses
from isocortex.errors import DataError
from isocortex.interfaces import DataFiles, Variant
from plugins.cowley2023.tests import recordings

torch = pytest.importorskip("torch")
N_NEURONS = 3


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def arrays(tmp_path: Path) -> dict[str, np.ndarray]:
    """Networks of three neurons, written as arrays and as torch files."""
    from isocortex_cowley2023.compact_networks import states_of_arrays

    made = recordings.network_arrays(N_NEURONS)
    np.savez(tmp_path / "networks.npz", **made)
    for number, state in enumerate(states_of_arrays(made, N_NEURONS)):
        doubled = {name: value.double() if value.is_floating_point() else value for name, value in state.items()}
        torch.save(doubled, tmp_path / f"compact_model_190923_neuron{number}.pt")  # the authors' are float64
    return made


def model(monkeypatch: pytest.MonkeyPatch, folder: Path, layout: str) -> Any:
    """The row's plugin with the made-up networks."""
    from isocortex_cowley2023 import compact_model

    paths = sorted(folder.glob("*.npz" if layout == "arrays" else "*.pt"), reverse=True)
    monkeypatch.setattr(compact_model, "present", lambda _: DataFiles({path.name: path for path in paths}))
    return recordings.plugin("model", "cowley2023/compact-190923", n_neurons=N_NEURONS)


def shown(n_images: int = 4, size: int = 112) -> StimulusSet:
    stream = np.random.default_rng(2)
    drawn = {f"image{n}": stream.integers(0, 256, (size, size, 3), dtype=np.uint8) for n in range(n_images)}
    return StimulusSet("drawn", "image", {name: Stimulus(name, "image", array) for name, array in drawn.items()})


def outputs(made: Any, images: StimulusSet, variant: str = "pretrained") -> Any:
    from isocortex.testing.model_runs import activations_in_memory

    with made.load(Variant.parse(variant), device="cpu") as loaded:
        return activations_in_memory(loaded, images, ["neurons"])["neurons"]


@pytest.mark.parametrize("layout", ["arrays", "torch"])
def test_networks_give_what_numpy_gives(monkeypatch, tmp_path, arrays, layout: str) -> None:
    images = shown()
    found = outputs(model(monkeypatch, tmp_path, layout), images)
    expected = [
        [recordings.response_of(arrays, neuron, image.array) for neuron in range(N_NEURONS)] for image in images
    ]
    assert np.ptp(expected, axis=0).min() > 0.1, "they see"
    np.testing.assert_allclose(found.array(list(images.ids)), expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert found.units == ("190923.neuron0", "190923.neuron1", "190923.neuron2")


def test_untrained_and_shuffled_networks_are_others(monkeypatch, tmp_path, arrays) -> None:
    images, made = shown(), model(monkeypatch, tmp_path, "arrays")
    found = {
        name: outputs(made, images, name).array(list(images.ids))
        for name in ("pretrained", "random:0", "random:1", "permuted:0")
    }
    values = list(found.values())
    for place, one in enumerate(values):
        assert all(np.abs(one - other).max() > 1e-3 for other in values[:place])
    digests = {made.digest(Variant.parse(name)) for name in found}
    assert len(digests) == len(found)
    assert None not in digests
    before = made.digest(Variant.parse("pretrained"))
    np.savez(tmp_path / "networks.npz", **{**arrays, "0/readout": arrays["0/readout"] * 2})
    assert made.digest(Variant.parse("pretrained")) != before


def test_outputs_meet_the_neurons_that_they_are_named_after(monkeypatch, tmp_path, arrays) -> None:
    images = shown(6)
    layer = outputs(model(monkeypatch, tmp_path, "arrays"), images)
    values = layer.array(list(images.ids))
    about = {"neuroid_id": ["190923.neuron2", "190923.neuron9", "190923.neuron0"]}
    responses = make_responses(values[:, [2, 1, 0]] * 3 + 1, images.ids, neuroid=about)
    scores = package.load_metric("identity").against(Dataset("demo", images, responses=responses)).score(layer)
    assert scores["neuroid_id"].values.tolist() == ["190923.neuron2", "190923.neuron0"]
    np.testing.assert_allclose(scores["r"], 1.0, atol=1e-6)


def test_images_of_another_size_are_squashed(monkeypatch, tmp_path, arrays) -> None:
    from PIL import Image

    large = shown(2, size=224)
    small = {
        image.id: np.asarray(Image.fromarray(image.array).resize((112, 112), Image.Resampling.BILINEAR))
        for image in large
    }
    expected = [[recordings.response_of(arrays, neuron, one) for neuron in range(N_NEURONS)] for one in small.values()]
    found = outputs(model(monkeypatch, tmp_path, "arrays"), large).array(list(large.ids))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_other_networks_are_refused(monkeypatch, tmp_path, arrays) -> None:
    made = model(monkeypatch, tmp_path, "arrays")
    np.savez(tmp_path / "networks.npz", **{name: one for name, one in arrays.items() if name != "1/2/bn"})
    with pytest.raises(DataError, match="need the array '1/2/bn', which is not there"):
        made.load(Variant.parse("pretrained"), device="cpu")
    np.savez(tmp_path / "networks.npz", **arrays, **{"3/0/w": arrays["0/0/w"]})
    with pytest.raises(DataError, match="1 arrays too many: '3/0/w'"):
        made.load(Variant.parse("pretrained"), device="cpu")
    np.savez(tmp_path / "networks.npz", **{**arrays, "1/readout": arrays["1/readout"][:-1]})
    with pytest.raises(DataError, match="Beta"):
        made.load(Variant.parse("pretrained"), device="cpu")
    (tmp_path / "compact_model_190923_neuron1.pt").unlink()
    with pytest.raises(DataError, match=r"networks of neurons 0 to 2; found \[0, 2\]"):
        model(monkeypatch, tmp_path, "torch").load(Variant.parse("pretrained"), device="cpu")
