"""A synthetic release of Tuckute et al. 2023: every file of its layout, with values that name where they belong."""

from __future__ import annotations

import pickle
import wave
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.io import savemat

from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex_nh2015.sounds import stimulus_number
from isocortex_nh2015.tuckute_activations import listed_stimuli
from plugins.nh2015.tests.old_pickles import write_old_frame, write_python2

IDS = listed_stimuli()
CATEGORIES = (
    "Music", "Song", "EngSpeech", "ForSpeech", "HumVoc", "AniVoc", "HumNonVoc", "AniNonVoc", "Nature", "Mechanical",
    "EnvSound",
)  # fmt: skip
COMPONENTS = ("lowfreq", "highfreq", "envsounds", "pitch", "speech", "music")
AREAS = {"A1": "Primary", "A4": "Lateral", "PSL": "Posterior", "TA2": "Anterior"}
FULL = {"n_voxels": 7694, "n_dropped": 3371, "n_subjects": 8, "n_voxels_b2021": 26_792, "n_subjects_b2021": 20}

#: responses (n_stimuli, n_voxels, 3) of a data set, from its name, stimuli and voxels
Responses = Callable[[str, Sequence[str], np.ndarray], np.ndarray]


def encoded(dataset: str, ids: Sequence[str], voxels: np.ndarray) -> np.ndarray:
    """Whole numbers that name scan, sound and voxel, exact in single precision; below 0 for B2021."""
    place = {name: number for number, name in enumerate(b2021_names())}
    rows = np.array([place[name] for name in ids], dtype=np.float64)
    scans = len(place) * np.arange(3)
    values = (scans[None, None, :] + rows[:, None, None]) * len(voxels) + voxels[None, :, None] + 1
    return values if dataset == "NH2015" else -values


@dataclass(frozen=True)
class Sizes:
    """How large a release is."""

    n_voxels: int = 24
    n_dropped: int = 5
    n_subjects: int = 3
    n_voxels_b2021: int = 20
    n_subjects_b2021: int = 4
    seed: int = 0


def write_data(root: Path, sizes: Sizes | None = None, responses: Responses = encoded) -> Path:
    """Write ``data/`` of a release below a folder: NH2015, B2021, NH2015comp and stimuli; returns the folder."""
    sizes = sizes or Sizes()
    draw = np.random.default_rng(sizes.seed)
    n_all = sizes.n_voxels + sizes.n_dropped
    voxels = voxel_records(n_all, sizes.n_dropped, sizes.n_subjects, draw)
    write_nh2015(root / "data/neural/NH2015", voxels, draw, responses)
    _write_b2021(root / "data/neural/B2021", sizes, draw, responses)
    profiles = np.array([[stimulus_number(name) + place / 10 for place in range(6)] for name in IDS])
    write_components(root / "data/neural/NH2015comp", profiles, draw)
    folder = root / "data/stimuli"
    folder.mkdir(parents=True)
    table = pd.DataFrame({"category_label": [category_of(name) for name in IDS]}, index=list(IDS))
    write_old_frame(folder / "df_stimuli_meta.pkl", table)
    return root


