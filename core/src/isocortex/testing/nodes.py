"""The checks of a plugin as nodes of pytest, those of one row in one worker."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from isocortex.catalogue.rows import Catalogue
from isocortex.errors import UsageError, shorten, suggest
from isocortex.testing.kit import checks_of, declared_failures
from isocortex.testing.outcomes import Check, CheckFailed, CheckSkipped


def conformance(
    package: str, *, known_failures: Mapping[str, str] | None = None, also: Sequence[str] = ()
) -> Callable[[Check], None]:
    """Make a pytest test with one node per check, named like ``model:pixels:determinism``.

    The tests of a plugin package hold::

        from isocortex.testing import conformance
        test_conformance = conformance("isocortex_baselines")

    Parameters
    ----------
    package
        Import name or distribution name; an ID tests what it names.
    known_failures
        ID of a check → why it fails. The check must then fail (strictly: once it passes, the entry has to go). Added to
        what the manifest declares in ``[known_failures]``.
    also
        IDs of models to check that are otherwise left out: members of families, and very large ones.

    Raises
    ------
    UnknownIDError
        No such package is installed.
    UsageError
        A known failure that names no check.
    """
    import pytest

    catalogue = Catalogue.discover()
    checks = checks_of(package, also=also)
    ids = [check.id for check in checks]
    unknown = [name for name in known_failures or {} if name not in ids]
    if unknown:
        raise UsageError(f"Known failures that name no check: {shorten(unknown)}.{suggest(unknown[0], ids)}")
    known = {**declared_failures(catalogue), **(known_failures or {})}

    def parameter(check: Check) -> Any:
        declared = pytest.mark.xfail(reason=known.get(check.id, ""), strict=True, raises=CheckFailed)
        marks = [declared] if check.id in known else []
        return pytest.param(check, id=check.id, marks=[*marks, *_in_one_worker(package, check)])

    @pytest.mark.parametrize("check", [parameter(check) for check in checks])
    def test_conformance(check: Check) -> None:
        try:
            check()
        except CheckSkipped as error:
            pytest.skip(str(error))

    return test_conformance


def _in_one_worker(package: str, check: Check) -> list[Any]:
    """The mark by which pytest-xdist keeps the checks of a row in one worker, which then loads and runs it once."""
    import pytest

    row = check.id.rpartition(":")[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error", pytest.PytestUnknownMarkWarning)
        try:
            return [pytest.mark.xdist_group(f"{package} {row}")]
        except (pytest.PytestUnknownMarkWarning, pytest.fail.Exception):  # pytest-xdist is absent or switched off
            return []
