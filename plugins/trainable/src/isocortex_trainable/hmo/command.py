"""``isocortex hmo search``: find a configuration on a screening task."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from isocortex_trainable.hmo.screening import LabelledImages
    from isocortex_trainable.hmo.search import Found, SearchSettings


@click.command("hmo search")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for what is tried and found.")
@click.option("--images", type=click.Path(path_type=Path), help="Folder with a folder of images for each class.")
@click.option("--screening", type=click.Choice(["synthetic"]), help="Shapes on textures, drawn here.  [default]")
@click.option("--trials", type=click.IntRange(1), default=30, show_default=True, help="Trials of each round.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Draws everything.")
@click.option("--size", type=click.IntRange(8), default=64, show_default=True, help="Height and width in pixels.")
@click.option("--per-class", type=click.IntRange(8), default=60, show_default=True, help="Drawn images of each shape.")
@click.option("--levels", type=click.IntRange(1, 2), default=1, show_default=True, help="2: also a stack on top.")
@click.option("--colours", type=click.Choice(["grey", "rgb"]), default="grey", show_default=True)
def search(out: Path, images: Path | None, screening: str | None, per_class: int, **chosen: Any) -> None:
    """Search a network of fixed random filters that names the classes of a screening task.

    Three rounds of the tree-structured Parzen estimator, each on what the ones before got wrong; needs
    'isocortex-trainable[search]'. What is found goes to OUT/found.json: score it with hmo@file:OUT/found.json. A search
    that was stopped goes on where it was, and ends with the same bytes. Of --images a quarter of each class is kept
    from the search and tells how good the network is; of drawn shapes as many new ones as were searched on.
    """
    from isocortex.errors import UsageError
    from isocortex.files import write_json
    from isocortex_trainable.hmo.configuration import ImageSettings
    from isocortex_trainable.hmo.search import Search, SearchSettings
    from isocortex_trainable.hmo.tpe import import_optuna

    if images is not None and screening is not None:
        raise UsageError("--images and --screening name two tasks; give one of them.")
    import_optuna()
    image = ImageSettings(size=chosen["size"], colours=chosen["colours"])
    settings = SearchSettings(seed=chosen["seed"], trials=chosen["trials"], levels=chosen["levels"], image=image)
    searched, held_out = _tasks(images, per_class, settings)
    progress = Progress(settings.n_steps, lambda line: click.echo(line, err=True))
    found = Search(searched, settings, out, progress.step).run()
    told = _told(found, searched, held_out, settings) | {
        "images": "shapes on textures" if images is None else "a folder"
    }
    if images is None:
        told |= {"images_per_class": per_class, "command": f"{told['command']} --per-class {per_class}"}
    result = found.configuration.model_copy(update={"made_by": told}).to_json()
    write_json(out / "found.json", result)
    click.echo(
        f"{out / 'found.json'}: {told['accuracy_on_new_images']:.3f} of {len(held_out.labels)} new images, chance "
        f"{1 / len(searched.classes):.3f}; isocortex score -m hmo@file:{out / 'found.json'} -b BENCHMARK"
    )


def _tasks(images: Path | None, per_class: int, settings: SearchSettings) -> tuple[LabelledImages, LabelledImages]:
    """Images to search on, and others for what was found."""
    from isocortex.errors import UsageError
    from isocortex_trainable.hmo.labelled_folder import parted, read_labelled_folder
    from isocortex_trainable.hmo.screening import shapes_on_textures

    if images is not None:
        return parted(read_labelled_folder(images, settings.image), settings.seed)
    if settings.image.colours != "grey":
        raise UsageError("The shapes are grey; --colours rgb is for --images.")
    size, seed = settings.image.size, settings.seed
    return (
        shapes_on_textures(per_class, seed, "search", size),
        shapes_on_textures(per_class, seed, "test", size),
    )


def _told(found: Found, searched: LabelledImages, held_out: LabelledImages, settings: SearchSettings) -> dict[str, Any]:
    """What made a configuration, and how good it is."""
    from importlib.metadata import version

    import torch

    from isocortex_trainable.hmo.correlation_classifier import classify
    from isocortex_trainable.hmo.network import features

    image = settings.image
    options = {
        "trials": settings.trials,
        "seed": settings.seed,
        "levels": settings.levels,
        "size": image.size,
        "colours": image.colours,
    }
    given = [features(found.configuration, part.images) for part in (searched, held_out)]
    right = classify(given[0], searched.labels, given[1]) == held_out.labels
    return {
        "command": " ".join(["isocortex hmo search", *(f"--{name} {value}" for name, value in options.items())]),
        "settings": settings.model_dump(mode="json"),
        "versions": {name: version(name) for name in ("isocortex-trainable", "optuna", "torch", "numpy")},
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "n_search_images": len(searched.labels),
        "accuracy_in_search": found.accuracy,
        "accuracy_by_step": list(found.accuracy_by_step),
        "n_new_images": len(held_out.labels),
        "accuracy_on_new_images": float(right.mean()),
    }


class Progress:
    """Says how far a search is, and how long it will take by the pace so far.

    Parameters
    ----------
    n_steps
        Of the whole.
    say
        Writes a line.
    """

    def __init__(self, n_steps: int, say: Callable[[str], None]) -> None:
        self._n_steps, self._say = n_steps, say
        self._n_done, self._n_computed, self._start = 0, 0, time.monotonic()

    def step(self, computed: bool) -> None:
        """One more is done; those that were done before say nothing about the pace."""
        before = self._n_done * 20 // self._n_steps
        self._n_done += 1
        self._n_computed += computed
        if self._n_done * 20 // self._n_steps > before and self._n_computed:
            pace = (time.monotonic() - self._start) / self._n_computed
            left = pace * (self._n_steps - self._n_done)
            self._say(f"networks {self._n_done}/{self._n_steps}, about {left / 60:.1f} min left")
