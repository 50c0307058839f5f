"""``isocortex info``: a card with licence, citation, published scores and ceilings."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

from isocortex.catalogue.cards import BenchmarkCard, Card, MetricCard, ModelCard, read_card
from isocortex.catalogue.rows import Catalogue, is_pattern
from isocortex.cli.contents import metric_lines, package_lines, results_lines
from isocortex.errors import FilesError, IsocortexError, UnknownIDError, suggest
from isocortex.files.archives import refuse_outside
from isocortex.files.disk import home_expanded_name
from isocortex.files.file_store import FileStore, amount, read_specs
from isocortex.files.libraries import public_version
from isocortex.loading.resolver import FOLDER_PREFIX, Resolver, row_of, sibling, variant_of
from isocortex.results.findings import findings_of
from isocortex.scoring.contract import Ceiling, Preparation, Rules

_HIDDEN = {
    *("id", "package", "folder", "module", "object", "family", "package_version"),
    *("methods", "settings_model"),
}
_EMPTY: tuple[object, ...] = ("", None, [], {})


def describe(identity: str, *, published: bool = False) -> str:
    """Everything that is known about an ID, a package or a folder, as text; nothing is downloaded for it.

    Parameters
    ----------
    identity
        An ID, a package, ``folder:PATH`` or ``folder:PATH:METRIC``.
    published
        Scores from papers are shown, not only counted.

    Raises
    ------
    UnknownIDError
        Nothing installed has that ID.
    UsageError
        A folder that is none.
    """
    catalogue, identity = Catalogue.discover(), home_expanded_name(identity)
    resolver = Resolver(catalogue, FileStore(offline=True, because="'info' downloads nothing"))
    for known in (results_lines, package_lines):
        if (lines := known(catalogue, identity)) is not None:
            return "\n".join(lines)
    is_folder = identity.startswith(FOLDER_PREFIX)
    kind, card = _of_folder(resolver, identity) if is_folder else _installed(catalogue, identity)
    origin = f"{card.package} {card.package_version}".rstrip()
    lines = [f"{kind} {card.id}  ({origin})", *_fields(card)]
    lines += _files(card)
    if isinstance(card, ModelCard) and not is_pattern(card.id):
        lines += _weights(resolver, f"{card.package}::{card.id}", card)
    if isinstance(card, MetricCard):
        lines += metric_lines(resolver, card)
    if isinstance(card, BenchmarkCard):
        lines += _published(card, whole=published) + _ceilings(resolver, identity, card)
        lines += [f"  {line}" for line in findings_of(card.id, card.version)]
    return "\n".join(lines)


def _installed(catalogue: Catalogue, identity: str) -> tuple[str, Card]:
    row = row_of(catalogue, identity)
    if row is None:
        known = [*(item.id for item in catalogue.rows), *(plugin.package for plugin in catalogue.plugins)]
        raise UnknownIDError(
            f"Nothing installed is called {identity!r}.{suggest(identity, known)} 'isocortex list' shows all."
        )
    return row.kind, read_card(row)


def _of_folder(resolver: Resolver, identity: str) -> tuple[str, Card]:
    """The data set ``folder:PATH``, or the benchmark ``folder:PATH:METRIC``."""
    if Path(identity.removeprefix(FOLDER_PREFIX)).is_dir():
        return "dataset", resolver.dataset_card(identity)
    return "benchmark", resolver.benchmark_card(identity)


def _fields(card: Card) -> list[str]:
    values = card.model_dump(mode="json") | {"requires": [_required(line) for line in card.requires]}
    silent = _HIDDEN if values.get("sample_rate") else _HIDDEN | {"resampler"}
    shown = {key: value for key, value in values.items() if key not in silent and value is not False}
    return [f"  {key}: {_text(value)}" for key, value in shown.items() if value not in _EMPTY]


def _required(line: str) -> str:
    """A requirement, and the version that is installed of it."""
    installed = public_version(re.split(r"[^A-Za-z0-9._-]", line.strip(), maxsplit=1)[0])
    return f"{line} ({'not installed' if installed is None else f'{installed} is installed'})"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        parts = [
            f"{key}=({_text(item)})" if isinstance(item, dict) else f"{key}={_text(item)}"
            for key, item in value.items()
        ]
        return ", ".join(parts)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _files(card: Card) -> list[str]:
    specs = read_specs(card.folder, getattr(card, "files", None))
    if not specs:
        return []
    missing = FileStore(offline=True).missing(card.package, specs)
    state = "all here" if not missing else f"{len(missing)} not here; isocortex fetch brings them"
    return [f"  {amount(specs)}: {state}"]


def _weights(resolver: Resolver, reference: str, card: ModelCard) -> list[str]:
    """Whether the weights of the variant that is taken by default are here; the network is not used for it."""
    from isocortex.run.fetch import describe_paths, fetch_model, first_line

    variant = variant_of(card, None)
    try:
        paths = fetch_model(resolver, reference, variant)
    except FilesError as error:
        return [
            f"  weights of {variant}: not here; 'isocortex fetch -m {card.id}' brings them, or says how to get them",
            f"    {first_line(error)}",
        ]
    except (Exception, SystemExit) as error:  # a plugin that cannot be loaded still has a card
        return [f"  weights of {variant}: whether they are here is not known: {first_line(error)}"]
    return [f"  weights of {variant}: {describe_paths(paths)}"] if paths else []


def _published(card: BenchmarkCard, *, whole: bool) -> list[str]:
    if not card.published:
        return []
    try:
        refuse_outside(card.published, card.folder)
        with (card.folder / card.published).open(newline="", encoding="utf-8") as file:
            head, *rows = [row for row in csv.reader(file) if row] or [[]]
    except (OSError, ValueError, csv.Error, FilesError) as error:
        why = getattr(error, "strerror", None) or error
        return [f"  published scores: {card.published} of {card.package} cannot be read ({why})"]
    if not whole:
        return [f"  published scores: {len(rows)}, shown with --published"]
    return ["  published scores:", *("    " + "  ".join(row) for row in (head, *rows))]


def _ceilings(resolver: Resolver, identity: str, card: BenchmarkCard) -> list[str]:
    catalogue = resolver.catalogue
    try:
        dataset = resolver.dataset(sibling(catalogue, card, "dataset", card.dataset))
        metric = resolver.metric(sibling(catalogue, card, "metric", card.metric))
        preparation = Preparation(Rules.of(card, 0))
        comparison = metric.against(
            dataset.select(**card.select), settings=card.settings, seed=0, preparation=preparation
        )
        size = f"  {comparison.n_stimuli} stimuli of {len(dataset.stimuli)}"
        return [size, *_ceiling_lines(comparison.ceiling)]
    except FilesError:
        return [f"  ceilings are not known before the data are here; 'isocortex fetch -b {identity}' brings them"]
    except IsocortexError as error:
        return [f"  ceilings are not known: {error}"]
    except (Exception, SystemExit) as error:  # whatever a third party's plugin raises
        return [f"  ceilings are not known: {type(error).__name__}: {error}"]


def _ceiling_lines(ceiling: Ceiling | None) -> list[str]:
    import numpy as np

    if ceiling is None:
        return ["  ceiling: none"]
    lines = [f"  ceiling of {ceiling.statistic} by {ceiling.estimator}"]
    if ceiling.lower is not None and ceiling.upper is not None:
        lines.append(f"    lower {ceiling.lower:.4f}, upper {ceiling.upper:.4f}")
    if isinstance(ceiling.value, (int, float)):
        lines.append(f"    {ceiling.value:.4f}")
    elif ceiling.value is not None:
        lines.append(f"    median {float(np.nanmedian(ceiling.value.values)):.4f} over {ceiling.value.size}")
    return lines
