"""Tables are written with texts of Python, as in the release: those of pyarrow, where it is installed, are not read."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest


@pytest.fixture(autouse=True)
def texts_of_python() -> Iterator[None]:
    """What pandas writes is the same with and without pyarrow."""
    with pd.option_context("mode.string_storage", "python"):
        yield
