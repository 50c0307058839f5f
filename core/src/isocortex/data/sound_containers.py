"""What the container of a sound says of its length, and whether the file holds as much: WAV, W64, AIFF, NIST SPHERE.

libsndfile reads what is there without a word. Containers in frames or pages are in `isocortex.data.sound_streams`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, Final, Literal

from isocortex.errors import DataError

#: writers that cannot go back to their header state a length of two or four GiB, less at most this
_OPEN_FROM: Final = (1 << 31) - (1 << 24)
#: samples in a block of ADPCM and its like
_LONGEST_BLOCK: Final = 8192
_W64_TAIL: Final = {
    b"riff": bytes.fromhex("2e91cf11a5d628db04c10000"),
    b"other": bytes.fromhex("f3acd3118cd100c04f8edb8a"),
}
#: formats of WAV in which each sample has its own bytes: PCM, float, A-law, µ-law
_SAMPLEWISE: Final = (1, 3, 6, 7)
_EXTENSIBLE: Final = 0xFFFE
#: the same of AIFF-C
_AIFC_SAMPLEWISE: Final = (
    b"NONE", b"twos", b"sowt", b"raw ", b"in24", b"in32", b"fl32", b"FL32", b"fl64", b"FL64", b"ulaw", b"ULAW", b"alaw",
    b"ALAW",
)  # fmt: skip


class TruncatedError(Exception):
    """The file ends before the sound does."""


@dataclass(frozen=True, slots=True)
class Stated:
    """What a container states.

    Attributes
    ----------
    n_samples
        Per channel; None where only the decoder knows.
    is_open
        No length is stated, as by programs that write into a pipe: the sound goes on to the end of the file.
    n_trailing
        Bytes behind the sound that belong to nothing.
    may_exceed
        Samples that may come out beyond ``n_samples``, because a coder fills up its last block.
    content
        The file with its length filled in, where libsndfile needs one.
    """

    n_samples: int | None = None
    is_open: bool = False
    n_trailing: int = 0
    may_exceed: int = 0
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Chunk:
    name: bytes
    start: int
    n_bytes: int


def read_wav(file: BinaryIO, size: int, order: Literal["little", "big"] = "little") -> Stated:
    """RIFF, RIFX and RF64: the chunk ``data``, in which compressed formats hold as many samples as ``fact`` says."""
    file.seek(12)
    return _of_chunks(file, size, order, _riff_chunks(file, size, order))


def read_w64(file: BinaryIO, size: int) -> Stated:
    """Sony's W64: WAV with 16 bytes for each name and 8 for each length."""
    head = file.read(24)
    if head[4:16] != _W64_TAIL[b"riff"]:
        raise DataError("it begins as a W64 file and is none")
    file.seek(40)
    return _of_chunks(file, size, "little", _w64_chunks(file, size))


def _riff_chunks(file: BinaryIO, size: int, order: Literal["little", "big"]) -> Iterator[_Chunk]:
    position, long = 12, None
    while position + 8 <= size:
        file.seek(position)
        header = file.read(8)
        name, n_bytes = header[:4], int.from_bytes(header[4:], order)
        if name == b"ds64":
            long = int.from_bytes(file.read(16)[8:], order)
        if name == b"data" and long is not None and n_bytes == 0xFFFFFFFF:
            n_bytes = long
        yield _Chunk(name, position + 8, n_bytes)
        position += 8 + n_bytes + n_bytes % 2


def _w64_chunks(file: BinaryIO, size: int) -> Iterator[_Chunk]:
    position = 40
    while position + 24 <= size:
        file.seek(position)
        header = file.read(24)
        known = header[4:16] == _W64_TAIL[b"other"]
        n_bytes = int.from_bytes(header[16:], "little")
        yield _Chunk(header[:4] if known else b"", position + 24, n_bytes - 24)
        position += max(24, n_bytes + -n_bytes % 8)


def _of_chunks(file: BinaryIO, size: int, order: Literal["little", "big"], chunks: Iterator[_Chunk]) -> Stated:
    format_, fact = b"", None
    for chunk in chunks:
        if chunk.name in (b"fmt ", b"fact"):
            file.seek(chunk.start)
            content = file.read(min(chunk.n_bytes, 64))
            if chunk.name == b"fmt ":
                format_ = content
            else:
                fact = int.from_bytes(content[:4], order)
        elif chunk.name == b"data":
            stated = _of_data(chunk, size, _Encoding.of(format_, order), fact, list(chunks))
            return _filled(stated, file, chunk, size, order) if stated.is_open else stated
    raise TruncatedError


def _filled(stated: Stated, file: BinaryIO, data: _Chunk, size: int, order: Literal["little", "big"]) -> Stated:
    """With the length of the samples in their header, which libsndfile needs where it is 0."""
    file.seek(0)
    content = bytearray(file.read())
    magic = bytes(content[:4])
    if magic == b"riff":
        content[data.start - 8 : data.start] = (size - data.start + 24).to_bytes(8, order)
    elif size - data.start < 0xFFFFFFFF:
        content[:4] = b"RIFF" if magic == b"RF64" else magic
        content[data.start - 4 : data.start] = (size - data.start).to_bytes(4, order)
    return replace(stated, content=bytes(content))


