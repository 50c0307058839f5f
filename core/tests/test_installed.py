"""One installed package with any fault is a record: it is named, and every command goes on."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from isocortex.catalogue import installed
from isocortex.catalogue.installed import Package, find_packages
from isocortex.catalogue.rows import Catalogue
from tests.lab import Lab, Typed
from tests.third_party.install import write_package

HEADER = "[plugin]\napi = 1\n"
ROW = HEADER + '[[model]]\nid = "odd"\nobject = "iso_odd:Odd"\n'
#: what is written as a manifest, and what is said of it
MANIFESTS: dict[str, tuple[bytes, str]] = {
    "100,000 brackets": ((HEADER + "x = " + "[" * 100_000 + "]" * 100_000).encode(), "nested more than 32 deep"),
    "100,000 brackets without end": ((HEADER + "x = " + "[" * 100_000).encode(), "nested more than 32 deep"),
    "tables 200 deep": ((HEADER + "x = " + "{ a = " * 200 + "1" + " }" * 200).encode(), "nested more than 32 deep"),
    "a key of 50,000 names": ((HEADER + ".".join(["a"] * 50_000) + " = 1\n").encode(), "joined by dots"),
    "quoted names": ((HEADER + ".".join(['"a b"'] * 50_000) + " = 1\n").encode(), "joined by dots"),
    "a table of 50,000 names": ((HEADER + "[" + " . ".join(["a"] * 50_000) + "]\n").encode(), "joined by dots"),
    "another encoding": (ROW.encode("utf-16"), "not valid TOML"),
    "bytes": (bytes(range(256)), "not valid TOML"),
    "a number of a million digits": ((HEADER + "x = " + "9" * 1_000_000).encode(), "not valid TOML"),
    "larger than anybody writes": (ROW.encode() + b"#" * 2_000_000, "expected at most 2"),
    "hooks that are no name": (b"[plugin]\napi = 1\nhooks = 3\n", "hooks must name a module"),
    "a plugin that is a list": (b"plugin = [1]\n", "api must be 1"),
    "nothing": (b"", "api must be 1"),
}


def named(typed: Typed) -> dict[str, str]:
    """Package → what is wrong with it; all other packages are there."""
    done = typed("list", "--json")
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert {"lab-net", "pixels"} <= {row["id"] for row in found["models"]}
    assert typed("list").code == typed("info", "pixels").code == typed("list", "plugins").code == 0
    return {item["package"]: item["reason"] for item in found["broken"]}


def manifest_of(lab: Lab) -> Path:
    """The manifest of a package that can be damaged."""
    return write_package(lab.site, "iso-odd", {"isocortex.toml": ROW}) / "isocortex.toml"


def metadata_of(lab: Lab) -> Path:
    """The folder of the metadata of that package."""
    manifest_of(lab)
    return lab.site / "iso_odd-0.1.0.dist-info"


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_that_cannot_be_read_is_a_record(lab: Lab, typed: Typed, name: str) -> None:
    content, words = MANIFESTS[name]
    manifest_of(lab).write_bytes(content)
    begun = time.perf_counter()
    assert words in named(typed)["iso-odd"]
    assert time.perf_counter() - begun < 20


def test_what_is_no_file_is_never_waited_for(lab: Lab, typed: Typed) -> None:
    path = manifest_of(lab)
    path.unlink()
    path.mkdir()
    assert named(typed)["iso-odd"] == "isocortex.toml is no file"
    path.rmdir()
    os.mkfifo(path)
    assert named(typed)["iso-odd"] == "isocortex.toml is no file"
    path.unlink()
    assert "missing" in named(typed)["iso-odd"]


def test_dots_in_texts_and_comments_are_no_keys(lab: Lab) -> None:
    dots = ".".join(["a"] * 100)
    text = f"{ROW}title = \"{dots}\"\nnotes = '''\n{dots}\n'''\nreference = '{dots}' # {dots}\n"
    text += f'licence = """\n{dots} "quoted" \\""" {dots}"""\n'
    manifest_of(lab).write_text(text)
    assert Catalogue.discover().find("model", "odd").table["title"] == dots


