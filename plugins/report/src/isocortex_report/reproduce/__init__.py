"""Published tables again: recipes of packages, run through ``isocortex.score``, beside what the papers print."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
