"""The tutorial of the mouse runs on files that are made up, as it stands but for the trained network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plugins.allen2p.tests import made_up
from tests.test_docs import DOCS, blocks, run_block


@pytest.mark.long
def test_every_block_of_the_tutorial_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    images = np.concatenate([made_up.scenes(19), np.full((1, 24, 24), 128, np.uint8)])
    made_up.write_tables(tmp_path / "mouse-tables", images=images, n_cells=600)
    for number in range(501, 504):
        made_up.write_recording(
            tmp_path / "mouse-recordings" / f"{number}.nwb", experiment=number, images=made_up.scenes(20)
        )
    names: dict[str, object] = {"__name__": "tutorial"}
    shown: list[str] = []
    for kind, body in blocks(DOCS / "tutorials" / "mouse-cortex.md", "python", "bash"):
        text = body.replace("-m resnet18 ", "").replace("random:0..4", "random:0")
        text = text.replace("resnet18", "squeezenet1_1").replace("-m gabor-pyramid ", "")  # the same in less time
        shown.append(run_block(kind, text, tmp_path, names))
    table = next(text for text in shown if "Allen2p.conwell2021-shuffled" in text)
    assert "squeezenet1_1@random:0" in table
    printed = capsys.readouterr().out
    assert "9 layers, best" in printed, "of 26 convolutions every third"
    assert "0.58178" in printed