def test_a_byte_order_mark_is_no_fault(lab: Lab) -> None:
    manifest_of(lab).write_text(ROW, encoding="utf-8-sig")
    assert Catalogue.discover().find("model", "odd").package == "iso-odd"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[isocortex]\ngarbage line\n", "has the line 'garbage line'"),
        (b"[isocortex]\n= iso_odd\nodd =\n", "has the line"),
        (b"[isocortex]\n\xed\xb2\x80 = iso_odd\n", "entry_points.txt cannot be read"),
        (b"[isocortex]\nodd = iso_odd\n" + b"#" * 2_000_000, "expected at most 2"),
        (b"[isocortex]\nodd = ../x\n", "must name a top-level package, found '../x'"),
        (b"[isocortex]\nodd = iso_odd.inner\n", "must name a top-level package"),
        (b"[isocortex]\nodd = iso_odd:Odd\n", "must name a top-level package"),
        (b"[isocortex]\nodd = \x1b[31m\n", "must name a top-level package"),
        (b"[isocortex]\nodd = no_such_package\n", "is not installed"),
        (b"[isocortex]\nodd = os\n", "is not installed"),
        ("[isocortex]\nodd = ça_va\n".encode(), "is not installed"),
    ],
)
def test_entry_points_that_name_no_package_are_a_record(lab: Lab, typed: Typed, content: bytes, words: str) -> None:
    (metadata_of(lab) / "entry_points.txt").write_bytes(content)
    assert words in named(typed)["iso_odd" if "cannot be read" in words or "at most" in words else "iso-odd"]


def test_entry_points_of_others_are_nobodys_business(lab: Lab, typed: Typed) -> None:
    (metadata_of(lab) / "entry_points.txt").write_bytes(b"[console_scripts]\n\xff\xfe garbage\n")
    assert "iso_odd" not in named(typed)
    text = "[other]\ngarbage\n\n[isocortex]\n# a note\nodd = iso_odd [extra]\n"
    (metadata_of(lab) / "entry_points.txt").write_text(text)
    assert "iso-odd" not in named(typed)
    assert Catalogue.discover().find("model", "odd").module == "iso_odd"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"Name: \xff\xfe\nVersion: 1\n", "METADATA cannot be read"),
        (b"Name: ../../x\nVersion: 1\n", "gives the name '../../x'"),
        (b"Name: a/b\nVersion: 1\n", "gives the name 'a/b'"),
        (b"Name: \nVersion: 1\n", "gives the name ''"),
        (b"Name: iso-odd\nVersion: \x1b[31m1\n", "gives the version"),
        (b"Name: iso-odd\nVersion: ../1\n", "gives the version '../1'"),
    ],
)
def test_metadata_that_names_no_package_is_a_record(lab: Lab, typed: Typed, content: bytes, words: str) -> None:
    (metadata_of(lab) / "METADATA").write_bytes(content)
    found = [reason for package, reason in named(typed).items() if package in ("iso_odd", "iso-odd")]
    assert len(found) == 1
    assert words in found[0]


def test_metadata_that_cannot_be_read_fails_no_score(lab: Lab) -> None:
    (metadata_of(lab) / "METADATA").write_bytes(b"Name: \xff\xfe\n")
    (result,) = lab.score("lab-net", "lab.fit")
    assert result.status == "scored"


def test_a_record_of_files_is_not_needed(lab: Lab, typed: Typed) -> None:
    (metadata_of(lab) / "RECORD").unlink()
    assert "iso-odd" not in named(typed)


def test_two_versions_in_one_folder_are_said_and_one_counts(lab: Lab, typed: Typed) -> None:
    metadata_of(lab)
    write_package(lab.site, "iso-odd", {"isocortex.toml": ROW}, version="0.2.0")
    assert "versions 0.1.0 and 0.2.0 are installed in one folder" in named(typed)["iso_odd"].replace(
        "0.2.0 and 0.1.0", "0.1.0 and 0.2.0"
    )
    assert Catalogue.discover().find("model", "odd").package == "iso-odd"


