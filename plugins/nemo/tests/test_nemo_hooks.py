"""Pickles that forward hooks left: read as records, tensors made on the CPU, lengths used as lengths."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from isocortex.errors import DataError, UsageError  # noqa: E402
from isocortex.loading.by_name import load_model  # noqa: E402
from isocortex_nemo.hook_import import HookImport  # noqa: E402
from isocortex_nemo.pickled_tensors import read_tensors  # noqa: E402


def dump(path: Path, value: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


def activations(folder: Path) -> dict[str, np.ndarray]:
    with load_model(f"activations:{folder}") as model:
        openers: Any = model
        return {layer: openers._openers[layer]().array() for layer in model.layers}


# --- one pickle


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16", "int64", "bool"])
def test_a_tensor_is_read_as_it_was(tmp_path: Path, protocol: int, dtype: str) -> None:
    tensor = torch.arange(24).reshape(2, 3, 4).to(getattr(torch, dtype))
    held = {"whole": tensor, "view": tensor[1:, :, ::2].transpose(1, 2), "tuple": (tensor, torch.tensor([3]))}
    read = read_tensors(dump(tmp_path / "a.pkl", held, protocol))
    assert torch.equal(read["whole"], tensor)
    assert read["whole"].dtype == tensor.dtype
    assert torch.equal(read["view"], held["view"])
    assert torch.equal(read["tuple"][0], tensor)
    assert read["tuple"][1].tolist() == [3]


def test_numpy_parameters_nothing_and_nested_lists_are_read(tmp_path: Path) -> None:
    array, parameter = np.ones((1, 2, 3), np.float32), torch.nn.Parameter(torch.ones(2))
    held = {"array": array, "parameter": parameter, "none": None, "list": ([array, parameter], parameter)}
    read = read_tensors(dump(tmp_path / "a.pkl", held))
    np.testing.assert_array_equal(read["array"], array)
    assert torch.equal(read["parameter"], torch.ones(2))
    assert read["none"] is None
    assert len(read["list"][0]) == 2


def test_a_tensor_that_was_saved_from_a_gpu_comes_on_the_cpu(tmp_path: Path) -> None:
    tensor = torch.rand(1, 4, 3)
    held = io.BytesIO()
    pickler = pickle.Pickler(held, protocol=4)

    class OnGPU:
        """Pickled as a tensor is, with a storage that says it lay on a GPU."""

        def __reduce__(self) -> Any:
            rebuild, (storage, *rest) = tensor.__reduce_ex__(2)
            return rebuild, (Storage(storage), *rest)

    class Storage:
        def __init__(self, storage: Any) -> None:
            self.storage = storage

        def __reduce__(self) -> Any:
            load, (data,) = self.storage.__reduce__()
            assert data.count(b"X\x03\x00\x00\x00cpu") == 1
            return load, (data.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"),)

    pickler.dump({"layer": OnGPU()})
    path = tmp_path / "a.pkl"
    path.write_bytes(held.getvalue())
    assert b"cuda:0" in held.getvalue()
    read = read_tensors(path)["layer"]
    assert read.device.type == "cpu"
    assert torch.equal(read, tensor)


class Calls:
    """Is pickled as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("function", "named"),
    [(os.mkdir, "posix.mkdir"), (eval, "builtins.eval"), (torch.load, "torch.serialization.load")],
)
def test_a_foreign_constructor_is_refused_by_name(tmp_path: Path, function: Any, named: str) -> None:
    mark = tmp_path / "was-run"
    dump(tmp_path / "a.pkl", {"layer": torch.ones(1), "evil": Calls(function, str(mark))})
    with pytest.raises(DataError, match=f"names {named}, which these data never need. Nothing of it was run"):
        read_tensors(tmp_path / "a.pkl")
    assert not mark.exists()


def rebuilt(storage: Any, offset: Any, size: Any, stride: Any) -> Any:
    return Calls(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, {})


