"""Draws one figure of each kind that light results allow into gallery/, for the page "Gallery of figures".

python docs/generate_gallery.py               makes the results itself, in a few minutes, and downloads nothing
python docs/generate_gallery.py RESULTS…      folders of results; the first that allows a kind gives its picture

Results of its own: those of ``isocortex demo``; two models whose predictions are kept; and models that are made up, for
the figures that need many.
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
    return [demo, kept, written(folder / "made-up", many(36, 6))]


def _isocortex(*arguments: str) -> None:
    command = [sys.executable, "-m", "isocortex", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - this interpreter, our own commands


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
        made = pictures([Path(name) for name in sys.argv[1:]] or own_results(Path(folder)))
        for name, figure in made.items():
            figure.save(GALLERY / f"{name}.svg")
            (GALLERY / f"{name}.csv").unlink()  # the page shows pictures; 'isocortex figure' writes both
    absent = [name for name in KINDS if name not in made]
    print(f"{len(made)} of {len(KINDS)} kinds in {GALLERY}" + (f"; none of {', '.join(absent)}" if absent else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
