"""Packages that the tests install without pip are seen as installed ones are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.third_party.install import NAMES, environment, fake_site, write_package


def python(site: Path, code: str) -> str:
    """What a fresh interpreter prints that sees the site."""
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env={**os.environ, **environment(site)}, capture_output=True, text=True, check=True
    ).stdout


def test_metadata_entry_points_and_import(tmp_path: Path) -> None:
    site = fake_site(tmp_path, ["isocortex-twin-b"])
    printed = python(
        site,
        "from importlib.metadata import entry_points, version; import json, isocortex_twin_b; "
        "point = entry_points(group='isocortex', name='twin-b')['twin-b']; "
        "print(json.dumps([version('isocortex-twin-b'), point.value, isocortex_twin_b.Twin.__name__]))",
    )
    assert json.loads(printed) == ["2.0.0", "isocortex_twin_b", "Twin"]


def test_every_package_is_found_or_named_as_broken(tmp_path: Path) -> None:
    site = fake_site(tmp_path)
    write_package(site, "isocortex-more", {"isocortex.toml": "[plugin]\napi = 1\n"}, version="9.1", requires=["numpy"])
    printed = python(
        site,
        "import json; from isocortex.catalogue.rows import Catalogue; found = Catalogue.discover(); "
        "print(json.dumps([[p.package for p in found.plugins], [b.package for b in found.broken], "
        "[list(key) for key in found.conflicts()]]))",
    )
    plugins, broken, conflicts = json.loads(printed)
    assert {*NAMES, "isocortex-more"} - {"isocortex-broken-manifest"} <= set(plugins)
    assert broken == ["isocortex-broken-manifest"]
    assert conflicts == [["model", "twin"]]
    assert len(NAMES) == 8