@dataclass(frozen=True, slots=True)
class _Encoding:
    block: int
    samplewise: bool

    @classmethod
    def of(cls, content: bytes, order: Literal["little", "big"]) -> _Encoding:
        if len(content) < 16:
            raise DataError("it has no whole format chunk before its samples")
        tag, block = int.from_bytes(content[:2], order), int.from_bytes(content[12:14], order)
        if tag == _EXTENSIBLE:
            tag = int.from_bytes(content[24:26], order)
        return cls(max(block, 1), tag in _SAMPLEWISE)


def _of_data(data: _Chunk, size: int, encoding: _Encoding, fact: int | None, behind: list[_Chunk]) -> Stated:
    held = size - data.start
    is_open = data.n_bytes >= _OPEN_FROM and data.n_bytes > held
    if data.n_bytes <= 0 and held > 1 and not _is_chain(behind, size):
        is_open, behind = True, []
    n_bytes = held if is_open else data.n_bytes
    if n_bytes > held or (is_open and n_bytes % encoding.block):
        raise TruncatedError
    if encoding.samplewise and n_bytes % encoding.block:
        raise DataError(f"its {n_bytes} bytes of samples are no multiple of the {encoding.block} that its format has")
    if any(chunk.name in (b"data", b"RIFF", b"riff") for chunk in behind):
        raise DataError("it holds several sounds one behind the other; expected one")
    n_trailing = 0 if is_open else _n_trailing(data, behind, size)
    if encoding.samplewise:
        return Stated(n_bytes // encoding.block, is_open, n_trailing)
    return Stated(None if is_open else fact or None, is_open, n_trailing, may_exceed=_LONGEST_BLOCK)


def _is_chain(chunks: list[_Chunk], size: int) -> bool:
    """Whether these are chunks up to the end of the file, and no samples that were taken for such."""
    return bool(chunks) and all(_is_named(chunk) for chunk in chunks) and chunks[-1].start + chunks[-1].n_bytes <= size


def _is_named(chunk: _Chunk) -> bool:
    return len(chunk.name) == 4 and all(32 <= letter < 127 for letter in chunk.name) and chunk.n_bytes >= 0


def _n_trailing(data: _Chunk, behind: list[_Chunk], size: int) -> int:
    """Bytes behind the last chunk that is one; a single byte fills up an odd length."""
    end = data.start + data.n_bytes
    for chunk in behind:
        if not _is_named(chunk) or chunk.start + chunk.n_bytes > size:
            break
        end = chunk.start + chunk.n_bytes
    return size - end if size - end > 8 else 0


def read_aiff(file: BinaryIO, size: int) -> Stated:
    """AIFF and AIFF-C: ``SSND`` must hold what ``COMM`` announces; libsndfile looks at the first alone."""
    file.seek(8)
    compressed = file.read(4) == b"AIFC"
    common, sound = b"", None
    for chunk in _riff_chunks(file, size, "big"):
        if chunk.name == b"COMM":
            file.seek(chunk.start)
            common = file.read(min(chunk.n_bytes, 22))
        elif chunk.name == b"SSND":
            file.seek(chunk.start)
            skipped = int.from_bytes(file.read(8)[:4], "big")
            sound = _Chunk(chunk.name, chunk.start + 8 + skipped, chunk.n_bytes - 8 - skipped)
            if common or chunk.n_bytes >= _OPEN_FROM or not chunk.n_bytes:
                break
    if sound is None or len(common) < 18:
        raise TruncatedError
    return _of_sound(sound, size, common, compressed=compressed)


def _of_sound(sound: _Chunk, size: int, common: bytes, *, compressed: bool) -> Stated:
    n_channels, n_frames, bits = (int.from_bytes(common[a:b], "big") for a, b in ((0, 2), (2, 6), (6, 8)))
    kind, held = common[18:22] if compressed else b"NONE", size - sound.start
    is_open = (sound.n_bytes >= _OPEN_FROM and sound.n_bytes > held) or (sound.n_bytes <= 0 and held > 1)
    if sound.n_bytes > held and not is_open:
        raise TruncatedError
    if kind not in _AIFC_SAMPLEWISE:
        return Stated(None, is_open)
    block = n_channels * (1 if kind.lower() in (b"ulaw", b"alaw") else (bits + 7) // 8)
    if is_open:
        if held % block:
            raise TruncatedError
        return Stated(held // block, is_open)
    if n_frames * block > sound.n_bytes:
        raise TruncatedError
    if sound.n_bytes - n_frames * block > 1:  # a byte fills up an odd length
        raise DataError(f"it announces {n_frames} samples and holds {sound.n_bytes // block}")
    return Stated(n_frames)


def read_nist(file: BinaryIO, size: int) -> Stated:
    """NIST SPHERE, in which TIMIT comes: a header of lines ``name -type value``."""
    head = file.read(1024)
    lines = (line.split(maxsplit=2) for line in head.decode("latin-1").splitlines())
    stated = {parts[0]: parts[2].strip() for parts in lines if len(parts) == 3}
    try:
        n_samples, n_header = int(stated["sample_count"]), int(head.splitlines()[1])
        block = int(stated["channel_count"]) * int(stated["sample_n_bytes"])
    except (KeyError, ValueError, IndexError) as error:
        raise DataError(f"its header lacks a count of samples or channels ({error})") from error
    if "pcm" not in stated.get("sample_coding", "pcm") or "shorten" in stated.get("sample_coding", ""):
        raise DataError(f"its samples are coded as {stated['sample_coding']!r}; expected PCM")
    if n_header + n_samples * block > size:
        raise TruncatedError
    return Stated(n_samples, n_trailing=size - n_header - n_samples * block)
