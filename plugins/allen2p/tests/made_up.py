"""Files in the layouts that are published, of a made-up cortex: tables of the tutorial, and recordings in NWB 1."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

AREAS = ("VISp", "VISl", "VISal", "VISpm", "VISam", "VISrl")
LAYERS = ("L2/3", "L4", "L5", "L6")
FRAMES_SHOWN = 7


def scenes(n_scenes: int, side: int = 24, seed: int = 0) -> np.ndarray:
    """Grey images of gratings and noise, (n_scenes, side, side) uint8, all different and none uniform."""
    stream = np.random.default_rng([seed, 0])
    rows, columns = np.mgrid[:side, :side] / side
    made = np.empty((n_scenes, side, side), dtype=np.uint8)
    for image in made:
        angle, cycles = stream.uniform(0, np.pi), stream.uniform(1, side / 4)
        wave = np.sin(2 * np.pi * cycles * (np.cos(angle) * rows + np.sin(angle) * columns) + stream.uniform(0, 6))
        image[:] = np.clip(127.5 + 80 * wave + 20 * stream.standard_normal((side, side)), 0, 255)
    return made


def tuned(images: np.ndarray, n_cells: int, noise: float, seed: int = 0) -> np.ndarray:
    """Responses (n_images, n_cells) that depend on the pixels, with noise of ``noise`` standard deviations."""
    stream = np.random.default_rng([seed, 1])
    pixels = images.reshape(len(images), -1) / 255.0
    pixels = pixels - pixels.mean(axis=0)
    signal = pixels @ stream.standard_normal((pixels.shape[1], n_cells))
    signal /= signal.std(axis=0)
    return signal + noise * stream.standard_normal(signal.shape)


def write_tables(
    folder: Path, *, n_cells: int = 60, images: np.ndarray | None = None, seed: int = 0, **changed: Any
) -> dict[str, Any]:
    """Write the tables of the tutorial; returns what they hold.

    ``changed`` replaces columns of ``cell_metadata_mini.csv``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stream = np.random.default_rng([seed, 2])
    if images is None:
        images = scenes(12, seed=seed)
    cells = 500_000_000 + stream.choice(90_000_000, n_cells, replace=False)
    halves = [tuned(images, n_cells, noise=0.3, seed=seed) + 0.1 * stream.standard_normal((len(images), n_cells))
              for _ in range(2)]  # fmt: skip
    about = {
        "cell_specimen_id": cells,
        "cortical_area": [AREAS[place % 6] for place in range(n_cells)],
        "cortical_layer": [LAYERS[place // 6 % 4] for place in range(n_cells)],
        "image_selective": stream.random(n_cells) < 0.8,
        "significant_running": stream.random(n_cells) < 0.2,
        "splithalf_reliability": stream.uniform(0.5, 1.0, n_cells).round(3),
        **changed,
    }
    metadata = pd.DataFrame(about).set_index("cell_specimen_id")
    metadata.sample(frac=1, random_state=seed).to_csv(folder / "cell_metadata_mini.csv")
    for name, values in (("odd", halves[0]), ("even", halves[1]), ("average", (halves[0] + halves[1]) / 2)):
        table = pd.DataFrame(values.T, index=pd.Index(cells, name="cell_specimen_id"))
        table.to_csv(folder / f"cell_response_{name}.csv")
    np.save(folder / "stimulus_set.npy", images)
    return {"cells": cells, "images": images, "metadata": metadata, "halves": halves}


def write_recording(
    path: Path,
    *,
    experiment: int = 501,
    images: np.ndarray | None = None,
    tuning: np.ndarray | None = None,
    n_cells: int = 8,
    n_presentations: int = 8,
    noise: float = 0.3,
    seed: int = 0,
    texts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a recording as the Allen Institute does; returns what it holds.

    A trial's frames hold the cell's tuning to its scene and noise; the blank is shown as often as a scene.
    """
    stream = np.random.default_rng([seed, 3])
    if images is None:
        images = scenes(12)
    if tuning is None:
        tuning = tuned(images, n_cells, noise=0.0, seed=experiment)
    n_cells = tuning.shape[1]
    scene = stream.permutation(np.repeat(np.arange(-1, len(images)), n_presentations))
    onset = 30 + 2 * FRAMES_SHOWN * np.arange(len(scene))
    n_frames = int(onset[-1]) + 4 * FRAMES_SHOWN
    traces = 0.05 * stream.standard_normal((n_cells, n_frames)).astype(np.float32)
    responses = np.where(scene[:, None] < 0, 0.0, tuning[scene]) + noise * stream.standard_normal((len(scene), n_cells))
    for trial, first in enumerate(onset):
        traces[:, first : first + 2 * FRAMES_SHOWN] += responses[trial][:, None]
    times = 10 + np.arange(n_frames) / 30.0
    speed = np.repeat(stream.choice([0.0, 8.0], len(scene) + 4), 2 * FRAMES_SHOWN)[: n_frames - 25]
    facts = {
        "general/session_id": str(experiment),
        "general/session_type": "three_session_B",
        "general/experiment_container_id": str(experiment * 10),
        "general/specimen_name": f"Cux2-CreERT2;Camk2a-tTA;Ai93-{experiment}",
        "general/subject/genotype": "Cux2-CreERT2/wt;Camk2a-tTA/wt",
        "general/optophysiology/imaging_plane_1/location": AREAS[experiment % 6],
        "general/optophysiology/imaging_plane_1/imaging depth": "175 microns",
        **(texts or {}),
    }
    pipeline = "processing/brain_observatory_pipeline"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, text in facts.items():
            if text is not None:
                file[name] = np.bytes_(text)
        cells = experiment * 1000 + np.arange(n_cells)
        file[f"{pipeline}/ImageSegmentation/cell_specimen_ids"] = cells
        file.create_dataset(f"{pipeline}/DfOverF/imaging_plane_1/data", data=traces, chunks=True, compression="gzip")
        file[f"{pipeline}/Fluorescence/imaging_plane_1/timestamps"] = times
        file[f"{pipeline}/DfOverF/imaging_plane_1/timestamps"] = h5py.SoftLink(
            f"/{pipeline}/Fluorescence/imaging_plane_1/timestamps"
        )
        file[f"{pipeline}/BehavioralTimeSeries/running_speed/data"] = speed[:, None]  # a column in early files
        file[f"{pipeline}/BehavioralTimeSeries/running_speed/timestamps"] = times[25:]
        shown = "stimulus/presentation/natural_scenes_stimulus"
        order = stream.permutation(len(scene))  # rows need not be in the order of time
        file[f"{shown}/data"] = scene[order].astype(np.int64)
        file[f"{shown}/frame_duration"] = np.stack([onset, onset + FRAMES_SHOWN], axis=1)[order].astype(np.int64)
        file["stimulus/templates/natural_scenes_image_stack/data"] = images.astype(np.float32)
    return {"scene": scene, "responses": responses, "traces": traces, "onset": onset, "cells": cells,
            "images": images, "speed": speed, "tuning": tuning}  # fmt: skip
