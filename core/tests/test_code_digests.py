"""What of a plugin's code, files, row and libraries, and what of core, is part of a digest."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import isocortex
from isocortex.catalogue.cards import MetricCard, ModelCard
from isocortex.files import code, core_content, libraries
from isocortex.files.code import closure, digest_closure
from isocortex.files.core_content import digest_core
from isocortex.files.libraries import library_versions, public_version
from isocortex.interfaces import MetricPlugin, digest_plugin, digest_row

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes files of packages into a folder in which Python looks; nothing of them is ever imported."""
    root = tmp_path / "packages"
    monkeypatch.setattr(sys, "path", [str(root), *sys.path])

    def write(**files: str) -> Path:
        """``package__module="..."`` writes package/module.py; a name with a dot inside is a path as it is."""
        for name, text in files.items():
            path = root / (name if "." in name else f"{name}.py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root

    yield write
    tops = {path.stem for path in root.iterdir()} if root.exists() else set()
    assert not tops & set(sys.modules), "a package was imported"


def package(write: Write, files: dict[str, str]) -> Path:
    """Write files by path."""
    return write(**files)


def names(*modules: str) -> set[str]:
    """The closure of modules, as names."""
    found = closure(*modules)
    assert found is not None
    return set(found)


# --- the closure ------------------------------------------------------------------------------------------------------


def test_the_closure_holds_what_is_imported_and_the_packages_on_the_way(write: Write) -> None:
    package(
        write,
        {
            "iso_a/__init__.py": "raise SystemExit('imported')",
            "iso_a/model.py": "import iso_a.deep.one as one\nfrom iso_a import side, VALUE\nimport numpy",
            "iso_a/side.py": "",
            "iso_a/deep/__init__.py": "from iso_a.deep import on_the_way",
            "iso_a/deep/one.py": "",
            "iso_a/deep/on_the_way.py": "",
            "iso_a/deep/unused.py": "",
            "iso_a/VALUE.txt": "",
        },
    )
    assert names("iso_a.model") == {
        "iso_a", "iso_a.model", "iso_a.side", "iso_a.deep", "iso_a.deep.one", "iso_a.deep.on_the_way"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f():\n    from iso_b import part\n", True),
        ("class A:\n    async def f(self):\n        with x:\n            import iso_b.part\n", True),
        ("try:\n    pass\nexcept OSError:\n    import iso_b.part\nfinally:\n    pass\n", True),
        ("match x:\n    case 1:\n        import iso_b.part\n", True),
        ("for x in y:\n    pass\nelse:\n    from iso_b.part import f\n", True),
        ("from . import part", True),
        ("from .part import f", True),
        ("from iso_b import *", True),
        ("if not TYPE_CHECKING:\n    from iso_b import part", True),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    from iso_b import part", True),
        ("if TYPE_CHECKING:\n    from iso_b import part", False),
        ("if typing.TYPE_CHECKING:\n    from iso_b import part", False),
        ("'from iso_b import part'\n# import iso_b.part", False),
        ("from iso_b import party", False),
        ("import importlib\nimportlib.import_module('iso_b.' + 'part')", True),
    ],
)
def test_which_statements_import(write: Write, text: str, expected: bool) -> None:
    package(write, {"iso_b/__init__.py": "", "iso_b/part.py": "", "iso_b/model.py": text})
    assert ("iso_b.part" in names("iso_b.model")) == expected


def test_relative_imports_go_up_as_many_packages_as_they_have_dots(write: Write) -> None:
    files = {f"iso_c/{path}": "" for path in ("__init__.py", "top.py", "in_/__init__.py", "in_/near.py", "far/x.py")}
    files["iso_c/in_/model.py"] = "from .near import a\nfrom ..top import b\nfrom ..far import x"
    package(write, files)
    assert names("iso_c.in_.model") == {
        "iso_c", "iso_c.in_", "iso_c.in_.model", "iso_c.in_.near", "iso_c.top", "iso_c.far", "iso_c.far.x"
    }  # fmt: skip


def test_other_plugins_count_and_other_libraries_do_not(write: Write) -> None:
    package(
        write,
        {
            "rtq/__init__.py": "import isocortex_zz.filters, other.thing, isocortex.data, isocortex_absent.x",
            "isocortex_zz/__init__.py": "",
            "isocortex_zz/filters.py": "import isocortex_zz.more",
            "isocortex_zz/more.py": "import rtq.back",
            "rtq/back.py": "import rtq",
            "other/__init__.py": "",
            "other/thing.py": "",
        },
    )
    assert names("rtq") == {"rtq", "rtq.back", "isocortex_zz", "isocortex_zz.filters", "isocortex_zz.more"}


