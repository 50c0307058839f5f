"""``isocortex list``: rows of manifests, filtered, as columns or JSON; conflicts and what is broken always beside."""

from __future__ import annotations

import json
import sys

import pytest

from isocortex.catalogue.rows import Catalogue
from isocortex.cli.list import LISTS, as_text, listing
from tests.lab import MANIFEST, Lab, Typed, write_lab
from tests.third_party.install import write_package


def ids(text: str, name: str = "models") -> list[str]:
    """IDs of the lab in one list of the JSON."""
    return [row["id"] for row in json.loads(text)[name] if row["package"].startswith("iso-")]


def test_every_kind_is_listed_without_importing_the_package(lab: Lab, typed: Typed) -> None:
    done = typed("list", "--json")
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert list(found) == [*LISTS, "conflicts", "broken"]
    assert {"lab-net", "lab-ear", "fault-absent"} <= set(ids(done.out))
    assert ids(done.out, "stimuli") == ["lab-images", "lab-sounds"]
    assert ids(done.out, "metrics") == ["lab-fit"]
    assert "Lab" in ids(done.out, "datasets")
    assert "lab.fit" in ids(done.out, "benchmarks")
    assert {"package": "iso-lab", "version": "0.1.0"} in found["plugins"]
    assert "iso_lab" not in sys.modules


@pytest.mark.parametrize("name", [name for name in LISTS if name != "plugins"])
def test_one_list_alone_has_the_same_rows(lab: Lab, typed: Typed, name: str) -> None:
    alone, whole = json.loads(typed("list", name, "--json").out), json.loads(typed("list", "--json").out)
    assert list(alone) == [name, "conflicts", "broken"]
    assert alone[name] == whole[name]
    text = typed("list", name).out
    assert text.splitlines()[0] == f"{name} ({len(alone[name])})"
    assert [line.split()[0] for line in text.splitlines()[1:]] == [row["id"] for row in alone[name]]


def test_where_takes_fields_lists_and_tags_and_all_must_hold(lab: Lab, typed: Typed) -> None:
    def models(*conditions: str) -> list[str]:
        where = [word for condition in conditions for word in ("--where", condition)]
        return ids(typed("list", "models", *where, "--json").out)

    assert models("modality=audio") == ["lab-ear"]
    assert models("variants=random") == ["lab-net", "lab-weighty"]
    assert models("depth=shallow") == ["lab-net"]
    assert models("variants=random", "variants=pretrained") == ["lab-weighty"]
    assert models("modality=audio", "depth=shallow") == []
    assert models("id=lab-net") == ["lab-net"]
    assert models("licence=CC0", "modality=image", "variants=pretrained") == ["lab-weighty"]


def test_models_whose_requirements_are_not_installed_are_told_apart(lab: Lab, typed: Typed) -> None:
    row = '[plugin]\napi = 1\n[[model]]\nid = "needy"\nobject = "iso_needy:Needy"\nmodality = "image"\nlayers = ["a"]\n'
    text = f'{row}requires = ["no-such-library>=3", "numpy>=1", "numpy>=99"]\n'
    write_package(lab.site, "iso-needy", {"isocortex.toml": text})
    rows = {row["id"]: row for row in json.loads(typed("list", "models", "--json").out)["models"]}
    assert rows["lab-net"]["available"]
    assert "unmet" not in rows["lab-net"]
    assert not rows["needy"]["available"]
    first, second = rows["needy"]["unmet"]
    assert first == "no-such-library>=3, which is not installed"
    assert second.startswith("numpy>=99, but ")
    assert ids(typed("list", "models", "--where", "available=false", "--json").out) == ["needy"]
    assert "needy" not in ids(typed("list", "models", "--where", "available=true", "--json").out)
    assert "available" not in json.loads(typed("list", "metrics", "--json").out)["metrics"][0]


def test_where_compares_numbers(lab: Lab, typed: Typed) -> None:
    rows = "".join(
        f'[[model]]\nid = "deep-{depth}"\nobject = "x:X"\nmodality = "audio"\nlayers = []\n'
        f"tags = {{ depth = {depth}, name = 'n{depth}' }}\n"
        for depth in (2, 11.5, 24)
    )
    write_package(lab.site, "iso-deep", {"isocortex.toml": f"[plugin]\napi = 1\n{rows}"})

    def models(*conditions: str) -> list[str]:
        where = [word for condition in conditions for word in ("--where", condition)]
        return ids(typed("list", "models", "--where", "package=iso-deep", *where, "--json").out)

    assert models("depth>=11.5") == ["deep-11.5", "deep-24"]
    assert models("depth>2", "depth<24") == ["deep-11.5"]
    assert models("depth<=2") == models("depth=2") == ["deep-2"]
    assert models("depth>1e3") == models("name>3") == models("absent>1") == [], "what is no number is never above one"