def write_sounds(folder: Path) -> Path:
    """The 165 sounds of the release: two seconds at 16 kHz."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in IDS:
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(np.full(32_000, stimulus_number(name), dtype="<i2").tobytes())
    return folder


def category_of(name: str) -> str:
    """A category for each sound, made up."""
    return CATEGORIES[stimulus_number(name) % len(CATEGORIES)]


def stimuli() -> StimulusSet:
    """``natsound165`` with silent sounds in memory."""
    sounds = {name: Stimulus(name, "audio", np.full(16, n / 999, np.float32), 44_100.0) for n, name in enumerate(IDS)}
    table = pd.DataFrame({"category": [category_of(name) for name in IDS]}, index=pd.Index(IDS))
    return StimulusSet("natsound165", "audio", sounds, table=table)


# --- NH2015 -----------------------------------------------------------------------------------------------------------


def write_nh2015(
    folder: Path,
    voxels: np.ndarray,
    draw: np.random.Generator,
    responses: Responses = encoded,
    areas: Sequence[Any] | None = None,
) -> None:
    """Write the files of NH2015 for voxels as ``voxel_records`` gives them; areas of those with three scans."""
    folder.mkdir(parents=True)
    np.save(folder / "neural_stim_meta.npy", stimulus_records())
    np.save(folder / "voxel_features_meta.npy", voxels)
    values = responses("NH2015", IDS, voxels["voxel_id"].astype(np.float64))
    values[:, voxels["n_reps"] < 3, 2] = np.nan
    np.save(folder / "voxel_features_array.npy", values)
    kept = voxels[voxels["n_reps"] == 3]
    table = roi_table({name: kept[name] for name in ("subj_idx", "hemi", "x_ras", "y_ras", "voxel_id")}, draw, areas)
    for number, name in enumerate(("tonotopic", "pitch", "music", "speech")):
        table.insert(5 + number, name, (np.arange(len(table)) % 4 == number).astype(float))
    table.insert(9, "any_roi", 1.0)
    write_old_frame(folder / "df_roi_meta.pkl", table)
    write_masks(folder / "roi_masks.cpy", table)


def write_masks(path: Path, table: pd.DataFrame) -> None:
    """``roi_masks.cpy``, rows as in the table."""
    names = ["tonotopic", "pitch", "music", "speech"]
    write_python2(path, {"masks": table[names].to_numpy().astype(bool), "mask_names": names})


def stimulus_records(ids: Sequence[str] = IDS) -> np.ndarray:
    """``neural_stim_meta.npy``: the file name is field 0, the category field 4."""
    fields = [
        ("filename", "S60"), ("id", "<i8"), ("fmri_stim_num", "<i8"), ("fmri_stim_idx", "<i8"),
        ("cat_assignment", "<U20"), ("cat_assignment_idx", "<i8"), ("embedded-wav-start-idx", "<i8"),
        ("embedded-wav-end-idx", "<i8"),
    ]  # fmt: skip
    rows = [
        (f"{name}.wav".encode(), row, stimulus_number(name), row, category_of(name), 1, 0, 32_000)
        for row, name in enumerate(ids)
    ]
    return np.array(rows, dtype=fields)


def voxel_records(n_voxels: int, n_dropped: int, n_subjects: int, draw: np.random.Generator) -> np.ndarray:
    """``voxel_features_meta.npy``: voxels with three scans and, among them, some with one or two."""
    records = np.zeros(
        n_voxels,
        dtype=[("subj_idx", "<i8"), ("hemi", "S2"), ("x_ras", "<i8"), ("y_ras", "<i8"), ("voxel_id", "<i8"),
               ("n_reps", "<i8")],
    )  # fmt: skip
    records["subj_idx"] = np.sort(np.arange(n_voxels) % n_subjects)
    records["hemi"] = np.where(draw.random(n_voxels) < 0.5, b"lh", b"rh")
    records["x_ras"], records["y_ras"] = draw.integers(-90, 90, (2, n_voxels))
    records["voxel_id"] = draw.permutation(n_voxels)
    records["n_reps"] = 3
    few = draw.choice(n_voxels, n_dropped, replace=False)
    records["n_reps"][few] = 1 + np.arange(n_dropped) % 2
    return records


def roi_table(
    columns: Mapping[str, np.ndarray], draw: np.random.Generator, areas: Sequence[Any] | None = None
) -> pd.DataFrame:
    """``df_roi_meta``: positions, reliabilities and anatomical areas (all by default), NaN outside of them."""
    n_voxels = len(columns["voxel_id"])
    found: dict[str, Any] = {
        **{name: values.astype(np.int64) for name, values in columns.items() if name != "hemi"},
        "hemi": [side.decode() if isinstance(side, bytes) else str(side) for side in columns["hemi"]],
    }
    table = pd.DataFrame({name: found[name] for name in ("subj_idx", "hemi", "x_ras", "y_ras", "voxel_id")})
    for name in ("kell_r_reliability", "pearson_r_reliability"):
        table[name] = draw.uniform(-0.2, 0.9, n_voxels)
    for name in ("voxel_variability_mean_reps", "voxel_variability_std"):
        table[name] = draw.uniform(0.5, 2.0, n_voxels)
    table["coord_id"] = [f"{x}_{y}" for x, y in zip(table["x_ras"], table["y_ras"], strict=True)]
    table["shared_by"] = 1.0
    area: list[Any] = list(areas or ([*AREAS, np.nan][number % 5] for number in range(n_voxels)))
    outside = [isinstance(name, float) for name in area]
    table["roi_label_fname"] = [
        np.nan if out else f"HCP_MMP1_{name}_roi.mat" for name, out in zip(area, outside, strict=True)
    ]
    table["roi_label_specific"] = area
    table["roi_label_general"] = [AREAS.get(name, np.nan) for name in area]
    table["roi_anat_hemi"] = [
        np.nan if out else f"{AREAS[name]}_{side}" for name, out, side in zip(area, outside, table["hemi"], strict=True)
    ]
    return table.astype({name: object for name in table.columns if table[name].dtype.kind not in "biuf"})


# --- B2021 and components ---------------------------------------------------------------------------------------------


def b2021_names(ids: Sequence[str] = IDS) -> list[str]:
    """The 192 sounds of B2021: those of NH2015, and 27 pieces of music."""
    return [*ids, *(f"stim{600 + number}_music_{number}" for number in range(27))]


def _write_b2021(folder: Path, sizes: Sizes, draw: np.random.Generator, responses: Responses) -> None:
    folder.mkdir(parents=True)
    names, n_voxels = b2021_names(), sizes.n_voxels_b2021
    write_stimulus_info(folder / "stim_info_v4.mat", names)
    voxels = np.arange(n_voxels)
    np.save(folder / "voxel_features_meta.npy", voxels)
    np.save(folder / "voxel_features_array.npy", responses("B2021", names, voxels.astype(np.float64)))
    columns = {
        "subj_idx": np.sort(voxels % sizes.n_subjects_b2021),
        "hemi": np.where(voxels % 2, "lh", "rh"),
        "x_ras": voxels % 90,
        "y_ras": -(voxels % 70),
        "voxel_id": voxels,
    }
    write_old_frame(folder / "df_roi_meta.pkl", roi_table(columns, draw))


def write_stimulus_info(path: Path, names: Sequence[str]) -> None:
    """``stim_info_v4.mat``: fields by place, 0 names of categories, 1 their numbers, 3 fMRI numbers, 7 stimuli."""
    numbers = np.arange(len(names), dtype=float)[:, None]
    info = {
        "category_labels": _cells(CATEGORIES),
        "category_assignments": numbers % len(CATEGORIES) + 1,
        "category_colors": np.zeros((len(CATEGORIES), 3)),
        "fmri_stim_num": numbers,
        "ids": numbers,
        "duration": 2.0,
        "notes": "synthetic",
        "stim_names": _cells(names),
    }
    savemat(path, {"stim_info": info})


def _cells(names: Sequence[str]) -> np.ndarray:
    cells = np.empty((len(names), 1), dtype=object)
    cells[:, 0] = names
    return cells


def write_components(folder: Path, profiles: np.ndarray, draw: np.random.Generator) -> None:
    """Write the components' files from their responses (n_stimuli, 6), rows as ``IDS``; the file has another order."""
    folder.mkdir(parents=True)
    order = sorted(range(len(IDS)), key=lambda row: (CATEGORIES.index(category_of(IDS[row])), row))
    names = np.empty((6, 1), dtype=object)
    for place, name in enumerate(COMPONENTS):
        names[place, 0] = np.empty((1, 1), dtype=object)
        names[place, 0][0, 0] = name
    content = {
        "R": profiles[order],
        "W": draw.normal(size=(6, 30)),
        "stim_names": _cells([IDS[row] for row in order]).T,
        "category_labels": _cells([category_of(IDS[row]) for row in order]).T,
        "component_names": names,
    }
    savemat(folder / "components.mat", content)
    table = pd.DataFrame({"comp": list(COMPONENTS), "comp_idx": range(6), "voxel_id": range(6)})
    write_old_frame(folder / "df_roi_meta.pkl", table)


