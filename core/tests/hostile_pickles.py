"""Hostile pickles of many kinds, drawn at random, none of which may run, crash, or take long; written by opcode."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

Draw = random.Random

FOREIGN = (
    "os system",
    "posix system",
    "builtins eval",
    "builtins exec",
    "__builtin__ eval",
    "builtins getattr",
    "builtins open",
    "builtins __import__",
    "subprocess Popen",
    "numpy load",
    "numpy fromfile",
    "numpy ndarray.tofile",
    "numpy memmap",
    "numpy.core.multiarray fromstring",
    "pandas read_pickle",
    "functools partial",
    "operator methodcaller",
    "types CodeType",
    "copyreg _reconstructor",
    "copyreg add_extension",
    "marshal loads",
    "torch.storage _load_from_bytes",
    "codecs encode",
    "importlib import_module",
    "ctypes string_at",
    "collections OrderedDict",
    "pathlib Path.touch",
    "os path.os.system",
)
#: instructions that need more on the stack than they find
LACKING = [
    b"a",
    b"e",
    b"s",
    b"u",
    b"t",
    b"d",
    b"l",
    b"R",
    b"b",
    b"\x81",
    b"\x85",
    b"\x86",
    b"\x87",
    b"\x93",
    b"q\x00",
    b"\x94",
    b"r\x00\x00\x00\x00",
    b"p0\n",
    b"]a",
    b"}s",
    b"}Ns",
    b"(R",
    b"((t",
    b"](a",
    b"N\x93",
    b"NR",
    b"Nb",
    b"](NNa",
]
#: instructions that data do not need
UNNEEDED = [
    b"0",
    b"1",
    b"2",
    b"\x82\xf0",
    b"\x83\xf0\x00",
    b"\x84\xf0\x00\x00\x00",
    b"P0\n",
    b"Q",
    b"\x8f",
    b"\x90",
    b"\x91",
    b"\x92",
    b"\x97",
    b"\x98",
    b"\xff",
    b"\x00",
    b"(ios\nsystem\n",
    b"(ccollections\nOrderedDict\no",
]


def text(words: str) -> bytes:
    data = words.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def named(place: str) -> bytes:
    return b"c" + place.replace(" ", "\n").encode() + b"\n"


def call(place: str, *args: bytes) -> bytes:
    return named(place) + b"(" + b"".join(args) + b"tR"


def mapped(value: bytes) -> bytes:
    return b"\x80\x04}" + text("x") + value + b"s"


def dtype(code: str = "i1", inside: bytes = b"NNN", order: str = "|") -> bytes:
    return call("numpy dtype", text(code), b"\x89", b"\x88") + b"(K\x03" + text(order) + inside + b"K\x00K\x00K\x00tb"


def array(of: bytes, shape: bytes, content: bytes) -> bytes:
    made = call("numpy.core.multiarray _reconstruct", named("numpy ndarray"), b"(K\x00t", b"C\x01b")
    return made + b"(K\x01" + shape + of + b"\x89" + content + b"tb"


def doubled(start: bytes, pair: Callable[[bytes], bytes], draw: Draw) -> bytes:
    """Something that holds the one before twice, and so on."""
    return start + b"".join(b"q" + bytes([n]) + pair(b"h" + bytes([n])) for n in range(draw.randint(30, 90)))


def twice_in_tuple(before: bytes) -> bytes:
    return before + b"\x86"


def long(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def colliding(count: int, start: int) -> bytes:
    return b"}(" + b"".join(long((2**61 - 1) * (start + k) + 5) + b"N" for k in range(count)) + b"u"


def foreign(draw: Draw) -> tuple[str, str]:
    module, name = draw.choice(FOREIGN).split()
    return module, name


def stacked(draw: Draw, trace: str) -> bytes:
    module, name = foreign(draw)
    return b"\x80\x04" + text(module) + text(name) + b"\x93(" + text(f"touch {trace}") + b"tR"


def inst(draw: Draw, trace: str) -> bytes:
    module, name = foreign(draw)
    return b"(" + text(f"touch {trace}") + f"i{module}\n{name}\n".encode()


def deep(draw: Draw, start: bytes, more: bytes, end: bytes = b"") -> bytes:
    depth = draw.randint(200, 100_000)
    return start + more * depth + end * depth


def announced(draw: Draw) -> bytes:
    """Texts and bytes that are announced as longer than what there is."""
    code, layout = draw.choice(
        [
            (b"\x8e", "<Q"),
            (b"\x8d", "<Q"),
            (b"\x96", "<Q"),
            (b"X", "<I"),
            (b"B", "<I"),
            (b"T", "<i"),
            (b"\x8b", "<i"),
            (b"\x8a", "<B"),
            (b"\x8c", "<B"),
            (b"C", "<B"),
            (b"U", "<B"),
        ]
    )
    n_bytes = struct.calcsize(layout)
    most = 2 ** (8 * n_bytes - (layout in ("<i", "<q"))) - 1
    return code + struct.pack(layout, draw.choice([most, most // 2 + 1, most - draw.randint(0, 100)])) + b"x" * 9


def lying_frame(draw: Draw) -> bytes:
    inside = text("word" * draw.randint(3, 50)) + b"\x85"
    length = draw.choice([2**63, 2**64 - 1, len(inside) + 9, len(inside) - draw.randint(1, 9), 3, 0xFFFFFFFF])
    return b"\x80\x04\x95" + struct.pack("<Q", length) + inside


def digits(draw: Draw) -> bytes:
    count = draw.randint(5_000, 1_000_000)
    return draw.choice([b"I%s\n", b"L%sL\n", b"F%s\n", b"Np%s\n", b"g%s\n"]) % (b"9" * count)


def memo(draw: Draw) -> bytes:
    place = draw.choice([-1, -(2**31), -(2**63), 2**31, 2**63, 10**200])
    return draw.choice([b"]p%d\n", b"g%d\n", b"]q\x00g%d\n"]) % place


def self_containing(draw: Draw) -> bytes:
    return draw.choice(
        [
            b"]q\x00h\x00a",
            b"}q\x00" + text("x") + b"h\x00s",
            mapped(b"]q\x00h\x00a"),
            b"]q\x00(h\x00h\x00e",
            call("numpy dtype", text("i1")) + b"q\x00(K\x03h\x00NNNtb",
            mapped(b"]q\x00h\x00\x85\x85a"),
            mapped(array(dtype("O8"), b"(K\x01t", b"]q\x07h\x07a")),
        ]
    )


def wrong_array(draw: Draw) -> bytes:
    shape, content = b"(K\x02t", b"C\x02\x00\x01"
    eight = b"(K\x08t"
    return mapped(
        draw.choice(
            [
                array(dtype("O8"), eight, b"]"),
                array(dtype("O8"), eight, b"N"),
                array(dtype("O8"), eight, b"C\x00"),
                array(dtype("O"), eight, content),
                array(dtype("f8"), b"(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ft", content),
                array(dtype(), b"(J\xff\xff\xff\xfft", content),
                array(dtype("f8"), b"(K\x00" + long(2**70) + b"t", b"C\x00"),
                array(dtype(), b"(" + b"K\x01" * 70 + b"t", content),
                array(dtype(), b"N", content),
                array(dtype("V2", b"N(" + text("a") + b"t}"), shape, content),
                array(dtype("i1,O"), shape, content),
                array(dtype("S99999999"), shape, content),
                array(dtype("M8"), shape, content),
                array(dtype(order="\n"), shape, content),
                array(named("numpy dtype"), shape, content),
                array(b"N", shape, content),
                array(dtype("b1"), shape, b"C\x02\x07\x01"),
                array(dtype("U1", order="<"), b"(K\x01t", b"C\x04\xff\xff\xff\xff"),
                array(dtype("O8"), b"(K\x01t", b"](]e"),
                array(dtype("O8"), b"(K\x01t", b"](" + long(2**90) + b"e"),
                call("numpy.core.multiarray scalar", dtype("O8"), b"]"),
                call("numpy.core.multiarray scalar", dtype("f8"), b"C\x01x"),
                call("numpy._core.numeric _frombuffer", b"C\x02ab", dtype("O8"), shape, text("C")),
                call("numpy._core.numeric _frombuffer", content, dtype(), shape, text("A")),
                call("numpy ndarray", b"(J\xff\xff\xff\x7ft"),
                call("numpy dtype", text("O")),
                named("numpy ndarray"),
                call("_codecs encode", text("a"), text("rot13")),
                array(dtype(), shape, call("_codecs encode", text("ab"), text("zlib"))),
                array(dtype(), shape, call("builtins bytes", b"J\xff\xff\xff\x7f")),
                call("numpy.core.multiarray _reconstruct", named("numpy ndarray"), b"(J\xff\xff\xff\x7ft", b"C\x01b"),
                named("numpy ndarray") + b")\x81(K\x01tb",
            ]
        )
    )


def controls(draw: Draw) -> bytes:
    """Texts that would write over a terminal, where a message shows them."""
    words = draw.choice(["a\nb", "\x1b[2J\x1b[31m", "x\r\u202e\u2028y", "\ud800", "\x00", "\n" * 999]) * draw.randint(
        1, 99
    )
    return draw.choice(
        [
            text(words) + text(words) + b"\x93",
            b"\x80\x04}(" + (text(words) + b"N") * 2 + b"u",
            mapped(array(dtype(words), b"(K\x01t", b"C\x01x")),
            mapped(call("_codecs encode", text("a"), text(words))),
            mapped(array(dtype(), b"(" + text(words) + b"t", b"C\x01x")),
            b"cos\x1b[31m\nsys\rtem\n",
            b"F\x1b[31m\n",
            b"I\x1b\x07\n",
            b"V\\ud80\n",
            b"S'\x1b\\x'\n",
        ]
    )


def keys(draw: Draw) -> bytes:
    return draw.choice(
        [
            colliding(draw.randint(2_000, 100_000), 0),
            b"](" + b"".join(colliding(900, 900 * k) for k in range(20)) + b"e",
            b"}(" + b"".join(b"G" + struct.pack(">d", k) + b"N" for k in range(5_000)) + b"u",
            b"})Ns",
            b"}]Ns",
            b"}NNs",
            b"}(Nu",
            b"}(K\x01N\x88Nu",
            deep(draw, b"})", b"\x85") + b"Ns",
            b"}" + named("numpy dtype") + b"Ns",
            doubled(b"})", twice_in_tuple, draw) + b"Ns",
        ]
    )


def shared(draw: Draw) -> bytes:
    """A large text as the bytes of very many arrays, the last of which has another shape."""
    size = draw.randint(50_000, 200_000)
    content = b"T" + struct.pack("<i", size) + b"x" * size + b"q\x00"
    many = b"".join(
        text(f"x{n}") + array(dtype(), b"(J" + struct.pack("<i", size) + b"t", b"h\x00") for n in range(1000)
    )
    return b"\x80\x04}(" + text("first") + content + many + text("last") + array(dtype(), b"(K\x09t", b"h\x00") + b"u"


KINDS: dict[str, Callable[[Draw, str], bytes]] = {
    "deep lists": lambda draw, _: deep(draw, b"", b"]", b"a")[:-1],
    "deep tuples": lambda draw, _: deep(draw, b")", b"\x85"),
    "deep tuples in a shape": lambda draw, _: mapped(array(dtype(), deep(draw, b")", b"\x85"), b"C\x01x")),
    "deep dictionaries": lambda draw, _: deep(draw, b"", b"}" + text("a"))[:400_000] + b"N",
    "deep dictionaries, closed": lambda draw, _: deep(draw, b"", b"}" + text("a"))[:35_000] + b"N" + b"s" * 5_000,
    "deep calls": lambda draw, _: deep(draw, b"", named("numpy dtype"))[: 13 * 9_000] + b")" + b"R\x85" * 8_999 + b"R",
    "deep marks": lambda draw, _: deep(draw, b"", b"("),
    "laughs in tuples": lambda draw, _: doubled(b")", twice_in_tuple, draw),
    "laughs in lists": lambda draw, _: b"(" + doubled(b"]", lambda before: b"](" + before * 2 + b"e", draw) + b"t",
    "laughs in dictionaries": lambda draw, _: (
        b"(" + doubled(b"}", lambda before: b"}(K\x01" + before + b"K\x02" + before + b"u", draw) + b"t"
    ),
    "laughs in a shape": lambda draw, _: mapped(array(dtype(), doubled(b")", twice_in_tuple, draw), b"C\x01x")),
    "laughs in an encoding": lambda draw, _: mapped(
        call("_codecs encode", text("a"), doubled(b")", twice_in_tuple, draw))
    ),
    "laughs in a state": lambda draw, _: mapped(
        call("numpy dtype", text("i1")) + doubled(b")", twice_in_tuple, draw) + b"b"
    ),
    "contains itself": lambda draw, _: self_containing(draw),
    "announces too much": lambda draw, _: announced(draw),
    "lying frame": lambda draw, _: lying_frame(draw),
    "digits": lambda draw, _: digits(draw),
    "long number": lambda draw, _: b"\x8b" + struct.pack("<i", 1_000_000) + draw.randbytes(1_000_000),
    "memo": lambda draw, _: memo(draw),
    "global": lambda draw, trace: call(" ".join(foreign(draw)), text(f"touch {trace}")),
    "global on the stack": stacked,
    "global in an array": lambda draw, trace: mapped(
        array(dtype("O8"), b"(K\x01t", b"](" + call(" ".join(foreign(draw)), text(f"open({trace!r}, 'w')")) + b"e")
    ),
    "global of a class": lambda draw, trace: named(" ".join(foreign(draw))) + b"(" + text(trace) + b"t\x81",
    "instance": inst,
    "object": lambda draw, trace: b"(" + named(" ".join(foreign(draw))) + text(f"touch {trace}") + b"o",
    "unneeded": lambda draw, _: draw.choice(UNNEEDED),
    "unneeded, later": lambda draw, _: b"}" + text("x") + draw.choice(UNNEEDED),
    "lacking": lambda draw, _: draw.choice(LACKING),
    "calls": lambda draw, _: draw.choice(
        [
            b"](tR",
            b"}(tR",
            b"K\x01)R",
            named("numpy dtype") + b"(tR(tR",
            b")}b",
            b"}}b",
            named("numpy dtype") + b"}b",
            named("numpy dtype") + b"(tR}b}b",
            named("numpy dtype") + b"]R",
        ]
    ),
    "arrays": lambda draw, _: wrong_array(draw),
    "more arrays": lambda draw, _: wrong_array(draw),
    "control characters": lambda draw, _: controls(draw),
    "keys": lambda draw, _: keys(draw),
    "colliding keys": lambda draw, _: colliding(draw.randint(40_000, 100_000), 0),
    "shared text": lambda draw, _: shared(draw),
    "long name": lambda draw, _: b"c" + b"a" * draw.randint(100, 1_000_000) + b"\n" + b"b" * 100_000 + b"\n",
    "unicode": lambda draw, _: draw.choice(
        [
            b"X\x02\x00\x00\x00\xff\xfe",
            b"\x8c\x01\xc3",
            b"V\\u12\n",
            b"V\\U99999999\n",
            b"Vabc",
            b"S'abc",
            b"Sabc\n",
            b"S'\n",
        ]
    ),
    "protocol": lambda draw, _: b"\x80" + bytes([draw.randint(6, 255)]) + b"N",
    "random bytes": lambda draw, _: draw.randbytes(draw.randint(0, 5_000)),
    "random opcodes": lambda draw, _: bytes(
        draw.choices(b"(]}).NKatedlsuRb\x85\x86\x87\x88\x89\x8a\x93\x94qhjrXUCG", k=draw.randint(1, 5_000))
    ),
    "several values": lambda draw, _: b"N" * draw.randint(2, 100_000),
    "no dictionary": lambda draw, _: draw.choice(
        [b"N", b"K\x07", b")", b"]", text("x"), mapped(b"}"), mapped(named("numpy dtype"))]
    ),
}


def hostile(count: int, trace: str, seed: int = 0) -> list[tuple[str, bytes]]:
    """So many hostile pickles, of every kind in turn, that would leave ``trace`` behind if they ran."""
    kinds = list(KINDS.items())
    drawn: list[tuple[str, bytes]] = []
    for number in range(count):
        name, make = kinds[number % len(kinds)]
        drawn.append((name, make(random.Random(f"{seed} {number}"), trace) + b"."))
    return drawn
