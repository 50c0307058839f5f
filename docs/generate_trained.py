"""Scores trained networks and the same networks untrained on real brains, and writes the tables of the page about them.

    python docs/generate_trained.py --from FOLDER [--results RESULTS]    score what is not scored yet, then write
    python docs/generate_trained.py --results RESULTS                    write alone

FOLDER holds recordings and networks: ``nh2015``, ``kriegeskorte2008``, ``cowley2023``, ``geirhos2021``, ``networks``.
Finished cells are not scored again. All of it takes about an hour on two cores.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

PAGE = Path(__file__).parent / "concepts" / "trained-against-untrained.md"
BLOCK = re.compile(r"(?<=<!-- table: )(?P<name>[a-z0-9-]+)(?P<rest> -->\n).*?(?=<!-- end -->)", re.DOTALL)
SEEDS = "0..4"
WHISPER, MARBLENET = "openai/whisper-tiny.en", "nvidia/Frame_VAD_Multilingual_MarbleNet_v2.0"
SQUEEZENET, LITE0, B0 = "squeezenet1_1", "timm/tf_efficientnet_lite0", "efficientnet_b0"
#: weights to be converted: file → parts below ``networks``
WEIGHTS = {
    "whisper_tiny_en.safetensors": ("whisper_tiny_en_encoder_a_fp16.npz", "whisper_tiny_en_encoder_b_fp16.npz"),
    "squeezenet1_1.safetensors": ("squeezenet1_1_imagenet.npz",),
    "tf_efficientnet_lite0.safetensors": ("tf_efficientnet_lite0_imagenet_fp16.npz",),
    "efficientnet_b0.safetensors": ("efficientnet_b0_body_fp16.npz",),
}


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes
    ----------
    benchmarks
        What is scored.
    networks
        Row → file of its trained weights; each is scored untrained, too.
    layers
        Layers to take instead of the networks' defaults.
    controls
        Models without weights.
    also
        A further statistic that stands beside the value.
    """

    benchmarks: tuple[str, ...]
    networks: dict[str, str]
    layers: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    also: str | None = None


TABLES = {
    "nh2015": Table(
        ("NH2015comp.ridge",),
        {WHISPER: "whisper_tiny_en.safetensors", MARBLENET: "marblenet.nemo"},
        controls=("log-mel", "spectrotemporal", "category"),
    ),
    "v4": Table(
        ("Cowley2023.210325.ridge",),
        {SQUEEZENET: "squeezenet1_1.safetensors"},
        tuple(f"features.{place}" for place in (2, 4, 7, 9, 11, 12)),
        controls=("pixels",),
    ),
    "it": Table(
        ("Kriegeskorte2008.human-IT.rsa",),
        {
            SQUEEZENET: "squeezenet1_1.safetensors",
            LITE0: "tf_efficientnet_lite0.safetensors",
            B0: "efficientnet_b0.safetensors",
        },
        ("features.*", "blocks.*"),
        controls=("pixels", "category"),
        also="group_rho",
    ),
    "people": Table(
        ("Geirhos2021.silhouette.error-consistency", "Geirhos2021.edge.error-consistency"),
        {
            f"16-way/as-is/{SQUEEZENET}": "squeezenet1_1.safetensors",
            f"16-way/as-is/{LITE0}": "tf_efficientnet_lite0.safetensors",
        },
    ),
}


# --- scoring ----------------------------------------------------------------------------------------------------------


def isocortex(*arguments: str) -> None:
    """Run a command; a failed one ends the script."""
    print("isocortex", *arguments, flush=True)
    if subprocess.run([sys.executable, "-m", "isocortex", *arguments], stdout=subprocess.DEVNULL).returncode:  # noqa: S603
        sys.exit(f"isocortex {arguments[0]} failed.")


def convert(networks: Path, folder: Path) -> None:
    """Weights as the rows take them."""
    from isocortex.models.convert_checkpoint import convert as join

    folder.mkdir(parents=True, exist_ok=True)
    for name, parts in WEIGHTS.items():
        if not (folder / name).exists():
            join([networks / part for part in parts], folder / name)
    if not (folder / "marblenet.nemo").exists():
        sys.path.insert(0, str(Path(__file__).parents[1]))
        from isocortex_nemo.network import import_nemo
        from tests.nemo_stand_ins import pack_marblenet

        import_nemo()
        pack_marblenet(networks / "marblenet_vad_nemo.npz", folder / "marblenet.nemo")


