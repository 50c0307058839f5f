"""Variants of a torch module: trained weights, a seeded initialisation, shuffled trained weights, weights of a file.

Weights come from safetensors files, or from torch files that hold tensors and plain containers alone
(``weights_only=True``): nothing that is read runs code.
"""

from __future__ import annotations

import contextlib
import importlib.util
import random
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.errors import DataError, UsageError, shorten

if TYPE_CHECKING:
    from torch import Tensor, nn

    from isocortex.catalogue.cards import Variant

State = Mapping[str, Any]
#: a file, the tensors themselves, or a function that gives one of them
Weights = Path | State | Callable[[], Any]


def build_variant(
    build: Callable[[], nn.Module],
    variant: Variant,
    *,
    weights: Weights | None = None,
    front_end: Sequence[str] = (),
    rename: Callable[[State], State] | None = None,
) -> nn.Module:
    """Build a module with the weights that a variant asks for.

    Parameters
    ----------
    build
        Constructs the module. It runs under a forked generator with the variant's seed (0 where it has none), so that
        ``random:SEED`` equals a plain construction after ``torch.manual_seed(SEED)`` and disturbs no other generator.
    variant
        ``pretrained``, ``random:SEED``, ``permuted:SEED``, ``file:PATH`` or ``fixed``.
    weights
        Of the trained module.
    front_end
        Prefixes of names of tensors that ``permuted`` leaves alone: filters of a front end are no weights.
    rename
        Turns the names of a file into the module's.

    Raises
    ------
    UsageError
        A variant that needs trained weights where there are none.
    DataError
        Weights that do not fit the module.

    Examples
    --------
    >>> from isocortex.catalogue.cards import Variant
    >>> build_variant(lambda: None, Variant.parse("pretrained"))
    Traceback (most recent call last):
    isocortex.errors.UsageError: The variant pretrained needs trained weights, and the model has none.
    """
    source = Path(variant.path) if variant.path is not None else weights
    if variant.kind in ("pretrained", "permuted", "file") and source is None:
        raise UsageError(f"The variant {variant} needs trained weights, and the model has none.")
    with forked_seed(variant.seed if variant.kind == "random" else 0):
        module = build()
    if variant.kind in ("pretrained", "permuted", "file") and source is not None:
        state = read_state(source)
        load_state(module, rename(state) if rename else state)
    if variant.kind == "permuted":
        permute(module, seed=variant.seed or 0, front_end=front_end)
    return module


@contextmanager
def forked_seed(seed: int | None) -> Generator[None]:
    """Seed the generators of Python, numpy and, where it is installed, torch, and put their states back on exit."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - constructors may draw from the global generator
    with contextlib.ExitStack() as stack:
        if importlib.util.find_spec("torch") is not None:
            import torch

            stack.enter_context(torch.random.fork_rng())
            torch.manual_seed(seed or 0)
        np.random.seed((seed or 0) % 2**32)  # noqa: NPY002
        random.seed(seed or 0)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002


def read_state(source: Any) -> State:
    """Tensors by name, from a file (.safetensors, or a torch file without code), a mapping or a function.

    A torch file may hold the tensors below "state_dict" or "model".

    Raises
    ------
    DataError
        The file cannot be read without running code that it holds, or holds no tensors.
    """
    if callable(source):
        source = source()
    state = _read_file(Path(source)) if isinstance(source, str | Path) else source
    for key in ("state_dict", "model"):
        state = state[key] if isinstance(state, Mapping) and isinstance(state.get(key), Mapping) else state
    if not isinstance(state, Mapping) or not state or not all(hasattr(value, "detach") for value in state.values()):
        raise DataError(f"{source if isinstance(source, Path) else 'The weights'}: expected tensors by name.")
    return state


def _read_file(path: Path) -> Any:
    import pickle

    import torch

    if not path.is_file():
        raise DataError(f"There are no weights at {path}.")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{path} holds more than tensors, and reading it would run code of unknown origin. Convert it once, on "
            "purpose, with 'python -m isocortex.models.convert_checkpoint', and use the .safetensors file."
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__  # an empty file has no message
        raise DataError(f"{path} is no torch file ({reason}).") from error


def _read_safetensors(path: Path) -> State:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise UsageError(f"Reading {path.name} needs safetensors: pip install 'isocortex[torch]'.") from error
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} is no safetensors file ({error}).") from error


def load_state(module: nn.Module, state: State) -> None:
    """Load tensors by name; every name and shape must fit.

    Raises
    ------
    DataError
        Names that are missing or not known, or shapes that differ.
    """
    own = module.state_dict()
    missing, unknown = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    other = [name for name in own if name in state and own[name].shape != state[name].shape]
    if missing or unknown or other:
        problems = [
            f"{len(names)} {what} ({shorten(names, 3)})"
            for names, what in ((missing, "missing"), (unknown, "not known"), (other, "of another shape"))
            if names
        ]
        raise DataError(f"The weights do not fit {type(module).__name__}: tensors {', '.join(problems)}.")
    module.load_state_dict(dict(state))


def permute(module: nn.Module, *, seed: int, front_end: Sequence[str] = ()) -> None:
    """Shuffle the elements of every float tensor of the state: each keeps its values and loses its structure.

    Names are taken in sorted order, tensors that share their storage once, integer buffers not at all (Tuckute et al.
    2023, "permuted" control).

    Parameters
    ----------
    front_end
        Prefixes of names that are left alone.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    done: set[int] = set()
    with torch.no_grad():
        for name, tensor in sorted(module.state_dict().items()):
            if not tensor.is_floating_point() or _starts_with(name, front_end) or tensor.data_ptr() in done:
                continue
            if tensor.numel():
                done.add(tensor.data_ptr())
            _shuffle(tensor, generator)


def _shuffle(tensor: Tensor, generator: Any) -> None:
    import torch

    order = torch.randperm(tensor.numel(), generator=generator)
    tensor.copy_(tensor.reshape(-1)[order.to(tensor.device)].reshape(tensor.shape))


def _starts_with(name: str, prefixes: Sequence[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)
