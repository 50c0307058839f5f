"""The networks keep the contract of their interface: one of each architecture below 100 million parameters.

The check of memory is not among them: its outcome varies from run to run for these networks, and why is not proven
(memory that the C library keeps is the likely cause). Run it by hand: ``isocortex check kell2018``.
"""

from __future__ import annotations

import pytest

from isocortex.testing.kit import Check, checks_of
from isocortex.testing.outcomes import CheckSkipped

pytestmark = pytest.mark.slow

CHECKS = [
    check
    for network in ("kell2018", "cochresnet50-word")
    for check in checks_of(network)
    if not check.id.endswith(":memory")
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_conformance(check: Check) -> None:
    try:
        check()
    except CheckSkipped as skipped:
        pytest.skip(str(skipped))
