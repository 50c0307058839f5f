"""The folder of a report: the page, and beside it every figure, table, number and reference as a file."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.errors import StoreError, UsageError
from isocortex_report.page.document import Said
from isocortex_report.page.inline_figures import MOST_BYTES, Shown, inline

if TYPE_CHECKING:
    import pandas as pd

    from isocortex.results import Result
    from isocortex_report.figures import Figure, Material
    from isocortex_report.page.document import Paper
    from isocortex_report.page.pairs import Comparisons

#: by which a folder is known as one that may be replaced
GENERATOR = b'<meta name="generator" content="isocortex-report'
#: figures that are drawn for one report; each takes about a second
MOST_FIGURES = 60
#: of more results only the rankings of whole benchmarks are drawn
MANY_RESULTS = 1_000
PAGE = "index.html"
Listed = list[tuple[str, str]]


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes
    ----------
    page
        The HTML file.
    n_figures
        Figures that were drawn.
    left_out
        A sentence about figures that were not drawn because there are too many; or empty.
    """

    page: Path
    n_figures: int
    left_out: str


def write_report(folder: Path, out: Path, *, title: str | None = None, say: Callable[[str], None] = print) -> Written:
    """Write the page of a folder of results, and the files beside it.

    Parameters
    ----------
    folder
        Results.
    out
        A folder that is not there, is empty, or holds an earlier report, which is replaced as a whole.
    title
        Of the page; None: from the results.
    say
        Where progress goes, line by line.

    Raises
    ------
    StoreError
        No such folder, no results in it, or it cannot be written.
    UsageError
        ``out`` holds something else.
    """
    import isocortex
    from isocortex.results import read_results
    from isocortex_report.figures import Material

    results = read_results(folder)
    if not results:
        raise StoreError(f"{folder} holds no results yet. 'isocortex score' makes them.")
    with report_folder(out) as made, isocortex.installed_once():
        material = Material(results, folder)
        shown, files, left_out = _figures(material, made, say)
        paper = _paper(results, folder, made, files)
        _page(material, folder, made, shown, paper, files, Said(title, left_out))
    return Written(out / PAGE, len(shown), left_out)


# --- the folder -------------------------------------------------------------------------------------------------------


@contextmanager
def report_folder(out: Path) -> Generator[Path]:
    """A new folder that takes the place of ``out`` when all is written; an earlier report is there until then.

    Raises
    ------
    UsageError
        ``out`` is no folder, or one that holds something else than a report.
    StoreError
        It cannot be written.
    """
    from isocortex.files import whole_folder

    if out.exists() and not is_replaceable(out):
        raise UsageError(f"{out} holds something else than a report. Give --out a folder that is empty or not there.")
    with whole_folder(out) as made:
        yield made


def is_replaceable(out: Path) -> bool:
    """Whether a folder is empty or holds a report."""
    if not out.is_dir():
        return False
    page = out / PAGE
    if page.is_file():
        with page.open("rb") as file:
            return GENERATOR in file.read(4000)
    return not any(out.iterdir())


# --- figures ----------------------------------------------------------------------------------------------------------


def _figures(material: Material, made: Path, say: Callable[[str], None]) -> tuple[list[tuple[Shown, str]], Listed, str]:
    """Draw figures into files and for the page, those of whole benchmarks first, and say what is not drawn."""
    figures, left_out = _chosen(material)
    shown: list[tuple[Shown, str]] = []
    files: Listed = []
    room = MOST_BYTES if len(material.results) <= MANY_RESULTS else 0
    for place, figure in enumerate(figures):
        if place % 10 == 0:
            say(f"figures: {place} of {len(figures)}")
        links, listed = _saved(figure, made)
        files += listed
        item = inline(figure, figure.svg(), links, room=room, region=_only(figure.frame, "region"))
        room -= len(item.svg.encode()) if item.svg is not None else 0
        shown.append((item, _only(figure.frame, "benchmark")))
    return shown, files, left_out


def _chosen(material: Material) -> tuple[list[Figure], str]:
    """The figures of a report, and what is said of the others."""
    from isocortex_report.figures import figures_of

    if len(material.results) > MANY_RESULTS:
        wholes = [result.model_copy(update={"regions": {}}) for result in material.results]
        figures = list(figures_of(wholes, material.folder, kinds=("ranking",)))[:MOST_FIGURES]
        return figures, f"Of {len(material.results):,} results, only rankings of whole benchmarks are drawn."
    figures = sorted(figures_of(material.results, material.folder), key=_priority)
    n_left = len(figures) - MOST_FIGURES
    return figures[:MOST_FIGURES], f"{n_left:,} more figures, of regions, are not drawn." if n_left > 0 else ""


