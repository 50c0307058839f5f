"""What the container of a sound says of its length, and whether the file holds as much: FLAC, Ogg, MP3.

A stream of frames may state no length. Where libsndfile cannot read it then, or only guesses how long it is, the frames
are counted and their number is filled in.
"""

from __future__ import annotations

import re
import zlib
from typing import BinaryIO, Final

from isocortex.data.sound_containers import Stated, TruncatedError
from isocortex.errors import DataError

#: no frame of FLAC has fewer bytes or more samples
_FLAC_LEAST: Final = 9
_FLAC_MOST: Final = 65_535
_FLAC_BLOCKS: Final = {1: 192, 2: 576, 3: 1152, 4: 2304, 5: 4608, **{8 + power: 256 << power for power in range(8)}}
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
#: kbit/s of an MP3 by version (1: MPEG 1; 2: MPEG 2 and 2.5), and Hz by bits of the header
_MP3_RATES: Final = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_HERTZ: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


# --- FLAC -------------------------------------------------------------------------------------------------------------


def read_flac(file: BinaryIO, size: int) -> Stated:
    """The first block of a FLAC states the length; 0 stands for unknown."""
    file.seek(0)
    head = file.read(42)
    if len(head) < 42 or head[4] & 0x7F != 0:
        raise TruncatedError
    total = int.from_bytes(head[18:26], "big") & ((1 << 36) - 1)
    if total > _FLAC_MOST * (size // _FLAC_LEAST + 1):
        raise DataError(f"it promises {total:,} samples, more than {size:,} bytes can hold")
    if total:
        return Stated(total)
    content = head + file.read()
    total = _count_flac(content)
    if not total:
        return Stated(0)
    filled = int.from_bytes(content[18:26], "big") | total
    return Stated(total, is_open=True, content=content[:18] + filled.to_bytes(8, "big") + content[26:])


def _count_flac(content: bytes) -> int:
    """Samples in all frames, each of which must follow on the one before it."""
    n_samples = n_frames = 0
    start = _flac_audio(content)
    for found in re.finditer(rb"\xff[\xf8\xf9]", content[start:]):
        header = _flac_header(content, start + found.start())
        if header is None:
            continue
        variable, number, block = header
        if number == (n_samples if variable else n_frames):
            n_samples, n_frames = n_samples + block, n_frames + 1
    return n_samples


def _flac_audio(content: bytes) -> int:
    position, last = 4, False
    while not last and position + 4 <= len(content):
        last = bool(content[position] & 0x80)
        position += 4 + int.from_bytes(content[position + 1 : position + 4], "big")
    return position


def _flac_header(content: bytes, at: int) -> tuple[bool, int, int] | None:
    """Whether block sizes vary, the number of the frame (or of its first sample), and its block size."""
    if at + 16 > len(content):
        return None
    code, place = content[at + 2] >> 4, at + 4
    n_more = _n_leading_ones(content[place])
    number = content[place] & (0x7F >> n_more if n_more else 0x7F)
    for byte in content[place + 1 : place + max(n_more, 1)]:
        number = number << 6 | byte & 0x3F
    place += max(n_more, 1)
    width = {6: 1, 7: 2}.get(code, 0)
    block = int.from_bytes(content[place : place + width], "big") + 1 if width else _FLAC_BLOCKS.get(code, 0)
    place += width + {12: 1, 13: 2, 14: 2}.get(content[at + 2] & 15, 0)
    if not block or _crc8(content[at:place]) != content[place]:
        return None
    return bool(content[at + 1] & 1), number, block


def _n_leading_ones(byte: int) -> int:
    return 8 - (byte ^ 0xFF).bit_length()


def _crc8(content: bytes) -> int:
    value = 0
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ (7 if value & 0x80 else 0)) & 0xFF
    return value


# --- Ogg --------------------------------------------------------------------------------------------------------------


def read_ogg(file: BinaryIO, size: int) -> Stated:
    """The pages of an Ogg file: one stream, every page there and whole, the last one marked as such (RFC 3533)."""
    file.seek(0)
    content, position, number, serial, ended = file.read(), 0, 0, b"", False
    while content[position : position + 4] == b"OggS":
        head = content[position : position + 27]
        sizes = content[position + 27 : position + 27 + head[-1]] if len(head) == 27 else b""
        end = position + 27 + len(sizes) + sum(sizes)
        if len(head) < 27 or len(sizes) < head[26] or end > size:
            raise TruncatedError
        if ended or (serial and head[14:18] != serial):
            raise DataError("it holds several streams; expected one sound")
        if int.from_bytes(head[18:22], "little") != number or _ogg_checksum(content[position:end]) != head[22:26]:
            raise DataError(f"its page {number} is absent or damaged")
        serial, ended, number, position = head[14:18], bool(head[5] & 4), number + 1, end
    if not ended:
        raise TruncatedError
    return Stated(n_trailing=size - position)


