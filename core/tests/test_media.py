from __future__ import annotations

import wave
from fractions import Fraction
from math import ceil, floor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, strategies as st
from PIL import Image

from isocortex.data.media import READERS, SUFFIXES, resample
from isocortex.data.pictures import read_image
from isocortex.data.sounds import read_audio
from isocortex.errors import DataError, PluginError

RATE = 16000


def tone(n_samples: int = 4000) -> np.ndarray:
    return (0.5 * np.sin(np.arange(n_samples) * 0.1)).astype(np.float32)


# --- sounds -----------------------------------------------------------------------------------------------------------


def test_pcm16_is_scaled_by_two_to_the_fifteen(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    values = np.array([0, 1, -1, 32767, -32768, 12345], dtype="<i2")
    with wave.open(str(path), "wb") as file:  # the standard library, not the reader under test
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(values.tobytes())
    samples, rate = read_audio(path)
    assert rate == 44100.0
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, values.astype(np.float64) / 32768)


def test_stereo_keeps_its_channels_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    values = np.arange(20, dtype="<i2").reshape(10, 2)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(values.tobytes())
    samples, _ = read_audio(path)
    np.testing.assert_array_equal(samples, values / 32768)


@pytest.mark.parametrize(("suffix", "tolerance"), [(".flac", 2**-15), (".aiff", 2**-15), (".ogg", 0.05), (".mp3", 0.1)])
def test_other_formats_give_the_same_sound(tmp_path: Path, suffix: str, tolerance: float) -> None:
    assert suffix in SUFFIXES["audio"]
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, tone(), RATE)
    samples, rate = read_audio(path)
    assert rate == RATE
    assert samples.shape == (4000,)
    np.testing.assert_allclose(samples, tone(), atol=tolerance)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".aiff", ".mp3"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.999])
def test_truncated_sounds_are_refused(tmp_path: Path, suffix: str, share: float) -> None:
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    soundfile.write(whole, tone(20_000), RATE)
    content = whole.read_bytes()
    cut.write_bytes(content[: int(len(content) * share)])
    read_audio(whole)
    with pytest.raises(DataError, match=rf"cut\{suffix}"):
        read_audio(cut)


def test_truncated_ogg_is_refused(tmp_path: Path) -> None:
    """A cut Ogg stream ends without a page that is marked as the last one."""
    whole, cut = tmp_path / "whole.ogg", tmp_path / "cut.ogg"
    noise = 0.1 * np.random.default_rng(0).standard_normal(160_000)
    soundfile.write(whole, noise, RATE)
    content = whole.read_bytes()
    read_audio(whole)
    cut.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cut\.ogg"):
        read_audio(cut)


def test_truncated_wav_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    soundfile.write(path, tone(1000), RATE, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"cut.wav is truncated"):
        read_audio(path)


def test_every_shortening_of_a_wav_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    soundfile.write(path, tone(40), RATE, subtype="PCM_16")
    content = path.read_bytes()
    assert len(content) == 124
    for n_bytes in range(len(content)):
        path.write_bytes(content[:n_bytes])
        with pytest.raises(DataError):
            read_audio(path)


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2)


def _wav(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


FORMAT = _chunk(b"fmt ", bytes.fromhex("0100 0100 803e0000 007d0000 0200 1000"))
FOUR = _chunk(b"data", np.array([1, 2, 3, 4], dtype="<i2").tobytes())


def test_chunks_around_the_sound_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    odd = _chunk(b"LIST", b"INFO odd")[:-1] + b"\0"
    for content in (_wav(FORMAT, FOUR), _wav(FORMAT, _chunk(b"junk", b"abc"), FOUR), _wav(FORMAT, FOUR, odd)):
        path.write_bytes(content)
        samples, rate = read_audio(path)
        np.testing.assert_array_equal(samples * 32768, [1, 2, 3, 4])
        assert rate == 16000


def test_a_truncated_sound_is_refused_behind_other_chunks(tmp_path: Path) -> None:
    """Chunks of odd length are padded by one byte."""
    path = tmp_path / "cut.wav"
    path.write_bytes(_wav(FORMAT, _chunk(b"junk", b"abc"), FOUR)[:-2])
    with pytest.raises(DataError, match=r"cut.wav is truncated"):
        read_audio(path)


def test_a_stream_of_open_length_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    stream = FOUR.replace((8).to_bytes(4, "little"), b"\xff\xff\xff\xff")
    path.write_bytes(b"RIFF\xff\xff\xff\xffWAVE" + FORMAT + stream)
    np.testing.assert_array_equal(read_audio(path)[0] * 32768, [1, 2, 3, 4])


@pytest.mark.parametrize("content", [b"", b"RIFF", b"hello, this is text\n" * 50, b"\0" * 5000, b"\x89PNG\r\n\x1a\n"])
def test_what_is_not_audio_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "speech.wav"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"speech\.wav cannot be read as audio .* Expected a sound file"):
        read_audio(path)


