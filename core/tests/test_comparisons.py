"""Comparisons that are kept: how much memory they take, and which of them go."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from isocortex.run import comparisons
from isocortex.run.comparisons import Comparisons, array_bytes


class Held:
    """Stands for a comparison that holds an array of so many bytes."""

    def __init__(self, n_bytes: int) -> None:
        self.values = np.zeros(n_bytes, dtype=np.uint8)


def made(n_bytes: int) -> Any:
    """What makes such a comparison."""
    return lambda: Held(n_bytes)


class Slotted:
    __slots__ = ("values",)

    def __init__(self, values: np.ndarray) -> None:
        self.values = values


def test_arrays_are_found_wherever_they_are_held_and_counted_once(tmp_path: Path) -> None:
    values = np.zeros((10, 5))
    held = Held(7)
    held.__dict__.update(
        listed=[values, (values[2:], values.T)],
        mapped=OrderedDict(a=Slotted(np.zeros(3))),
        labelled=xr.DataArray(np.zeros(4), dims="a"),
        table=pd.DataFrame({"x": np.zeros(6)}, index=pd.RangeIndex(6)),
        me=held,
        text="of no size",
        kind=Held,
        module=np,
    )
    rest = array_bytes(held) - 7 - 400 - 24 - 32
    assert 48 <= rest <= 48 + 200, "the table, with its index"
    np.save(tmp_path / "mapped.npy", values)
    assert array_bytes([np.load(tmp_path / "mapped.npy", mmap_mode="r")]) == 0


def test_a_tensor_counts() -> None:
    torch = pytest.importorskip("torch")
    assert array_bytes({"weights": torch.zeros(10)}) == 40


def test_a_comparison_is_made_once_as_long_as_there_is_room() -> None:
    kept = Comparisons(most=100)
    first = kept.get("a", made(60))
    assert kept.get("a", made(60)) is first
    assert not kept.full
    second = kept.get("b", made(60))
    assert kept.full, "the one that was made last is beside those that are kept"
    assert kept.get("a", made(60)) is first
    assert kept.get("b", made(60)) is second


def test_what_was_used_longest_ago_goes_first() -> None:
    kept = Comparisons(most=100)
    for name in "ab":
        kept.get(name, made(60))
    kept.get("a", made(60))
    kept.get("c", made(10))
    assert [name in kept for name in "abc"] == [True, False, True]
    kept.forget()
    assert not kept.full
    assert "a" not in kept


def test_what_a_comparison_remembers_while_it_scores_counts() -> None:
    kept = Comparisons(most=100)
    found: Any = kept.get("a", made(10))
    assert not kept.full
    found.remembered = np.zeros(1000)
    assert kept.full


@pytest.mark.parametrize(("free", "most"), [(400, 100), (None, comparisons.UNKNOWN)])
def test_a_quarter_of_the_free_memory_is_taken(monkeypatch, free: int | None, most: int) -> None:
    monkeypatch.setattr(comparisons, "free_memory", lambda _: free)
    assert Comparisons().most == most
