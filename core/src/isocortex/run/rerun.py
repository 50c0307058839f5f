"""A cell again, from its record alone: are its digits the same, and if not, what differs?

Values are compared digit by digit, and with the tolerance of ``--keep`` (1e-6, relative or absolute), since the last
bits depend on processors and threads. What a result was made with is compared whatever its values say.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from isocortex.catalogue.cards import OWN_PACKAGE
from isocortex.catalogue.rows import Catalogue
from isocortex.errors import AmbiguousIDError, StoreError, UsageError
from isocortex.files.digests import short
from isocortex.files.disk import home_expanded
from isocortex.files.file_store import FileStore
from isocortex.files.libraries import library_versions
from isocortex.loading.resolver import FOLDER_PREFIX, Resolver
from isocortex.progress import Reporter, Stopwatch
from isocortex.results.kept_arrays import different_values
from isocortex.results.records import row_of_benchmark, splits_mark, trial_mark
from isocortex.results.result import Result, read_result
from isocortex.run.asked_null import Null
from isocortex.run.cell import CellWork
from isocortex.run.plan import Cell, RunConfig, plan
from isocortex.run.runner import Runner

if TYPE_CHECKING:
    from isocortex.results.result import Provenance

#: "to the digit" allows no difference
EXACT = 0.0


@dataclass(frozen=True)
class Rerun:
    """A result and the same cell computed again.

    Attributes
    ----------
    found, again
        Before and now.
    inexact
        Values that differ in some digit.
    different
        Values that differ by more than the tolerance.
    digests
        Parts of the digest that differ: model, dataset, stimuli, metric, benchmark, run, splits.
    versions
        Libraries and packages that decide numbers, of other versions: name → (before, now).
    others
        Other packages of which the version differs: they decide no number.
    circumstances
        Python, system, device, threads and sources that differ: name → (before, now).
    """

    found: Result
    again: Result
    inexact: tuple[str, ...]
    different: tuple[str, ...]
    digests: tuple[str, ...]
    versions: Mapping[str, tuple[str, str]]
    others: tuple[str, ...]
    circumstances: Mapping[str, tuple[str, str]]

    @property
    def equal(self) -> bool:
        """Whether all values are equal within the tolerance."""
        return not self.different

    def to_json(self) -> dict[str, Any]:
        """Plain values; both results by their digests."""
        content = {name: value for name, value in asdict(self).items() if name not in ("found", "again")}
        return {
            "equal": self.equal,
            "exact": not self.inexact,
            "digest": self.found.digest,
            "digest_again": self.again.digest,
            "scores_equal": self.found.scores_sha256 == self.again.scores_sha256,
            **content,
        }


def rerun(
    record: Path | str,
    *,
    out: Path | str | None = None,
    device: str | None = None,
    offline: bool = False,
    reporter: Reporter | None = None,
) -> Rerun:
    """Compute the cell of a record again, and compare.

    Parameters
    ----------
    record
        ``result.json``, or the folder that it lies in.
    out
        A results folder to keep the new result in; None: it is not kept.
    device
        None: that of the record.
    offline
        Never use the network.
    reporter
        Told what happens; None: nobody is.

    Raises
    ------
    StoreError
        The record is not there, damaged, or not where it belongs.
    UsageError
        A failed cell, a model of a notebook, something that is not installed, or ``out`` holds the result already.

    Examples
    --------
    >>> # isocortex.rerun("results/NH2015comp.ridge/noise@fixed/1234…/result.json").equal
    """
    path = home_expanded(Path(record))
    path = path / "result.json" if path.is_dir() else path
    if not path.is_file():
        raise StoreError(f"There is no record {path}. Expected result.json of a results folder, or its folder.")
    found = read_result(path)
    _refuse(found, path)
    with tempfile.TemporaryDirectory(prefix="isocortex-rerun-") as folder:
        kept = Path(folder) / "results" if out is None else home_expanded(Path(out))
        config = RunConfig(
            device=device or _device(found),
            seed=found.seed,
            offline=offline,
            out=kept,
            draws=found.n_draws or None,
            null=Null.of(found),
            splits=_asked_splits(found),
            limit=found.limit,
        )
        again = _computed(found, path, config, reporter or Reporter(quiet=True))
    return compared(found, again)


def _refuse(found: Result, path: Path) -> None:
    name = f"{found.model}@{found.variant} × {found.benchmark}"
    if found.summary is None:
        raise UsageError(f"{path} is the record of a cell that failed, {name}: it has no values to compare.")
    plugins = () if found.provenance is None else found.provenance.plugins
    if any(plugin.startswith(f"{OWN_PACKAGE}::") for plugin in plugins):
        raise UsageError(
            f"The model of {name} was a Python object, which its record does not hold. Score it again where it was "
            "made, with isocortex.score."
        )


def _device(found: Result) -> str:
    return "cpu" if found.provenance is None else found.provenance.device


def _computed(found: Result, path: Path, config: RunConfig, reporter: Reporter) -> Result:
    resolver = Resolver(Catalogue.discover(), FileStore(offline=config.offline, reporter=reporter))
    cell, config = _cell(found, path, resolver, config, reporter)
    again = Runner(resolver, config, reporter).execute(cell)
    if again.cached:
        raise UsageError(
            f"{config.out} holds this result already, so that nothing would be computed. Name another --out."
        )
    if again.failure is not None:
        raise StoreError(f"{cell.name} cannot be computed again: {again.failure.message}")
    return again


def _cell(
    found: Result, path: Path, resolver: Resolver, config: RunConfig, reporter: Reporter
) -> tuple[Cell, RunConfig]:
    """The cell with its layers: the model's own where the digest says that these were asked for, or the record's.

    Where isocortex itself has changed since, no digest says it; the layers that the record lists are the same in any
    case.
    """
    own = replace(config, layers=())
    cell = _planned(found, _benchmark(path, found), resolver, own)
    work = CellWork(cell, Stopwatch(), resolver=resolver, config=own, reporter=reporter)
    if work.digests["run"] == found.digests.get("run"):
        return cell, own
    listed = replace(config, layers=tuple(found.layers))
    return _planned(found, _benchmark(path, found), resolver, listed), listed


def _planned(found: Result, benchmark: str, resolver: Resolver, config: RunConfig) -> Cell:
    """The one cell of model and benchmark, of the packages that the record names where several offer an ID."""
    model = f"{found.model}@{found.variant}"
    try:
        return plan(resolver, [model], [benchmark], config).cells[0]
    except AmbiguousIDError:
        plugins = () if found.provenance is None else found.provenance.plugins
        own = {name.partition("::")[2]: name for name in plugins}
        named = f"{own.get(found.model, found.model)}@{found.variant}"
        return plan(resolver, [named], [own.get(benchmark, benchmark)], config).cells[0]


def _benchmark(path: Path, found: Result) -> str:
    """Its ID, also of a trial or under stricter splits; that of a folder is told by where the record lies."""
    place = unquote(path.parent.parent.parent.name)
    name = place if place.startswith(FOLDER_PREFIX) else found.benchmark
    return row_of_benchmark(name, found.splits, found.limit)


def _asked_splits(found: Result) -> str | None:
    """Stricter splits that were asked for, and are not the benchmark's own."""
    marked = found.benchmark.removesuffix(trial_mark(found.limit)).endswith(splits_mark(found.splits))
    return found.splits if marked else None


