"""Pickles are read without running any of them: right values from what the programs wrote, an error from all else."""

from __future__ import annotations

import copyreg
import pickle
import struct
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isocortex.errors import DataError
from isocortex.files import read_records
from isocortex_nh2015 import read_arrays, read_frame
from isocortex_nh2015.pickled_tables import CONSTRUCTORS
from plugins.nh2015.tests import old_pickles as old

WRITTEN = Path(__file__).parent / "pickles"
TABLES = sorted(path.name for path in WRITTEN.glob("*pandas*.pkl"))
MAPPINGS = sorted(path.name for path in [*WRITTEN.glob("*.cpy"), *WRITTEN.glob("activations*.pkl")])


@pytest.fixture(autouse=True)
def texts_without_pyarrow():
    with pd.option_context("mode.string_storage", "python"):
        yield


def expect_equal(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(found.columns) == list(expected.columns)
    assert found.index.tolist() == expected.index.tolist()
    for name in expected.columns:
        if expected[name].dtype.kind in "biuf":
            assert found[name].dtype == expected[name].dtype
            np.testing.assert_array_equal(found[name], expected[name])
        else:
            assert found[name].dtype == object
            pairs = zip(found[name], expected[name], strict=True)
            assert all(one == two or (pd.isna(one) and pd.isna(two)) for one, two in pairs)


# --- what the programs of the release wrote ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_many_versions_of_pandas_are_what_pandas_reads(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy.core, as it was called
        expected = pd.read_pickle(WRITTEN / name)
    expect_equal(read_frame(WRITTEN / name), expected)


@pytest.mark.parametrize("name", MAPPINGS)
def test_dictionaries_of_python_2_and_3_are_what_pickle_reads(name):
    with warnings.catch_warnings(), (WRITTEN / name).open("rb") as file:
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy.core, as it was called
        expected = pickle.load(file, encoding="latin1")
    found = read_arrays(WRITTEN / name)
    assert list(found) == list(expected)
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values)
        if isinstance(values, np.ndarray):
            assert (found[key].dtype, found[key].shape) == (values.dtype, values.shape)


def test_the_table_of_pandas_1_1_holds_what_was_put_into_it():
    table = read_frame(WRITTEN / "df_roi_meta.pandas-1.1.4.pkl")
    assert table["voxel_id"].tolist() == [10, 30, 20, 50, 40, 60]
    assert table["roi_label_general"].fillna("").tolist() == ["Primary", "", "Primary", "", "", "Primary"]
    np.testing.assert_array_equal(table["kell_r_reliability"], np.linspace(-0.5, 0.9, 6))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tables_that_this_version_of_pandas_writes(tmp_path, protocol):
    draw = np.random.default_rng(protocol)
    table = pd.DataFrame({
        "whole": draw.integers(0, 9, 7), "real": draw.normal(size=7), "single": draw.normal(size=7).astype("f4"),
        "text": [None if number % 3 else f"voxel {number}" for number in range(7)], "flag": draw.random(7) < 0.5,
        "constant": "B2021", "mixed": pd.Series([1, 2.5, "three", None, np.nan, True, "é"], dtype=object),
    })  # fmt: skip
    for number, written in enumerate([table, table[table["flag"]], table.set_index("real")[["text"]], table.iloc[:0]]):
        path = tmp_path / f"{number}.pkl"
        written.to_pickle(path, protocol=protocol)
        expect_equal(read_frame(path), written)


