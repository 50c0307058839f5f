"""What is kept and shown: results, raw scores, provenance, paired comparisons, tables.

The room can be called: ``isocortex.results(folder)`` is ``isocortex.load_results(folder)``.
"""

import sys
from pathlib import Path
from types import ModuleType

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


class _Room(ModuleType):
    def __call__(self, folder: Path | str = "results"):
        """Read a results folder as a table with one row per model × benchmark (× region)."""
        from isocortex.files.disk import home_expanded
        from isocortex.results.result import read_results, table

        return table(read_results(home_expanded(Path(folder))))


sys.modules[__name__].__class__ = _Room
