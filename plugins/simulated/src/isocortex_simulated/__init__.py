"""A simulated auditory and a simulated visual cortex with known ground truth, and the demo.

`truth` tells which layer of which model each region reads; `isocortex demo` checks that scoring finds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isocortex_simulated.datasets import truth

__all__ = ["truth"]


def __getattr__(name: str) -> Any:
    # data sets need pydantic and the core's interfaces, which listing never pays for
    if name != "truth":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from isocortex_simulated.datasets import truth

    return truth
