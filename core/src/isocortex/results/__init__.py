"""What is kept and shown: results, raw scores, provenance, paired comparisons, tables."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
