"""Property tests of core are the same in every run; a made-up package and the command line in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from isocortex.cli.commands import main
from tests.lab import Done, Lab, Typed, write_lab

settings.register_profile(
    "isocortex",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("isocortex")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """The package of ``tests.lab``, installed for this test; its modules are forgotten afterwards."""
    site = tmp_path / "site"
    write_lab(site)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)
    yield Lab(tmp_path, site)
    for name in [name for name in sys.modules if name.partition(".")[0].startswith("iso_")]:
        del sys.modules[name]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Type a command in this process: its exit code, and what it printed."""

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["isocortex", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    return run
