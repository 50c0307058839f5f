"""How long an untrained network takes on the mouse, all layers, and how much memory it needs beside the tutorial's way.

    python tests/perf/mouse_memory.py [MODEL]

Made-up tables in the layout of the published tutorial: 119 images of 224 × 224, 500 cells in six areas. Ours scores all
layers on Allen2p.conwell2021 (projection to 4,096, leave-one-out ridge, 20 permutations, rows by area) in a process
with two threads, which may take five minutes and 3 GB. The tutorial's way keeps every feature map of all images in
memory, projects each, and fits scikit-learn's RidgeCV; it needs more than twice as much. Last, what RidgeCV predicts
of one layer's activations is compared with what ours kept, to 1e-9.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

from measuring import machine  # noqa: E402

from plugins.allen2p.tests import made_up  # noqa: E402

BENCHMARK = "Allen2p.conwell2021"
MODEL = "resnet18@random:0"
N_IMAGES, N_CELLS, SIDE, N_COMPONENTS = 119, 500, 224, 4096
MOST_SECONDS, MOST_MB, LEAST_RATIO = 300, 3000, 2.0


def in_own_process(what: str, model: str, folder: Path) -> tuple[float, float, str]:
    """Wall seconds, peak memory in MB and last line of a process that does one of the parts."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "2")
    env = {**os.environ, **threads, "ISOCORTEX_DATA": str(folder / "data"), "ISOCORTEX_CACHE": str(folder / "cache")}
    command = [sys.executable, __file__, what, model, str(folder)]
    started = time.perf_counter()
    process = subprocess.Popen(command, env=env, cwd=folder, text=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{what} ended with {status}")
    return time.perf_counter() - started, used.ru_maxrss / 1024, printed.strip().rpartition("\n")[2]


def ours(model: str, folder: Path) -> str:
    """Score all layers."""
    import isocortex

    config = isocortex.RunConfig(layers=("**",), keep=("prediction",), out=folder / "results")
    (result,) = isocortex.score(model, BENCHMARK, config=config, quiet=True)
    assert result.summary is not None, result.failure
    rows = ", ".join(
        f"{name.partition('=')[2]} {row.value:.3f}" for name, row in result.regions.items() if "n=" in name
    )
    return f"{result.summary.n_layers_searched} layers, {result.summary.n_neuroids} cells; {rows}"


def tutorial(model: str, folder: Path) -> str:
    """Every feature map of all images in memory, as float32; then project, standardise and fit each."""
    import pandas as pd
    import torch
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import StandardScaler
    from sklearn.random_projection import SparseRandomProjection

    import isocortex

    loaded: Any = isocortex.load_model(model)
    network = loaded.module.eval()
    for module in network.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    images = torch.from_numpy(
        np.stack([np.stack([image / 255] * 3) for image in np.load(folder / "t/stimulus_set.npy")])
    )
    maps: dict[str, Any] = {}

    def keep(name: str) -> Any:
        def hook(module: Any, given: Any, output: Any) -> None:
            maps[f"{name}-{sum(key.startswith(f'{name}-') for key in maps) + 1}"] = output.flatten(1).numpy()

        return hook

    for name, module in network.named_modules():
        if not isinstance(module, torch.nn.Sequential) and name:
            module.register_forward_hook(keep(name))
    with torch.inference_mode():
        network(images.float())
    responses = pd.read_csv(folder / "t/cell_response_average.csv").set_index("cell_specimen_id").to_numpy().T
    best = -1.0
    for features in maps.values():
        projected = SparseRandomProjection(N_COMPONENTS, random_state=1).fit_transform(features)
        fitted = RidgeCV(alphas=[1.0], scoring="explained_variance", store_cv_results=True)
        predicted = fitted.fit(StandardScaler().fit_transform(projected), responses).cv_results_[:, :, 0]
        r = [np.corrcoef(predicted[:, cell], responses[:, cell])[0, 1] for cell in range(responses.shape[1])]
        best = max(best, float(np.median(r)))
    return f"{len(maps)} feature maps, best median r over all cells {best:.3f}"


def largest_difference(model: str, folder: Path) -> str:
    """Between the predictions that ours kept and RidgeCV's on the same activations of the layer that is read out."""
    import xarray as xr
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import StandardScaler

    import isocortex

    config = isocortex.RunConfig(layers=("avgpool",), keep=("prediction",), out=folder / "results")
    (result,) = isocortex.score(model, BENCHMARK, config=config, quiet=True)
    assert result.summary is not None, result.failure
    (layer,) = isocortex.extract(
        model, "allen-scenes-tables", reduction="srp-4096-1", layers=["avgpool"], quiet=True
    ).values()
    dataset = isocortex.load_dataset("Allen2p-tables").select(cut_75="kept")
    assert dataset.responses is not None
    values = np.concatenate(list(layer.blocks(dataset.stimuli.ids, N_COMPONENTS)), axis=1).astype(np.float64)
    fitted = RidgeCV(alphas=[1.0], scoring="explained_variance", store_cv_results=True)
    predicted = fitted.fit(StandardScaler().fit_transform(values), dataset.responses.values).cv_results_[:, :, 0]
    r = [np.corrcoef(predicted[:, cell], dataset.responses.values[:, cell])[0, 1] for cell in range(predicted.shape[1])]
    comparison = isocortex.load_metric("conwell-ridge").against(dataset)
    kept: xr.Dataset = comparison.score(layer)
    difference = np.abs(kept["prediction"].values[:, 0] - predicted).max()
    of_value = abs(float(np.median(r)) - float(result.summary.value or 0))
    return f"{difference:.1e} in a prediction, {of_value:.1e} in the score of the whole run"


PARTS = {"ours": ours, "tutorial": tutorial, "difference": largest_difference}


def main(model: str) -> int:
    """Print both; 1 where a bound is missed."""
    print(f"{model} on {N_IMAGES} images and {N_CELLS} cells; {machine()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = np.concatenate([np.full((1, SIDE, SIDE), 128, np.uint8), made_up.scenes(N_IMAGES - 1, SIDE)])
        made_up.write_tables(folder / "t", n_cells=N_CELLS, images=images)
        env = {**os.environ, "ISOCORTEX_DATA": str(folder / "data")}
        fetch = [sys.executable, "-m", "isocortex", "fetch", "-b", BENCHMARK, "--from", str(folder / "t")]
        subprocess.run(fetch, check=True, env=env, stderr=subprocess.DEVNULL)
        seconds, ours_mb, said = in_own_process("ours", model, folder)
        print(f"ours:           {seconds:6.1f} s, {ours_mb:6.0f} MB; {said}", flush=True)
        seconds_theirs, theirs_mb, said = in_own_process("tutorial", model, folder)
        print(f"all in memory:  {seconds_theirs:6.1f} s, {theirs_mb:6.0f} MB; {said}", flush=True)
        print(f"memory: × {theirs_mb / ours_mb:.2f} (bound {LEAST_RATIO:g})")
        print(f"RidgeCV: {in_own_process('difference', model, folder)[2]}")
    return int(seconds > MOST_SECONDS or ours_mb > MOST_MB or theirs_mb < LEAST_RATIO * ours_mb)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in PARTS:
        print(PARTS[sys.argv[1]](sys.argv[2], Path(sys.argv[3])))
    else:
        sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else MODEL))
