"""The kit as its users meet it: ``run_checks`` by any name, and the three lines in a plugin's tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from isocortex.errors import UnknownIDError, UsageError
from isocortex.testing import Check, CheckFailed, CheckOutcome, CheckSkipped, checks_of, conformance, run_checks
from isocortex.testing.outcomes import expect
from tests.third_party.install import SOURCES, environment, fake_site, write_package

QUICK = """
from isocortex.interfaces import LoadedModel, ModelPlugin
from isocortex.activations.output import LayerOutput
import numpy as np

class Loaded(LoadedModel):
    layers = ("level",)
    def run(self, batch, layers, emit):
        for layer in layers:
            emit(layer, LayerOutput(np.array([[stimulus.array.std()] for stimulus in batch]), ('time', 'unit')))

class Model(ModelPlugin):
    def load(self, variant, *, device):
        return Loaded()
"""
MANIFEST = """
[plugin]
api = 1

[defaults.model]
object = "isocortex_quick:Model"
modality = "audio"
layers = ["level"]

[[model]]
id = "quick"

[[model]]
id = "quick/*"

[[model]]
id = "quick-large"
parameters = 600_000_000

[[model]]
id = "quick-elsewhere"
requires = ["a-package-that-does-not-exist[all]>=2"]
"""

TINY = """
[plugin]
api = 1

[[benchmark]]
id = "b"
dataset = "a data set that nobody offers"
metric = "ridge"
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example and the two twins."""
    found = fake_site(tmp_path, ["isocortex-example", "isocortex-twin-a", "isocortex-twin-b"])
    monkeypatch.syspath_prepend(str(found))
    return found


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose model misnames its axes."""
    found = tmp_path / "quick"
    write_package(
        found, "isocortex-quick", {"__init__.py": QUICK.format(axes="('time', 'unit')"), "isocortex.toml": MANIFEST}
    )
    monkeypatch.syspath_prepend(str(found))
    return found