def _priority(figure: Figure) -> int:
    """Wholes before regions, in the order of the kinds otherwise."""
    return int(_only(figure.frame, "region") not in ("", "all"))


def _only(frame: pd.DataFrame, column: str) -> str:
    """The one value of a column, or nothing where there are several or none."""
    named = [str(value) for value in frame[column].unique()] if column in frame.columns else []
    return named[0] if len(named) == 1 else ""


def _saved(figure: Figure, made: Path) -> tuple[Listed, Listed]:
    """Write a figure as SVG and PDF with its CSV; links for the page, and lines for the list of files."""
    folder = made / "figures"
    for ending in (".svg", ".pdf"):
        figure.save(folder / f"{figure.name}{ending}")
    links = [(ending.upper(), _address(f"figures/{figure.name}.{ending}")) for ending in ("svg", "pdf", "csv")]
    return links, [(figure.title, links[0][1])]


def _address(path: str) -> str:
    """A relative address; names of files have % in them."""
    from urllib.parse import quote

    return quote(path, safe="/")


# --- texts and tables -------------------------------------------------------------------------------------------------


def _paper(results: Sequence[Result], folder: Path, made: Path, files: Listed) -> Paper:
    from isocortex_report.page.document import Paper
    from isocortex_report.paper.cite import bibtex
    from isocortex_report.paper.methods import methods
    from isocortex_report.paper.references import in_text

    section = methods(results, folder=folder)
    paper = Paper(section.paragraphs, [in_text(entry) for entry in section.entries], section.unsaid, bibtex(results))
    (made / "methods.txt").write_text(str(section), encoding="utf-8", errors="replace")
    (made / "references.bib").write_text(paper.bibtex.rstrip() + "\n", encoding="utf-8", errors="replace")
    files += [("methods, for a paper", "methods.txt"), ("references as BibTeX", "references.bib")]
    return paper


def _page(
    material: Material,
    folder: Path,
    made: Path,
    shown: Sequence[tuple[Shown, str]],
    paper: Paper,
    files: Listed,
    said: Said,
) -> None:
    from importlib.metadata import version

    from isocortex.files import write_atomic
    from isocortex_report.page.document import page_of
    from isocortex_report.page.rendering import render

    files += _tables(material, made)
    page, compared = page_of(material, folder, shown, paper, files, said)
    _write_comparisons(compared, made)
    text = render(
        "page.html",
        script="page.js",
        style="page.css",
        page=page,
        glossary=page.glossary,
        version=version("isocortex-report"),
    )
    write_atomic(made / PAGE, lambda file: file.write(text.encode("utf-8", errors="replace")))


def _tables(material: Material, made: Path) -> Listed:
    """Rows and curves as CSV, and a table of each benchmark for LaTeX."""
    from isocortex.files import folder_name
    from isocortex.results import latex_tables, layers_frame
    from isocortex_report.page.sections import LATEX

    data = made / "data"
    data.mkdir()
    _write_csv(material.rows, data / "rows.csv")
    _write_csv(layers_frame(material.results), data / "layers.csv")
    (made / "tables").mkdir()
    typeset: Listed = []
    for place, (benchmark, text) in enumerate(latex_tables(material.results).items()):
        name = f"{folder_name(benchmark)[:80].rstrip('%')}.tex"
        path = made / "tables" / (f"{place}-{name}" if (made / "tables" / name).exists() else name)
        path.write_text(text.rstrip() + "\n", encoding="utf-8", errors="replace")
        typeset.append((f"{LATEX} {benchmark}", _address(f"tables/{path.name}")))
    return [
        *typeset,
        ("every value with its context, one row per model, benchmark and region", "data/rows.csv"),
        ("curves over layers", "data/layers.csv"),
    ]


def _write_comparisons(compared: Comparisons, made: Path) -> None:
    if compared.table is not None:
        _write_csv(compared.table, made / "data" / "comparisons.csv")


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Numbers to the last digit; a text that a spreadsheet would compute begins with '."""
    from isocortex.results import csv_frame

    csv_frame(frame).to_csv(path, index=False, lineterminator="\n", errors="replace")
