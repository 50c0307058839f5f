"""``isocortex export``: results as tidy tables for other programs."""

from __future__ import annotations

from pathlib import Path

import click

KINDS = ("csv", "parquet", "nc", "mat", "eval-results")
LEVELS = ("summary", "participant", "neuroid", "split")


@click.command(name="export", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.argument("results", type=click.Path(path_type=Path), default=Path("results"))
@click.option("--level", type=click.Choice(LEVELS), default="summary", show_default=True, help="What a row is.")
@click.option("--format", "kind", type=click.Choice(KINDS), help="Default: by the ending of --out, or csv.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="FILE|FOLDER", help="A folder for eval-results."
)
@click.option("-b", "--benchmark", "benchmarks", multiple=True, metavar="ID", help="Only these benchmarks; globs too.")
@click.option("-m", "--model", "models", multiple=True, metavar="MODEL", help="Only these: ID[@VARIANT] or glob.")
@click.option("--dataset", "hub_dataset", metavar="ORG/NAME", help="eval-results: the benchmark's data set on the Hub.")
@click.option("--source", metavar="URL", help="eval-results: where these scores are published.")
def export(
    results: Path, out: Path, kind: str | None, hub_dataset: str | None, source: str | None, **chosen: object
) -> None:
    """Write results as a tidy table: one row per model × benchmark × region, participant, neuroid or split.

    Numbers are those of 'show --json', to the last digit. In CSV, texts that a spreadsheet would take for a formula
    begin with an apostrophe. 'eval-results' writes the YAML of the Hugging Face Hub, a folder per model.
    """
    from isocortex.errors import printable

    said: list[str] = []
    names = {name: chosen[name] for name in ("benchmarks", "models")}
    kind = kind or (out.suffix[1:] if out.suffix[1:] in KINDS else "csv")
    if kind == "eval-results":
        from isocortex_report.paper.eval_results import write_eval_results

        for path in write_eval_results(results, out, dataset=hub_dataset, source=source, said=said, **names):  # pyright: ignore[reportArgumentType]
            print(printable(str(path)))
    else:
        from isocortex_report.paper.export import export as exported

        frame = exported(results, out, level=str(chosen["level"]), kind=kind, said=said, **names)  # pyright: ignore[reportArgumentType]
        print(printable(f"{out}: {len(frame):,} rows, {len(frame.columns)} columns"))
    for line in said:
        click.echo(printable(line), err=True)
