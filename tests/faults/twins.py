"""What a command leaves, to be compared with what its undisturbed twin leaves, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def finished(folder: Path) -> dict[str, int]:
    """Results that are on disk, with their time."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("result.json")}


def values(folder: Path) -> dict[str, Any]:
    """Every value that a command leaves: results without times, arrays bit for bit, files as they are."""
    import numpy as np
    import xarray as xr

    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not path.is_file() or (name.startswith("cache/") and path.suffix != ".npy") or path.name == "said.txt":
            continue
        if path.name.endswith((".lock", ".holder")) or ".download" in path.name or path.name == "recorded.json":
            continue
        if path.name == "result.json":
            record = json.loads(path.read_text())
            found[name] = {
                key: value for key, value in record.items()
                if key not in ("provenance", "scores_sha256", "sha256", "record_sha256")
            }  # fmt: skip
        elif path.name == "scores.nc":
            with xr.open_dataset(path) as scores:
                found[name] = {key: (item.dtype.str, item.shape, np.asarray(item.values).tobytes()
                                     if item.dtype != object else item.values.tolist())
                               for key, item in {**scores.data_vars, **scores.coords}.items()}  # fmt: skip
        else:
            found[name] = path.read_bytes()
    return found


def leftovers(folder: Path) -> list[str]:
    """Files and folders that were on their way."""
    names = (path.relative_to(folder) for path in folder.rglob("*"))
    return [
        str(name) for name in names if name.name.startswith((".unpacked-", ".scores-", "uncached-", ".write-test-"))
        or name.name.endswith(".part")
    ]  # fmt: skip
