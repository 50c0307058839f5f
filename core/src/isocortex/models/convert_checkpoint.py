"""Turn a checkpoint that needs unpickling into a .safetensors file, once and on purpose.

    python -m isocortex.models.convert_checkpoint IN.pt OUT.safetensors --i-trust-this-file

Reading such a checkpoint runs whatever code it holds. isocortex never does that by itself; do it only with a file from
authors whom you trust, best on a machine that holds nothing else. Files that were pickled with dill need dill.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TRUST = "--i-trust-this-file"


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert; 2 where the file was not said to be trusted."""
    parser = argparse.ArgumentParser(prog="python -m isocortex.models.convert_checkpoint", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("safetensors", type=Path)
    parser.add_argument(TRUST, action="store_true", dest="trusted", help="reading the file may run code; required")
    asked = parser.parse_args(arguments)
    if not asked.trusted:
        print(f"Reading {asked.checkpoint} runs the code that it holds. If you trust it, add {TRUST}.", file=sys.stderr)
        return 2
    n_tensors = convert(asked.checkpoint, asked.safetensors)
    print(f"{n_tensors} tensors in {asked.safetensors}")
    return 0


def convert(checkpoint: Path, target: Path) -> int:
    """Unpickle a trusted checkpoint and write its tensors, below "state_dict" or "model" where there is one of these.

    Returns
    -------
    Number of tensors. Tensors that share memory are written apart.

    Raises
    ------
    ValueError
        The checkpoint holds no tensors by name.
    """
    import torch
    from safetensors.torch import save_file

    content = torch.load(checkpoint, map_location="cpu", weights_only=False, pickle_module=_unpickler())
    for key in ("state_dict", "model"):
        content = content[key] if isinstance(content, Mapping) and key in content else content
    state_dict = getattr(content, "state_dict", None)
    content = state_dict() if callable(state_dict) else content
    if not isinstance(content, Mapping):
        raise ValueError(f"{checkpoint} holds {type(content).__name__}; expected tensors by name.")
    tensors = {
        str(name): value.detach().clone().contiguous() for name, value in content.items() if hasattr(value, "detach")
    }
    if not tensors:
        raise ValueError(f"{checkpoint} holds no tensors by name; found {list(content)[:5]}.")
    save_file(tensors, target)
    return len(tensors)


def _unpickler() -> Any:
    """dill where it is installed, for checkpoints that were pickled with it."""
    import importlib
    import importlib.util

    return importlib.import_module("dill" if importlib.util.find_spec("dill") else "pickle")


if __name__ == "__main__":
    sys.exit(main())
