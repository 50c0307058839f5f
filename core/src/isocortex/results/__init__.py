"""What is kept and shown: results, raw scores, provenance, paired comparisons, tables.

The room can be called: ``isocortex.results(folder)`` is ``isocortex.results.reading.results(folder)``.
"""

import sys
from types import ModuleType
from typing import Any

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


class _Room(ModuleType):
    def __call__(self, *given: Any, **named: Any):
        """The table of a results folder; see ``isocortex.results.reading.results``."""
        from isocortex.results.reading import results

        return results(*given, **named)


sys.modules[__name__].__class__ = _Room
