"""A made-up package of models that take time or memory, for tests on a true Slurm; it stands on ``tests.lab``."""

from __future__ import annotations

from pathlib import Path

from tests.lab import write_lab
from tests.third_party.install import write_package

_CODE = """
import time

from iso_lab import Loaded, Model


class Strained(Loaded):
    def run(self, batch, layers, emit):
        needed = bytearray(self.options.get("bytes", 0))
        for place in range(0, len(needed), 4096):
            needed[place] = 1
        time.sleep(self.options.get("seconds", 0))
        super().run(batch, layers, emit)


class Straining(Model):
    def load(self, variant, *, device):
        return Strained(self.card.id, self.card.options)
"""

_MANIFEST = """
[plugin]
api = 1

[defaults.model]
object = "iso_strain:Straining"
modality = "image"
layers = ["net.mean", "net.pixels"]
variants = ["random"]
licence = "CC0"

[[model]]
id = "hungry"
options = { bytes = 1_200_000_000 }

[[model]]
id = "slow"
options = { seconds = 4 }

[[model]]
id = "slowest"
options = { seconds = 300 }
"""


def write_made_up(site: Path) -> None:
    """Write the packages ``iso-lab`` and ``iso-strain`` below a folder that will be on the path."""
    write_lab(site)
    write_package(site, "iso-strain", {"__init__.py": _CODE, "isocortex.toml": _MANIFEST})
