"""Architectures as data: named tables beside the manifest, and the two JSON files of a checkpoint."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from isocortex.errors import DataError, PluginError, suggest

FILE = "architectures.toml"


@dataclass(frozen=True)
class Architecture:
    """What a network is built from, and how its input is made.

    Attributes
    ----------
    family
        The ``model_type`` of transformers.
    config
        Arguments of the family's configuration; no others are taken from a file.
    features
        Settings of the family's input.
    """

    family: str
    config: Mapping[str, Any]
    features: Mapping[str, Any]


def read_architecture(folder: Path, name: str) -> Architecture:
    """Read a table of ``architectures.toml``, on top of the one that it is ``like``.

    Parameters
    ----------
    folder
        Where the file lies: beside the manifest.
    name
        Of the table.

    Raises
    ------
    PluginError
        No such file or table.

    Examples
    --------
    >>> architecture = read_architecture(Path(__file__).parent, "wav2vec2-large")
    >>> architecture.family, architecture.config["hidden_size"], architecture.config["conv_kernel"][0]
    ('wav2vec2', 1024, 10)
    """
    path = folder / FILE
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PluginError(f"{path} cannot be read ({error}); an architecture is a table of it.") from error
    return _architecture(tables, name, path, seen=())


def _architecture(tables: Mapping[str, Any], name: str, path: Path, seen: tuple[str, ...]) -> Architecture:
    table = tables.get(name)
    if not isinstance(table, dict) or name in seen:
        raise PluginError(f"{path} has no table [{name}] that ends somewhere.{suggest(name, tables)}")
    base = Architecture("", {}, {})
    if "like" in table:
        base = _architecture(tables, str(table["like"]), path, (*seen, name))
    return Architecture(
        str(table.get("family", base.family)),
        {**base.config, **table.get("config", {})},
        {**base.features, **table.get("features", {})},
    )


def of_checkpoint(architecture: Architecture, config: Path | None, features: Path | None) -> Architecture:
    """The architecture of a checkpoint: its own values, for the keys that the architecture knows.

    Whatever else a configuration says (code to be loaded, implementations to be fetched, training) is not looked at.

    Parameters
    ----------
    architecture
        What the model's row names.
    config, features
        ``config.json`` and ``preprocessor_config.json``; None: as the row has it.

    Raises
    ------
    DataError
        A file is no JSON object, or the checkpoint is of another family.
    """
    if config is not None:
        found = _read_json(config)
        family = found.get("model_type", architecture.family)
        if family != architecture.family:
            raise DataError(
                f"{config} is of a {family!r} network; expected {architecture.family!r}. Name the model that fits it."
            )
        if "num_labels" not in found and isinstance(found.get("id2label"), dict):
            found["num_labels"] = len(found["id2label"])
        architecture = replace(architecture, config=_known(found, architecture.config, config))
    if features is not None:
        architecture = replace(architecture, features=_known(_read_json(features), architecture.features, features))
    return architecture


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error}). Fetch it again.") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} holds {type(found).__name__}; expected a JSON object.")
    return cast("dict[str, Any]", found)


def _known(found: Mapping[str, Any], known: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The known keys, with a file's values where it has some of the same kind."""
    values = {key: found.get(key, value) for key, value in known.items()}
    for key, value in values.items():
        if _kind(value) != _kind(known[key]):
            raise DataError(f"{path}: {key} is {value!r}; expected something like {known[key]!r}.")
    return values


def _kind(value: Any) -> Any:
    if isinstance(value, list):
        return "list", *sorted({str(_kind(item)) for item in cast("list[Any]", value)})
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if numeric else type(value).__name__