def test_arrays_of_every_kind_keep_bytes_shape_and_order(tmp_path):
    draw = np.random.default_rng(0)
    written = {
        "real": draw.normal(size=(3, 4)), "by columns": np.asfortranarray(draw.normal(size=(3, 4))),
        "strided": draw.normal(size=9)[::2], "big endian": np.arange(3, dtype=">f4"), "none": np.empty((0, 3)),
        "bytes": np.array([b"ab", b"c"]), "text": np.array(["ab", "é"]), "half": np.arange(3, dtype="f2"),
        "scalar": np.float32(1.5), "flag": np.array([True, False]), "list": ["pitch", "music"], "number": 3,
    }  # fmt: skip
    for protocol in range(6):
        path = tmp_path / f"{protocol}.pkl"
        path.write_bytes(pickle.dumps(written, protocol=protocol))
        found = read_arrays(path)
        for key, values in written.items():
            np.testing.assert_array_equal(found[key], values)


def test_the_writers_of_these_tests_write_what_python_and_pandas_read(tmp_path):
    table = read_frame(WRITTEN / "df_output.pandas-1.1.4.pkl")
    path = old.write_old_frame(tmp_path / "old.pkl", table)
    expect_equal(pd.read_pickle(path), table)
    expect_equal(read_frame(path), table)
    content = {"masks": np.eye(3, dtype=bool), "x": np.linspace(-1, 1, 5), "mask_names": ["pitch", "music"]}
    path = old.write_python2(tmp_path / "old.cpy", content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        loaded = old.loads(path.read_bytes())
    for key, values in content.items():
        np.testing.assert_array_equal(loaded[key], values)
        np.testing.assert_array_equal(read_arrays(path)[key], values)


# --- what runs, elsewhere ---------------------------------------------------------------------------------------------


def text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word.encode())) + word.encode()


