"""A seeded sample of mutated data set folders, and the whole campaign in the long tests."""

from __future__ import annotations

import pytest

from tests.faults import folders


def test_a_mutated_folder_gives_the_value_of_its_twin_or_says_why_not() -> None:
    table = folders.campaign(30, seed=1)
    assert table.failures == []
    assert table.n_values > 5
    assert table.n_said > 5


@pytest.mark.long
def test_a_thousand_mutated_folders() -> None:
    table = folders.campaign(1000, seed=0)
    assert table.failures == []
    assert min(table.tried[name] for name in (*folders.HARMLESS, *folders.HARMFUL)) >= 3
