"""``isocortex cite``: whom to cite, as BibTeX."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="cite", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.argument("results", type=click.Path(path_type=Path), default=Path("results"))
@click.option("-b", "--benchmark", "benchmarks", multiple=True, metavar="ID", help="Only these benchmarks; globs too.")
@click.option("-m", "--model", "models", multiple=True, metavar="MODEL", help="Only these: ID[@VARIANT] or glob.")
def cite(results: Path, benchmarks: tuple[str, ...], models: tuple[str, ...]) -> None:
    """Write BibTeX of the models, data, metrics and software behind these results.

    The entries are those that 'isocortex methods' numbers, in its order. One without a DOI says so in its note.
    """
    from isocortex_report.paper.cite import bibtex

    print(bibtex(results, benchmarks=benchmarks, models=models), end="")
