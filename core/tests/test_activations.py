from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, strategies as st

from isocortex.activations import layer as module
from isocortex.activations.layer import Activations
from isocortex.errors import AlignmentError, DataError


def matrix(n_stimuli: int = 7, n_units: int = 11, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(n_stimuli * n_units).standard_normal((n_stimuli, n_units)).astype(dtype)


def ids(n_stimuli: int) -> list[str]:
    return [f"s{number}" for number in range(n_stimuli)]


@given(data=st.data())
def test_blocks_are_columns_of_the_reordered_whole(data: st.DataObject) -> None:
    n_stimuli, n_units = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 9))
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, n_stimuli - 1)), max_size=3)))
    values = matrix(n_stimuli, n_units)
    chunks = [chunk for chunk in np.split(values, cuts) if len(chunk)]
    order = data.draw(st.lists(st.sampled_from(ids(n_stimuli)), max_size=10))
    width = data.draw(st.integers(1, 10))
    activations = Activations("layer", ids(n_stimuli), chunks)
    blocks = list(activations.blocks(order, width))
    assert [block.shape[1] for block in blocks] == [min(width, n_units - at) for at in range(0, n_units, width)]
    expected = values[[int(name[1:]) for name in order]]
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), expected)
    np.testing.assert_array_equal(activations.array(order), expected)
    np.testing.assert_array_equal(activations.array(), values)
    assert activations.shape == (n_stimuli, n_units)


@pytest.fixture
def chunk_files(tmp_path: Path) -> list[Path]:
    paths = []
    for number, part in enumerate(np.split(matrix(), [3, 6])):
        paths.append(tmp_path / f"{number}.npy")
        np.save(paths[-1], part)
    return paths


def test_files_give_what_memory_gives(chunk_files: list[Path]) -> None:
    from_files = Activations("layer", ids(7), chunk_files)
    in_memory = Activations("layer", ids(7), [matrix()])
    order = ["s6", "s0", "s3", "s3"]
    for block, expected in zip(from_files.blocks(order, 4), in_memory.blocks(order, 4), strict=True):
        assert type(block) is np.ndarray
        np.testing.assert_array_equal(block, expected)
        assert block.dtype == np.float32
    assert from_files.digest == in_memory.digest


def test_files_are_read_when_their_values_are_needed(chunk_files: list[Path]) -> None:
    """Memory-mapped: what is written into the file afterwards is what a block holds."""
    activations = Activations("layer", ids(7), chunk_files)
    stored = np.lib.format.open_memmap(chunk_files[1], mode="r+")
    stored[0, 0] = 42
    stored.flush()
    assert activations.array(["s3"])[0, 0] == 42


def test_the_default_width_bounds_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_VALUES", 20)
    activations = Activations("layer", ids(7), [matrix()])
    assert [block.shape for block in activations.blocks()] == [(7, 2)] * 5 + [(7, 1)]
    assert [block.shape for block in activations.blocks(["s0"])] == [(1, 11)]
    wide = Activations("layer", ids(30), [matrix(30, 2)])
    assert [block.shape for block in wide.blocks()] == [(30, 1)] * 2


def test_a_layer_without_units_is_empty() -> None:
    activations = Activations("layer", ids(3), [np.empty((3, 0))])
    assert list(activations.blocks()) == []
    assert activations.array(["s1", "s0"]).shape == (2, 0)
    assert activations.n_units == 0


def test_chunks_of_different_types_lose_nothing() -> None:
    whole, half = np.array([[1, 2]]), np.array([[0.5, 0.25]])
    assert Activations("layer", ["a", "b"], [whole, half]).array().tolist() == [[1, 2], [0.5, 0.25]]
    small, large = np.ones((1, 1), dtype=np.float16), np.full((1, 1), 1e6)
    assert Activations("layer", ["a", "b"], [small, large]).array(["b"]).tolist() == [[1e6]]


def test_names_shapes_and_units_are_shown() -> None:
    activations = Activations("conv1", [3, 4], [np.zeros((2, 5))], units=list("vwxyz"))  # type: ignore[list-item]
    assert repr(activations).splitlines()[0] == "Activations 'conv1': 2 stimuli × 5 units, float64"
    assert activations.stimulus_id == ("3", "4")
    assert activations.units == ("v", "w", "x", "y", "z")
    assert activations.rows(["4", "3"]).tolist() == [1, 0]
    assert Activations("conv1", ["a"], [np.zeros((1, 1))]).units is None


# --- what is refused --------------------------------------------------------------------------------------------------


def test_duplicated_ids_are_refused() -> None:
    with pytest.raises(DataError, match="'layer' have a stimulus_id twice"):
        Activations("layer", ["a", "b", "a"], [np.zeros((3, 2))])


