"""The plugin keeps the contract of isocortex."""

from isocortex.testing import conformance

test_conformance = conformance("isocortex_yamnet")
