from isocortex.testing import conformance

test_conformance = conformance("isocortex_simulated")
