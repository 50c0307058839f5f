"""The conformance kit: one test per check."""

from __future__ import annotations

from isocortex.testing import conformance

test_conformance = conformance("isocortex_slurm")
