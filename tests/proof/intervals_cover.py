"""How often 95 % intervals hold the truth, on simulated problems of which it is known.

python tests/proof/intervals_cover.py results.jsonl                  # all cells, 2,000 problems each: days of one core
python tests/proof/intervals_cover.py results.jsonl --problems 200   # fewer problems
python tests/proof/intervals_cover.py results.jsonl --metric rsa     # cells of one metric
python tests/proof/intervals_cover.py results.jsonl --table          # what was found so far, as Markdown

A cell is a generator: features, the maps from them to neuroids, noise, and the sampling of stimuli. Each problem of a
cell is a new sample of stimuli, with the maps and neuroids as they are; of several participants, new ones are drawn for
each problem. The truth is the mean of the value over as many further samples of the same generator, and not what
infinitely many stimuli would give. A problem is scored as ``isocortex.score`` does it: splits, penalties, choice of
layers, draws and summary are those of a run. Cells that the file has are not run again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from isocortex.activations import Activations
from isocortex.data import make_responses
from isocortex.interfaces import Preparation, Rules
from isocortex.loading.by_name import load_metric
from isocortex.typing import Array

METRICS = ("ridge", "rsa", "pls")
#: stimuli × units
SIZES = ((165, 50), (80, 20))
#: share of the responses' variance that the features explain
SIGNALS = {"noise": 0.0, "weak": 0.1, "strong": 0.6}
#: participants and neuroids in all
PEOPLE = ((1, 6), (8, 48), (1, 100), (1, 1000), (8, 1000))
#: share of the variance of mean responses that repeats, and the number of repetitions
RELIABILITY, N_REPETITIONS = 0.75, 3
#: degrees of freedom of Student's t of heavy-tailed responses: an excess kurtosis of 6
HEAVY = 5
#: how each metric relates a value to its ceiling
CEILED = {"ridge": "r_over_sqrt_c", "rsa": "none", "pls": "r_over_c_squared"}
#: wanted of the coverage, and of sd(draws) / sd(value)
LEAST, RATIOS = 0.93, (0.8, 1.5)


@dataclass(frozen=True)
class Cell:
    """One generator and how it is scored."""

    metric: str
    n_stimuli: int
    n_units: int
    signal: str
    n_participants: int
    n_neuroids: int
    tails: str
    n_layers: int

    @property
    def name(self) -> str:
        """What tells it from others."""
        return (
            f"{self.metric} {self.n_stimuli}x{self.n_units} {self.signal} {self.n_neuroids}/{self.n_participants} "
            f"{self.tails} {self.n_layers}"
        )


def cells() -> Iterator[Cell]:
    """All cells, cheap ones first: heavy tails and the choice of a layer with few neuroids."""
    for (people, neuroids), metric, size, signal in product(PEOPLE, METRICS, SIZES, SIGNALS):
        few = (people, neuroids) == PEOPLE[0]
        for tails, n_layers in [("normal", 1), *([("heavy", 1), ("normal", 4)] if few else [])]:
            yield Cell(metric, *size, signal, people, neuroids, tails, n_layers)


class Generator:
    """Problems of a cell."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        stream = np.random.default_rng([*cell.name.encode()])
        self.scale = np.arange(1, cell.n_units + 1) ** -0.5
        self.shared = stream.standard_normal((2, cell.n_units, cell.n_neuroids))
        self.mixed = stream.standard_normal((cell.n_layers - 1, cell.n_units, cell.n_units))
        self.subject = np.arange(cell.n_neuroids) % cell.n_participants
        self.names = [f"s{place:04d}" for place in range(cell.n_stimuli)]

    def problem(self, number: int) -> tuple[xr.DataArray, dict[str, Activations]]:
        """Responses and layers of a sample of stimuli; the first layer is the one that responses follow."""
        cell, stream = self.cell, np.random.default_rng([number, *self.cell.name.encode()])
        latent = stream.standard_normal((2, cell.n_stimuli, cell.n_units)) * self.scale
        maps = self.shared
        if cell.n_participants > 1:  # neuroids of new participants, who have half of their maps in common
            maps = np.sqrt(0.5) * (maps + stream.standard_normal(maps.shape))
        norm = np.sqrt((self.scale[:, None] ** 2 * maps**2).sum(axis=1))
        known, own = (part @ weights / size for part, weights, size in zip(latent, maps, norm, strict=True))
        share = SIGNALS[cell.signal]
        shape = (N_REPETITIONS, cell.n_stimuli, cell.n_neuroids)
        noise = np.sqrt((1 - RELIABILITY) * N_REPETITIONS) * self._errors(stream, shape)
        if cell.tails == "heavy":
            own = self._errors(stream, own.shape)
        responses = np.sqrt(share) * known + np.sqrt(RELIABILITY - share) * own + noise
        others = [np.tanh(2 * latent[0] @ mix) + self._errors(stream, latent[0].shape) for mix in self.mixed]
        neuroid = {"subject": [f"p{code}" for code in self.subject]} if cell.n_participants > 1 else None
        return make_responses(responses, self.names, neuroid=neuroid), {
            f"layer{place}": self._activations(values, f"layer{place}")
            for place, values in enumerate([latent[0], *others])
        }

    def _errors(self, stream: np.random.Generator, shape: tuple[int, ...]) -> Array:
        if self.cell.tails == "normal":
            return stream.standard_normal(shape)
        return stream.standard_t(HEAVY, shape) / np.sqrt(HEAVY / (HEAVY - 2))

    def _activations(self, values: Array, name: str) -> Activations:
        coordinates = {"stimulus_id": ("stimulus", self.names)}
        return Activations.from_xarray(xr.DataArray(values, dims=("stimulus", "unit"), coords=coordinates, name=name))


