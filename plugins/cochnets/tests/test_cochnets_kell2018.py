"""The network of Kell et al. (2018) against numpy in TensorFlow's layout, and the files of its weights."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from isocortex.activations.output import LayerOutput  # noqa: E402
from isocortex.errors import DataError, FilesError  # noqa: E402
from isocortex.loading.by_name import load_model  # noqa: E402
from isocortex.testing.synthetic import synthetic_stimuli  # noqa: E402
from isocortex_cochnets import kell2018, kell2018_weights  # noqa: E402

pytestmark = pytest.mark.xdist_group("kell2018")

Array = np.ndarray[Any, Any]
Layers = dict[str, dict[str, Array]]

#: layer → shape for one sound, as published
SHAPES = {
    "conv1": (96, 86, 86),
    "rnorm1": (96, 86, 86),
    "pool1": (96, 43, 43),
    "conv2": (256, 22, 22),
    "rnorm2": (256, 22, 22),
    "pool2": (256, 11, 11),
    "conv3": (512, 11, 11),
    **{
        f"{layer}_{branch}": shape
        for branch, n_classes in (("W", 589), ("G", 43))
        for layer, shape in {
            "conv4": (1024, 11, 11),
            "conv5": (512, 11, 11),
            "pool5": (512, 6, 6),
            "fc6": (1024,),
            "fctop": (n_classes,),
        }.items()
    },
}


# --- a small network against numpy, channels last


def small_weights(widths: tuple[int, ...]) -> Layers:
    """Weights in TensorFlow's layout: (height, width, n_in, n_out) and (n_in, n_out)."""
    stream = np.random.default_rng(0)
    c1, c2, c3, c4, c5, units = widths
    shapes: dict[str, tuple[int, ...]] = {"conv1": (9, 9, 1, c1), "conv2": (5, 5, c1, c2), "conv3": (3, 3, c2, c3)}
    for branch, n_classes in (("W", 4), ("G", 3)):
        shapes |= {f"conv4_{branch}": (3, 3, c3, c4), f"conv5_{branch}": (3, 3, c4, c5)}
        shapes |= {f"fc6_{branch}": (36 * c5, units), f"fctop_{branch}": (units, n_classes)}
    return {
        name: {
            "W": (stream.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))).astype(np.float32),
            "b": (0.1 * stream.standard_normal(shape[-1])).astype(np.float32),
        }
        for name, shape in shapes.items()
    }


