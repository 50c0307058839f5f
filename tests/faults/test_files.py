"""A seeded sample of hostile files, and the whole campaign in the long tests."""

from __future__ import annotations

import sys

import pytest

from tests.faults import files

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory of a child is bounded by Linux's limits")


def test_a_hostile_file_of_every_format_is_refused_in_one_message() -> None:
    table = files.campaign(len(files.KINDS), seed=1)
    assert table.failures == []
    assert set(table.tried) == set(files.KINDS)


@pytest.mark.long
def test_three_hundred_hostile_files() -> None:
    table = files.campaign(300, seed=0)
    assert table.failures == []
    assert table.n_refused > 250
