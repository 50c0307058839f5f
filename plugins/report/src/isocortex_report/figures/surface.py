"""Surface: scores on a flat and an inflated cortex, where neuroids have coordinates in a declared space."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from isocortex.errors import DataError
from isocortex.files import folder_name, write_atomic
from isocortex.typing import Array
from isocortex_report.figures import style, words
from isocortex_report.figures.figure import Drawing, Figure
from isocortex_report.figures.material import ONE_AXIS, Material
from isocortex_report.figures.neuroids import best_model
from isocortex_report.figures.readouts import places_of, readout_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

COLUMNS = (*ONE_AXIS, "label", "hemisphere", "vertex", "value", "n_subjects", "n_neuroids", "space")
#: mm from a neuroid to the vertex that stands for it, at most
NEAREST = 4.0
#: a vertex to which fewer participants contribute is grey
FEWEST_SUBJECTS = 3
HEMISPHERES = ("left", "right")
#: space of coordinates → transform to that of fsaverage's surfaces (MNI305), by name and as a matrix
_FROM_152 = np.linalg.inv(
    np.array(
        [
            [0.9975, -0.0073, 0.0176, -0.0429],
            [0.0146, 1.0009, -0.0024, 1.5496],
            [-0.0130, -0.0093, 0.9971, 1.1840],
            [0, 0, 0, 1],
        ]
    )
)
SPACES: dict[str, tuple[str, Array]] = {
    "fsaverage": ("none", np.eye(4)),
    "mni305": ("none", np.eye(4)),
    "mni152": ("FreeSurfer's matrix from MNI152 to MNI305", _FROM_152),
}


def figures(material: Material) -> Iterator[Figure]:
    """The best model of each benchmark whose neuroids have coordinates in a declared space."""
    for (benchmark, region, statistic, target), rows in material.wholes():
        row = best_model(rows)
        scores = material.scores(str(row["digest"]))
        if scores is None or space_of(scores) is None:
            continue
        frame, n_far = surface_frame(scores, row)
        if not len(frame):
            continue
        space = str(frame["space"].iloc[0])
        more = [
            f"{len(frame):,} vertices of fsaverage5 from coordinates in {space} (transform: "
            f"{SPACES[space][0]}), each neuroid at its nearest vertex within {NEAREST:g} mm",
            f"{n_far:,} neuroids are farther away and left out" if n_far else "",
            "no smoothing; mean over neuroids, then over participants",
            f"grey where fewer than {FEWEST_SUBJECTS} participants contribute",
        ]
        note = words.note_of(rows[rows["digest"] == row["digest"]].assign(interval_low=np.nan), more)
        title = (
            f"Where on the cortex does {style.short_name(str(row['label']))} predict {words.about(region, benchmark)}?"
        )
        name = folder_name(f"surface-{benchmark}-{region}-{statistic}-{target}")[:150]
        yield Figure("surface", name, title, note.replace("no interval; ", ""), frame, DRAWING)


def space_of(scores: xr.Dataset) -> str | None:
    """The declared space of the neuroids' coordinates x, y, z in mm; None where there is none.

    A data set declares it in the coordinate "space" of its neuroids: "fsaverage", "MNI305" or "MNI152".
    """
    if not all(name in scores.coords and scores[name].dims == ("neuroid",) for name in ("x", "y", "z", "space")):
        return None
    names = {str(name).lower() for name in np.atleast_1d(scores["space"].values)}
    return names.pop() if len(names) == 1 and names <= set(SPACES) else None


def surface_frame(scores: xr.Dataset, row: dict[str, Any]) -> tuple[pd.DataFrame, int]:
    """Values of vertices, and how many neuroids are too far from every vertex.

    Raises
    ------
    DataError
        The neuroids have no coordinates in a declared space.
    """
    import pandas as pd
    from scipy.spatial import KDTree

    space, readout = space_of(scores), readout_of(scores, str(row["region"]))
    places = places_of(scores["readout"], str(row["region"]))
    if space is None or readout is None or places is None:
        raise DataError(
            f"The neuroids of {row['benchmark']} have no coordinates x, y, z in a declared space "
            f"({', '.join(SPACES)}), so that they are on no cortex."
        )
    points = np.stack([scores[name].values[places].astype(float) for name in ("x", "y", "z")], axis=1)
    points = (np.c_[points, np.ones(len(points))] @ SPACES[space][1].T)[:, :3]
    trees = {side: KDTree(mesh("pial", side)[0]) for side in HEMISPHERES}
    distances, vertices = zip(*(trees[side].query(points) for side in HEMISPHERES), strict=True)
    side = np.argmin(np.stack(distances), axis=0)
    near = np.min(np.stack(distances), axis=0) <= NEAREST
    subject = readout["subject"].values.astype(str) if "subject" in readout.coords else np.full(len(points), "")
    listed = pd.DataFrame(
        {"hemisphere": np.array(HEMISPHERES)[side], "vertex": np.stack(vertices)[side, np.arange(len(side))]}
    ).assign(subject=subject, value=readout.values.astype(float))[near & np.isfinite(readout.values)]
    per_subject = listed.groupby(["hemisphere", "vertex", "subject"])["value"].agg(["mean", "size"]).reset_index()
    vertex = per_subject.groupby(["hemisphere", "vertex"], sort=True)
    frame = vertex.agg(
        value=("mean", "mean"), n_subjects=("subject", "nunique"), n_neuroids=("size", "sum")
    ).reset_index()
    fixed = {name: row[name] for name in (*ONE_AXIS, "label")}
    return frame.assign(**fixed, space=space).reindex(columns=list(COLUMNS)), int((~near).sum())


@cache
def mesh(kind: str, side: str) -> tuple[Array, Array]:
    """Vertices (n_vertices, 3) in mm and triangles (n_triangles, 3) of fsaverage5, which nilearn brings.

    Raises
    ------
    UsageError
        nilearn is not installed.
    """
    from isocortex.errors import UsageError

    try:
        import nibabel
        import nilearn
    except ImportError as error:
        raise UsageError("Surfaces need nilearn: pip install 'isocortex-report[surface]'.") from error
    folder = Path(nilearn.__file__).parent / "datasets" / "data" / "fsaverage5"
    found: Any = nibabel.load(folder / f"{_FILES[kind]}_{side}.gii.gz")  # pyright: ignore[reportPrivateImportUsage]
    points, triangles = (array.data for array in found.darrays[:2])
    return np.asarray(points, dtype=float), np.asarray(triangles, dtype=int)


_FILES = {"pial": "pial", "inflated": "infl", "flat": "flat", "sulc": "sulc"}


def save_gifti(frame: pd.DataFrame, path: Path) -> list[Path]:
    """Write the values of each hemisphere as GIFTI on fsaverage5, NaN where nothing is shown.

    Parameters
    ----------
    frame
        Of the kind "surface".
    path
        ``NAME.gii`` becomes ``NAME.left.gii`` and ``NAME.right.gii``.
    """
    import nibabel

    made: list[Path] = []
    for side in HEMISPHERES:
        values = vertex_values(frame, side).astype(np.float32)
        array = nibabel.gifti.GiftiDataArray(values, intent="NIFTI_INTENT_SHAPE", datatype="NIFTI_TYPE_FLOAT32")  # pyright: ignore
        image = nibabel.gifti.GiftiImage(darrays=[array])  # pyright: ignore
        target = path.with_suffix(f".{side}.gii")
        write_atomic(target, partial(_write, image.to_bytes()))
        made.append(target)
    return made


def _write(content: bytes, file: BinaryIO) -> None:
    file.write(content)


def vertex_values(frame: pd.DataFrame, side: str) -> Array:
    """The value of every vertex of a hemisphere, NaN where none is shown."""
    values = np.full(len(mesh("pial", side)[0]), np.nan)
    shown = frame[(frame["hemisphere"] == side) & (frame["n_subjects"] >= FEWEST_SUBJECTS)]
    values[shown["vertex"].to_numpy()] = shown["value"].to_numpy()
    return values


# --- drawing ----------------------------------------------------------------------------------------------------------


def size(_: pd.DataFrame) -> tuple[float, float]:
    """Width and height in mm."""
    return style.PAGE, 104.0


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw both hemispheres inflated, from the side, above and flat, below; one colour scale.

    Parameters
    ----------
    frame
        With the columns ``COLUMNS``, as ``Figure.frame`` of the kind "surface" has it.
    ax
        Axes to draw into; None: those of a new figure.
    """
    with style.styled():
        ax = style.new_axes(*size(frame)) if ax is None else ax
        ax.axis("off")
        shown = frame[frame["n_subjects"] >= FEWEST_SUBJECTS]["value"]
        low, high = (min(0.0, float(shown.min())), max(float(shown.max()), 1e-9)) if len(shown) else (0.0, 1.0)
        drawn: Any = None
        for place, side in enumerate(HEMISPHERES):
            for down, kind in enumerate(("inflated", "flat")):
                box = ax.inset_axes((place * 0.46, 0.5 - 0.5 * down, 0.45, 0.48))
                drawn = _draw_side(box, frame, side, kind, (low, high))
                if not down:
                    box.set_title(f"{side} hemisphere", size=7.5, weight="normal", pad=2)
        bar = ax.inset_axes((0.94, 0.3, 0.014, 0.4))
        scale = ax.figure.colorbar(drawn, cax=bar)
        scale.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        bar.tick_params(length=0, labelsize=6.5)
        first = frame.iloc[0]
        bar.set_title(words.STATISTICS.get(str(first["statistic"]), str(first["statistic"])), size=6.5, weight="normal")
    return ax


