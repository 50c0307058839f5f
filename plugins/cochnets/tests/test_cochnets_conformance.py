"""The networks keep the contract of their interface: one of each architecture below 100 million parameters."""

import pytest

from isocortex.testing import conformance

pytestmark = pytest.mark.slow

test_kell2018 = conformance("kell2018")
test_cochresnet50 = conformance("cochresnet50-word")
