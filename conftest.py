"""Fixtures for every package: no test touches the user's folders, and real data are found or skipped in one line."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command_line import run_in_process, run_process

ROOT = Path(__file__).parent
#: quick models, one of images and one of sounds
MEMORY_IN_THE_GATE = ("model:pixels:memory", "model:noise/3:memory")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the memory of most models to ``make test-all``: what the check finds is tested in core."""
    from isocortex.testing import Check  # not at the top: what is imported there is not measured by coverage

    for item in items:
        check = getattr(item, "callspec", None) and item.callspec.params.get("check")
        if isinstance(check, Check) and check.id.endswith(":memory") and check.id not in MEMORY_IN_THE_GATE:
            item.add_marker(pytest.mark.long)


def pytest_collection_finish() -> None:
    """Keep what is collected out of every full garbage collection, which models ask for when they close."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data and cache folders of this test alone."""
    folder = tmp_path_factory.mktemp("isocortex")
    monkeypatch.setenv("ISOCORTEX_DATA", str(folder / "data"))
    monkeypatch.setenv("ISOCORTEX_CACHE", str(folder / "cache"))
    return folder


@pytest.fixture(scope="session")
def cache_of_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache folder of a worker, for tests that compute the same slow activations."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def kept_cache(own_folders: Path, cache_of_all: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of this test is that of all tests which ask for this; its data folder is its own."""
    assert own_folders != cache_of_all
    monkeypatch.setenv("ISOCORTEX_CACHE", str(cache_of_all))
    return cache_of_all


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real recordings, sounds and images, or a skip."""
    folder = Path(os.environ.get("ISOCORTEX_REALDATA", ROOT.parent / "shared" / "realdata"))
    if not folder.is_dir():
        pytest.skip(f"real data are not here ({folder}); set ISOCORTEX_REALDATA")
    return folder


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def isocortex(tmp_path: Path) -> Command:
    """Run the command line in this process, in a folder of its own."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return run_in_process(arguments, tmp_path, env or {})

    return run


@pytest.fixture
def isocortex_process(tmp_path: Path) -> Command:
    """Run the command line in a process of its own: for what only a process proves."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return run_process(arguments, tmp_path, env or {})

    return run
