"""Cochleagrams in torch against numpy, stored outputs of the published code, Pillow and finite differences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from isocortex.errors import DataError  # noqa: E402
from isocortex_baselines import cochleagram as numpys  # noqa: E402
from isocortex_baselines.envelopes import EnvelopePlan  # noqa: E402
from isocortex_baselines.erb import BankSettings, erb_filter_bank  # noqa: E402
from isocortex_baselines.sounds import prepare_cochcnn9, prepare_kell2018  # noqa: E402
from isocortex_cochnets import bands, cochleagrams  # noqa: E402

REPOSITORY = Path(__file__).parents[3]
Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sounds(rate: int) -> dict[str, Array]:
    stream = np.random.default_rng(0)
    time = np.arange(2 * rate) / rate
    noise, click = stream.standard_normal(2 * rate), np.zeros(2 * rate)
    click[rate] = 1.0
    return {
        "noise": 0.2 * noise,
        "tone": 0.4 * np.sin(2 * np.pi * 440 * time) * (1 + np.sin(2 * np.pi * 4 * time)),
        "short": 0.2 * noise[: rate // 2],
        "click": click,
        "silence": np.zeros(2 * rate),
    }


def cochcnn9_waveforms() -> Array:
    return np.stack([prepare_cochcnn9(sound, 20_000) for sound in sounds(20_000).values()]).astype(np.float32)


def kell2018_waveforms() -> Array:
    return np.stack([prepare_kell2018(sound, 16_000) for sound in sounds(16_000).values()]).astype(np.float32)


# --- against numpy


def test_cochcnn9_equals_numpy() -> None:
    waveforms = cochcnn9_waveforms()
    expected = np.stack([numpys.cochleagram_cochcnn9(sound) for sound in waveforms])
    module = cochleagrams.CochCNN9Cochleagram()
    found = module(torch.from_numpy(waveforms))
    assert found.shape == (5, 1, 211, 390)
    assert found.dtype == torch.float32
    assert np.abs(found[:, 0].numpy() - expected).max() <= 1e-7
    exact = module.compressed(torch.from_numpy(waveforms)).numpy()
    assert np.abs(exact - expected).max() <= 1e-10


def stretched(image: Array) -> Array:
    """To 0 .. 255; silence stays 0."""
    spread = image.max() - image.min()
    return 255.0 * (1.0 - (image.max() - image) / spread) if spread else np.zeros_like(image)


def resized(image: Array) -> Array:
    """By Pillow, as the published demonstration does."""
    from PIL import Image

    return np.array(Image.fromarray(image.astype(np.float32)).resize((256, 256), Image.Resampling.LANCZOS))


def test_kell2018_equals_numpy() -> None:
    waveforms = kell2018_waveforms()
    expected = np.stack([numpys.cochleagram_kell2018(sound) for sound in waveforms])
    images = np.stack([resized(stretched(each)) for each in expected])
    module = cochleagrams.Kell2018Cochleagram()
    exact = module.compressed(torch.from_numpy(waveforms)).numpy()
    assert np.abs(exact[:-1] - expected[:-1]).max() <= 1e-7
    assert not exact[-1].any()
    found = module(torch.from_numpy(waveforms))
    assert found.shape == (5, 1, 256, 256)
    assert np.abs(found[:, 0].numpy() - images).max() <= 1e-4  # of 255; Pillow resizes in single precision
    assert not found[-1].any()


@pytest.mark.parametrize("n_samples", [5000, 20_001])
def test_other_lengths_equal_numpy(n_samples: int) -> None:
    sound = np.random.default_rng(n_samples).standard_normal(n_samples)
    plan = EnvelopePlan(erb_filter_bank(BankSettings(n_samples, 20_000, low=50.0, high=10_000.0)), n_samples)
    taps = numpys.cochcnn9_frames().taps
    n_frames = (n_samples - taps.size) // 100 + 1
    frames = numpys.FrameFilter(taps, 100, 0, n_frames)
    expected = np.stack([frames.apply(np.maximum(envelope, 1e-8)) for _, envelope in plan.envelopes(sound)])
    found = cochleagrams.CochCNN9Cochleagram().compressed(torch.from_numpy(sound)[None])[0].numpy()
    assert np.abs(found - (np.maximum(expected, 0) + 1e-8) ** 0.3).max() <= 1e-10


def test_resizing_equals_pillow() -> None:
    image = np.random.default_rng(0).random((211, 400))
    found = cochleagrams.lanczos(211, 256) @ image @ cochleagrams.lanczos(400, 256).T
    assert np.abs(found - resized(image)).max() <= 1e-6


# --- against the published code


def test_cochcnn9_equals_the_authors_stored_cochleagram() -> None:
    known = np.load(REPOSITORY / "tests" / "golden" / "models_chcochleagram_q63.npz")
    found = cochleagrams.CochCNN9Cochleagram()(torch.from_numpy(known["waveform_float32"])[None])
    assert np.abs(found[0, 0].numpy() - known["cochleagram"]).max() <= 1e-5


def test_kell2018_equals_the_published_pipeline() -> None:
    path = REPOSITORY.parent / "shared" / "golden" / "models_kell2018_demo.npz"
    if not path.is_file():
        pytest.skip("models_kell2018_demo.npz is not there: its sounds may not be redistributed")
    known = np.load(path)
    waveforms = np.stack([known[f"wav_{number}"] for number in (1, 6, 10)]).astype(np.float32)
    module = cochleagrams.Kell2018Cochleagram()
    exact = module.compressed(torch.from_numpy(waveforms)).numpy()
    images = module(torch.from_numpy(waveforms))[:, 0].numpy()
    for row, number in enumerate((1, 6, 10)):
        assert np.abs(exact[row] - known[f"coch211x400_{number}"]).max() <= 1e-6
        rounded = np.clip(np.round(images[row]), 0, 255)
        # a value within single-precision rounding of .5 may fall either way
        assert np.abs(rounded - known[f"coch256_uint8_{number}"]).max() <= 1
        assert np.mean(rounded != known[f"coch256_uint8_{number}"]) < 1e-3
    assert np.abs(images[0] - known["coch256_float32_1"]).max() <= 1e-4


# --- batches and gradients


def test_a_sound_does_not_depend_on_the_others_of_its_batch() -> None:
    waveforms = torch.from_numpy(cochcnn9_waveforms())
    module = cochleagrams.CochCNN9Cochleagram()
    together = module(waveforms)
    for place in (0, 2, 4):
        assert torch.equal(module(waveforms[place : place + 1])[0], together[place])


def test_many_sounds_at_once_equal_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    waveforms = torch.from_numpy(kell2018_waveforms())
    module = cochleagrams.Kell2018Cochleagram()
    one_by_one = module.compressed(waveforms)
    monkeypatch.setattr(cochleagrams, "POINTS_PER_THREAD", 4_000_000)
    at_once = module.compress(module._in_bands(waveforms.double()))
    assert (at_once - one_by_one).abs().max() <= 1e-9


@pytest.mark.parametrize("name", ["CochCNN9Cochleagram", "Kell2018Cochleagram"])
def test_gradients_equal_finite_differences(name: str) -> None:
    module = getattr(cochleagrams, name)()
    stream = np.random.default_rng(0)
    scale = 1.0 if name.startswith("CochCNN9") else 1000.0
    sound, direction, weight = (torch.from_numpy(stream.standard_normal(2400)) for _ in range(3))
    sound = scale * sound

    def value(waveform: Any) -> Any:
        out = module(waveform[None])
        return (out.flatten() * weight.repeat(out.numel() // 2400 + 1)[: out.numel()]).sum()

    leaf = sound.clone().requires_grad_()
    value(leaf).backward()
    step = 1e-6 * scale
    expected = (value(sound + step * direction) - value(sound - step * direction)) / (2 * step)
    assert torch.dot(leaf.grad, direction).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("name", ["CochCNN9Cochleagram", "Kell2018Cochleagram"])
def test_gradients_of_silence_are_finite(name: str) -> None:
    module = getattr(cochleagrams, name)()
    silence = torch.zeros(1, 2400, requires_grad=True)
    module(silence).sum().backward()
    assert torch.isfinite(silence.grad).all()


# --- shape of the module


def test_there_are_no_weights_and_filters_are_laid_out_once() -> None:
    module = cochleagrams.CochCNN9Cochleagram()
    assert not module.state_dict()
    bands.band_plan.cache_clear()
    for _ in range(2):
        module(torch.zeros(1, 3000))
    assert bands.band_plan.cache_info().misses == 1
    module(torch.zeros(1, 3001))
    assert bands.band_plan.cache_info().misses == 2


@pytest.mark.parametrize("shape", [(3000,), (1, 2, 3000), (1, 1000)])
def test_wrong_waveforms_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"Expected waveforms .* found shape"):
        cochleagrams.CochCNN9Cochleagram()(torch.zeros(shape))
