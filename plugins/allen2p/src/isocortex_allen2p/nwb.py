"""Reading a recording of the Allen Brain Observatory, Visual Coding: NWB 1, which is HDF5."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from isocortex.errors import DataError, shorten
from isocortex.typing import Array

if TYPE_CHECKING:
    import h5py

_PIPELINE: Final = "processing/brain_observatory_pipeline"
_TRACES: Final = f"{_PIPELINE}/DfOverF/imaging_plane_1/data"
_CELLS: Final = f"{_PIPELINE}/ImageSegmentation/cell_specimen_ids"
_TIMES: Final = f"{_PIPELINE}/DfOverF/imaging_plane_1/timestamps"
_SPEED: Final = f"{_PIPELINE}/BehavioralTimeSeries/running_speed"
_SHOWN: Final = "stimulus/presentation/natural_scenes_stimulus"
_IMAGES: Final = "stimulus/templates/natural_scenes_image_stack/data"
_AREA: Final = "general/optophysiology/imaging_plane_1/location"
_DEPTH: Final = "general/optophysiology/imaging_plane_1/imaging depth"
#: a scene is shown for 7 frames, and the response is taken over twice as many from its onset on
N_FRAMES_SHOWN: Final = 7
N_FRAMES: Final = 2 * N_FRAMES_SHOWN
#: values of the traces that are read at once: 64 MB in float64
_BLOCK_VALUES: Final = 8_000_000

_Found = TypeVar("_Found")


class OtherSessionError(DataError):
    """A recording of a session in which no natural scenes were shown."""


@dataclass(frozen=True)
class Recording:
    """Responses of the cells of one imaging plane, trial by trial.

    Attributes
    ----------
    experiment_id
        Number of the experiment.
    animal
        Name of the animal; where the file has none, "container" and the number of its group of sessions.
    area
        VISp, VISl, …
    depth_um
        Depth of the plane; None where the file does not say it.
    cre_line
        First part of the genotype, "" where there is none.
    cell_id
        (n_cells,).
    scene
        (n_trials,) int16: number of the scene, −1 for the blank.
    speed
        (n_trials,) float32: mean running speed in cm/s, NaN where it is not known.
    responses
        (n_trials, n_cells) float32: mean dF/F over 14 frames from the onset on, NaN where the recording ends before.
    """

    experiment_id: str
    animal: str
    area: str
    depth_um: int | None
    cre_line: str
    cell_id: tuple[str, ...]
    scene: Array
    speed: Array
    responses: Array


def read_recording(path: Path) -> Recording:
    """Read the trials of natural scenes of one recording.

    Memory: 128 MB and the responses, whatever the length of the recording.

    Raises
    ------
    OtherSessionError
        Natural scenes were not shown in this session.
    DataError
        The file is no recording of Visual Coding, is damaged, or its parts do not fit each other.
    """
    return _read(path, lambda file: _recording(file, path))


def experiment_of(path: Path) -> str:
    """Number of the experiment of a recording, read alone.

    Raises
    ------
    DataError
        The file is no recording of Visual Coding.
    """
    return _read(path, lambda file: _experiment(file, path))


def images_shape(path: Path) -> tuple[int, int, int]:
    """Number of the scenes that a recording holds, their height and width.

    Raises
    ------
    DataError
        There are none.
    """
    n_images, height, width = _read(path, lambda file: _array(file, path, _IMAGES, 3).shape)
    return n_images, height, width


def images_of(path: Path) -> Iterator[Array]:
    """The scenes that a recording holds, one by one, (height, width) uint8.

    Raises
    ------
    DataError
        There are none, or their values are no whole numbers from 0 to 255.
    """
    for place in range(images_shape(path)[0]):
        yield _read(path, lambda file, place=place: _image(file, path, place))


def images_digest(path: Path) -> str:
    """SHA-256 over the pixels and sizes of all scenes of a recording."""
    found = hashlib.sha256()
    for image in images_of(path):
        found.update(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes())
    return found.hexdigest()


def _read(path: Path, read: Callable[[h5py.File], _Found]) -> _Found:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return read(file)
    except DataError:
        raise
    except (OSError, LookupError, ValueError, TypeError, RuntimeError, MemoryError, OverflowError) as error:
        raise DataError(f"{path} cannot be read as NWB ({error}). Copy or download it again.") from error


def _array(file: h5py.File, path: Path, name: str, n_dims: int) -> Any:
    """A data set with so many dimensions, not read yet."""
    import h5py

    found: Any = file.get(name)
    if not isinstance(found, h5py.Dataset) or found.ndim != n_dims or found.dtype.kind not in "iuf":
        known = f"{found.dtype} {found.shape}" if isinstance(found, h5py.Dataset) else "none"
        raise DataError(f"{path.name}: expected numbers with {n_dims} dimensions at {name}, found {known}.")
    return found


def _text(file: h5py.File, name: str) -> str:
    """One text, or one number as text; "" where there is none."""
    import h5py

    found: Any = file.get(name)
    if not isinstance(found, h5py.Dataset) or found.size != 1:
        return ""
    value: Any = np.asarray(found[()]).ravel()[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _experiment(file: h5py.File, path: Path) -> str:
    if _PIPELINE not in file or "general" not in file:
        raise DataError(
            f"{path.name} is no two-photon recording of the Allen Brain Observatory's Visual Coding: it has no "
            f"{_PIPELINE}, and holds {shorten(file)}."
        )
    number = _text(file, "general/session_id")
    if not (number.isascii() and number.isdigit()):
        raise DataError(f"{path.name}: expected the number of the experiment at general/session_id, found {number!r}.")
    return number


def _recording(file: h5py.File, path: Path) -> Recording:
    experiment = _experiment(file, path)
    if _SHOWN not in file:
        kind = _text(file, "general/session_type") or "an unnamed type"
        raise OtherSessionError(
            f"{path.name} is of a session of type {kind}, in which no natural scenes were shown; sessions "
            "three_session_B have them."
        )
    cell_id = tuple(str(int(number)) for number in _array(file, path, _CELLS, 1)[()])
    traces = _array(file, path, _TRACES, 2)
    if len(traces) != len(cell_id) or not cell_id:
        raise DataError(f"{path.name}: expected a trace for each of {len(cell_id)} cells, found shape {traces.shape}.")
    scene, onset = _trials(file, path, traces.shape[1])
    container = _text(file, "general/experiment_container_id")
    return Recording(
        experiment_id=experiment,
        animal=_text(file, "general/specimen_name") or f"container {container or experiment}",
        area=_required(file, path, _AREA, "area"),
        depth_um=_depth(file, path),
        cre_line=_text(file, "general/subject/genotype").partition(";")[0],
        cell_id=cell_id,
        scene=scene,
        speed=_speed(file, path, onset),
        responses=_responses(traces, onset),
    )


def _required(file: h5py.File, path: Path, name: str, what: str) -> str:
    found = _text(file, name)
    if not found:
        raise DataError(f"{path.name}: expected the {what} at {name}, found none.")
    return found


def _depth(file: h5py.File, path: Path) -> int | None:
    """µm, of a text like ``175 microns``."""
    found = _text(file, _DEPTH)
    number = found.split()[0] if found.split() else ""
    if found and not (number.isascii() and number.isdigit()):
        raise DataError(f"{path.name}: expected a depth like '175 microns' at {_DEPTH}, found {found!r}.")
    return int(number) if number else None


def _trials(file: h5py.File, path: Path, n_frames: int) -> tuple[Array, Array]:
    """Scene and first frame of each trial, in the order of time."""
    scene = _array(file, path, f"{_SHOWN}/data", 1)[()]
    frames = _array(file, path, f"{_SHOWN}/frame_duration", 2)[()]
    n_images = len(_array(file, path, _IMAGES, 3))
    if frames.shape != (len(scene), 2) or not len(scene):
        raise DataError(f"{path.name}: expected {len(scene)} trials with a first and last frame, found {frames.shape}.")
    if (scene < -1).any() or (scene >= n_images).any():
        other = shorten(sorted({int(number) for number in scene if not -1 <= number < n_images}))
        raise DataError(f"{path.name}: expected scenes −1 (blank) to {n_images - 1}, found {other}.")
    onset = frames[:, 0].astype(np.int64)
    if (onset < 0).any() or (onset >= n_frames).any():
        raise DataError(f"{path.name}: expected trials to begin within the {n_frames:,} frames, found {onset.max():,}.")
    order = np.argsort(onset, kind="stable")
    return scene[order].astype(np.int16), onset[order]


def _responses(traces: Any, onset: Array) -> Array:
    """Mean over the frames from the onset on, (n_trials, n_cells)."""
    n_cells, n_frames = traces.shape
    whole = onset + N_FRAMES <= n_frames
    frames = onset[whole][:, None] + np.arange(N_FRAMES)  # (n_whole, N_FRAMES)
    found = np.full((len(onset), n_cells), np.nan, dtype=np.float32)
    width = max(1, _BLOCK_VALUES // max(n_frames, frames.size))
    for start in range(0, n_cells, width):
        block = np.asarray(traces[start : start + width], dtype=np.float64)
        found[whole, start : start + width] = block[:, frames].mean(axis=2).T
    return found


def _speed(file: h5py.File, path: Path, onset: Array) -> Array:
    """Mean running speed over the frames of each trial; the wheel's times are matched with those of the frames."""
    if _SPEED not in file:
        return np.full(len(onset), np.nan, dtype=np.float32)
    speed = np.asarray(file[f"{_SPEED}/data"][()], dtype=np.float64).reshape(-1)  # pyright: ignore[reportIndexIssue]
    times = np.asarray(_array(file, path, f"{_SPEED}/timestamps", 1)[()], dtype=np.float64)
    if len(speed) != len(times):
        raise DataError(f"{path.name}: expected a running speed at each of {len(times):,} times, found {len(speed):,}.")
    frame_times = np.asarray(_array(file, path, _TIMES, 1)[()], dtype=np.float64)
    by_time = np.full(len(frame_times) + N_FRAMES, np.nan)
    place = np.searchsorted(frame_times, times)
    inside = place < len(frame_times)
    inside[inside] = frame_times[place[inside]] == times[inside]
    by_time[place[inside]] = speed[inside]
    trials = by_time[onset[:, None] + np.arange(N_FRAMES)]
    known = np.isfinite(trials)
    total = np.where(known, trials, 0.0).sum(axis=1)
    return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.nan).astype(np.float32)


def _image(file: h5py.File, path: Path, place: int) -> Array:
    image = np.asarray(_array(file, path, _IMAGES, 3)[place])
    if not ((image >= 0) & (image <= 255) & (image == np.floor(image))).all():
        raise DataError(f"{path.name}: expected whole numbers from 0 to 255 in scene {place}, found others.")
    return image.astype(np.uint8)
