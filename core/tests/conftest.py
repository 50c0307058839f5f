"""What all tests of core share: folders of their own, and property tests that are the same in every run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "isocortex",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("isocortex")


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Caches and data of a test lie in a folder of its own, never in the user's."""
    folder = tmp_path_factory.mktemp("isocortex")
    monkeypatch.setenv("ISOCORTEX_CACHE", str(folder / "cache"))
    monkeypatch.setenv("ISOCORTEX_DATA", str(folder / "data"))
    return folder
