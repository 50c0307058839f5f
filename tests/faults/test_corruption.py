"""Whatever is damaged on the disk is made again or named: a sample in the gate, the campaign in the long run."""

from __future__ import annotations

import pytest

from tests.faults.corruption import KINDS, campaign, table


@pytest.mark.parametrize(("n_trials", "seed"), [(10, 3), pytest.param(250, 11, marks=pytest.mark.long)])
def test_no_corruption_goes_unnoticed(n_trials: int, seed: int) -> None:
    counts, problems = campaign(n_trials, seed)
    assert problems == []
    assert sum(n for (_, verdict), n in counts.items() if verdict in ("recomputed", "refused")) == n_trials
    if n_trials >= 10 * len(KINDS):
        assert {kind for kind, verdict in counts if verdict != "not read"} == {kind.name for kind in KINDS}, table(
            counts
        )
