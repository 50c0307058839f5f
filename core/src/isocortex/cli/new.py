"""``isocortex new plugin``: a package of one's own, small and whole, whose conformance test passes at once."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

import click

from isocortex.errors import UsageError, printable

_TEMPLATES = Path(__file__).parent / "plugin_templates"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_N_TONES, _SAMPLE_RATE = 24, 16000
_BEST_HZ = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0)


@dataclass(frozen=True)
class Kind:
    """A kind of plugin that can be begun.

    Attributes
    ----------
    module
        Name of the module that is written, without its ending.
    offers
        What it is, in words.
    dependencies
        Requirements beyond isocortex and numpy.
    check
        A command that uses it; ``$id`` is the name of the package.
    first_step
        What a person changes first.
    """

    module: str
    offers: str
    dependencies: tuple[str, ...]
    check: str
    first_step: str


#: what --kind names; the templates of a kind are KIND.toml.txt and MODULE.py.txt
KINDS = {
    "model": Kind(
        "model",
        "a model",
        (),
        "isocortex score -m $id -b 'simulated-cortex*'",
        "`model.py`: what `run` computes, and the names of its layers, which stand in `isocortex.toml` as well.",
    ),
    "torch": Kind(
        "network",
        "a network in torch",
        ("isocortex[torch]", "Pillow>=10"),
        "isocortex extract -m $id-net@random:0 --stimuli FOLDER_OF_IMAGES --out activations",
        "`network.py`: `build` and `pixels`, and the layers in `isocortex.toml`.",
    ),
    "dataset": Kind(
        "recordings",
        "a data set",
        ("isocortex-metrics", "pandas>=2.2"),
        "isocortex info $id-cells.ridge",
        "`recordings/`: your stimuli and responses; then titles, units, licence and whom to cite.",
    ),
    "metric": Kind(
        "metric",
        "a metric",
        ("pydantic>=2.7", "xarray>=2024.6"),
        "isocortex info $id-nearest",
        "`metric.py`: what `score` returns, and how draws are made (`resample`), without which there is no interval.",
    ),
}


@click.group()
def new() -> None:
    """Begin something of your own."""


@new.command()
@click.argument("name")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(list(KINDS)),
    default=["model"],
    show_default=True,
    help="What it offers; may be given several times.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path(), help="Where the package's folder goes; default: here."
)
def plugin(name: str, kinds: tuple[str, ...], out: Path) -> None:
    """Write a package that offers a model, a network in torch, a data set or a metric, with its test.

    NAME is in small letters, digits and hyphens, and becomes the name of the package, isocortex-NAME, and of what it
    offers.
    """
    from isocortex.files.disk import home_expanded

    folder = write_package(name, kinds, home_expanded(out))
    print(printable(f"{folder}\n  pip install --editable '{folder}[test]'\n  python -m pytest {folder}"))


def write_package(name: str, kinds: Sequence[str], out: Path) -> Path:
    """Write a package below ``out``; returns its folder.

    Raises
    ------
    UsageError
        A name that no package can have or that is taken, or a folder that is there already.
    StoreError
        It cannot be written.
    """
    from isocortex.files.disk import write_atomic

    chosen = tuple(dict.fromkeys(kinds))
    names = _names(name, chosen)
    folder = out / names["distribution"]
    if folder.exists():
        raise UsageError(f"{folder} is there already, and nothing of it was touched. Choose another name or --out.")
    for path, content in _files(names, chosen):
        write_atomic(folder / path, lambda file, content=content: file.write(content))
    return folder


def _names(name: str, kinds: Sequence[str]) -> dict[str, str]:
    """What the templates are filled with."""
    short = name.removeprefix("isocortex-")
    if not _NAME.fullmatch(short) or keyword.iskeyword(short):
        raise UsageError(
            f"{name!r} is no name for a package: small letters, digits and single hyphens, a letter first."
        )
    _refuse_taken(short)
    offers = " and ".join(KINDS[kind].offers for kind in kinds)
    needed = ["isocortex>=0.1", "numpy>=1.26", *(line for kind in kinds for line in KINDS[kind].dependencies)]
    filled = {
        "distribution": f"isocortex-{short}",
        "package": f"isocortex_{short.replace('-', '_')}",
        "entry": short.replace("-", "_"),
        "id": short,
        "offers": offers[0].upper() + offers[1:],
        "dependencies": ", ".join(f'"{line}"' for line in dict.fromkeys(needed)),
    }
    return filled | {
        "try_it": "\n".join(Template(KINDS[kind].check).substitute(filled) for kind in kinds),
        "first_steps": "\n".join(f"- {KINDS[kind].first_step}" for kind in kinds),
    }


def _refuse_taken(short: str) -> None:
    from isocortex.catalogue.rows import Catalogue

    catalogue = Catalogue.discover()
    taken = [row for row in catalogue.rows if row.id in (short, f"{short}-net", f"{short}-cells", f"{short}-nearest")]
    if taken or any(row.package == f"isocortex-{short}" for row in catalogue.rows):
        by = taken[0].package if taken else f"isocortex-{short}"
        raise UsageError(f"{short!r} is the name of something that is installed, by {by}. Choose another.")


def _files(names: dict[str, str], kinds: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Every file of the package, by its path."""

    def filled(template: str) -> bytes:
        return Template((_TEMPLATES / template).read_text(encoding="utf-8")).substitute(names).encode()

    source = f"src/{names['package']}"
    yield "pyproject.toml", filled("pyproject.toml.txt")
    yield "README.md", filled("README.md.txt")
    yield f"tests/test_{names['entry']}_conformance.py", filled("test_conformance.py.txt")
    yield f"{source}/__init__.py", filled("init.py.txt")
    yield f"{source}/py.typed", b""
    rows = [filled(f"{kind}.toml.txt") for kind in kinds]
    yield f"{source}/isocortex.toml", b"".join([filled("manifest.toml.txt"), *rows])
    for kind in kinds:
        yield f"{source}/{KINDS[kind].module}.py", filled(f"{KINDS[kind].module}.py.txt")
    if "dataset" in kinds:
        for name, content in _recordings():
            yield f"{source}/recordings/{name}", content


