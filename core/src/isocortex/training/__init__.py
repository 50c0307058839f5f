"""Models that learn here: what training left, how it goes on after a kill, and what may be tested afterwards."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
