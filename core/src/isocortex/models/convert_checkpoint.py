"""Turn weights of another form into a .safetensors file: arrays in .npz files, or a checkpoint that needs unpickling.

    python -m isocortex.models.convert_checkpoint PART1.npz PART2.npz OUT.safetensors
    python -m isocortex.models.convert_checkpoint IN.pt OUT.safetensors --i-trust-this-file

Arrays are read without running code; the files of one network may be several. Reading a checkpoint that needs
unpickling runs whatever code it holds. isocortex never does that by itself; do it only with a file from authors whom
you trust, best on a machine that holds nothing else. Files that were pickled with dill need dill.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from isocortex.errors import DataError, IsocortexError

TRUST = "--i-trust-this-file"


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert; 2 where a file that runs code was not said to be trusted, or holds no tensors by name."""
    parser = argparse.ArgumentParser(
        prog="python -m isocortex.models.convert_checkpoint",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="IN")
    parser.add_argument("safetensors", type=Path, metavar="OUT")
    parser.add_argument(TRUST, action="store_true", dest="trusted", help="reading a checkpoint may run code")
    asked = parser.parse_args(arguments)
    pickled = [path for path in asked.checkpoints if path.suffix != ".npz"]
    if pickled and not asked.trusted:
        print(f"Reading {pickled[0]} runs the code that it holds. If you trust it, add {TRUST}.", file=sys.stderr)
        return 2
    try:
        n_tensors = convert(asked.checkpoints, asked.safetensors)
    except IsocortexError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{n_tensors} tensors in {asked.safetensors}")
    return 0


def convert(checkpoints: Sequence[Path], target: Path) -> int:
    """Write the tensors of .npz files and of trusted checkpoints, half precision and all, into one file.

    Of a checkpoint they are those below "state_dict" or "model" where there is one of these.

    Returns
    -------
    Number of tensors. Tensors that share memory are written apart.

    Raises
    ------
    DataError
        A file holds no tensors by name, or two files hold one of the same name.
    """
    from safetensors.torch import save_file

    tensors: dict[str, Any] = {}
    for path in checkpoints:
        found = _arrays(path) if path.suffix == ".npz" else _unpickled(path)
        twice = sorted(tensors.keys() & found.keys())
        if twice:
            raise DataError(f"{path} holds {twice[0]!r}, as does a file before it; expected each tensor once.")
        tensors |= found
    save_file(tensors, target)
    return len(tensors)


def _arrays(path: Path) -> dict[str, Any]:
    """Tensors by name out of an .npz file of arrays."""
    import numpy as np
    import torch

    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(np.array(file[name], order="C")) for name in file.files}
    except Exception as error:  # no file, no archive, objects, types that torch lacks
        raise DataError(f"{path} cannot be read as arrays by name ({error}). Expected an .npz file.") from error


def _unpickled(path: Path) -> dict[str, Any]:
    """Tensors by name out of a checkpoint; whatever code it holds runs."""
    import torch

    content = torch.load(path, map_location="cpu", weights_only=False, pickle_module=_unpickler())
    for key in ("state_dict", "model"):
        content = content[key] if isinstance(content, Mapping) and key in content else content
    state_dict = getattr(content, "state_dict", None)
    content = state_dict() if callable(state_dict) else content
    if not isinstance(content, Mapping):
        raise DataError(f"{path} holds {type(content).__name__}; expected tensors by name.")
    tensors = {
        str(name): value.detach().clone().contiguous() for name, value in content.items() if hasattr(value, "detach")
    }
    if not tensors:
        raise DataError(f"{path} holds no tensors by name; found {list(content)[:5]}.")
    return tensors


def _unpickler() -> Any:
    """dill where it is installed, for checkpoints that were pickled with it."""
    import importlib
    import importlib.util

    return importlib.import_module("dill" if importlib.util.find_spec("dill") else "pickle")


if __name__ == "__main__":
    sys.exit(main())
