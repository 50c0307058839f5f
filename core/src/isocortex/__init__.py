"""isocortex scores how well artificial neural networks predict the sensory cortex."""

from importlib import import_module

import lazy_loader

# names are in __init__.pyi and looked up when they are used: listing must not pay for numpy, pydantic or xarray
_handed_on, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """What the stub names; and the room of results, which can be called as soon as isocortex is imported."""
    return import_module(f"{__name__}.results") if name == "results" else _handed_on(name)


__version__ = "0.1.0"