def test_missing_stimuli_are_named() -> None:
    activations = Activations("layer", ["a", "b"], [np.zeros((2, 2))])
    with pytest.raises(AlignmentError, match=r"lack 2 of 3 stimuli: x, y. They have a, b"):
        activations.array(["x", "a", "y"])
    with pytest.raises(AlignmentError):
        next(activations.blocks(["x"]))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([], "need .* chunks; found \\[\\]"),
        ([(3,)], "need .* chunks; found \\[\\(3,\\)\\]"),
        ([(3, 2, 2)], "found"),
        ([(1, 2), (2, 3)], "found \\[\\(1, 2\\), \\(2, 3\\)\\]"),
        ([(2, 2)], "have 2 rows for 3 stimulus IDs"),
        ([(2, 2), (2, 2)], "have 4 rows for 3 stimulus IDs"),
    ],
)
def test_chunks_must_fit(shapes: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Activations("layer", ids(3), [np.zeros(shape) for shape in shapes])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_name_their_stimuli(value: float) -> None:
    values = matrix()
    values[2, 10] = values[5, 0] = value
    activations = Activations("layer", ids(7), [values[:4], values[4:]])
    with pytest.raises(DataError, match=r"not finite.* for 2 stimuli: s2, s5"):
        activations.array()
    with pytest.raises(DataError, match="for 1 stimuli: s5"):
        activations.array(["s0", "s5"])
    np.testing.assert_array_equal(activations.array(["s0", "s1"]), values[:2])


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(DataError):
        Activations("layer", ["a"], [np.array([["loud"]])]).array()


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00", b"PK\x03\x04"])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "chunk.npy"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"chunk\.npy cannot be read as a \.npy array.*Delete it"):
        Activations("layer", ["a"], [path])


def test_truncated_and_absent_files_are_refused(chunk_files: list[Path]) -> None:
    chunk_files[1].write_bytes(chunk_files[1].read_bytes()[:-1])
    with pytest.raises(DataError, match=r"1\.npy cannot be read"):
        Activations("layer", ids(7), chunk_files)
    chunk_files[1].unlink()
    with pytest.raises(DataError, match=r"1\.npy cannot be read"):
        Activations("layer", ids(7), chunk_files)


def test_several_arrays_in_one_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "chunk.npy"
    with path.open("wb") as file:
        np.savez(file, a=np.zeros((1, 1)))
    with pytest.raises(DataError):
        Activations("layer", ["a"], [path])


class Payload:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.mark),)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    mark, pickled, objects = tmp_path / "mark", tmp_path / "pickled.npy", tmp_path / "objects.npy"
    pickled.write_bytes(pickle.dumps(Payload(mark)))
    np.save(objects, np.array([[Payload(mark)]], dtype=object), allow_pickle=True)
    for path in (pickled, objects):
        with pytest.raises(DataError, match="cannot be read"):
            Activations("layer", ["a"], [path])
    assert not mark.exists()
    np.load(objects, allow_pickle=True)
    assert mark.exists(), "the payload must be able to leave a mark"


# --- digest -----------------------------------------------------------------------------------------------------------


@given(st.sets(st.integers(1, 199), max_size=5))
def test_digest_does_not_depend_on_chunks(cuts: set[int]) -> None:
    values = np.arange(400.0).reshape(200, 2)
    chunks = np.split(values, sorted(cuts))
    assert Activations("one", ids(200), chunks).digest == Activations("two", ids(200), [values]).digest


def test_digest_does_not_depend_on_memory_layout() -> None:
    fortran = Activations("layer", ids(7), [np.asfortranarray(matrix())])
    assert fortran.digest == Activations("layer", ids(7), [matrix()]).digest


def test_digest_depends_on_values_shape_and_type() -> None:
    values = matrix(6, 4)
    changed = values.copy()
    changed[5, 3] += np.float32(1e-6)
    others = [values, changed, values[::-1], values.astype(np.float64), values.reshape(6, 4) * 0]
    digests = {Activations("layer", ids(6), [other]).digest for other in others}
    digests.add(Activations("layer", ids(8), [values.reshape(8, 3)]).digest)
    assert len(digests) == 6


def test_digest_depends_on_which_stimulus_has_which_row() -> None:
    """Equal rows for other stimuli are another layer, which must not be skipped as a twin."""
    values = matrix(3, 2)
    one, other = Activations("one", ["a", "b", "c"], [values]), Activations("two", ["b", "c", "a"], [values])
    assert not np.array_equal(one.array(["a", "b", "c"]), other.array(["a", "b", "c"]))
    assert one.digest != other.digest


# --- from a DataArray -------------------------------------------------------------------------------------------------


def test_from_xarray_flattens_the_other_dimensions() -> None:
    values = matrix(2, 12).reshape(2, 3, 4)
    data = xr.DataArray(
        values, dims=("stimulus", "channel", "time"), coords={"stimulus_id": ("stimulus", ["b", "a"])}, name="conv"
    )
    activations = Activations.from_xarray(data)
    assert (activations.layer, activations.shape) == ("conv", (2, 12))
    np.testing.assert_array_equal(activations.array(["a", "b"]), values.reshape(2, 12)[::-1])
    assert Activations.from_xarray(data, "named").layer == "named"
    assert Activations.from_xarray(data.assign_attrs(layer="attribute")).layer == "attribute"
    assert Activations.from_xarray(data.rename(None)).layer == "layer"


def test_from_xarray_with_one_unit() -> None:
    data = xr.DataArray([1.0, 2.0], dims=("stimulus_id",), coords={"stimulus_id": ["b", "a"]})
    assert Activations.from_xarray(data).array(["a", "b"]).tolist() == [[2.0], [1.0]]


def test_from_xarray_needs_ids_on_the_first_dimension() -> None:
    data = xr.DataArray(matrix(2, 3), dims=("presentation", "unit"))
    with pytest.raises(DataError, match="need the coordinate 'stimulus_id' on their first dimension"):
        Activations.from_xarray(data)
    named = data.assign_coords(stimulus_id=("presentation", ["a", "b"]))
    Activations.from_xarray(named)
    with pytest.raises(DataError, match="found dims"):
        Activations.from_xarray(named.transpose())


@pytest.mark.parametrize("name", ["neuroid_id", "choice", "unit"])
def test_names_of_units_come_from_the_coordinate(name: str) -> None:
    coordinates = {"stimulus_id": ("presentation", ["a", "b"]), name: ("unit", ["u1", "u2", "u3"])}
    data = xr.DataArray(np.zeros((2, 3)), dims=("presentation", "unit"), coords=coordinates)
    assert Activations.from_xarray(data).units == ("u1", "u2", "u3")
    assert Activations.from_xarray(data.drop_vars(name)).units is None
