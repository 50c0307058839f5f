"""What is installed is read anew each time."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from isocortex.loading.resolver import resolver
from tests.third_party.install import write_package

MANIFEST = """
[plugin]
api = 1

[[metric]]
id = "{0}"
object = "iso_watched:Metric"
"""


def metrics() -> list[str]:
    return [row.id for row in resolver().catalogue.of_kind("metric")]


def test_what_is_installed_edited_or_removed_meanwhile_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    assert "watched" not in metrics()
    folder = write_package(site, "iso-watched", {"isocortex.toml": MANIFEST.format("watched")})
    assert "watched" in metrics()
    (folder / "isocortex.toml").write_text(MANIFEST.format("watches"))  # of the same size, and of another time
    os.utime(folder / "isocortex.toml", ns=(1, 1))
    assert "watches" in metrics()
    (folder / "isocortex.toml").write_text(MANIFEST.format("watched"))  # of the same size and the same time
    os.utime(folder / "isocortex.toml", ns=(1, 1))
    assert "watched" in metrics()
    assert "watches" not in metrics()
    (folder / "isocortex.toml").write_text("no manifest")
    assert "watched" not in metrics()
    (folder / "isocortex.toml").write_text(MANIFEST.format("again"))
    assert "again" in metrics()
    monkeypatch.setattr("sys.path", [path for path in sys.path if path != str(site)])
    assert "again" not in metrics()


def test_cards_of_many_ids_are_those_of_each_and_what_is_not_installed_is_left_out(lab) -> None:
    import isocortex

    found = isocortex.load_cards("model", ["lab-net", "nothing", "lab-net"])
    assert found == {"lab-net": isocortex.load_card("model", "lab-net")}