def test_absent_sounds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.wav cannot be read as audio"):
        read_audio(tmp_path / "absent.wav")


def test_a_sound_without_samples_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    soundfile.write(path, np.zeros(0), RATE)
    with pytest.raises(DataError, match=r"empty\.wav holds no samples"):
        read_audio(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    path = tmp_path / "float.wav"
    samples = tone(100)
    samples[17] = value
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    with pytest.raises(DataError, match="not finite"):
        read_audio(path)


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=50), st.sampled_from([8000, 20000, 44100]))
def test_any_pcm_sound_comes_back(tmp_path_factory: pytest.TempPathFactory, values: list[int], rate: int) -> None:
    path = tmp_path_factory.mktemp("pcm") / "a.wav"
    soundfile.write(path, np.array(values, dtype=np.int16), rate, subtype="PCM_16")
    samples, found = read_audio(path)
    assert found == rate
    assert (samples.astype(np.float64) * 32768).tolist() == values


# --- images -----------------------------------------------------------------------------------------------------------


def noise_image(shape: tuple[int, ...] = (12, 15, 3)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff"])
def test_lossless_images_come_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(noise_image()).save(path)
    array, rate = read_image(path)
    assert rate is None
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, noise_image())


def test_jpeg_comes_back_nearly(tmp_path: Path) -> None:
    smooth = np.broadcast_to(np.linspace(0, 255, 32)[:, None, None], (32, 48, 3)).astype(np.uint8)
    for suffix in (".jpg", ".jpeg", ".webp"):
        path = tmp_path / f"a{suffix}"
        Image.fromarray(smooth).save(path, quality=95)
        np.testing.assert_allclose(read_image(path)[0].astype(int), smooth, atol=8)


def test_grey_is_repeated_over_the_channels(tmp_path: Path) -> None:
    grey = noise_image((7, 9))
    Image.fromarray(grey).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0], np.repeat(grey[..., None], 3, axis=2))


def test_palette_is_looked_up(tmp_path: Path) -> None:
    index = np.array([[0, 1], [2, 1]], dtype=np.uint8)
    image = Image.fromarray(index, mode="P")
    colours = [(10, 20, 30), (200, 100, 0), (5, 6, 7)]
    image.putpalette([channel for colour in colours for channel in colour])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0], np.array(colours, dtype=np.uint8)[index])


def test_black_and_white_bits(tmp_path: Path) -> None:
    bits = np.array([[True, False], [False, True]])
    Image.fromarray(bits).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0][..., 1], [[255, 0], [0, 255]])


def _on_grey(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return share * colour + (1 - share) * 128


def test_transparency_is_laid_on_mid_grey(tmp_path: Path) -> None:
    rgba = noise_image((9, 11, 4))
    rgba[0, 0, 3], rgba[0, 1, 3] = 0, 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    array, _ = read_image(tmp_path / "a.png")
    assert array.shape == (9, 11, 3)
    assert array[0, 0].tolist() == [128, 128, 128]
    assert array[0, 1].tolist() == rgba[0, 1, :3].tolist()
    np.testing.assert_allclose(array, _on_grey(rgba[..., :3].astype(float), rgba[..., 3]), atol=1)


def test_grey_with_transparency(tmp_path: Path) -> None:
    pair = noise_image((5, 6, 2))
    Image.fromarray(pair, mode="LA").save(tmp_path / "a.png")
    expected = _on_grey(np.repeat(pair[..., :1], 3, axis=2).astype(float), pair[..., 1])
    np.testing.assert_allclose(read_image(tmp_path / "a.png")[0], expected, atol=1)


def test_a_transparent_palette_entry_and_a_transparent_colour(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), mode="P")
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.save(tmp_path / "palette.png", transparency=0)
    assert read_image(tmp_path / "palette.png")[0].tolist() == [[[128, 128, 128], [200, 100, 0]]]
    Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8)).save(
        tmp_path / "rgb.png", transparency=(1, 2, 3)
    )
    assert read_image(tmp_path / "rgb.png")[0].tolist() == [[[128, 128, 128], [4, 5, 6]]]


def test_sixteen_bit_grey_is_scaled_not_saturated(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_image(tmp_path / "a.png")[0][..., 0], ramp / 257, atol=1)


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_images_of_an_unknown_range_are_refused(tmp_path: Path, dtype: str) -> None:
    """Cutting 32-bit values to 0 … 255 would turn them into noise without a word."""
    Image.fromarray(np.linspace(0, 1000, 64).astype(dtype).reshape(8, 8)).save(tmp_path / "deep.tif")
    with pytest.raises(DataError, match=r"deep\.tif"):
        read_image(tmp_path / "deep.tif")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp"])