# --- what differs -----------------------------------------------------------------------------------------------------


def compared(found: Result, again: Result) -> Rerun:
    """What differs between a result and the same cell computed again.

    Parameters
    ----------
    found, again
        Before and now, both with values.
    """
    before, now = found.provenance, again.provenance
    versions: dict[str, tuple[str, str]] = {}
    others: tuple[str, ...] = ()
    circumstances: dict[str, tuple[str, str]] = {}
    if before is not None and now is not None:
        all_of_them = dict(_other_versions(before, now))
        decide = _deciding(now)
        versions = {name: both for name, both in all_of_them.items() if name.casefold().replace("_", "-") in decide}
        others = tuple(name for name in all_of_them if name not in versions)
        circumstances = dict(_circumstances(before, now))
    parts = dict.fromkeys((*found.digests, *again.digests))
    return Rerun(
        found=found,
        again=again,
        inexact=tuple(different_values(found, again, tolerance=EXACT)),
        different=tuple(different_values(found, again)),
        digests=tuple(part for part in parts if found.digests.get(part) != again.digests.get(part)),
        versions=versions,
        others=others,
        circumstances=circumstances,
    )


def _other_versions(before: Provenance, now: Provenance) -> Iterator[tuple[str, tuple[str, str]]]:
    for one, other in ((before.distributions, now.distributions), (before.plugins, now.plugins)):
        for name in sorted({*one, *other}):
            was, is_now = one.get(name, "not installed"), other.get(name, "not installed")
            if was != is_now:
                yield name, (was, is_now)


def _deciding(now: Provenance) -> set[str]:
    """Names of libraries whose versions are part of digests, and of the packages themselves."""
    packages = {name.partition("::")[0] for name in now.plugins}
    libraries = {library for package in packages for library in library_versions(package)}
    return {name.casefold().replace("_", "-") for name in (*packages, *libraries, *now.plugins, "isocortex")}


def _circumstances(before: Provenance, now: Provenance) -> Iterator[tuple[str, tuple[str, str]]]:
    for name in ("python", "platform", "device", "dtype", "n_threads", "revision"):
        was, is_now = (_shown(getattr(one, name)) for one in (before, now))
        if was != is_now:
            yield name, (was, is_now)


def _shown(value: Any) -> str:
    """A circumstance as text; sources by their commit, and whether they were changed since."""
    if isinstance(value, dict):
        return f"{short(str(value.get('commit')))}{' (changed since)' if value.get('dirty') else ''}"
    return str(value)
