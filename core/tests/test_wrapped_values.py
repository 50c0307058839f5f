"""What functions return and modules give is kept as it is, or refused by name; no axis is guessed."""

# ruff: noqa: ARG005 - functions that do not use what they are given

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isocortex
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import IsocortexError, LayerError, PluginError, UsageError

N = 6
SOUNDS = np.random.default_rng(0).standard_normal((N, 60)).astype(np.float32)
IMAGES = np.random.default_rng(1).integers(0, 255, (N, 8, 8, 3), dtype=np.uint8)


def stimuli(modality: str) -> StimulusSet:
    rate = {"audio": 8000.0}.get(modality)
    arrays = SOUNDS if modality == "audio" else IMAGES
    return StimulusSet("s", modality, {f"s{n}": Stimulus(f"s{n}", modality, arrays[n], rate) for n in range(N)})


def features(computes: Any, reduction: str = "flatten", modality: str = "audio", **more: Any) -> Any:
    """The one layer of a wrapped model on all stimuli."""
    rate = {"sample_rate": 8000} if modality == "audio" else {}
    model = isocortex.wrap(computes, modality=modality, **{"name": "mine", **rate, **more})
    [found] = isocortex.extract(model, stimuli(modality), reduction=reduction, quiet=True).values()
    return found


# --- values of functions ----------------------------------------------------------------------------------------------


def _torch(change: Callable[[Any, Any], Any]) -> Callable[[np.ndarray], Any]:
    def run(sounds: np.ndarray) -> Any:
        torch = pytest.importorskip("torch")
        return change(torch, torch.from_numpy(sounds[:, :4]))

    return run


FIRST = SOUNDS[:, :4]
KEPT: dict[str, tuple[Callable[[np.ndarray], Any], np.ndarray]] = {
    "float64 at a large offset": (lambda s: s[:, :4].astype(float) + 1e9, FIRST.astype(float) + 1e9),
    "time stamps": (lambda s: (100 * s[:, :4]).astype(int) + 10**12, (100 * FIRST).astype(int) + 10**12),
    "truth values": (lambda s: s[:, :4] > 0, FIRST > 0),
    "small integers": (lambda s: (100 * s[:, :4]).astype(np.int16), (100 * FIRST).astype(np.int16)),
    "half precision": (lambda s: s[:, :4].astype(np.float16), FIRST.astype(np.float16)),
    "one value each": (lambda s: s.mean(axis=1), SOUNDS.mean(axis=1, keepdims=True)),
    "a list": (lambda s: s[:, :4].tolist(), FIRST),
    "masks without a masked value": (lambda s: np.ma.masked_array(s[:, :4]), FIRST),
    "a tensor with a gradient": (_torch(lambda torch, x: x * torch.nn.Parameter(torch.ones(1))), FIRST),
    "a sparse tensor": (_torch(lambda torch, x: x.to_sparse()), FIRST),
    "a tensor of 64-bit integers": (
        _torch(lambda torch, x: (100 * x).long() + 2**40),
        (100 * FIRST).astype(int) + 2**40,
    ),
    "a list of tensors": (_torch(lambda torch, x: list(x)), FIRST),
}


@pytest.mark.parametrize("what", KEPT)
def test_values_of_functions_are_kept(what: str) -> None:
    function, right = KEPT[what]
    found = features(function).array([f"s{n}" for n in range(N)])
    spread = np.ptp(np.asarray(right, dtype=np.float64), axis=0)
    np.testing.assert_allclose(found, right, rtol=0, atol=1e-4 * max(spread.min(), 1e-6))


def test_bfloat16_is_kept() -> None:
    torch = pytest.importorskip("torch")
    found = features(_torch(lambda torch, x: x.bfloat16())).array([f"s{n}" for n in range(N)])
    np.testing.assert_array_equal(found, torch.from_numpy(FIRST).bfloat16().float().numpy())


