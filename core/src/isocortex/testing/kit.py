"""The conformance kit: which checks a plugin has, and running them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from isocortex.catalogue.installed import MANIFEST
from isocortex.catalogue.rows import Broken, Catalogue, Row, is_pattern
from isocortex.errors import UnknownIDError, suggest
from isocortex.testing.outcomes import Check, CheckFailed, CheckOutcome, CheckSkipped

if TYPE_CHECKING:
    from isocortex.interfaces import MetricPlugin, ModelPlugin
    from isocortex.testing.datasets import Shared

#: models with more parameters are checked only when they are named
MAX_PARAMETERS = 100_000_000
ROW_KINDS = ("model", "stimuli", "dataset", "metric", "benchmark")


def _manifest_checks() -> dict[str, Callable[[Any], None]]:
    from isocortex.testing.manifests import MANIFEST_CHECKS

    return dict(MANIFEST_CHECKS)


def _row_checks(kind: str, variants: object = ()) -> dict[str, Callable[[Any], None]]:
    """Named checks of a kind of row; imported late, so that collecting tests stays light."""
    from isocortex.testing import datasets, learning, metrics, models

    learns = learning.LEARNING_CHECKS if learning.learns_here(variants) else {}
    tables: dict[str, Mapping[str, Callable[[Any], None]]] = {
        "model": {**models.MODEL_CHECKS, **learns},
        "stimuli": datasets.STIMULI_CHECKS,
        "dataset": datasets.DATASET_CHECKS,
        "metric": metrics.METRIC_CHECKS,
        "benchmark": datasets.BENCHMARK_CHECKS,
    }
    return dict(tables[kind])


def _under_test(row: Row, shared: Shared) -> Any:
    from isocortex.testing.datasets import BenchmarkUnderTest, DataUnderTest
    from isocortex.testing.metric_runs import MetricUnderTest
    from isocortex.testing.model_runs import ModelUnderTest
    from isocortex.testing.rows import RowUnderTest

    tested = RowUnderTest(row)
    makers: dict[str, Callable[[RowUnderTest], Any]] = {
        "model": ModelUnderTest.of_row,
        "stimuli": partial(DataUnderTest, shared=shared),
        "dataset": partial(DataUnderTest, shared=shared),
        "metric": MetricUnderTest.of_row,
        "benchmark": partial(BenchmarkUnderTest, shared=shared),
    }
    return makers[row.kind](tested)


# --- which checks -----------------------------------------------------------------------------------------------------


def checks_of(what: str | None = None, *, also: Sequence[str] = ()) -> list[Check]:
    """The checks of a plugin, of what an ID names, or of everything installed.

    Parameters
    ----------
    what
        Name of a distribution ("isocortex-baselines"), of its import package ("isocortex_baselines"), an ID
        ("noise/3", "package::ID"), or None for everything installed.
    also
        IDs of models that are otherwise left out: members of families, and those with more than ``MAX_PARAMETERS``.

    Raises
    ------
    UnknownIDError
        Nothing installed has that name.

    Examples
    --------
    >>> all(check.id.count(":") >= 2 for check in checks_of())
    True
    """
    catalogue = Catalogue.discover()
    if what is None:
        packages = sorted({item.package for item in (*catalogue.plugins, *catalogue.broken)})
        return [check for package in packages for check in _package_checks(catalogue, package, also)]
    package = _package_named(catalogue, what)
    if package is not None:
        return list(_package_checks(catalogue, package, also))
    rows = _rows_named(catalogue, what)
    if not rows:
        names = sorted({row.id for row in catalogue.rows} | {row.package for row in catalogue.rows})
        raise UnknownIDError(f"Nothing installed is called {what!r}: no package and no ID.{suggest(what, names)}")
    return [check for row in rows for check in _named_row_checks(catalogue, row)]


def _package_named(catalogue: Catalogue, name: str) -> str | None:
    wanted = _normal(name)
    modules = {plugin.package: plugin.module for plugin in catalogue.plugins}
    for item in (*catalogue.plugins, *catalogue.broken):
        if wanted in (_normal(item.package), _normal(modules.get(item.package, ""))):
            return item.package
    return None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _rows_named(catalogue: Catalogue, name: str) -> list[Row]:
    package, _, wanted = name.rpartition("::")
    rows = [row for row in catalogue.rows if row.id == wanted and (not package or row.package == package)]
    rows = [row for row in rows if row.kind in ROW_KINDS]
    return rows or _members(catalogue, name)


def _members(catalogue: Catalogue, name: str) -> list[Row]:
    """The member of a family of models that has that ID."""
    try:
        return [catalogue.find("model", name)]
    except UnknownIDError:
        return []


def _package_checks(catalogue: Catalogue, package: str, also: Sequence[str]) -> Iterator[Check]:
    rows, shared = [row for row in catalogue.rows if row.package == package], _shared()
    broken = tuple(item for item in catalogue.broken if item.package == package)
    yield from _of_manifest(catalogue, package, rows, broken)
    added = [row for name in also for row in _rows_named(catalogue, name) if row.package == package]
    named = {row.reference for row in added}
    for row in [*(row for row in rows if row.reference not in named), *added]:
        if row.kind not in ROW_KINDS:
            continue
        reason = None if row.reference in named else _left_out(row)
        if reason is None:
            yield from _of_row(catalogue, row, shared)
        else:
            yield Check(f"{_label(catalogue, row)}:loads", partial(_skip, reason))


def _named_row_checks(catalogue: Catalogue, row: Row) -> Iterator[Check]:
    yield from _of_manifest(catalogue, row.package, [row], ())
    yield from _of_row(catalogue, row, _shared())


def _of_manifest(
    catalogue: Catalogue, package: str, rows: Iterable[Row], broken: tuple[Broken, ...]
) -> Iterator[Check]:
    from isocortex.testing.manifests import PackageUnderTest

    tested = PackageUnderTest(package, catalogue, tuple(rows), broken)
    readable = tested.plugin is not None
    for name, function in _manifest_checks().items():
        if readable or name == "parses":
            yield Check(f"manifest:{package}:{name}", partial(function, tested))


def _shared() -> Shared:
    from isocortex.testing.datasets import Shared

    return Shared()


def _of_row(catalogue: Catalogue, row: Row, shared: Shared) -> Iterator[Check]:
    tested = _under_test(row, shared)
    for name, function in _row_checks(row.kind, row.table.get("variants")).items():
        yield Check(f"{_label(catalogue, row)}:{name}", partial(function, tested))


def _label(catalogue: Catalogue, row: Row) -> str:
    shared = (row.kind, row.id) in catalogue.conflicts()
    return f"{row.kind}:{row.reference if shared else row.id}"


def _left_out(row: Row) -> str | None:
    if is_pattern(row.id):
        return "A family: name one of its members to check it."
    parameters = row.table.get("parameters")
    if row.kind == "model" and isinstance(parameters, (int, float)) and parameters > MAX_PARAMETERS:
        return f"It has {parameters / 1e6:.0f} million parameters: name it to check it."
    return None


def _skip(reason: str) -> None:
    raise CheckSkipped(reason)


# --- running them -----------------------------------------------------------------------------------------------------


def run_checks(
    what: str | None = None,
    *,
    known_failures: Mapping[str, str] | None = None,
    also: Sequence[str] = (),
    report: Callable[[CheckOutcome], None] | None = None,
) -> list[CheckOutcome]:
    """Run the checks of a plugin, of what an ID names, or of everything installed.

    Parameters
    ----------
    what, also
        As in ``checks_of``.
    known_failures
        ID of a check → why it is known to fail; added to what the manifests declare in ``[known_failures]``.
    report
        Called with each outcome as soon as it is there.

    Raises
    ------
    UnknownIDError
        Nothing installed has that name.

    Examples
    --------
    >>> # [outcome.id for outcome in run_checks("isocortex-baselines") if outcome.status == "failed"]
    """
    known = {**declared_failures(Catalogue.discover()), **(known_failures or {})}
    outcomes: list[CheckOutcome] = []
    for check in checks_of(what, also=also):
        outcomes.append(check.outcome(known))
        if report is not None:
            report(outcomes[-1])
    return outcomes


def declared_failures(catalogue: Catalogue) -> dict[str, str]:
    """What manifests declare in ``[known_failures]``: "model:noise:memory" = "reason"; of a package's own rows only."""
    declared: dict[str, str] = {}
    for folder, package in {row.folder: row.package for row in catalogue.rows}.items():
        content = tomllib.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        own = {
            f"{row.kind}:{name}" for row in catalogue.rows if row.package == package for name in (row.id, row.reference)
        }
        own.add(f"manifest:{package}")
        for name, reason in content.get("known_failures", {}).items():
            if name.rpartition(":")[0] in own:
                declared[name] = str(reason)
    return declared


