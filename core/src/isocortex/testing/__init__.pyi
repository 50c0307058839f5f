from .kit import (
    check_dataset as check_dataset,
    check_manifest as check_manifest,
    check_metric as check_metric,
    check_model as check_model,
    check_stimuli as check_stimuli,
    checks_of as checks_of,
    run_checks as run_checks,
)
from .nodes import conformance as conformance
from .outcomes import (
    Check as Check,
    CheckFailed as CheckFailed,
    CheckOutcome as CheckOutcome,
    CheckSkipped as CheckSkipped,
)
