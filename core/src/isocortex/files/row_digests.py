"""Digests over what decides the numbers of a row: code, files of its package, the row itself, versions of libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isocortex.catalogue.cards import DESCRIBES, BenchmarkCard, MetricCard, ModelCard, Variant
from isocortex.files.code import closure, digest_closure
from isocortex.files.digests import digest_files, digest_of, jsonable
from isocortex.files.libraries import library_versions


def digest_benchmark(card: BenchmarkCard, dataset: str, metric: str) -> str:
    """Digest of what a benchmark's row says, with the IDs of data set and metric: part of every result's digest."""
    row = card.model_dump(mode="json", exclude={*DESCRIBES, "dataset", "metric"})
    return digest_of([jsonable(row), dataset, metric])


def digests_of_variant(variant: Variant) -> list[str] | None:
    """Digests of the file or folder of weights that a variant names."""
    if variant.path is None:
        return None
    path = Path(variant.path)
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return sorted(digest_files(files).values())


def digest_plugin(plugin: Any, *facts: object) -> str | None:
    """Digest over what decides a plugin's numbers, and facts about it: code, files, row and libraries.

    None where the source of the plugin's class or of what it imports is not found (a class made in a notebook).

    Examples
    --------
    >>> from isocortex.loading.folder_activations import FolderActivations
    >>> card = ModelCard(id="a", object="x:A", modality="any", layers=("a",))
    >>> digest_plugin(FolderActivations(card)) == digest_plugin(FolderActivations(card), "fact")
    False
    """
    module, _, name = plugin.card.object.partition(":")
    kind = type(plugin)
    if name == kind.__qualname__ and (kind.__module__ == module or kind.__module__ in (closure(module) or ())):
        return digest_row(plugin.card, *facts)
    return digest_row(plugin.card, kind.__qualname__, *facts, module=kind.__module__)


def digest_row(card: MetricCard | ModelCard, *facts: object, module: str | None = None) -> str | None:
    """Digest over what decides the numbers of a row, and facts; nothing of the plugin is imported.

    Code counts as far as the row's module imports it, the row without what only describes it, libraries by their
    public versions: see "Versions and digests" in CONTRIBUTING.md.

    Parameters
    ----------
    module
        Where the code is; default: the module that the row's ``object`` names.

    Returns
    -------
    None where the source of a module is not found.

    Examples
    --------
    >>> card = MetricCard(id="none", object="a_module_of_a_notebook:Metric")
    >>> digest_row(card) is None
    True
    """
    code = digest_closure(module or card.object.partition(":")[0])
    if code is None:
        return None
    row = card.model_dump(mode="json", exclude=set(DESCRIBES))
    resampling = ("scipy",) if getattr(card, "resampler", "") == "polyphase" else ()
    libraries = library_versions(card.package, (*card.requires, *resampling))
    return digest_of([code, jsonable(row), libraries, jsonable(list(facts))])
