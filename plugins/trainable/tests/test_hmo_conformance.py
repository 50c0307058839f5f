"""The network of fixed filters that is shipped keeps the contract of its interface."""

from __future__ import annotations

from isocortex.testing import conformance

test_hmo_demo = conformance("hmo-demo")
