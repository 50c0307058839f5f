"""The map that ``--keep mapping`` asks for: arrays in ``kept/mapping.npz``, and what they belong to in a JSON beside.

Neither holds anything that could run code: the arrays are numbers and text, and are read without pickle.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.files.digests import digest_file
from isocortex.files.disk import write_atomic
from isocortex.results.kept_records import read_kept
from isocortex.scoring.mapping import LayerMap, LinearMapping

if TYPE_CHECKING:
    from isocortex.results.result import Result

MAPPING = "mapping"


def write_mapping(folder: Path, mapping: LinearMapping | None) -> dict[str, Any]:
    """Write the arrays of a map into ``kept/mapping.npz`` of a result's folder; returns what its JSON says of them.

    Raises
    ------
    StoreError
        They cannot be written.
    """
    if mapping is None:
        return {"files": {}}
    arrays: dict[str, Any] = {"intercept": mapping.intercept, "alpha": mapping.alpha}
    for number, own in enumerate(mapping.layers.values()):
        arrays |= {f"neuroids_{number}": own.neuroids, f"mean_{number}": own.mean, f"weights_{number}": own.weights}
    coordinates: dict[str, Any] = {}
    for place, (name, item) in enumerate(mapping.neuroid.coords.items()):
        coordinates[str(name)] = f"coordinate_{place}"
        values = item.values
        arrays[f"coordinate_{place}"] = values.astype(str) if values.dtype.kind in "OU" else values
    made = io.BytesIO()
    np.savez(made, allow_pickle=False, **arrays)
    path = folder / "kept" / f"{MAPPING}.npz"
    write_atomic(path, lambda file: file.write(made.getbuffer()))
    return {
        "files": {path.name: digest_file(path)},
        "layers": list(mapping.layers),
        "n_units": [len(own.mean) for own in mapping.layers.values()],
        "coordinates": coordinates,
    }


def read_mapping(folder: Path, result: Result) -> LinearMapping:
    """The map that was kept beside a result, after it was compared with its checksum.

    Parameters
    ----------
    folder
        Of the result.

    Raises
    ------
    StoreError
        It was not kept, the metric gives none, or it is damaged.
    """
    record = read_kept(folder, result, MAPPING)
    path = folder / "kept" / f"{MAPPING}.npz"
    with np.load(path, allow_pickle=False) as arrays:
        return _read(arrays, record)


def _read(arrays: Any, record: Mapping[str, Any]) -> LinearMapping:
    import xarray as xr

    layers = {
        name: LayerMap(arrays[f"neuroids_{number}"], arrays[f"mean_{number}"], arrays[f"weights_{number}"])
        for number, name in enumerate(record["layers"])
    }
    coordinates = {name: ("neuroid", arrays[place]) for name, place in record["coordinates"].items()}
    return LinearMapping(layers, arrays["intercept"], arrays["alpha"], xr.Dataset(coords=coordinates))
