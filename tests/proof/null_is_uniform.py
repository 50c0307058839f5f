"""Is p uniform where models have nothing to do with a brain, and is the calibrated value of noise 0?

    python tests/proof/null_is_uniform.py [--metric ridge rsa cka pls widths best] [--models 200] [--out FILE]

Everything is drawn by fixed seeds; what is found of each model is a line of the file, and a run that is started again
goes on after the last one. At the end the tables are printed. It runs what ``isocortex score --null`` runs: the
metrics against a data set, which stimuli may change places, and all permutations with the choice of a layer.

- **Uniformity**: one brain, and noise models of 43 layers that are drawn independently of it, B = 199. No test ends
  early, so that p is one of 1/200, 2/200, …, 1, each as likely under H0. p is the larger end of its step; drawn
  uniformly within the step it is continuous, and Kolmogorov–Smirnov tests it against the uniform distribution. p as
  ``score --null`` gives it, with the early end, is made of the same permutations: it may be 10/l or k/200, and
  P(p ≤ a) = a for each of these, so that within its own steps it is tested in the same way. Of the first models of a
  case it is compared with what ``score --null`` calls, to the last digit.
- **Width**: a layer of 10 to 10,000 units of noise, 60 stimuli, 20 neuroids.
- **Best of 43**: seven stimuli, too few for halves, so that the best layer is chosen on what it is judged on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kstest

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import Dataset, make_responses
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.interfaces import Comparison, Preparation, Rules
from isocortex.run.asked_null import Null
from isocortex.run.permuting import exchangeable_of, with_null
from isocortex.scoring import values_of
from isocortex.scoring.calibrated_zero import STOP_AFTER, zero_of

SEED = 17
PREPARATION = Preparation(Rules(n_draws=2), keep=())
N_PERMUTATIONS = 199
#: models of a case of which p is compared with that of a run
N_COMPARED = 3
WIDTHS = (10, 100, 1000, 10_000)


@dataclass(frozen=True)
class Case:
    """A benchmark, and noise models that are scored on it.

    Attributes
    ----------
    metric, settings
        Of the benchmark.
    n_stimuli, n_neuroids
        Of the brain, whose two participants have half of the neuroids each.
    n_layers, width
        Of a model.
    size
        Stimuli of a group; 0: there are no groups.
    related
        "responses": what they share within a group is in the responses alone; "both": in the features, too.
    """

    metric: str
    settings: dict[str, object] = field(default_factory=dict)
    n_stimuli: int = 24
    n_neuroids: int = 4
    n_layers: int = 43
    width: int = 4
    size: int = 0
    related: str = ""
    n_permutations: int = N_PERMUTATIONS


_FOLDS = {"n_folds": 3, "n_repeats": 1}
UNIFORM = {
    "ridge": Case("ridge", {**_FOLDS}),
    "ridge, stratified": Case("ridge", {**_FOLDS, "stratify": "kind"}, 30, size=6, related="responses"),
    "ridge, grouped": Case("ridge", {**_FOLDS, "group": "kind"}, 36, size=2, related="both"),
    "rsa": Case("rsa", {"n_halvings": 2}),
    "rsa, grouped": Case("rsa", {"n_halvings": 2}, size=2, related="both"),
    "cka": Case("cka", {"n_halvings": 2}),
    "pls": Case("pls", {"n_components": 1, "inner_folds": 2}, 30),
}
OF_WIDTH = {
    f"{metric}, {width} units": Case(metric, n_stimuli=60, n_neuroids=20, n_layers=1, width=width, n_permutations=99)
    for metric in ("brainscore-cka-biased", "procrustes", "cka")
    for width in WIDTHS
}
OF_BEST = {
    f"{metric}, best of {n_layers}": Case(metric, n_stimuli=7, n_neuroids=20, n_layers=n_layers, width=5)
    for metric in ("rsa", "cka")
    for n_layers in (1, 43)
}
CASES = {**UNIFORM, **OF_WIDTH, **OF_BEST}


def ids_of(n_stimuli: int) -> list[str]:
    """Names of stimuli."""
    return [f"stimulus{number:03d}" for number in range(n_stimuli)]


def kinds_of(case: Case) -> list[int]:
    """Number of the group of each stimulus."""
    return [number // case.size for number in range(case.n_stimuli)]


def noise(stream: np.random.Generator, case: Case, width: int, *, alike: bool) -> np.ndarray:
    """Independent normal numbers (n_stimuli, width); where they are alike in groups, with as much that groups share."""
    values = stream.standard_normal((case.n_stimuli, width))
    if alike:
        kinds = kinds_of(case)
        values += 1.5 * stream.standard_normal((max(kinds) + 1, width))[kinds]
    return values


def brain(case: Case) -> Dataset:
    """The one brain of a case."""
    import pandas as pd

    ids = ids_of(case.n_stimuli)
    pictures = {name: Stimulus(name, "image", np.full((2, 2, 3), number, np.uint8)) for number, name in enumerate(ids)}
    table = pd.DataFrame({"kind": [str(kind) for kind in kinds_of(case)]} if case.size else {}, index=ids)
    stimuli = StimulusSet("noise", "image", pictures, table=table)
    values = noise(np.random.default_rng([SEED, 0]), case, case.n_neuroids, alike=bool(case.related))
    half = case.n_neuroids // 2
    responses = make_responses(values, ids, neuroid={"subject": ["a"] * half + ["b"] * (case.n_neuroids - half)})
    # a metric without splits takes the groups of the data set
    grouped = case.related == "both" and "group" not in case.settings
    return Dataset("Noise", stimuli, responses=responses, attrs={"group": "kind"} if grouped else {})


def layers_of(case: Case, number: int) -> dict[str, Activations]:
    """The layers of a model."""
    stream, ids = np.random.default_rng([SEED, 1, number]), ids_of(case.n_stimuli)
    found: dict[str, Activations] = {}
    for layer in range(case.n_layers):
        values = noise(stream, case, case.width, alike=case.related == "both")
        found[f"layer{layer}"] = Activations(f"layer{layer}", ids, [values])
    return found


def found_of(case: Case, comparison: Comparison, dataset: Dataset, number: int) -> dict[str, Any]:
    """Value, chance and both p of one model."""
    layers = layers_of(case, number)
    summary = comparison.summarise(comparison.score_all(layers))
    exchangeable, _ = exchangeable_of(dataset, comparison)
    orders = exchangeable.orders(case.n_permutations, SEED)
    parts = comparison.permuted_readouts(layers, orders)
    permuted = np.concatenate([values_of(comparison, part)[None] for part in parts])
    whole = zero_of(summary.value, permuted, summary.better, None)
    ended = zero_of(summary.value, permuted, summary.better, STOP_AFTER)
    if number < N_COMPARED:
        again = with_null(comparison, layers, (summary, {}), dataset, Null(case.n_permutations), SEED)[0]
        assert (again.p, again.chance) == (ended["p"], ended["chance"]), (again, ended)
    return {
        "value": summary.value,
        **{name: whole[name] for name in ("chance", "calibrated", "p")},
        **{f"ended_{name}": ended[name] for name in ("p", "n_permutations")},
    }


# --- a run that goes on where it ended --------------------------------------------------------------------------------


def lines_of(path: Path) -> dict[str, dict[int, dict[str, Any]]]:
    """What is in the file: case → number of the model → what was found; a torn last line is left out."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        found.setdefault(row["case"], {})[row["model"]] = row
    return found


