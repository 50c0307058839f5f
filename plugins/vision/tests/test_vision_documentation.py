"""The page on networks that see: its Python runs as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("isocortex_vision")
pytest.importorskip("isocortex_simulated")

from tests.test_docs import DOCS, blocks, run_block  # noqa: E402

pytestmark = [pytest.mark.xdist_group("vision"), pytest.mark.long]


def test_every_python_block_runs_as_it_stands(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    found = blocks(DOCS / "how-to" / "networks-that-see.md", "python")
    assert len(found) == 5
    for kind, body in found:
        run_block(kind, body, tmp_path, names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("75 layers")
    assert printed[1] == "(512, 7, 7)"
    assert "('IT', 'features.12')" in printed[2]
    assert "file:dino" in printed[3]
    assert len(printed) == 6