# --- one part at a time -----------------------------------------------------------------------------------------------


def check_manifest(package: str) -> list[CheckOutcome]:
    """Check the manifest of an installed package, by its distribution or import name.

    Raises
    ------
    CheckFailed
        One or more checks fail; the message holds all of them.
    UnknownIDError
        No such package is installed.
    """
    catalogue = Catalogue.discover()
    name = _package_named(catalogue, package)
    if name is None:
        raise UnknownIDError(f"No installed package with the entry point 'isocortex' is called {package!r}.")
    rows = [row for row in catalogue.rows if row.package == name]
    broken = tuple(item for item in catalogue.broken if item.package == name)
    return _all_pass(_of_manifest(catalogue, name, rows, broken))


def check_model(model: str | ModelPlugin) -> list[CheckOutcome]:
    """Check a model by its ID, or an object such as ``isocortex.wrap`` makes.

    Raises
    ------
    CheckFailed
        One or more checks fail; the message holds all of them.

    Examples
    --------
    >>> import isocortex
    >>> power = lambda sounds: (sounds**2).mean(axis=1)
    >>> loudness = isocortex.wrap(power, modality="audio", sample_rate=16000, name="loudness")
    >>> [outcome.id for outcome in check_model(loudness) if outcome.status == "failed"]
    []
    """
    from isocortex.testing.model_runs import ModelUnderTest

    return _part("model", ModelUnderTest.of(model))


