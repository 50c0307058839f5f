"""The conformance kit on this package: without its data files, and on made-up ones in the published layouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from isocortex.testing import conformance, run_checks
from plugins.majajhong2015.tests.conftest import Listed
from plugins.majajhong2015.tests.published_layouts import (
    made_up_trials,
    write_majajhong,
    write_nx414,
    write_objectome,
)
from tests.command_line import run_in_process

test_conformance = conformance("isocortex_majajhong2015")

BROUGHT = ("MajajHong2015public.IT-pls", "MajajHong2015public.IT-temporal-pls", "MajajHong2015.nx414")


@pytest.mark.long
def test_every_check_of_the_kit_holds_with_the_files_here(tmp_path: Path, listed: Listed) -> None:
    folder = tmp_path / "published"
    write_majajhong(folder, n_bins=2)
    write_majajhong(folder)
    write_nx414(folder)
    trials, objects = made_up_trials()
    write_objectome(folder, trials, objects)
    listed(folder)
    chosen = [part for name in (*BROUGHT, "Rajalingham2018public.i2n") for part in ("-b", name)]
    done = run_in_process(("fetch", *chosen, "--from", str(folder)), tmp_path, {})
    assert done.returncode == 0, done.stderr
    outcomes = run_checks("isocortex-majajhong2015")
    assert {outcome.id: outcome.message for outcome in outcomes if outcome.status not in ("passed", "skipped")} == {}
    of_data = [one for one in outcomes if one.id.startswith(("dataset:", "stimuli:", "benchmark:"))]
    assert [one.id for one in of_data if one.status == "skipped"] == []
