"""The published reliabilities against angles, golden pairs of scans, and scipy."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from isocortex.data.dataset import make_responses
from isocortex.errors import DataError
from isocortex_metrics.ceilings.split_half import spearman_brown
from isocortex_metrics.tuckute2023.reliability import kell_reliability, pearson_reliability, voxel_reliability

GOLDEN = Path(__file__).parents[3] / "tests" / "golden"


def scans(seed: int = 0, n_scans: int = 3, n_stimuli: int = 25, n_neuroids: int = 6) -> np.ndarray:
    stream = np.random.default_rng(seed)
    return stream.standard_normal((n_stimuli, n_neuroids)) + stream.standard_normal((n_scans, n_stimuli, n_neuroids))


def test_kell_is_one_minus_the_sine_of_an_angle() -> None:
    """Against scipy's subspace angle, and against least squares through the origin."""
    linalg = pytest.importorskip("scipy.linalg")
    values = scans()
    found = kell_reliability(values)
    for unit in range(6):
        first, third = values[:2, :, unit].mean(axis=0), values[2, :, unit]
        [angle] = linalg.subspace_angles(first[:, None], third[:, None])
        assert found[unit] == pytest.approx(1 - np.sin(angle), abs=1e-12)
        slope = np.linalg.lstsq(third[:, None], first, rcond=None)[0]
        rest = np.linalg.norm(first - slope * third) / np.linalg.norm(first)
        assert found[unit] == pytest.approx(1 - rest, abs=1e-12)


def test_traps_of_kell() -> None:
    values = scans()
    np.testing.assert_allclose(kell_reliability(values * [[[1]], [[1]], [[-1]]]), kell_reliability(values), rtol=1e-12)
    lifted = kell_reliability(np.random.default_rng(0).standard_normal((3, 50, 4)) + 20)
    assert (lifted > 0.9).all(), "an offset alone is reliable"
    assert kell_reliability(np.ones((3, 4, 1))).tolist() == pytest.approx([1])


def test_pearson_against_numpy_and_published_pairs() -> None:
    """The published correlations of scan pairs on the training sounds, and rv = max(3 m / (1 + 2 m), .182)."""
    values = scans(n_scans=4)
    pairs = [np.corrcoef(values[a, :, 2], values[b, :, 2])[0, 1] for a, b in combinations(range(4), 2)]
    assert pearson_reliability(values)[2] == pytest.approx(np.median(pairs), abs=1e-12)
    compared = 0
    for name in ("tuckute_ridge_p60", "tuckute_ridge_p300"):
        golden = np.load(GOLDEN / f"{name}.npz")
        for split in range(2):
            train = np.moveaxis(golden["Y"][golden["train"][:, split]], 2, 0)  # (3, n_train, 12)
            found = pearson_reliability(train)
            known = np.isfinite(golden["rv_pairs"][:, split]).all(axis=1) & np.isfinite(found)
            np.testing.assert_allclose(found[known], np.median(golden["rv_pairs"][known, split], axis=1), atol=1e-12)
            floored = np.fmax(spearman_brown(found, 3), 0.182)
            np.testing.assert_allclose(floored[known], golden["rv"][known, split], rtol=1e-12)
            compared += int(known.sum())
    assert compared >= 40


def test_a_voxel_that_does_not_vary_has_no_pearson_reliability() -> None:
    values = scans()
    values[:, :, 1] = 0.7
    found = pearson_reliability(values)
    assert np.isnan(found).tolist() == [False, True, False, False, False, False]
    values[:2, :, 3] = 0.0
    values[2, :, 4] = 0.0
    assert np.isnan(kell_reliability(values)).tolist() == [False, False, False, True, True, False]


def test_the_table_names_voxels_and_finds_scans_by_repetition() -> None:
    values = scans()
    responses = make_responses(values, [f"s{k}" for k in range(25)], neuroid={"region": list("aabbcc")})
    shuffled = responses.isel(presentation=np.random.default_rng(0).permutation(75))
    found = voxel_reliability(shuffled)
    assert list(found) == ["kell", "pearson", "kell_corrected", "pearson_corrected"]
    np.testing.assert_allclose(found["kell"], kell_reliability(values), rtol=1e-12)
    np.testing.assert_allclose(found["pearson"], pearson_reliability(values), rtol=1e-12)
    for name in ("kell", "pearson"):
        single = found[name].values
        np.testing.assert_allclose(found[f"{name}_corrected"], 3 * single / (1 + 2 * single), rtol=1e-12)
    assert found["region"].values.tolist() == list("aabbcc")
    assert found["neuroid_id"].values.tolist() == responses["neuroid_id"].values.tolist()


def test_reliability_of_three_scans_is_that_of_their_mean() -> None:
    """Signal 1, noise 2: one scan 1/3, the mean of three 3/5."""
    stream = np.random.default_rng(1)
    values = stream.standard_normal((500, 20)) + np.sqrt(2) * stream.standard_normal((3, 500, 20))
    found = voxel_reliability(make_responses(values, [f"s{k}" for k in range(500)]))
    assert float(found["pearson"].mean()) == pytest.approx(1 / 3, abs=0.02)
    assert float(found["pearson_corrected"].mean()) == pytest.approx(3 / 5, abs=0.02)


def test_other_data_are_refused() -> None:
    names = [f"s{k}" for k in range(25)]
    with pytest.raises(DataError, match="exactly 3 scans; found 2"):
        voxel_reliability(make_responses(scans(n_scans=2), names))
    uneven = make_responses(scans(), names).isel(presentation=slice(0, 74))
    with pytest.raises(DataError, match="exactly 3 scans; found 2 to 3"):
        voxel_reliability(uneven)
    with pytest.raises(DataError, match="exactly 3 scans, two against one; found 4"):
        kell_reliability(scans(n_scans=4))
    with pytest.raises(DataError, match="at least 2 scans; found 1"):
        pearson_reliability(scans(n_scans=1))
    with pytest.raises(DataError, match=r"found \(3, 25\)"):
        pearson_reliability(scans()[:, :, 0])
    with pytest.raises(DataError, match="finite"):
        kell_reliability(np.full((3, 4, 1), np.nan))
