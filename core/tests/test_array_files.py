"""Files of arrays that promise more than they hold, or whose bytes lie elsewhere: refused before they are read."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from isocortex.errors import DataError
from isocortex.files.array_files import check_hdf5, check_netcdf, load_npy
from isocortex.loading.folder_arrays import read_netcdf

VALUES = np.arange(1, 2001, dtype=np.float64).reshape(100, 20)
RESPONSES = xr.DataArray(VALUES, dims=("presentation", "neuroid"), name="responses")
CLASSIC = ("NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA")
Make = Callable[[Path], object]


def netcdf(path: Path, format_: str, unlimited: tuple[str, ...] = (), responses: xr.DataArray = RESPONSES) -> bytes:
    how: Any = {"format": format_, "engine": "netcdf4", "unlimited_dims": unlimited}
    responses.to_dataset().to_netcdf(path, **how)
    return path.read_bytes()


@pytest.mark.parametrize("format_", [*CLASSIC, "NETCDF4", "NETCDF4_CLASSIC"])
@pytest.mark.parametrize("unlimited", [(), ("presentation",)])
def test_netcdf_is_read_as_it_was_written(tmp_path: Path, format_: str, unlimited: tuple[str, ...]) -> None:
    named = RESPONSES.assign_coords(stimulus_id=("presentation", [f"s{row}" for row in range(100)]))
    path = tmp_path / "responses.nc"
    netcdf(path, format_, unlimited, named)
    np.testing.assert_array_equal(read_netcdf(path), VALUES)


@pytest.mark.parametrize("format_", [*CLASSIC, "NETCDF4"])
@pytest.mark.parametrize("unlimited", [(), ("presentation",)])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.5, 0.9, 0.9999])
def test_truncated_netcdf_is_refused(tmp_path: Path, format_: str, unlimited: tuple[str, ...], share: float) -> None:
    """The library reads what a classic file lacks as zeros."""
    path = tmp_path / "responses.nc"
    content = netcdf(path, format_, unlimited)
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"responses\.nc"):
        read_netcdf(path)


@pytest.mark.parametrize("format_", CLASSIC)
def test_no_shortening_of_a_classic_file_is_read(tmp_path: Path, format_: str) -> None:
    path = tmp_path / "responses.nc"
    content = netcdf(path, format_)
    for end in [*range(0, 300, 3), *range(len(content) - 20, len(content))]:
        path.write_bytes(content[:end])
        with pytest.raises(DataError):
            check_netcdf(path)


@pytest.mark.parametrize("format_", CLASSIC)
def test_a_classic_file_with_any_byte_changed_gives_values_or_a_data_error(tmp_path: Path, format_: str) -> None:
    path = tmp_path / "responses.nc"
    content = netcdf(path, format_)
    for place in range(200):
        changed = bytearray(content)
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        try:
            check_netcdf(path)
        except DataError:
            continue


def test_a_classic_file_that_promises_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "responses.nc"
    content = netcdf(path, "NETCDF3_CLASSIC")
    place = content.index(b"presentation") + len("presentation")
    assert struct.unpack_from(">I", content, place) == (100,)
    path.write_bytes(content[:place] + struct.pack(">I", 1 << 30) + content[place + 4 :])
    with pytest.raises(DataError, match="is truncated: its variables end at byte 171,798,"):
        check_netcdf(path)


def external_link(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["deep/link"] = h5py.ExternalLink("other.h5", "/values")


def external_link_of_a_group(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["a"] = 1.0
        file["all"] = h5py.ExternalLink("other.h5", "/")


def external_storage(path: Path) -> None:
    with h5py.File(path, "w") as file:
        other = str(path.with_name("other.raw"))
        file.create_dataset("responses", (100, 20), "f8", external=[(other, 0, h5py.h5f.UNLIMITED)])


def virtual(path: Path) -> None:
    layout = h5py.VirtualLayout((100, 20), "f8")
    layout[:] = h5py.VirtualSource(str(path.with_name("other.h5")), "values", (100, 20))
    with h5py.File(path, "w", libver="latest") as file:
        file.create_virtual_dataset("responses", layout)


def virtual_in_itself(path: Path) -> None:
    layout = h5py.VirtualLayout((100, 20), "f8")
    layout[:] = h5py.VirtualSource(".", "values", (100, 20))
    with h5py.File(path, "w", libver="latest") as file:
        file["values"] = VALUES
        file.create_virtual_dataset("responses", layout)


def a_terabyte_of_fill(path: Path) -> None:
    with h5py.File(path, "w") as file:
        values = file.create_dataset("responses", (1 << 20, 1 << 17), "f8", chunks=(100, 20))
        values[:100, :20] = VALUES


def many_times_ten_megabytes(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for number in range(20):
            values = file.create_dataset(f"v{number}", (1 << 20, 10), "f8", chunks=(100, 10), compression="gzip")
            values[:100] = VALUES[:, :10]


def many_links(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for number in range(300):
            file[f"a/b{number:03d}"] = (
                h5py.ExternalLink("other.h5", "/values") if number == 299 else h5py.SoftLink("/c")
            )


ELSEWHERE: dict[str, tuple[Make, str]] = {
    "a link into another file": (external_link, r"/deep/link is a link into another file 'other\.h5'"),
    "a group in another file": (external_link_of_a_group, r"/all is a link into another file 'other\.h5'"),
    "among many links": (many_links, r"/a/b299 is a link into another file"),
    "external storage": (external_storage, "/responses has its values in another file"),
    "virtual": (virtual, "/responses is made of parts of other data sets"),
    "virtual in itself": (virtual_in_itself, "/responses is made of parts of other data sets"),
    "a terabyte": (a_terabyte_of_fill, "promises 1,099.51 GB of values, more than its .* bytes can hold"),
    "many that are large together": (many_times_ten_megabytes, "promises 1.68 GB of values"),
}


@pytest.mark.parametrize("name", ELSEWHERE)
@pytest.mark.parametrize("check", [check_hdf5, check_netcdf, read_netcdf])
def test_hdf5_whose_bytes_are_not_in_it_is_refused(tmp_path: Path, name: str, check: Make) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["values"] = VALUES
    VALUES.tofile(tmp_path / "other.raw")
    make, message = ELSEWHERE[name]
    make(tmp_path / "a.nc")
    with pytest.raises(DataError, match=rf"a\.nc.*{message}"):
        check(tmp_path / "a.nc")


def test_hdf5_of_one_file_is_fine(tmp_path: Path) -> None:
    """Soft links, cycles, compressed and empty data sets, strings, and a dimension without a variable."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["deep/er/values"] = VALUES
        file["soft"] = h5py.SoftLink("/deep/er/values")
        file["dangling"] = h5py.SoftLink("/nowhere")
        file["deep/er/cycle"] = file["deep"]
        file["twice"] = file["deep/er/values"]
        file.create_dataset("zeros", (1000, 1000), "f8", compression="gzip")[:] = 0
        file.create_dataset("empty", (0, 3), "f8")
        file.create_dataset("null", data=h5py.Empty("f8"))
        file["text"] = ["a", "bc"]
        file.create_dataset("never written", (1 << 30,), "f4")
    check_hdf5(path)
    check_netcdf(path)


