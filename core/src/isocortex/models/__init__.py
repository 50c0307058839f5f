"""Adapters: torch modules and own functions as models, their variants, and their checkpoints."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
