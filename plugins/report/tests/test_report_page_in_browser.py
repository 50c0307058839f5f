"""The page in a real browser: it opens from disk, asks for nothing, and everybody can use it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isocortex_report.page.stimulus_page import write_stimuli
from isocortex_report.page.writing import write_report
from plugins.report.tests.results_for_figures import HOSTILE, failed
from plugins.report.tests.results_for_pages import many, scored, staged, written

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
AXE = Path(__file__).parents[3] / ".browser/node_modules/axe-core/axe.min.js"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
#: rules of axe that judge a whole site, or taste
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]

#: of models; a name of 300 letters is no name of a folder
ON_DISK = tuple(name for name in HOSTILE[:4] if len(name) < 100)

pytestmark = pytest.mark.xdist_group("browser")
NEEDED = {"chromium": bool(CHROMIUM), "axe-core (.ci/browser installs it)": AXE.is_file()}
ABSENT = [name for name, found in NEEDED.items() if not found]
if ABSENT and os.environ.get("ISOCORTEX_BROWSER") != "required":
    pytest.skip(f"pages are not opened in a browser: {' and '.join(ABSENT)} absent", allow_module_level=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for all tests, with a profile that is new and empty."""
    assert not ABSENT, f"{' and '.join(ABSENT)} absent, and ISOCORTEX_BROWSER=required"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with models, controls over seeds, layers, stages, a failure, gaps, warnings and hostile names."""
    folder = tmp_path_factory.mktemp("page")
    results = [
        *(scored(name, 0.3 + place / 100, row=staged(0.4)) for place, name in enumerate(ON_DISK)),
        scored("vgg16", 0.62, warnings=["3 stimuli were dropped: <b>gaps</b>."]),
        scored("resnet50", 0.61),
        *(scored("resnet50", 0.05 + seed / 100, f"random:{seed}") for seed in range(3)),
        scored("category", 0.4, "fixed"),
        failed("alexnet"),
        scored("vgg16", 0.5, benchmark="other.rsa", regions=dict.fromkeys(HOSTILE[:4], 0.1)),
    ]
    return write_report(written(folder / "results", results), folder / "report", say=lambda _: None).page


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Any]:
    yield from opened(browser, report)


def opened(browser: Any, path: Path, **settings: Any) -> Iterator[Any]:
    """A page, held at its end to have asked for nothing and complained of nothing."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900}, **settings)
    said: list[str] = []
    asked: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(path.as_uri())
    yield tab
    tab.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def until(page: Any, condition: str) -> None:
    """Wait, five seconds at most, until an expression is true; the policy of the page forbids to poll inside it."""
    for _ in range(100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never: {condition}")


def names(page: Any, table: str) -> list[str]:
    """Names of the rows that are seen, from top to bottom."""
    return [text.strip() for text in page.locator(f"#{table} tbody tr:visible > th").all_inner_texts()]


def test_it_opens_from_disk_and_shows_every_figure(page: Any, report: Path) -> None:
    drawings = {path.stem for path in (report.parent / "figures").glob("*.svg")}
    shown = page.locator("figure[data-figure]")
    assert drawings
    assert {shown.nth(place).get_attribute("data-figure") for place in range(shown.count())} == drawings
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    sizes = page.eval_on_selector_all("figure svg", "all => all.map((one) => one.getBoundingClientRect().width)")
    assert len(sizes) == len(drawings)
    assert min(sizes) > 100
    for kind in ("pdf", "csv"):
        assert {path.stem for path in (report.parent / "figures").glob(f"*.{kind}")} == drawings


def test_rows_sort_by_number_and_by_name(page: Any) -> None:
    first = names(page, "t-b0")
    assert first[0] == "vgg16"
    column = page.locator("#t-b0 thead th.number").first
    column.locator("button.sort").click()
    assert column.get_attribute("aria-sort") == "descending"
    assert names(page, "t-b0")[0] == "vgg16"
    column.locator("button.sort").click()
    assert column.get_attribute("aria-sort") == "ascending"
    assert names(page, "t-b0") == first[::-1]
    values = page.locator("#t-b0 td.value").all_inner_texts()
    assert values == sorted(values)


def test_search_leaves_the_models_that_match_everywhere(page: Any) -> None:
    page.locator("#find").fill("resnet random")
    assert [text.split("@")[0].strip() for text in names(page, "t-b0")] == ["resnet50"]
    assert {text.split("@")[0].strip() for text in names(page, "t-b0-regions")} == {"resnet50"}
    assert page.locator("#matches").inner_text().startswith("1 of")
    page.locator("#find").fill("")
    assert len(names(page, "t-b0")) == 7
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "find"


def test_dark_and_light_change_places_and_stay_readable(page: Any) -> None:
    def paper() -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light = paper()
    page.locator("#theme").click()
    assert page.locator("#theme").get_attribute("aria-pressed") == "true"
    assert paper() != light
    page.locator("#theme").click()
    assert paper() == light


@pytest.mark.parametrize("how", ["pointer", "keyboard"])
def test_the_same_box_shows_value_and_interval_by_pointer_and_by_keyboard(page: Any, how: str) -> None:
    cells = page.locator("#t-b0-regions td.plot")
    cell = cells.first if how == "pointer" else cells.nth(1)
    cell.scroll_into_view_if_needed()
    if how == "pointer":
        cell.hover()
    else:
        cells.first.focus()
        page.keyboard.press("ArrowRight")
    said = page.locator("#box").inner_text()
    assert "vgg16" in said
    assert cell.locator(".value").inner_text() in said
    assert "…" in said
    assert page.locator("#t-b0-regions td[tabindex='0']").count() == 1
    page.keyboard.press("Escape")
    assert page.locator("#box").is_hidden()


def test_words_of_the_glossary_are_explained(page: Any) -> None:
    page.locator("#t-b0 thead a.term", has_text="95 %").focus()
    assert "bootstrap" in page.locator("#box").inner_text()


def test_a_table_is_copied_as_it_stands(page: Any) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("button.copy[data-copy='t-b0']").click()
    until(page, "document.querySelector(\"button.copy[data-copy='t-b0']\").textContent === 'Copied'")
    lines = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert lines[0].split("\t")[:3] == ["Model", "r", "95 % interval"]
    assert lines[1].split("\t")[:2] == ["vgg16", ".620"]


@pytest.mark.parametrize("width", [390, 1280])
def test_no_width_scrolls_sideways(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.evaluate("document.querySelectorAll('details.more').forEach((part) => { part.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("nav.side").is_visible() == (width >= 1000)
    page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_axe_finds_nothing(page: Any, width: int, dark: bool) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    if dark:
        page.locator("#theme").click()
    page.evaluate("document.querySelectorAll('details.more').forEach((part) => { part.open = true; })")
    assert problems(page) == []
    if dark:
        page.locator("#theme").click()
    page.set_viewport_size({"width": 1280, "height": 900})


def problems(page: Any) -> list[str]:
    """What axe-core objects to, each with the first places."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(f"axe.run({{runOnly: {TAGS!r}, resultTypes: ['violations']}})")
    return [
        f"{item['id']}: {item['help']}: {[node['html'][:160] for node in item['nodes'][:3]]}"
        for item in found["violations"]
    ]


def test_hostile_names_are_texts(page: Any) -> None:
    text = page.locator("#t-b0").inner_text()
    assert HOSTILE[0] in text
    assert "../../x" in text
    assert page.evaluate("document.querySelectorAll('script').length") == 2
    assert page.evaluate("document.querySelectorAll('main script, main b script, table script').length") == 0
    assert page.locator("bdi", has_text="מודל").first.is_visible()


def test_a_script_that_got_in_would_not_run(browser: Any, report: Path) -> None:
    """The policy of the page is the second wall."""
    tab = browser.new_page()
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.goto(report.as_uri())
    tab.evaluate(
        "() => { const code = document.createElement('script'); code.textContent = 'window.ran = 1';"
        " document.body.append(code); const image = new Image(); image.src = 'https://example.org/x.png'; }"
    )
    assert tab.evaluate("window.ran === undefined")
    assert len([text for text in said if "Content Security Policy" in text]) == 2
    tab.close()


def test_without_a_script_it_is_a_whole_document(browser: Any, report: Path) -> None:
    for page in opened(browser, report, java_script_enabled=False):
        assert page.locator("#t-b0 tbody tr").count() == 7
        assert page.locator("#t-b0 tbody tr").last.is_visible()
        assert page.locator("form.find").is_hidden()
        assert page.locator("#t-b0-regions td.plot").first.get_attribute("title")


def test_on_paper_there_are_all_rows_and_no_controls(page: Any) -> None:
    page.emulate_media(media="print")
    for gone in ("nav.side", "header.bar", "button.copy"):
        assert page.locator(gone).first.is_hidden()
    assert page.locator("#t-b0 tbody tr").last.is_visible()
    page.emulate_media(media="screen")


def test_stimuli_are_seen_heard_and_filtered(browser: Any, tmp_path: Path) -> None:
    for name, tag in (("simulated-images", "img"), ("simulated-sounds", "audio")):
        path = write_stimuli(name, tmp_path / name)
        for page in opened(browser, path):
            count = page.locator(".card:visible").count()
            page.locator("select.by").first.select_option(index=1)
            assert page.locator(".card:visible").count() == count // 8
            medium = page.locator(f".card:visible {tag}").first
            if tag == "img":
                medium.scroll_into_view_if_needed()
                until(page, "document.querySelector('.card:not([hidden]) img').naturalWidth === 128")
            else:
                medium.evaluate("one => { one.preload = 'metadata'; one.load(); }")
                until(page, "document.querySelector('.card:not([hidden]) audio').duration === 2")
            assert problems(page) == []


@pytest.mark.long
def test_two_hundred_models_on_twenty_benchmarks(browser: Any, tmp_path: Path) -> None:
    import time

    folder = written(tmp_path / "results", many(200, 20))
    start = time.perf_counter()
    report = write_report(folder, tmp_path / "report", say=lambda _: None).page
    assert time.perf_counter() - start < 60
    start = time.perf_counter()
    for page in opened(browser, report):
        until(page, "document.documentElement.dataset.ready === 'yes'")
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert time.perf_counter() - start < 3
        assert page.locator("#t-b0 tbody tr:visible").count() == 25
        page.locator("#find").fill("network-001")
        assert page.locator("#t-b0 tbody tr:visible").count() <= 1


@pytest.mark.long
def test_fifty_models_on_ten_benchmarks_take_five_megabytes_at_most(tmp_path: Path) -> None:
    folder = written(tmp_path / "results", many(50, 10))
    assert write_report(folder, tmp_path / "report", say=lambda _: None).page.stat().st_size <= 5_000_000
