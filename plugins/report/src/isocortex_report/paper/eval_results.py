"""Scores in the form of the Hugging Face Hub's ``.eval_results/*.yaml``: ours written, those of others read.

A file is a list of entries: ``dataset`` with ``id``, ``task_id`` and perhaps ``revision``; ``value``; and perhaps
``date``, ``notes``, ``verifyToken``, ``evaluation_framework`` and ``source`` with ``url``, ``name``, ``user`` and
``org`` (https://huggingface.co/docs/hub/eval-results). It names no model: it lies in the model's repository.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

from isocortex.errors import DataError, UsageError, printable, shorten
from isocortex.files import digest_of, folder_name, short, write_atomic
from isocortex.results import Result, others_path, write_others
from isocortex_report.selection import chosen_results

FOLDER = ".eval_results"
_FRAMEWORK = "isocortex"
#: bytes of one file that are read
_MOST_BYTES = 1_000_000
#: of the name of a file
_MOST_LETTERS = 100


# --- out --------------------------------------------------------------------------------------------------------------


def write_eval_results(
    results: Path | str | Iterable[Result],
    out: Path | str,
    *,
    dataset: str | None,
    source: str | None = None,
    benchmarks: Sequence[str] = (),
    models: Sequence[str] = (),
    said: list[str] | None = None,
) -> list[Path]:
    """Write one file per model variant and benchmark: ``out/MODEL@VARIANT/.eval_results/BENCHMARK.yaml``.

    The value is that of the whole result, as it is; statistic, target, n and interval stand in the notes.

    Parameters
    ----------
    results, benchmarks, models
        As for ``export``.
    out
        A folder.
    dataset
        The benchmark's data set on the Hub, "ORG/NAME"; its tasks are the IDs of benchmarks.
    source
        Address where the scores are published.
    said
        Told of results that have no value.

    Returns
    -------
    The files.

    Raises
    ------
    UsageError
        No data set is named, several results of one name, or an address that is none.
    """
    if dataset is None or not re.fullmatch(r"[\w.-]+/[\w.-]+", dataset):
        raise UsageError(
            f"eval-results need --dataset ORG/NAME, the data set on the Hub with the benchmark; found {dataset!r}."
        )
    if source is not None and not re.fullmatch(r"https?://\S+", source):
        raise UsageError(f"--source is an address that begins with https://; found {source!r}.")
    found, _ = chosen_results(results, benchmarks, models)
    written: dict[Path, str] = {}
    for result in found:
        name = f"{result.model}@{result.variant}"
        if result.summary is None or result.summary.value is None:
            (said if said is not None else []).append(f"{name} × {result.benchmark}: not written, as it has no value")
            continue
        path = Path(out).expanduser() / _bounded(name) / FOLDER / f"{_bounded(result.benchmark)}.yaml"
        if path in written:
            raise UsageError(
                f"Two results are of {name} × {result.benchmark}, and a file holds one. Choose by -b and -m."
            )
        written[path] = _yaml([_entry(result, dataset, source)])
    for path, text in written.items():
        made = text.encode()
        write_atomic(path, partial(_write, made))
    return list(written)


def _bounded(name: str) -> str:
    """A name of a folder or file; a long one is cut and told apart by its digest."""
    whole = folder_name(name)
    return whole if len(whole) <= _MOST_LETTERS else f"{whole[:_MOST_LETTERS]}-{short(digest_of([name]))}"


def _write(made: bytes, file: BinaryIO) -> None:
    file.write(made)


def _entry(result: Result, dataset: str, source: str | None) -> dict[str, Any]:
    assert result.summary is not None
    entry: dict[str, Any] = {
        "dataset": {"id": dataset, "task_id": result.benchmark},
        "value": result.summary.value,
        "notes": _notes(result),
        "evaluation_framework": _FRAMEWORK,
    }
    if result.provenance is not None:
        entry["date"] = result.provenance.finished
    if source is not None:
        entry["source"] = {"url": source, "name": "isocortex"}
    return entry


def _notes(result: Result) -> str:
    """What the value is, in one line."""
    summary = result.summary
    assert summary is not None
    parts = [f"statistic {summary.statistic}", f"target {summary.target}", f"variant {result.variant}"]
    parts.append(f"{summary.n_stimuli} stimuli")
    if summary.n_neuroids is not None:
        parts.append(f"{summary.n_neuroids} of {summary.n_neuroids_total} neuroids")
    if summary.n_subjects is not None:
        parts.append(f"{summary.n_subjects} participants")
    if summary.interval_low is not None and summary.interval_high is not None:
        parts.append(f"95% interval {summary.interval_low:.4g} to {summary.interval_high:.4g} over {summary.resampled}")
    return "; ".join([*parts, f"layer {summary.layer_rule}", f"digest {result.digest[:16]}"])


def _yaml(entries: Sequence[Mapping[str, Any]]) -> str:
    import yaml

    return yaml.safe_dump(list(entries), sort_keys=False, allow_unicode=True, width=10_000)


# --- in ---------------------------------------------------------------------------------------------------------------


def import_eval_results(paths: Iterable[Path], out: Path, model: str | None = None) -> list[Path]:
    """Bring scores of others into a results folder, checked; ``isocortex show`` shows them as theirs.

    Parameters
    ----------
    paths
        Files, or folders: a model's repository, or one that holds several.
    out
        The results folder.
    model
        Of all of them; None: the folder above ``.eval_results`` names it.

    Returns
    -------
    What was written.

    Raises
    ------
    DataError
        Something that is no such file; the message names it. Nothing is written then.
    UsageError
        No file, a model that cannot be told, or two files of one name and model.
    """
    found: dict[Path, tuple[str, list[dict[str, Any]]]] = {}
    for path in _files(paths):
        name = model or _model_of(path)
        place = others_path(out, name, path.stem)
        if place in found:
            raise UsageError(
                f"Two files are called {path.name} for the model {name!r}. Import them one by one, by --model."
            )
        found[place] = (name, [_theirs(entry) for entry in _entries(_bytes(path), path)])
    for place, (name, entries) in found.items():
        write_others(place, name, entries)
    return list(found)


def _theirs(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry as it is kept: texts, and the value."""
    source = entry.get("source") or {}
    by = source.get("name") or source.get("user") or source.get("org") or ""
    return {
        "dataset": entry["dataset"]["id"],
        "task": entry["dataset"]["task_id"],
        "revision": str(entry["dataset"].get("revision", "")),
        "value": float(entry["value"]),
        "source": " ".join(filter(None, (str(by), source.get("url", "")))),
        "date": str(entry.get("date", "")),
        "notes": str(entry.get("notes", "")),
        "verified": bool(entry.get("verifyToken")),
    }