def test_double_precision_survives_a_mean_over_time_and_a_projection() -> None:
    def offset(sounds: np.ndarray) -> np.ndarray:
        return sounds.reshape(-1, 3, 20).astype(float) + 1e9

    right = SOUNDS.reshape(N, 3, 20).astype(float).mean(axis=2) + 1e9
    for function in (offset, lambda sounds: pytest.importorskip("torch").from_numpy(offset(sounds))):
        found = features(function, "time-mean", axes=("channel", "time"))
        np.testing.assert_allclose(found.array([f"s{n}" for n in range(N)]), right, rtol=0, atol=1e-5)


class Unreadable:
    def __array__(self, *_: Any, **__: Any) -> Any:
        raise ValueError("it lies elsewhere")


REFUSED: dict[str, tuple[Callable[[np.ndarray], Any], str]] = {
    "complex": (lambda s: s.astype(complex), "'output' gave complex numbers"),
    "masked": (lambda s: np.ma.masked_less(s[:, :4], 0), "masked values.*Fill them"),
    "masked rows": (lambda s: list(np.ma.masked_less(s[:, :4], 0)), "masked values.*Fill them"),
    "integers beyond 2^53": (lambda s: (100 * s[:, :4]).astype(int) + 2**60, "int64 values that double precision"),
    "very large": (lambda s: s[:, :4].astype(float) * 1e160, r"of the order \d+e[+]160.*Multiply"),
    "very small": (lambda s: s[:, :4].astype(float) * 1e-160, r"of the order \d+e-160.*Multiply"),
    "not a number": (lambda s: np.where(s > 0, s, np.nan), "not finite"),
    "overflow of half precision": (lambda s: (1e6 * s).astype(np.float16), "not finite"),
    "nothing": (lambda s: None, "mine returned None; expected features"),
    "a text": (lambda s: "text", "mine returned a text"),
    "a tuple": (lambda s: (s, s), "a tuple of 2.*say which"),
    "a generator": (lambda s: (row for row in s), "a generator; expected features"),
    "rows of two lengths": (
        lambda s: [row[: 4 + place] for place, row in enumerate([*s, s[0]])],
        "list that is no array",
    ),
    "objects": (lambda s: np.array([object()] * len(s)), "object values"),
    "one number": (lambda s: s.mean(), "one value for a batch"),
    "an array that fails": (lambda s: Unreadable(), "Unreadable that is no array.*it lies elsewhere"),
    "an error": (lambda s: 1 / 0, r"mine failed in <lambda> \(test_wrapped_values.py, line \d+\): ZeroDivisionError"),
    "the end of the process": (lambda s: exit(3), "mine failed.*SystemExit"),
    "too few rows": (lambda s: s[:0], "gave 0 rows for a batch of 1"),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.filterwarnings("ignore:overflow")
def test_values_that_cannot_be_kept_are_refused_by_name(what: str) -> None:
    function, message = REFUSED[what]
    with pytest.raises(IsocortexError, match=message):
        features(function)


def test_a_table_with_texts_is_refused_and_one_of_numbers_taken() -> None:
    pd = pytest.importorskip("pandas")
    found = features(lambda s: pd.DataFrame(s[:, :4])).array([f"s{n}" for n in range(N)])
    np.testing.assert_array_equal(found, FIRST)
    with pytest.raises(PluginError, match=r"columns that hold no numbers \(b\)"):
        features(lambda s: pd.DataFrame({"a": s[:, 0], "b": "x"}))


# --- axes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 20), (3, 4, 5), (3, 2, 2, 5)])
@pytest.mark.parametrize(("modality", "reduction"), [("audio", "time-mean"), ("audio", "spatial-mean+time-max")])
def test_axes_of_a_function_are_asked_for_where_they_decide_a_number(
    shape: tuple[int, ...], modality: str, reduction: str
) -> None:
    def frames(sounds: np.ndarray) -> np.ndarray:
        return sounds.reshape(len(sounds), *shape)

    wanted = ", ".join(map(str, ("n_stimuli", *shape)))
    asked = re.escape(f"'output' gave ({wanted}), and '{reduction}' has to know which axis is time")
    with pytest.raises(PluginError, match=asked):
        features(frames, reduction, modality)
    found = features(frames, "flatten", modality).array([f"s{n}" for n in range(N)])
    np.testing.assert_array_equal(found, SOUNDS)
    named = ("unit",) * (len(shape) - 1) + ("time",)
    for axes in (named, {"out*": named}):
        found = features(frames, "time-mean", modality, axes=axes).array([f"s{n}" for n in range(N)])
        np.testing.assert_allclose(found, SOUNDS.reshape(N, *shape).mean(-1).reshape(N, -1), atol=1e-6)


def test_one_name_of_an_axis_may_be_a_text() -> None:
    found = features(lambda sounds: sounds, "time-mean", axes="time").array([f"s{n}" for n in range(N)])
    np.testing.assert_allclose(found, SOUNDS.mean(axis=1, keepdims=True), atol=1e-6)


def _kinds() -> dict[str, tuple[Any, str, Callable[[Any, Any], Any], str]]:
    """Module, layer, what it gives on average over time (batch first) by torch alone, and the kind that is said."""
    import torch
    from torch import nn

    torch.manual_seed(0)

    class Fed(nn.Module):
        """Frames of ten samples, batch first or time first."""

        def __init__(self, inner: nn.Module, time_first: bool = False) -> None:
            super().__init__()
            self.inner, self.time_first = inner, time_first
            self.out = nn.Identity()

        def forward(self, sounds: Any) -> Any:
            frames = sounds.reshape(len(sounds), -1, 10)
            frames = frames.transpose(0, 1) if self.time_first else frames
            attends = isinstance(self.inner, nn.MultiheadAttention)
            return self.inner(frames, frames, frames) if attends else self.inner(frames)

    class Wave(nn.Module):
        def __init__(self, *inner: nn.Module) -> None:
            super().__init__()
            self.inner = nn.Sequential(*inner)

        def forward(self, sounds: Any) -> Any:
            return self.inner(sounds[:, None])

    conv, words = nn.Conv1d(1, 4, 5), nn.Embedding(5, 3)

    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = words

        def forward(self, sounds: Any) -> Any:
            return self.words(sounds.abs().long().clamp(0, 4))

    def first(given: Any) -> Any:
        return given[0] if isinstance(given, tuple) else given

    recurrent, last = nn.GRU(10, 6, batch_first=True), nn.LSTM(10, 6)
    attention, block = nn.MultiheadAttention(10, 2), nn.TransformerEncoderLayer(10, 2, 8, dropout=0, batch_first=True)
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(10, 2, 8, dropout=0), 2)
    return {
        "conv": (Wave(conv), "inner.0", lambda net, x: conv(x[:, None]).mean(2), "Conv1d"),
        "after conv": (Wave(conv, nn.ReLU()), "inner.1", lambda net, x: conv(x[:, None]).relu().mean(2), "Conv1d"),
        "nested": (
            Wave(nn.Sequential(conv), nn.Sequential(nn.Tanh())),
            "inner.1",
            lambda net, x: conv(x[:, None]).tanh().mean(2),
            "Conv1d",
        ),
        "gru": (Fed(recurrent), "inner[0]", lambda net, x: first(net(x)).mean(1), "GRU(batch_first=True)"),
        "lstm": (Fed(last, True), "inner", lambda net, x: first(net(x)).mean(0), "LSTM(batch_first=False)"),
        "hidden": (Fed(last, True), "inner[1][0]", lambda net, x: net(x)[1][0].transpose(0, 1).flatten(1), "LSTM"),
        "attention": (Fed(attention, True), "inner[0]", lambda net, x: first(net(x)).mean(0), "MultiheadAttention"),
        "block": (Fed(block), "inner", lambda net, x: net(x).mean(1), "TransformerEncoderLayer(batch_first=True)"),
        "encoder": (
            Fed(encoder, True),
            "inner",
            lambda net, x: net(x).mean(0),
            "TransformerEncoder(batch_first=False)",
        ),
        "embedding": (Words(), "words", lambda net, x: net(x).mean(1), "Embedding"),
    }


