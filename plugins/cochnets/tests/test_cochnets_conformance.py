"""The networks keep the contract of their interface: one of each architecture below 100 million parameters."""

from __future__ import annotations

from isocortex.testing import conformance

test_kell2018 = conformance("kell2018")
test_cochresnet50 = conformance("cochresnet50-word")
