"""The conformance kit for authors of plugins.

The tests of a plugin package hold three lines::

    from isocortex.testing import conformance

    test_conformance = conformance("isocortex_baselines")

and ``isocortex check isocortex-baselines`` does the same on the command line. ``check_model`` and ``check_metric`` also
take objects, so that something can be checked before it is packaged.
"""

from __future__ import annotations

from isocortex.testing.kit import (
    check_dataset,
    check_manifest,
    check_metric,
    check_model,
    check_stimuli,
    checks_of,
    conformance,
    run_checks,
)
from isocortex.testing.outcomes import Check, CheckFailed, CheckOutcome, CheckSkipped

__all__ = [
    "Check",
    "CheckFailed",
    "CheckOutcome",
    "CheckSkipped",
    "check_dataset",
    "check_manifest",
    "check_metric",
    "check_model",
    "check_stimuli",
    "checks_of",
    "conformance",
    "run_checks",
]
