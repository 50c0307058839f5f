"""From names to objects: what IDs stand for, and folders as data sets and as models."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
