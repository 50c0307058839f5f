"""The conformance kit on this package; checks that need its data files are skipped where they are absent."""

from isocortex.testing import conformance

test_conformance = conformance("isocortex_cowley2023")
