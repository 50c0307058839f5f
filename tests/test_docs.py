"""The documentation is true: its code runs, its links lead somewhere, its help texts and rows are those of the code."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tests.command_line import run_in_process

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))])
FENCE = re.compile(r"^```(?P<kind>[a-z]*)[^\n]*\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)
NO_MATHJAX = "MathJax could not be had from npm: formulas of this site are shown as TeX."
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
    assert re.search(r"^mylab2026\.ridge,all,activations:features,fixed,", tables[-1], re.MULTILINE)
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


@pytest.mark.parametrize("name", ["generate_recognisers.py", "generate_catalogue.py", "generate_bibliography.py"])
def test_tables_that_are_made_of_manifests_are_theirs(name: str) -> None:
    done = subprocess.run([sys.executable, str(DOCS / name), "--check"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def generator(name: str) -> ModuleType:
    """A module of docs/, which is no package."""
    spec = spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_catalogue_has_every_model_and_data_set() -> None:
    page = (DOCS / "reference" / "models-and-data.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([^`\n]+)`", page))
    for base, ends in re.findall(r"`([^`\n]+)` \((`\.[^)\n]+)\)", page):
        named |= {base + end for end in re.findall(r"`([^`]+)`", ends)}
    manifests = [
        tomllib.loads(path.read_text(encoding="utf-8")) for path in ROOT.glob("plugins/*/src/*/isocortex.toml")
    ]
    for kind in ("model", "dataset", "stimuli"):
        rows = {row["id"] for content in manifests for row in content.get(kind, [])}
        assert rows
        assert rows <= named, rows - named


def test_a_paper_that_nobody_has_written_down_is_named(tmp_path: Path) -> None:
    bibliography = generator("generate_bibliography")
    papers = tomllib.loads((DOCS / "bibliography.toml").read_text(encoding="utf-8"))["paper"]
    page = tmp_path / "methods" / "new.md"
    with pytest.raises(SystemExit, match="Nobody & Noone 1999"):
        bibliography._refuse_unknown(page, "As in Nobody & Noone 1999, *Annals of Nothing* 3.", papers)
    bibliography._refuse_unknown(page, "Ridge regression: Hoerl & Kennard 1970, *Technometrics* 12.", papers)


def outputs(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command that makes or checks what pages show."""
    call = [sys.executable, str(DOCS / "generate_outputs.py"), *arguments]
    return subprocess.run(call, capture_output=True, text=True, timeout=900)


def test_what_pages_show_is_what_is_printed() -> None:
    done = outputs("--check", "--light")
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_what_pages_show_of_real_data_is_what_is_printed() -> None:
    done = outputs("--check")
    assert done.returncode == 0, done.stderr


def test_an_output_that_is_not_printed_any_more_is_found_and_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- output: isocortex --version -->\n```text\nisocortex, version 99.9\n```\n", encoding="utf-8")
    found = outputs("--check", str(page))
    assert (found.returncode, "python docs/generate_outputs.py" in found.stderr) == (1, True)
    assert "99.9" in page.read_text(encoding="utf-8")
    assert outputs(str(page)).returncode == 0
    assert "99.9" not in page.read_text(encoding="utf-8")
    assert outputs("--check", str(page)).returncode == 0


def test_outputs_differ_by_more_than_the_last_digit_or_a_word() -> None:
    same = generator("generate_outputs").same
    assert same("r 0.914  digest 96c476fa", "r 0.915 digest 0fc63da6")
    assert not same("r 0.914", "r 0.916")
    assert not same("right  r 0.914", "passed r 0.914")
    assert not same("r 0.914", "r 0.91")
    assert not same("12 cached", "13 cached")


def test_a_value_in_the_text_is_that_of_the_results(tmp_path: Path) -> None:
    module = generator("generate_outputs")
    score = ("score", "-m", "noise", "-b", "simulated-visual.ridge", "--json")
    done = run_in_process(score, tmp_path, {})
    assert done.returncode == 0, done.stderr
    [value] = [row["value"] for row in json.loads(done.stdout) if row["region"] is None]
    for shown, written in ((f"{value:.3f}", f"{value:.3f}"), ("9.99", f"{value:.2f}")):
        text = f"<!-- value: noise simulated-visual.ridge all -->{shown}<!-- end -->"
        page, left = module.rewritten(text, module.Folders(tmp_path, tmp_path), light=False)
        assert (page.partition("-->")[2].partition("<!--")[0].lstrip("-0"), left) == (written.lstrip("-0"), [])


