"""``isocortex report``: results as one page, with every figure, table and reference beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command(name="report", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.argument("results", type=click.Path(path_type=Path), default=Path("results"))
@click.option("--out", type=click.Path(path_type=Path), default=Path("report"), show_default=True, help="Its folder.")
@click.option("--title", metavar="TEXT", help="Of the page; default: from the results.")
@click.option("--stimuli", metavar="ID|FOLDER", help="See or hear a set of stimuli; no results needed.")
def report(results: Path, out: Path, title: str | None, stimuli: str | None) -> None:
    """Write results as one HTML page that needs no network, and a folder of figures, tables and references.

    The page opens from disk. Beside it lie every figure as SVG and PDF with its numbers as CSV, the tables as LaTeX,
    the methods as text and the references as BibTeX. An earlier report in the folder is replaced.
    """
    from isocortex_report.page.writing import write_report

    if stimuli is not None:
        from isocortex_report.page.stimulus_page import write_stimuli

        print(write_stimuli(stimuli, out, title=title))
        return
    written = write_report(results, out, title=title, say=lambda line: print(line, file=sys.stderr))
    if written.left_out:
        print(f"{written.left_out} 'isocortex figure KIND {results}' draws the others.", file=sys.stderr)
    print(f"{written.page}: open it in a browser; it needs no network." if sys.stdout.isatty() else written.page)
