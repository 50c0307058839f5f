"""Pages on networks that see: Python runs as it stands, and what commands name exists."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("isocortex_vision")
pytest.importorskip("isocortex_simulated")

from tests.test_docs import DOCS, blocks, run_block

pytestmark = pytest.mark.xdist_group("vision")


def test_the_tutorials_command_names_thirty_networks_that_exist() -> None:
    from isocortex.catalogue.rows import Catalogue
    from isocortex.loading.resolver import split_model_name

    [body] = [body for _, body in blocks(DOCS / "tutorials" / "visual-cortex.md", "bash") if "-m 'vgg*'" in body]
    words, catalogue = shlex.split(body), Catalogue.discover()
    named = [split_model_name(words[place + 1])[0] for place, word in enumerate(words) if word == "-m"]
    rows = {row.id for name in named for row in catalogue.match("model", name)}
    assert len(rows - {"pixels", "gabor-pyramid", "category"}) == 30


@pytest.mark.long
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
