"""``isocortex fetch``: bring the data of benchmarks and the weights of models here, from the network or a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from isocortex.catalogue.cards import Card, Variant
from isocortex.catalogue.rows import Catalogue, Row, is_pattern
from isocortex.errors import FilesError, IsocortexError, PluginError, UsageError, shorten
from isocortex.files.archives import opened_source
from isocortex.files.digests import reading_every_byte
from isocortex.files.file_store import FileStore, read_specs
from isocortex.loading.brain_model import BRAIN_PREFIX
from isocortex.loading.resolver import (
    ACTIVATIONS_PREFIX,
    FOLDER_PREFIX,
    Resolver,
    make_plugin,
    sibling,
    split_model_name,
    variant_of,
    variants_of,
)
from isocortex.progress import Reporter
from isocortex.run.choosing import choose_benchmarks

if TYPE_CHECKING:
    from isocortex.catalogue.cards import BenchmarkCard
    from isocortex.interfaces import DatasetPlugin

#: variants that are nothing without trained weights
TRAINED = ("pretrained", "permuted")

#: kind → how it is called before its name
SHOWN = {"model": "", "dataset": "data set ", "stimuli": "stimuli "}

Failures = dict[str, IsocortexError]


@dataclass(frozen=True)
class Need:
    """Something that is brought as one: weights of a model's variant, a data set, or stimuli.

    Parameters
    ----------
    kind
        "model", "dataset" or "stimuli".
    name
        ID or ``package::ID``.
    variant
        Of a model.
    """

    kind: str
    name: str
    variant: Variant | None = None

    def __str__(self) -> str:
        return f"{SHOWN[self.kind]}{self.name}" + ("" if self.variant is None else f"@{self.variant}")


def fetch_all(models: Sequence[str], benchmarks: Sequence[str], source: Path | None, *, verify_only: bool) -> None:
    """Fetch or verify everything that the models and benchmarks need; what fails is told at the end.

    Parameters
    ----------
    models, benchmarks
        IDs, ``ID@variant`` or globs.
    source
        A folder that holds the files at any depth, or an archive of one; the network is not used then.
    verify_only
        Only look at what is there, and read every byte of it; digests that are remembered are not asked.

    Raises
    ------
    UsageError
        An unknown ID or a variant that is not offered; nothing was fetched.
    FilesError
        Something is not in ``source``, cannot be downloaded, or is damaged.
    """
    if source is not None and verify_only:
        raise UsageError("--verify only looks at what is there, --from brings something. Give one of them.")
    reporter = Reporter()
    because = "--verify downloads nothing" if verify_only else "--from brings files from there alone"
    offline = verify_only or source is not None
    resolver = Resolver(Catalogue.discover(), FileStore(reporter=reporter, offline=offline, because=because))
    failures: Failures = {}
    needs = dict.fromkeys(
        [*_of_models(resolver, models, failures), *_of_benchmarks(resolver, benchmarks, failures, reporter)]
    )
    reading = reading_every_byte() if verify_only else contextlib.nullcontext()
    with reading, contextlib.nullcontext() if source is None else opened_source(source) as folder:
        for need in needs:
            with _noting(failures, str(need)):
                reporter.line(f"{need}: {_brought(resolver, need, folder)}")
    _raise(failures, n_tried=len({*map(str, needs), *failures}))


@contextlib.contextmanager
def _noting(failures: Failures, what: str) -> Generator[None]:
    """Note a failure and go on."""
    try:
        yield
    except IsocortexError as error:
        failures[what] = error
    except (Exception, SystemExit) as error:  # whatever a third party's plugin raises
        failures[what] = PluginError(f"{what} cannot be fetched: {type(error).__name__}: {error}")


def _raise(failures: Failures, *, n_tried: int) -> None:
    """Raise a failure as it is; one of several with what it belongs to; of several, the first line of each."""
    if not failures:
        return
    what, error = next(iter(failures.items()))
    if n_tried == 1:
        raise error
    if len(failures) == 1:
        raise FilesError(f"1 of {n_tried} could not be fetched, {what}: {error}") from error
    lines = "".join(f"\n  {what}: {first_line(error)}" for what, error in failures.items())
    more = "; fetched alone, each says more" if any("\n" in str(error) for error in failures.values()) else ""
    raise FilesError(f"{len(failures)} of {n_tried} could not be fetched{more}:{lines}")


def first_line(error: BaseException) -> str:
    """What a message says in its first line.

    Examples
    --------
    >>> first_line(FilesError("They are not here.\\nLooked for\\n  /data/a.pt"))
    'They are not here.'
    """
    return str(error).partition("\n")[0]


# --- what is needed ---------------------------------------------------------------------------------------------------


def _of_models(resolver: Resolver, patterns: Sequence[str], failures: Failures) -> Iterator[Need]:
    for pattern in patterns:
        if pattern.startswith(ACTIVATIONS_PREFIX):
            raise UsageError(
                f"{pattern} is a folder of activations: it needs no weights, so there is nothing to fetch."
            )
        if pattern.startswith(BRAIN_PREFIX):
            raise UsageError(f"{pattern} is a data set as a model: 'isocortex fetch -b BENCHMARK' brings its files.")
        name, text = split_model_name(pattern)
        n_failed = len(failures)
        found = list(_variants(resolver, name, text, failures))
        if not found and len(failures) == n_failed:
            raise UsageError(f"No model that matches {name!r} offers the variant {text!r}.")
        yield from found


def _variants(resolver: Resolver, name: str, text: str | None, failures: Failures) -> Iterator[Need]:
    for row in resolver.catalogue.match("model", name):
        with _refusing_usage(failures, row.id):
            card = resolver.model_card(row.reference)
            if is_pattern(name) and text is not None and Variant.parse_all(text)[0].kind not in card.variants:
                continue
            for variant in variants_of(card, text):
                yield Need("model", _shown(resolver, row), variant)


def _of_benchmarks(
    resolver: Resolver, patterns: Sequence[str], failures: Failures, reporter: Reporter
) -> Iterator[Need]:
    for pattern in patterns:
        if pattern.startswith(FOLDER_PREFIX):
            card = resolver.benchmark_card(pattern)
            reporter.line(f"{pattern}: a folder is where it is")
            with _refusing_usage(failures, pattern):
                yield from _baselines(resolver, card)
            continue
        for name in choose_benchmarks(resolver, [pattern]):
            with _refusing_usage(failures, name):
                yield from _of_benchmark(resolver, name)


def _of_benchmark(resolver: Resolver, benchmark: str) -> list[Need]:
    """Data set, stimuli, and the models that the benchmark names as baselines."""
    card = resolver.benchmark_card(benchmark)
    name = sibling(resolver.catalogue, card, "dataset", card.dataset)
    dataset = resolver.dataset_card(name)
    stimuli = sibling(resolver.catalogue, dataset, "stimuli", dataset.stimuli)
    return [Need("dataset", name), Need("stimuli", stimuli), *_baselines(resolver, card)]


def _baselines(resolver: Resolver, card: BenchmarkCard) -> list[Need]:
    """The models that a benchmark names as baselines."""
    named = [split_model_name(baseline) for baseline in card.baselines]
    return [Need("model", model, variant_of(resolver.model_card(model), text)) for model, text in named]


@contextlib.contextmanager
def _refusing_usage(failures: Failures, what: str) -> Generator[None]:
    """Before anything is fetched: bad usage ends all, a broken plugin only itself."""
    with _noting(failures, what):
        yield
    if isinstance(failures.get(what), UsageError):
        raise failures[what]


def _shown(resolver: Resolver, row: Row) -> str:
    """The ID, with its package where several offer it."""
    return row.reference if len(resolver.catalogue.conflicts().get((row.kind, row.id), ())) > 1 else row.id


# --- bringing it ------------------------------------------------------------------------------------------------------


def _brought(resolver: Resolver, need: Need, source: Path | None) -> str:
    """Bring it, and say what it is and where it lies."""
    if need.kind == "model" and need.variant is not None:
        paths = fetch_model(resolver, need.name, need.variant, source)
        return describe_paths(paths, verified=need.variant.path is None) if paths else without_files(need.variant)
    card = resolver.card(need.kind, need.name)
    paths = _listed(resolver, card, source)
    if need.kind == "dataset":
        plugin = cast("DatasetPlugin", make_plugin("dataset", card))
        plugin.offline = resolver.files.offline
        paths += _checked(plugin.fetch(source), card)
    return describe_paths(paths) if paths else "needs no files"


def fetch_model(resolver: Resolver, name: str, variant: Variant, source: Path | None = None) -> list[Path]:
    """Bring the weights of a model here: the files that its card lists, and what its plugin fetches.

    Raises
    ------
    FilesError
        They are nowhere to be had, or damaged.
    """
    plugin = resolver.model(name)
    paths = _listed(resolver, plugin.card, source) + _checked(plugin.fetch(variant, source), plugin.card)
    if not paths and variant.path is not None:
        if not Path(variant.path).exists():
            raise FilesError(f"There are no weights at {variant.path}, which {name}@{variant} names.")
        paths = [Path(variant.path).absolute()]
    return paths


def _listed(resolver: Resolver, card: Card, source: Path | None) -> list[Path]:
    """The files that a card lists, present and verified."""
    files, specs = resolver.files, read_specs(card.folder, getattr(card, "files", None))
    if specs and source is not None:
        absent = files.adopt(card.package, specs, source)
        if absent:
            raise FilesError(
                f"{source} lacks {len(absent)} of the {len(specs)} files of {card.id}, or holds others of that name "
                f"(searched by name and checksum): {shorten([spec.name for spec in absent])}. Without --from they are "
                "downloaded."
            )
    files.present(card.package, specs, card.id)
    return [files.path(card.package, spec) for spec in specs]


def _checked(paths: Any, card: Card) -> list[Path]:
    """What a plugin's ``fetch`` returned, which must be there."""
    try:
        listed = [Path(path).absolute() for path in paths]
    except TypeError as error:
        raise PluginError(
            f"fetch() of {card.id} of {card.package} {card.package_version} must return paths; found {paths!r}."
        ) from error
    absent = [path for path in listed if not path.exists()]
    if absent:
        raise PluginError(
            f"fetch() of {card.id} of {card.package} {card.package_version} returned what is not there: "
            f"{shorten(absent, 2)}."
        )
    return listed


def without_files(variant: Variant) -> str:
    """What is said of a variant that no files belong to.

    Examples
    --------
    >>> without_files(Variant.parse("random:3"))
    'needs no weights'
    """
    if variant.kind in TRAINED:
        return "its package neither lists nor fetches weights, so whether they are here is not known"
    return "needs no weights"


def describe_paths(paths: Sequence[Path], *, verified: bool = True) -> str:
    """How many files there are, how large, and the folder that holds them; what lies in folders counts one by one.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "a.bin").write_bytes(bytes(1_000_000))
    1000000
    >>> describe_paths([folder / "a.bin"]).removesuffix(str(folder))
    '1 file, 1.0 MB, verified in '
    """
    found = {file for path in paths for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()}
    n_bytes = sum(file.stat().st_size for file in found) / 1e6
    where = os.path.commonpath([path if path.is_dir() else path.parent for path in paths])
    size = f"{len(found)} file{'s' if len(found) != 1 else ''}, {n_bytes:.1f} MB"
    return f"{size}, {'verified in' if verified else 'in'} {where}"
