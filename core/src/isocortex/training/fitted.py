"""What training left, as a folder: ``weights.safetensors`` and ``fitted.json``, which carries what was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.errors import DataError, FilesError, StoreError
from isocortex.files.digests import digest_file, digest_of, jsonable
from isocortex.files.disk import write_atomic
from isocortex.files.sealed import read_sealed, write_sealed
from isocortex.files.whole_folders import whole_folder
from isocortex.typing import Array

if TYPE_CHECKING:
    from isocortex.training.trained_on import TrainedOn

RECORD, WEIGHTS = "fitted.json", "weights.safetensors"
FORMAT = 1


@dataclass(frozen=True)
class Fitted:
    """What training left: enough to build the network again, and to know what it may not be tested on.

    Attributes
    ----------
    tensors
        By name, numpy arrays.
    settings
        JSON-able: the architecture, the hyper-parameters that were chosen, the epoch at which training stopped.
    curves
        One value for each epoch, by name: "loss", "score", …
    trained_on
        What it has seen; core sets it where it fits on a benchmark.
    model
        ID of the model that was fitted; one of another model does not open it.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "fitted"
    >>> write_fitted(folder, Fitted({"weight": np.zeros(3)}, {"rate": 0.1}))
    >>> read_fitted(folder).settings
    {'rate': 0.1}
    """

    tensors: Mapping[str, Array]
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])
    trained_on: TrainedOn | None = None
    model: str = ""


def write_fitted(folder: Path, fitted: Fitted) -> None:
    """Write what training left into a folder, whole or not at all.

    Raises
    ------
    StoreError
        It cannot be written.
    DataError
        A tensor that is not finite: the training has diverged.
    """
    with whole_folder(folder) as target:
        digest = write_tensors(target / WEIGHTS, fitted.tensors)
        record = {
            "format": FORMAT,
            "model": fitted.model,
            "settings": jsonable(dict(fitted.settings)),
            "curves": {name: [float(value) for value in values] for name, values in fitted.curves.items()},
            "trained_on": None if fitted.trained_on is None else fitted.trained_on.model_dump(mode="json"),
            "weights_sha256": digest,
        }
        write_sealed(target / RECORD, record)


def write_tensors(path: Path, tensors: Mapping[str, Array]) -> str:
    """Write arrays by name as safetensors; returns the file's digest.

    Raises
    ------
    DataError
        One that is not finite.
    """
    import numpy as np
    from safetensors.numpy import save

    for name, values in tensors.items():
        if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            raise DataError(f"The tensor {name!r} is not finite: training has diverged. Use a smaller learning rate.")
    content = save({name: np.asarray(tensors[name], order="C") for name in sorted(tensors)})
    write_atomic(path, lambda file: file.write(content))
    return digest_file(path)


def read_fitted(folder: Path) -> Fitted:
    """Read what training left.

    Raises
    ------
    FilesError
        There is none, it is damaged, or it is of another version; the message says what to do.
    """
    record = read_record(folder)
    seen = _seen(folder, record)
    tensors = read_tensors(folder / WEIGHTS, str(record.get("weights_sha256")))
    try:
        return Fitted(tensors, record["settings"], record["curves"], seen, str(record["model"]))
    except KeyError as error:
        raise FilesError(f"{folder / RECORD} is not what training leaves (no {error}). Train again.") from error


def read_trained_on(folder: Path) -> TrainedOn | None:
    """What a fit has learned from; its tensors are not read.

    Raises
    ------
    FilesError
        There is none, it is damaged, or it is of another version.
    """
    return _seen(folder, read_record(folder))


def _seen(folder: Path, record: Mapping[str, Any]) -> TrainedOn | None:
    from pydantic import ValidationError

    from isocortex.training.trained_on import TrainedOn

    known = record.get("trained_on")
    try:
        return None if known is None else TrainedOn.model_validate(known)
    except ValidationError as error:
        raise FilesError(f"{folder / RECORD} is not what training leaves ({error}). Train again.") from error


def digest_of_fitted(record: Mapping[str, Any]) -> str:
    """Digest over tensors and settings, from what lies beside the tensors: equal digests are equal networks."""
    return digest_of([record["weights_sha256"], record["settings"]])


def read_record(folder: Path) -> dict[str, Any]:
    """What lies beside the tensors, compared with its seal.

    Raises
    ------
    FilesError
        There is none, it is damaged, or it is of another version.
    """
    state, record = read_sealed(folder / RECORD)
    if state == "absent":
        raise FilesError(
            f"{folder} holds no {RECORD}. Expected a folder that training left: what 'isocortex score … --keep fitted' "
            "puts beside a result, or the --out of a training."
        )
    if state != "whole":
        raise FilesError(f"{folder / RECORD} is not as it was written. Train again.")
    if record.get("format") != FORMAT:
        raise FilesError(f"{folder / RECORD} is of format {record.get('format')!r}, expected {FORMAT}. Train again.")
    return record


def read_tensors(path: Path, digest: str) -> dict[str, Array]:
    """Arrays by name, of a safetensors file that has this digest.

    Raises
    ------
    FilesError
        It is absent, or not as it was written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        whole = digest_file(path) == digest
        return load(path.read_bytes()) if whole else _refused(path)
    except (OSError, SafetensorError, StoreError) as error:
        raise FilesError(f"{path} cannot be read ({error}). Train again.") from error


def _refused(path: Path) -> dict[str, Array]:
    raise FilesError(f"{path} is not as it was written. Train again.")
