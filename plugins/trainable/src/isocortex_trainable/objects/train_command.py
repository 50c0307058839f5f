"""``isocortex train``: a network that learns to name objects, from an archive to a folder that can be scored."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isocortex.errors import FilesError, SettingsError, UsageError

if TYPE_CHECKING:
    from isocortex.training import Fitted
    from isocortex_trainable.objects.cifar_archives import Cifar
    from isocortex_trainable.objects.lessons import Lessons


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the options say."""

    epochs: tuple[int, ...] | None
    width: float
    whiten: bool
    augment: bool


def _epochs(context: click.Context, option: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    del context, option
    if text is None:
        return None
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise click.BadParameter(f"expected whole numbers with commas between them, found {text!r}.")
    return tuple(int(part) for part in parts)


@click.command("train")
@click.argument("model", type=click.Choice(["cifar-cnn", "hd-cnn"]))
@click.option("--data", required=True, type=click.Path(path_type=Path), metavar="ARCHIVE|FOLDER",
              help="cifar-10-python.tar.gz, cifar-100-python.tar.gz, or what one of them becomes.")  # fmt: skip
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="Where the network goes.")
@click.option("--epochs", callback=_epochs, metavar="N[,N,N,N]",
              help="cifar-cnn: 5. hd-cnn: of the plain network, the coarse branch, each fine branch, and all of it: "
                   "30,20,10,10.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Draws weights, batches, dropout and augmentation.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, mps, or auto.")
@click.option("--width", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True,
              help="Channels and units, in multiples of the published ones.")  # fmt: skip
@click.option("--whiten/--no-whiten", default=True, show_default=True,
              help="hd-cnn: whitened images, or only their mean subtracted.")  # fmt: skip
@click.option("--augment/--no-augment", default=True, show_default=True,
              help="hd-cnn: every image also mirrored and turned, both at places that are drawn.")  # fmt: skip
def train(model: str, data: Path, out: Path, seed: int, device: str, **options: Any) -> None:
    """Train a network on the objects of CIFAR-10 or CIFAR-100, and name the images of the test part once.

    Epochs are chosen on a tenth of the training part that is held out. A training that was killed goes on at its last
    epoch when the same command is given again. What is written into FOLDER is scored as MODEL@file:FOLDER.
    """
    from isocortex_trainable.objects.cifar_archives import opened_cifar

    asked = Asked(**options)
    with opened_cifar(data) as archive:
        lessons = LESSONS[model](archive, asked)
        fitted, is_new = trained(archive, lessons, out, seed=seed, device=device)
    for text in fitted.settings["warnings"]:
        print(f"warning: {text}", file=sys.stderr)
    print(said_of(model, fitted, out, is_new=is_new))


def said_of(model: str, fitted: Fitted, out: Path, *, is_new: bool) -> str:
    """What a training led to, in lines."""
    test, epochs = fitted.settings["test"], fitted.settings["epochs"]
    coarse = f", {test['coarse']['accuracy']:.1%} in the right coarse class" if "coarse" in test else ""
    stages = ", ".join(f"{stage} {epoch}" for stage, epoch in epochs.items() if not stage.startswith("fine_"))
    again = "" if is_new else " It was trained before."
    return (
        f"{model}: {test['accuracy']:.1%} of {test['n_images']:,} test images are named right{coarse}; "
        f"epochs: {stages}.{again}\nScore it with -m {model}@file:{out}"
    )


def trained(archive: Cifar, lessons: Lessons, out: Path, *, seed: int, device: str) -> tuple[Fitted, bool]:
    """Train into a folder, or find what the same training left there.

    Returns
    -------
    What training left, and whether it was trained now.

    Raises
    ------
    UsageError
        The folder holds something else.
    """
    from isocortex.files import digest_of
    from isocortex.training import training_alone, write_fitted
    from isocortex_trainable.objects.lessons import fitted_on

    key = digest_of([lessons.model, lessons.settings(), seed, archive.training.digest, digest_code()])
    before = _found(out, key)
    if before is not None:
        return before, False
    name = f"{lessons.model} on {archive.layout.id}"
    with training_alone(key, name, device=device) as alone:
        before = _found(out, key)  # another process may have trained it meanwhile
        if before is not None:
            return before, False
        fitted = fitted_on(archive, lessons, alone.journal, seed=seed, device=alone.device)
        fitted = replace(fitted, settings={**fitted.settings, "key": key})
        write_fitted(out, fitted)
    return fitted, True


def digest_code() -> str:
    """Digest over the code of this package and the version of torch: what is begun is not gone on with by another."""
    import torch

    from isocortex.files import digest_files, digest_of

    modules = sorted(Path(__file__).parents[1].rglob("*.py"))
    digests = digest_files(modules)
    return digest_of([str(torch.__version__), [digests[path] for path in modules]])


def _found(out: Path, key: str) -> Fitted | None:
    """What the same training left in a folder; None where there is no such folder."""
    from isocortex.training import read_fitted

    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    try:
        fitted = read_fitted(out)
    except FilesError as error:
        raise UsageError(
            f"{out} is there already, and is no whole training. Choose another --out. ({error})"
        ) from error
    if fitted.settings.get("key") != key:
        raise UsageError(f"{out} holds another training. Choose another --out, or delete it.")
    return fitted


def _cifar_cnn(archive: Cifar, asked: Asked) -> Lessons:
    from isocortex_trainable.objects.cifar_cnn import CifarCNNArchitecture
    from isocortex_trainable.objects.cifar_cnn_training import CifarCNNPlan
    from isocortex_trainable.objects.lessons import CifarCNNLessons

    if not (asked.whiten and asked.augment):
        raise SettingsError("--no-whiten and --no-augment are for hd-cnn; cifar-cnn does neither.")
    plan = CifarCNNPlan()
    if asked.epochs is not None:
        if len(asked.epochs) != 1 or not asked.epochs[0]:
            raise SettingsError(f"cifar-cnn has one number of epochs, at least 1; found {_listed(asked.epochs)}.")
        plan = CifarCNNPlan(epochs=asked.epochs[0])
    architecture = CifarCNNArchitecture(n_classes=len(archive.fine_names)).scaled(asked.width)
    return CifarCNNLessons(architecture=architecture, plan=plan)


def _hd_cnn(archive: Cifar, asked: Asked) -> Lessons:
    from isocortex_trainable.objects.hd_cnn import HDArchitecture
    from isocortex_trainable.objects.hd_training import HDPlan
    from isocortex_trainable.objects.lessons import HDLessons

    n_coarse = len(set(archive.coarse_of.tolist()))
    plan = HDPlan(augment=asked.augment)
    if asked.epochs is not None:
        if len(asked.epochs) != 4 or not asked.epochs[0]:
            raise SettingsError(
                f"hd-cnn has four numbers of epochs, the first at least 1, such as 30,20,10,10; "
                f"found {_listed(asked.epochs)}."
            )
        names = ("plain", "coarse", "branch", "end_to_end")
        plan = replace(plan, **dict(zip(names, asked.epochs, strict=True)))
    architecture = HDArchitecture(n_fine=len(archive.fine_names), n_coarse=n_coarse).scaled(asked.width)
    return HDLessons(architecture=architecture, plan=plan, whiten=asked.whiten)


def _listed(numbers: tuple[int, ...]) -> str:
    return ",".join(map(str, numbers))


LESSONS: Mapping[str, Callable[[Any, Asked], Lessons]] = {"cifar-cnn": _cifar_cnn, "hd-cnn": _hd_cnn}