@pytest.mark.parametrize("text", ["import iso_d.gone", "def f(:", "from iso_d.gone import x", "x = '\0'"])
def test_without_the_source_of_a_module_there_is_no_digest(write: Write, text: str) -> None:
    package(write, {"iso_d/__init__.py": "", "iso_d/model.py": text})
    assert digest_closure("iso_d") is not None
    assert digest_closure("iso_d.model") is None
    assert digest_closure("iso_d.nowhere") is None
    assert digest_closure("__main__") is None


def test_the_plugin_of_a_notebook_has_no_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    class Metric(MetricPlugin):
        def against(self, target, *, settings, seed, device="cpu"):  # type: ignore[no-untyped-def]
            raise NotImplementedError

    monkeypatch.setattr(Metric, "__module__", "a_module_of_a_notebook")
    assert digest_plugin(Metric(MetricCard(id="m", object="iso_none:Metric"))) is None


# --- the digest -------------------------------------------------------------------------------------------------------


def digest(**fields: object) -> str | None:
    """Digest of a model's row."""
    row = {"id": "m", "object": "iso_e.model:M", "modality": "audio", "layers": ["a"], **fields}
    return digest_row(ModelCard.model_validate(row))


@pytest.fixture
def plugin(write: Write) -> Path:
    """A package with two modules that count, one that does not, and files."""
    files = {
        "iso_e/__init__.py": "",
        "iso_e/model.py": "import iso_e.used",
        "iso_e/used.py": '"""One."""',
        "iso_e/unused.py": "",
        "iso_e/isocortex.toml": "",
        "iso_e/README.md": "",
        "iso_e/table.csv": "1",
        "iso_e/deep/weights.npz": "1",
        "iso_e/published/scores.csv": "1",
        "iso_e/.hidden": "",
        "iso_e/__pycache__/used.cpython-311.pyc": "",
    }
    return package(write, files) / "iso_e"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("__init__.py", True),
        ("model.py", True),
        ("used.py", True),
        ("table.csv", True),
        ("deep/weights.npz", True),
        ("unused.py", False),
        ("isocortex.toml", False),
        ("README.md", False),
        ("published/scores.csv", False),
        (".hidden", False),
        ("__pycache__/used.cpython-311.pyc", False),
    ],
)
def test_which_files_of_a_package_are_part_of_the_digest(plugin: Path, path: str, expected: bool) -> None:
    before = digest()
    with (plugin / path).open("a") as file:
        file.write("\n# edited\n")
    assert (digest() != before) == expected
    (plugin / "new.csv").write_text("")
    assert digest() not in (before, None)


def test_an_edit_of_same_size_and_time_is_seen_at_once(plugin: Path) -> None:
    before = [digest()]
    for text in ('"""Two."""', '"""Six."""'):
        (plugin / "used.py").write_text(text)
        os.utime(plugin / "used.py", ns=(1, 1))
        before.append(digest())
    assert len(set(before)) == 3


