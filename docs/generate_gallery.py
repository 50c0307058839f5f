"""Draws one figure of each kind that light results allow into gallery/, for the page "Gallery of figures".

python docs/generate_gallery.py               makes the results itself, in a few minutes, and downloads nothing
python docs/generate_gallery.py RESULTS…      folders of results; the first that allows a kind gives its picture

Results of its own: those of ``isocortex demo``; two models whose predictions are kept; and made-up ones, for figures
that need many models, decisions about labels, or neuroids with a place on the cortex.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from isocortex.results import read_results
from isocortex_report.figures import KINDS, Figure, Material

ROOT = Path(__file__).parents[1]
GALLERY = ROOT / "docs" / "gallery"
KEPT = ("simulated-auditory.ridge", "simulated-auditory.modulation.rsa")
MODELS = ("spectrotemporal-sqrt", "cochleagram-cochcnn9")


def own_results(folder: Path) -> list[Path]:
    """Make the three folders of results below one."""
    sys.path.insert(0, str(ROOT))
    from plugins.report.tests.results_for_pages import many, written

    demo, kept = folder / "demo", folder / "kept"
    _isocortex("demo", "--out", str(demo))
    chosen = [text for name in MODELS for text in ("-m", name)] + [text for name in KEPT for text in ("-b", name)]
    _isocortex("score", *chosen, "--keep", "prediction", "--out", str(kept))
    return [demo, kept, written(folder / "many", many(36, 6)), *made_up(folder)]


def made_up(folder: Path) -> list[Path]:
    """Folders of results of twenty models with draws, of decisions about labels, and of voxels of auditory cortex."""
    import numpy as np
    import xarray as xr

    from isocortex_report.figures.surface import mesh
    from plugins.report.tests.results_for_figures import neuroid_scores, result, summary, write_with_scores

    draw = np.random.default_rng(0)
    values = draw.uniform(0.1, 0.6, 20)
    for n, value in enumerate(values):
        model = result(f"net-{n:02}", summary=summary(float(value), seed=n))
        write_with_scores(folder / "pairs", model, neuroid_scores(np.full((2, 6), value)))
    labels = ["bird", "boat", "car", "cat", "chair", "dog"]
    counts = np.array([draw.multinomial(40, 0.07 + 0.58 * (np.arange(6) == n)) for n in range(6)])
    decisions = xr.Dataset(
        {"confusion": (("truth", "choice"), counts)},
        coords={"truth": labels, "choice": labels},
        attrs={"measure": "accuracy"},
    )
    decisions = decisions.expand_dims("layer").assign(chosen=((), 0))
    of_labels = result("net-00", summary=summary(float(np.trace(counts) / counts.sum()), statistic="accuracy"))
    points = np.concatenate([mesh("pial", side)[0] for side in ("left", "right")])
    far = np.linalg.norm(np.abs(points) - [52.0, 20.0, 8.0], axis=1)  # from Heschl's gyrus, either side
    near = np.flatnonzero((far < 38) & (points[:, 1] < 10) & (points[:, 2] > -25))
    places = np.tile(near, 4)
    r = 0.15 + 0.5 * np.exp(-((far[places] / 20) ** 2)) + draw.normal(0, 0.05, len(places))
    x, y, z = points[places].T
    people = np.repeat([f"S{n}" for n in range(4)], len(near))
    voxels = neuroid_scores(r[None].astype(np.float32), subject=people, x=x, y=y, z=z, space=["fsaverage"] * len(r))
    write_with_scores(folder / "decisions", of_labels, decisions)
    write_with_scores(folder / "cortex", result("net-00"), voxels)
    return [folder / name for name in ("pairs", "decisions", "cortex")]


def _isocortex(*arguments: str) -> None:
    command = [sys.executable, "-m", "isocortex", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - this interpreter, our own commands


def against_a_tag(folder: Path) -> Figure:
    """Scores of made-up models against a made-up tag, which cards of real models would hold."""
    material = Material(read_results(folder), folder)
    models = list(dict.fromkeys(result.model for result in material.results))
    material.__dict__["numbers"] = {model: {"depth": 10 + 3 * place} for place, model in enumerate(models)}
    return next(iter(KINDS["tags"].figures(material)))


def pictures(folders: list[Path]) -> dict[str, Figure]:
    """The first figure of each kind that one of the folders allows."""
    found: dict[str, Figure] = {}
    for folder in folders:
        material = Material(read_results(folder), folder)
        for name, kind in KINDS.items():
            figure = None if name in found else next(iter(kind.figures(material)), None)
            if figure is not None:
                found[name] = figure
    return found


def main() -> int:
    """Write NAME.svg of every kind; say which have none."""
    with tempfile.TemporaryDirectory() as folder:
        asked = [Path(name) for name in sys.argv[1:]]
        made = pictures(asked or own_results(Path(folder)))
        if not asked:
            made["tags"] = against_a_tag(Path(folder) / "many")
        for name, figure in made.items():
            figure.save(GALLERY / f"{name}.svg")
            (GALLERY / f"{name}.csv").unlink()  # the page shows pictures; 'isocortex figure' writes both
    absent = [name for name in KINDS if name not in made]
    print(f"{len(made)} of {len(KINDS)} kinds in {GALLERY}" + (f"; none of {', '.join(absent)}" if absent else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
