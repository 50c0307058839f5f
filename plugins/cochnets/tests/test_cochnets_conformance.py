"""The networks keep the contract of their interface: one of each architecture below 100 million parameters.

The check of memory is run by hand (``isocortex check kell2018``): what the C library keeps for later is of the size
that the check allows, so that its outcome depends on what else the machine does.
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