@pytest.mark.parametrize(
    "content", [b"", b"CDF", b"CDF\3" + bytes(60), b"\x89HDF\r\n\x1a\n", b"\x0e\x03\x13\x01" * 9, b"PK\3\4"]
)
def test_what_is_neither_netcdf_nor_hdf5_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.nc").write_bytes(content)
    for check in (check_netcdf, check_hdf5, read_netcdf):
        with pytest.raises(DataError, match=r"a\.nc"):
            check(tmp_path / "a.nc")
        with pytest.raises(DataError, match=r"absent\.nc"):
            check(tmp_path / "absent.nc")


# --- npy --------------------------------------------------------------------------------------------------------------


def npy(array: np.ndarray = VALUES) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def promising(shape: str) -> bytes:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + VALUES.tobytes()


@pytest.mark.parametrize("array", [VALUES, VALUES.T, VALUES[0, 0], VALUES[:0], VALUES > 3, VALUES.astype(">f4")])
def test_npy_is_read_as_it_was_written(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    found = load_npy(tmp_path / "a.npy")
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy()[:-1], "promises 16,000 bytes of values and holds 15,999. It is truncated"),
        (npy() + npy(), "promises 16,000 bytes .* Save one array in it"),
        (promising("(1000000000000,)"), "promises 8,000,000,000,000 bytes"),
        (promising("(-5, 20)"), "promises -800 bytes|cannot be read"),
        (promising("(100, 20) + ()"), "cannot be read as an array of numpy"),
        (promising("__import__('os')"), "cannot be read as an array of numpy"),
        (npy()[:50], "cannot be read as an array of numpy"),
        (b"\x93NUMPY\1\0\xff\xff" + b" " * 70_000, "cannot be read as an array of numpy"),
        (b"\x93NUMPY\3\0" + bytes(100), "cannot be read as an array of numpy"),
        (b"PK\3\4", "cannot be read as an array of numpy"),
        (b"", "cannot be read as an array of numpy"),
    ],
)
def test_npy_that_holds_something_else_than_it_says_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.npy ({message})"):
        load_npy(tmp_path / "a.npy")


def test_objects_in_npy_are_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="holds Python objects"):
        load_npy(tmp_path / "a.npy")
    with pytest.raises(DataError, match=r"absent\.npy cannot be read"):
        load_npy(tmp_path / "absent.npy")
