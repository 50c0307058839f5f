"""What was found out about a benchmark: kept beside the data, shown by ``info``, believed as it was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isocortex.results.findings import findings_folder, findings_of, write_finding


def test_findings_are_those_of_one_version_and_only_as_they_were_written() -> None:
    write_finding("lab.r", 1, "recovery-ridge", ["tells 3 of 4 models apart"])
    path = write_finding("lab.r", 1, "recovery-rsa", ["tells 2 of 4 models apart"])
    assert findings_of("lab.r", 1) == ["tells 3 of 4 models apart", "tells 2 of 4 models apart"]
    assert findings_of("lab.r", 2) == []
    path.write_bytes(path.read_bytes().replace(b"2 of 4", b"4 of 4"))
    assert findings_of("lab.r", 1) == ["tells 3 of 4 models apart"]
    path.rename(path.with_name("other.json"))
    write_finding("lab.other", 1, "recovery-rsa", ["of another benchmark"]).rename(findings_folder("lab.r") / "x.json")
    assert findings_of("lab.r", 1) == ["tells 3 of 4 models apart"]


def test_info_shows_what_was_found_out(isocortex: Any, tmp_path: Path) -> None:
    write_finding("NH2015comp.ridge", 1, "recovery-ridge", ["recovery by ridge: tells 3 of 4 models apart"])
    shown = isocortex("info", "NH2015comp.ridge").stdout
    assert "\n  recovery by ridge: tells 3 of 4 models apart" in shown
