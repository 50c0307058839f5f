from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from isocortex.activations.output import LayerOutput
from isocortex.activations.reductions import PROJECTION_BLOCK, STEPS, parse_reduction, project, reduce_output
from isocortex.errors import IsocortexError, PluginError, SettingsError


def output(shape: tuple[int, ...], axes: tuple[str, ...], lengths: list[int] | None = None) -> LayerOutput:
    values = np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)
    return LayerOutput(values, axes, lengths=lengths)


# --- names ------------------------------------------------------------------------------------------------------------


def test_reductions_are_steps_joined_by_plus() -> None:
    assert parse_reduction("time-mean") == ["time-mean"]
    assert parse_reduction("spatial-mean+time-max+projection-16") == ["spatial-mean", "time-max", "projection-16"]
    for step in STEPS:
        assert parse_reduction(step) == [step]


@pytest.mark.parametrize(
    ("reduction", "message"),
    [
        ("time-maen", "'time-maen' is no reduction. Did you mean time-mean"),
        ("", "'' is no reduction.* Known: time-mean, .*projection-N"),
        ("time-mean+", "'' is no reduction"),
        ("projection-0", "'projection-0' is no reduction"),
        ("projection--4", "is no reduction"),
        ("projection-many", "is no reduction"),
        ("projection-²", "is no reduction"),
        ("16", "'16' is no reduction"),
        ("time-mean flatten", "is no reduction"),
    ],
)
def test_unknown_steps_are_refused(reduction: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_reduction(reduction)


# --- time -------------------------------------------------------------------------------------------------------------

BY_HAND = {
    "time-mean": lambda valid: valid.astype(np.float64).mean(axis=-1),
    "time-max": lambda valid: valid.max(axis=-1),
    "time-first": lambda valid: valid[..., 0],
    "time-last": lambda valid: valid[..., -1],
}


@pytest.mark.parametrize("step", BY_HAND)
@given(data=st.data())
def test_time_is_reduced_over_the_valid_steps_of_each_stimulus(step: str, data: st.DataObject) -> None:
    n_stimuli, n_steps = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5))
    lengths = data.draw(st.none() | st.lists(st.integers(1, n_steps), min_size=n_stimuli, max_size=n_stimuli))
    axes = data.draw(st.permutations(["time", "channel", "frequency"]))
    sizes = {"time": n_steps, "channel": 2, "frequency": 3}
    given_output = output((n_stimuli, *(sizes[name] for name in axes)), tuple(axes), lengths)
    array = given_output.array
    for row, valid in enumerate(lengths or [n_steps] * n_stimuli):
        index = [slice(None)] * 3
        index[axes.index("time")] = slice(valid, None)
        array[row][tuple(index)] = np.nan  # what lies behind the valid steps must not matter
    found = reduce_output(given_output, step, "layer")
    assert found.dtype == np.float32
    assert found.shape == (n_stimuli, 6)
    for row, valid in enumerate(lengths or [n_steps] * n_stimuli):
        steps = np.moveaxis(array[row], axes.index("time"), -1)[..., :valid]
        np.testing.assert_allclose(found[row], BY_HAND[step](steps).ravel(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("step", BY_HAND)
def test_without_a_time_axis_nothing_changes(step: str) -> None:
    still = output((2, 3, 4), ("channel", "frequency"))
    np.testing.assert_array_equal(reduce_output(still, step, "layer"), still.array.reshape(2, 12))


@pytest.mark.parametrize("step", BY_HAND)
def test_whole_numbers_and_half_precision(step: str) -> None:
    values = np.array([[[1, 7, 3]], [[2, 2, 9]]])
    expected = {"time-mean": [11 / 3, 13 / 3], "time-max": [7, 9], "time-first": [1, 2], "time-last": [3, 9]}[step]
    for dtype in ("int64", "uint8", "float16", "float64"):
        found = reduce_output(LayerOutput(values.astype(dtype), ("channel", "time")), step, "layer")
        np.testing.assert_allclose(found[:, 0], expected, rtol=1e-6)


def test_a_mean_of_half_precision_does_not_overflow() -> None:
    loud = np.full((1, 1, 1000), 6e4, dtype=np.float16)
    assert reduce_output(LayerOutput(loud, ("channel", "time")), "time-mean", "layer")[0, 0] == np.float16(6e4)


@pytest.mark.parametrize("lengths", [[0, 2], [3, 4], [-1, 1]])
def test_lengths_must_lie_within_the_steps(lengths: list[int]) -> None:
    with pytest.raises(PluginError, match=r"must lie in 1 … 3 steps, one for each of 2 stimuli; found \["):
        reduce_output(output((2, 4, 3), ("channel", "time"), lengths), "time-mean", "layer")


def test_a_layer_without_steps_is_refused() -> None:
    with pytest.raises(PluginError, match="must lie in 1 … 0 steps"):
        reduce_output(LayerOutput(np.empty((2, 4, 0)), ("channel", "time")), "time-max", "layer")


@pytest.mark.parametrize("lengths", [[2], [2, 2, 2]])
def test_every_stimulus_needs_its_length(lengths: list[int]) -> None:
    for step in BY_HAND:
        with pytest.raises(PluginError):
            reduce_output(output((2, 4, 3), ("channel", "time"), lengths), step, "layer")


@pytest.mark.parametrize("reduction", ["flatten", "spatial-mean", "projection-4"])
def test_padding_is_never_part_of_the_features(reduction: str) -> None:
    """What a model pads a batch with depends on the batch; stimuli of unequal length cannot be flattened."""
    with pytest.raises(IsocortexError, match="time"):
        reduce_output(output((2, 4, 3), ("channel", "time"), [2, 3]), reduction, "layer")
    whole = output((2, 4, 3), ("channel", "time"), [3, 3])
    np.testing.assert_array_equal(reduce_output(whole, "flatten", "layer"), whole.array.reshape(2, 12))


# --- space, flattening, order of steps --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "axes", [("channel", "height", "width"), ("height", "width", "channel"), ("height", "channel", "width")]
)
def test_spatial_mean(axes: tuple[str, ...]) -> None:
    sizes = {"channel": 4, "height": 2, "width": 3}
    given_output = output((5, *(sizes[name] for name in axes)), axes)
    found = reduce_output(given_output, "spatial-mean", "layer")
    channel = np.moveaxis(given_output.array, axes.index("channel") + 1, 1).reshape(5, 4, 6)
    np.testing.assert_allclose(found, [[row.mean(dtype=float) for row in stimulus] for stimulus in channel], rtol=1e-6)
    tokens = output((5, 4), ("channel",))
    np.testing.assert_array_equal(reduce_output(tokens, "spatial-mean", "layer"), tokens.array)


@pytest.mark.parametrize("n_cells", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("of_torch", [True, False])
def test_means_over_the_cells_of_a_grid_are_those_of_adaptive_pooling(n_cells: int, *, of_torch: bool) -> None:
    torch = pytest.importorskip("torch")
    array = np.random.default_rng(0).normal(size=(5, 4, 13, 6)).astype(np.float32)
    expected = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(array).double(), n_cells).numpy()
    given_array = torch.from_numpy(array) if of_torch else array
    found = reduce_output(LayerOutput(given_array, ("channel", "height", "width")), f"spatial-mean-{n_cells}", "layer")
    np.testing.assert_allclose(found, expected.reshape(5, -1), rtol=0, atol=1e-6)
    turned = LayerOutput(array.transpose(0, 2, 3, 1), ("height", "width", "channel"))
    found = reduce_output(turned, f"spatial-mean-{n_cells}", "layer")
    np.testing.assert_allclose(found, expected.transpose(0, 2, 3, 1).reshape(5, -1), rtol=0, atol=1e-6)


def test_a_map_that_is_no_larger_than_the_grid_stays_as_it_is() -> None:
    small = output((2, 3, 4, 9), ("channel", "height", "width"))
    found = reduce_output(small, "spatial-mean-4", "layer")
    assert found.shape == (2, 3 * 4 * 4)
    tokens = output((2, 5), ("channel",))
    np.testing.assert_array_equal(reduce_output(tokens, "spatial-mean-4", "layer"), tokens.array)
    assert parse_reduction("spatial-mean-4+projection-16") == ["spatial-mean-4", "projection-16"]
    with pytest.raises(SettingsError, match="'spatial-mean-0' is no reduction"):
        parse_reduction("spatial-mean-0")


def test_flatten_keeps_the_order_of_axes() -> None:
    values = np.arange(24).reshape(2, 3, 4)
    found = reduce_output(LayerOutput(values, ("channel", "time")), "flatten", "layer")
    assert found.tolist() == values.reshape(2, 12).tolist()
    assert found.flags.c_contiguous
    turned = reduce_output(LayerOutput(values.transpose(0, 2, 1), ("time", "channel")), "flatten", "layer")
    assert turned[0].tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]


