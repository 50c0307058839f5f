"""Write down what every installed metric gives on the simulated cortices, to full precision.

    python tests/metric_values.py BEFORE.json                 # with the code as it was
    python tests/metric_values.py AFTER.json BEFORE.json      # with the code as it is: names what differs, exit code 1

For changes that must change no number. Metrics of responses are scored by a run on benchmarks of their own over both
simulated cortices; those of dissimilarity matrices, of trials, and those that need named units on data that are drawn
here. A value is written as it is, an array of scores or draws as the SHA-256 of its bytes.

A field or variable that the first file has not is new, and is not compared. Numbers of a summary may differ by 1e-12,
where the order of operations changed; raw scores and draws may not differ at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.third_party.install import write_package

MODELS = {
    "simulated-auditory": ("spectrotemporal", "cochleagram-cochcnn9", "noise/3"),
    "simulated-visual": ("gabor-pyramid", "noise/3"),
}
REDUCTIONS = {"simulated-auditory": "time-mean", "simulated-visual": "flatten"}
BASELINES = {"unique-variance": ["category"]}
N_STIMULI, N_UNITS = 24, 12
LABELS = ("car", "dog", "house")


def metrics() -> dict[str, dict[str, Any]]:
    """Rows of the metrics that are installed."""
    from isocortex.catalogue.rows import Catalogue

    return {row.id: dict(row.table) for row in Catalogue.discover().of_kind("metric")}


def manifest(ids: list[str]) -> str:
    """A package with one benchmark for each metric and each simulated cortex."""
    lines = ["[plugin]", "api = 1"]
    for dataset, reduction in REDUCTIONS.items():
        for name in ids:
            lines += ["[[benchmark]]", f'id = "{dataset}.{name}.values"', f'dataset = "{dataset}"']
            lines += [f'metric = "{name}"', f'reduction = "{reduction}"', 'summary_by = ["region"]']
            lines += [f"baselines = {json.dumps(BASELINES[name])}"] if name in BASELINES else []
    return "\n".join(lines) + "\n"


def of_run(folder: Path, rows: dict[str, dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Results of a run over all metrics that take responses and need no named units."""
    import isocortex

    ids = [name for name, row in rows.items() if "responses" in row["accepts"] and not row.get("named_units")]
    site = folder / "site"
    write_package(site, "isocortex-values", {"isocortex.toml": manifest(ids)})
    sys.path.insert(0, str(site))
    for dataset, models in MODELS.items():
        benchmarks = [f"{dataset}.{name}.values" for name in ids]
        for result in isocortex.score(list(models), benchmarks, out=folder / "results", quiet=True):
            name = f"{result.benchmark} {result.model}"
            if result.summary is None:
                yield name, result.failure and result.failure.message
                continue
            for region, summary in {"all": result.summary, **result.regions}.items():
                yield f"{name} {region}", plain(summary)
            (path,) = (folder / "results" / result.benchmark).glob(f"{result.model.replace('/', '%2F')}@*/*/scores.nc")
            yield f"{name} raw", raw(path)


def plain(summary: Any) -> dict[str, Any]:
    """The fields of a summary, and a digest of its draws."""
    draws = None if summary.draws is None else digest(np.array(summary.draws))
    return {**summary.model_dump(mode="json"), "draws": draws}


def raw(path: Path) -> dict[str, str]:
    """Digest of every variable of the raw scores."""
    import xarray as xr

    with xr.open_dataset(path, engine="netcdf4") as scores:
        return {str(name): digest(scores[name].values) for name in sorted(map(str, scores.data_vars))}


def digest(values: np.ndarray) -> str:
    """SHA-256 over type, shape and bytes."""
    known = values.astype(str) if values.dtype.kind == "O" else values
    return hashlib.sha256(repr((known.dtype.str, known.shape)).encode() + known.tobytes()).hexdigest()[:16]