def _files(paths: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(
                {*path.glob("*.yaml"), *path.rglob(f"{FOLDER}/*.yaml")}
                if path.name == FOLDER
                else path.rglob(f"{FOLDER}/*.yaml")
            )
            if not inside:
                raise UsageError(f"{path} holds no {FOLDER}/*.yaml.")
            found += inside
        else:
            found.append(path)
    return found


def _model_of(path: Path) -> str:
    """The model whose repository a file lies in."""
    place = path.resolve().parent
    if place.name != FOLDER or not place.parent.name:
        raise UsageError(
            f"{path} does not lie in the {FOLDER} of a model's folder. Say whose it is with --model ORG/NAME."
        )
    return unquote(place.parent.name)


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).") from error
    if len(content) > _MOST_BYTES:
        raise DataError(f"{path} is larger than {_MOST_BYTES:,} bytes, and no list of scores.")
    return content


def _entries(content: bytes, path: Path) -> list[dict[str, Any]]:
    """The entries of a file, checked; YAML is read without aliases, which could blow it up, and without objects."""
    import yaml

    try:
        text = content.decode("utf-8")
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise DataError(f"{path} has aliases (*name), which the form does not need.")
        found = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise DataError(f"{path} is no YAML ({printable(str(error))}).") from error
    if not isinstance(found, list) or not found:
        raise DataError(
            f"{path} must hold a list of entries, each with dataset and value; found {type(found).__name__}."
        )
    for place, entry in enumerate(found):
        problems = list(_problems(entry))
        if problems:
            raise DataError(f"{path}, entry {place + 1}: {shorten(problems)}.")
    return found


def _problems(entry: Any) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield f"expected dataset and value, found {type(entry).__name__}"
        return
    dataset = entry.get("dataset")
    for name in ("id", "task_id"):
        value = dataset.get(name) if isinstance(dataset, dict) else None
        if not isinstance(value, str) or not value:
            yield f"dataset.{name} must be a text, found {value!r}"
    value = entry.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        yield f"value must be a number, found {value!r}"
    source = entry.get("source")
    if source is not None and not (isinstance(source, dict) and isinstance(source.get("url"), str)):
        yield "source must have a url"
    elif source is not None and not re.fullmatch(r"https?://\S+", source["url"]):
        yield f"source.url must begin with https://, found {source['url']!r}"