def test_code_inside_the_bytes_of_a_storage_is_not_run(tmp_path: Path) -> None:
    held = io.BytesIO()
    torch.save(Calls(os.mkdir, str(tmp_path / "was-run")), held, _use_new_zipfile_serialization=False)
    storage = Calls(torch.storage._load_from_bytes, held.getvalue())
    with pytest.raises(DataError, match="a storage cannot be read"):
        read_tensors(dump(tmp_path / "a.pkl", {"layer": rebuilt(storage, 0, (1,), (1,))}))
    assert not (tmp_path / "was-run").exists()


def test_sizes_are_held_to_what_the_bytes_hold(tmp_path: Path) -> None:
    typed = torch.arange(6.0).storage()
    wrong = [(0, (7,), (1,)), (3, (4,), (1,)), (0, (2, 2), (6, 1)), (0, (1 << 40,), (0,)), (-1, (2,), (1,))]
    for offset, size, stride in wrong:
        with pytest.raises(DataError, match="cannot be read as what forward hooks were given"):
            read_tensors(dump(tmp_path / "a.pkl", {"layer": rebuilt(typed, offset, size, stride)}))
    held = io.BytesIO()
    torch.save(typed, held, _use_new_zipfile_serialization=False)
    data = held.getvalue()
    assert data.count(b"K\x06") == 1
    forged = Calls(torch.storage._load_from_bytes, data.replace(b"K\x06", b"J\xff\xff\xff\x7f"))
    with pytest.raises(DataError, match=r"a storage of .* bytes announces 2147483647 values"):
        read_tensors(dump(tmp_path / "a.pkl", {"layer": rebuilt(forged, 0, (6,), (1,))}))
    zipped = io.BytesIO()
    torch.save(typed, zipped)
    archive = Calls(torch.storage._load_from_bytes, zipped.getvalue())
    with pytest.raises(DataError, match="a storage is an archive"):
        read_tensors(dump(tmp_path / "a.pkl", {"layer": rebuilt(archive, 0, (6,), (1,))}))


@pytest.mark.parametrize("held", [[1], "text", {1: 2}, None])
def test_what_is_no_dictionary_of_layers_is_named(tmp_path: Path, held: Any) -> None:
    with pytest.raises(DataError, match="cannot be read as what forward hooks were given"):
        read_tensors(dump(tmp_path / "a.pkl", held))


# --- a folder of them


def clip(seed: int, n_valid: int = 7) -> dict[str, Any]:
    """What hooks on the children of a recogniser are given for one clip: nine steps, some valid."""
    drawn = torch.Generator().manual_seed(seed)
    length = torch.tensor([n_valid])
    return {
        "preprocessor": (torch.rand(1, 4, 20, generator=drawn), torch.tensor([18])),
        "encoder": (torch.rand(1, 5, 9, generator=drawn), length),
        "encoder_decoder_proj": torch.rand(1, 9, 5, generator=drawn),
        "transf_decoder": torch.rand(1, 3, 5, generator=drawn),
        "encoder.encoder.0": ([torch.rand(1, 5, 9, generator=drawn), torch.rand(1, 6, 9, generator=drawn)], length),
    }


def test_lengths_are_lengths_and_never_a_feature(tmp_path: Path) -> None:
    source, clips = tmp_path / "hooks", {f"s{number:02d}": clip(number, 5 + number % 4) for number in range(40)}
    source.mkdir()
    for name, held in clips.items():
        dump(source / f"{name}.pkl", held)
    said = HookImport().run(source, tmp_path / "out")
    assert said == []
    found = activations(tmp_path / "out")
    shapes = {layer: values.shape for layer, values in found.items()}
    assert shapes == {
        "preprocessor": (40, 4), "encoder": (40, 5), "encoder_decoder_proj": (40, 5), "transf_decoder": (40, 15),
        "encoder.encoder.0": (40, 6),
    }  # fmt: skip
    for row, held in enumerate(clips.values()):
        n_valid = int(held["encoder"][1])
        encoder = held["encoder"][0][0].double().numpy()
        for unit in range(5):
            total = sum(encoder[unit, step] for step in range(n_valid))
            assert found["encoder"][row, unit] == pytest.approx(total / n_valid, abs=1e-6)
        bare = held["encoder_decoder_proj"][0, :n_valid].double().mean(0)
        np.testing.assert_allclose(found["encoder_decoder_proj"][row], bare, atol=1e-6)
        newest = held["encoder.encoder.0"][0][1][0, :, :n_valid].double().mean(1)
        np.testing.assert_allclose(found["encoder.encoder.0"][row], newest, atol=1e-6)


