"""Draws one figure of each kind that light results allow into gallery/, for the page on figures.

python docs/generate_gallery.py RESULTS…      folders of results; the first that allows a kind gives its picture
"""

from __future__ import annotations

import sys
from pathlib import Path

from isocortex.results import read_results
from isocortex_report.figures import KINDS, Figure, Material

GALLERY = Path(__file__).parent / "gallery"


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
    """Write NAME.svg and NAME.csv of every kind; say which have none."""
    folders = [Path(name) for name in sys.argv[1:]]
    if not folders:
        print(__doc__, file=sys.stderr)
        return 2
    made = pictures(folders)
    for name, figure in made.items():
        figure.save(GALLERY / f"{name}.svg")
    absent = [name for name in KINDS if name not in made]
    print(f"{len(made)} of {len(KINDS)} kinds in {GALLERY}" + (f"; none of {', '.join(absent)}" if absent else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