def score(source: Path, results: Path) -> None:
    """Bring data here, and score every table."""
    weights = results / "weights"
    convert(source / "networks", weights)
    for table in TABLES.values():
        chosen = [part for name in table.benchmarks for part in ("-b", name)]
        isocortex("fetch", *chosen, "--from", str(source))
        for model in table.controls:
            isocortex("score", "-m", model, *chosen, "--out", str(results))
        for model, file in table.networks.items():
            layers = [part for layer in layers_of(model, table) for part in ("--layers", layer)]
            trained = f"{model}@file:{weights / file}=trained"
            untrained = f"nemo:{weights / file}" if model == MARBLENET else model
            for name in (trained, f"{untrained}@random:{SEEDS}"):
                isocortex("score", "-m", name, *layers, *chosen, "--out", str(results))


def layers_of(model: str, table: Table) -> tuple[str, ...]:
    """Of the layers that a table names, those that a network can have."""
    return tuple(layer for layer in table.layers if layer.startswith("blocks") == model.startswith("timm/"))


# --- writing ----------------------------------------------------------------------------------------------------------


def rows_of(table: Table, results: pd.DataFrame) -> Iterator[str]:
    """Lines of a table in Markdown: a network trained, its seeds together, then controls."""
    for benchmark in table.benchmarks:
        here = results[(results["benchmark"] == benchmark) & (results["region"] == "all")]
        for model in table.networks:
            own = here[here["model"].isin([model, *(["nemo:" + _nemo(here)] if model == MARBLENET else [])])]
            trained, seeds = own[own["variant"].str.startswith("file:")], own[own["variant"].str.startswith("random:")]
            if len(trained) != 1 or len(seeds) != 5:
                sys.exit(f"{benchmark}: {model} has {len(trained)} trained and {len(seeds)} untrained results.")
            yield _line(benchmark, model, trained.iloc[0], seeds, table.also)
        for model in table.controls:
            [control] = [row for _, row in here[here["model"] == model].iterrows()]
            yield _line(benchmark, model, control, None, table.also)


def _nemo(results: pd.DataFrame) -> str:
    found = [name for name in results["model"].unique() if str(name).startswith("nemo:")]
    return found[0].removeprefix("nemo:") if found else ""


def _line(benchmark: str, model: str, row: Any, seeds: pd.DataFrame | None, also: str | None) -> str:
    value = f"{row['value']:.3f} [{row['interval_low']:.3f}, {row['interval_high']:.3f}]"
    untrained = "–"
    if seeds is not None:
        highest = seeds["interval_high"].max()
        untrained = f"{seeds['value'].min():.3f} to {seeds['value'].max():.3f} (upper bounds to {highest:.3f})"
    cells = [benchmark, f"`{model}`", value, untrained]
    if also is not None:
        measure = f"also_{also}"
        more = [f"{one:.3f}" for one in ([row[measure]] if seeds is None else [row[measure], *seeds[measure]])]
        cells.append(more[0] if seeds is None else f"{more[0]}; {min(more[1:])} to {max(more[1:])}")
    return f"| {' | '.join(cells)} |\n"


def written(table: Table, results: pd.DataFrame) -> str:
    """A table in Markdown."""
    head = ["benchmark", "model", "trained, or without weights", "untrained, five seeds"]
    if table.also is not None:
        head.append(f"{table.also}: trained; untrained")
    return f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n{''.join(rows_of(table, results))}"


def main() -> None:
    """Score what is asked for, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", type=Path, help="recordings and networks")
    parser.add_argument("--results", type=Path, default=Path("trained"))
    asked = parser.parse_args()
    if asked.source is not None:
        score(asked.source, asked.results)
    import isocortex as package

    results = package.results(asked.results)
    page = PAGE.read_text(encoding="utf-8")
    tables = {name: written(table, results) for name, table in TABLES.items()}
    PAGE.write_text(
        BLOCK.sub(lambda found: f"{found['name']}{found['rest']}{tables[found['name']]}", page), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
