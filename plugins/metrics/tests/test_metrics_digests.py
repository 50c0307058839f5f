"""The digest of a metric follows the modules that it stands on, and no other.

Which modules these are is found here by other means: Python's own ``modulefinder`` reads the imports of the compiled
bytecode of a copy in which blocks for type checkers are struck out.
"""

from __future__ import annotations

import modulefinder
import os
import re
import shutil
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from isocortex.catalogue.cards import MetricCard, read_card
from isocortex.catalogue.rows import Row
from isocortex.files import row_digests
from isocortex.files.code import closure, digest_closure
from isocortex.interfaces import digest_row

PACKAGE = "isocortex_metrics"
SOURCE = Path(__file__).parents[1] / "src" / PACKAGE
_TYPE_CHECKING = re.compile(r"^( *)if TYPE_CHECKING:\n(?:\1 +.*\n|\n)+", re.MULTILINE)


def cards(folder: Path) -> dict[str, MetricCard]:
    """The cards of all metrics by ID; nothing of the package is imported."""
    content = tomllib.loads((folder / "isocortex.toml").read_text())
    rows = [Row("metric", row["id"], "isocortex-metrics", "0", PACKAGE, folder, row) for row in content["metric"]]
    found = {row.id: read_card(row) for row in rows}
    assert all(isinstance(card, MetricCard) for card in found.values())
    return found  # type: ignore[return-value]


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package that Python would import; its files are as old as the memory of digests wants them."""
    folder = tmp_path / "copy" / PACKAGE
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sys, "path", [str(folder.parent), *sys.path])
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        monkeypatch.delitem(sys.modules, name)
    return folder


def modules_of(folder: Path) -> dict[str, Path]:
    """All modules of a copy, with their files."""
    paths = {path.relative_to(folder.parent).with_suffix(""): path for path in folder.rglob("*.py")}
    return {".".join(name.parts).removesuffix(".__init__"): path for name, path in paths.items()}


def closures_of_bytecode(folder: Path, wanted: set[str]) -> dict[str, set[str]]:
    """Module → what it imports, by modulefinder."""
    for path in folder.rglob("*.py"):
        path.write_text(_TYPE_CHECKING.sub(r"\1pass\n", path.read_text()))
    found: dict[str, set[str]] = {}
    for module in wanted:
        finder = modulefinder.ModuleFinder(path=[str(folder.parent)])
        finder.import_hook(module)
        found[module] = {name for name in finder.modules if name.partition(".")[0] == PACKAGE}
    return found


def test_the_digests_of_all_rows_follow_exactly_the_modules_that_they_import(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = cache(digest_closure)  # for the time of one edit, as many rows share a module
    monkeypatch.setattr(row_digests, "digest_closure", code)
    monkeypatch.setattr(row_digests, "library_versions", lambda *_: {})
    monkeypatch.setattr("isocortex.files.code.is_settled", lambda *_: True)  # each edit changes the size
    rows = cards(copied)
    assert len(rows) >= 29
    modules = modules_of(copied)
    struck = shutil.copytree(copied, tmp_path / "struck" / PACKAGE)
    expected = closures_of_bytecode(struck, {card.object.partition(":")[0] for card in rows.values()})
    before = {name: digest_row(card) for name, card in rows.items()}
    assert None not in before.values()
    for module, path in modules.items():
        whole = path.read_bytes()
        text = whole.decode()
        assert text.startswith('"""'), f"{module} has no docstring to edit"
        path.write_text(text.replace('"""', '"""Edited. ', 1))
        code.cache_clear()
        changed = {name for name, card in rows.items() if digest_row(card) != before[name]}
        should = {name for name, card in rows.items() if module in expected[card.object.partition(":")[0]]}
        assert changed == should, module
        path.write_bytes(whole)
    code.cache_clear()
    assert {name: digest_row(card) for name, card in rows.items()} == before
    assert not [name for name in sys.modules if name.partition(".")[0] == PACKAGE], "computing a digest imported it"


def test_rows_that_an_edit_reaches_by_name(copied: Path) -> None:
    rows = cards(copied)

    def reached(module: str) -> set[str]:
        return {name for name, card in rows.items() if module in (closure(card.object.partition(":")[0]) or ())}

    assert {"ridge", "pca-ridge", "banded-ridge"} >= reached(f"{PACKAGE}.encoding.ridge") >= {"ridge"}
    regressions = {
        "pls",
        "brainscore-spantime-pls",
        *(name for name in rows if rows[name].object.startswith(f"{PACKAGE}.brainscore.regression:")),
    }
    assert reached(f"{PACKAGE}.brainscore.regression") == regressions
    assert len(regressions) == 8
    assert not {"ridge", "rsa", "cka"} & reached(f"{PACKAGE}.brainscore.regression")
    assert reached(PACKAGE) == set(rows)


def test_the_digest_of_a_row_is_that_of_its_plugin() -> None:
    """It can be known before anything is imported, and is the same afterwards."""
    from isocortex.loading.resolver import resolver

    found = resolver(offline=True)
    for name in cards(SOURCE):
        plugin = found.metric(name)
        assert plugin.digest() == digest_row(plugin.card) is not None


def test_what_only_describes_a_row_is_no_part_of_its_digest(copied: Path) -> None:
    row = cards(copied)["ridge"]
    before = digest_row(row)
    same = {"title": "x", "notes": "x", "licence": "x", "package_version": "9", "folder": Path("x")}
    for field, value in same.items():
        assert digest_row(row.model_copy(update={field: value})) == before, field
    for field, value in {"id": "x", "options": {"a": 1}, "unbiased": not row.unbiased}.items():
        assert digest_row(row.model_copy(update={field: value})) != before, field


def test_a_metric_counts_its_libraries_and_data_files(copied: Path, own_libraries: Path) -> None:
    row = cards(copied)["ridge"]
    before = digest_row(row)
    (own_libraries / "scipy-99.0.dist-info").mkdir()
    (own_libraries / "scipy-99.0.dist-info" / "METADATA").write_text("Name: scipy\nVersion: 99.0+cpu\n")
    os.utime(own_libraries, ns=(1, 1))
    newer = digest_row(row)
    assert newer not in (before, None)
    (own_libraries / "scipy-99.0.dist-info" / "METADATA").write_text("Name: scipy\nVersion: 99.0+cu126\n")
    os.utime(own_libraries, ns=(2, 2))
    assert digest_row(row) == newer, "the build of a library counted"
    (copied / "table.csv").write_text("1")
    assert digest_row(row) not in (before, newer, None)


@pytest.fixture
def own_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which Python looks for libraries first."""
    folder = tmp_path / "libraries"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    return folder