def test_source_that_has_settled_is_read_once(plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = code._read
    monkeypatch.setattr(code, "_read", lambda path: (read.append(path.name), original(path))[1])
    monkeypatch.setattr(code, "is_settled", lambda *_: True)
    first = digest()
    assert sorted(read) == ["__init__.py", "model.py", "used.py"]
    assert digest() == first
    assert len(read) == 3
    (plugin / "used.py").write_text("changed = 1")
    assert digest() != first
    assert read[3:] == ["used.py"]


@pytest.mark.usefixtures("plugin")
def test_the_row_counts_without_what_only_describes_it() -> None:
    before = digest()
    described = {"title": "x", "notes": "x", "licence": "x", "package": "iso-x", "package_version": "2", "module": "x"}
    assert {digest(**{field: value}) for field, value in described.items()} == {before}
    others = {"id": "n", "options": {"a": 1}, "sample_rate": 3.0, "layers": ["b"], "weights": "x", "tags": {"a": "b"}}
    assert len({before, *(digest(**{field: value}) for field, value in others.items())}) == 1 + len(others)


# --- libraries --------------------------------------------------------------------------------------------------------


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes the metadata of a distribution; another version of it is gone afterwards."""
    root = tmp_path / "libraries"
    root.mkdir()
    monkeypatch.setattr(sys, "path", [str(root), *sys.path])
    times = iter(range(1, 1000))

    def install(name: str, version: str, *requires: str) -> None:
        for old in root.glob(f"{name.replace('-', '_')}-*.dist-info"):
            shutil.rmtree(old)
        folder = root / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {line}" for line in requires)]
        (folder / "METADATA").write_text("\n".join(lines) + "\n")
        os.utime(root, ns=(next(times),) * 2)

    return install


def test_the_public_version_is_without_the_build(install: Callable[..., None]) -> None:
    install("fake-lib", "2.7.1+cpu")
    assert public_version("Fake_Lib") == "2.7.1"
    install("fake-lib", "2.8.0+cu126")
    assert public_version("fake-lib") == "2.8.0"


def test_requirements_are_followed_through_our_packages_and_extras(install: Callable[..., None]) -> None:
    install("isocortex", "9", "click>=8", 'fake-torch>=2; extra == "torch"', 'fake-hub; extra == "hub"')
    install("isocortex-fakes", "3", "isocortex>=0.1", "fake-filters", 'fake-own; extra == "own"')
    extras = ["isocortex[torch]>=0.1", "fake-lib[fast]>=1"]
    install("rt-plugin", "1", *extras, "isocortex-fakes", 'fake-old; python_version<"3"')
    install("fake-lib", "1.5", "fake-deep", 'fake-fast; extra == "fast"')
    for name in ("fake-torch", "fake-hub", "fake-filters", "fake-own", "fake-deep", "fake-fast", "fake-row"):
        install(name, "1.0+cpu")
    found = library_versions("rt-plugin", ["fake.Row>=1,<2"])
    assert found == {
        "fake-fast": "1.0", "fake-filters": "1.0", "fake-lib": "1.5", "fake-old": None, "fake-row": "1.0",
        "fake-torch": "1.0", "numpy": public_version("numpy"),
    }  # fmt: skip


@pytest.mark.usefixtures("plugin")
def test_another_version_of_a_library_is_another_digest(install: Callable[..., None]) -> None:
    install("rt-plugin", "1", "fake-lib>=1")
    install("fake-lib", "1.0+cpu")
    install("fake-row", "1.0")
    fields = {"package": "rt-plugin", "requires": ["fake-row"]}
    before = digest(**fields)
    install("rt-plugin", "2", "fake-lib>=1")
    install("fake-lib", "1.0+cu126")
    install("fake-elsewhere", "1.0")
    assert digest(**fields) == before
    install("fake-lib", "1.1")
    after = digest(**fields)
    install("fake-row", "1.1")
    assert len({before, after, digest(**fields)}) == 3


# --- core -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def core(tmp_path: Path) -> Path:
    """A copy of core."""
    source = Path(isocortex.__file__).parent
    return shutil.copytree(source, tmp_path / "isocortex", ignore=shutil.ignore_patterns("__pycache__"))


@pytest.mark.parametrize(
    ("path", "activations", "results"),
    [
        ("data/media.py", True, True),
        ("activations/reductions.py", True, True),
        ("extraction/extractor.py", True, True),
        ("models/torch_model.py", True, True),
        ("loading/folder_dataset.py", True, True),
        ("loading/folder_activations.py", True, True),
        ("scoring/layer_choice.py", False, True),
        ("scoring/summary.py", False, True),
        ("cli/score.py", False, False),
        ("results/tables.py", False, False),
        ("run/runner.py", False, False),
        ("loading/resolver.py", False, False),
        ("files/digests.py", False, False),
        ("interfaces.py", False, False),
        ("data/__init__.pyi", False, False),
    ],
)
def test_which_files_of_core_decide(core: Path, path: str, activations: bool, results: bool) -> None:
    before = digest_core("activations", core), digest_core("results", core)
    with (core / path).open("a") as file:
        file.write("# a comment\n")
    after = digest_core("activations", core), digest_core("results", core)
    assert (after[0] != before[0], after[1] != before[1]) == (activations, results)


def test_a_module_for_unpickling_counts_where_there_is_one(core: Path) -> None:
    path = core / "files" / "unpickle.py"
    path.write_text("first = 1")
    before = digest_core("activations", core)
    path.write_text("second = 2")
    assert digest_core("activations", core) != before


def test_a_copy_of_core_is_core(core: Path) -> None:
    assert digest_core("results", core) == digest_core("results")


def test_the_libraries_that_read_count_as_core(install: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    found = [digest_core("activations")]
    for name in ("numpy", "soundfile", "soxr", "Pillow"):
        install(name, "99.0")
        found.append(digest_core("activations"))
    monkeypatch.setattr(core_content, "_libsndfile", lambda: "99.0")
    found.append(digest_core("activations"))
    assert len(set(found)) == 6
    assert libraries.public_version("soxr") == "99.0"
