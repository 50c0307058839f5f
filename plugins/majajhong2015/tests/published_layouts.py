"""Small made-up files in the layouts in which the data are published: tables, archives of images, netCDF and HDF5."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import xarray as xr
from PIL import Image

OBJECTS = ("bear", "car_alfa", "face0001", "apple", "ship_a", "table4")
CATEGORIES = {"bear": "Animals", "car_alfa": "Cars", "face0001": "Faces", "apple": "Fruits"}
#: region, subregion, animal of each site
SITES = [("IT", "cIT", "Chabo"), ("V4", "V4", "Tito"), ("IT", "aIT", "Tito"), ("IT", "pIT", "Chabo")] * 4
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def sha1_of(path: Path) -> str:
    """As the publisher states it."""
    return hashlib.sha1(path.read_bytes()).hexdigest()


def image_of(number: int, n_objects: int, side: int = 64) -> np.ndarray:
    """(side, side, 3) uint8: smooth colours of the object, some of the image's own, and a grain of noise."""
    generator = np.random.default_rng([7, number])
    of_object = np.random.default_rng([8, number % n_objects]).normal(0, 40, (8, 8, 3))
    coarse = np.kron(of_object + generator.normal(0, 40, (8, 8, 3)), np.ones((side // 8, side // 8, 1)))
    return np.clip(128 + coarse + generator.normal(0, 4, (side, side, 3)), 0, 255).astype(np.uint8)


def id_of(number: int, what: str = "hvm") -> str:
    """40 hexadecimal digits, whose order is not that of the numbers."""
    return hashlib.sha1(f"{what} {number}".encode()).hexdigest()


def write_images(folder: Path, name: str, table: pd.DataFrame, images: list[np.ndarray]) -> None:
    """``stimulus_NAME.csv`` and ``.zip``; the table has the column ``filename``."""
    table.to_csv(folder / f"stimulus_{name}.csv", index=False)
    with zipfile.ZipFile(folder / f"stimulus_{name}.zip", "w") as archive:
        for file, image in zip(table["filename"], images, strict=True):
            content = io.BytesIO()
            Image.fromarray(image).save(content, "PNG", compress_level=1)
            archive.writestr(file, content.getvalue())


@dataclass
class Recorded:
    """What ``write_majajhong`` wrote: the presentations, and what belongs to each."""

    values: np.ndarray
    stimulus_id: np.ndarray
    repetition: np.ndarray
    table: pd.DataFrame


def write_majajhong(folder: Path, n_images: int = 60, n_bins: int = 1) -> Recorded:
    """Images, and recordings of all presentations in a random order, 3 of each of variation 0 and 4 of variation 3."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(3)
    images = [image_of(number, len(OBJECTS)) for number in range(n_images)]
    ids = [id_of(number) for number in range(n_images)]
    objects = [OBJECTS[number % len(OBJECTS)] for number in range(n_images)]
    table = pd.DataFrame(
        {
            "id": range(n_images),
            "image_id": ids,
            "filename": [f"{name}.png" for name in ids],
            "object_name": objects,
            "category_name": [CATEGORIES.get(name, "Boats") for name in objects],
            "variation": [0 if number < n_images // 5 else 3 for number in range(n_images)],
            "s": generator.uniform(0.5, 2, n_images),
        }
    )
    write_images(folder, "hvm-public", table, images)
    coarse = np.stack([image[4::8, 4::8].reshape(-1) for image in images]) / 255 - 0.5  # (n_images, 192)
    weights = generator.standard_normal((192, len(SITES))) * (generator.random((192, len(SITES))) < 0.1)
    counts = np.where(table["variation"] == 0, 3, 4)
    stimulus = np.repeat(np.arange(n_images), counts)
    repetition = np.concatenate([np.arange(count) for count in counts])
    order = generator.permutation(len(stimulus))
    stimulus, repetition = stimulus[order], repetition[order]
    signal = (coarse @ weights)[stimulus]
    bins = np.exp(-0.5 * (np.arange(n_bins) - (n_bins - 1) / 2) ** 2)
    values = signal[:, :, None] * bins + generator.normal(0, 0.4, (*signal.shape, n_bins))
    recorded = Recorded(values.astype(np.float32), np.array(ids)[stimulus], repetition, table)
    name = "assy_dicarlo_MajajHong2015_public.nc" if n_bins == 1 else "assy_dicarlo_MajajHong2015_temporal_public.nc"
    assembly_of(recorded, n_bins).to_netcdf(folder / name, encoding={"data": {"zlib": True}})
    return recorded


def assembly_of(recorded: Recorded, n_bins: int = 1) -> xr.Dataset:
    """As the package of the publisher writes it: every coordinate a variable along its dimension."""
    of_stimulus = recorded.table.set_index("image_id").loc[recorded.stimulus_id]
    region, subregion, animal = (list(column) for column in zip(*SITES, strict=True))
    starts = [70] if n_bins == 1 else list(range(70, 70 + 20 * n_bins, 20))
    coords: dict[str, Any] = {
        "image_id": ("presentation", recorded.stimulus_id),
        "repetition": ("presentation", recorded.repetition),
        "object_name": ("presentation", of_stimulus["object_name"].tolist()),
        "variation": ("presentation", of_stimulus["variation"].tolist()),
        "neuroid_id": ("neuroid", [f"{who}_L_M_{number}_0" for number, (_, _, who) in enumerate(SITES)]),
        "region": ("neuroid", region),
        "subregion": ("neuroid", subregion),
        "animal": ("neuroid", animal),
        "hemisphere": ("neuroid", ["L"] * len(SITES)),
        "x": ("neuroid", np.linspace(0, 1, len(SITES))),
        "time_bin_start": ("time_bin", starts),
        "time_bin_end": ("time_bin", [170] if n_bins == 1 else [start + 20 for start in starts]),
    }
    data = xr.DataArray(recorded.values, dims=("presentation", "neuroid", "time_bin"), coords=coords)
    return data.to_dataset(name="data")


def made_up_trials(n_images: int = 60, n_objects: int = 4, n_trials: int = 4000) -> tuple[pd.DataFrame, dict[str, str]]:
    """Trials in which some images are harder than others, and the object of each image."""
    generator = np.random.default_rng(11)
    kinds = [f"object{number}" for number in range(n_objects)]
    ids = [f"image{number:03d}" for number in generator.permutation(n_images)]
    objects = {name: kinds[place % n_objects] for place, name in enumerate(ids)}
    hardness = dict(zip(ids, generator.uniform(0.05, 0.6, n_images), strict=True))
    rows = []
    for name in generator.choice(ids, n_trials):
        truth = objects[name]
        other = str(generator.choice([kind for kind in kinds if kind != truth]))
        choice = other if generator.random() < hardness[name] else truth
        rows.append({"stimulus_id": name, "truth": truth, "sample_obj": truth, "dist_obj": other, "choice": choice})
    return pd.DataFrame(rows), objects


def write_objectome(folder: Path, trials: pd.DataFrame, objects: dict[str, str]) -> None:
    """Images of the stimuli, and trials as choices along presentations; ``objects`` has the object of each image."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = sorted(set(objects.values()))
    table = pd.DataFrame(
        {"image_id": list(objects), "filename": [f"{name}.png" for name in objects], "image_label": objects.values()}
    )
    numbers = [kinds.index(kind) + len(kinds) * place for place, kind in enumerate(objects.values())]
    write_images(folder, "objectome_public", table, [image_of(number, len(kinds)) for number in numbers])
    coords = {
        **{name: ("presentation", trials[name].tolist()) for name in ("truth", "sample_obj", "dist_obj", "choice")},
        "image_id": ("presentation", trials["stimulus_id"].tolist()),
        "WorkerId": ("presentation", [f"worker{number % 9}" for number in range(len(trials))]),
    }
    data = xr.DataArray(trials["choice"].tolist(), dims=("presentation",), coords=coords)
    data.to_dataset(name="data").to_netcdf(folder / "assy_dicarlo_Rajalingham2018_public.nc")


def write_nx414(
    folder: Path, n_train: int = 80, n_val: int = 30, n_test: int = 7
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """``IT_data.h5``; returns images (uint8), responses, and objects of training and validation images."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(5)
    n_images = n_train + n_val + n_test
    images = np.stack([image_of(number, len(OBJECTS), 32) for number in range(n_images)])
    coarse = images[:, 4::8, 4::8].reshape(n_images, -1) / 255 - 0.5
    spikes = coarse @ generator.standard_normal((coarse.shape[1], 9)) + generator.normal(0, 0.3, (n_images, 9))
    objects = [OBJECTS[number % len(OBJECTS)] for number in range(n_images)]
    normalised = ((images / 255 - MEAN) / DEVIATION).transpose(0, 3, 1, 2).astype(np.float32)
    parts = {"train": slice(0, n_train), "val": slice(n_train, n_train + n_val), "test": slice(n_train + n_val, None)}
    with h5py.File(folder / "IT_data.h5", "w") as file:
        for part, rows in parts.items():
            file[f"stimulus_{part}"] = normalised[rows]
            file[f"object_{part}"] = np.array([name.encode("latin-1") for name in objects[rows]])
            if part != "test":
                file[f"spikes_{part}"] = spikes[rows].astype(np.float32)
    kept = n_train + n_val
    return images[:kept], spikes[:kept].astype(np.float32), objects[:kept]