def scored(cell: Cell, generator: Generator, number: int, *, with_draws: bool) -> Any:
    """Summary of one problem, as a run makes it."""
    responses, layers = generator.problem(number)
    preparation = Preparation(Rules(ceiling_mode=CEILED[cell.metric]), keep=("prediction",) if with_draws else ())
    comparison = load_metric(cell.metric).against(responses, preparation=preparation)
    return comparison.summarise(comparison.score_all(layers))


def coverage(cell: Cell, n_problems: int) -> dict[str, Any]:
    """Share of the intervals of a cell that hold the truth, and how wide they are."""
    generator = Generator(cell)
    found = [scored(cell, generator, number, with_draws=True) for number in range(n_problems)]
    further = [scored(cell, generator, n_problems + number, with_draws=False) for number in range(n_problems)]
    row: dict[str, Any] = {**vars(cell), "n_problems": n_problems}
    for name, low, high in (("value", "interval_low", "interval_high"), ("ceiled", "ceiled_low", "ceiled_high")):
        bounds = [(getattr(one, low), getattr(one, high)) for one in found]
        others = [getattr(one, name) for one in further if getattr(one, name) is not None]
        known = [(low, high) for low, high in bounds if low is not None and high is not None]
        if known and others:
            truth = float(np.mean(others))
            row[f"{name}_truth"] = truth
            row[f"{name}_inside"] = sum(low <= truth <= high for low, high in known)
            row[f"{name}_n"] = len(known)
    values = [one.value for one in (*found, *further) if one.value is not None]
    row["sd"] = float(np.std(values, ddof=1))
    row["ratio"] = float(np.mean([np.std(one.draws, ddof=1) for one in found if one.draws])) / row["sd"]
    return row


def wilson(inside: int, n: int) -> tuple[float, float]:
    """95 % interval of a share."""
    z, share = 1.959964, inside / n
    centre, half = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return float((centre - half) / (1 + z**2 / n)), float((centre + half) / (1 + z**2 / n))


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown of what was found."""
    lines = [
        "| metric | stimuli × units | signal | participants, neuroids | tails | layers | problems | truth | coverage "
        "| sd(draws) / sd(value) | ceiled | |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        share = row["value_inside"] / row["value_n"]
        low, high = wilson(row["value_inside"], row["value_n"])
        ceiled = f"{row['ceiled_inside'] / row['ceiled_n']:.3f}" if row.get("ceiled_n") else "–"
        marks = [] if 0.93 <= share <= 0.97 else ["narrow" if share < LEAST else "wide"]
        cell = [f"`{row['metric']}`", f"{row['n_stimuli']} × {row['n_units']}", row["signal"]]
        cell += [f"{row['n_participants']}, {row['n_neuroids']}", row["tails"], row["n_layers"], row["n_problems"]]
        found = [f"{row['value_truth']:.3f}", f"{share:.3f} ({low:.3f}–{high:.3f})", f"{row['ratio']:.2f}", ceiled]
        lines.append(f"| {' | '.join(map(str, [*cell, *found, ' '.join(marks)]))} |")
    return "\n".join(lines)


def main() -> None:
    """Run the cells that a file lacks, or print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--problems", type=int, default=2000)
    parser.add_argument("--metric", choices=METRICS)
    parser.add_argument("--most-neuroids", type=int, default=1000)
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    rows = [json.loads(line) for line in asked.path.read_text().splitlines()] if asked.path.exists() else []
    if asked.table:
        print(table(rows))
        return
    done = {Cell(**{name: row[name] for name in Cell.__dataclass_fields__}).name for row in rows}
    for cell in cells():
        if cell.name in done or asked.metric not in (None, cell.metric) or cell.n_neuroids > asked.most_neuroids:
            continue
        row = coverage(cell, asked.problems)
        with asked.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(table([row]).splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