def calling(module: str, name: str, *args: bytes) -> bytes:
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n(" + b"".join(args) + b"tR"


def stacked(module: str, name: str) -> bytes:
    return b"\x80\x04" + text(module) + text(name) + b"\x93"


def hostile(trace: str) -> dict[str, tuple[bytes, str]]:
    """Pickles that write the file ``trace`` when they run, and what the error must name."""
    write = f"open({trace!r}, 'w').write('ran')"
    touch = text(f"touch {trace}")
    instance = b"(ios\nsystem\n"  # a malformed one is enough: INST itself is refused
    return {
        "os.system": (calling("os", "system", touch), "os.system"),
        "posix.system": (calling("posix", "system", touch), "posix.system"),
        "nt.system": (calling("nt", "system", touch), "nt.system"),
        "subprocess": (b"csubprocess\nPopen\n(](" + text("touch") + text(trace) + b"et\x81", "subprocess.Popen"),
        "eval": (calling("builtins", "eval", text(write)), "builtins.eval"),
        "exec": (calling("__builtin__", "exec", text(write)), "__builtin__.exec"),
        "open": (calling("builtins", "open", text(trace), text("w")), "builtins.open"),
        "getattr": (calling("builtins", "getattr", b"cos\nname\n", text("x")), "builtins.getattr"),
        "getattr chain": (
            b"cbuiltins\ngetattr\n(cnumpy\nndarray\n" + text("tofile") + b"tR(" + text(trace) + b"tR",
            "builtins.getattr",
        ),
        "dotted name": (stacked("os", "path.os.system") + b"(" + touch + b"tR", "os.path.os.system"),
        "dotted name of an allowed one": (stacked("numpy", "ndarray.tofile"), "numpy.ndarray.tofile"),
        "stack global": (stacked("os", "system") + b"(" + touch + b"tR", "os.system"),
        "stack global by memo": (
            b"\x80\x04" + text("system") + b"\x940" + text("os") + b"\x940h\x01h\x00\x93",
            "POP",
        ),
        "names from the memo": (
            b"\x80\x04](" + text("system") + b"\x94" + text("os") + b"\x94eh\x01h\x00\x93(" + touch + b"tR",
            "os.system",
        ),
        "numpy.load": (calling("numpy", "load", text(trace)), "numpy.load"),
        "numpy.fromfile": (calling("numpy", "fromfile", text(trace)), "numpy.fromfile"),
        "numpy.f2py": (calling("numpy.f2py.crackfortran", "myeval", text(write)), "numpy.f2py.crackfortran.myeval"),
        "numpy.testing": (
            calling("numpy.testing._private.utils", "runstring", text(write), b"}"),
            "numpy.testing._private.utils.runstring",
        ),
        "numpy.distutils": (calling("numpy.distutils.exec_command", "_exec_command", touch), "numpy.distutils"),
        "numpy.lib.format": (calling("numpy.lib.format", "read_array", text(trace)), "numpy.lib.format.read_array"),
        "pandas.read_pickle": (calling("pandas", "read_pickle", text(trace)), "pandas.read_pickle"),
        "pandas.eval": (calling("pandas", "eval", text(write)), "pandas.eval"),
        "functools.partial": (
            b"cfunctools\npartial\n(cos\nsystem\n" + touch + b"tR(tR",
            "os.system",
        ),
        "functools.partial of an allowed name": (
            b"cfunctools\npartial\n(cnumpy\nndarray\n" + touch + b"tR(tR",
            "functools.partial",
        ),
        "functools.partial with arguments": (
            b"cfunctools\npartial\n(cpandas.core.internals.blocks\nnew_block\n" + touch + b"tR(tR",
            "functools.partial",
        ),
        "operator.methodcaller": (calling("operator", "methodcaller", text("system"), touch), "operator.methodcaller"),
        "copyreg._reconstructor": (
            calling("copyreg", "_reconstructor", b"cos\nsystem\n", b"N", b"N"),
            "copyreg._reconstructor",
        ),
        "copyreg.add_extension": (
            calling("copyreg", "add_extension", text("os"), text("system"), b"K\xf0"),
            "copyreg.add_extension",
        ),
        "copy_reg._reconstructor": (calling("copy_reg", "_reconstructor", b"N"), "copy_reg._reconstructor"),
        "types.CodeType": (calling("types", "CodeType", b"K\x00"), "types.CodeType"),
        "marshal": (calling("marshal", "loads", text("x")), "marshal.loads"),
        "codecs": (calling("codecs", "encode", touch, text("rot13")), "codecs.encode"),
        "torch": (calling("torch.storage", "_load_from_bytes", text("x")), "torch.storage._load_from_bytes"),
        "inside an allowed call": (
            b"cpandas.core.indexes.base\n_new_Index\n(cos\nsystem\n}" + text("command") + touch + b"stR",
            "os.system",
        ),
        "persistent id": (b"P0\n", "PERSID"),
        "binary persistent id": (touch + b"Q", "BINPERSID"),
        "extension code": (b"\x80\x02\x82\xf0(" + touch + b"tR", "EXT1"),
        "long extension code": (b"\x80\x02\x83\xf0\x00(" + touch + b"tR", "EXT2"),
        "longest extension code": (b"\x80\x02\x84\xf0\x00\x00\x00(" + touch + b"tR", "EXT4"),
        "instance": (instance, "INST"),
        "object": (b"(cos\nsystem\n" + touch + b"o", "os.system"),
        "object of an allowed class": (b"(cnumpy\nndarray\n" + touch + b"o", "OBJ"),
        "keyword arguments": (b"\x80\x04cnumpy\nndarray\n)}\x92", "NEWOBJ_EX"),
        "buffer": (b"\x80\x05\x97", "NEXT_BUFFER"),
        "set": (b"\x80\x04\x8f", "EMPTY_SET"),
        "calls a list": (b"](tR", "calls a list"),
        "calls what was made": (b"cnumpy\ndtype\n(tR(tR", "calls what numpy.dtype stands for"),
        "state of a class": (
            b"cpandas.core.frame\nDataFrame\n}" + text("__setstate__") + text("x") + b"sb",
            "sets the state of what pandas.core.frame.DataFrame stands for",
        ),
        "state of a dictionary": (b"}}b", "sets the state of a dict"),
        "append to an object": (b"cnumpy\ndtype\n(tRNa", "appends to what numpy.dtype stands for"),
        "items of an object": (b"cnumpy\ndtype\n(tRNNs", "sets items of what numpy.dtype stands for"),
    }


CASES = list(hostile(""))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("read", [read_frame, read_arrays])
def test_nothing_that_a_pickle_names_runs(tmp_path, case, read):
    trace = tmp_path / "trace"
    data, named = hostile(str(trace))[case]
    path = tmp_path / "hostile.pkl"
    path.write_bytes(data + b".")
    with pytest.raises(DataError) as error:
        read(path)
    assert named in str(error.value)
    assert "Nothing of it was run" in str(error.value)
    assert not trace.exists()


@pytest.mark.parametrize(
    "case", ["os.system", "eval", "exec", "open", "stack global", "dotted name", "names from the memo"]
)
def test_the_same_pickles_do_run_in_pickle(tmp_path, case):
    trace = tmp_path / "trace"
    pickle.loads(hostile(str(trace))[case][0] + b".")
    assert trace.exists()


def test_an_extension_code_that_is_registered_does_not_run_either(tmp_path):
    import os

    trace = tmp_path / "trace"
    data = hostile(str(trace))["extension code"][0] + b"."
    copyreg.add_extension("os", "system", 0xF0)
    try:
        pickle.loads(data)  # fills the cache, from where a restricted find_class is not asked any more
        assert trace.exists()
        trace.unlink()
        assert os.system is not None
        with pytest.raises(DataError, match="uses the instruction EXT1"):
            read_records(data, CONSTRUCTORS, "registered.pkl")
        assert not trace.exists()
    finally:
        copyreg.remove_extension("os", "system", 0xF0)


def test_a_name_before_the_foreign_one_is_not_built(tmp_path):
    """All that was read before the error are records: no array exists, whatever came first."""
    data = b"\x80\x02]" + old.array(np.arange(3.0)) + b"acos\nsystem\n."
    with pytest.raises(DataError, match=r"names os\.system"):
        read_records(data, CONSTRUCTORS, "late.pkl")
    record = read_records(b"\x80\x02" + old.array(np.arange(3.0)) + b".", CONSTRUCTORS, "early.pkl").value
    assert str(record) == "numpy.core.multiarray._reconstruct"
    assert str(record.args[0]) == "numpy.ndarray"


def test_every_constructor_is_data_only():
    """The table is short, exact, and holds nothing that could reach further."""
    assert {place.split()[0].partition(".")[0] for place in CONSTRUCTORS} == {
        "numpy", "pandas", "_codecs", "builtins", "__builtin__", "functools",
    }  # fmt: skip
    assert {place for place in CONSTRUCTORS if "built" in place} == {
        "builtins slice", "__builtin__ slice", "builtins bytes", "__builtin__ bytes",
    }  # fmt: skip


# --- allowed names with arguments that they never had -----------------------------------------------------------------


def array_of(dtype: bytes, shape: bytes = b"(K\x02t", content: bytes = b"C\x02\x00\x01") -> bytes:
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"
    return made + b"(K\x01" + shape + dtype + b"\x89" + content + b"tb"


def dtype_of(code: str, inside: bytes = b"NNN", order: str = "|") -> bytes:
    return (
        calling("numpy", "dtype", text(code), b"\x89", b"\x88")
        + b"(K\x03"
        + text(order)
        + inside
        + b"K\x00K\x00K\x00tb"
    )


FOREIGN_ARGUMENTS = {
    "dtype of a class": (array_of(calling("numpy", "dtype", b"cnumpy\nndarray\n")), "expected a text"),
    "dtype of objects without a list": (array_of(dtype_of("O8")), "array of objects is filled with a bytes"),
    "dtype with fields": (array_of(dtype_of("V2", b"N(" + text("a") + b"t}")), "dtype 'V2'"),
    "plain dtype with fields": (array_of(dtype_of("i1", b"N(" + text("a") + b"t}")), "with fields or a sub-array"),
    "dtype with a comma": (array_of(dtype_of("i1,O")), "dtype 'i1,O'"),
    "dates": (array_of(dtype_of("M8")), "dtype 'M8'"),
    "huge texts": (array_of(dtype_of("S999999999")), "dtype 'S999999999'"),
    "unknown order": (array_of(dtype_of("i1", order="x")), "with fields"),
    "another class": (
        b"cnumpy.core.multiarray\n_reconstruct\n(cpandas\nDataFrame\n(K\x00tC\x01btR(K\x01(K\x02tNN]tb",
        "an array is made of",
    ),
    "a large first shape": (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(J\xff\xff\xff\x7ftC\x01btR(K\x01(K\x02tNN]tb",
        "an array is made of",
    ),
    "more values than bytes": (array_of(dtype_of("i1"), b"(J\xff\xff\xff\x7ft"), "2 bytes are given for 2147483647"),
    "absurd shape": (array_of(dtype_of("f8"), b"(" + b"\x8a\x09" + b"\xff" * 8 + b"\x7ft"), "bytes are given for"),
    "negative shape": (array_of(dtype_of("i1"), b"(J\xff\xff\xff\xfft"), "expected a size, found -1"),
    "shape of texts": (array_of(dtype_of("i1"), b"(" + text("x") + b"t"), "expected a size"),
    "too many dimensions": (array_of(dtype_of("i1"), b"(" + b"K\x01" * 9 + b"t"), "has the shape"),
    "no state": (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR", "cannot"),
    "flags that are no flags": (array_of(dtype_of("b1"), content=b"C\x02\x02\x01"), "neither 0 nor 1"),
    "nested objects": (array_of(dtype_of("O8"), content=b"](]]e"), "an array holds a list"),
    "objects that are calls": (
        array_of(dtype_of("O8"), content=b"](" + dtype_of("i1") + dtype_of("i1") + b"e"),
        "an array holds numpy.dtype",
    ),
    "scalar of objects": (calling("numpy.core.multiarray", "scalar", dtype_of("O8"), b"]"), "a number is an object"),
    "an encoding that is none": (
        array_of(dtype_of("i1"), content=calling("_codecs", "encode", text("ab"), text("zlib"))),
        "encoded as 'zlib'",
    ),
    "a table": (calling("pandas", "DataFrame"), "expected an array, found pandas.DataFrame"),
    "a slice": (calling("builtins", "slice", b"N"), "expected an array, found builtins.slice"),
}


@pytest.mark.parametrize("case", FOREIGN_ARGUMENTS)
def test_allowed_names_with_foreign_arguments_are_refused(tmp_path, case):
    value, message = FOREIGN_ARGUMENTS[case]
    path = tmp_path / "foreign.pkl"
    path.write_bytes(b"\x80\x02}" + text("x") + value + b"s.")
    with pytest.raises(DataError, match="cannot be read as a dictionary of arrays") as error:
        read_arrays(path)
    assert message in str(error.value)


def frame_of(axes: bytes, values: bytes, places: bytes) -> bytes:
    parts = old.listed([b"}(" + text("values") + values + text("mgr_locs") + places + b"u"])
    extra = old.mapped({"0.14.1": old.mapped({"axes": axes, "blocks": parts})})
    content = old.tuple_of(axes, old.listed([]), old.listed([]), extra)
    manager = old.state(old.call("pandas.core.internals.managers BlockManager"), content)
    return b"\x80\x02" + old.state(old.call("pandas.core.frame DataFrame"), old.mapped({"_mgr": manager})) + b"."


ROWS, ONE, ENDLESS = old.index(pd.RangeIndex(2)), old.index(["a"]), old.index(pd.RangeIndex(10**15))
VALUES = old.array(np.arange(2.0)[None])
FRAMES = {
    "endless rows": (old.listed([ONE, ENDLESS]), VALUES, old.call("builtins slice", 0, 1, 1)),
    "endless columns": (old.listed([ENDLESS, ROWS]), VALUES, old.call("builtins slice", 0, 1, 1)),
    "rows beyond counting": (
        old.listed([ONE, old.call("pandas.core.indexes.base _new_Index", old.named("pandas RangeIndex"),
                                  old.mapped({"start": 0, "stop": 2**70, "step": 1}))]),
        VALUES,
        old.call("builtins slice", 0, 1, 1),
    ),
    "a column twice": (
        old.listed([old.index(["a", "a"]), ROWS]), old.array(np.zeros((2, 2))), old.call("builtins slice", 0, 2, 1),
    ),
    "a column without values": (old.listed([old.index(["a", "b"]), ROWS]), VALUES, old.call("builtins slice", 0, 1, 1)),
    "a place beyond": (old.listed([ONE, ROWS]), VALUES, old.array(np.array([7]))),
    "places that are no numbers": (old.listed([ONE, ROWS]), VALUES, old.array(np.array([0.5]))),
    "values that are no array": (old.listed([ONE, ROWS]), old.listed([1.0, 2.0]), old.call("builtins slice", 0, 1, 1)),
    "an index that is none": (old.listed([ONE, old.listed([])]), VALUES, old.call("builtins slice", 0, 1, 1)),
    "one axis": (old.listed([ONE]), VALUES, old.call("builtins slice", 0, 1, 1)),
    "a range of texts": (
        old.listed([ONE, old.call("pandas.core.indexes.base _new_Index", old.named("pandas RangeIndex"),
                                  old.mapped({"start": "0", "stop": "2", "step": "1"}))]),
        VALUES,
        old.call("builtins slice", 0, 1, 1),
    ),
    "an index of dates": (
        old.listed([ONE, old.call("pandas.core.indexes.base _new_Index", old.named("pandas DataFrame"), b"}")]),
        VALUES,
        old.call("builtins slice", 0, 1, 1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FRAMES)
def test_tables_that_do_not_fit_together_are_refused(tmp_path, case):
    path = tmp_path / "table.pkl"
    path.write_bytes(frame_of(*FRAMES[case]))
    with pytest.raises(DataError, match="cannot be read as a table of pandas"):
        read_frame(path)


def test_columns_that_need_another_constructor_name_it(tmp_path):
    path = tmp_path / "dates.pkl"
    pd.DataFrame({"kind": pd.Categorical(["a", "b"])}).to_pickle(path)
    with pytest.raises(DataError, match=r"names pandas.*Categorical"):
        read_frame(path)


# --- damage and bombs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*TABLES, *MAPPINGS])
def test_a_file_that_ends_early_is_an_error_wherever_it_ends(tmp_path, name):
    data = (WRITTEN / name).read_bytes()
    read = read_arrays if name in MAPPINGS else read_frame
    path = tmp_path / name
    for end in range(0, len(data), 1 + len(data) // 150):
        path.write_bytes(data[:end])
        with pytest.raises(DataError):
            read(path)


@pytest.mark.parametrize("name", [*TABLES, *MAPPINGS])
def test_damaged_bytes_lead_to_values_or_to_an_error_and_to_nothing_else(tmp_path, name):
    data = (WRITTEN / name).read_bytes()
    read = read_arrays if name in MAPPINGS else read_frame
    draw = np.random.default_rng(len(data))
    path = tmp_path / name
    n_refused = 0
    for _ in range(150):
        damaged = bytearray(data)
        for place in draw.integers(0, len(data), draw.integers(1, 4)):
            damaged[place] = draw.integers(0, 256)
        path.write_bytes(damaged)
        try:
            read(path)
        except DataError:
            n_refused += 1
    assert n_refused > 50


DOUBLING = b"".join(b"](h" + bytes([n]) + b"h" + bytes([n]) + b"eq" + bytes([n + 1]) for n in range(60))
BOMBS = {
    "nothing": b"",
    "no pickle": b"PK\x03\x04 a zip archive",
    "only the end": b".",
    "two values": b"NN.",
    "open mark": b"(N.",
    "no mark": b"Nt.",
    "no value": b"a.",
    "value behind a mark": b"](a.",
    "unknown memo": b"h\x07.",
    "protocol 99": b"\x80\x63N.",
    "lists in lists": b"]" * 100_000 + b"a" * 99_999 + b".",
    "tuples in tuples": b")" + b"\x85" * 100_000 + b".",
    "a deep key": b"}" + b")" + b"\x85" * 100_000 + b"Ns.",
    "a list in itself": b"]q\x00h\x00a.",
    "doubling": b"]q\x00" + DOUBLING + b".",
    "doubling in a dictionary": b"}\x8c\x01x]q\x00" + DOUBLING + b"s.",
    "endless bytes": b"\x8e" + struct.pack("<Q", 2**62) + b"x.",
    "endless text": b"\x8d" + struct.pack("<Q", 2**63) + b"x.",
    "endless frame": b"\x80\x04\x95" + struct.pack("<Q", 2**63) + b"N.",
    "text of negative length": b"T" + struct.pack("<i", -5) + b"x.",
    "a number of a million digits": b"I" + b"9" * 1_000_000 + b"\n.",
    "a long number of a million digits": b"L" + b"9" * 1_000_000 + b"L\n.",
    "a number that is none": b"Ix\n.",
    "a real number that is none": b"Fx\n.",
    "a line without end": b"I5",
    "a text without quotes": b"Sx\n.",
    "a text that is not UTF-8": b"X\x02\x00\x00\x00\xff\xfe.",
    "a key without its value": b"}(Nu.",
    "a key that is a list": b"}]Ns.",
    "a name of bytes": b"\x80\x04C\x02osC\x06system\x93.",
    "a name of numbers": b"\x80\x04K\x01K\x02\x93.",
    "arguments that are no tuple": b"cnumpy\ndtype\n]R.",
    "state twice": b"cnumpy\ndtype\n(tR}b}b.",
}  # fmt: skip


@pytest.mark.parametrize("case", BOMBS)
@pytest.mark.parametrize("read", [read_frame, read_arrays])
def test_bombs_and_nonsense_are_an_error(tmp_path, case, read):
    path = tmp_path / "bomb.pkl"
    path.write_bytes(BOMBS[case])
    with pytest.raises(DataError, match=r"bomb\.pkl"):
        read(path)


def test_the_number_of_instructions_is_bounded(monkeypatch):
    monkeypatch.setattr("isocortex.files.unpickle.MAX_INSTRUCTIONS", 1000)
    with pytest.raises(DataError, match="more than 1000 instructions"):
        read_records(b"]" * 5000 + b".", (), "long.pkl")


def test_large_files_are_not_read(tmp_path, monkeypatch):
    path = tmp_path / "large.pkl"
    path.write_bytes(pickle.dumps({"x": np.zeros(100)}))
    monkeypatch.setattr("isocortex_nh2015.pickled_tables.MAX_BYTES", 100)
    with pytest.raises(DataError, match=r"has \d+ bytes, more than the 100"):
        read_arrays(path)


def test_a_value_that_stands_in_many_places_is_made_once(tmp_path):
    shared = np.arange(1000.0)
    path = tmp_path / "shared.pkl"
    path.write_bytes(pickle.dumps({f"layer {number}": shared for number in range(1000)}))
    found = read_arrays(path)
    assert len({id(values) for values in found.values()}) == 1
    np.testing.assert_array_equal(found["layer 7"], shared)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.pkl cannot be read"):
        read_frame(tmp_path / "nowhere.pkl")
