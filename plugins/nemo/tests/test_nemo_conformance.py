"""The package keeps the contract of the interface; with a stand-in, also where a network runs."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from isocortex.testing import checks_of, conformance

pytestmark = pytest.mark.xdist_group("nemo")

test_conformance = conformance("isocortex_nemo")


def test_checks_of_a_row_whose_file_is_not_here_are_skipped_with_the_reason() -> None:
    found = [check.outcome() for check in checks_of("nvidia/parakeet-tdt-1.1b") if check.id.startswith("model:")]
    assert len(found) > 5
    assert {outcome.status for outcome in found} == {"skipped"}
    here = find_spec("nemo") is not None
    words = "needs files that are not here: The checkpoint of nvidia/parakeet" if here else "It requires nemo_toolkit"
    assert all(words in item.message for item in found)


def test_checks_of_a_row_that_needs_another_version_are_skipped(tmp_path: Any, monkeypatch: Any) -> None:
    site = tmp_path / "nemo_toolkit-3.0.0.dist-info"
    site.mkdir()
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: nemo_toolkit\nVersion: 3.0.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    checks = [check for check in checks_of("stt_en_squeezeformer_ctc_large_ls") if check.id.endswith(":loads")]
    outcome = checks[0].outcome()
    assert outcome.status == "skipped"
    assert "It requires nemo_toolkit[asr]>=2.7.3,<3, but 3.0.0 is installed." in outcome.message


@pytest.mark.nemo
@pytest.mark.long
@pytest.mark.parametrize("name", ["conformer-ctc", "jasper"])
def test_a_stand_in_keeps_the_contract(made: Any, name: str) -> None:
    """Fresh interpreters, variants, order, batches, rates and memory included."""
    found = {check.id: check.outcome() for check in checks_of(f"nemo:{made.file(name)}")}
    assert {name: item.message for name, item in found.items() if item.status != "passed"} == {}
    assert len([name for name in found if name.startswith("model:")]) >= 10
