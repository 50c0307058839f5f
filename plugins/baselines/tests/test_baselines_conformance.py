"""Every model of the package keeps the contract of its interface."""

from isocortex.testing import conformance

test_conformance = conformance("isocortex_baselines", also=["noise/3"])
