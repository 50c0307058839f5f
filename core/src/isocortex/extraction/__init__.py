"""Running a model once: stimuli in batches, activations in chunks, from the cache where they are there."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
