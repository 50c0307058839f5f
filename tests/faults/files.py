"""Hostile files of every format that is read: each is refused in one message, soon, within bounded memory.

A file of each kind is damaged in a way that lies: a header that promises more than there is, or than any memory holds;
contents that lie in another file; members that expand without end; nesting without end; a name that is a path; bytes
that are no text. A forked child reads it as a user would, in at most 2 GB above its start and 20 s. Right is an error
of isocortex that names the file, or a value where nothing decisive was changed; a traceback, a crash, a MemoryError or
a hang is not.

    python -m tests.faults.files --n 300 --seed 0
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import signal
import struct
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

import isocortex
from isocortex.data.media import read_audio, read_image
from isocortex.errors import IsocortexError
from isocortex.files.archives import opened_source

MEMORY_BYTES, SECONDS = 2 << 30, 20

Make = Callable[[Path, np.random.Generator], Path]
N_STIMULI = 20
IDS = [f"s{number:02d}" for number in range(N_STIMULI)]


# --- sounds and pictures ----------------------------------------------------------------------------------------------


def _sound(ending: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.linspace(-0.5, 0.5, 4000), 8000, format=ending)
    return buffer.getvalue()


def _picture(ending: str) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, format=ending)
    return buffer.getvalue()


SOUNDS = {"wav": _sound("WAV"), "flac": _sound("FLAC"), "ogg": _sound("OGG"), "aiff": _sound("AIFF"),
          "mp3": _sound("MP3"), "w64": _sound("W64"), "rf64": _sound("RF64")}  # fmt: skip
PICTURES = {"png": _picture("PNG"), "jpg": _picture("JPEG"), "bmp": _picture("BMP"), "tif": _picture("TIFF"),
            "webp": _picture("WEBP")}  # fmt: skip


def _header_lies(content: bytes, rng: np.random.Generator, within: int = 60) -> bytes:
    """Four bytes of the header say as much as they can."""
    place = int(rng.integers(4, min(within, len(content) - 4)))
    return content[:place] + bytes(rng.choice([0x00, 0x7F, 0xFF], 4).astype(np.uint8)) + content[place + 4 :]


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(1, len(content) - 8))]


def _noise(content: bytes, rng: np.random.Generator) -> bytes:
    return content[:16] + rng.bytes(len(content))


def _media(kinds: dict[str, bytes]) -> Make:
    def make(folder: Path, rng: np.random.Generator) -> Path:
        ending = str(rng.choice(list(kinds)))
        change = (_header_lies, _header_lies, _cut, _noise)[int(rng.integers(4))]
        path = folder / f"hostile.{ending}"
        path.write_bytes(change(kinds[ending], rng))
        return path

    return make


def picture_of_many_pixels(folder: Path, rng: np.random.Generator) -> Path:
    """A PNG whose header says that it is very large, with little behind it."""
    side = int(rng.choice([20_000, 70_000, 2**31 - 1]))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    path = folder / "hostile.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1_000_000)))
        + chunk(b"IEND", b"")
    )
    return path


def flac_of_many_samples(folder: Path, rng: np.random.Generator) -> Path:
    """A FLAC whose header says that it has 2**36 − 1 samples, or none."""
    content = bytearray(SOUNDS["flac"])
    content[21] = content[21] & 0xF0 | (0x0F if rng.random() < 0.5 else 0x07)
    content[22:26] = b"\xff\xff\xff\xff"
    path = folder / "hostile.flac"
    path.write_bytes(content)
    return path


# --- arrays -----------------------------------------------------------------------------------------------------------


def _npy(header: str, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode() + b"\n"
    size = struct.pack("<H" if version == b"\x01\x00" else "<I", len(text))
    return b"\x93NUMPY" + version + size + text + body


NPY = {
    "more than there is": lambda: _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }"),
    "more than a number holds": lambda: _npy(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**70}, 3), }}"),
    "negative": lambda: _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-4, 3), }", bytes(96)),
    "objects": lambda: _npy("{'descr': '|O', 'fortran_order': False, 'shape': (20, 3), }", b"cos\nsystem\n(S'id'\ntR."),
    "code": lambda: _npy("{'descr': __import__('os').system('id'), 'fortran_order': False, 'shape': (1,), }"),
    "records": lambda: _npy("{'descr': [('a', '<f8'), ('b', '|O')], 'fortran_order': False, 'shape': (20,), }"),
    "a date": lambda: _npy("{'descr': '<M8[D]', 'fortran_order': False, 'shape': (20, 3), }", bytes(480)),
    "texts": lambda: _npy("{'descr': '<U4', 'fortran_order': False, 'shape': (20, 3), }", bytes(960)),
    "a header without end": lambda: b"\x93NUMPY\x02\x00\xff\xff\xff\xff{" + b"(" * 100_000,
    "nesting": lambda: _npy("{'descr': " + "[" * 5000 + "]" * 5000 + ", 'shape': (1,)}", version=b"\x02\x00"),
    "another version": lambda: b"\x93NUMPY\x09\x00" + bytes(100),
    "nothing": lambda: b"",
    "one byte": lambda: b"\x93",
}


def array(folder: Path, rng: np.random.Generator) -> Path:
    """A .npy whose header lies."""
    path = folder / ("responses.npy" if rng.random() < 0.5 else "layer1.npy")
    path.write_bytes(NPY[str(rng.choice(list(NPY)))]())
    return path


def netcdf(folder: Path, rng: np.random.Generator) -> Path:
    """A netCDF file (3 or 4) that is cut, lies in its header, or holds what is no array of responses."""
    import xarray as xr

    path = folder / "responses.nc"
    kind = "NETCDF4" if rng.random() < 0.6 else "NETCDF3_CLASSIC"
    data = xr.DataArray(
        rng.standard_normal((N_STIMULI, 3)),
        dims=("presentation", "neuroid"),
        coords={"stimulus_id": ("presentation", IDS), "neuroid_id": ("neuroid", list("abc"))},
        name="responses",
    )
    data.to_netcdf(path, format=kind)
    content = path.read_bytes()
    change = (_cut, _noise, lambda found, draws: _header_lies(found, draws, 2000))[int(rng.integers(3))]
    path.write_bytes(change(content, rng))
    return path


def bytes_of_another_file(folder: Path, rng: np.random.Generator) -> Path:
    """An HDF5 file whose values lie in another file: external storage, a virtual data set, or an external link."""
    import h5py

    secret, path = folder / "secret.bin", folder / "responses.nc"
    np.arange(60.0).tofile(secret)
    with h5py.File(folder / "other.h5", "w") as other:
        other["values"] = np.arange(60.0).reshape(N_STIMULI, 3)
    how = int(rng.integers(3))
    with h5py.File(path, "w") as file:
        if how == 0:
            file.create_dataset("values", (N_STIMULI, 3), "f8", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
        elif how == 1:
            layout = h5py.VirtualLayout((N_STIMULI, 3), "f8")
            layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "values", (N_STIMULI, 3))
            file.create_virtual_dataset("values", layout)
        else:
            file["values"] = h5py.ExternalLink(str(folder / "other.h5"), "values")
    return path


# --- tables and settings ----------------------------------------------------------------------------------------------

TEXTS: dict[str, Callable[[], bytes]] = {
    "zeros": lambda: bytes(10_000),
    "no text": lambda: bytes(range(256)) * 20,
    "UTF-16": lambda: "stimulus_id,a\ns00,1\n".encode("utf-16"),
    "a quote without end": lambda: b'stimulus_id,a\n"s00,1\n' + b"s01,2\n" * 1000,
    "a field without end": lambda: b"stimulus_id,a\ns00," + b"1" * 5_000_000,
    "100,000 columns": lambda: b"stimulus_id," + b",".join(b"c%d" % n for n in range(100_000)) + b"\ns00,1\n",
    "nothing": lambda: b"",
    "line ends alone": lambda: b"\n" * 1000,
    "escapes of a terminal": lambda: b"stimulus_id,\x1b]0;own\x07\x1b[2J\ns00,\x1b[31mred\n",
    "1e999999": lambda: b"stimulus_id,a\n" + b"".join(b"%s,1e999999\n" % name.encode() for name in IDS),
}

SETTINGS: dict[str, Callable[[], bytes]] = {
    "nesting": lambda: b"a = " + b"[" * 100_000 + b"]" * 100_000,
    "a key without end": lambda: b"a" * 5_000_000 + b" = 1",
    "no text": lambda: b"\xff\xfe\x00\x01",
    "a date": lambda: b"id = 1979-05-27\n",
    "a path": lambda: b'id = "../../outside"\n',
    "an array for a text": lambda: b"id = [1, 2]\n",
    "control characters": lambda: b'id = "a\\u001b[2Jb"\n[benchmark]\nreduction = "\\u001b[31m"\n',
    "a table for a word": lambda: b"modality = { a = 1 }\n",
    "a benchmark that is a number": lambda: b"benchmark = 5\n",
}

ABOUT: dict[str, Callable[[], bytes]] = {
    "nesting": lambda: b"[" * 100_000 + b"]" * 100_000,
    "a list": lambda: b"[1, 2]",
    "null": lambda: b"null",
    "numbers for names": lambda: b'{"stimulus_id": [1, 2], "chunk_size": 32, "layers": [3]}',
    "a chunk of nothing": lambda: b'{"stimulus_id": ["s00"], "chunk_size": 0, "layers": ["layer1"]}',
    "a chunk of 1e400": lambda: b'{"stimulus_id": ["s00"], "chunk_size": 1e400, "layers": ["layer1"]}',
    "a layer that is a path": lambda: b'{"stimulus_id": ["s00"], "chunk_size": 32, "layers": ["../../outside"]}',
    "a number without end": lambda: b'{"chunk_size": ' + b"9" * 10_000 + b"}",
    "no text": lambda: b"\xff\xfe\x00",
}


def _texts(name: str, kinds: dict[str, Callable[[], bytes]]) -> Make:
    def make(folder: Path, rng: np.random.Generator) -> Path:
        path = folder / name
        path.write_bytes(kinds[str(rng.choice(list(kinds)))]())
        return path

    return make


# --- archives ---------------------------------------------------------------------------------------------------------


def _tar(members: Sequence[tuple[tarfile.TarInfo, bytes]], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:  # type: ignore[call-overload]
        for info, content in members:
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def _zip(members: Sequence[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content)
    return buffer.getvalue()


def _sparse() -> bytes:
    """A tar archive whose one member is a hole of a terabyte (the old GNU form)."""
    info = tarfile.TarInfo("hole.bin")
    info.type = tarfile.GNUTYPE_SPARSE
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[386:410] = b"%011o\x00%011o\x00" % (0, 0)
    block[483:495] = b"\x80" + bytes(3) + struct.pack(">Q", 1 << 40)
    block[148:156] = b"%06o\x00 " % (sum(block[:148]) + 8 * 32 + sum(block[156:512]))
    return bytes(block) + bytes(1024)


ARCHIVES: dict[str, Callable[[], tuple[str, bytes]]] = {
    "zip that expands": lambda: ("a.zip", _zip([(f"{n}.bin", bytes(200_000_000)) for n in range(5)])),
    "zip outside": lambda: ("a.zip", _zip([("../outside.bin", b"x")])),
    "zip of an absolute path": lambda: ("a.zip", _zip([("/tmp/outside.bin", b"x")])),
    "tar of many members": lambda: ("a.tar.gz", _tar([(_member(f"{n}"), b"") for n in range(60_000)], "w:gz")),
    "zip that is cut": lambda: ("a.zip", _zip([("a", bytes(100_000))])[:-60]),
    "tar outside": lambda: ("a.tar", _tar([(_member("../outside.bin"), b"x")])),
    "tar with a link": lambda: ("a.tar", _tar([(_member("link", tarfile.SYMTYPE, "/etc/passwd"), b"")])),
    "tar with a hard link": lambda: ("a.tar", _tar([(_member("link", tarfile.LNKTYPE, "/etc/passwd"), b"")])),
    "tar with a device": lambda: ("a.tar", _tar([(_member("device", tarfile.CHRTYPE), b"")])),
    "tar with a hole": lambda: ("a.tar", _sparse()),
    "tar that expands": lambda: ("a.tar.gz", _tar([(_member("a"), bytes(1_200_000_000))], "w:gz")),
    "tar that is cut": lambda: ("a.tar.gz", _tar([(_member("a"), os.urandom(100_000))], "w:gz")[:-5000]),
    "tar of nothing": lambda: ("a.tar", b"x" * 3000),
    "gzip of nothing": lambda: ("a.tar.gz", b"\x1f\x8b\x08" + bytes(100)),
}


@cache
def _archive(kind: str) -> tuple[str, bytes]:
    return ARCHIVES[kind]()


def archive(folder: Path, rng: np.random.Generator) -> Path:
    """An archive that leaves its folder, or does not end."""
    name, content = _archive(str(rng.choice(list(ARCHIVES))))
    path = folder / name
    path.write_bytes(content)
    return path


# --- who reads them ---------------------------------------------------------------------------------------------------


def _data_set(folder: Path) -> None:
    (folder / "brain/stimuli").mkdir(parents=True)
    (folder / "net").mkdir()
    for number, name in enumerate(IDS):
        pixels = np.full((4, 4, 3), 12 * number, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"brain/stimuli/{name}.png")
    rows = "".join(f"{name},{number},{number % 5}\n" for number, name in enumerate(IDS))
    (folder / "brain/responses.csv").write_text("stimulus_id,a,b\n" + rows)
    (folder / "brain/stimuli.csv").write_text("stimulus_id\n" + "\n".join(IDS) + "\n")
    np.save(folder / "net/layer1.npy", np.random.default_rng(0).standard_normal((N_STIMULI, 3)).astype("float32"))
    (folder / "net/stimulus_id.txt").write_text("\n".join(IDS) + "\n")


def _scored(path: Path) -> str:
    """Put a file where it belongs in a data set or in a folder of activations, and score."""
    folder = path.parent
    _data_set(folder)
    activations = path.name in ("layer1.npy", "activations.json", "stimulus_id.txt")
    if path.name.startswith("responses") and path.suffix != ".csv":
        (folder / "brain/responses.csv").unlink()
    path.replace(folder / ("net" if activations else "brain") / path.name)
    os.chdir(folder)
    (result,) = isocortex.score("activations:net", "folder:brain:ridge", out=folder / "results", quiet=True)
    if result.failure is None:
        return "value"
    if result.failure.traceback:
        raise RuntimeError(result.failure.message)
    raise IsocortexError(result.failure.message)


def _unpacked(path: Path) -> str:
    with opened_source(path) as folder:
        sum(1 for _ in folder.rglob("*"))
    return "value"


def _read_sound(path: Path) -> str:
    read_audio(path)
    return "value"


def _read_picture(path: Path) -> str:
    read_image(path)
    return "value"


#: kind → how a file of it is made, how it is read, and its weight
KINDS: dict[str, tuple[Make, Callable[[Path], str], int]] = {
    "sounds": (_media(SOUNDS), _read_sound, 6),
    "pictures": (_media(PICTURES), _read_picture, 4),
    "FLAC that promises": (flac_of_many_samples, _read_sound, 1),
    "PNG that promises": (picture_of_many_pixels, _read_picture, 1),
    "npy": (array, _scored, 5),
    "netCDF": (netcdf, _scored, 4),
    "HDF5 of other files": (bytes_of_another_file, _scored, 1),
    "responses.csv": (_texts("responses.csv", TEXTS), _scored, 3),
    "stimuli.csv": (_texts("stimuli.csv", TEXTS), _scored, 2),
    "neuroids.csv": (_texts("neuroids.csv", TEXTS), _scored, 2),
    "stimulus_id.txt": (_texts("stimulus_id.txt", TEXTS), _scored, 2),
    "dataset.toml": (_texts("dataset.toml", SETTINGS), _scored, 3),
    "activations.json": (_texts("activations.json", ABOUT), _scored, 3),
    "archives": (archive, _unpacked, 5),
}


# --- the campaign -----------------------------------------------------------------------------------------------------


@dataclass
class Table:
    """Kind → how often it was tried; every file that was not refused as it should be."""

    tried: Counter[str] = field(default_factory=Counter[str])
    n_refused: int = 0
    n_values: int = 0
    failures: list[str] = field(default_factory=list[str])


def campaign(n: int, seed: int) -> Table:
    """Read ``n`` hostile files, each in a child."""
    table, kinds = Table(), list(KINDS)
    weights = np.array([weight for *_, weight in KINDS.values()], dtype=float)
    for number in range(n):
        rng = np.random.default_rng([seed, number])
        kind = kinds[number] if number < len(kinds) else str(rng.choice(kinds, p=weights / weights.sum()))
        make, read, _ = KINDS[kind]
        with tempfile.TemporaryDirectory(prefix="isocortex-files-") as made:
            path = make(Path(made).resolve(), rng)
            ended, said = _in_child(path, read)
        table.tried[kind] += 1
        table.n_refused += ended == "refused"
        table.n_values += ended == "value"
        must_be_refused = kind in ("HDF5 of other files", "archives", "FLAC that promises", "PNG that promises")
        if ended not in ("refused", "value") or (must_be_refused and ended == "value"):
            table.failures.append(f"seed {seed}, number {number}: {kind}: {ended}: {said}")
    return table


def _in_child(path: Path, read: Callable[[Path], str]) -> tuple[str, str]:
    """How a child ended that read a file: "refused", "value", "traceback", "signal", "hang"; and what it said."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as answer:
            answer.write(_answer(path, read))
        os._exit(0)
    os.close(writing)
    end = time.monotonic() + SECONDS
    while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < end:
        time.sleep(0.005)
    if not ended[0]:
        os.kill(child, signal.SIGKILL)
        ended = os.waitpid(child, 0)
    with os.fdopen(reading) as answer:
        said = answer.read()
    if not said:
        return ("hang" if time.monotonic() >= end else "signal"), f"{path.name}: status {ended[1]}"
    kind, _, message = said.partition("\n")
    return kind, message