def test_one_number_per_stimulus() -> None:
    assert reduce_output(LayerOutput(np.array([1.0, 2.0]), ()), "flatten", "layer").tolist() == [[1.0], [2.0]]
    assert reduce_output(LayerOutput(np.array([[1.0, 3.0]]), ("time",)), "time-mean", "layer").tolist() == [[2.0]]


def test_steps_are_taken_in_their_order() -> None:
    film = output((2, 3, 4, 5, 6), ("time", "channel", "height", "width"), [2, 3])
    found = reduce_output(film, "spatial-mean+time-max", "layer")
    expected = [film.array[row, :valid].mean(axis=(2, 3), dtype=float).max(axis=0) for row, valid in enumerate([2, 3])]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    other = reduce_output(film, "time-max+spatial-mean", "layer")
    assert np.abs(found - other).max() > 0.1


def test_axes_must_fit_the_array() -> None:
    with pytest.raises(PluginError, match=r"Layer 'conv' gave shape \(2, 3, 4\) but names the axes \('channel',\)"):
        reduce_output(LayerOutput(np.zeros((2, 3, 4)), ("channel",)), "flatten", "conv")


@pytest.mark.parametrize("reduction", ["time-mean", "time-max", "time-last", "spatial-mean", "flatten", "projection-8"])
def test_batches_do_not_matter(reduction: str) -> None:
    axes = ("time", "height", "width")
    lengths = None if reduction in ("flatten", "spatial-mean", "projection-8") else [3, 1, 2, 3]
    whole = output((4, 3, 5, 5), axes, lengths)
    together = reduce_output(whole, reduction, "layer")
    alone = [
        reduce_output(LayerOutput(whole.array[[row]], axes, lengths and [lengths[row]]), reduction, "layer")[0]
        for row in range(4)
    ]
    np.testing.assert_array_equal(together, alone)
    backwards = LayerOutput(whole.array[::-1], axes, lengths and lengths[::-1])
    np.testing.assert_array_equal(reduce_output(backwards, reduction, "layer"), together[::-1])


