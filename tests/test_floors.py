"""The floors of the house hold: each contract of the import linter sees what breaks it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT = Path(sys.executable).with_name("lint-imports")

pytestmark = pytest.mark.skipif(not LINT.exists(), reason="import-linter is not here: make .venv/.lint installs it")


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the packages that the contracts speak of, and the contracts."""
    names = [path.parent.name for path in sorted((ROOT / "plugins").glob("*/pyproject.toml"))]
    sources = ["core/src/isocortex", *(f"plugins/{name}/src/isocortex_{name}" for name in names)]
    for source in sources:
        ignored = shutil.ignore_patterns("__pycache__", "*.csv")
        shutil.copytree(ROOT / source, tmp_path / Path(source).name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def broken(house: Path) -> list[str]:
    """Names of the contracts that do not hold."""
    code = (
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports; "
        "sys.exit(lint_imports(no_cache=True, show_timings=False))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=house, capture_output=True, text=True, timeout=100, check=False
    )
    assert "Contracts:" in done.stdout, done.stdout + done.stderr
    assert (done.returncode == 0) == ("0 broken" in done.stdout)
    return [line.removesuffix("BROKEN").strip() for line in done.stdout.splitlines() if line.endswith("BROKEN")]


def add(house: Path, module: str, line: str) -> None:
    """Add an import to a module."""
    path = house / module
    path.write_text(f"{path.read_text(encoding='utf-8')}\n\ndef added() -> None:\n    {line}\n", encoding="utf-8")


def test_the_house_as_it_is(house: Path) -> None:
    assert broken(house) == []


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("isocortex/files/disk.py", "from isocortex.data.media import resample", "Core:"),
        ("isocortex_metrics/geometry/rsa.py", "from isocortex_metrics.encoding.ridge import Ridge", "Metrics:"),
        ("isocortex/data/media.py", "from isocortex.data.stimuli import Stimulus", "No room"),
        ("isocortex_nh2015/sounds.py", "from isocortex.files.disk import folder_name", "Plugins"),
        ("isocortex_simulated/demo.py", "from isocortex.run import plan", "Plugins"),
    ],
)
def test_what_breaks_a_contract_is_seen(house: Path, module: str, line: str, contract: str) -> None:
    add(house, module, line)
    assert [name for name in broken(house) if name.startswith(contract)]


def test_a_module_outside_the_rooms_is_seen(house: Path) -> None:
    (house / "isocortex" / "sundry.py").write_text('"""Whatever."""\n', encoding="utf-8")
    assert [name for name in broken(house) if name.startswith("Core:")]


def test_no_module_is_longer_than_400_lines() -> None:
    modules = [path for folder in ("core", "plugins") for path in (ROOT / folder).glob("**/src/**/*.py")]
    assert len(modules) > 200
    long = {path.name: n for path in modules if (n := len(path.read_text(encoding="utf-8").splitlines())) > 400}
    assert not long


def test_core_has_thirteen_rooms_and_ten_modules_and_metrics_have_rooms_alone() -> None:
    core, metrics = ROOT / "core/src/isocortex", ROOT / "plugins/metrics/src/isocortex_metrics"
    assert len([path for path in core.iterdir() if (path / "__init__.py").is_file()]) == 13
    assert len(list(core.glob("*.py"))) <= 10
    assert [path.name for path in metrics.glob("*.py")] == ["__init__.py"]