@pytest.mark.parametrize(
    "kind",
    ["conv", "after conv", "nested", "gru", "lstm", "hidden", "attention", "block", "encoder", "embedding"],
)
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_axes_of_a_module_are_those_of_its_kind_and_it_is_said(kind: str) -> None:
    torch = pytest.importorskip("torch")
    net, layer, mean, said = _kinds()[kind]
    found = features(net.eval(), "time-mean", layers=[layer])
    with torch.no_grad():
        right = mean(net, torch.from_numpy(SOUNDS)).numpy()
    np.testing.assert_allclose(found.array([f"s{n}" for n in range(N)]), right, atol=1e-5)
    assert any(f"axes of layer {layer} were taken" in text and said in text for text in found.warnings)
    assert not any("were taken for" in text for text in features(net, "flatten", layers=[layer]).warnings)


def test_axes_that_the_kind_does_not_say_are_asked_for() -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    cases: list[tuple[Any, Callable[..., Any], str, str, str]] = [
        (nn.Linear(10, 3), lambda s: s.reshape(len(s), -1, 10), "audio", "time-mean", "which axis is time"),
        (nn.Conv2d(1, 2, 3), lambda s: s.reshape(len(s), 1, 6, 10), "audio", "time-mean", "which axis is time"),
        (nn.Conv3d(1, 2, 2), lambda s: s.reshape(len(s), 1, 3, 4, 5), "audio", "time-mean", "which axis is time"),
        (nn.Linear(3, 2), lambda i: (i / 255).astype("float32"), "image", "spatial-mean", "is height and which width"),
    ]
    for inner, preprocess, modality, reduction, message in cases:
        with pytest.raises(PluginError, match=message):
            features(nn.Sequential(inner), reduction, modality, layers=["0"], preprocess=preprocess)
    conv = nn.Sequential(nn.Conv2d(3, 2, 3))
    found = features(conv, "spatial-mean", "image", layers=["0"])
    pixels = torch.from_numpy(IMAGES.transpose(0, 3, 1, 2) / 255).float()
    np.testing.assert_allclose(found.array(), conv(pixels).mean((2, 3)).detach(), atol=1e-5)


