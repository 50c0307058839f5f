"""Weights: read as they were written, refused where they are not what they should be, fetched by checksum."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isocortex.errors import DataError, FilesError
from isocortex.interfaces import Variant
from isocortex.loading.resolver import resolver
from isocortex_yamnet.weights import FILES, dequantised, read_folder

PRETRAINED = Variant.parse("pretrained")


def plugin() -> Any:
    """The plugin object, which never uses the network."""
    return resolver(offline=True).model("yamnet")


def test_real_values_are_scaled_after_the_zero_is_taken_away() -> None:
    stored = np.array([[-128, 0, 127]], dtype=np.int8)
    np.testing.assert_allclose(dequantised(stored, {"scale": [0.5], "zero": [-1]}), [[-63.5, 0.5, 64.0]])
    per_channel = {"scale": [1.0, 2.0, 4.0], "zero": [0, 0, 7]}
    np.testing.assert_allclose(dequantised(stored, per_channel), [[-128, 0, 480]])
    np.testing.assert_allclose(dequantised(stored.T, per_channel), [[-128], [0], [480]])


@pytest.mark.parametrize(
    ("shape", "quantisation", "reason"),
    [
        ((2, 2), {"scale": [1, 2], "zero": [0, 0]}, "2 scales fit 2 of the axes"),
        ((2, 3), {"scale": [1, 2, 3, 4], "zero": [0, 0, 0, 0]}, "4 scales fit 0 of the axes"),
        ((2, 3), None, "without a scale"),
    ],
)
def test_scales_that_fit_no_axis_are_refused(shape: tuple[int, ...], quantisation: Any, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        dequantised(np.zeros(shape, dtype=np.int8), quantisation)


def test_what_is_written_is_read(made_up: Callable[..., Path]) -> None:
    kept: dict[str, Any] = {}

    def quantise(stored: Any) -> None:
        kept.update({name: values.copy() for name, values in stored.npz.items()})
        scale = np.abs(stored.npz["c3"]).max() / 127
        stored.npz["c3"] = np.rint(stored.npz["c3"] / scale).astype(np.int8)
        stored.json["quant"]["c3"] = {"scale": [float(scale)], "zero": [0]}
        kept["scale"] = scale
        # by way of an operator that restores it, as the published file does for depthwise convolutions
        stored.ops.insert(0, {"op": "DEQUANTIZE", "in": ["c3"], "out": 999, "out_name": "restored"})
        stored.ops[4]["in"][1] = 999

    state = read_folder(made_up(quantise))
    assert len(state) == 56
    np.testing.assert_array_equal(state["layer1.weight"].numpy(), kept["c0"].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(state["layer2.depthwise.weight"].numpy(), kept["c1"].transpose(3, 0, 1, 2))
    np.testing.assert_array_equal(state["logits.bias"].numpy(), kept["c27b"])
    error = np.abs(state["layer3.depthwise.weight"].numpy() - kept["c3"].transpose(3, 0, 1, 2)).max()
    assert 0 < error <= 0.5001 * kept["scale"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda stored: stored.npz.pop("c5"), "there is no 'c5'"),
        (lambda stored: stored.npz["c5b"].fill(np.nan), "layer4.depthwise.bias holds NaN"),
        (lambda stored: stored.npz.update(c5=stored.npz["c5"][0]), "holds no YAMNet"),
        (lambda stored: stored.ops[2].update(pad="valid"), "layer2.pointwise has stride, padding and activation"),
        (lambda stored: stored.ops[2].update(act="none"), "layer2.pointwise has stride"),
        (lambda stored: stored.ops[3].update(stride=[1, 1]), "layer3.depthwise has stride"),
        (lambda stored: stored.ops[2].pop("in"), "there is no 'in'"),
        (lambda stored: stored.ops[3].update(out_name=stored.ops[1]["out_name"]), "layer2.depthwise"),
        (lambda stored: stored.ops.append({**stored.ops[2]}), "layer2.pointwise.weight is there twice"),
        (lambda stored: stored.ops.append("RELU"), "holds no YAMNet"),
        (lambda stored: stored.ops.clear(), "names no convolution"),
        (lambda stored: stored.json.update(ops=None), "the list 'ops'"),
        (lambda stored: stored.json["quant"].update(c5={"scale": [1.0, 2.0], "zero": [0, 0]}), "2 scales fit"),
        (lambda stored: stored.json["quant"].update(c5={"scale": [1.0]}), "there is no 'zero'"),
        (lambda stored: stored.json["quant"].update(c5={"scale": ["a"], "zero": [0]}), "holds no YAMNet"),
    ],
)
def test_spoilt_files_are_refused(made_up: Callable[..., Path], change: Any, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read_folder(made_up(change))


@pytest.mark.parametrize("drop", [-1, 4])
def test_another_architecture_is_refused(made_up: Callable[..., Path], drop: int) -> None:
    folder = made_up(lambda stored: stored.ops.pop(drop))
    with pytest.raises(DataError, match="do not fit Yamnet: tensors 2 missing"):
        plugin().load(Variant.parse(f"file:{folder}"), device="cpu")


def test_nothing_that_is_read_runs_code(made_up: Callable[..., Path], tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (marker,)

    folder = made_up()
    for content in (pickle.dumps(Payload()), b"", b"PK\x03\x04 cut off"):
        (folder / "yamnet.npz").write_bytes(content)
        with pytest.raises(DataError, match="no file of arrays"):
            read_folder(folder)
    objects = np.empty(1, dtype=object)
    objects[0] = Payload()
    np.savez(folder / "yamnet.npz", c0=objects)
    with pytest.raises(DataError, match="no file of arrays"):
        read_folder(folder)
    assert not marker.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\x00", b"[" * 100_000])
def test_what_is_no_list_of_operators_is_refused(made_up: Callable[..., Path], content: bytes) -> None:
    folder = made_up()
    (folder / "yamnet.json").write_bytes(content)
    with pytest.raises(DataError, match=r"yamnet\.json"):
        read_folder(folder)


def test_a_folder_without_the_files_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent", Path(__file__)):
        with pytest.raises(DataError, match=r"lacks yamnet.json and yamnet.npz. Expected a folder"):
            plugin().load(Variant.parse(f"file:{path}"), device="cpu")


# --- fetch ------------------------------------------------------------------------------------------------------------


def test_fetch_takes_the_published_files_from_any_depth(weights: Path, own_folders: Path, tmp_path: Path) -> None:
    deep = tmp_path / "downloads" / "networks"
    deep.mkdir(parents=True)
    for name in FILES:
        shutil.copyfile(weights / name, deep / name)
    paths = plugin().fetch(PRETRAINED, tmp_path / "downloads")
    assert paths == [own_folders / "data" / "isocortex-yamnet" / name for name in FILES]
    shutil.rmtree(deep)
    assert plugin().fetch(Variant.parse("permuted:1")) == paths, "they are here now"
    for variant in ("pretrained", "permuted:0"):
        with plugin().load(Variant.parse(variant), device="cpu") as model:
            assert len(model.layers) == 16


def test_fetch_refuses_other_files_of_that_name(made_up: Callable[..., Path]) -> None:
    folder = made_up()
    with pytest.raises(FilesError, match="are not here") as caught:
        plugin().fetch(PRETRAINED, folder)
    assert all(text in str(caught.value) for text in (str(folder), "isocortex-yamnet", "isocortex fetch -m yamnet"))


def test_damaged_weights_are_not_used(weights: Path, own_folders: Path) -> None:
    paths = plugin().fetch(PRETRAINED, weights)
    content = bytearray(paths[1].read_bytes())
    content[1000] ^= 1
    paths[1].chmod(0o644)
    paths[1].write_bytes(content)
    with pytest.raises(FilesError):
        plugin().load(PRETRAINED, device="cpu")


def test_variants_without_weights_of_their_own_fetch_nothing(made_up: Callable[..., Path]) -> None:
    assert plugin().fetch(Variant.parse("random:0")) == []
    folder = made_up()
    assert plugin().fetch(Variant.parse(f"file:{folder}")) == [folder / name for name in FILES]
    with pytest.raises(FilesError, match="are not here"):
        plugin().load(PRETRAINED, device="cpu")


def test_digests_follow_the_files(made_up: Callable[..., Path]) -> None:
    folder = made_up()
    variant = Variant.parse(f"file:{folder}=mine")
    before = plugin().digest(variant)
    content = json.loads((folder / "yamnet.json").read_text())
    (folder / "yamnet.json").write_text(json.dumps(content, indent=1))
    assert plugin().digest(variant) != before
