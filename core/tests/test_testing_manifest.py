"""The checks of manifests: each kind of mistake fails the one check that is about it."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from isocortex.testing import CheckFailed, check_manifest, checks_of
from isocortex.testing.outcomes import CheckOutcome
from isocortex.testing.processes import run_probe
from tests.third_party.install import fake_site, write_package

HEADER = "[plugin]\napi = 1\n"
CODE = """
from isocortex.interfaces import DatasetPlugin, MetricPlugin, ModelPlugin, StimuliPlugin

class Model(ModelPlugin):
    def load(self, variant, *, device):
        raise NotImplementedError

class Stimuli(StimuliPlugin):
    def load(self, files):
        raise NotImplementedError

class Data(DatasetPlugin):
    def load(self, files, stimuli):
        raise NotImplementedError

class Metric(MetricPlugin):
    def against(self, target, *, settings, seed, device="cpu", preparation=None):
        raise NotImplementedError

def function():
    return None
"""
MODEL = '[[model]]\nid = "m"\nobject = "{module}:Model"\nmodality = "audio"\nlayers = ["a"]\n'
STIMULI = '[[stimuli]]\nid = "s"\nobject = "{module}:Stimuli"\nmodality = "audio"\n'
DATASET = '[[dataset]]\nid = "d"\nobject = "{module}:Data"\nstimuli = "s"\n'
METRIC = '[[metric]]\nid = "k"\nobject = "{module}:Metric"\n'
BENCHMARK = '[[benchmark]]\nid = "b"\ndataset = "d"\nmetric = "k"\n'
WHOLE = HEADER + MODEL + STIMULI + DATASET + METRIC + BENCHMARK
FILES = "name,url,sha256,bytes\na.wav,https://example.org/a.wav," + "0" * 64 + ",10\n"

#: one import package for each test, since modules stay imported
numbers = itertools.count()

Failed = Callable[..., dict[str, str]]


@pytest.fixture
def failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Failed:
    """Write a package and return the checks of its manifest that fail, with their messages."""

    def check(manifest: str, *, only: tuple[str, ...] = (), **files: str) -> dict[str, str]:
        return {
            item.id.rpartition(":")[2]: item.message for item in run(manifest, only, files) if item.status == "failed"
        }

    def run(manifest: str, only: tuple[str, ...], files: dict[str, str]) -> list[CheckOutcome]:
        name = f"isocortex-manifest{next(numbers)}"
        content = {
            f"{path}.{ending}": text
            for path_ending, text in files.items()
            for path, ending in [path_ending.split("__")]
        }
        write_package(
            tmp_path,
            name,
            {"__init__.py": CODE, "isocortex.toml": manifest.replace("{module}", name.replace("-", "_")), **content},
        )
        monkeypatch.syspath_prepend(str(tmp_path))
        chosen = [item for item in checks_of(name) if item.id.startswith("manifest:")]
        return [item.outcome() for item in chosen if not only or item.id.rpartition(":")[2] in only]

    return check


LIGHT = ("parses", "ids", "rows", "layer-patterns", "files", "references")


def test_whole_manifest_passes(failed: Failed) -> None:
    assert failed(WHOLE) == {}


@pytest.mark.parametrize(
    ("manifest", "check", "words"),
    [
        (HEADER + "[[model]\n", "parses", "not valid TOML"),
        ("[plugin]\napi = 7\n", "parses", "found 7"),
        (HEADER + '[[model]]\nid = "m"\n', "parses", "lacks object"),
        (HEADER + '[model]\nid = "m"\n', "parses", "[[model]]"),
        (WHOLE + MODEL, "parses", "model m is there twice"),
        (HEADER + MODEL.replace('"m"', '"m@random"'), "ids", "m@random"),
        (HEADER + MODEL.replace('"m"', '"two words"'), "ids", "two words"),
        (HEADER + MODEL.replace('"m"', '"other::m"'), "ids", "other::m"),
        (HEADER + MODEL + "colour = 1\n", "rows", "colour"),
        (HEADER + MODEL + 'aliases = ["two words"]\n', "ids", "two words"),
        (HEADER + MODEL + "aliases = [1]\n", "rows", "aliases"),
        (HEADER + MODEL + 'variants = ["frozen"]\n', "rows", "pretrained"),
        (HEADER + MODEL.replace('["a"]', '["a..b"]'), "layer-patterns", "a..b"),
        (HEADER + MODEL.replace('["a"]', '["a", " b"]'), "layer-patterns", "' b'"),
        (HEADER + MODEL.replace('["a"]', '["a.***"]'), "layer-patterns", "***"),
        (HEADER + MODEL.replace('["a"]', '["a", "a"]'), "layer-patterns", "twice"),
        (HEADER + MODEL + 'files = "absent.csv"\n', "files", "absent.csv"),
        (HEADER + STIMULI + DATASET + METRIC + BENCHMARK + 'published = "none.csv"\n', "files", "none.csv"),
        (HEADER + DATASET, "references", "stimuli 's'"),
        (HEADER + STIMULI + DATASET + BENCHMARK, "references", "metric 'k'"),
        (HEADER + METRIC + BENCHMARK, "references", "dataset 'd'"),
        (WHOLE + 'reduction = "time-median"\n', "references", "time-median"),
        (HEADER + STIMULI + DATASET + 'kind = "rdm"\n' + METRIC + BENCHMARK, "references", "holds rdm"),
    ],
)
def test_mistake_fails_its_check_alone(failed: Failed, manifest: str, check: str, words: str) -> None:
    found = failed(manifest, only=LIGHT)
    assert list(found) == [check]
    assert words in found[check]


@pytest.mark.parametrize(
    ("listing", "words"),
    [
        ("name,url,sha256,bytes\n", "at least one file"),
        ("name,url,bytes\na.wav,https://example.org/a,10\n", "sha256"),
        (FILES + FILES.splitlines()[1] + "\n", "more than once: a.wav"),
        (FILES.replace("0" * 64, "0" * 63), "64 hexadecimal digits"),
        (FILES.replace("https://", ""), "must be complete"),
        (FILES.replace(",10\n", ",0\n"), "above 0"),
        (FILES.replace("a.wav,", "../a.wav,", 1), "outside its folder"),
    ],
)
def test_list_of_files_with_a_mistake(failed: Failed, listing: str, words: str) -> None:
    found = failed(HEADER + MODEL + 'files = "list.csv"\n', only=LIGHT, list__csv=listing)
    assert list(found) == ["files"]
    assert words in found["files"]


def test_lists_that_are_right(failed: Failed) -> None:
    manifest = (
        HEADER + MODEL + 'files = "list.csv"\n' + STIMULI + DATASET + METRIC + BENCHMARK + 'published = "p.csv"\n'
    )
    assert failed(manifest, only=LIGHT, list__csv=FILES, p__csv="model,value\nm,0.1\n") == {}
    assert list(failed(manifest, only=LIGHT, list__csv=FILES, p__csv="model,value\n")) == ["files"]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("{module}:Absent", "has no 'Absent'"),
        ("{module}:Metric", "no subclass of isocortex.interfaces.ModelPlugin"),
        ("{module}:function", "no subclass"),
        ("{module}", "'module:Name'"),
        ("{module}:not a name", "'module:Name'"),
    ],
)
def test_object_that_is_not_what_its_row_says(failed: Failed, target: str, words: str) -> None:
    found = failed(HEADER + MODEL.replace("{module}:Model", target))
    assert list(found) == ["objects"]
    assert words in found["objects"]


def test_alias_that_something_else_has(failed: Failed) -> None:
    first = HEADER + MODEL.replace('"m"', '"bird"') + 'aliases = ["parrot"]\n'
    assert failed(first, only=LIGHT) == {}
    found = failed(HEADER + MODEL.replace('"m"', '"jay"') + 'aliases = ["parrot"]\n', only=LIGHT)
    assert list(found) == ["ids"]
    assert "'parrot'" in found["ids"]
    assert "::bird" in found["ids"]
    assert "::jay" in found["ids"]


def test_command_that_is_none(failed: Failed) -> None:
    command = '[[command]]\nname = "report"\nobject = "{module}:function"\n'
    assert "no click command" in failed(HEADER + command)["objects"]


@pytest.mark.parametrize("heavy", ["torch", "nemo", "transformers"])
def test_heavy_import_at_the_top_fails_and_inside_a_function_does_not(
    failed: Failed, tmp_path: Path, heavy: str
) -> None:
    (tmp_path / f"{heavy}.py").write_text("")
    at_top, inside = f"import {heavy}\n{CODE}", f"def load():\n    import {heavy}\n{CODE}"
    manifest = HEADER + MODEL.replace("{module}:", "{module}.models:")
    found = failed(manifest, models__py=at_top)
    assert list(found) == ["light-imports"]
    assert heavy in found["light-imports"]
    assert ".models" in found["light-imports"]
    assert failed(manifest, models__py=inside) == {}


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("raise RuntimeError('no GPU')", "RuntimeError: no GPU"),
        ("import sys; sys.exit('not on this machine')", "SystemExit: not on this machine"),
        ("import a_package_that_does_not_exist", "a_package_that_does_not_exist"),
        ("import os; os._exit(9)", "ended with 9"),
    ],
)
def test_module_that_cannot_be_imported(failed: Failed, statement: str, words: str) -> None:
    found = failed(HEADER + MODEL.replace("{module}:", "{module}.models:"), models__py=statement)
    assert list(found) in (["imports"], ["imports", "light-imports", "objects"])
    assert words in found["imports"]


def test_hooks_module_is_imported_too(failed: Failed) -> None:
    found = failed('[plugin]\napi = 1\nhooks = "{module}.hooks"\n', hooks__py="import pluggy\nraise ValueError('hook')")
    assert list(found) == ["imports"]
    assert "ValueError: hook" in found["imports"]


@pytest.mark.parametrize(
    ("name", "checks"),
    [
        ("isocortex-broken-import", ["imports"]),
        ("isocortex-broken-manifest", ["parses"]),
        ("isocortex-missing-object", ["imports", "objects"]),
        ("isocortex-twin-a", []),
    ],
)
def test_third_party_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, checks: list[str]) -> None:
    monkeypatch.syspath_prepend(str(fake_site(tmp_path, [name])))
    ended = [check.outcome() for check in checks_of(name) if check.id.startswith("manifest:")]
    assert [item.id.rpartition(":")[2] for item in ended if item.status == "failed"] == checks
    if checks:
        with pytest.raises(CheckFailed, match=f"manifest:{name}:{checks[0]}"):
            check_manifest(name)
    else:
        assert {item.status for item in check_manifest(name)} == {"passed"}


def test_fresh_interpreter_sees_the_path_of_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_here_for_a_moment.py").write_text("import os\nprint('noise on stdout')\n")
    objects: dict[str, list[str]] = {"only_here_for_a_moment": []}
    assert "ModuleNotFoundError" in run_probe("import", objects=objects)["only_here_for_a_moment"]["error"]
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert run_probe("import", objects=objects) == {"only_here_for_a_moment": {"heavy": [], "problems": []}}
    assert "isocortex" not in os.environ.get("PYTHONPATH", "")


def test_modules_are_imported_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("")
    sources = {
        "first": "import torch, sys\nsys.path.append('seen')",
        "last": "import sys\nassert 'seen' not in sys.path",
    }
    sources["ends"] = "import os\nos._exit(3)"
    for module, source in sources.items():
        (tmp_path / f"module_{module}.py").write_text(source)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    found = run_probe("import", objects={f"module_{module}": [] for module in ("first", "ends", "last")})
    assert found["module_first"] == {"heavy": ["torch"], "problems": []}
    assert "ended with 3" in found["module_ends"]["error"]
    assert found["module_last"] == {"heavy": [], "problems": []}


@pytest.mark.parametrize(
    "line",
    [
        "from isocortex.data.stimuli import Stimulus",
        "import isocortex.run.plan",
        "from isocortex.data import stimuli",
        "from isocortex import api",
        "def late():\n    from isocortex.catalogue import Catalogue",
    ],
)
def test_what_lies_behind_the_faces_of_core_is_not_imported(failed, line: str) -> None:
    found = failed(WHOLE.replace("MODULE", "{module}"), code__py=line + "\n")
    assert list(found) == ["faces"]
    assert "code.py:" in found["faces"]


def test_faces_may_be_imported_and_so_may_types(failed) -> None:
    lines = "from isocortex import score\nfrom isocortex.data import Stimulus\nimport isocortex.errors\nimport numpy\n"
    types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from isocortex.run.plan import Plan\n"
    assert failed(WHOLE, code__py=lines + types) == {}
