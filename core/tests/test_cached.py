"""Activations from the cache, or extracted into it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from isocortex.extraction.cached import Extraction
from isocortex.progress import Reporter, Stopwatch

MODEL: Any = SimpleNamespace(digest=lambda _: "model")


def test_the_key_holds_the_kind_of_device() -> None:
    def key(device: str, batch_size: int | None = None) -> str | None:
        stimuli, variant = SimpleNamespace(digest="stimuli"), SimpleNamespace()
        return Extraction(MODEL, variant, stimuli, "flatten", device, Reporter(quiet=True), Stopwatch(), batch_size).key  # type: ignore[arg-type]

    assert key("cuda") == key("cuda:1") == key("cuda", 4)
    assert key("cpu") != key("cuda")