# --- activations ------------------------------------------------------------------------------------------------------


def features(name: str, n_units: int, ids: Sequence[str] = IDS) -> np.ndarray:
    """Activations (n_stimuli, n_units) float32 of a layer; the first unit is the number of the sound."""
    draw = np.random.default_rng(list(name.encode()))
    values = draw.normal(size=(1000, n_units)).astype(np.float32)[[stimulus_number(item) for item in ids]]
    values[:, 0] = [stimulus_number(item) for item in ids]
    return values


def write_in_house(
    folder: Path, layers: Mapping[str, int], ids: Sequence[str] = IDS, *, permuted: bool = False
) -> Path:
    """``natsound_activations.h5``: a list of layers as bytes, and one dataset for each, rows without names."""
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"natsound_activations{'_randnetw' if permuted else ''}.h5"
    with h5py.File(path, "w") as file:
        file["layer_list"] = np.array([layer.encode() for layer in layers])
        for layer, n_units in layers.items():
            file[layer] = features(f"{layer}{permuted}", n_units, ids)
    return path


def write_external(folder: Path, keys: Mapping[str, int], ids: Sequence[str] = IDS, *, permuted: bool = False) -> Path:
    """One pickled dictionary of vectors per sound."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {key: features(f"{key}{permuted}", n_units, ids) for key, n_units in keys.items()}
    for row, name in enumerate(ids):
        path = folder / f"{name}_activations{'_randnetw' if permuted else ''}.pkl"
        path.write_bytes(pickle.dumps({key: found[row] for key, found in values.items()}, protocol=3))
    return folder


# --- results ----------------------------------------------------------------------------------------------------------


def write_result(root: Path, table: pd.DataFrame, *, old: bool = True, part: int | None = None) -> Path:
    """``df_output.pkl`` in the folder of its model, layer and target."""
    model, layer, permuted, target = (
        str(table[name].iloc[0]) for name in ("source_model", "source_layer", "randnetw", "target")
    )
    folder = root / "results" / model
    folder /= f"AUD-MAPPING-Ridge_TARGET-{target}_SOURCE-{model}-{layer}_RANDNETW-{permuted}_ALPHALIMIT-50"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ("df_output.pkl" if part is None else f"df_output_{part}.pkl")
    if old:
        return write_old_frame(path, table)
    table.to_pickle(path)
    return path


def result_table(
    described: pd.DataFrame, model: str, layer: str, target: str, *, permuted: bool = False
) -> pd.DataFrame:
    """Results of one layer, row by row beside the descriptions of the voxels, as the release puts them together."""
    draw = np.random.default_rng(list(f"{model}{layer}{target}{permuted}".encode()))
    r = draw.uniform(0, 0.8, len(described))
    table = pd.DataFrame({
        "mean_r_test": r, "median_r_test": r, "mean_r2_test": r**2, "median_r2_test": r**2, "std_r2_test": 0.1,
        "mean_r2_test_c": 3 * r, "median_r2_test_c": 0.0 if target == "NH2015comp" else 3 * r,
        "median_r2_train": r, "median_alpha": 1e3, "voxel_id": described["voxel_id"].to_numpy(),
        "vox_idx_coord": np.arange(len(described)),
    }, index=described["voxel_id"].to_numpy())  # fmt: skip
    beside = described.set_index("voxel_id")
    whole = pd.concat([table, beside], axis=1)
    whole["source_model"], whole["source_layer"] = model, layer
    whole["randnetw"], whole["target"] = str(permuted), target
    return whole.astype({name: object for name in whole.columns if whole[name].dtype.kind not in "biuf"})
