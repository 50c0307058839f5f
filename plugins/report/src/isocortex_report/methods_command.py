"""``isocortex methods``: what was compared with what and how, in English."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="methods", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.argument("results", type=click.Path(path_type=Path), default=Path("results"))
@click.option("-b", "--benchmark", "benchmarks", multiple=True, metavar="ID", help="Only these benchmarks; globs too.")
@click.option("-m", "--model", "models", multiple=True, metavar="MODEL", help="Only these: ID[@VARIANT] or glob.")
@click.option("--compared", is_flag=True, help="Say also how 'isocortex compare' tests every pair of these models.")
def methods(results: Path, benchmarks: tuple[str, ...], models: tuple[str, ...], compared: bool) -> None:
    """Write the methods section of a paper about these results, with numbered references.

    Every clause comes from records, cards and settings. What they do not hold is not said in the text; it is listed on
    stderr. 'isocortex cite' has the references as BibTeX.
    """
    from isocortex.errors import printable
    from isocortex_report.paper.methods import methods as made_of

    found = made_of(results, benchmarks=benchmarks, models=models, compared=compared)
    print(printable(str(found)), end="")
    if found.unsaid:
        click.echo("Not said, since the results do not hold it:", err=True)
    for line in found.unsaid:
        click.echo(printable(f"  {line}"), err=True)
