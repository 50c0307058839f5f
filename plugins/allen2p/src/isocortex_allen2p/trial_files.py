"""What is kept of recordings: responses trial by trial, a hundredth of the NWB files, each with its checksum.

<ISOCORTEX_DATA>/isocortex-allen2p/trials/<experiment>/{about.json, responses.npy, trials.npy}
<ISOCORTEX_DATA>/isocortex-allen2p/trials/scenes/{about.json, scenes.npy}
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from isocortex.errors import DataError, FilesError, shorten
from isocortex.files import (
    check_hdf5,
    data_folder,
    digest_file,
    load_npy,
    read_sealed,
    whole_folder,
    write_sealed,
)
from isocortex_allen2p import nwb
from isocortex_allen2p.placed_files import TRIALS, FilesAbsentError

log = logging.getLogger(__name__)

_SCENES: Final = "scenes"
_ABOUT: Final = "about.json"


def scene_name(number: int) -> str:
    """``stimulus_id`` of a scene by its number in the recordings.

    Examples
    --------
    >>> scene_name(7)
    'scene007'
    """
    return f"scene{number:03d}"


def trials_folder() -> Path:
    """Where recordings lie once they were brought in."""
    return data_folder() / TRIALS


def bring_recordings(source: Path) -> list[Path]:
    """Read every NWB file below a folder, and keep its trials; those that are kept already are not read again.

    Sessions without natural scenes are left out and counted. Memory: that of one recording (``nwb.read_recording``).

    Returns
    -------
    The folders of all recordings that are kept.

    Raises
    ------
    FilesError
        There are no recordings with natural scenes.
    DataError
        Files that cannot be used; the others are kept.
    """
    files = [path for path in sorted(source.rglob("*.nwb")) if path.is_file()]
    others, failed, n_used = list[str](), list[DataError](), 0
    for path in files:
        try:
            _bring(path)
            n_used += 1
        except nwb.OtherSessionError as error:
            others.append(str(error))
        except DataError as error:
            failed.append(error)
    if len(files) == len(failed) == 1:
        raise failed[0]
    if failed:
        kept = f" {n_used} others are kept." if n_used else ""
        raise DataError(f"{len(failed)} of {len(files)} recordings cannot be used: {shorten(failed, 3)}{kept}")
    if not n_used:
        why = others[0] if others else f"{source} holds no file .nwb."
        raise FilesError(f"There is no recording of natural scenes in {source}: {why}")
    if others:
        log.warning("%d of %d recordings show no natural scenes and were left out.", len(others), len(files))
    return experiments()


def _bring(path: Path) -> None:
    check_hdf5(path)
    target = trials_folder() / nwb.experiment_of(path)
    source = digest_file(path)
    state, about = read_sealed(target / _ABOUT)
    if state == "whole":
        if about["source"] != source:
            raise DataError(f"{target} is there already, of another file than {path}. Delete it to take this one.")
        return
    recording = nwb.read_recording(path)
    _keep_scenes(path)
    with whole_folder(target) as folder:
        np.save(folder / "responses.npy", recording.responses)
        np.save(folder / "trials.npy", np.stack([recording.scene.astype(np.float32), recording.speed]))
        facts = {name: getattr(recording, name) for name in _FACTS}
        _write_about(folder, {**facts, "source": source})


_FACTS: Final = ("experiment_id", "animal", "area", "depth_um", "cre_line", "cell_id")


def _keep_scenes(path: Path) -> None:
    """Keep the scenes of the first recording; those of every other must be the same."""
    target = trials_folder() / _SCENES
    digest = nwb.images_digest(path)
    state, about = read_sealed(target / _ABOUT)
    if state == "whole":
        if about["pixels"] != digest:
            raise DataError(f"{path.name} shows other scenes than the recordings that are kept in {trials_folder()}.")
        return
    shape = nwb.images_shape(path)
    with whole_folder(target) as folder:
        images = np.lib.format.open_memmap(folder / "scenes.npy", mode="w+", dtype=np.uint8, shape=shape)
        for place, image in enumerate(nwb.images_of(path)):
            images[place] = image
        images.flush()
        _write_about(folder, {"pixels": digest, "n_scenes": len(images)})


def _write_about(folder: Path, facts: dict[str, Any]) -> None:
    digests = {path.name: digest_file(path) for path in sorted(folder.glob("*.npy"))}
    write_sealed(folder / _ABOUT, {**facts, "digests": digests})


def experiments() -> list[Path]:
    """Folders of the recordings that are kept, by their number.

    Raises
    ------
    FilesError
        There are none.
    """
    root = trials_folder()
    found = [path for path in root.iterdir() if path.name.isdigit()] if root.is_dir() else []
    if not found:
        raise FilesAbsentError(
            f"No recordings are in {root}. Get NWB files of the Allen Brain Observatory (Visual Coding, two-photon, "
            "sessions three_session_B) and run 'isocortex fetch -b Allen2p.conwell2021-split --from FOLDER'."
        )
    return sorted(found, key=lambda path: int(path.name))


def _about(folder: Path) -> dict[str, Any]:
    """What is known of a folder whose files are as they were written.

    Raises
    ------
    FilesError
        They are not.
    """
    state, about = read_sealed(folder / _ABOUT)
    changed = [
        name
        for name, digest in about.get("digests", {}).items()
        if not (folder / name).is_file() or digest_file(folder / name) != digest
    ]
    if state != "whole" or changed:
        raise FilesError(
            f"{folder} is not as it was written ({shorten(changed) or _ABOUT}). Delete it, and run 'isocortex fetch "
            "-b Allen2p.conwell2021-split --from FOLDER' with the recordings again."
        )
    return about


def scenes_file() -> Path:
    """The file of the scenes, as it was written.

    Raises
    ------
    FilesError
        No recordings were brought in, or the file has changed since.
    """
    experiments()
    _about(trials_folder() / _SCENES)
    return trials_folder() / _SCENES / "scenes.npy"


def recordings() -> Iterator[nwb.Recording]:
    """The recordings that are kept, one after the other.

    Raises
    ------
    FilesError
        There are none, or one is not as it was written.
    """
    for folder in experiments():
        about = _about(folder)
        scene, speed = load_npy(folder / "trials.npy")
        facts: dict[str, Any] = {name: about[name] for name in _FACTS if name != "cell_id"}
        yield nwb.Recording(
            **facts,
            cell_id=tuple(about["cell_id"]),
            scene=scene.astype(np.int16),
            speed=speed,
            responses=load_npy(folder / "responses.npy"),
        )
