"""What the benchmarks are held against: numpy, scikit-learn and netCDF4, and nothing of isocortex."""

from __future__ import annotations

import zipfile
from pathlib import Path

import netCDF4
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.cross_decomposition import PLSRegression
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit


def read_assembly(path: Path) -> dict[str, np.ndarray]:
    """All variables of a file; words as words."""
    with netCDF4.Dataset(path) as file:
        return {name: np.asarray(variable[:]) for name, variable in file.variables.items()}


def pixels(folder: Path) -> tuple[list[str], np.ndarray, list[str]]:
    """Images in the order of their IDs as features (n, 3 × side × side), in single precision, and their objects."""
    table = pd.read_csv(folder / "stimulus_hvm-public.csv").sort_values("image_id")
    with zipfile.ZipFile(folder / "stimulus_hvm-public.zip") as archive:
        images = [np.asarray(Image.open(archive.open(name))) for name in table["filename"]]
    rows = np.stack([image.transpose(2, 0, 1).reshape(-1) for image in images]) / 255
    return table["image_id"].tolist(), rows.astype(np.float32).astype(np.float64), table["object_name"].tolist()


def averaged(values: np.ndarray, ids: np.ndarray, order: list[str]) -> np.ndarray:
    """Mean over the presentations of each image."""
    return np.stack([values[ids == name].astype(np.float64).mean(axis=0) for name in order])


def correlations(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Pearson r of each column."""
    return np.array([np.corrcoef(one[:, column], two[:, column])[0, 1] for column in range(one.shape[1])])


def pls_scores(features: np.ndarray, responses: np.ndarray, objects: list[str], n_components: int = 25) -> np.ndarray:
    """(10,) medians over sites: Brain-Score's splits and scikit-learn's partial least squares."""
    draw = StratifiedShuffleSplit(n_splits=10, train_size=0.9, random_state=1)
    medians = []
    for train, test in draw.split(features, objects):
        train, test = np.sort(train), np.sort(test)
        fit = PLSRegression(n_components=n_components, scale=False).fit(features[train], responses[train])
        medians.append(np.median(correlations(fit.predict(features[test]), responses[test])))
    return np.array(medians)


def consistency(values: np.ndarray, ids: np.ndarray, repetition: np.ndarray, order: list[str]) -> float:
    """Mean over ten halvings of the repetitions of the median over sites of 2r / (1 + r)."""
    numbers = np.unique(repetition)
    found = []
    for one, two in ShuffleSplit(10, train_size=0.5, random_state=1).split(numbers):
        halves = [np.isin(repetition, numbers[half]) for half in (one, two)]
        r = correlations(*(averaged(values[half], ids[half], order) for half in halves))
        found.append(np.median(2 * r / (1 + r)))
    return float(np.mean(found))
