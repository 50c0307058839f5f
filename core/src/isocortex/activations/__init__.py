"""What a model gave: activations of one layer, what is emitted, how it is reduced, and where it lies."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
