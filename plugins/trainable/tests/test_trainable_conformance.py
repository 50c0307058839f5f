"""The networks keep the contract of their interface, and learn as the kit asks for."""

from __future__ import annotations

from isocortex.testing import conformance

test_data_driven = conformance("data-driven-cnn")
