"""What many results say together: stages over regions, dimensionality of layers, and what a paper needs."""

import lazy_loader

# names are in __init__.pyi and looked up when they are used: commands must not pay for each other
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
