"""Images to look at, and rows of the package as plugins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from isocortex.data.stimuli import Stimulus, StimulusSet


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def images() -> Callable[..., StimulusSet]:
    """Makes images of noise, of a height and width in pixels."""

    def make(n_images: int = 2, height: int = 90, width: int = 120) -> StimulusSet:
        stream = np.random.default_rng(0)
        arrays = [stream.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(n_images)]
        made = {f"image{place}": Stimulus(f"image{place}", "image", array) for place, array in enumerate(arrays)}
        return StimulusSet("images", "image", made)

    return make


@pytest.fixture(scope="session")
def plugin() -> Callable[..., Any]:
    """Makes the plugin of a row by its ID, with some fields of its card replaced."""

    def make(name: str, **changed: Any) -> Any:
        from isocortex.loading.resolver import resolver

        found = resolver(offline=True).model(name)
        made = type(found)(found.card.model_copy(update=changed)) if changed else found
        made.offline = True
        return made

    return make


@pytest.fixture(scope="session")
def timm() -> Any:
    """The package timm, or a skip."""
    from importlib.util import find_spec

    from isocortex_vision.timm_model import import_timm

    if find_spec("timm") is None:
        pytest.skip("timm is not installed")
    return import_timm()