# --- projection -------------------------------------------------------------------------------------------------------


def weights(n_features: int, n_components: int, layer: str = "layer", rows: Any = None) -> np.ndarray:
    """Rows of the projection's matrix, read off by projecting unit vectors."""
    rows = np.arange(n_features) if rows is None else np.asarray(rows)
    unit_vectors = np.zeros((len(rows), n_features), dtype=np.float32)
    unit_vectors[np.arange(len(rows)), rows] = 1
    return project(unit_vectors, n_components, layer).astype(np.float64)


def test_the_projection_is_a_sparse_matrix_of_signs() -> None:
    """Weinberger et al. 2009: each feature goes to one component, drawn uniformly, with a random sign."""
    n_features, n_components = 5000, 50
    matrix = weights(n_features, n_components)
    assert ((matrix != 0).sum(axis=1) == 1).all()
    assert set(np.unique(matrix)) == {-1.0, 0.0, 1.0}
    counts = (matrix != 0).sum(axis=0)
    chi_square = ((counts - 100) ** 2 / 100).sum()
    assert 20 < chi_square < 95, "49 degrees of freedom: .001 beyond 85 and below 24"
    assert abs(matrix.sum()) < 4 * np.sqrt(n_features)


def test_projecting_is_multiplying_with_that_matrix() -> None:
    features = np.random.default_rng(0).standard_normal((6, 900)).astype(np.float32)
    expected = features.astype(np.float64) @ weights(900, 32)
    np.testing.assert_allclose(project(features, 32, "layer"), expected, rtol=1e-12, atol=1e-12)


