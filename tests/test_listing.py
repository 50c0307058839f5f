"""Listing runs no plugin code and pays for no heavy import."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"numpy", "pydantic", "xarray", "pandas", "scipy", "sklearn", "torch", "rich"}
PROBE = """
import sys
sys.argv[0] = "isocortex"
from isocortex.__main__ import main
try:
    main()
except SystemExit:
    pass
print("\\n".join(sorted(sys.modules)), file=sys.stderr)
"""


def test_list_imports_neither_heavy_modules_nor_plugins() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE, "list", "--json"], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert "isocortex" in loaded
    assert not loaded & HEAVY
    assert not {name for name in loaded if name.startswith("isocortex_")}
    commands = {name for name in done.stderr.split() if name.startswith("isocortex.cli.")}
    assert commands == {"isocortex.cli.commands", "isocortex.cli.ending", "isocortex.cli.list"}
    listed = json.loads(done.stdout)
    assert {"ridge", "rsa"} <= {row["id"] for row in listed["metrics"]}
    assert {"spectrotemporal", "pixels", "noise"} <= {row["id"] for row in listed["models"]}
    assert {"NH2015comp.ridge", "Kriegeskorte2008.human-IT.rsa"} <= {row["id"] for row in listed["benchmarks"]}
    assert listed["broken"] == []
    assert listed["conflicts"] == []


@pytest.mark.parametrize("arguments", [["--help"], ["score", "--help"], ["compare", "--help"]])
def test_help_imports_neither_heavy_modules_nor_plugins(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert not loaded & HEAVY
    assert not {name for name in loaded if name.startswith("isocortex_")}


def test_where_filters_by_field_and_tag(isocortex) -> None:
    where = ("--where", "modality=image", "--where", "package=isocortex-baselines")
    images = json.loads(isocortex("list", "models", *where, "--json").stdout)["models"]
    assert {row["id"] for row in images} == {"pixels", "pixels-224", "pixels-256", "gabor-pyramid"}
    tagged = json.loads(isocortex("list", "models", "--where", "family=gabor", "--json").stdout)["models"]
    assert [row["id"] for row in tagged] == ["gabor-pyramid"]


def test_a_wrong_condition_or_list_is_a_usage_error(isocortex) -> None:
    wrong = isocortex("list", "--where", "modality")
    assert wrong.returncode == 2
    assert "KEY=VALUE" in wrong.stderr
    unknown = isocortex("list", "modles")
    assert unknown.returncode == 2
    assert "'modles' is not one of 'models'" in unknown.stderr
    assert unknown.stdout == ""


def test_public_names_resolve() -> None:
    import isocortex

    assert sorted(isocortex.__all__) == list(isocortex.__all__)
    for name in isocortex.__all__:
        assert callable(getattr(isocortex, name))
    assert set(isocortex.__all__) <= set(dir(isocortex))