def _draw_side(box: Axes, frame: pd.DataFrame, side: str, kind: str, limits: tuple[float, float]) -> Any:
    """Triangles seen from outside, the nearest last; folds in grey where there is no value."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import Normalize

    points, triangles = mesh(kind, side)
    across, depth = _seen(points, side, kind)
    values = vertex_values(frame, side)
    curved = mesh_sulci(side)
    inside = values[triangles]
    n_known = (~np.isnan(inside)).sum(axis=1)
    known = n_known >= 2
    corner = np.nansum(inside, axis=1) / np.maximum(n_known, 1)
    mapped = ScalarMappable(Normalize(*limits), colormaps["viridis"])
    grey = 0.82 - 0.12 * (curved[triangles].mean(axis=1) > 0)
    colours = np.repeat(grey[:, None], 4, axis=1)
    colours[:, 3] = 1
    colours[known] = mapped.to_rgba(corner[known])
    order = np.argsort(depth[triangles].mean(axis=1))
    if kind == "inflated":
        a, b, c = (across[triangles[:, place]] for place in range(3))
        facing = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0]) > 0
        order = order[facing[order]]
    shape = PolyCollection(list(across[triangles[order]]), facecolors=colours[order], edgecolors="face", linewidths=0.1)
    shape.set_rasterized(True)
    box.add_collection(shape)
    box.set_aspect("equal")
    box.autoscale_view()
    box.axis("off")
    return mapped


def _seen(points: Array, side: str, kind: str) -> tuple[Array, Array]:
    """Across and up of every vertex, and how near it is: from outside for the inflated cortex."""
    if kind == "flat":
        return points[:, :2], points[:, 2]
    sign = -1 if side == "left" else 1
    return np.c_[sign * points[:, 1], points[:, 2]], sign * points[:, 0]


@cache
def mesh_sulci(side: str) -> Array:
    """Depth of the sulci at every vertex, above 0 inside."""
    import nibabel
    import nilearn

    folder = Path(nilearn.__file__).parent / "datasets" / "data" / "fsaverage5"
    found: Any = nibabel.load(folder / f"{_FILES['sulc']}_{side}.gii.gz")  # pyright: ignore[reportPrivateImportUsage]
    return np.asarray(found.darrays[0].data, dtype=float)


DRAWING = Drawing(plot, size)