def test_distances_are_kept() -> None:
    features = np.random.default_rng(0).standard_normal((12, 20_000)).astype(np.float32)
    found = project(features, 2000, "layer").astype(np.float64)
    upper = np.triu_indices(12, 1)

    def distances(points: np.ndarray) -> np.ndarray:
        return np.linalg.norm(points[upper[0]] - points[upper[1]], axis=1)

    np.testing.assert_allclose(distances(found) / distances(features.astype(np.float64)), 1, atol=0.06)


def test_the_matrix_is_drawn_by_layer_and_size_alone() -> None:
    first = weights(400, 16)
    np.testing.assert_array_equal(first, weights(400, 16))
    assert not np.array_equal(first, weights(400, 16, layer="other"))
    assert not np.array_equal(first, weights(400, 17)[:, :16])
    assert abs(np.corrcoef(first.ravel(), weights(400, 16, layer="other").ravel())[0, 1]) < 0.05


def test_blocks_of_features_are_drawn_apart() -> None:
    n_features = 2 * PROJECTION_BLOCK
    rows = np.r_[0:200, PROJECTION_BLOCK : PROJECTION_BLOCK + 200]
    matrix = weights(n_features, 64, rows=rows)
    assert (matrix[:200] != 0).sum() == (matrix[200:] != 0).sum() == 200
    assert (matrix[:200] == matrix[200:]).all(axis=1).mean() < 0.1
    features = np.zeros((1, n_features), dtype=np.float32)
    features[0, rows] = np.random.default_rng(0).standard_normal(len(rows))
    np.testing.assert_allclose(project(features, 64, "layer")[0], features[0, rows] @ matrix, rtol=1e-12, atol=1e-12)


def test_layers_that_are_small_enough_stay_as_they_are() -> None:
    features = np.random.default_rng(0).standard_normal((3, 16)).astype(np.float32)
    assert project(features, 16, "layer") is features
    assert project(features, 15, "layer").shape == (3, 15)
    found = reduce_output(LayerOutput(features, ("unit",)), "projection-99", "layer")
    np.testing.assert_array_equal(found, features)


def test_the_projection_comes_last_whatever_its_place() -> None:
    film = output((2, 4, 50), ("time", "channel"))
    np.testing.assert_array_equal(
        reduce_output(film, "projection-8+time-mean", "layer"), reduce_output(film, "time-mean+projection-8", "layer")
    )


# --- torch ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [None, [3, 1, 2, 3]], ids=["whole", "padded"])
@pytest.mark.parametrize(
    "reduction", [*(step for step in STEPS if step != "flatten"), "spatial-mean+time-max+projection-2"]
)
def test_torch_tensors_give_what_arrays_give(reduction: str, lengths: list[int] | None) -> None:
    torch = pytest.importorskip("torch")
    if lengths is not None and "time" not in reduction:
        return
    film = output((4, 3, 5, 6, 7), ("time", "channel", "height", "width"), lengths)
    there = LayerOutput(torch.from_numpy(film.array.copy()), film.axes, film.lengths)
    found = reduce_output(there, reduction, "layer")
    assert (type(found), found.dtype) == (np.ndarray, np.float32)
    np.testing.assert_allclose(found, reduce_output(film, reduction, "layer"), rtol=1e-6, atol=1e-6)


def test_half_precision_is_added_in_single() -> None:
    torch = pytest.importorskip("torch")
    values = torch.full((1, 1, 4096), 1.001, dtype=torch.bfloat16)
    [[mean]] = reduce_output(LayerOutput(values, ("channel", "time")), "time-mean", "layer").tolist()
    assert mean == pytest.approx(float(values[0, 0, 0]), rel=1e-6)


def test_what_lies_beyond_the_valid_steps_may_be_anything() -> None:
    film = output((2, 3, 2), ("time", "channel"), [2, 3])
    film.array[0, 2] = np.nan
    for reduction in ("time-mean", "time-max", "time-last"):
        assert np.isfinite(reduce_output(film, reduction, "layer")).all()