def test_truncated_images_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut{suffix}"
    Image.fromarray(noise_image((40, 40, 3))).save(path)
    content = path.read_bytes()
    for share in (0.0, 0.05, 0.3, 0.6, 0.9, 0.99):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(DataError, match=rf"cut\{suffix} cannot be read as an image"):
            read_image(path)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp"])
def test_damaged_images_give_an_image_or_a_data_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"damaged{suffix}"
    Image.fromarray(noise_image()).save(path)
    content = path.read_bytes()
    stream = np.random.default_rng(1)
    n_refused = 0
    for _ in range(60):
        damaged = bytearray(content)
        for place in stream.integers(0, len(content), 6):
            damaged[place] = stream.integers(256)
        path.write_bytes(damaged)
        try:
            array, _ = read_image(path)
        except DataError:
            n_refused += 1
        else:
            assert array.ndim == 3
            assert array.shape[2] == 3
    assert suffix == ".bmp" or n_refused > 5


def test_an_image_too_large_to_be_true_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.png"
    Image.fromarray(noise_image()).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(DataError, match=r"bomb\.png"):
        read_image(path)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"RIFF____WAVEfmt "])
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "face.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"face\.png cannot be read as an image"):
        read_image(path)
    with pytest.raises(DataError, match=r"absent\.png"):
        read_image(tmp_path / "absent.png")


# --- both -------------------------------------------------------------------------------------------------------------


def test_readers_and_suffixes_are_of_the_same_modalities() -> None:
    assert set(READERS) == set(SUFFIXES) == {"audio", "image"}


def test_resampling_to_the_same_rate_changes_nothing() -> None:
    waveform = tone()
    assert resample(waveform, RATE, RATE) is waveform


@pytest.mark.parametrize("how", ["soxr", "polyphase"])
@pytest.mark.parametrize(("rate", "wanted"), [(44100, 16000), (16000, 44100), (48000, 16000), (8000, 20000)])
def test_resampling_keeps_a_tone(rate: int, wanted: int, how: str) -> None:
    """A 440 Hz tone of one second, against the same tone sampled at the wanted rate."""
    at = [np.sin(2 * np.pi * 440 * np.arange(n) / n) for n in (rate, wanted)]
    resampled = resample(at[0].astype(np.float32), rate, wanted, how)
    assert resampled.dtype == np.float32
    assert resampled.shape == (Fraction(wanted, rate) * rate,)
    inner = slice(wanted // 20, -wanted // 20)
    np.testing.assert_allclose(resampled[inner], at[1][inner], atol=1e-4 if how == "soxr" else 2e-3)


@pytest.mark.parametrize("n_samples", [1, 2, 100, 441, 44100, 12345])
@pytest.mark.parametrize(
    ("rate", "wanted"), [(44100.0, 16000.0), (44100.0, 20000.0), (16000.0, 44100.0), (22050.0, 8000.0)]
)
def test_resampled_sounds_have_the_length_that_is_said(n_samples: int, rate: float, wanted: float) -> None:
    exact = Fraction(n_samples) * Fraction(wanted) / Fraction(rate)
    waveform = np.ones(n_samples, dtype=np.float32)
    assert len(resample(waveform, rate, wanted)) == floor(exact + Fraction(1, 2))
    assert len(resample(waveform, rate, wanted, "polyphase")) == ceil(exact)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_polyphase_is_scipys_by_the_reduced_ratio_in_double_precision(dtype: str) -> None:
    from scipy.signal import resample_poly

    waveform = np.random.default_rng(0).normal(0, 0.1, (4410, 2)).astype(dtype)
    expected = resample_poly(waveform.astype(np.float64), 200, 441)
    found = resample(waveform, 44100.0, 20000.0, "polyphase")
    assert found.dtype == ("float64" if dtype == "float64" else "float32")
    np.testing.assert_array_equal(found, expected.astype(found.dtype))


def test_what_cannot_be_resampled_is_said() -> None:
    with pytest.raises(DataError, match=r"floating point.*int16"):
        resample(np.zeros(10, dtype=np.int16), RATE, 8000)
    with pytest.raises(PluginError, match=r"'linear' is no resampler\. Expected one of soxr, polyphase"):
        resample(tone(), RATE, 8000, "linear")


def test_resampling_removes_what_the_new_rate_cannot_hold() -> None:
    high = np.sin(2 * np.pi * 10_000 * np.arange(44100) / 44100).astype(np.float32)
    assert np.abs(resample(high, 44100, 16000)[800:-800]).max() < 1e-3


def test_resampling_keeps_channels() -> None:
    both = np.stack([tone(), -2 * tone()], axis=1)
    resampled = resample(both, RATE, 8000)
    assert resampled.shape == (2000, 2)
    np.testing.assert_allclose(resampled[:, 1], -2 * resampled[:, 0], atol=1e-6)
