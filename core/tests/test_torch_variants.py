from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isocortex.catalogue.cards import Variant
from isocortex.errors import DataError, UsageError
from isocortex.models import convert_checkpoint

torch = pytest.importorskip("torch")

from isocortex.models.variants import build_variant, read_state  # noqa: E402


class Net(torch.nn.Module):
    """Float and integer buffers, tied weights, and a front end that is no weight."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = torch.nn.Conv1d(1, 2, 9)
        self.embed = torch.nn.Embedding(10, 6)
        self.norm = torch.nn.BatchNorm1d(6)
        self.head = torch.nn.Linear(6, 10, bias=False)
        self.head.weight = self.embed.weight


def state_of(module: Any) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def trained(seed: int = 99) -> dict[str, Any]:
    torch.manual_seed(seed)
    net = Net()
    net.norm.running_mean.normal_()
    return state_of(net)


def variant(text: str) -> Variant:
    return Variant.parse(text)


@pytest.mark.parametrize("seed", [0, 3])
def test_random_is_the_constructor_under_a_seed(seed: int) -> None:
    first = state_of(build_variant(Net, variant(f"random:{seed}"), weights=trained()))
    torch.manual_seed(seed)
    expected = state_of(Net())
    assert all(torch.equal(first[name], expected[name]) for name in expected)
    other = state_of(build_variant(Net, variant(f"random:{seed + 1}")))
    assert not torch.equal(first["filters.weight"], other["filters.weight"])


def test_pretrained_holds_the_weights() -> None:
    found = state_of(build_variant(Net, variant("pretrained"), weights=trained))
    assert all(torch.equal(found[name], tensor) for name, tensor in trained().items())


@pytest.mark.parametrize("kind", ["pretrained", "permuted:1"])
def test_variants_that_need_weights_are_refused_without(kind: str) -> None:
    with pytest.raises(UsageError, match=f"{kind} needs trained weights"):
        build_variant(Net, variant(kind))


def test_permuted_keeps_values_ties_and_the_front_end() -> None:
    net = build_variant(Net, variant("permuted:1"), weights=trained(), front_end=["filters"])
    found, before = state_of(net), trained()
    for name, tensor in before.items():
        assert torch.equal(found[name].flatten().sort().values, tensor.flatten().sort().values), name
        same = torch.equal(found[name], tensor)
        assert same == (name.startswith("filters") or name in ("norm.num_batches_tracked", "norm.weight", "norm.bias",
                                                               "norm.running_var")), name  # fmt: skip
    assert net.head.weight.data_ptr() == net.embed.weight.data_ptr()
    assert torch.equal(found["head.weight"], found["embed.weight"])


def test_permuted_depends_on_the_seed_alone() -> None:
    draws = [
        build_variant(Net, variant(f"permuted:{seed}"), weights=trained()).filters.weight.detach() for seed in (1, 1, 2)
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_weights_of_files(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    untied = {name: tensor.clone() for name, tensor in trained().items()}
    safetensors.save_file(untied, tmp_path / "net.safetensors")
    torch.save({"state_dict": trained(), "epoch": 5}, tmp_path / "net.pt")
    for name in ("net.safetensors", "net.pt"):
        found = state_of(build_variant(Net, variant(f"file:{tmp_path / name}")))
        assert all(torch.equal(found[key], tensor) for key, tensor in trained().items())


class Evil:
    ran = False

    def __reduce__(self) -> Any:
        return (_run, ())


def _run() -> int:
    Evil.ran = True
    return 0


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": trained(), "more": Evil()}, tmp_path / "evil.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Evil()))
    for name in ("evil.pt", "plain.pt"):
        with pytest.raises(DataError, match="would run code"):
            read_state(tmp_path / name)
    assert not Evil.ran


def test_the_converter_reads_such_a_file_once_and_on_purpose(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("safetensors")
    torch.save({"model": trained(), "more": Evil(), "epoch": 5}, tmp_path / "dill.pt")
    arguments = [str(tmp_path / "dill.pt"), str(tmp_path / "net.safetensors")]
    assert convert_checkpoint.main(arguments) == 2
    assert not Evil.ran
    assert convert_checkpoint.TRUST in capsys.readouterr().err
    assert convert_checkpoint.main([*arguments, convert_checkpoint.TRUST]) == 0
    Evil.ran = False
    found = state_of(build_variant(Net, variant(f"file:{arguments[1]}")))
    assert all(torch.equal(found[name], tensor) for name, tensor in trained().items())


def test_the_converter_joins_arrays_in_several_files_and_needs_no_trust(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("safetensors")
    names = list(trained())
    arrays = {name: tensor.half().numpy() for name, tensor in trained().items()}
    parts, target = [tmp_path / "a.npz", tmp_path / "b.npz"], tmp_path / "net.safetensors"
    np.savez(parts[0], **{name: arrays[name] for name in names[:2]})
    np.savez(parts[1], **{name: arrays[name] for name in names[2:]})
    assert convert_checkpoint.main([*map(str, parts), str(target)]) == 0
    assert f"{len(names)} tensors" in capsys.readouterr().out
    found = state_of(build_variant(Net, variant(f"file:{target}")))
    for name, tensor in trained().items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor.half().to(tensor.dtype))


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (lambda path: np.savez(path, **{"norm.bias": np.ones(2)}), "holds 'norm.bias', as does a file before it"),
        (lambda path: np.savez(path, objects=np.array([Evil()], dtype=object)), "cannot be read as arrays"),
        (lambda path: path.write_bytes(b"PK\x03\x04 cut short"), "cannot be read as arrays"),
    ],
)
def test_the_converter_refuses_in_one_line(tmp_path: Path, capsys: Any, second: Any, words: str) -> None:
    pytest.importorskip("safetensors")
    first, other, target = (tmp_path / name for name in ("a.npz", "b.npz", "net.safetensors"))
    np.savez(first, **{"norm.bias": np.ones(2)})
    second(other)
    assert convert_checkpoint.main([str(first), str(other), str(target)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not target.exists()
    assert not Evil.ran


@pytest.mark.parametrize("name", ["cut.pt", "cut.safetensors", "gone.pt"])
def test_damaged_and_missing_files(tmp_path: Path, name: str) -> None:
    for kept in ("cut.pt", "cut.safetensors"):
        (tmp_path / kept).write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(DataError, match=name):
        read_state(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("norm.weight"), r"1 missing \(norm.weight\)"),
        (lambda state: state.update(extra=torch.ones(1)), r"1 not known \(extra\)"),
        (lambda state: state.update({"norm.bias": torch.ones(7)}), r"1 of another shape \(norm.bias\)"),
    ],
)
def test_weights_that_do_not_fit_are_named(change: Any, words: str) -> None:
    state = trained()
    change(state)
    with pytest.raises(DataError, match=f"do not fit Net: tensors {words}"):
        build_variant(Net, variant("pretrained"), weights=state)


def test_names_of_a_file_may_be_turned() -> None:
    wrapped = {f"module.{name}": tensor for name, tensor in trained().items()}

    def rename(state: Any) -> Any:
        return {name.removeprefix("module."): tensor for name, tensor in state.items()}

    found = state_of(build_variant(Net, variant("pretrained"), weights=wrapped, rename=rename))
    np.testing.assert_array_equal(found["norm.running_mean"], trained()["norm.running_mean"])
