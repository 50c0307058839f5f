"""``isocortex fetch``: bring the data of benchmarks and the weights of models here, from the network or a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from isocortex.catalogue import Catalogue
from isocortex.errors import FilesError, shorten
from isocortex.files import FileStore, read_specs
from isocortex.loading import FOLDER_PREFIX, Resolver, sibling, split_model_name
from isocortex.manifest import Card
from isocortex.progress import Reporter


def fetch_all(models: Sequence[str], benchmarks: Sequence[str], source: Path | None, *, verify_only: bool) -> None:
    """Fetch or verify everything that the models and benchmarks need.

    Raises
    ------
    FilesError
        Something is not in ``source``, cannot be downloaded, or is damaged.
    """
    reporter = Reporter()
    resolver = Resolver(Catalogue.discover(), FileStore(reporter=reporter, offline=verify_only))
    cards = {(card.package, card.id): card for card in _cards(resolver, models, benchmarks)}
    for card in cards.values():
        _fetch(resolver.files, card, source, reporter)


def _cards(resolver: Resolver, models: Sequence[str], benchmarks: Sequence[str]) -> Iterator[Card]:
    for pattern in models:
        for row in resolver.catalogue.match("model", split_model_name(pattern)[0]):
            yield resolver.model_card(row.reference)
    for pattern in benchmarks:
        if pattern.startswith(FOLDER_PREFIX):
            continue  # a folder is where it is
        for row in resolver.catalogue.match("benchmark", pattern):
            card = resolver.benchmark_card(row.reference)
            dataset = resolver.dataset_card(sibling(resolver.catalogue, card, "dataset", card.dataset))
            yield dataset
            yield resolver.stimuli_card(sibling(resolver.catalogue, dataset, "stimuli", dataset.stimuli))


def _fetch(files: FileStore, card: Card, source: Path | None, reporter: Reporter) -> None:
    specs = read_specs(card.folder, getattr(card, "files", None))
    if not specs:
        reporter.line(f"{card.id}: needs no files")
        return
    if source is not None:
        absent = files.adopt(card.package, specs, source)
        if absent:
            raise FilesError(
                f"{source} lacks {len(absent)} of the {len(specs)} files of {card.id}, or holds others of that name "
                f"(searched by name and checksum): {shorten([spec.name for spec in absent])}."
            )
    files.present(card.package, specs, card.id)
    n_bytes = sum(spec.n_bytes for spec in specs)
    reporter.line(f"{card.id}: {len(specs)} files, {n_bytes / 1e6:.1f} MB, verified in {files.root / card.package}")
