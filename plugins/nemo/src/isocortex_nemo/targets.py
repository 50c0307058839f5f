"""Which classes the configuration of a checkpoint may name: NeMo's own for speech, and building blocks of torch.

A configuration is a program in disguise: whatever it names in ``_target_`` is imported and called. Nothing is imported
here to find out what a name stands for. A name is followed through the source of the installed NeMo as text, so that
``nemo.collections.asr.modules.os.system`` is none of its classes, whatever its modules import.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from isocortex.errors import DataError, PluginError

#: keys whose values are imported and called; the last two where they hold a dotted name
_KEYS = ("_target_", "target", "cls")
_PRIMITIVES = re.compile(
    r"torch\.nn\.[A-Z]\w*|torch\.optim\.(lr_scheduler\.)?[A-Z]\w*|omegaconf\.((dict|list)config\.)?(Dict|List)Config"
)
_OURS = re.compile(
    r"nemo\.collections\.(asr\.(modules|models|losses|metrics|parts\.submodules)|common\.(losses|parts|tokenizers))"
    r"(\.[A-Za-z_]\w*)+"
)
#: the only functions that configurations of checkpoints name
_FUNCTIONS = ("get_nemo_transformer",)
#: what asks OmegaConf to compute something: environment variables, for one
_RESOLVER = re.compile(r"\$\{[^}]*:")
#: modules that hand on a name from one to the next
_MOST_STEPS = 8


def refuse_foreign(config: Mapping[str, Any], where: str) -> None:
    """Refuse a configuration that names anything but classes of NeMo's speech recognition, torch.nn or OmegaConf.

    Parameters
    ----------
    config
        As it was read, nothing of it resolved.
    where
        The file, for messages.

    Raises
    ------
    DataError
        It names something else, or asks OmegaConf to compute a value.
    """
    for place, key, value in _texts(config, ""):
        if _RESOLVER.search(value):
            raise DataError(
                f"{where} asks for a computed value, {value[:80]!r} at {place}. {_ADVICE}"
            )  # fmt: skip
        named = key == "_target_" or (key in _KEYS and "." in value)
        if named and not (_PRIMITIVES.fullmatch(value) or _OURS.fullmatch(value)):
            raise DataError(
                f"{where} names {value[:80]!r} at {place}, which is no class of NeMo's speech recognition. {_ADVICE}"
            )


_ADVICE = "Nothing of it was built or run; get the file anew from its authors, and use no other."


def refuse_unknown(config: Mapping[str, Any], where: str, version: str) -> None:
    """Refuse a configuration that names what the installed NeMo does not define.

    Raises
    ------
    PluginError
        It names a class that is not defined in the module that it names, nor handed on from another one of NeMo.
    """
    for place, key, value in _texts(config, ""):
        named = key == "_target_" or (key in _KEYS and "." in value)
        if named and _OURS.fullmatch(value) and not _is_defined(value):
            older = " It was removed in NeMo 3: pip install 'nemo_toolkit[asr]>=2.7.3,<3'."
            raise PluginError(
                f"{where} names {value!r} at {place}; nemo_toolkit {version} defines no such class, and nothing was "
                f"built.{older if 'Squeezeformer' in value else ''}"
            )


def _texts(value: Any, place: str, key: str = "") -> Iterator[tuple[str, str, str]]:
    """(place, key, text) of every text in nested mappings and lists; a key's own text counts, too."""
    if isinstance(value, Mapping):
        for name, inner in cast("Mapping[Any, Any]", value).items():
            below = f"{place}.{name}" if place else str(name)
            if isinstance(name, str) and "${" in name:
                yield below, "", name
            yield from _texts(inner, below, str(name))
            if name in ("_target_",) and not isinstance(inner, str):
                yield below, "_target_", str(inner)
    elif isinstance(value, list):
        for number, inner in enumerate(cast("list[Any]", value)):
            yield from _texts(inner, f"{place}[{number}]", key)
    elif isinstance(value, str):
        yield place, key, value


@lru_cache(maxsize=256)
def _is_defined(target: str) -> bool:
    spec = find_spec("nemo")
    roots = [] if spec is None else list(spec.submodule_search_locations or ())
    module, _, name = target.rpartition(".")
    return any(_defines(Path(root), module, name, _MOST_STEPS) for root in roots)


def _defines(root: Path, module: str, name: str, steps: int) -> bool:
    """Whether the source of a module defines a class of that name, or hands it on from another module of NeMo."""
    tree = _source(root, module)
    if tree is None or steps == 0:
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return True
        if isinstance(node, ast.FunctionDef) and node.name == name and name in _FUNCTIONS:
            return True
        if isinstance(node, ast.ImportFrom) and node.level == 0 and _OURS.fullmatch(f"{node.module}.{name}"):
            found = [alias.name for alias in node.names if (alias.asname or alias.name) == name]
            if found and _defines(root, str(node.module), found[0], steps - 1):
                return True
    return False


@lru_cache(maxsize=64)
def _source(root: Path, module: str) -> ast.Module | None:
    base = root.joinpath(*module.split(".")[1:])
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return ast.parse(path.read_text(encoding="utf-8"))
    return None