def patches(maps: Array, edge: int, stride: int) -> Array:
    """(height, width, n) → (n_rows, n_columns, edge, edge, n) with SAME padding by NaN."""
    n = -(-maps.shape[0] // stride)
    total = max((n - 1) * stride + edge - maps.shape[0], 0)
    sides = (total // 2, total - total // 2)
    padded = np.pad(maps.astype(float), (sides, sides, (0, 0)), constant_values=np.nan)
    starts = range(0, n * stride, stride)
    return np.array([[padded[i : i + edge, j : j + edge] for j in starts] for i in starts])


def numpy_network(image: Array, layers: Layers) -> dict[str, Array]:
    def convolved(maps: Array, name: str, stride: int = 1) -> Array:
        weight = layers[name]["W"].astype(float)
        seen = np.nan_to_num(patches(maps, weight.shape[0], stride))
        return np.maximum(np.tensordot(seen, weight, axes=3) + layers[name]["b"], 0)

    def normalised(maps: Array) -> Array:
        squares = np.square(np.pad(maps, ((0, 0), (0, 0), (2, 2))))
        total = sum(squares[..., k : k + maps.shape[-1]] for k in range(5))
        return maps / (1 + 1e-3 * total) ** 0.75

    def pooled(maps: Array, reduce: Any) -> Array:
        return reduce(patches(maps, 3, 2), axis=(2, 3))

    maps = pooled(normalised(convolved(image[:, :, None], "conv1", 3)), np.nanmax)
    maps = convolved(pooled(normalised(convolved(maps, "conv2", 2)), np.nanmax), "conv3")
    logits: dict[str, Array] = {}
    for branch in ("W", "G"):
        last = pooled(convolved(convolved(maps, f"conv4_{branch}"), f"conv5_{branch}"), np.nanmean)
        hidden = np.maximum(last.reshape(-1) @ layers[f"fc6_{branch}"]["W"] + layers[f"fc6_{branch}"]["b"], 0)
        logits[branch] = hidden @ layers[f"fctop_{branch}"]["W"] + layers[f"fctop_{branch}"]["b"]
    return logits


def test_the_whole_network_equals_numpy_with_channels_last() -> None:
    widths = (6, 5, 7, 8, 4, 9)
    layers = small_weights(widths)
    network = kell2018.Kell2018(widths, n_words=4, n_genres=3)
    network.load_state_dict(kell2018_weights.torch_state(layers))
    image = np.random.default_rng(1).uniform(0, 255, (256, 256))
    expected = numpy_network(image, layers)
    found = network.double().hear(torch.from_numpy(image)[None, None])
    for branch, logits in expected.items():
        assert np.abs(logits).max() > 0.1
        np.testing.assert_allclose(found[branch][0].detach().numpy(), logits, rtol=1e-9, atol=1e-9)


# --- the full network


@pytest.fixture(scope="module")
def model() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with load_model("kell2018@random:0") as loaded:
        yield loaded
    torch.set_num_threads(before)


def test_layers_have_the_published_shapes_and_named_axes(model: Any) -> None:
    outputs: dict[str, LayerOutput] = {}
    model.run(synthetic_stimuli("audio", 1).batch([0]), model.layers, outputs.__setitem__)
    assert list(outputs) == list(SHAPES) == list(model.layers)
    for layer, shape in SHAPES.items():
        assert tuple(outputs[layer].array.shape[1:]) == shape
        assert outputs[layer].axes == (("channel", "frequency", "time") if len(shape) == 3 else ("unit",))
    assert sum(parameter.numel() for parameter in model.module.parameters()) == 59_078_712


# --- its files


def save_published(folder: Path, layers: Layers) -> None:
    """Three files in the layout of the published ones."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {
        "early_layers": lambda name: "_" not in name,
        "word_branch": lambda name: name.endswith("_W"),
        "genre_branch": lambda name: name.endswith("_G"),
    }
    for part, belongs in parts.items():
        content = {name: arrays for name, arrays in layers.items() if belongs(name)}
        np.save(folder / f"network_weights_{part}.npy", np.array(content, dtype=object), allow_pickle=True)


def test_published_files_are_read_without_unpickling_anything_else(tmp_path: Path) -> None:
    layers = small_weights((6, 5, 7, 8, 4, 9))
    save_published(tmp_path, layers)
    found, expected = kell2018_weights.read_folder(tmp_path), kell2018_weights.torch_state(layers)
    assert sorted(found) == sorted(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert found["conv2.weight"].shape == (5, 6, 5, 5)
    assert found["conv2.weight"][3, 2, 1, 4].item() == layers["conv2"]["W"][1, 4, 2, 3].item()


def rewritten(path: Path, data: bytes) -> Path:
    """The file's header with another pickle behind it."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        header = path.read_bytes()[: file.tell()]
    path.write_bytes(header + data)
    return path


def test_files_pickled_by_python_2_are_read(tmp_path: Path) -> None:
    layers = {"conv1": {"W": np.arange(2 * 81.0, dtype=np.float32).reshape(9, 9, 1, 2), "b": np.array([0.5, -0.5])}}
    path = tmp_path / "w.npy"
    np.save(path, np.array(layers, dtype=object), allow_pickle=True)
    data = pickle.dumps(np.array(layers, dtype=object), protocol=2)
    assert b"_codecs" in data
    found = kell2018_weights.read_layers(rewritten(path, data))
    np.testing.assert_array_equal(found["conv1"]["W"], layers["conv1"]["W"])
    # as numpy 1 under Python 2 wrote them: the old name of the module, and bytes as plain text
    old = pickle.dumps(np.array({"conv1": "x"}, dtype=object), protocol=2).replace(b"numpy._core", b"numpy.core")
    with pytest.raises(DataError, match="expected layers with the arrays"):
        kell2018_weights.read_layers(rewritten(path, old))


class Malicious:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("was-run"),)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "network_weights_early_layers.npy"
    np.save(path, np.array({"conv1": Malicious()}, dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"names .*touch|names pathlib"):
        kell2018_weights.read_layers(path)
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("content", [b"", b"nothing like an array", None])
def test_damaged_files_are_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "w.npy"
    if content is None:
        np.save(path, np.zeros(3))
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"w\.npy"):
        kell2018_weights.read_layers(path)


def test_absent_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lacks network_weights_early_layers\.npy"):
        kell2018_weights.read_folder(tmp_path)
    with pytest.raises(FilesError, match=r"(?s)kell2018 are not here.*isocortex-cochnets/kell2018\n.*\.safetensors"):
        load_model("kell2018")
    with pytest.raises(DataError, match="expected two or four axes"):
        kell2018_weights.torch_state({"conv1": {"W": np.zeros(3), "b": np.zeros(3)}})


def test_a_folder_of_published_files_is_loaded(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the data folder, and by file:FOLDER; with a small network in place of the full one."""
    from functools import partial

    widths = (6, 5, 7, 8, 4, 9)
    small = partial(kell2018.Kell2018, widths, n_words=4, n_genres=3)
    folder = own_folders / "data" / "isocortex-cochnets" / "kell2018"
    save_published(folder, small_weights(widths))
    expected = kell2018_weights.read_folder(folder)
    monkeypatch.setattr(kell2018, "Kell2018", small)
    for name in ("kell2018", f"kell2018@file:{folder}"):
        with load_model(name) as model:
            state = model.module.state_dict()  # type: ignore[attr-defined]
        assert all(torch.equal(state[key], value) for key, value in expected.items())
    with load_model("kell2018@permuted:1") as model:
        state = model.module.state_dict()  # type: ignore[attr-defined]
    for key, value in expected.items():
        assert torch.equal(state[key].flatten().sort().values, value.flatten().sort().values)
    assert not torch.equal(state["conv1.weight"], expected["conv1.weight"])
