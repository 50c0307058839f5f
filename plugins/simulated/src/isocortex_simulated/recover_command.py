"""``isocortex recover``: would scoring on a benchmark know the model that a brain was made of?"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isocortex.errors import UsageError

if TYPE_CHECKING:
    from isocortex_simulated.identification.plan import Question
    from isocortex_simulated.identification.run import Found


@click.command(name="recover", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.argument("benchmark")
@click.option(
    "-m", "--model", "models", multiple=True, required=True, metavar="MODEL",
    help="A candidate, ID[@VARIANT]; ID@random:0..4 for a range of seeds. Repeat it, or separate with commas.",
)  # fmt: skip
@click.option(
    "--metric", "metrics", multiple=True, metavar="ID",
    help="Metrics; default: the benchmark's own. Others take the settings of BENCHMARK's sister with that metric.",
)  # fmt: skip
@click.option(
    "--reliability", "levels", multiple=True, metavar="C",
    help="Reliabilities of the simulated neuroids, or 'recorded'; default: recorded where stimuli were repeated, and "
    ".1, .2, .4, .6, .8.",
)  # fmt: skip
@click.option(
    "--draws", multiple=True, metavar="N|METRIC=N|METRIC@C=N", default=("20",), show_default=True,
    help="Brains made of each candidate; fewer for a slow metric.",
)  # fmt: skip
@click.option(
    "--layer", type=click.Choice(["any", "chosen"]), default="any", show_default=True,
    help="Of which layer a brain is made: any default layer, or the one read out most often on the recorded data.",
)  # fmt: skip
@click.option(
    "--spectrum", type=click.FloatRange(0, 8), metavar="A",
    help="Weights on component k have variance k^-A, where no repetitions say so; default: 1.",
)  # fmt: skip
@click.option("--samples", type=int, default=200, show_default=True, help="Bootstrap samples for the open set.")
@click.option(
    "--references", type=int, default=60, show_default=True,
    help="Further brains of each candidate, which say what is typical of it, for the open set.",
)  # fmt: skip
@click.option("--open", "open_levels", multiple=True, metavar="C", help="Ask the open set only at these; default: all.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything that is drawn.")
@click.option(
    "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes; the numbers are the same."
)
@click.option("--part", hidden=True, metavar="K/N", help="Compute every N-th block from the K-th on, and show nothing.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON to stdout.")
@click.option("--csv", "as_csv", is_flag=True, help="The curve as CSV to stdout.")
def recover(benchmark: str, models: tuple[str, ...], out: Path, **chosen: Any) -> None:
    """Make brains of each candidate model, and see which candidate scoring on BENCHMARK takes them for.

    A brain has the stimuli, participants and neuroids of the recorded one; its responses are random readouts of a layer
    of one candidate and noise. All candidates are scored with the benchmark's metric, splits and choice of layers. The
    table says how often the truth, or its family, comes first, and how often it is named where undecided is an answer,
    also with its whole family left out.

    Finished brains are kept in OUT/recovery, and a run that ends early goes on where it was. The record there is of the
    last question about BENCHMARK: 'isocortex figure recovery OUT' draws its curve, and 'isocortex info BENCHMARK' shows
    what was found.
    """
    from isocortex.files import end_with_the_input
    from isocortex_simulated.identification.plan import Question
    from isocortex_simulated.identification.run import compute_part, recovered

    if chosen["part"]:
        end_with_the_input()
    question = Question(
        benchmark=benchmark,
        metrics=_separate(chosen["metrics"]),
        levels=tuple(map(level_of, _separate(chosen["levels"]))),
        draws=draws_of(_separate(chosen["draws"])),
        layer=chosen["layer"],
        exponent=chosen["spectrum"],
        seed=chosen["seed"],
        n_samples=chosen["samples"],
        n_references=chosen["references"],
        open_levels=tuple(map(level_of, _separate(chosen["open_levels"]))) or None,
    )
    if chosen["part"]:
        k, n = map(int, chosen["part"].split("/"))
        compute_part(question, _separate(models), out, _say, (k, n))
        return
    jobs = chosen["jobs"]
    elsewhere = (lambda: _in_processes(question, _separate(models), out, jobs)) if jobs > 1 else None
    found = recovered(question, _separate(models), out, _say, elsewhere)
    _keep(found)
    _show(found, as_json=chosen["as_json"], as_csv=chosen["as_csv"])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _in_processes(question: Question, models: tuple[str, ...], out: Path, jobs: int) -> None:
    """Let processes compute the blocks.

    Raises
    ------
    StoreError
        One of them failed; what it finished is kept.
    """
    from isocortex.errors import StoreError
    from isocortex.files import side_by_side

    asked = arguments_of(question, models, out)
    codes = side_by_side([[*asked, "--part", f"{number}/{jobs}"] for number in range(jobs)])
    if any(codes):
        raise StoreError(f"A process ended with exit code {max(codes, key=abs)}; what it finished is kept. Run again.")


def arguments_of(question: Question, models: tuple[str, ...], out: Path) -> list[str]:
    """The arguments of ``isocortex`` that ask this question.

    Examples
    --------
    >>> from isocortex_simulated.identification.plan import Question
    >>> arguments_of(Question("x", levels=(None, 0.5)), ("a", "b"), Path("out"))[:6]
    ['recover', 'x', '-m', 'a,b', '--reliability', 'recorded,0.5']
    """
    lists = {
        "-m": models,
        "--metric": question.metrics,
        "--reliability": _written(question.levels),
        "--open": _written(question.open_levels or ()),
        "--draws": [f"{where}={n}" if where else str(n) for where, n in question.draws],
    }
    found = ["recover", question.benchmark]
    for option, values in lists.items():
        found += [option, ",".join(values)] if values else []
    numbers = {
        "--layer": question.layer,
        "--spectrum": None if question.exponent is None else repr(question.exponent),
        "--samples": question.n_samples,
        "--references": question.n_references,
        "--seed": question.seed,
        "--out": out,
    }
    given = {option: value for option, value in numbers.items() if value is not None}
    return [*found, *(text for option, value in given.items() for text in (option, str(value)))]


def _written(levels: tuple[float | None, ...]) -> list[str]:
    return ["recorded" if level is None else repr(level) for level in levels]


def _separate(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Options that are repeated or hold several with commas."""
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())


