"""Fixtures for every package: no test touches the user's folders, and real data are found or skipped in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data and cache folders of this test alone."""
    folder = tmp_path_factory.mktemp("isocortex")
    monkeypatch.setenv("ISOCORTEX_DATA", str(folder / "data"))
    monkeypatch.setenv("ISOCORTEX_CACHE", str(folder / "cache"))
    return folder


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
    """Run the command line in a process of its own, in a folder of its own."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603
            [sys.executable, "-m", "isocortex", *arguments],
            cwd=tmp_path,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run
