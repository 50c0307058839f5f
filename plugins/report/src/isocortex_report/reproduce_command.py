"""``isocortex reproduce``: a published table again."""

from __future__ import annotations

import json
from pathlib import Path

import click

from isocortex.errors import EXIT_FAILED, UsageError


@click.command(name="reproduce", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.argument("paper", metavar="PAPER", required=False)
@click.option("--list", "listing", is_flag=True, help="Show the papers that installed packages have recipes of.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Results folder; default: reproduced/PAPER."
)
@click.option("--trial", is_flag=True, help="Smaller models, where the recipe has them; nothing is judged.")
@click.option(
    "--synthetic", type=click.Path(path_type=Path), metavar="FOLDER",
    help="Made-up data of the published layout, written into the folder if it has none; nothing is judged.",
)  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, …")
@click.option("--offline", is_flag=True, help="Never use the network.")
@click.option("--json", "as_json", is_flag=True, help="JSON to stdout.")
def reproduce(
    paper: str | None,
    listing: bool,
    out: Path | None,
    trial: bool,
    synthetic: Path | None,
    device: str,
    offline: bool,
    as_json: bool,
) -> None:
    """Score what a paper scored, and set each number beside the published one: paper, ours, deviation, why.

    PAPER is one of --list, or a recipe of your own, NAME.toml. What is finished is found again; what a missing file
    or package keeps from running is named. The exit code is 1 where a number is beyond the tolerance that the recipe
    states, or where something failed.
    """
    from isocortex_report.reproduce import recipe_of, recipes, reproduce as run
    from isocortex_report.reproduce.printing import print_recipes, print_reproduced

    if listing:
        found, faults = recipes()
        if as_json:
            print(json.dumps({name: recipe.model_dump(mode="json") for name, recipe in found.items()}, indent=1))
        else:
            print_recipes(list(found.values()), faults)
        return
    if paper is None:
        raise UsageError("Which paper? 'isocortex reproduce --list' shows those that there are recipes of.")
    recipe = recipe_of(paper)
    done = run(
        recipe,
        (out or Path("reproduced", recipe.id)).expanduser(),
        trial=trial,
        synthetic=synthetic and synthetic.expanduser(),
        offline=offline,
        device=device,
        say=lambda text: click.echo(text, err=True),
    )
    if as_json:
        head = {"recipe": recipe.id, "title": recipe.title, "ok": done.ok, "said": done.said}
        print(json.dumps({**head, "rows": [row.to_json() for row in done.rows]}, indent=1))
    else:
        print_reproduced(done)
    if not done.ok:
        raise click.exceptions.Exit(EXIT_FAILED)
