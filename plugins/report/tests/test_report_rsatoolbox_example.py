"""The ranking beside rsatoolbox on the example data of its own demos: the 92 images, four people, eight models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isocortex
from isocortex_report.figures import figures_of
from plugins.report.tests.results_for_figures import result

#: read off the axes that ``plot_model_comparison`` of rsatoolbox drew of ``eval_fixed(…, method="spearman")``
BARS = {
    "animacy": 0.38621977178373346,
    "FaceBodyManmadeNatobj": 0.27659633973446157,
    "monkeyIT": 0.29632452250390406,
    "EVA": 0.2453891556002642,
    "HMAX": 0.15986842713912192,
    "V1": 0.026513508068296564,
    "Silhouette": 0.09657037722373649,
    "RADON": 0.03809376432306961,
}
CEILING = (0.3723133837313794, 0.6657209957783725)
N_IMAGES = 92


def points(dissimilarities: np.ndarray) -> np.ndarray:
    """Points whose distances have the ranks of a matrix: d² = D + c off the diagonal, c as large as is needed."""
    off = 1 - np.eye(N_IMAGES)
    centred = np.eye(N_IMAGES) - 1 / N_IMAGES
    lowest = np.linalg.eigvalsh(-0.5 * centred @ (dissimilarities * off) @ centred)[0]
    squares = dissimilarities * off + (max(0.0, -2 * lowest) + 1e-6) * off
    values, vectors = np.linalg.eigh(-0.5 * centred @ squares @ centred)
    return vectors * np.sqrt(np.clip(values, 0, None))


def matrices(path: Path, name: str) -> Any:
    from scipy.io import loadmat

    return loadmat(path)[name]


def test_the_ranking_of_its_example_data_is_that_of_rsatoolbox(realdata: Path) -> None:
    import xarray as xr

    from isocortex.data import Dataset, Stimulus, StimulusSet

    folder = realdata / "kriegeskorte2008"
    brains, models = matrices(folder / "92_brainRDMs.mat", "RDMs"), matrices(folder / "92_modelRDMs.mat", "Models")
    rows, columns = np.triu_indices(N_IMAGES, 1)
    people = np.array([[brains[0, n, session]["RDM"] for session in range(2)] for n in range(4)]).mean(axis=1)
    ids = [f"image{n:02}" for n in range(N_IMAGES)]
    target = xr.DataArray(
        people[:, rows, columns],
        dims=("subject", "pair"),
        coords={
            "subject": [f"P{n}" for n in range(4)],
            "stimulus_a": ("pair", [ids[n] for n in rows]),
            "stimulus_b": ("pair", [ids[n] for n in columns]),
        },
    )
    images = {one: Stimulus(one, "image", np.full((2, 2, 3), n, np.uint8)) for n, one in enumerate(ids)}
    data = Dataset("example", StimulusSet("example", "image", images), rdm=target)
    comparison = isocortex.load_metric("rsa").against(data, settings={"dissimilarity": "euclidean"})
    results = []
    for model in models[0]:
        layer = xr.DataArray(
            points(np.asarray(model["RDM"], dtype=float)), dims=("stimulus_id", "unit"), coords={"stimulus_id": ids}
        )
        summary = comparison.summarise(comparison.score(layer))
        results.append(result(str(np.ravel(model["name"])[0]), summary=summary))
    (figure,) = figures_of(results, None, ["ranking"])
    ax = figure.draw()
    dots = [line for line in ax.lines if line.get_gid()]
    drawn = {label.get_text(): dot.get_xdata()[0] for label, dot in zip(ax.get_yticklabels(), dots, strict=True)}
    assert drawn == pytest.approx(BARS, abs=1e-6)
    (band,) = ax.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx(CEILING, abs=1e-6)
