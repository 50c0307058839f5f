"""Made-up files in the published layouts, listed by their own checksums in place of the published ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from isocortex.files import file_store
from isocortex.run import fetch
from plugins.majajhong2015.tests.published_layouts import sha1_of

Listed = Callable[..., None]


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Listed:
    """Let the lists of files state the SHA-1 of files in a folder, and the address where they are offered.

    Everything else of the lists, and all that is done with them, is as in the package.
    """
    published = file_store.read_specs

    def state(folder: Path, address: str = "http://127.0.0.1:9") -> None:
        known = {path.name: sha1_of(path) for path in folder.iterdir()}

        def read(where: Path, listing: str | None) -> list[file_store.FileSpec]:
            return [
                replace(spec, sha1=known[spec.name], url=f"{address}/{spec.name}") if spec.name in known else spec
                for spec in published(where, listing)
            ]

        monkeypatch.setattr(file_store, "read_specs", read)
        monkeypatch.setattr(fetch, "read_specs", read)

    return state
