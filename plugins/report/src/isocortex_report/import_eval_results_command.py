"""``isocortex import eval-results``: scores of others, in the form of the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    name="import eval-results", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}
)
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="FILE|FOLDER…")
@click.option("--model", metavar="ORG/NAME", help="Whose scores; default: the folder that holds .eval_results.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True)
def eval_results(files: tuple[Path, ...], model: str | None, out: Path) -> None:
    """Bring in scores of others, as models on the Hugging Face Hub carry them (.eval_results/*.yaml).

    They are shown as theirs, with source and coverage, and never ranked with results that were computed here.
    """
    from isocortex.errors import printable
    from isocortex_report.paper.eval_results import import_eval_results

    for path in import_eval_results(files, out.expanduser(), model):
        print(printable(str(path)))
    print(printable(f"'isocortex show {out}' shows them below the results."))
