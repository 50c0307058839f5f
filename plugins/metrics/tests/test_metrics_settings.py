"""The settings that a metric shows are those that it takes."""

from __future__ import annotations

import re

import pytest

from isocortex.catalogue.rows import Catalogue
from isocortex.cli.info import describe
from isocortex.errors import SettingsError
from isocortex.files.file_store import FileStore
from isocortex.loading.resolver import Resolver

METRICS = [row.id for row in Catalogue.discover().of_kind("metric") if row.package == "isocortex-metrics"]


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_shows_the_settings_that_it_takes(name: str) -> None:
    """What it takes is told by the refusal of a setting that it does not know."""
    plugin = Resolver(Catalogue.discover(), FileStore(offline=True)).metric(name)
    with pytest.raises(SettingsError) as refused:
        plugin.against(None, settings={"no such setting": 1})  # type: ignore[arg-type]
    known = re.search(r"It has (.*)\.$", str(refused.value))
    assert known is not None
    taken = [field for field in known[1].split(", ") if field]
    shown = re.findall(r"^    (\w+) = ", describe(name).partition("definition:")[0], re.MULTILINE)
    assert shown == taken


def test_settings_have_their_default_limits_and_meaning() -> None:
    assert "    n_folds = 5  (int, ≥ 2): folds per repeat" in describe("ridge").splitlines()
    assert "Alpha is chosen per neuroid by exact leave-one-out within the" in describe("ridge")