def test_a_batch_that_a_module_takes_for_channels_is_refused() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(PluginError, match=r"Conv1d.*took the stimuli for one.*sounds\[:, None\]"):
        features(torch.nn.Sequential(torch.nn.Conv1d(1, 1, 3)), "time-mean", layers=["0"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"axes": ("Time",)}, "'Time' is no axis that a reduction finds. Did you mean time"),
        ({"axes": ("time", "time")}, "several axes are called time"),
        ({"axes": 3}, "axes= are names; found 3"),
        ({"axes": {"other": ("time",)}}, "axes= names other, but the layers are output"),
        ({"layers": {"output": "abc"}}, "expected a list of the names of its units"),
        ({"layers": [1]}, "layers= are names, which are texts; found 1"),
        ({"name": "a@b"}, "'a@b' holds '@'"),
        ({"name": "all*"}, r"holds '\*'"),
        ({"name": ""}, "name= is a text"),
        ({"name": "x" * 300}, "too long"),
        ({"digest": 5}, "digest= is a text"),
        ({"modality": "Audio"}, "Did you mean audio"),
        ({"modality": "image", "sample_rate": 8000}, "sample_rate= is for sounds"),
        *(({"sample_rate": rate}, "sample_rate=") for rate in ("8000", 0, -1, float("nan"), float("inf"), True, None)),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        isocortex.wrap(lambda sounds: sounds, **{"modality": "audio", "sample_rate": 8000, **more})


def test_what_is_no_function_is_refused() -> None:
    for wrong, message in (
        (np.ones(3), "found ndarray"),
        (dict, r"the class dict\. Make an instance"),
        ("x", "found str"),
    ):
        with pytest.raises(UsageError, match=message):
            isocortex.wrap(wrong, modality="image")
    for wrong in (lambda images: images, 5, [np.ones(3)]):
        with pytest.raises(UsageError, match=r"what isocortex\.wrap made"):
            isocortex.score(wrong, "folder:x:ridge")  # type: ignore[arg-type]


def test_axes_of_modules_that_are_not_there_are_refused() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(LayerError, match="axes= names conv, which are no modules of mine"):
        features(torch.nn.Sequential(torch.nn.Identity()), layers=["0"], axes={"conv": ("time",)})