def check_metric(metric: str | MetricPlugin) -> list[CheckOutcome]:
    """Check a metric by its ID, or an object.

    Raises
    ------
    CheckFailed
        One or more checks fail; the message holds all of them.
    """
    from isocortex.testing.metric_runs import MetricUnderTest

    return _part("metric", MetricUnderTest.of(metric))


def check_dataset(dataset: str) -> list[CheckOutcome]:
    """Check a data set by its ID; without its files, the checks are skipped.

    Raises
    ------
    CheckFailed
        One or more checks fail; the message holds all of them.
    """
    return _row_part("dataset", dataset)


def check_stimuli(stimuli: str) -> list[CheckOutcome]:
    """Check a stimulus set by its ID; without its files, the checks are skipped.

    Raises
    ------
    CheckFailed
        One or more checks fail; the message holds all of them.
    """
    return _row_part("stimuli", stimuli)


def _row_part(kind: str, name: str) -> list[CheckOutcome]:
    return _part(kind, _under_test(Catalogue.discover().find(kind, name), _shared()))


def _part(kind: str, tested: Any) -> list[CheckOutcome]:
    variants = tested.card.variants if kind == "model" else ()
    return _all_pass(
        Check(f"{kind}:{tested.name}:{name}", partial(function, tested))
        for name, function in _row_checks(kind, variants).items()
    )


def _all_pass(checks: Iterable[Check]) -> list[CheckOutcome]:
    outcomes = [check.outcome() for check in checks]
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed:
        raise CheckFailed("\n".join(f"{outcome.id}: {outcome.message}" for outcome in failed))
    return outcomes
