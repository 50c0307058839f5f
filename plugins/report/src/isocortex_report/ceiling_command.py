"""``isocortex ceiling``: how well participants predict each other through the metric of a benchmark."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isocortex.errors import UsageError

if TYPE_CHECKING:
    from isocortex_report.inter_subject import InterSubject


@click.command(name="ceiling", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.argument("benchmark")
@click.option("--pairs", is_flag=True, help="Also each participant from each other one: n (n - 1) ordered pairs.")
@click.option("--layers", multiple=True, metavar="REGION", help="Predict from this region of the others, not from all.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the splits.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, …")
@click.option("--offline", is_flag=True, help="Never use the network.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="JSON to stdout: values of participants, and their spread.")
@click.option("--csv", "as_csv", is_flag=True, help="Values of participants as CSV to stdout.")
def ceiling(benchmark: str, pairs: bool, as_json: bool, as_csv: bool, **chosen: Any) -> None:
    """Show how well participants of BENCHMARK predict each other: a distribution, which divides nothing.

    Each participant is predicted from the responses of the others through the benchmark's own metric and splits; the
    results stand beside those of models in OUT as brain:DATASET. 'isocortex info BENCHMARK' shows what was found.
    """
    import isocortex
    from isocortex_report.inter_subject import inter_subject

    if as_json and as_csv:
        raise UsageError("Give --json or --csv, not both.")
    found = inter_subject(benchmark, pairs=pairs, config=isocortex.RunConfig(**chosen))
    if as_csv:
        found.frame.to_csv(sys.stdout, index=False, lineterminator="\n")
    elif as_json:
        texts = [part.to_json(orient="records", double_precision=15) for part in (found.frame, found.spread)]
        print(json.dumps(dict(zip(("values", "spread"), map(json.loads, texts), strict=True)), indent=1))
    else:
        _print_spread(benchmark, found)
    for text in found.said:
        print(f"without a value: {text}", file=sys.stderr)


def _print_spread(benchmark: str, found: InterSubject) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160)
    statistic = str(found.spread["statistic"].iloc[0])
    title = f"{benchmark}: {statistic} between participants"
    table = Table(title=escape(title), title_justify="left", header_style="bold")
    for name in ("region", "predicted by", "median", "quartiles", "range", "mean", "n"):
        table.add_column(name, overflow="fold", justify="left" if name in ("region", "predicted by") else "right")
    for row in found.spread.to_dict("records"):
        ranges = [
            f"{row[low]:.3f} … {row[high]:.3f}"
            for low, high in (("quartile_low", "quartile_high"), ("lowest", "highest"))
        ]
        texts = (
            row["region"],
            row["predicted_by"],
            f"{row['median']:.3f}",
            *ranges,
            f"{row['mean']:.3f}",
            str(row["n"]),
        )
        table.add_row(*map(escape, texts))
    console.print(table)
    console.print(
        "What participants share, which a model that is fitted to each of them may exceed; nothing is divided by it. "
        "Ordered pairs share participants, so that they are fewer observations than there are pairs.",
        style="dim", highlight=False,
    )  # fmt: skip