def of_drawn_data(rows: dict[str, dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Summaries on dissimilarity matrices, on trials, and on responses whose neuroids are named as units are."""
    import isocortex

    for name, row in rows.items():
        for kind in row["accepts"]:
            if kind == "responses" and not row.get("named_units"):
                continue
            comparison = isocortex.load_metric(name).against(target(kind), settings={}, seed=0)
            scores = comparison.score_all(layers(kind, named=bool(row.get("named_units"))))
            yield f"{name} drawn {kind}", plain(comparison.summarise(scores))
            yield f"{name} drawn {kind} raw", {str(key): digest(item.values) for key, item in scores.items()}


def stimulus_ids() -> list[str]:
    """IDs of the drawn stimuli."""
    return [f"stimulus{number:03d}" for number in range(N_STIMULI)]


def target(kind: str) -> Any:
    """A data set of one kind."""
    import pandas as pd

    from isocortex.testing.synthetic import linear_responses, synthetic_dataset, synthetic_features

    if kind == "trials":
        dataset = synthetic_dataset("trials", N_STIMULI, features=None)
        stream = np.random.default_rng(5)
        truth = np.array(LABELS)[np.arange(N_STIMULI) % 3]
        rows = []
        for subject in ("S1", "S2", "S3"):
            for repetition in range(3):
                guess = stream.choice(LABELS, N_STIMULI)
                choice = np.where(stream.random(N_STIMULI) < 0.7, truth, guess)
                for stimulus, label, chosen in zip(stimulus_ids(), truth, choice, strict=True):
                    others = [other for other in LABELS if other != label]
                    row = {"stimulus_id": stimulus, "subject": subject, "repetition": repetition, "choice": chosen}
                    rows.append({**row, "truth": label, "dist_obj": others[repetition % 2], "texture": others[0]})
        table = pd.DataFrame(rows)
        two = [
            chosen if chosen in (a, b) else b
            for chosen, a, b in zip(table.choice, table.truth, table.dist_obj, strict=True)
        ]
        return replace(dataset, trials=table.assign(choice=two))
    features = synthetic_features(N_STIMULI, N_UNITS)
    if kind == "rdm":
        return synthetic_dataset("rdm", N_STIMULI, features=features)
    return linear_responses(features, 4.0, 0, stimulus_id=stimulus_ids(), n_neuroids=N_UNITS)


def layers(kind: str, *, named: bool) -> dict[str, Any]:
    """Two layers that know something of the target and one that knows nothing."""
    from isocortex.testing.synthetic import linear_responses, synthetic_features

    stream = np.random.default_rng(7)
    if kind == "trials":
        hot = (np.arange(N_STIMULI)[:, None] % 3 == np.arange(3)).astype(float)
        raised = {f"layer.{power}": np.exp(hot * power + stream.normal(size=hot.shape)) for power in (2, 1, 0)}
        return {
            name: activations(name, odds / odds.sum(axis=1, keepdims=True), LABELS) for name, odds in raised.items()
        }
    features = synthetic_features(N_STIMULI, N_UNITS)
    made = linear_responses(features, 4.0, 0, stimulus_id=stimulus_ids(), n_neuroids=N_UNITS, n_repetitions=1)
    base = np.asarray(made.values) if named else features
    found = {f"layer.{power}": base * power + stream.normal(size=base.shape) for power in (2, 1, 0)}
    units = [str(name) for name in made["neuroid_id"].values] if named else None
    return {name: activations(name, values, units) for name, values in found.items()}


def activations(layer: str, values: np.ndarray, units: Any) -> Any:
    """One layer as the model gives it."""
    from isocortex.activations.layer import Activations

    return Activations(layer, stimulus_ids(), [values], units=units)


def same(before: Any, found: Any) -> bool:
    """Whether everything that was there before is there still, numbers to 1e-12."""
    if isinstance(before, dict):
        return isinstance(found, dict) and all(same(value, found.get(name)) for name, value in before.items())
    if isinstance(before, list):
        return isinstance(found, list) and len(before) == len(found) and all(map(same, before, found))
    if isinstance(before, float) and isinstance(found, float):
        return abs(before - found) <= 1e-12
    return before == found


def main() -> int:
    """Write the values; with a second file, compare."""
    with tempfile.TemporaryDirectory() as name:
        os.environ |= {"ISOCORTEX_CACHE": f"{name}/cache", "ISOCORTEX_DATA": f"{name}/data"}
        rows = metrics()
        found = {**dict(of_run(Path(name), rows)), **dict(of_drawn_data(rows))}
    Path(sys.argv[1]).write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(f"{len(rows)} metrics, {len(found)} rows")
    if len(sys.argv) < 3:
        return 0
    before = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    other = [name for name, value in before.items() if not same(value, found.get(name))]
    print("\n".join(f"differs: {name}" for name in other) or "every value is the same")
    return 1 if other else 0


if __name__ == "__main__":
    sys.exit(main())