def _answer(path: Path, read: Callable[[Path], str]) -> str:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))
    os.environ["ISOCORTEX_DATA"] = os.environ["ISOCORTEX_CACHE"] = str(path.parent / "own")
    try:
        return f"{read(path)}\n{path.name}"
    except IsocortexError as error:
        return _judged(str(error), path)
    except BaseException as error:
        return f"traceback\n{path.name}: {type(error).__name__}: {error}"


def _judged(message: str, path: Path) -> str:
    """A refusal that names the file and holds nothing that a terminal obeys."""
    if any(character < " " and character != "\n" for character in message) or "\x7f" in message:
        return f"control characters\n{message!r}"
    if "MemoryError" in message or "Unable to allocate" in message or len(message) > 3000:
        return f"raw message\n{message[:300]}"
    named = any(name in message for name in (path.name, path.stem, "brain", "layer1"))
    return f"{'refused' if named else 'file not named'}\n{message}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print kind → tried, and what was not refused as it should be."""
    parser = argparse.ArgumentParser(description="Hostile files of every format, each read in a child.")
    parser.add_argument("--n", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    table = campaign(asked.n, asked.seed)
    for name, count in sorted(table.tried.items()):
        print(f"{count:6} {name}")
    print(f"{asked.n} files: {table.n_refused} refused, {table.n_values} read, {len(table.failures)} failures")
    print("\n".join(table.failures))
    return bool(table.failures)


if __name__ == "__main__":
    sys.exit(main())
