"""Commands: what a checkpoint hears in a sound, and activations out of pickles that hooks left."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

_FILE = click.Path(path_type=Path)


@click.command("nemo transcribe")
@click.argument("model", metavar="MODEL")
@click.argument("sound", type=_FILE, metavar="FILE.wav")
@click.option("--offline", is_flag=True, help="Never use the network.")
def transcribe(model: str, sound: Path, offline: bool) -> None:
    """Print what MODEL (ID, ID@file:PATH or nemo:PATH) writes of a sound.

    It is how one sees that a checkpoint is the real one. The network is made for it and thrown away.
    """
    import isocortex
    from isocortex.data import StimulusSet
    from isocortex.interfaces import Variant
    from isocortex_nemo.models import NemoModel, heard
    from isocortex_nemo.transcription import transcribe as write

    name, _, text = model.partition("@")
    card: Any = isocortex.load_card("model", name)
    if card.object != "isocortex_nemo.models:NemoModel":
        raise click.UsageError(f"{name} is no network of NeMo. 'isocortex list models --where package=isocortex-nemo'")
    plugin, variant = NemoModel(card), Variant.parse(text or "pretrained")
    plugin.offline = offline
    stimulus = StimulusSet(sound.name, "audio", {sound.stem: sound}).load(0)
    print(write(plugin, variant, heard(stimulus.array, stimulus.sample_rate, sound.name, card.resampler)))


@click.command("import hooks")
@click.argument("source", type=_FILE, metavar="FOLDER")
@click.option("--out", type=_FILE, required=True, help="Folder for the activations; score it with activations:OUT.")
@click.option("--reduction", default="time-mean", show_default=True, help="For example flatten, time-max.")
@click.option("--layers", multiple=True, metavar="GLOB", help="Only these layers.")
@click.option("--axes", multiple=True, metavar="LAYER=NAMES", help="Axes of layers, as in 'conv*=channel,time'.")
def import_hooks(source: Path, out: Path, reduction: str, layers: tuple[str, ...], axes: tuple[str, ...]) -> None:
    """Make a folder of activations of the pickles in FOLDER, one for each stimulus, called <stimulus_id>.pkl.

    Each holds a dictionary of layers: tensors, or tuples of tensors and lengths, as forward hooks are given them. No
    code that a pickle names is run.
    """
    from isocortex_nemo.hook_import import HookImport

    said = HookImport(reduction, layers, dict(map(_axes, axes))).run(source, out)
    for sentence in said:
        print(f"Warning: {sentence}", file=sys.stderr)
    print(f"Activations are in {out}; isocortex score -m activations:{out} -b BENCHMARK", file=sys.stderr)


def _axes(text: str) -> tuple[str, tuple[str, ...]]:
    layer, sign, names = text.partition("=")
    if not sign or not names:
        raise click.UsageError(f"--axes takes LAYER=NAMES, for example 'conv*=channel,time'; found {text!r}.")
    return layer, tuple(name.strip() for name in names.split(","))
