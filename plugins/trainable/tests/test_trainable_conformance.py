"""The networks keep the contract of their interface, and learn as the kit asks for."""

from __future__ import annotations

import pytest

from isocortex.testing import conformance

# each of its fits tries six points for 40 epochs
test_data_driven = pytest.mark.long(conformance("data-driven-cnn"))
