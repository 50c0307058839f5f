"""The teaching pages run, their known answers have teeth, and source, notebook, page and pictures say the same."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_docs import generator

ROOT = Path(__file__).parents[1]
TEACHING = ROOT / "docs" / "teaching"
NAMES = sorted(path.stem for path in TEACHING.glob("*.py"))
REALDATA = Path(os.environ.get("ISOCORTEX_REALDATA") or ROOT.parent / "shared" / "realdata")
IMAGES = REALDATA / "kriegeskorte2008"
WITH_IMAGES = pytest.mark.skipif(not IMAGES.is_dir(), reason="the 92 images are absent (ISOCORTEX_REALDATA)")
#: page → a known answer, and another one
OTHER_ANSWERS = {
    "perceptron": ("right_answers.max() == 3", "right_answers.max() == 4"),
    "autograd": ("(9.0, 6.0, -18.0)", "(9.0, 6.0, -17.0)"),
    "convolution": ("n_weights == 4_800", "n_weights == 4_864"),
    "gabor": ("n_sampled == 69_968", "n_sampled == 69_969"),
    "rsa": ("len(of_gabor) == 4186", "len(of_gabor) == 4187"),
}
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")

teaching = generator("generate_teaching")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No data, no activations, and as many threads afterwards as before."""
    import torch

    monkeypatch.setenv("ISOCORTEX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ISOCORTEX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    n_threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(n_threads)


def test_there_are_six_pages() -> None:
    assert NAMES == ["autograd", "convolution", "gabor", "mcculloch-pitts", "perceptron", "rsa"]
    assert {path.stem for path in TEACHING.glob("*.ipynb")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_source_notebook_page_and_pictures_agree(name: str) -> None:
    assert teaching.disagreements(TEACHING / f"{name}.py") == []
    page = (TEACHING / f"{name}.md").read_text(encoding="utf-8")
    notebook = (TEACHING / f"{name}.ipynb").read_text(encoding="utf-8")
    link = f"https://colab.research.google.com/github/{teaching.REPOSITORY}/blob/main/docs/teaching/{name}.ipynb"
    assert link in page
    assert link in notebook
    drawn = [path.read_text(encoding="utf-8") for path in (TEACHING / "pictures").glob(f"{name}-*.svg")]
    assert drawn
    for text in [page, notebook, *drawn]:
        assert not re.search(r"/(?:home|root|tmp|work|usr)/|\b20\d\d-\d\d-\d\dT", text)


def test_a_source_that_was_changed_alone_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teaching, "PICTURES", tmp_path / "pictures")
    shutil.copytree(TEACHING / "pictures", tmp_path / "pictures")
    for ending in (".py", ".md", ".ipynb"):
        shutil.copy(TEACHING / f"perceptron{ending}", tmp_path)
    source = tmp_path / "perceptron.py"
    text = source.read_text(encoding="utf-8")
    assert teaching.disagreements(source) == []
    for old, new in (("This is the delta rule.", "This is the rule."), ("rate=0.5", "rate=0.4")):
        assert old in text
        source.write_text(text.replace(old, new), encoding="utf-8")
        assert len(teaching.disagreements(source)) == 2
    source.write_text(text, encoding="utf-8")
    (tmp_path / "pictures" / "perceptron-2.svg").unlink()
    assert len(teaching.disagreements(source)) == 1


def test_pictures_look_alike_and_the_network_has_fewer_than_150_lines() -> None:
    texts = {name: (TEACHING / f"{name}.py").read_text(encoding="utf-8") for name in NAMES}
    looks = {text.partition("How pictures look")[2].partition("# %%")[0] for text in texts.values()}
    assert len(looks) == 1
    cells = [cell for cell in texts["autograd"].split("\n# %%") if "class Value" in cell or "class MLP" in cell]
    lines = [line for cell in cells for line in cell.splitlines() if line.strip()]
    assert 80 < len(lines) <= 150


def test_a_unit_with_another_known_answer_fails(tmp_path: Path) -> None:
    assert_that_it_fails("mcculloch-pitts", "([1] * 1000, [1], 1, 0)", "([1] * 1000, [1], 1, 1)", tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", OTHER_ANSWERS)
def test_a_page_with_another_known_answer_fails(name: str, place: Path) -> None:
    assert_that_it_fails(name, *OTHER_ANSWERS[name], place)


@pytest.mark.long
@WITH_IMAGES
@pytest.mark.parametrize("known", ["0.386", "0.5882", "0.3723", "0.6657", "0.4912"])
def test_the_published_answers_on_the_92_images_have_teeth(known: str, place: Path) -> None:
    bring_the_images()
    assert_that_it_fails("rsa", f" - {known}", f" - {float(known) + 0.01:.4f}", place)


@pytest.mark.long
@pytest.mark.parametrize("name", [*NAMES, pytest.param("rsa with the 92 images", marks=WITH_IMAGES)])
def test_every_notebook_runs_and_shows_what_its_page_shows(name: str, place: Path) -> None:
    """From the source and from the file that Colab opens: the same text, and the same pictures to the byte."""
    import nbformat

    if name not in NAMES:
        bring_the_images()
    name = name.partition(" ")[0]
    book = teaching.notebook_of(TEACHING / f"{name}.py")
    first = teaching.run(book, name)
    again = teaching.run(nbformat.read(TEACHING / f"{name}.ipynb", as_version=4), name)
    assert again == first
    assert [len(made.pictures) for made in first] == [len(teaching.alts(cell)) for cell in book.cells]
    page = (TEACHING / f"{name}.md").read_text(encoding="utf-8")
    if "MADE-UP DATA" in "".join(made.printed for made in first) and "```text\nMADE-UP DATA" not in page:
        return  # the page shows the real ones
    assert_close(teaching.page_of(book, name, first), page)
    pictures = [text for made in first for text in made.pictures]
    for number, text in enumerate(pictures, 1):
        shown = (TEACHING / "pictures" / f"{name}-{number}.svg").read_text(encoding="utf-8")
        assert re.findall(r"<text[^>]*>([^<]+)", text) == re.findall(r"<text[^>]*>([^<]+)", shown), number


def assert_that_it_fails(name: str, old: str, new: str, folder: Path) -> None:
    """Run a copy of a page in which something else is known: an assertion must not hold."""
    text = (TEACHING / f"{name}.py").read_text(encoding="utf-8")
    assert text.count(old) == 1
    source = folder / f"{name}.py"
    source.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(AssertionError):
        teaching.run(teaching.notebook_of(source), name)


def assert_close(found: str, shown: str) -> None:
    """The same words, and numbers that machines may make differ by a tenth."""
    assert NUMBER.sub("#", found) == NUMBER.sub("#", shown)
    pairs = zip(NUMBER.findall(found), NUMBER.findall(shown), strict=True)
    assert all(float(one) == pytest.approx(float(other), rel=0.1, abs=0.02) for one, other in pairs)


def bring_the_images() -> None:
    """Put the files of the 92 images into the folder of data."""
    call = [sys.executable, "-m", "isocortex", "fetch", "-b", "Kriegeskorte2008.*", "--from", str(IMAGES)]
    subprocess.run(call, check=True, capture_output=True)
