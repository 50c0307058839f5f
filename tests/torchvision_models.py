"""torchvision's networks, also where its compiled operators do not fit the build of torch."""

from __future__ import annotations

from typing import Any


def torchvision_models() -> Any:
    """The module ``torchvision.models``; skips the test where torchvision is not installed.

    The networks need none of torchvision's compiled operators. Where these were built for CUDA and torch was not, the
    import fails because two operators are not declared; declaring them is all that it takes.
    """
    import pytest

    torch = pytest.importorskip("torch")
    try:
        import torchvision.models
    except ImportError:
        pytest.skip("torchvision is not installed")
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision.models
    return torchvision.models
