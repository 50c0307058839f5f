"""``dataset.toml``: what a data set folder says of itself, its keys checked as those of a manifest are."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from isocortex.catalogue.cards import BenchmarkCard, Card
from isocortex.errors import UsageError, shorten, suggest

FOLDER_PACKAGE = "folder"
SETTINGS_FILE = "dataset.toml"
_KEYS: dict[str, type] = {
    "id": str,
    "modality": str,
    "units": str,
    "licence": str,
    "reference": str,
    "title": str,
    "notes": str,
    "variable": str,
    "gaps": str,
    "benchmark": dict,
}
#: what may become of gaps in the responses: refused, kept where every neuroid has some trial of every stimulus, or
#: dropped as ``isocortex.data.Dataset`` does
GAPS = ("refuse", "keep", "drop-neuroids", "drop-stimuli", "drop-trials")
#: fields of a benchmark row that the folder decides itself
_DECIDED = frozenset({*Card.model_fields, "dataset", "metric"}) - {"title", "licence", "reference", "notes"}


def settings_of(path: Path) -> dict[str, Any]:
    """The content of ``dataset.toml``, or nothing where there is none.

    Raises
    ------
    UsageError
        The folder or the file cannot be read, or a key is unknown or of another type; the message names the closest.
    """
    if not path.is_dir():
        raise UsageError(f"{path} is not a folder. A data set folder holds stimuli/ and responses.csv.")
    file = path / SETTINGS_FILE
    if not file.exists() and not file.is_symlink():
        return {}
    try:
        content = tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error.strerror or error}). Expected a file.") from error
    except (ValueError, RecursionError) as error:
        reason = error if isinstance(error, ValueError) else "it is nested too deep"
        raise UsageError(f"{file} is not valid TOML in UTF-8: {reason}.") from error
    _check_keys(str(file), content, tuple(_KEYS))
    for key, value in content.items():
        if not isinstance(value, _KEYS[key]) or value == "":
            wanted = "a table, [benchmark]" if _KEYS[key] is dict else 'text in quotes, such as "mylab2026"'
            raise UsageError(f"{file}: {key} must be {wanted}; found {value!r}.")
    if content.get("gaps", GAPS[0]) not in GAPS:
        raise UsageError(f"{file}: gaps must be one of {', '.join(GAPS)}; found {content['gaps']!r}.")
    benchmark = content.get("benchmark", {})
    _check_keys(f"[benchmark] of {file}", benchmark, tuple(sorted(set(BenchmarkCard.model_fields) - _DECIDED)))
    _check_labels(file, benchmark)
    return content


def identity_of(path: Path) -> str:
    """The name of a data set folder: its ``id``, or the name of the folder.

    Raises
    ------
    UsageError
        As for ``settings_of``, or a name that is none.
    """
    name = str(settings_of(path).get("id") or path.resolve().name)
    if "/" in name or not name.isprintable() or not name.strip(" ."):
        raise UsageError(
            f"{path} cannot be called {name!r}: a name has no '/' and no control characters. Give it another 'id' in "
            f"{SETTINGS_FILE}."
        )
    return name


def _check_keys(where: str, content: dict[str, Any], known: tuple[str, ...]) -> None:
    unknown = [key for key in content if key not in known]
    if unknown:
        raise UsageError(
            f"{where} has unknown keys: {shorten(unknown)}.{suggest(unknown[0], known)} Known: {', '.join(known)}."
        )


def _check_labels(file: Path, benchmark: dict[str, Any]) -> None:
    """Labels are text: what is selected by must be in quotes."""
    select = benchmark.get("select", {})
    if not isinstance(select, dict):
        raise UsageError(f'{file}: select must be a table, such as {{ region = "A1" }}; found {select!r}.')
    for name, value in select.items():
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str) for item in values):
            raise UsageError(
                f"{file}: select = {{ {name} = {value!r} }} must be text: labels are compared as they are written. "
                'Put them in quotes, such as "1".'
            )
