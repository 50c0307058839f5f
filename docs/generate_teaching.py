"""Makes of every teaching page its notebook, its page with what it prints, and its pictures, or checks them.

python docs/generate_teaching.py [NAME …]            run pages and write notebook, page and pictures
python docs/generate_teaching.py --check [NAME …]    exit 1 where a notebook or a page is not that of its source

A page is written once, as docs/teaching/NAME.py in jupytext's percent form. Of it are made NAME.ipynb, which Colab
opens, NAME.md, which is a page of this site, and pictures/NAME-N.svg, one for each figure. A cell with figures says in
``alt`` what is seen in them, with | between one figure and the next. Cells that draw, and those of the tag ``setup``,
are folded on the page.

Cells run in this process, in names of their own and in an empty folder, on one thread, without a window. The 92 images
are used where ISOCORTEX_REALDATA names the folder that holds kriegeskorte2008.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TEACHING = Path(__file__).parent / "teaching"
PICTURES = TEACHING / "pictures"
#: owner and name of the public repository: the one place where it stands
REPOSITORY = "isocortex/isocortex"
COLAB = f"https://colab.research.google.com/github/{REPOSITORY}/blob/main/docs/teaching"
#: what matplotlib writes into a file beside the picture, and what would change from run to run
_METADATA: dict[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}
_NOTEBOOK = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
#: a browser has one of these; matplotlib measured with a wider one
_SANS = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Made:
    """What a cell printed and drew.

    Attributes
    ----------
    printed
        Its standard output.
    pictures
        SVG, one for each figure.
    """

    printed: str = ""
    pictures: list[str] = field(default_factory=list)


def sources() -> list[Path]:
    """The pages as they are written."""
    return sorted(TEACHING.glob("*.py"))


# --- notebook ---------------------------------------------------------------------------------------------------------


def notebook_of(source: Path) -> Any:
    """The notebook of a source, without outputs; the link to Colab stands below its title."""
    import jupytext

    book = jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent")
    book.metadata = dict(_NOTEBOOK)
    book.nbformat, book.nbformat_minor = 4, 5
    title, end, rest = book.cells[0].source.partition("\n")
    book.cells[0].source = f"{title}\n\n[Open in Colab]({COLAB}/{source.stem}.ipynb){end}{rest}"
    for place, cell in enumerate(book.cells):
        cell["id"] = f"cell-{place:02}"
    return book


def notebook_text(book: Any) -> str:
    """The bytes of a notebook's file."""
    import nbformat

    nbformat.validate(book)
    return nbformat.writes(book) + "\n"


# --- running ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def quiet_place(name: str) -> Generator[None]:
    """An empty folder, no window, matplotlib's own settings, equal bytes for equal figures; undone afterwards."""
    import matplotlib as mpl

    here, backend = Path.cwd(), mpl.get_backend()
    with tempfile.TemporaryDirectory() as folder, mpl.rc_context(), warnings.catch_warnings():
        mpl.use("Agg")
        mpl.rcdefaults()
        mpl.rcParams["svg.hashsalt"] = name
        warnings.filterwarnings("ignore", message=".*is non-interactive, and thus cannot be shown")
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(here)
            mpl.pyplot.close("all")
            mpl.use(backend)


def run(book: Any, name: str) -> list[Made]:
    """Run the cells of a notebook in their order, in names that nothing else knows.

    Raises
    ------
    Exception
        Whatever a cell raises; an assertion that does not hold, say.
    """
    import matplotlib.pyplot as plt

    made: list[Made] = []
    names: dict[str, Any] = {"__name__": "__main__"}
    with quiet_place(name):
        for cell in book.cells:
            if cell.cell_type != "code":
                made.append(Made())
                continue
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(cell.source, f"<{name}, {cell['id']}>", "exec"), names)  # noqa: S102 - our own pages
            pictures = [picture(plt.figure(number)) for number in plt.get_fignums()]
            plt.close("all")
            made.append(Made(printed.getvalue(), pictures))
    return made


def picture(figure: Any) -> str:
    """A figure as SVG: text is text, and there is no date."""
    made = io.BytesIO()
    figure.savefig(made, format="svg", metadata=_METADATA, dpi=160)
    text = made.getvalue().decode("utf-8")
    text = re.sub(
        r"font(-family)?: ([^;\"]*?)'?DejaVu Sans'?[^;\"]*", lambda at: f"font{at[1] or ''}: {at[2]}{_SANS}", text
    )
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)


# --- page -------------------------------------------------------------------------------------------------------------