def _recordings() -> Iterator[tuple[str, bytes]]:
    """Tones as WAV files, their table, and three repetitions of cells with Gaussian tuning over octaves."""
    from io import BytesIO

    import numpy as np
    import pandas as pd
    import soundfile

    draw = np.random.default_rng(0)
    frequency_hz = draw.permutation(np.geomspace(100, 6000, _N_TONES)).round(1)
    ids = [f"tone{number:02d}" for number in range(_N_TONES)]
    time_s = np.arange(_SAMPLE_RATE // 4) / _SAMPLE_RATE
    for name, frequency in zip(ids, frequency_hz, strict=True):
        content = BytesIO()
        tone = 0.5 * np.sin(2 * np.pi * frequency * time_s) + draw.uniform(-0.05, 0.05, time_s.size)
        soundfile.write(content, tone, _SAMPLE_RATE, format="WAV", subtype="PCM_16")
        yield f"stimuli/{name}.wav", content.getvalue()
    table = pd.DataFrame({"stimulus_id": ids, "frequency_hz": frequency_hz})
    yield "stimuli.csv", table.to_csv(index=False).encode()
    tuned = 20 * np.exp(-(np.log2(frequency_hz[:, None] / np.array(_BEST_HZ)) ** 2))  # (n_stimuli, n_neuroids)
    cells = [f"cell{number}" for number in range(len(_BEST_HZ))]
    trials = [
        pd.DataFrame(draw.poisson(tuned + 2), columns=cells).assign(stimulus_id=ids, repetition=repetition)
        for repetition in range(3)
    ]
    rows = pd.concat(trials)[["stimulus_id", "repetition", *cells]]
    yield "responses.csv", rows.to_csv(index=False).encode()
