"""Different computations never share an identity or a place; equal ones are found again."""

# ruff: noqa: ARG005 - functions that do not use what they are given

from __future__ import annotations

import functools
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isocortex
from isocortex.catalogue.cards import Variant
from isocortex.errors import UsageError
from isocortex.models import content
from tests.lab import Lab

GAIN = 2.0
FIXED = Variant.parse("fixed")


def digest(computes: Any, **more: Any) -> str | None:
    return isocortex.wrap(computes, modality="image", name="mine", **more).digest(FIXED)


def scaled(gain: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda images: gain * images.mean(axis=(1, 2))


def by_default(gain: float) -> Callable[[np.ndarray], np.ndarray]:
    def colours(images: np.ndarray, gain: float = gain) -> np.ndarray:
        return gain * images.mean(axis=(1, 2))

    return colours


def with_globals(gain: Any) -> Callable[[np.ndarray], np.ndarray]:
    """One code over globals of its own, as a function of a notebook has them."""

    def colours(images: np.ndarray) -> np.ndarray:
        return GAIN * images.mean(axis=(1, 2))

    return types.FunctionType(colours.__code__, {"GAIN": gain, "__name__": "notebook"})


def through_another(gain: float) -> Callable[[np.ndarray], np.ndarray]:
    """What another function of the notebook holds."""

    def colours(images: np.ndarray) -> np.ndarray:
        return helper(images)  # type: ignore[name-defined]  # noqa: F821

    return types.FunctionType(colours.__code__, {"helper": with_globals(gain), "__name__": "notebook"})


def through_a_module(gain: float) -> Callable[[np.ndarray], np.ndarray]:
    """What a module of the user's holds."""
    module = types.ModuleType("my_filters")
    module.__dict__["gain"] = gain

    def colours(images: np.ndarray) -> np.ndarray:
        return filters.gain * images.mean(axis=(1, 2))  # type: ignore[name-defined]  # noqa: F821

    return types.FunctionType(colours.__code__, {"filters": module, "__name__": "notebook"})


class Filter:
    """An object whose method is wrapped."""

    def __init__(self, weights: Any) -> None:
        self.weights = weights

    def apply(self, images: np.ndarray) -> np.ndarray:
        return images.mean(axis=(1, 2)) @ self.weights

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self.apply(images)

    @classmethod
    def from_file(cls, path: str) -> Filter:
        return cls(np.load(path))


class Slotted:
    """What it holds is in no dictionary, and hidden from pickle."""

    __slots__ = ("gain",)

    def __init__(self, gain: float) -> None:
        self.gain = gain

    def __getstate__(self) -> None:
        return None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self.gain * images


def _classes(where: str) -> Callable[[float], Any]:
    """An object whose class, base class or metaclass holds what decides a value."""

    def make(gain: float) -> Any:
        class Meta(type):
            scale = gain if where == "metaclass" else 1.0

        class Base(metaclass=Meta):
            def scaled(self, images: np.ndarray) -> np.ndarray:
                return (gain if where == "inherited method" else 1.0) * images

        class Own(Base):
            offset = gain if where == "attribute of a class" else 1.0

            def __call__(self, images: np.ndarray) -> np.ndarray:
                return type(self).scale * self.scaled(images) + self.offset

        return Own()

    return make


PAIRS: dict[str, Callable[[float], Any]] = {
    "closure": scaled,
    "default": by_default,
    "global": with_globals,
    "global of a global function": through_another,
    "global of a module of the user's": through_a_module,
    "constant in the code": lambda gain: eval(f"lambda images: {gain} * images"),
    "partial function": lambda gain: functools.partial(np.multiply, gain),
    "bound self": lambda gain: Filter(np.full((3, 2), gain)).apply,
    "object that can be called": lambda gain: Filter([gain, gain]),
    "attribute of a function": lambda gain: _with_attribute(gain),
    **{where: _classes(where) for where in ("metaclass", "inherited method", "attribute of a class")},
    "object with slots": Slotted,
    "cached function": lambda gain: functools.lru_cache(scaled(gain)),
}


def _with_attribute(gain: float) -> Any:
    def colours(images: np.ndarray) -> np.ndarray:
        return colours.gain * images  # type: ignore[attr-defined]

    colours.gain = gain  # type: ignore[attr-defined]
    return colours


@pytest.mark.parametrize("what", PAIRS)
def test_functions_have_the_digest_of_what_they_compute(what: str) -> None:
    one, same, other = (digest(PAIRS[what](gain)) for gain in (1.5, 1.5, 2.5))
    assert one is not None
    assert one == same
    assert one != other


def _module(kind: str, value: Any) -> Any:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(3, 2)

        def forward(self, images: Any) -> Any:
            return self.out(images.mean((2, 3)))

    torch.manual_seed(0)
    net = Net()
    if kind == "weight":
        with torch.no_grad():
            net.out.weight[0, 0] += value
    elif kind == "weight of half precision":
        net.out.weight = nn.Parameter(torch.full((2, 3), value).bfloat16())
    elif kind == "buffer":
        net.register_buffer("mean", torch.full((3,), value), persistent=False)
    elif kind == "flag":
        net.good = value
    elif kind == "list of arrays":
        net.filters = [np.full(3, value)]  # type: ignore[assignment]
    elif kind == "hook":
        net.out.register_forward_hook(lambda module, fed, given: given * value)
    elif kind == "method of one object":
        net.forward = types.MethodType(lambda self, images: value * self.out(images.mean((2, 3))), net)
    elif kind == "replaced module":
        net.add_module("act", nn.LeakyReLU(value))
    return net


KINDS = (
    "weight",
    "weight of half precision",
    "buffer",
    "flag",
    "list of arrays",
    "hook",
    "method of one object",
    "replaced module",
)


@pytest.mark.parametrize("kind", KINDS)
def test_modules_have_the_digest_of_all_that_they_hold(kind: str) -> None:
    pytest.importorskip("torch")
    one, same, other = (digest(_module(kind, value), layers=["out"]) for value in (0.5, 0.5, 0.75))
    assert one is not None
    assert one == same
    assert one != other


def test_training_mode_and_the_number_of_a_hook_are_no_part_of_a_digest() -> None:
    pytest.importorskip("torch")
    net = _module("hook", 0.5)
    before = digest(net, layers=["out"])
    assert digest(net.eval(), layers=["out"]) == before
    net.register_forward_hook(print).remove()
    assert digest(_module("hook", 0.5), layers=["out"]) == before, "hooks are numbered through a process"


def test_what_wrap_is_told_is_part_of_the_digest() -> None:
    computes, sounds = scaled(1.0), {"modality": "audio", "sample_rate": 8000}
    told: list[dict[str, Any]] = [
        {},
        {"axes": ("time",)},
        {"axes": {"output": ("time",)}},
        {"layers": ["a"]},
        {"layers": {"output": ["x", "y"]}},
        {"layers": {"output": ["x", "z"]}},
        {"name": "other"},
        {"random": True},
        sounds,
        {**sounds, "sample_rate": 16000},
    ]
    for known in (None, "v1"):
        made = [isocortex.wrap(computes, **{"modality": "image", "name": "mine", **one}, digest=known) for one in told]
        digests = [model.digest(FIXED) for model in made]
        assert None not in digests
        assert len(set(digests)) == len(told)


@pytest.mark.parametrize(
    "computes",
    [
        lambda images: np.load("filters.npy") * images,
        lambda images: open("filters.txt").read(),  # noqa: SIM115, PTH123
        functools.partial(np.load, "filters.npy"),
        functools.partial(np.multiply, threading.Lock()),
        functools.partial(np.multiply, (number for number in (1, 2))),
        lambda images: eval("images * 2"),
        lambda images: images * globals()["GAIN"],
    ],
    ids=["file", "open", "partial file", "lock", "generator", "eval", "globals"],
)
def test_what_cannot_be_read_has_no_digest_unless_the_user_gives_one(computes: Any) -> None:
    assert digest(computes) is None
    known = digest(computes, digest="v1")
    assert known is not None
    assert known == digest(computes, digest="v1")
    assert known != digest(computes, digest="v2")


def test_a_method_that_reads_a_file_counts_where_it_is_called() -> None:
    assert digest(Filter(np.ones((3, 2))).apply) is not None, "from_file makes an object, and is not called by apply"
    assert digest(Filter.from_file) is None


def test_two_functions_of_one_text_differ_by_their_code() -> None:
    assert digest(lambda images: images.mean(1), digest="v1") != digest(lambda images: images.max(1), digest="v1")
    assert digest(scaled(1.0), digest="v1") != digest(scaled(2.0), digest="v1")
    counts: list[int] = []
    function = lambda images: counts.append(1) or images  # noqa: E731
    before = digest(function, digest="v1")
    counts.append(1)
    assert digest(function, digest="v1") == before, "values are the user's to tell apart"


def test_the_digest_is_the_same_in_another_process(tmp_path: Path) -> None:
    source = (
        "import functools, numpy as np, isocortex\n"
        "from isocortex.catalogue.cards import Variant\n"
        "names = {'b', 'a', 'c'}\n"
        "class Filter:\n"
        "    def __init__(self): self.weights, self.kinds = np.arange(6.0).reshape(3, 2), {'x', 'y', 'z'}\n"
        "    def apply(self, images): return images.mean(axis=(1, 2)) @ self.weights if 'a' in names else None\n"
        "print(isocortex.wrap(Filter().apply, modality='image').digest(Variant.parse('fixed')))\n"
    )
    (tmp_path / "script.py").write_text(source)
    runs = [
        subprocess.run(
            [sys.executable, tmp_path / "script.py"],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] != "None\n"


# --- in runs ----------------------------------------------------------------------------------------------------------


def colours(sign: float, **more: Any) -> Any:
    return isocortex.wrap(lambda images: sign * images.mean(axis=(1, 2)), modality="image", name="mine", **more)


def test_two_computations_of_one_name_are_both_kept_and_it_is_said(lab: Lab) -> None:
    (first,) = lab.score(colours(1.0), "lab.fit")
    (second,) = lab.score(colours(-1.0), "lab.fit")
    (again,) = lab.score(colours(1.0), "lab.fit")
    assert first.summary is not None
    assert second.summary is not None
    assert first.summary.value == pytest.approx(-second.summary.value)
    assert (again.cached, again.digest) == (True, first.digest)
    assert len(lab.records("result.json")) == 2
    assert first.warnings == []
    assert any("another computation that is called 'mine'" in text and "name=" in text for text in second.warnings)


def test_two_models_of_one_name_in_one_call_are_refused(lab: Lab) -> None:
    with pytest.raises(UsageError, match=r"Two models are called 'mine'.*name="):
        lab.score([colours(1.0), colours(-1.0)], "lab.fit")
    taken = isocortex.wrap(lambda images: images.mean(axis=(1, 2)), modality="image", name="lab-net")
    with pytest.raises(UsageError, match=r"'lab-net' is asked for by name, and a model of your own.*name="):
        lab.score(["lab-net", taken], "lab.fit")


def test_a_glob_beside_a_model_of_ones_own_finds_what_is_installed(lab: Lab) -> None:
    mine = isocortex.wrap(lambda images: images.mean(axis=(1, 2)), modality="image", name="lab-nets")
    assert {result.model for result in lab.score(["lab-ne*", mine], "lab.fit")} == {"lab-net", "lab-nets"}


def test_weights_that_change_between_two_calls_are_seen(lab: Lab) -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 3))
    model = isocortex.wrap(net, modality="image", layers=["2"], name="net")
    (before,) = lab.score(model, "lab.fit")
    net[2].weight.data.neg_()  # behind the back of torch's own count of changes
    (after,) = lab.score(model, "lab.fit")
    assert before.digest != after.digest
    assert not after.cached


def test_weights_are_read_once_in_a_run(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 3))
    read: list[int] = []
    checksum = content.sha256_of
    monkeypatch.setattr(content, "tensor_content", lambda tensor: read.append(tensor.numel()) or ("t", checksum(b"")))
    results = lab.score(isocortex.wrap(net, modality="image", layers=["2"], name="net"), ["lab.fit", "lab.again"])
    assert [result.status for result in results] == ["scored"] * 2
    assert sorted(read) == [3, 9]


def test_a_function_that_changes_while_it_runs_keeps_one_place(lab: Lab) -> None:
    calls: list[int] = []

    def mean(images: np.ndarray) -> np.ndarray:
        calls.append(len(images))
        return images.mean(axis=(1, 2))

    model = isocortex.wrap(mean, modality="image", name="mine")
    (first,), (second,) = lab.score(model, "lab.fit"), lab.score(model, "lab.fit")
    assert first.digest == second.digest
    assert not second.cached
    assert len(lab.records("result.json")) == 1
