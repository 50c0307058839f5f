"""What is installed, as data: rows of manifests from the standard library alone, and cards that are checked."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
