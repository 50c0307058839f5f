"""The documentation is true: its code runs, its links lead somewhere, its help texts and rows are those of the code."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.command_line import run_in_process

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"])
FENCE = re.compile(r"^```(?P<kind>[a-z]*)[^\n]*\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")


def blocks(page: Path, *kinds: str) -> list[tuple[str, str]]:
    """Fenced blocks of these kinds, in order: (kind, text)."""
    found = FENCE.finditer(page.read_text(encoding="utf-8"))
    return [(item["kind"], item["body"]) for item in found if item["kind"] in kinds]


def slug(heading: str) -> str:
    """The anchor of a heading, by the rule of Markdown's toc extension."""
    text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower())


def anchors(page: Path) -> set[str]:
    """Anchors of a page: headings, explicit ones, and the objects of an API page."""
    text = page.read_text(encoding="utf-8")
    prose = FENCE.sub("", text)
    headings = {slug(heading) for heading in re.findall(r"^#+ (.+)$", prose, re.MULTILINE)}
    return (
        headings | set(re.findall(r"\{: #([\w-]+) \}", prose)) | set(re.findall(r"^::: ([\w.]+)$", prose, re.MULTILINE))
    )


def run_block(kind: str, body: str, folder: Path, names: dict[str, object]) -> str:
    """Run one block; Python blocks share their names, shell blocks the folder.

    What stands before the first line of a shell block that calls isocortex is left to the shell.
    """
    if kind == "python":
        exec(compile(body, f"<{kind} block>", "exec"), names)
        return ""
    before, *commands = re.split(r"^isocortex ", body, flags=re.MULTILINE)
    script = ["bash", "-euo", "pipefail", "-c", before]
    called = [subprocess.run(script, cwd=folder, capture_output=True, text=True)] if before.strip() else []
    called += [run_in_process(tuple(shlex.split(command)), folder, {}) for command in commands]
    for done in called:
        assert done.returncode == 0, f"{done.args}\n{done.stdout}\n{done.stderr}"
    return "".join(done.stdout for done in called)


def test_every_block_of_the_tutorial_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "tutorial"}
    found = blocks(DOCS / "tutorials" / "own-function.md", "python", "bash")
    assert {kind for kind, _ in found} == {"python", "bash"}
    shown = [run_block(kind, body, tmp_path, names) for kind, body in found]
    printed = capsys.readouterr()
    tables = [text for text in shown if text]
    assert "cochleagram-cochcnn9" in tables[0]
    assert "belt" in tables[1]
    assert re.search(
        r"^activations:features,fixed,folder:mydata:ridge|^activations:features,fixed,mylab2026",
        tables[-1],
        re.MULTILINE,
    )
    level = float(re.search(r"^r = (-?[\d.]+), layer output$", printed.out, re.MULTILINE)[1])  # type: ignore[index]
    assert level > 0.7  # the sites follow the level
    assert "nested by region 2" in printed.out
    assert "cached" in printed.err
    assert float(printed.out.splitlines()[-1]) > 0.99  # responses are linear in the features


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_pages_and_headings_that_exist(page: Path) -> None:
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [target for target in LINK.findall(prose) if not target.startswith(("http:", "https:"))]
    for target in targets:
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page} links to {target}"
        if anchor:
            assert anchor in anchors(found), f"{page} links to {target}; {found.name} has {sorted(anchors(found))}"


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    listed = set(re.findall(r"[\w/-]+\.md", navigation))
    assert listed == {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}


