"""Pictures of the demo's page, for README and documentation: two widths, light and dark.

    python docs/generate_screenshots.py [--results results/demo]

It needs Chromium (``/usr/bin/chromium``, or CHROMIUM) and results of ``isocortex demo``.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

PICTURES = Path(__file__).parent / "pictures"
#: name → width, height, colour scheme, what is scrolled to
SHOTS = {
    "report-light-1280": (1280, 860, "light", None),
    "report-dark-1280": (1280, 860, "dark", "#b0-ranking"),
    "report-light-390": (390, 760, "light", None),
    "report-dark-390": (390, 760, "dark", "#b0-ranking"),
}
MOST_BYTES = 300_000
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync")


def main() -> int:
    """Write the page into a temporary folder, and its pictures into docs/pictures."""
    from isocortex_report.page.stimulus_page import write_stimuli
    from isocortex_report.page.writing import write_report

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results/demo"))
    results = parser.parse_args().results
    with tempfile.TemporaryDirectory() as folder:
        page = write_report(results, Path(folder) / "report", title="A simulated cortex", say=lambda _: None).page
        stimuli = write_stimuli("simulated-images", Path(folder) / "stimuli")
        pictures = {name: (page, *shot) for name, shot in SHOTS.items()}
        pictures["stimuli-light-1280"] = (stimuli, 1280, 700, "light", None)
        take(pictures)
    return 0


def take(pictures: dict[str, tuple[Path, int, int, str, str | None]]) -> None:
    """Photograph pages in one browser.

    Parameters
    ----------
    pictures
        Name → page, width, height, colour scheme, and what is scrolled to.
    """
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for name, (page, width, height, scheme, place) in pictures.items():
            tab = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
            )
            tab.goto(page.as_uri())
            if place is not None:
                tab.evaluate("place => document.querySelector(place).scrollIntoView()", place)
            tab.wait_for_timeout(300)
            write(PICTURES / f"{name}.png", tab.screenshot())
            tab.close()
        browser.close()


def write(path: Path, picture: bytes) -> None:
    """Write a picture without loss, as small as that is; one with photographs in it has 256 colours."""
    from PIL import Image

    image = Image.open(io.BytesIO(picture)).convert("RGB")
    made = _png(image)
    if len(made) > MOST_BYTES:
        made = _png(image.quantize(256))
    if len(made) > MOST_BYTES:
        sys.exit(f"{path.name} has {len(made):,} bytes; expected at most {MOST_BYTES:,}.")
    path.write_bytes(made)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(main())
