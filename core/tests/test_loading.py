"""What is installed is read again where it may have changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from isocortex.catalogue.rows import Catalogue
from isocortex.loading.resolver import load_metric, resolver
from tests.third_party.install import write_package

MANIFEST = """
[plugin]
api = 1

[[metric]]
id = "{0}"
object = "iso_watched:Metric"
"""


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that everything installed is read."""
    counted: list[int] = []
    discover = Catalogue.discover.__func__  # type: ignore[attr-defined]
    monkeypatch.setattr(Catalogue, "discover", classmethod(lambda cls: (counted.append(1), discover(cls))[1]))
    return counted


def metrics() -> list[str]:
    return [row.id for row in resolver().catalogue.of_kind("metric")]


def test_manifests_are_read_once(reads: list[int]) -> None:
    metrics()
    n_reads = len(reads)
    for _ in range(3):
        load_metric("ridge")
    assert len(reads) == n_reads


def test_what_is_installed_edited_or_removed_meanwhile_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[int]
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    assert "watched" not in metrics()
    folder = write_package(site, "iso-watched", {"isocortex.toml": MANIFEST.format("watched")})
    assert "watched" in metrics()
    (folder / "isocortex.toml").write_text(MANIFEST.format("watches"))  # of the same size
    os.utime(folder / "isocortex.toml", ns=(1, 1))
    assert "watches" in metrics()
    assert "watched" not in metrics()
    n_reads = len(reads)
    (folder / "isocortex.toml").write_text("no manifest")
    assert "watches" not in metrics()
    (folder / "isocortex.toml").write_text(MANIFEST.format("again"))
    assert "again" in metrics()
    assert len(reads) == n_reads + 2
    monkeypatch.setattr("sys.path", [path for path in __import__("sys").path if path != str(site)])
    assert "again" not in metrics()


def test_a_package_without_rows_is_read_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in a catalogue tells where its manifest lies."""
    site = tmp_path / "site"
    folder = write_package(site, "iso-watched", {"isocortex.toml": "[plugin]\napi = 1\n"})
    monkeypatch.syspath_prepend(site)
    assert "watched" not in metrics()
    (folder / "isocortex.toml").write_text(MANIFEST.format("watched"))
    assert "watched" in metrics()