def run(path: Path, names: Sequence[str], n_models: int) -> None:
    """Score what is not in the file yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        case, known = CASES[name], lines_of(path).get(name, {})
        missing = [number for number in range(n_models) if number not in known]
        if not missing:
            continue
        dataset, start = brain(case), time.process_time()
        comparison = isocortex.load_metric(case.metric).against(
            dataset, settings=case.settings, preparation=PREPARATION
        )
        for number in missing:
            row = {"case": name, "model": number, **found_of(case, comparison, dataset, number)}
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
        seconds = time.process_time() - start
        print(f"{name}: {len(missing)} models in {seconds:.0f} CPU s", file=sys.stderr, flush=True)


# --- tables -----------------------------------------------------------------------------------------------------------


def ks_of(p: np.ndarray, steps: np.ndarray) -> tuple[float, float]:
    """D and p of Kolmogorov–Smirnov, p being spread uniformly within its steps, of which these are the larger ends."""
    lower = np.concatenate([[0.0], steps])[np.searchsorted(steps, p - 1e-12)]
    found = kstest(p - np.random.default_rng(SEED).uniform(size=len(p)) * (p - lower), "uniform")
    return float(found.statistic), float(found.pvalue)


def steps_of(n: int, *, ended: bool) -> np.ndarray:
    """Every p that there may be, in order."""
    whole = np.arange(1, n + 2) / (n + 1)
    if not ended:
        return whole
    return np.unique(np.concatenate([whole[:STOP_AFTER], STOP_AFTER / np.arange(STOP_AFTER, n + 1)]))


def said_of_uniform(found: dict[str, dict[int, dict[str, Any]]]) -> Iterator[str]:
    """Rows on uniformity."""
    yield "| benchmark | models | p ≤ .05 | p ≤ .5 | KS D | KS p | KS p, early end | permutations with the early end |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, case in UNIFORM.items():
        rows = list(found.get(name, {}).values())
        if not rows:
            continue
        p, ended = (np.array([row[key] for row in rows]) for key in ("p", "ended_p"))
        n = case.n_permutations
        distance, of_p = ks_of(p, steps_of(n, ended=False))
        of_ended = ks_of(ended, steps_of(n, ended=True))[1]
        made = np.mean([row["ended_n_permutations"] for row in rows])
        shares = " | ".join(f"{np.mean(p <= level):.3f}" for level in (0.05, 0.5))
        yield f"| `{name}` | {len(p)} | {shares} | {distance:.3f} | {of_p:.2f} | {of_ended:.2f} | {made:.0f} |"


def said_of_values(found: dict[str, dict[int, dict[str, Any]]], cases: Sequence[str]) -> Iterator[str]:
    """Rows on values and calibrated values: means with standard errors."""
    yield "| | models | value | calibrated |"
    yield "|---|---|---|---|"
    for name in cases:
        rows = list(found.get(name, {}).values())
        if rows:
            columns = [np.array([row[key] for row in rows]) for key in ("value", "calibrated")]
            texts = [f"{one.mean():.3f} ± {one.std(ddof=1) / np.sqrt(len(one)):.3f}" for one in columns]
            yield f"| {name} | {len(rows)} | {' | '.join(texts)} |"


def main() -> None:
    """Score what is asked for and print the tables of what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metric", nargs="+", default=["ridge", "rsa", "cka", "pls", "widths", "best"])
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("build/null_is_uniform.jsonl"))
    chosen = parser.parse_args()
    names = [name for name, case in UNIFORM.items() if case.metric in chosen.metric]
    names += [*OF_WIDTH] if "widths" in chosen.metric else []
    names += [*OF_BEST] if "best" in chosen.metric else []
    run(chosen.out, names, chosen.models)
    found = lines_of(chosen.out)
    print(*said_of_uniform(found), "", *said_of_values(found, [*OF_WIDTH]), "", sep="\n")
    print(*said_of_values(found, [*OF_BEST]), sep="\n")


if __name__ == "__main__":
    main()