def page_of(book: Any, name: str, made: Sequence[Made]) -> str:
    """The page of this site: prose, code, what was printed, and pictures."""
    parts = [f"<!-- Made from {name}.py by docs/generate_teaching.py: change that, not this. -->"]
    n_pictures = 0
    for cell, shown in zip(book.cells, made, strict=True):
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(_code(cell))
        if shown.printed:
            parts.append(f"```text\n{shown.printed.rstrip()}\n```")
        for text in alts(cell):
            n_pictures += 1
            parts.append(f"![{text}](pictures/{name}-{n_pictures}.svg)")
    first, end, rest = parts[1].partition(f"/{name}.ipynb)")
    parts[1] = f"{first}{end} · [the notebook]({name}.ipynb){rest}"
    return "\n\n".join(parts) + "\n"


def alts(cell: Any) -> list[str]:
    """What is seen in the figures of a cell, one text for each."""
    text = cell.metadata.get("alt", "")
    return [part.strip() for part in text.split("|")] if text else []


def _code(cell: Any) -> str:
    block = f"```python\n{cell.source}\n```"
    if "setup" in cell.metadata.get("tags", []):
        what = ast.get_docstring(ast.parse(cell.source)) or "Set-up"
    elif alts(cell):
        what = "How this is drawn"
    else:
        return block
    return (
        f'<details class="iso-fold" markdown="1">\n<summary>{what.splitlines()[0]}</summary>\n\n{block}\n\n</details>'
    )


def outline(page: str) -> str:
    """A page without what was printed: what it must have in common with its source."""
    return re.sub(r"^```text\n.*?^```$\n\n", "", page, flags=re.DOTALL | re.MULTILINE)


# --- command ----------------------------------------------------------------------------------------------------------


def bring_the_92_images() -> None:
    """Put the files of the 92 images where isocortex finds them, if ISOCORTEX_REALDATA holds them."""
    folder = Path(os.environ.get("ISOCORTEX_REALDATA", ""), "kriegeskorte2008")
    if not os.environ.get("ISOCORTEX_REALDATA") or not folder.is_dir():
        print("ISOCORTEX_REALDATA holds no kriegeskorte2008: rsa shows made-up data.", file=sys.stderr)
        return
    call = [sys.executable, "-m", "isocortex", "fetch", "-b", "Kriegeskorte2008.*", "--from", str(folder)]
    subprocess.run(call, check=True, capture_output=True)  # noqa: S603 - this interpreter, our own command


def write(source: Path) -> None:
    """Run a page, and write its notebook, its page and its pictures.

    Raises
    ------
    SystemExit
        A cell draws another number of figures than ``alt`` describes.
    """
    book, name = notebook_of(source), source.stem
    made = run(book, name)
    for cell, shown in zip(book.cells, made, strict=True):
        if len(alts(cell)) != len(shown.pictures):
            sys.exit(f"{name}, {cell['id']}: {len(shown.pictures)} figures, {len(alts(cell))} described in alt.")
    PICTURES.mkdir(exist_ok=True)
    for old in PICTURES.glob(f"{name}-*.svg"):
        old.unlink()
    drawn = [text for shown in made for text in shown.pictures]
    for number, text in enumerate(drawn, 1):
        (PICTURES / f"{name}-{number}.svg").write_text(text, encoding="utf-8")
    source.with_suffix(".ipynb").write_text(notebook_text(book), encoding="utf-8")
    source.with_suffix(".md").write_text(page_of(book, name, made), encoding="utf-8")
    print(f"{name}: {len(drawn)} pictures")


def disagreements(source: Path) -> list[str]:
    """What of a source is not found again in its notebook, its page and its pictures; without running it."""
    book, name = notebook_of(source), source.stem
    found: list[str] = []
    notebook, page = source.with_suffix(".ipynb"), source.with_suffix(".md")
    if not notebook.is_file() or notebook.read_text(encoding="utf-8") != notebook_text(book):
        found.append(f"{notebook.name} is not the notebook of {source.name}")
    unseen = page_of(book, name, [Made()] * len(book.cells))
    if not page.is_file() or outline(page.read_text(encoding="utf-8")) != outline(unseen):
        found.append(f"{page.name} is not the page of {source.name}")
    named = set(re.findall(r"\]\(pictures/([^)]+)\)", unseen))
    there = {path.name for path in PICTURES.glob(f"{name}-*.svg")}
    if named != there:
        found.append(f"pictures of {source.name}: expected {sorted(named)}, found {sorted(there)}")
    return found


def main() -> int:
    """Write pages, or check them; the exit code says whether they agreed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    chosen = [source for source in sources() if not asked.names or source.stem in asked.names]
    if asked.check:
        found = [text for source in chosen for text in disagreements(source)]
        if found:
            print("\n".join([*found, "Run: python docs/generate_teaching.py"]), file=sys.stderr)
        return int(bool(found))
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(OMP_NUM_THREADS="1", ISOCORTEX_DATA=f"{folder}/data", ISOCORTEX_CACHE=f"{folder}/cache")
        bring_the_92_images()
        for source in chosen:
            write(source)
    return 0


if __name__ == "__main__":
    sys.exit(main())
