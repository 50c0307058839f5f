"""The networks keep the contract of their interface: a small one of each library."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from isocortex.testing import conformance

test_squeezenet = conformance("squeezenet1_1")
test_observer = pytest.mark.long(conformance("16-way/squeezenet1_1"))
if find_spec("timm"):
    test_timm = pytest.mark.long(conformance("timm/test_vit"))
