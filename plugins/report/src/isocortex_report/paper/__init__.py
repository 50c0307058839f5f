"""For the paper: what was done in words, whom to cite, and the numbers as tables."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
