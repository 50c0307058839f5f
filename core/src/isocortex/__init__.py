"""isocortex scores how well artificial neural networks predict the sensory cortex."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isocortex.api import compare, results, score
    from isocortex.loading import load_dataset, load_metric, load_stimuli
    from isocortex.loading import open_model as load_model
    from isocortex.planning import RunConfig
    from isocortex.wrapping import wrap

__version__ = "0.1.0"
__all__ = [
    "RunConfig",
    "compare",
    "load_dataset",
    "load_metric",
    "load_model",
    "load_stimuli",
    "results",
    "score",
    "wrap",
]

_HOMES = {
    "RunConfig": ("isocortex.planning", "RunConfig"),
    "compare": ("isocortex.api", "compare"),
    "load_dataset": ("isocortex.loading", "load_dataset"),
    "load_metric": ("isocortex.loading", "load_metric"),
    "load_model": ("isocortex.loading", "open_model"),
    "load_stimuli": ("isocortex.loading", "load_stimuli"),
    "results": ("isocortex.api", "results"),
    "score": ("isocortex.api", "score"),
    "wrap": ("isocortex.wrapping", "wrap"),
}


def __getattr__(name: str) -> Any:
    # listing must not pay for numpy, pydantic or xarray, so the public names are looked up when they are used
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