def test_what_is_left_out_or_guessed_is_said_and_kept(tmp_path: Path, isocortex: Any) -> None:
    source = tmp_path / "hooks"
    source.mkdir()
    for name in ("a", "b"):
        dump(source / f"{name}.pkl", {"encoder.layers.0": torch.rand(1, 9, 5), "loss": None, "empty": ()})
    out = tmp_path / "out"
    done = isocortex("import", "hooks", str(source), "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    for sentence in (
        "Warning: encoder.layers.0 has no lengths beside it: all of its steps count.",
        "Warning: loss was left out: it holds no tensor.",
        "Warning: empty was left out: it holds no tensor.",
        f"isocortex score -m activations:{out} -b BENCHMARK",
    ):
        assert sentence in done.stderr
    from isocortex.activations import ActivationFolder

    assert len(ActivationFolder(out, ("a", "b"), 32).warnings) == 3


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ({"mine": torch.rand(1, 2, 3)}, r"the layer 'mine' has the shape \(1, 2, 3\), and its axes are not known"),
        ({"encoder": torch.rand(2, 2, 3)}, r"expected \(1, channel, time\), one stimulus"),
        ({"encoder": torch.rand(1, 2, 3, 4)}, r"expected \(1, channel, time\), one stimulus"),
        ({"encoder": (torch.rand(1, 2, 3), torch.tensor([9]))}, "a length of 'encoder' is 9, and it has 3 steps"),
        ({"encoder": (torch.rand(1, 2, 3), torch.tensor([0]))}, "a length of 'encoder' is 0, and it has 3 steps"),
        ({"loss": None}, "holds no tensor of a layer that was asked for"),
    ],
)
def test_what_cannot_be_told_is_asked_for(tmp_path: Path, held: dict[str, Any], words: str) -> None:
    dump(tmp_path / "a.pkl", held)
    with pytest.raises((DataError, UsageError), match=words):
        HookImport().run(tmp_path, tmp_path / "out")


def test_axes_and_layers_can_be_named(tmp_path: Path, isocortex: Any) -> None:
    source = tmp_path / "hooks"
    source.mkdir()
    tensor = torch.rand(1, 2, 7)
    dump(source / "a.pickle", {"mine": tensor, "other": torch.rand(1, 1, 1, 1)})
    done = isocortex(
        "import", "hooks", str(source), "--out", str(tmp_path / "out"), "--layers", "mi*",
        "--axes", "mine=channel, time",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = activations(tmp_path / "out")
    assert list(found) == ["mine"]
    np.testing.assert_allclose(found["mine"], tensor.double().mean(2), atol=1e-6)
    assert isocortex("import", "hooks", str(source), "--out", "x", "--axes", "mine").returncode == 2


def test_folders_without_or_with_differing_pickles_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        HookImport().run(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(UsageError, match="holds no pickles"):
        HookImport().run(tmp_path, tmp_path / "out")
    dump(tmp_path / "a.pkl", clip(1))
    dump(tmp_path / "b.pkl", {"encoder": clip(1)["encoder"]})
    with pytest.raises(DataError, match=r"other layers than the first pickle: it lacks .*preprocessor"):
        HookImport().run(tmp_path, tmp_path / "out")
    dump(tmp_path / "a.p", clip(1))
    with pytest.raises(UsageError, match="several files for a stimulus: a"):
        HookImport().run(tmp_path, tmp_path / "out")
