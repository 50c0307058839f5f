"""What this package says to ``isocortex doctor``."""

from __future__ import annotations

from isocortex.hooks import hookimpl


@hookimpl
def isocortex_doctor() -> str:
    """Which torchvision is used, beside which torch, and whether its compiled operators are there."""
    from isocortex_vision.torchvision_import import describe_torchvision

    return describe_torchvision()