@pytest.mark.parametrize("name", ["rsatoolbox", "thingsvision"])
def test_examples_for_those_who_come_from_elsewhere_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    examples = [body for _, body in blocks(DOCS / "coming-from" / f"{name}.md", "python")]
    assert examples
    for body in examples:
        exec(compile(body, f"<{name}>", "exec"), names)
    if name == "rsatoolbox":
        rho = names["comparison"].score(names["layer"])["rho_a"].values  # type: ignore[attr-defined]
        assert rho.shape == (4,)
        assert (abs(rho) < 0.5).all(), "the matrices are drawn at random"
    else:
        assert len(Path("features-alexnet/stimulus_id.txt").read_text().split()) == 24


def test_every_command_has_its_help_text() -> None:
    from isocortex.cli.commands import _IN_THEIR_MODULES, cli

    page = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    added = {
        row["name"]
        for path in ROOT.glob("plugins/*/src/*/isocortex.toml")
        for row in tomllib.loads(path.read_text(encoding="utf-8")).get("command", [])
    }
    shown = set(re.findall(r"<!-- help: ([a-z -]+) -->", page))
    assert {*cli.commands, *_IN_THEIR_MODULES, *added} - shown == set()
    parts = {name for name in shown if " " in name} - added
    assert shown - {*cli.commands, *_IN_THEIR_MODULES, *added} == parts  # "cache list" is a part of "cache"


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
    from isocortex.testing import datasets, learning, manifests, metrics, models

    page = (DOCS / "reference" / "conformance.md").read_text(encoding="utf-8")
    checks = {
        "a manifest": manifests.MANIFEST_CHECKS,
        "a model": {**models.MODEL_CHECKS, **learning.LEARNING_CHECKS},
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


def test_without_npm_formulas_stay_and_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = generator("mathjax_hook")
    monkeypatch.setattr(hook, "FOLDER", tmp_path / "mathjax")
    monkeypatch.setenv("PATH", str(tmp_path))
    config = SimpleNamespace(extra_javascript=[])
    assert hook.on_config(config).extra_javascript == []
    assert capsys.readouterr().err.splitlines() == [NO_MATHJAX]


def test_another_mathjax_than_the_pinned_one_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = generator("mathjax_hook")
    monkeypatch.setattr(hook, "FOLDER", tmp_path)
    for name in hook.MEMBERS:
        (tmp_path / name).write_text("alert(1)")
    monkeypatch.setenv("PATH", "")
    assert hook.on_config(SimpleNamespace(extra_javascript=[])).extra_javascript == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The documentation as a site, and what its making said."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, "\n".join(line for line in done.stderr.splitlines() if line and not line.startswith("INFO"))


@pytest.mark.long
def test_the_site_builds_without_a_warning(site: tuple[Path, str]) -> None:
    folder, said = site
    assert said.strip() in ("", NO_MATHJAX)
    elsewhere = {
        found
        for page in folder.rglob("*.html")
        for found in re.findall(
            r"<(?:script|link|img)[^>]+(?:src|href)=\"?(https?://[^\"\s>]+)", page.read_text(encoding="utf-8")
        )
    }
    assert not elsewhere  # a reader without a network sees everything


@pytest.mark.long
def test_every_formula_is_set_and_nothing_is_wider_than_a_phone(site: tuple[Path, str]) -> None:
    folder, said = site
    browser = shutil.which("chromium")
    if browser is None or said.strip():
        pytest.skip("chromium, or MathJax from npm, is not here")
    with pytest.importorskip("playwright.sync_api").sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = window.new_page(viewport={"width": 390, "height": 844})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        n_formulas = 0
        for path in sorted(folder.rglob("index.html")):
            page.goto(path.as_uri())
            n_here = page.evaluate("document.querySelectorAll('.arithmatex').length")
            page.wait_for_function(f"document.querySelectorAll('mjx-container').length >= {n_here}")
            assert not page.evaluate("document.querySelectorAll('mjx-merror, [data-mml-node=merror]').length"), path
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
            n_formulas += n_here
        window.close()
    assert n_formulas > 100
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}


def test_papers_are_the_same_in_the_bibliography_and_in_what_isocortex_cite_writes() -> None:
    """Two lists that were written apart: a slip in one of them shows."""
    listed = tomllib.loads((DOCS / "bibliography.toml").read_text(encoding="utf-8"))["paper"]
    source = ROOT / "plugins" / "report" / "src" / "isocortex_report" / "paper" / "references.toml"
    cited = {name.lower(): entry for name, entry in tomllib.loads(source.read_text(encoding="utf-8")).items()}
    shared = [(paper, cited[name]) for paper in listed if (name := paper.get("identifier", "").lower()) in cited]
    assert len(shared) > 50
    for paper, entry in shared:
        assert _letters(paper["title"]).startswith(_letters(entry["title"])), paper["title"]
        assert _letters(paper["authors"].partition(",")[0]) == _letters(entry["author"].partition(",")[0])
        assert 0 <= paper["year"] - entry["year"] <= 1, f"{paper['title']}: a preprint is a year older at most"


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower().replace("&", "and"))
