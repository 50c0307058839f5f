"""isocortex scores how well artificial neural networks predict the sensory cortex."""

import lazy_loader

# names are in __init__.pyi and looked up when they are used: listing must not pay for numpy, pydantic or xarray
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
