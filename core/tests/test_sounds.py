"""Sounds of every container: whole and right, or refused; never a part of one, and never on another scale."""

from __future__ import annotations

import io
import itertools
import re
import struct
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from isocortex.data.sounds import notes_on_sounds, read_audio
from isocortex.data.stimuli import StimulusSet
from isocortex.errors import DataError

RATE = 16000
TIME = np.arange(8001) / RATE
SWEEP = 0.4 * np.sin(2 * np.pi * (300 * TIME + 900 * TIME**2)) * (0.2 + np.sin(9 * TIME) ** 2)
SOUND = SWEEP + 0.003 * np.random.default_rng(0).standard_normal(8001)
PCM = np.rint(SOUND * 32767).astype("<i2")


def written(sound: np.ndarray = SOUND, **options: object) -> bytearray:
    file = io.BytesIO()
    soundfile.write(file, sound, RATE, **options)  # type: ignore[arg-type]
    return bytearray(file.getvalue())


def chunk(name: bytes, body: bytes, n_bytes: int | None = None) -> bytes:
    length = len(body) if n_bytes is None else n_bytes
    return name + struct.pack("<I", length) + body + b"\0" * (len(body) % 2)


def riff(*chunks: bytes, n_bytes: int | None = None, name: bytes = b"RIFF") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return name + struct.pack("<I", len(body) if n_bytes is None else n_bytes) + body


def format_chunk(tag: int = 1, channels: int = 1, bits: int = 16) -> bytes:
    block = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, RATE, RATE * block, block, bits))


FORMAT, DATA, FLOATS = format_chunk(), PCM.tobytes(), SOUND.astype("<f4").tobytes()


def wav(n_bytes: int | None = None, *, data: bytes = DATA, form: int | None = None, behind: bytes = b"") -> bytes:
    return riff(FORMAT, chunk(b"data", data, n_bytes), behind, n_bytes=form)


