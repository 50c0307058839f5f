"""The networks that name objects keep the contract of their interface."""

from __future__ import annotations

import pytest

from isocortex.testing import conformance

test_cifar_cnn = conformance("cifar-cnn")
test_hd_cnn = pytest.mark.long(conformance("hd-cnn"))
