"""Single things that the walk over what an object computes meets: arrays, tensors, what classes and modules hold."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import sys
import types
from collections.abc import Mapping
from typing import Any

_NO_CONTENT = (types.MemberDescriptorType, types.GetSetDescriptorType, types.WrapperDescriptorType)
#: what a class holds beside what it computes
_DESCRIBES_CLASS = frozenset(
    (
        *("__dict__", "__weakref__", "__doc__", "__module__", "__slots__", "__abstractmethods__", "_abc_impl"),
        *("__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__"),
        *("__firstlineno__", "__static_attributes__", "__orig_bases__", "__parameters__"),
        *("__dataclass_fields__", "__dataclass_params__", "__match_args__"),
    )
)
#: what a torch module holds beside what it computes; the copy that runs is in evaluation mode
_DESCRIBES_MODULE = frozenset(
    (
        *("training", "_is_full_backward_hook", "_non_persistent_buffers_set", "_compiled_call_impl"),
        *("_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks", "_state_dict_pre_hooks"),
        *("_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"),
    )
)


class UnreadableError(Exception):
    """Something whose content cannot be read as values; never leaves ``content``."""


def hashed(kind: str, *parts: object) -> bytes:
    """SHA-256 over a kind and parts, which are told apart; what is no bytes counts as it is shown.

    Examples
    --------
    >>> hashed("a", "b", "c") == hashed("a", "bc")
    False
    """
    sha = hashlib.sha256(kind.encode())
    for part in parts:
        content = part if isinstance(part, bytes) else repr(part).encode("utf-8", "surrogatepass")
        sha.update(b"%d:" % len(content))
        sha.update(content)
    return sha.digest()


def imported_module(name: str, known: Mapping[str, Any]) -> types.ModuleType:
    """The module that code with these globals imports when it runs; it is imported now."""
    package = str(known.get("__package__") or "")
    try:
        return importlib.import_module(name, package) if name.strip(".") else sys.modules[package]
    except Exception as error:  # whatever the user's module raises
        raise UnreadableError(name) from error


def sha256_of(content: Any) -> bytes:
    """Of a buffer, which is not copied."""
    return hashlib.sha256(content).digest()


def contents_of(cell: types.CellType) -> Any:
    """What a closure holds; nothing, where it is not filled yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def held_by_object(value: Any) -> list[tuple[str, Any]]:
    """What an object holds by name, in its dictionary and in slots."""
    held: dict[str, Any] = {str(name): one for name, one in getattr(value, "__dict__", {}).items()}
    for kind in type(value).__mro__:
        for name, slot in vars(kind).items():
            if isinstance(slot, types.MemberDescriptorType):
                with contextlib.suppress(AttributeError):  # nothing was put in
                    held[name] = slot.__get__(value, kind)
    return sorted(held.items())


def has_slots(kind: type) -> bool:
    """Whether objects of a class hold something outside of their dictionary."""
    return any("__slots__" in vars(one) and vars(one)["__slots__"] for one in kind.__mro__)


def name_of(kind: type) -> str:
    """Module and name of a class."""
    return f"{kind.__module__}.{kind.__qualname__}"


def tensor_content(value: Any) -> tuple[object, ...]:
    """Type, shape and checksum of a torch tensor, wherever it lies; read once, with one copy where it is not in order.

    Raises
    ------
    UnreadableError
        It is sparse, quantised, without values or of another library's kind.
    """
    import torch

    if value.layout != torch.strided or value.is_quantized or value.device.type == "meta":
        raise UnreadableError("a tensor that is not dense")
    plain = value.detach().resolve_conj().resolve_neg().cpu().contiguous()
    if type(plain) is not torch.Tensor:
        raise UnreadableError(name_of(type(value)))
    content = plain.reshape(-1).view(torch.uint8).numpy() if plain.numel() else b""
    return str(value.dtype), tuple(value.shape), sha256_of(content)


def held_by_class(kind: type) -> list[tuple[str, Any]]:
    """What a class holds that may decide a value, by name."""
    return [
        (name, value)
        for name, value in sorted(vars(kind).items())
        if name not in _DESCRIBES_CLASS and not isinstance(value, _NO_CONTENT)
    ]


def held_by_module(module: Any) -> list[tuple[str, Any]]:
    """What a torch module holds that may decide a value, by name; hooks in their order, as their numbers differ."""
    held: list[tuple[str, Any]] = []
    for name, value in sorted(vars(module).items()):
        if name in _DESCRIBES_MODULE:
            continue
        if name.endswith(("_hooks", "_hooks_with_kwargs", "_hooks_always_called")) and isinstance(value, dict):
            value = list(value.values())
        held.append((name, value))
    return held
