"""HDF5 writes into each file when it was made; without that, equal contents are equal bytes.

Only the header of the root group holds times in files of netCDF4: four of them, under a checksum that is computed anew.
The layout is that of the HDF5 File Format Specification 3.0, sections II.A (superblock) and IV.A.1.b (object header).
"""

from __future__ import annotations

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HAS_TIMES, _HAS_PHASES = 0x20, 0x10
_MASK = 0xFFFFFFFF


def without_times(content: bytes | bytearray | memoryview) -> bytearray:
    """A file whose root group tells no times; as it is where the layout is another one.

    Examples
    --------
    >>> bytes(without_times(b"no such file"))
    b'no such file'
    """
    made = bytearray(content)
    if bytes(made[:8]) != _SIGNATURE or made[8] not in (2, 3) or made[9] != 8:
        return made
    start = int.from_bytes(made[36:44], "little")
    flags = made[start + 5]
    if bytes(made[start : start + 4]) != b"OHDR" or made[start + 4] != 2 or not flags & _HAS_TIMES:
        return made
    made[start + 6 : start + 22] = bytes(16)
    at = start + 22 + (4 if flags & _HAS_PHASES else 0)
    width = 1 << (flags & 3)
    end = at + width + int.from_bytes(made[at : at + width], "little")
    made[end : end + 4] = lookup3(bytes(made[start:end])).to_bytes(4, "little")
    return made


def lookup3(content: bytes) -> int:
    """Bob Jenkins's checksum of that name (``hashlittle``), which HDF5 takes for its metadata.

    Examples
    --------
    >>> hex(lookup3(b"")), hex(lookup3(b"Four score and seven years ago"))
    ('0xdeadbeef', '0x17770551')
    """
    a = b = c = (0xDEADBEEF + len(content)) & _MASK
    place = 0
    while len(content) - place > 12:
        first, second, third = _words(content[place : place + 12])
        a, b, c = _mixed((a + first) & _MASK, (b + second) & _MASK, (c + third) & _MASK)
        place += 12
    if place == len(content):
        return c
    first, second, third = _words(content[place:].ljust(12, b"\0"))
    return _final((a + first) & _MASK, (b + second) & _MASK, (c + third) & _MASK)


def _words(content: bytes) -> tuple[int, int, int]:
    first, second, third = (int.from_bytes(content[start : start + 4], "little") for start in (0, 4, 8))
    return first, second, third


def _turned(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _MASK


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in (4, 6, 8, 16, 19, 4):
        a = ((a - c) & _MASK) ^ _turned(c, bits)
        c = (c + b) & _MASK
        a, b, c = b, c, a
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _turned(b, bits)) & _MASK
        a, b, c = b, c, a
    return b
