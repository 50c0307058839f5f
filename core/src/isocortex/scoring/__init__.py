"""From activations to a row: the contract of a comparison, the choice of a layer, stages, statistics, summaries."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
