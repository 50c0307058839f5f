"""Made-up decisions in the layouts of the published repositories and of the compact copies."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from isocortex_geirhos2021 import CATEGORIES, DATA_SETS, LEFT_OUT

WORDS = (*CATEGORIES, "na")
OBSERVERS = ("subject-01", "subject-02", "subject-03", "robot", "parrot")
#: conditions that count, where a data set has some that do not; the rest has none
COUNTED = {"contrast": ("c50", "c05"), "rotation": ("90", "180", "270"), "high-pass": ("0.7", "3"), "colour": ("bw",)}
#: how the same condition is spelled in the tables of trials
SPELLED = {"0": "0.0", "90": "90.0", "true": "True", "0.7": "0.70", "3": "3.0", "-": "NaN"}


class Decided(NamedTuple):
    """Decisions of one data set: ``response`` (5, n_images) are numbers among ``WORDS``."""

    response: np.ndarray
    image: list[str]
    category: np.ndarray
    condition: list[str]


def conditions(data_set: str) -> tuple[str, ...]:
    counted = COUNTED.get(data_set, ("pow" if data_set == "power-equalisation" else "17",))
    return (*counted, *LEFT_OUT[data_set][:2]) if LEFT_OUT[data_set] else ("-",)


def textures() -> np.ndarray:
    """Of the pictures of the cue conflict; a quarter of them are none."""
    return np.array([(place // 2 + (1 + place % 5) * bool(place % 4)) % 16 for place in range(32)])


def decided(data_set: str) -> Decided:
    """32 pictures, two of each category; observers err on the same difficult ones, and now and then say nothing."""
    rng = np.random.default_rng([*data_set.encode()])
    category = np.repeat(np.arange(16), 2)
    image = [f"{CATEGORIES[place // 2]}{place % 2 + 1}" for place in range(32)]
    wrong = rng.integers(0, 17, (5, 32))
    if data_set == "cue-conflict":
        image = [f"{shape}-{CATEGORIES[code]}{code % 3}" for shape, code in zip(image, textures(), strict=True)]
        wrong = np.where(rng.random((5, 32)) < 0.7, textures(), wrong)
    elif LEFT_OUT[data_set]:
        image = [f"n0{1000 + place}_{place}" for place in range(32)]
    response = np.where(rng.random((5, 32)) > rng.uniform(0.1, 0.9, 32), category, wrong)
    names = conditions(data_set)
    return Decided(response, image, category, [names[place % len(names)] for place in range(32)])


# --- compact copies ---------------------------------------------------------------------------------------------------


def compact(path: Path, **changed: np.ndarray) -> Path:
    """A copy of all decisions; ``changed`` replaces arrays (``silhouette__response``)."""
    arrays = {"categories": np.array(WORDS)}
    for name in DATA_SETS:
        one = decided(name)
        response = one.response.astype(np.uint8)
        arrays |= {
            f"{name}/response": response,
            f"{name}/subject": np.array(OBSERVERS),
            f"{name}/condition": np.array(one.condition),
            f"{name}/image": np.array([f"{image}.png" for image in one.image]),
            f"{name}/category": one.category.astype(np.uint8),
            f"{name}/in_benchmark": np.array([text not in LEFT_OUT[name] for text in one.condition]),
        }
    arrays |= {name.replace("__", "/"): array for name, array in changed.items()}
    np.savez_compressed(path, **arrays)
    return path


def pictures_zip(path: Path, data_set: str, n: int = 32) -> Path:
    """A zip of the first n pictures of a data set."""
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(decided(data_set).image[:n]):
            picture = path.with_name("one.png")
            Image.new("RGB", (24, 24), (number, 0, 0)).save(picture)
            archive.write(picture, f"{name}.png")
            picture.unlink()
    return path


# --- the published repositories ---------------------------------------------------------------------------------------


def rows(data_set: str, observer: str) -> Iterator[str]:
    """A table of trials, as the authors' toolbox writes it."""
    one, number = decided(data_set), OBSERVERS.index(observer)
    yield "subj,Session,trial,rt,object_response,category,condition,imagename"
    order = np.random.default_rng(number).permutation(32)
    person = observer.startswith("subject")
    for trial, place in enumerate(order, start=1):
        condition = SPELLED.get(one.condition[place], one.condition[place])
        condition = "0" if person and not LEFT_OUT[data_set] else condition
        prefix = f"{trial:04d}_xx_s0{number}_{condition}_00_" if person or LEFT_OUT[data_set] else ""
        word = WORDS[one.response[number, place]]
        category = CATEGORIES[one.category[place]]
        yield f"{observer},1,{trial},NaN,{word},{category},{condition},{prefix}{one.image[place]}.png"


def repositories(folder: Path) -> Path:
    """Clones of both repositories, as far as they are read."""
    for data_set in DATA_SETS:
        for observer in OBSERVERS:
            path = folder / "model-vs-human/raw-data" / data_set / f"{data_set}_{observer}_session_1.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(rows(data_set, observer)) + "\n", encoding="utf-8")
    other = folder / "texture-vs-shape/raw-data/edge-experiment/edge-experiment_subject-01_session_1.csv"
    other.parent.mkdir(parents=True)
    other.write_text("\n".join(rows("edge", "subject-02")), encoding="utf-8")  # an older copy, which is not taken
    kinds = {"silhouette": "filled-silhouettes", "edge": "edges", "cue-conflict": "style-transfer-preprocessed-512"}
    for data_set, kind in kinds.items():
        for number, name in enumerate(decided(data_set).image):
            path = folder / "texture-vs-shape/stimuli" / kind / CATEGORIES[number // 2] / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (24, 24), (number, 0, 0)).save(path)
    return folder