def test_help_texts_are_those_of_the_command_line() -> None:
    check = [sys.executable, str(DOCS / "generate_cli.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_table_of_recognisers_is_that_of_the_rows() -> None:
    check = [sys.executable, str(DOCS / "generate_recognisers.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_every_command_has_its_help_text() -> None:
    from isocortex.cli.commands import _IN_THEIR_MODULES, cli

    page = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    own = {*cli.commands, *_IN_THEIR_MODULES}
    added = {"cite", "demo", "dimensionality", "export", "methods", "stages"}
    assert {*own, *added} == set(re.findall(r"<!-- help: ([a-z-]+) -->", page))


@pytest.mark.parametrize("name", ["tutorials/first-plugin.md", "how-to/add-a-benchmark.md", "reference/manifest.md"])
def test_manifest_rows_in_the_text_are_valid(name: str) -> None:
    from isocortex.catalogue.cards import CARDS, read_card
    from isocortex.catalogue.rows import Row

    rows = [
        Row(kind, table["id"], "isocortex-mylab", "1", "isocortex_mylab", Path(), table)
        for _, body in blocks(DOCS / name, "toml")
        for kind in CARDS
        for table in tomllib.loads(body).get(kind, [])
    ]
    assert [read_card(row).id for row in rows] or name == "reference/manifest.md"


def test_the_example_plugin_is_shown_as_it_is() -> None:
    text = "\n".join(body for _, body in blocks(DOCS / "tutorials" / "first-plugin.md", "toml"))
    shown = tomllib.loads(text)
    package = ROOT / "plugins" / "baselines"
    manifest = tomllib.loads((package / "src" / "isocortex_baselines" / "isocortex.toml").read_text(encoding="utf-8"))
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))
    real = next(row for row in manifest["model"] if row["id"] == "threshold-units")
    assert shown["model"] == [{**manifest["defaults"]["model"], **real}]
    assert shown["project"]["entry-points"] == project["project"]["entry-points"]


def fields_in(page: str, heading: str) -> set[str]:
    """The first column of the table below a heading."""
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_the_manifest_page_has_every_field_and_no_other() -> None:
    from isocortex.catalogue.cards import CARDS, Card

    page = (DOCS / "reference" / "manifest.md").read_text(encoding="utf-8")
    found_by_core = {"package", "package_version", "module", "folder", "family"}
    shared = set(Card.model_fields) - found_by_core
    assert fields_in(page, "Fields of every row") == shared
    for kind, card in CARDS.items():
        assert fields_in(page, f"[[{kind}]]") == set(card.model_fields) - set(Card.model_fields), kind


def test_the_page_on_the_kit_has_every_check_and_no_other() -> None:
    from isocortex.testing import datasets, manifests, metrics, models

    page = (DOCS / "reference" / "conformance.md").read_text(encoding="utf-8")
    checks = {
        "a manifest": manifests.MANIFEST_CHECKS,
        "a model": models.MODEL_CHECKS,
        "stimuli": datasets.STIMULI_CHECKS,
        "a data set": datasets.DATASET_CHECKS,
        "a metric": metrics.METRIC_CHECKS,
        "a benchmark": datasets.BENCHMARK_CHECKS,
    }
    for name, table in checks.items():
        assert fields_in(page, f"Checks of {name}") == set(table), name


def test_the_page_on_results_has_every_field_of_a_summary() -> None:
    from isocortex.scoring.summary import Summary

    page = (DOCS / "concepts" / "reading-a-result.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_]+)`", page))
    assert set(Summary.model_fields) - {"draws"} <= named


def test_the_page_on_files_has_every_key_of_a_result() -> None:
    from isocortex.results.result import Provenance, Result

    page = (DOCS / "reference" / "files.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z0-9_]+)`", page))
    written = {name for name, field in Result.model_fields.items() if not field.exclude}
    assert written | set(Provenance.model_fields) <= named


@pytest.mark.long
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr.strip()
    pages = list((tmp_path / "site").rglob("*.html"))
    elsewhere = {
        found
        for page in pages
        for found in re.findall(
            r"<(?:script|link|img)[^>]+(?:src|href)=\"?(https?://[^\"\s>]+)", page.read_text(encoding="utf-8")
        )
    }
    assert not elsewhere  # a reader without a network sees everything