def _ogg_checksum(page: bytes) -> bytes:
    """CRC-32 with the highest bit first, which zlib computes of bytes with their bits reversed."""
    reversed_ = (page[:22] + bytes(4) + page[26:]).translate(_REVERSED)
    value = zlib.crc32(reversed_, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return value.to_bytes(4, "big").translate(_REVERSED)


# --- MP3 --------------------------------------------------------------------------------------------------------------


def read_mp3(file: BinaryIO, _: int) -> Stated:
    """The frames of an MP3: as many as its first one announces, or, where that announces none, all up to the end."""
    file.seek(0)
    content, position = file.read(), 0
    if content[:3] == b"ID3":
        position = 10 + sum((byte & 0x7F) << 7 * (3 - place) for place, byte in enumerate(content[6:10]))
    end, first = _mp3_end(content), position
    n_frames, announced = 0, None
    while position < end and (frame := _mp3_frame(content, position)) is not None:
        if position + frame[0] > end:
            raise TruncatedError
        announced = _announced(content[position : position + frame[0]]) if n_frames == 0 else announced
        position, n_frames = position + frame[0], n_frames + 1
    if not n_frames:
        raise DataError("it begins with no frame of an MP3")
    if end - position and content[position:end].strip(b"\0"):
        raise DataError(f"it is damaged at byte {position:,}: no frame of an MP3 is there")
    if announced is None:
        return Stated(is_open=True, content=_announcing(content[first:position], n_frames))
    _compare_frames(announced, n_frames, position - first)
    return Stated()


def _compare_frames(announced: tuple[int, int], n_frames: int, n_bytes: int) -> None:
    """Compare with what the first frame announces; some writers count it among the frames, others do not."""
    if n_frames < announced[0] or (n_frames == announced[0] and n_bytes < announced[1]):
        raise TruncatedError
    if n_frames - 1 > announced[0]:
        raise DataError(f"it announces {announced[0]} frames and holds {n_frames}, as if joined of several sounds")


def _mp3_frame(content: bytes, at: int) -> tuple[int, int] | None:
    """Bytes and samples of the frame there; None where there is none of a layer III."""
    if len(content) < at + 4 or content[at] != 0xFF or content[at + 1] & 0xE6 != 0xE2:
        return None
    version, rate, hertz = content[at + 1] >> 3 & 3, content[at + 2] >> 4, content[at + 2] >> 2 & 3
    if version == 1 or rate in (0, 15) or hertz == 3:
        return None
    n_samples = 1152 if version == 3 else 576
    bits = _MP3_RATES[1 if version == 3 else 2][rate] * 1000
    return n_samples // 8 * bits // _MP3_HERTZ[version][hertz] + (content[at + 2] >> 1 & 1), n_samples


def _mp3_end(content: bytes) -> int:
    """Where tags begin: ID3v1 has 128 bytes at the end, APE says how long it is."""
    end = len(content)
    if content[-128:-125] == b"TAG":
        end -= 128
    if content[end - 32 : end - 24] == b"APETAGEX":
        end -= int.from_bytes(content[end - 20 : end - 16], "little") + (32 if content[end - 9] & 0x80 else 0)
    return max(end, 0)


def _announced(frame: bytes) -> tuple[int, int] | None:
    """The number of frames and of bytes (0: not said), as LAME (Xing, Info) and Fraunhofer (VBRI) write it there."""
    for name in (b"Xing", b"Info"):
        place = frame.find(name, 4, 48)
        if place >= 0:
            counts = [int.from_bytes(frame[place + at : place + at + 4], "big") for at in (8, 12)]
            return (counts[0], counts[1] if frame[place + 7] & 2 else 0) if frame[place + 7] & 1 else None
    if frame[36:40] == b"VBRI":
        return int.from_bytes(frame[50:54], "big"), int.from_bytes(frame[46:50], "big")
    return None


def _announcing(frames: bytes, n_frames: int) -> bytes:
    """The frames behind one that says how many they are: without it the decoder guesses from the first one's size."""
    head = bytearray(frames[:4])
    head[1] |= 1  # no checksum
    head[2] = head[2] & 0x0D | 0xE0  # the largest size
    frame = _mp3_frame(bytes(head), 0)
    assert frame is not None  # only its size was changed
    single = head[3] >> 6 == 3
    side = {(1152, False): 32, (1152, True): 17, (576, False): 17, (576, True): 9}[frame[1], single]
    tag = b"Xing" + (1).to_bytes(4, "big") + n_frames.to_bytes(4, "big")
    return (bytes(head) + bytes(side) + tag).ljust(frame[0], b"\0") + frames