def run_pytest(folder: Path, text: str, site: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a test file in a process that sees a site."""
    path = folder / "test_plugin.py"
    path.write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(folder), "-v", "-rsx"]
    return subprocess.run(
        [*command, *options, str(path)],
        env={**os.environ, **environment(site), "PYTEST_ADDOPTS": ""},
        cwd=folder,
        capture_output=True,
        text=True,
    )


# --- which checks -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("site")
def test_checks_by_any_name() -> None:
    by_package = [check.id for check in checks_of("isocortex-example")]
    assert by_package == [check.id for check in checks_of("isocortex_example")]
    assert by_package == [check.id for check in checks_of("Isocortex.Example")]
    kinds = ["manifest", "model", "stimuli", "dataset", "metric", "benchmark"]
    assert list(dict.fromkeys(name.partition(":")[0] for name in by_package)) == kinds
    assert "model:example-bands:determinism" in by_package
    assert len(set(by_package)) == len(by_package)
    by_id = {check.id for check in checks_of("example-nearest")}
    assert {name.partition(":")[0] for name in by_id} == {"manifest", "metric"}
    assert set(by_package) < {check.id for check in checks_of()}
    with pytest.raises(UnknownIDError, match="Did you mean example-nearest"):
        checks_of("example-neares")


@pytest.mark.usefixtures("quick")
def test_families_and_large_models_are_checked_when_they_are_named() -> None:
    names = [check.id for check in checks_of("isocortex-quick")]
    assert "model:quick/*:loads" in names
    assert "model:quick/*:order" not in names
    ended = {
        check.id: check.outcome()
        for check in checks_of("isocortex-quick")
        if "quick/*" in check.id or "large" in check.id
    }
    assert {outcome.status for outcome in ended.values()} == {"skipped"}
    assert "family" in ended["model:quick/*:loads"].message
    assert "600 million" in ended["model:quick-large:loads"].message
    named = [check.id for check in checks_of("isocortex-quick", also=["quick/3", "quick-large"])]
    assert {"model:quick/3:order", "model:quick-large:order"} <= set(named)
    assert len(set(named)) == len(named)
    assert "model:quick/3:order" in [check.id for check in checks_of("quick/3")]
    assert "model:quick-large:order" in [check.id for check in checks_of("quick-large")]


@pytest.mark.usefixtures("quick")
def test_model_that_requires_what_is_not_installed_is_skipped() -> None:
    ended = [check.outcome() for check in checks_of("quick-elsewhere") if check.id.startswith("model:")]
    assert {outcome.status for outcome in ended} == {"skipped"}
    assert "a-package-that-does-not-exist" in ended[0].message


# --- known failures ---------------------------------------------------------------------------------------------------


def failing() -> None:
    expect(False, "found 3")


def skipping() -> None:
    raise CheckSkipped("no data")


def raising() -> None:
    raise ValueError("shape")


def test_outcomes_of_a_check() -> None:
    reason = {"kind:id:check": "by design"}
    ended = {function: Check("kind:id:check", function) for function in (failing, skipping, raising, lambda: None)}
    passing = Check("kind:id:check", lambda: None)
    assert [check.outcome().status for check in ended.values()] == ["failed", "skipped", "failed", "passed"]
    assert [check.outcome(reason).status for check in ended.values()] == ["known", "skipped", "known", "failed"]
    assert ended[failing].outcome(reason).message == "by design (found 3)"
    assert "it passes" in passing.outcome(reason).message
    assert "ValueError: shape" in ended[raising].outcome().message
    with pytest.raises(CheckFailed, match="ValueError: shape"):
        ended[raising]()


@pytest.mark.usefixtures("quick")
def test_known_failures_are_told_apart() -> None:
    seen: list[CheckOutcome] = []
    outcomes = run_checks("quick", report=seen.append)
    assert seen == outcomes
    plain = {outcome.id: outcome.status for outcome in outcomes}
    assert plain["model:quick:outputs"] == "failed"
    known = {"model:quick:outputs": "axes by design", "model:quick:loads": "passes all the same"}
    declared = {outcome.id: outcome for outcome in run_checks("quick", known_failures=known)}
    assert declared["model:quick:outputs"].status == "known"
    assert "axes by design" in declared["model:quick:outputs"].message
    assert declared["model:quick:loads"].status == "failed"


def test_known_failures_of_a_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = """
[known_failures]
"manifest:isocortex-declares:references" = "the data are not public yet"
"model:pixels:loads" = "not a row of this package"
"""
    write_package(tmp_path, "isocortex-declares", {"isocortex.toml": TINY + declared})
    monkeypatch.syspath_prepend(str(tmp_path))
    by_id = {outcome.id: outcome for outcome in run_checks("isocortex-declares")}
    assert by_id["manifest:isocortex-declares:references"].status == "known"
    assert "not public yet" in by_id["manifest:isocortex-declares:references"].message
    assert "failed" not in {outcome.status for outcome in by_id.values()}
    parameters = conformance("isocortex_declares").pytestmark[0].args[1]
    declared_here = [item.id for item in parameters if any(mark.name == "xfail" for mark in item.marks)]
    assert declared_here == ["manifest:isocortex-declares:references"]


@pytest.mark.usefixtures("quick")
def test_known_failure_that_names_no_check_is_refused() -> None:
    with pytest.raises(UsageError, match="Did you mean model:quick:outputs"):
        conformance("isocortex_quick", known_failures={"model:quick:output": "typo"})
    with pytest.raises(UnknownIDError, match="isocortex_nowhere"):
        conformance("isocortex_nowhere")


# --- under pytest -----------------------------------------------------------------------------------------------------


def test_three_lines_make_a_node_of_every_check(site: Path, tmp_path: Path) -> None:
    lines = (SOURCES / "isocortex-example" / "tests" / "test_example_conformance.py").read_text()
    done = run_pytest(tmp_path, lines, site)
    assert done.returncode == 0, done.stdout
    assert "test_conformance[model:example-bands:determinism] PASSED" in done.stdout
    assert "test_conformance[metric:example-nearest:noise] PASSED" in done.stdout
    assert "42 passed, 1 skipped" in done.stdout


def test_failures_known_and_unknown_under_pytest(tmp_path: Path) -> None:
    write_package(tmp_path / "site", "isocortex-tiny", {"isocortex.toml": TINY})
    lines = """
from isocortex.testing import conformance
test_plain = conformance("isocortex_tiny")
test_known = conformance("isocortex_tiny", known_failures={"manifest:isocortex-tiny:references": "not public yet"})
test_strict = conformance("isocortex_tiny", known_failures={"manifest:isocortex-tiny:ids": "no longer so"})
"""
    done = run_pytest(tmp_path, lines, tmp_path / "site")
    assert done.returncode == 1
    lines = [line.split() for line in done.stdout.splitlines() if "::test_" in line and line.endswith("%]")]
    ended = {words[0].partition("::")[2]: words[1] for words in lines}
    assert ended["test_plain[manifest:isocortex-tiny:references]"] == "FAILED"
    assert ended["test_plain[manifest:isocortex-tiny:ids]"] == "PASSED"
    assert ended["test_plain[benchmark:b:select]"] == "SKIPPED"
    assert ended["test_known[manifest:isocortex-tiny:references]"] == "XFAIL"
    assert "[manifest:isocortex-tiny:references] - not public yet" in done.stdout
    assert ended["test_strict[manifest:isocortex-tiny:ids]"] == "FAILED"
    assert "[XPASS(strict)] no longer so" in done.stdout


def test_importing_the_kit_and_collecting_imports_neither_pytest_nor_plugins(site: Path) -> None:
    probe = (
        "import sys\nfrom isocortex.testing import checks_of\n"
        "assert checks_of('isocortex_example')\n"
        "unwanted = {'pytest', '_pytest', 'isocortex_example', 'torch'}\n"
        "print([name for name in sys.modules if name.split('.')[0] in unwanted])"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe],
        env={**os.environ, **environment(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def groups_of(package: str) -> dict[str, set[str]]:
    """Row → groups of pytest-xdist of its checks."""
    found: dict[str, set[str]] = {}
    for parameter in conformance(package).pytestmark[0].args[1]:
        names = [mark.args[0] for mark in parameter.marks if mark.name == "xdist_group"]
        found.setdefault(parameter.id.rpartition(":")[0], set()).add(*names)
    return found


@pytest.mark.usefixtures("site")
def test_checks_of_a_row_share_a_group_and_those_of_two_rows_do_not() -> None:
    found = groups_of("isocortex_example")
    assert len(found) == 6, "the manifest and five rows"
    assert all(len(groups) == 1 for groups in found.values())
    assert len(set.union(*found.values())) == len(found)
    assert not set.union(*found.values()) & set.union(*groups_of("isocortex_twin_a").values())


def test_checks_of_a_row_run_in_one_worker(tmp_path: Path) -> None:
    """Under the pytest and the pytest-xdist that are installed here, which have not always agreed on that."""
    write_package(tmp_path / "site", "isocortex-tiny", {"isocortex.toml": TINY})
    lines = """
import os
from pathlib import Path
import pytest
from isocortex.testing import conformance
@pytest.fixture(autouse=True)
def written(request):
    with Path("workers.txt").open("a") as file:
        print(request.node.callspec.id, os.environ["PYTEST_XDIST_WORKER"], file=file)
test_tiny = conformance("isocortex_tiny")
"""
    run_pytest(tmp_path, lines, tmp_path / "site", "-n", "2", "--dist", "loadgroup")
    written = [line.split() for line in (tmp_path / "workers.txt").read_text().splitlines()]
    assert len(written) == len(checks_of_manifest()) + 2
    for row in ("manifest:isocortex-tiny", "benchmark:b"):
        assert len({worker for name, worker in written if name.startswith(row)}) == 1, row
    assert len({worker for _, worker in written}) == 2


def checks_of_manifest() -> list[str]:
    """Names of the checks of every manifest."""
    from isocortex.testing.manifests import MANIFEST_CHECKS

    return list(MANIFEST_CHECKS)


@pytest.mark.parametrize("options", [(), ("--strict-markers",)], ids=["lenient", "strict"])
def test_without_xdist_the_group_is_left_out_in_silence(tmp_path: Path, options: tuple[str, ...]) -> None:
    write_package(tmp_path / "site", "isocortex-tiny", {"isocortex.toml": TINY})
    lines = """
from isocortex.testing import conformance
test_tiny = conformance("isocortex_tiny")
def test_no_group(request):
    assert not [item for item in request.session.items if item.get_closest_marker("xdist_group")]
    assert len(request.session.items) > 5
"""
    done = run_pytest(tmp_path, lines, tmp_path / "site", "-p", "no:xdist", "-W", "error", *options)
    assert "test_no_group PASSED" in done.stdout, done.stdout
    assert "warning" not in done.stdout.lower()