@pytest.mark.parametrize("condition", ["package=iso-lab", "package_version=0.1.0"])
def test_where_takes_what_every_row_shows(lab: Lab, typed: Typed, condition: str) -> None:
    assert "lab-net" in ids(typed("list", "models", "--where", condition, "--json").out)
    assert "lab-net" not in ids(typed("list", "models", "--where", f"{condition}x", "--json").out)


@pytest.mark.parametrize(
    ("name", "condition", "row"), [("models", "variants=fixed", "lab-second"), ("datasets", "kind=responses", "Lab")]
)
def test_where_takes_what_a_card_has_by_default(lab: Lab, typed: Typed, name: str, condition: str, row: str) -> None:
    assert row in ids(typed("list", name, "--where", condition, "--json").out, name)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--where", "modality"), "takes KEY=VALUE, for example modality=audio, or depth>=24; found 'modality'."),
        (("--where", "depth>=deep"), "or depth>=24; found 'depth>=deep'"),
        (("--where", "=audio"), "found '=audio'"),
        (("modles",), "'modles' is not one of"),
        (("--jsn",), "--jsn"),
    ],
)
def test_wrong_usage_ends_with_2(typed: Typed, arguments: tuple[str, ...], words: str) -> None:
    done = typed("list", *arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_conflicts_and_broken_packages_are_always_among_the_lists(lab: Lab, typed: Typed) -> None:
    write_lab(lab.site, "iso-twin", MANIFEST.replace("iso_lab:", "iso_twin:"))
    write_package(lab.site, "iso-broken", {"isocortex.toml": "[plugin\n"}, version="7.1")
    write_package(lab.site, "iso-old", {"isocortex.toml": "[plugin]\napi = 99\n"})
    row = '[plugin]\napi = 1\n[[model]]\nid = "half"\n[[model]]\nid = "sound"\nobject = "x:X"\n'
    write_package(lab.site, "iso-half", {"isocortex.toml": row})
    for arguments in ((), ("plugins",), ("models", "--where", "modality=none")):
        found = json.loads(typed("list", *arguments, "--json").out)
        assert {"kind": "model", "id": "lab-net", "packages": ["iso-lab", "iso-twin"]} in found["conflicts"]
        reasons = {item["package"]: item for item in found["broken"] if item["package"].startswith("iso-")}
        assert set(reasons) == {"iso-broken", "iso-old", "iso-half"}
        assert reasons["iso-broken"]["version"] == "7.1"
        assert "not valid TOML" in reasons["iso-broken"]["reason"]
        assert "api must be 1, found 99" in reasons["iso-old"]["reason"]
        assert reasons["iso-half"]["reason"] == "model half lacks object"
        text = typed("list", *arguments).out
        assert "model      lab-net" in text
        assert "iso-broken  7.1" in text
    assert "sound" in ids(typed("list", "--json").out)


def test_what_a_manifest_may_hold_is_valid_json(lab: Lab, typed: Typed) -> None:
    manifest = '[plugin]\napi = 1\n[[model]]\nid = "dated"\nobject = "x:X"\ntags = { year = 2001-02-03, at = nan }\n'
    write_package(lab.site, "iso-dated", {"isocortex.toml": manifest})
    done = typed("list", "models", "--json")
    assert done.code == 0, done.err

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    (row,) = (row for row in json.loads(done.out, parse_constant=refuse)["models"] if row["id"] == "dated")
    assert row["tags"]["year"] == "2001-02-03"
    assert "dated" in typed("list", "models", "--where", "year=2001-02-03").out
    assert typed("list").code == 0


def test_columns_are_aligned_and_empty_lists_left_out() -> None:
    entries = [{"id": "a", "modality": "audio", "package": "p"}, {"id": "long", "variants": ["x", "y"], "package": "q"}]
    assert as_text({"models": entries, "metrics": []}) == ("models (2)\n  a     audio        p\n  long         x, y  q")
    assert as_text({"models": []}).startswith("Nothing is installed. pip install isocortex-metrics")


def test_the_version_of_a_row_is_not_that_of_its_package(lab: Lab) -> None:
    (row,) = listing(Catalogue.discover(), "suites", ["package=iso-lab"])["suites"]
    assert (row["version"], row["package_version"]) == (2, "0.1.0")


def test_objects_and_options_are_not_shown(lab: Lab) -> None:
    (row,) = (row for row in listing(Catalogue.discover(), "models", [])["models"] if row["id"] == "lab-double")
    assert not {"object", "options"} & set(row)
    assert (row["package"], row["package_version"]) == ("iso-lab", "0.1.0")
