"""The networks keep the contract of their interface: one of each architecture below 100 million parameters."""

from __future__ import annotations

import pytest

from isocortex.testing.kit import Check, checks_of
from isocortex.testing.outcomes import CheckSkipped

pytestmark = pytest.mark.slow

CHECKS = [check for network in ("kell2018", "cochresnet50-word") for check in checks_of(network)]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_conformance(check: Check) -> None:
    try:
        check()
    except CheckSkipped as skipped:
        pytest.skip(str(skipped))