def level_of(text: str) -> float | None:
    """A reliability, or None for the recorded one.

    Raises
    ------
    UsageError
        Neither a number nor the word.

    Examples
    --------
    >>> level_of(".75"), level_of("recorded")
    (0.75, None)
    """
    if text == "recorded":
        return None
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"A reliability is a number between 0 and 1, or 'recorded'; found {text!r}.") from None


def draws_of(texts: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """Numbers of brains by what they hold for: "" all, a metric, or a metric at a reliability.

    Raises
    ------
    UsageError
        What does not read like this.

    Examples
    --------
    >>> draws_of(("20", "pls=2", "pls@.75=17"))
    (('', 20), ('pls', 2), ('pls@0.75', 17))
    """
    from isocortex_simulated.identification.plan import name_of

    found: list[tuple[str, int]] = []
    for text in texts:
        where, _, number = text.rpartition("=")
        metric, at, level = where.partition("@")
        if not number.isdigit():
            raise UsageError(f"--draws takes N, METRIC=N or METRIC@C=N; found {text!r}.")
        found.append((f"{metric}@{name_of(level_of(level))}" if at else metric, int(number)))
    return tuple(found)


def _keep(found: Found) -> None:
    """Keep the record for figures, and a line for each metric for ``info``."""
    from isocortex.files import write_sealed
    from isocortex.results import write_finding
    from isocortex_simulated.identification.tables import finding, record

    write_sealed(found.folder / "recovery.json", record(found))
    for metric in dict.fromkeys(metric for metric, _ in found.answered):
        write_finding(found.card.id, found.card.version, f"recovery-{metric}", [finding(found, metric)])


def _show(found: Found, *, as_json: bool, as_csv: bool) -> None:
    from isocortex_simulated.identification.tables import COLUMNS, curve_rows, record, text

    if as_json:
        print(json.dumps(record(found), indent=1))
    elif as_csv:
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(curve_rows(found))
    else:
        print(text(found))
        print(f"\nKept in {found.folder}. Draw the curve: isocortex figure recovery {found.folder.parent.parent}")
