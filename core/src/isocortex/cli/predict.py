"""``isocortex predict``: responses to other stimuli, with the map that a result kept."""

from __future__ import annotations

from pathlib import Path

import click

from isocortex.errors import printable


@click.command()
@click.argument("result", type=click.Path(path_type=Path), metavar="RESULT")
@click.option("--stimuli", required=True, metavar="ID|FOLDER", help="Stimulus set, or a folder of sounds or images.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="Where to write: FILE.nc or FILE.csv."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option("--batch-size", type=click.IntRange(1), help="Stimuli per batch.")
@click.option("--offline", is_flag=True, help="Never use the network.")
def predict(result: Path, stimuli: str, out: Path, device: str, batch_size: int | None, offline: bool) -> None:
    """Predict responses to stimuli with the map that a result kept ('score --keep mapping').

    RESULT is the folder of the result or its result.json. Model, variant, layers and reduction are those of the result;
    a model that has changed since is refused. A row of the CSV is a stimulus and a neuroid.
    """
    from isocortex.files.interruption import guard_once
    from isocortex.run.predict import predict as predicted, write_prediction

    guard_once()
    found = predicted(result, stimuli, device=device, batch_size=batch_size, offline=offline)
    write_prediction(out, found)
    print(printable(f"{found.sizes['stimulus']} stimuli × {found.sizes['neuroid']} neuroids\t{out}"))