def test_a_folder_that_comes_first_on_the_path_hides_the_later_one(lab: Lab, typed: Typed, monkeypatch) -> None:
    metadata_of(lab)
    write_package(lab.folder / "first", "iso-odd", {"isocortex.toml": ROW}, version="0.2.0")
    monkeypatch.syspath_prepend(str(lab.folder / "first"))
    assert "iso_odd" not in named(typed)
    assert Catalogue.discover().find("model", "odd").version == "0.2.0"


def test_an_import_package_belongs_to_one_distribution(lab: Lab, typed: Typed) -> None:
    metadata_of(lab)
    info = lab.site / "iso_zodd-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: iso-zodd\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[isocortex]\nodd = iso_odd\n")
    assert "names 'iso_odd', which belongs to iso-odd 0.1.0" in named(typed)["iso-zodd"]
    assert Catalogue.discover().find("model", "odd").package == "iso-odd"


@pytest.mark.parametrize(
    "row",
    [
        'id = "../x\\u0007"', 'id = "a\\nb"', f'id = "{"x" * 200}"', 'id = " x"', 'id = 1979-05-27', "id = [1]",
    ],
)  # fmt: skip
def test_an_id_that_nobody_can_type_is_a_record_of_its_row(lab: Lab, typed: Typed, row: str) -> None:
    manifest_of(lab).write_text(f'{ROW}[[model]]\n{row}\nobject = "iso_odd:Odd"\n')
    assert named(typed)["iso-odd"].startswith("model ")
    assert Catalogue.discover().find("model", "odd").package == "iso-odd"


@pytest.mark.parametrize("at_import", ["raise RuntimeError('no')", "import sys\nsys.exit(3)", "def broken(:\n"])
def test_a_package_that_breaks_at_import_is_listed_and_its_use_is_one_message(
    lab: Lab, typed: Typed, at_import: str
) -> None:
    manifest_of(lab).write_text(ROW + 'modality = "image"\nlayers = ["a"]\n')
    (lab.site / "iso_odd" / "__init__.py").write_text(at_import)
    assert "iso-odd" not in named(typed)
    done = typed("score", "-m", "odd", "-b", "lab.fit", "--json")
    assert (done.code, "Traceback" in done.err) == (1, False)
    assert "importing iso_odd failed with" in done.err
    assert typed("info", "odd").code == 0
    checked = typed("check", "iso-odd::odd")
    assert (checked.code, "Traceback" in checked.err) == (1, False)


def test_listing_reads_dates_and_deep_options_as_they_are(lab: Lab, typed: Typed) -> None:
    manifest_of(lab).write_text(ROW + "title = 1979-05-27\noptions = { at = 07:32:00, deep = [[[[1]]]] }\n")
    (row,) = (row for row in json.loads(typed("list", "--json").out)["models"] if row["id"] == "odd")
    assert row["title"] == "1979-05-27"
    refused = typed("info", "odd")
    assert (refused.code, "title" in refused.err, "Traceback" in refused.err) == (1, True, False)


def test_packages_are_found_as_the_standard_library_finds_them() -> None:
    from importlib.metadata import entry_points

    expected = {(point.dist.name, point.dist.version, point.value) for point in entry_points(group="isocortex")}  # type: ignore[union-attr]
    found = find_packages()
    assert {(item.name, item.version, item.module) for item in found if isinstance(item, Package)} == expected
    assert len(found) == len(expected)


def test_finders_of_others_may_raise_anything(lab: Lab, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "iso_odd":
                raise ZeroDivisionError("in a finder")

    manifest_of(lab)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    assert "ZeroDivisionError" in named(typed)["iso-odd"] or "in a finder" in named(typed)["iso-odd"]


def test_a_distribution_that_is_no_folder_is_read_through_its_own_methods(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Odd:
        def __init__(self, read: Callable[[str], str]) -> None:
            self.read_text = read

    import importlib.metadata

    def broken(name: str) -> str:
        raise OSError("gone")

    whole = {"entry_points.txt": "[isocortex]\nodd = iso_odd\n", "METADATA": "Name: iso-odd\nVersion: 2\n"}
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: [Odd(broken), Odd(whole.__getitem__)])
    assert installed.find_packages() == [Package("iso-odd", "2", "iso_odd")]
