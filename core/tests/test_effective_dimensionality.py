"""Effective dimensionality against the published values, eigenvalues of numpy, and cases with a known answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from isocortex.activations.layer import Activations
from isocortex.errors import AlignmentError, DataError, SettingsError
from isocortex.results.sizes import size_text
from isocortex.scoring import dimensionality as module
from isocortex.scoring.dimensionality import (
    VARIANTS,
    dimensionality_table,
    effective_dimensionality,
    participation_ratio,
    with_sizes,
)
from isocortex.scoring.summary import LayerValue, Summary

GOLDEN = Path(__file__).parents[2] / "tests" / "golden"
PUBLISHED = ["raw", "demeaned", "z-scored"]


def by_eigenvalues(x: np.ndarray, variant: str) -> float:
    """The definition: eigenvalues of numpy.cov of prepared activations."""
    x = np.asarray(x, dtype=np.float64)
    if variant != "raw":
        x = x - x.mean(axis=0)
    if variant == "z-scored":
        x = x / x.std(axis=0)
    values = np.linalg.eigvalsh(np.cov(x.T) if variant == "units" else np.cov(x))
    return values.sum() ** 2 / (values**2).sum()


def random_layer(n_stimuli: int = 20, n_units: int = 50, seed: int = 0) -> np.ndarray:
    stream = np.random.default_rng(seed)
    return 3.0 + stream.standard_normal((n_stimuli, n_units)) * stream.uniform(0.01, 10, n_units)


def test_published_values() -> None:
    published = np.load(GOLDEN / "tuckute_effdim.npz")
    inputs = np.load(GOLDEN / "tuckute_rsa_inputs.npz")
    table = dimensionality_table({str(name): inputs[f"act_{name}"] for name in published["layers"]})
    assert table.index.tolist() == [str(name) for name in published["layers"]]
    np.testing.assert_allclose(table[PUBLISHED].to_numpy(), published["eff_dim"], rtol=1e-10)
    assert published["variants"].tolist() == ["raw", "mean_subtract", "mean_subtract_std_divide"]


@pytest.mark.parametrize("shape", [(20, 50), (20, 7), (3, 4), (3, 2)])
@pytest.mark.parametrize("variant", list(VARIANTS))
def test_against_eigenvalues_however_the_blocks_fall(
    variant: str, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = random_layer(*shape)
    expected = by_eigenvalues(x, variant)
    for width in (1, 3, 1000):
        monkeypatch.setattr(module, "_BLOCK_VALUES", width * shape[0])
        assert effective_dimensionality(x, variant) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_large_offsets_and_scales_lose_no_digits(variant: str) -> None:
    x = random_layer()
    for scale in (1e-150, 1e150):
        assert effective_dimensionality(x * scale, variant) == pytest.approx(
            effective_dimensionality(x, variant), rel=1e-10
        )
    shifted = x + 1e6  # every stimulus and every unit shifted by the same
    assert effective_dimensionality(shifted, variant) == pytest.approx(effective_dimensionality(x, variant), rel=1e-8)


def test_known_answers() -> None:
    assert effective_dimensionality(np.eye(12)) == pytest.approx(11)
    line = np.outer(np.arange(9.0), [1.0, -2.0, 0.5])
    for variant in VARIANTS:
        assert effective_dimensionality(line, variant) == pytest.approx(1)
    stream = np.random.default_rng(0)
    directions, _ = np.linalg.qr(stream.standard_normal((60, 4)))
    scores, _ = np.linalg.qr(np.column_stack([np.ones(30), stream.standard_normal((30, 4))]))
    variances = np.array([4.0, 3.0, 2.0, 1.0])
    x = (scores[:, 1:] * np.sqrt(variances)) @ directions.T
    assert effective_dimensionality(x) == pytest.approx(10**2 / 30, rel=1e-12)


def test_only_the_published_variants_see_the_mean_over_units() -> None:
    x = random_layer()
    lifted = x + 50 * np.arange(20.0)[:, None]  # a gain of each stimulus, the same in every unit
    assert effective_dimensionality(lifted) == pytest.approx(1, abs=0.01)
    for variant in ("raw", "demeaned"):
        assert effective_dimensionality(lifted, variant) == pytest.approx(effective_dimensionality(x, variant))


def test_units_that_do_not_vary_count_for_nothing() -> None:
    x = random_layer()
    padded = np.column_stack([x, np.full((20, 5), 0.1)])
    assert effective_dimensionality(padded) == pytest.approx(effective_dimensionality(x), rel=1e-12)
    assert np.isfinite(effective_dimensionality(padded, "z-scored"))
    steps = np.float32(7.3) * (1 + np.finfo(np.float32).eps * np.random.default_rng(0).integers(0, 3, (20, 5)))
    rounded = np.column_stack([x, steps]).astype(np.float32)
    expected = effective_dimensionality(np.column_stack([x, np.zeros((20, 5))]).astype(np.float32), "z-scored")
    assert effective_dimensionality(rounded, "z-scored") == pytest.approx(expected, rel=1e-6)


def test_where_nothing_varies_there_is_no_dimensionality() -> None:
    for variant in VARIANTS:
        assert np.isnan(effective_dimensionality(np.full((5, 4), 0.1), variant))
    same_in_every_unit = np.random.default_rng(0).standard_normal((6, 1)) @ np.ones((1, 4))
    assert np.isnan(effective_dimensionality(same_in_every_unit, "raw"))
    assert effective_dimensionality(same_in_every_unit, "units") == pytest.approx(1)
    assert np.isnan(participation_ratio(np.zeros((3, 3))))
    table = dimensionality_table({"dead": np.zeros((5, 3)), "alive": random_layer(5)})
    assert table["units"].isna().tolist() == [True, False]


def test_rows_are_found_by_name_and_their_order_is_nothing() -> None:
    x = random_layer().astype(np.float32)
    names = [f"s{number}" for number in range(20)]
    layer = Activations("l", names, [x[:8], x[8:]])
    data = xr.DataArray(x[::-1], dims=("presentation", "unit"), coords={"stimulus_id": ("presentation", names[::-1])})
    for variant in VARIANTS:
        whole = effective_dimensionality(x, variant)
        assert effective_dimensionality(layer, variant) == pytest.approx(whole, rel=1e-12)
        assert effective_dimensionality(data, variant) == pytest.approx(whole, rel=1e-12)
    part = dimensionality_table({"l": layer}, ("units",), stimulus_id=names[5:15])
    assert part["units"].iloc[0] == pytest.approx(by_eigenvalues(x[5:15], "units"), rel=1e-9)
    assert part[["n_stimuli", "n_units"]].values.tolist() == [[10, 50]]
    with pytest.raises(AlignmentError, match="lack 1 of 2"):
        effective_dimensionality(layer, stimulus_id=["s0", "absent"])


def test_what_has_no_answer_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"no variant 'zscored'.*Did you mean z-scored.*It has raw, demeaned"):
        effective_dimensionality(random_layer(), "zscored")
    with pytest.raises(DataError, match="at least 2 stimuli; 'layer' has 1"):
        effective_dimensionality(np.ones((1, 4)))
    with pytest.raises(DataError, match=r"\(n_stimuli, n_units\); found \(4,\)"):
        effective_dimensionality(np.ones(4))
    with pytest.raises(DataError, match="not finite"):
        effective_dimensionality(np.array([[0.0, np.nan], [1.0, 2.0]]))


def test_memory_is_one_block_and_not_the_layer(tmp_path: Path) -> None:
    """16 × 1,000,000 units: 128 MB in double precision, of which 16 MB and a few copies are held at a time."""
    import tracemalloc

    path = tmp_path / "wide.npy"
    wide = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(16, 1_000_000))
    for row, values in enumerate(np.random.default_rng(0).standard_normal((16, 1000), dtype=np.float32)):
        wide[row] = np.tile(values, 1000)
    wide.flush()
    layer = Activations("wide", [f"s{row}" for row in range(16)], [path])
    tracemalloc.start()
    found = dimensionality_table({"wide": layer}, ("units",))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80e6
    assert found["units"].iloc[0] == pytest.approx(by_eigenvalues(np.asarray(wide[:, :1000]), "units"), rel=1e-6)


# --- the layer that is read out ---------------------------------------------------------------------------------------


def a_row(shares: dict[str, float]) -> Summary:
    layers = [LayerValue(name=name, value=0.1, read_out=share) for name, share in shares.items()]
    given = {"statistic": "r", "target": "pooled", "layer_rule": "x", "n_layers_searched": 2, "n_stimuli": 9}
    return Summary(**given, value=0.1, best_layer="a", layers=layers)


def test_rows_have_the_size_of_the_one_layer_that_they_read_out() -> None:
    """Over the stimuli of the benchmark alone; of several layers, or several models, there is none."""
    stream = np.random.default_rng(0)
    x = stream.normal(size=(20, 7)) * [9, 3, 1, 1, 1, 1, 1]
    ids = [f"s{place}" for place in range(20)]
    layers = {"a": Activations("a", ids, [x]), "b": Activations("b", ids, [np.ones((20, 3))])}
    rows = [a_row({"a": 1.0, "b": 0.0}), a_row({"a": 0.5, "b": 0.5}), a_row({"a": 0.0, "b": 1.0})]
    found = with_sizes(rows, layers, ids[4:])
    assert (found[0].n_units, found[0].dimensionality) == (7, pytest.approx(by_eigenvalues(x[4:], "units"), rel=1e-10))
    assert (found[1].n_units, found[1].dimensionality) == (None, None)
    assert (found[2].n_units, found[2].dimensionality) == (3, None), "nothing varies"
    spaces = {"p a": layers["a"].in_space("p"), "q b": layers["b"].in_space("q")}
    assert with_sizes([a_row({"p a": 1.0, "q b": 0.0})], spaces, ids)[0].n_units is None
    assert size_text(found[0].model_dump()) == f"7 ({np.log10(by_eigenvalues(x[4:], 'units')):.2f})"
    assert [size_text(row.model_dump()) for row in found[1:]] == ["–", "3 (–)"]