def rf64(n_data: int, n_bytes: int = 0xFFFFFFFF, data: bytes = DATA) -> bytes:
    long = chunk(b"ds64", struct.pack("<QQQI", len(data) + 72, n_data, len(data) // 2, 0))
    return riff(long, FORMAT, chunk(b"data", data, n_bytes), n_bytes=0xFFFFFFFF, name=b"RF64")


def big_endian_wav() -> bytes:
    def one(name: bytes, body: bytes) -> bytes:
        return name + struct.pack(">I", len(body)) + body

    body = one(b"fmt ", struct.pack(">HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)) + one(b"data", PCM.astype(">i2").tobytes())
    return b"RIFX" + struct.pack(">I", len(body) + 4) + b"WAVE" + body


def aiff(frames: int = 8001, sound: int | None = None, form: int | None = None, data: bytes | None = None) -> bytes:
    def one(name: bytes, body: bytes, n_bytes: int | None = None) -> bytes:
        return name + struct.pack(">I", len(body) if n_bytes is None else n_bytes) + body

    rate = struct.pack(">HQ", 16383 + 13, RATE << 50)  # an 80-bit float
    held = PCM.astype(">i2").tobytes() if data is None else data
    body = one(b"COMM", struct.pack(">HIH", 1, frames, 16) + rate) + one(b"SSND", bytes(8) + held, sound)
    return b"FORM" + struct.pack(">I", len(body) + 4 if form is None else form) + b"AIFF" + body


def nist(n: int = 8001) -> bytes:
    head = (
        f"NIST_1A\n   1024\nchannel_count -i 1\nsample_rate -i {RATE}\nsample_n_bytes -i 2\nsample_byte_format -s2 01\n"
    )
    head += f"sample_sig_bits -i 16\nsample_coding -s3 pcm\nsample_count -i {n}\nend_head\n"
    return head.encode().ljust(1024) + DATA


def flac_without_length(content: bytes | None = None) -> bytes:
    changed = bytearray(written(format="FLAC") if content is None else content)
    changed[21] &= 0xF0
    changed[22:26] = bytes(4)
    return bytes(changed)


def mp3_frames(content: bytes) -> list[bytes]:
    """The frames, by the table of bit rates of MPEG 2."""
    rates = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160]
    frames, place = [], 0
    while place < len(content):
        assert content[place] == 0xFF
        length = 72 * rates[content[place + 2] >> 4] * 1000 // RATE + (content[place + 2] >> 1 & 1)
        frames.append(bytes(content[place : place + length]))
        place += length
    return frames


MP3 = bytes(written(format="MP3"))
FRAMES = mp3_frames(MP3)
OGG, OPUS = (
    bytes(written(np.tile(SOUND, 6), format="OGG")),
    bytes(written(np.tile(SOUND, 6), format="OGG", subtype="OPUS")),
)
FLAC, W64 = bytes(written(format="FLAC")), bytes(written(format="W64", subtype="PCM_16"))
ADPCM = bytes(written(format="WAV", subtype="MS_ADPCM"))
LONG = bytes(written(np.tile(SOUND, 5), format="WAV", subtype="MS_ADPCM"))


def pages(content: bytes) -> list[bytes]:
    places = [found.start() for found in re.finditer(b"OggS", content)] + [len(content)]
    return [content[one:two] for one, two in itertools.pairwise(places)]


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]


def without(parts: list[bytes], place: int) -> bytes:
    return b"".join(part for number, part in enumerate(parts) if number != place % len(parts))


LIST = chunk(b"LIST", b"INFOISFT" + struct.pack("<I", 4) + b"abc\0")
ID3_TAG = b"ID3\x04\0\0\0\0\x02\0" + bytes(256)

#: what it is → the file, and what must be read of it: PCM as it was written, or within a tolerance
WHOLE: dict[str, tuple[bytes, float]] = {
    "wav": (wav(), 0),
    "wav, list before": (riff(FORMAT, LIST, chunk(b"data", DATA)), 0),
    "wav, list behind": (wav(behind=LIST), 0),
    "wav, wrong size of the form": (wav(form=36), 0),
    "wav, size of the form 0": (wav(form=0), 0),
    "wav, a byte more": (wav(behind=b"\0"), 0),
    "rifx": (big_endian_wav(), 0),
    "rf64": (rf64(len(DATA)), 0),
    "rf64 as soundfile has it": (bytes(written(format="RF64", subtype="PCM_16")), 2**-15),
    "wavex, 24 bits": (bytes(written(format="WAVEX", subtype="PCM_24")), 2**-23),
    "wav, 32 bits": (bytes(written(format="WAV", subtype="PCM_32")), 2**-24),
    "wav, 8 bits": (bytes(written(format="WAV", subtype="PCM_U8")), 2**-6),
    "wav, float": (bytes(written(format="WAV", subtype="FLOAT")), 1e-7),
    "wav, double": (bytes(written(format="WAV", subtype="DOUBLE")), 1e-7),
    "wav, µ-law": (bytes(written(format="WAV", subtype="ULAW")), 0.03),
    "wav, A-law": (bytes(written(format="WAV", subtype="ALAW")), 0.03),
    "wav, Microsoft's ADPCM": (ADPCM, 0.3),
    "w64": (W64, 2**-15),
    "w64, float": (bytes(written(format="W64", subtype="FLOAT")), 1e-7),
    "aiff": (aiff(), 0),
    "aiff, float": (bytes(written(format="AIFF", subtype="FLOAT")), 1e-7),
    "aiff, 24 bits": (bytes(written(format="AIFF", subtype="PCM_24")), 2**-23),
    "nist": (nist(), 0),
    "flac": (FLAC, 2**-15),
    "flac, 24 bits": (bytes(written(format="FLAC", subtype="PCM_24")), 2**-23),
    "mp3": (MP3, 0.3),
    "mp3 with tags": (ID3_TAG + MP3 + b"TAG" + bytes(125), 0.3),
}

#: the same, of files that state no length
OPEN: dict[str, tuple[bytes, float]] = {
    "wav, all bits": (wav(0xFFFFFFFF, form=0xFFFFFFFF), 0),
    "wav as sox pipes it": (wav(0x7FFFF000, form=0x7FFFF024), 0),
    "wav as arecord pipes it": (wav(0x80000000, form=0x80000024), 0),
    "wav, most": (wav(0x7FFFFFFF, form=0x7FFFFFFF), 0),
    "wav, nearly all bits": (wav(0xFFFFFFDA, form=0xFFFFFFFE), 0),
    "wav, 0": (wav(0, form=0), 0),
    "wav as ffmpeg pipes it": (riff(FORMAT, LIST, chunk(b"data", DATA, 0xFFFFFFFF), n_bytes=0xFFFFFFFF), 0),
    "wav, float, piped": (riff(format_chunk(3, 1, 32), chunk(b"data", FLOATS, 0x7FFFF000)), 1e-7),
    "rf64, 0": (rf64(0), 0),
    "rf64, all bits": (rf64((1 << 64) - 1), 0),
    "aiff as sox pipes it": (aiff(0x7F000000, 0x7F000008, 0x7F000020), 0),
    "aiff, 0": (aiff(0, 0, 0), 0),
    "flac": (flac_without_length(), 2**-15),
    "flac, 24 bits": (flac_without_length(bytes(written(format="FLAC", subtype="PCM_24"))), 2**-23),
    "flac, stereo": (flac_without_length(bytes(written(np.stack([SOUND, -SOUND], 1), format="FLAC"))), 2**-15),
}

REFUSED: dict[str, bytes] = {
    "wav, cut": wav()[:-2],
    "wav, cut behind a list": riff(FORMAT, LIST, chunk(b"data", DATA))[:-100],
    "wav, a million more announced": wav(len(DATA) + 1_000_000),
    "wav, a GiB more announced": wav(1 << 30),
    "wav, half a sample": wav(data=DATA + b"x")[:-1],
    "wav, piped and cut in a sample": wav(0x7FFFF000, data=DATA[:-1])[:-1],
    "wav, two in one": wav() + wav(),
    "wav, two chunks of samples": wav(behind=chunk(b"data", DATA)),
    "wav, empty with a list": wav(0, data=b"", behind=LIST),
    "wav, no format": riff(chunk(b"data", DATA)),
    "wav, no samples": riff(FORMAT, LIST),
    "rf64, cut": rf64(len(DATA))[:-2],
    "rf64, more announced": rf64(len(DATA) + 2),
    "adpcm, cut": ADPCM[:-300],
    "adpcm, more announced": ADPCM.replace(struct.pack("<I", 8001), struct.pack("<I", 90_000), 1),
    "adpcm, less announced": LONG.replace(struct.pack("<I", 40_005), struct.pack("<I", 9000), 1),
    "w64, cut": W64[:-2],
    "w64, cut far": W64[:200],
    "aiff, cut": aiff()[:-2],
    "aiff, more announced": aiff(9000),
    "aiff, less announced": aiff(4000),
    "aiff, piped and cut in a sample": aiff(0x7F000000, 0x7F000008, 0x7F000020, PCM.astype(">i2").tobytes()[:-1]),
    "nist, cut": nist()[:-2],
    "nist, more announced": nist(9000),
    "flac, cut": FLAC[: len(FLAC) // 2],
    "flac, last byte": FLAC[:-1],
    "flac, a bit": flipped(FLAC, len(FLAC) // 2),
    "flac, no length and cut": flac_without_length()[:-3000],
    "flac, no length and a byte": flac_without_length()[:-1],
    "flac, no length and a bit": flipped(flac_without_length(), len(FLAC) // 2),
    "flac, 2**36 promised": FLAC[:21] + bytes([FLAC[21] | 0x0F]) + b"\xff" * 4 + FLAC[26:],
    "flac, 2**30 promised": FLAC[:21] + bytes([FLAC[21] & 0xF0]) + struct.pack(">I", 1 << 30) + FLAC[26:],
    "vorbis, cut": OGG[: len(OGG) // 2],
    "vorbis, a bit": flipped(OGG, len(OGG) // 2),
    "vorbis, a bit of the last page": flipped(OGG, len(OGG) - 20),
    "vorbis, a page less": without(pages(OGG), 3),
    "vorbis, two in one": OGG + OGG,
    "opus, cut": OPUS[: len(OPUS) // 2],
    "opus, a bit of the last page": flipped(OPUS, len(OPUS) - 20),
    "opus, a page less": without(pages(OPUS), -2),
    "opus, the last page less": without(pages(OPUS), -1),
    "opus, two in one": OPUS + OGG,
    "mp3, cut": MP3[: len(MP3) // 2],
    "mp3, last frame less": b"".join(FRAMES[:-1]),
    "mp3, last byte": MP3[:-1],
    "mp3, a frame less": without(FRAMES, 7),
    "mp3, a header of a frame": MP3.replace(FRAMES[7], b"\xfe" + FRAMES[7][1:]),
    "mp3, two in one": MP3 + b"".join(FRAMES[1:]),
    "mp3, no length and cut": b"".join(FRAMES[1:])[:-7],
    "au": bytes(written(format="AU", subtype="PCM_16")),
    "caf": bytes(written(format="CAF", subtype="PCM_16")),
    "voc": bytes(written(format="VOC", subtype="PCM_16")),
    "a web page": b"<!DOCTYPE html><html><body>404</body></html>" * 20,
    "a pointer of git lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 88244\n",
    "text with a mark of its byte order": "\ufeffhello".encode("utf-16"),
    "nothing": b"",
}


def read(tmp_path: Path, content: bytes, name: str = "a.wav") -> np.ndarray:
    path = tmp_path / name
    path.write_bytes(content)
    samples, rate = read_audio(path)
    assert (rate, samples.dtype) == (RATE, np.float32)
    return samples


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("called", ["a.wav", "a.flac", "a.mp3"])
def test_a_whole_sound_is_read_whatever_it_is_called(tmp_path: Path, name: str, called: str) -> None:
    content, tolerance = WHOLE[name]
    samples = read(tmp_path, content, called)
    expected = PCM / 32768 if tolerance == 0 else SOUND
    assert samples.shape == (8001,)
    np.testing.assert_allclose(samples, expected, atol=tolerance, rtol=0)
    assert notes_on_sounds([tmp_path / called]) == []


@pytest.mark.parametrize("name", OPEN)
def test_a_sound_that_states_no_length_is_read_whole_and_named(tmp_path: Path, name: str) -> None:
    content, tolerance = OPEN[name]
    samples = read(tmp_path, content)
    samples = samples[:, 0] if samples.ndim == 2 else samples
    assert samples.shape == (8001,)
    np.testing.assert_allclose(samples, PCM / 32768 if tolerance == 0 else SOUND, atol=tolerance, rtol=0)
    (note,) = notes_on_sounds([tmp_path / "a.wav"])
    assert note.startswith("1 of 1 sounds state no length in their header")
    assert "(a.wav)" in note


@pytest.mark.parametrize("name", REFUSED)
def test_a_sound_that_is_not_whole_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"^a\.wav"):
        read(tmp_path, bytes(REFUSED[name]))


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_an_mp3_that_states_no_length_is_not_guessed(tmp_path: Path, mode: str) -> None:
    """The decoder takes all frames for as large as the first: of a quiet beginning it read half of the sound."""
    whole = bytes(written(np.concatenate([1e-3 * SOUND, SOUND]), format="MP3", bitrate_mode=mode))
    frames = mp3_frames(whole)
    known = read(tmp_path, whole)
    samples = read(tmp_path, b"".join(frames[1:]), "b.mp3")
    assert len(samples) >= len(known)
    lag = int(np.argmax(np.correlate(samples, known[2000:12000], mode="valid"))) - 2000
    np.testing.assert_allclose(samples[2000 + lag : 12000 + lag], known[2000:12000], atol=1e-4)
    assert "state no length" in notes_on_sounds([tmp_path / "b.mp3"])[0]


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "GSM610", "G721_32"])
def test_coders_that_work_in_blocks(tmp_path: Path, subtype: str) -> None:
    samples = read(tmp_path, bytes(written(format="WAV", subtype=subtype)))
    assert 8001 <= len(samples) <= 8001 + 1024
    content = bytes(written(format="WAV", subtype=subtype))
    with pytest.raises(DataError):
        read(tmp_path, content[: len(content) * 2 // 3])


def test_bytes_behind_a_sound_are_named(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(tmp_path, wav() + b"no chunk at all, but a note"), PCM / 32768)
    (note,) = notes_on_sounds([tmp_path / "a.wav"])
    assert "have bytes behind their end that belong to nothing (a.wav)" in note


@pytest.mark.parametrize(
    ("scale", "cure"),
    [
        (32768, "integers of 16 bits: divide the samples of all sounds by 32768"),
        (2**23, "integers of 24 bits: divide the samples of all sounds by 8388608"),
        (2.0**31, "integers of 32 bits: divide the samples of all sounds by 2147483648"),
        (4, "divide the samples of all sounds by one number, at least 3.6"),
        (1e12, "divide the samples of all sounds by one number, at least 9e"),
    ],
)
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_floats_on_another_scale_are_refused_with_what_mends_them(
    tmp_path: Path, scale: float, cure: str, subtype: str
) -> None:
    sound = SOUND.copy()
    sound[0] = 0.9
    for format_ in ("WAV", "AIFF", "W64"):
        with pytest.raises(DataError, match=f"full scale is 1. Most likely .*{cure}"):
            read(tmp_path, bytes(written(sound * scale, format=format_, subtype=subtype)))


def test_floats_a_little_above_full_scale_are_as_they_are(tmp_path: Path) -> None:
    samples = read(tmp_path, bytes(written(2 * SOUND, format="WAV", subtype="FLOAT")))
    np.testing.assert_array_equal(samples, (2 * SOUND).astype(np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_is_refused(tmp_path: Path, value: float) -> None:
    sound = SOUND.copy()
    sound[4000] = value
    with pytest.raises(DataError, match="not finite"):
        read(tmp_path, bytes(written(sound, format="AIFF", subtype="DOUBLE")))
    with pytest.raises(DataError, match="not finite"):  # too large for single precision
        read(tmp_path, bytes(written(SOUND * 1e300, format="WAV", subtype="DOUBLE")))


def test_a_sound_beyond_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isocortex.devices.free_memory", lambda _: 40_000)
    monkeypatch.setattr("isocortex.data.sounds._LARGE", 10_000)
    with pytest.raises(DataError, match=r"a\.wav promises .* more than half of the memory"):
        read(tmp_path, wav())


def test_a_set_keeps_what_is_odd_about_its_sounds(tmp_path: Path) -> None:
    contents = {"a": wav(), "b": wav(0x7FFFF000), "c": flac_without_length()}
    paths = {name: tmp_path / f"{name}.wav" for name in contents}
    for name, path in paths.items():
        path.write_bytes(contents[name])
    (warning,) = StimulusSet("set", "audio", paths).warnings
    assert warning.startswith("2 of 3 sounds state no length in their header")
    assert "(b.wav, c.wav)" in warning
    assert StimulusSet("set", "audio", paths, warnings=["guessed"]).warnings == ("guessed", warning)
    assert StimulusSet("set", "audio", {"a": paths["a"]}).warnings == ()
    own: Callable[[Path], tuple[np.ndarray, float]] = lambda _: (PCM, RATE)  # noqa: E731
    assert StimulusSet("set", "audio", paths, read=own).warnings == ()


def test_random_damage_is_refused_or_changes_no_length(tmp_path: Path) -> None:
    """A flipped byte of a stream is found by its checksums; PCM has none, but keeps its length."""
    draw = np.random.default_rng(1)
    for content, n_known in ((FLAC, 8001), (OGG, 48006), (OPUS, 48006), (wav(), 8001), (aiff(), 8001)):
        for _ in range(40):
            damaged = flipped(content, int(draw.integers(60, len(content))))
            try:
                samples = read(tmp_path, damaged)
            except DataError:
                continue
            assert len(samples) == n_known


def test_the_standard_library_agrees_on_what_was_written(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav())
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.readframes(file.getnframes()) == DATA
