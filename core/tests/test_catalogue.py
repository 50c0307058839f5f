from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from isocortex.catalogue import rows as module
from isocortex.catalogue.rows import KINDS, Broken, Catalogue, Plugin, Row, is_pattern, package_that_offers
from isocortex.errors import AmbiguousIDError, UnknownIDError

Install = Callable[..., Path]

HEADER = "[plugin]\napi = 1\n"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a package as pip would leave it: an import package, and its dist-info with an entry point."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])

    def install(
        distribution: str,
        manifest: str | bytes | None,
        *,
        version: str = "1.2.3",
        value: str | None = None,
        metadata: bool = True,
        code: str = "raise RuntimeError('a plugin was imported')",
    ) -> Path:
        name = distribution.replace("-", "_")
        package = site / name
        package.mkdir()
        (package / "__init__.py").write_text(code)
        if manifest is not None:
            content = manifest.encode() if isinstance(manifest, str) else manifest
            (package / "isocortex.toml").write_bytes(content)
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        if metadata:
            (info / "METADATA").write_text(
                f"Metadata-Version: 2.4\nName: {distribution}\nVersion: {version}\n\nVersion: of the description\n"
            )
        (info / "entry_points.txt").write_text(f"[isocortex]\n{name} = {value or name}\n")
        importlib.invalidate_caches()
        return package

    return install


def model(name: str, target: str = "x:Model", more: str = "") -> str:
    return f'[[model]]\nid = "{name}"\nobject = "{target}"\n{more}\n'


def of(catalogue: Catalogue, package: str) -> list[Row]:
    return [row for row in catalogue.rows if row.package == package]


def reasons(catalogue: Catalogue, package: str) -> list[str]:
    return [item.reason for item in catalogue.broken if item.package == package]


EVERY_KIND = (
    HEADER
    + 'hooks = "full.hooks"\n'
    + textwrap.dedent(
        """
        [defaults.model]
        modality = "audio"
        layers = ["output"]

        [[model]]
        id = "m1"
        object = "full:One"

        [[model]]
        id = "m2"
        object = "full:Two"
        modality = "image"

        [[stimuli]]
        id = "s"
        object = "full:Stimuli"

        [[dataset]]
        id = "d"
        object = "full:Data"

        [[metric]]
        id = "k"
        object = "full:Metric"

        [[benchmark]]
        id = "d.k"
        dataset = "d"
        metric = "k"

        [[command]]
        name = "draw"
        object = "full:draw"

        [[executor]]
        id = "far"
        object = "full:Far"

        [[suite]]
        id = "core"
        benchmarks = ["d.k"]
        """
    )
)


def test_every_row_of_a_package_is_found(install: Install) -> None:
    folder = install("iso-full", EVERY_KIND)
    catalogue = Catalogue.discover()
    assert catalogue.broken == ()
    assert Plugin("iso-full", "1.2.3", "iso_full", "full.hooks") in catalogue.plugins
    rows = of(catalogue, "iso-full")
    assert [(row.kind, row.id) for row in rows] == [
        ("model", "m1"),
        ("model", "m2"),
        ("stimuli", "s"),
        ("dataset", "d"),
        ("metric", "k"),
        ("benchmark", "d.k"),
        ("command", "draw"),
        ("executor", "far"),
        ("suite", "core"),
    ]
    assert {row.kind for row in rows} == set(KINDS)
    assert all((row.version, row.module, row.folder) == ("1.2.3", "iso_full", folder) for row in rows)
    assert rows[0].table == {"modality": "audio", "layers": ["output"], "id": "m1", "object": "full:One"}
    assert rows[1].table["modality"] == "image", "a row's own field goes before the default"
    assert "modality" not in rows[2].table, "defaults belong to their kind"
    assert rows[0].reference == "iso-full::m1"


def test_a_manifest_is_read_anew_when_it_changes_and_belongs_to_who_read_it(install: Install) -> None:
    package = install("acme-models", HEADER + model("first", more="tags = { depth = [1, 2] }"))
    (row,) = of(Catalogue.discover(), "acme-models")
    row.table["tags"]["depth"].append(3)
    assert of(Catalogue.discover(), "acme-models")[0].table["tags"] == {"depth": [1, 2]}
    (package / "isocortex.toml").write_text(HEADER + model("other"))
    assert [row.id for row in of(Catalogue.discover(), "acme-models")] == ["other"]


def test_the_version_is_that_of_the_header_not_of_the_description(install: Install) -> None:
    install("iso-versions", HEADER, version="0.9rc1")
    (plugin,) = [plugin for plugin in Catalogue.discover().plugins if plugin.package == "iso-versions"]
    assert plugin.version == "0.9rc1"


def test_packages_without_rows_or_plugins_are_no_error(install: Install) -> None:
    install("iso-empty", HEADER)
    catalogue = Catalogue.discover()
    assert [plugin.package for plugin in catalogue.plugins if plugin.package == "iso-empty"] == ["iso-empty"]
    assert of(catalogue, "iso-empty") == []


def test_listing_imports_no_plugin_and_no_heavy_module(install: Install) -> None:
    site = install("iso-full", EVERY_KIND).parent
    script = (
        "import sys\n"
        f"sys.path.insert(0, {str(site)!r})\n"
        "from isocortex.catalogue.rows import Catalogue\n"
        "rows = Catalogue.discover().rows\n"
        "assert 'm1' in [row.id for row in rows]\n"
        "heavy = 'numpy pydantic xarray pandas scipy sklearn torch rich iso_full full'.split()\n"
        "print(sorted(name for name in heavy if name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- broken packages hurt only themselves -----------------------------------------------------------------------------

BROKEN_PACKAGES = {
    "broken TOML": (HEADER + "[[model]\n", "is not valid TOML"),
    "not UTF-8": (HEADER.encode() + b"# \xff\xfe\n", "is not valid TOML"),
    "no file": (None, "isocortex.toml is missing from the package 'iso_broken' (No such file or directory)"),
    "no header": (model("m"), "[plugin] api must be 1, found None"),
    "future api": ("[plugin]\napi = 2\n" + model("m"), "[plugin] api must be 1, found 2; another isocortex version"),
    "api as text": ('[plugin]\napi = "1"\n' + model("m"), "[plugin] api must be 1, found '1'"),
    "header is a list": ("[[plugin]]\napi = 1\n" + model("m"), "[plugin] api must be 1, found None"),
    "single brackets": (HEADER + '[model]\nid = "m"\nobject = "x:M"\n', "[model] must be written [[model]]"),
    "no object": (HEADER + '[[model]]\nid = "m"\n', "model m lacks object"),
    "no id": (HEADER + '[[metric]]\nobject = "x:M"\n', "metric number 1 lacks id"),
    "neither": (HEADER + '[[dataset]]\ntitle = "x"\n', "dataset number 1 lacks id and object"),
    "empty id": (HEADER + '[[model]]\nid = ""\nobject = "x:M"\n', "model number 1 lacks id"),
    "id is a number": (HEADER + '[[model]]\nid = 3\nobject = "x:M"\n', "model 3 lacks id"),
    "no metric": (HEADER + '[[benchmark]]\nid = "b"\ndataset = "d"\n', "benchmark b lacks metric"),
    "no command name": (HEADER + '[[command]]\nobject = "x:f"\n', "command number 1 lacks id"),
    "rows are text": ('model = ["m"]\n' + HEADER, "model"),
    "rows are numbers": ("benchmark = [1]\n" + HEADER, "benchmark"),
    "defaults are text": ('defaults = "audio"\n' + HEADER + model("m"), "defaults"),
    "defaults of a kind are text": (HEADER + '[defaults]\nmodel = "audio"\n' + model("m"), "defaults"),
}


@pytest.mark.parametrize("name", BROKEN_PACKAGES)
def test_a_broken_package_is_named_and_hurts_only_itself(install: Install, name: str) -> None:
    manifest, reason = BROKEN_PACKAGES[name]
    install("iso-healthy", HEADER + model("healthy"))
    install("iso-broken", manifest, version="0.0.1")
    catalogue = Catalogue.discover()
    assert catalogue.find("model", "healthy").package == "iso-healthy"
    broken = [item for item in catalogue.broken if item.package == "iso-broken"]
    assert len(broken) == 1
    assert broken[0].version == "0.0.1"
    assert reason in broken[0].reason
    assert of(catalogue, "iso-broken") == []


def test_a_broken_row_leaves_the_other_rows_of_its_package(install: Install) -> None:
    install("iso-mixed", HEADER + model("good") + '[[model]]\nid = "bad"\n' + model("better") + "[[metric]]\n")
    catalogue = Catalogue.discover()
    assert [row.id for row in of(catalogue, "iso-mixed")] == ["good", "better"]
    assert reasons(catalogue, "iso-mixed") == ["model bad lacks object", "metric number 1 lacks id and object"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("iso_where.inner", "must name a top-level package, found 'iso_where.inner'"),
        ("iso_where:Model", "must name a top-level package, found 'iso_where:Model'"),
        ("absent_package", "'absent_package' named by the entry point is not installed"),
        ("iso_module", "'iso_module' named by the entry point is not installed"),
    ],
)
def test_an_entry_point_must_name_an_installed_package(install: Install, value: str, reason: str) -> None:
    site = install("iso-where", HEADER + model("m"), value=value).parent
    (site / "iso_module.py").write_text("")
    catalogue = Catalogue.discover()
    assert of(catalogue, "iso-where") == []
    (found,) = reasons(catalogue, "iso-where")
    assert reason in found


def test_a_package_that_another_one_half_imported_is_broken(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    install("iso-half", HEADER + model("m"))
    monkeypatch.setitem(sys.modules, "iso_half", types.ModuleType("iso_half"))  # has no __spec__
    sys.modules["iso_half"].__spec__ = None
    (found,) = reasons(Catalogue.discover(), "iso-half")
    assert "'iso_half' cannot be found" in found


def test_an_interrupted_installation_hurts_only_itself(install: Install) -> None:
    install("iso-healthy", HEADER + model("healthy"))
    install("iso-halfway", HEADER + model("m"), metadata=False)
    catalogue = Catalogue.discover()
    assert catalogue.find("model", "healthy").package == "iso-healthy"
    assert catalogue.find("model", "m").version == "unknown"


def test_an_id_twice_in_one_package_is_recorded_and_the_first_row_counts(install: Install) -> None:
    """``package::ID`` could not tell the two apart."""
    install("iso-same", HEADER + model("m", "x:First") + model("m", "x:Second") + model("n"))
    catalogue = Catalogue.discover()
    assert catalogue.find("model", "m").table["object"] == "x:First"
    assert catalogue.find("model", "iso-same::m").table["object"] == "x:First"
    (reason,) = reasons(catalogue, "iso-same")
    assert "model" in reason
    assert "m" in reason.split()


# --- looking up -------------------------------------------------------------------------------------------------------


def made(*rows: tuple[str, str, str], broken: tuple[Broken, ...] = ()) -> Catalogue:
    """A catalogue of (kind, id, package)."""
    return Catalogue(
        [],
        [Row(kind, name, package, "1", package, Path(package), {"id": name}) for kind, name, package in rows],
        broken,
    )


def test_rows_of_a_kind_are_ordered_by_id_then_package() -> None:
    catalogue = made(("model", "b", "q"), ("model", "a", "z"), ("metric", "a", "p"), ("model", "b", "p"))
    assert [(row.id, row.package) for row in catalogue.of_kind("model")] == [("a", "z"), ("b", "p"), ("b", "q")]
    assert catalogue.of_kind("command") == []


def test_kinds_have_their_own_names() -> None:
    catalogue = made(("model", "ridge", "p"), ("metric", "ridge", "q"))
    assert catalogue.find("metric", "ridge").package == "q"
    assert catalogue.conflicts() == {}


def test_conflicts_are_shown_refused_and_solved_by_the_package(install: Install) -> None:
    install("iso-one", HEADER + model("shared") + model("mine"))
    install("iso-two", HEADER + model("shared"))
    catalogue = Catalogue.discover()
    assert [row.package for row in catalogue.conflicts()["model", "shared"]] == ["iso-one", "iso-two"]
    assert ("model", "mine") not in catalogue.conflicts()
    with pytest.raises(
        AmbiguousIDError, match=r"offered by 2 installed packages.*: iso-one::shared or iso-two::shared"
    ):
        catalogue.find("model", "shared")
    assert catalogue.find("model", "iso-two::shared").package == "iso-two"
    with pytest.raises(AmbiguousIDError):
        catalogue.match("model", "sha*")
    assert [row.package for row in catalogue.match("model", "iso-one::*")] == ["iso-one", "iso-one"]
    assert [row.id for row in catalogue.match("model", "iso-one::*")] == ["mine", "shared"]


def test_package_and_id_must_fit() -> None:
    catalogue = made(("model", "a", "p"), ("model", "b", "q"))
    with pytest.raises(UnknownIDError, match="'p::b'"):
        catalogue.find("model", "p::b")
    with pytest.raises(UnknownIDError, match=r"'p::b\*'"):
        catalogue.match("model", "p::b*")


def test_a_family_is_listed_once_and_resolved_when_used() -> None:
    catalogue = made(("model", "timm/*", "p"), ("model", "timm/special", "p"), ("model", "noise", "p"))
    member = catalogue.find("model", "timm/resnet50.a1")
    assert (member.id, member.family) == ("timm/resnet50.a1", "timm/*")
    assert member.reference == "p::timm/resnet50.a1"
    assert catalogue.find("model", "timm/special").family is None, "a row of its own goes before the family"
    assert catalogue.find("model", "timm/*").id == "timm/*"
    assert catalogue.find("model", "p::timm/x").family == "timm/*"
    with pytest.raises(UnknownIDError):
        catalogue.find("model", "TIMM/resnet50")
    assert [row.id for row in catalogue.match("model", "timm/resnet50")] == ["timm/resnet50"]
    assert [row.id for row in catalogue.match("model", "*")] == ["noise", "timm/special"]
    assert [row.id for row in catalogue.match("model", "timm/*")] == ["timm/special"]


def test_two_families_that_match_are_a_conflict() -> None:
    catalogue = made(("model", "timm/*", "p"), ("model", "*/resnet", "q"))
    with pytest.raises(AmbiguousIDError, match="Name the one you mean: q::timm/resnet or p::timm/resnet"):
        catalogue.find("model", "timm/resnet")
    assert catalogue.find("model", "timm/vit").package == "p"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("coch*", ["cochleagram-a", "cochleagram-b"]),
        ("cochleagram-?", ["cochleagram-a", "cochleagram-b"]),
        ("*-[ac]", ["cochleagram-a", "gabor-c"]),
        ("gabor-c", ["gabor-c"]),
        ("*", ["cochleagram-a", "cochleagram-b", "gabor-c"]),
    ],
)
def test_globs(pattern: str, expected: list[str]) -> None:
    catalogue = made(
        ("model", "gabor-c", "p"),
        ("model", "cochleagram-b", "q"),
        ("model", "cochleagram-a", "p"),
        ("metric", "c", "p"),
    )
    assert [row.id for row in catalogue.match("model", pattern)] == expected


def test_a_glob_that_matches_nothing_is_an_unknown_id() -> None:
    with pytest.raises(UnknownIDError, match=r"No installed package offers the model 'x[*]'"):
        made(("model", "noise", "p")).match("model", "x*")


def test_an_unknown_id_names_the_closest() -> None:
    catalogue = made(*(("metric", name, "p") for name in ("ridge", "rsa", "cka")), ("model", "rigde", "p"))
    with pytest.raises(UnknownIDError) as raised:
        catalogue.find("metric", "rigde")
    message = str(raised.value)
    assert message.startswith("No installed package offers the metric 'rigde'. Did you mean ridge?")
    assert "'isocortex list metrics' shows all 3." in message
    with pytest.raises(UnknownIDError, match="'isocortex list stimuli' shows all 0"):
        catalogue.find("stimuli", "sounds")


@pytest.mark.parametrize(
    ("kind", "name", "package"),
    [
        ("metric", "ridge", "isocortex-metrics"),
        ("model", "cochleagram-kell2018", "isocortex-baselines"),
        ("model", "noise/43x1", "isocortex-baselines"),
        ("dataset", "NH2015comp", "isocortex-nh2015"),
        ("benchmark", "NH2015comp.ridge", "isocortex-nh2015"),
        ("benchmark", "Kriegeskorte2008.human-IT.rsa", "isocortex-kriegeskorte2008"),
        ("benchmark", "Allen2p.conwell2021-split", "isocortex-allen2p"),
        ("executor", "slurm", "isocortex-slurm"),
    ],
)
def test_a_known_plugin_that_is_not_installed_is_named(kind: str, name: str, package: str) -> None:
    with pytest.raises(UnknownIDError, match=f"It comes with {package}: pip install {package}"):
        made().find(kind, name)
    assert package_that_offers(kind, name) == package
    assert package_that_offers("command", name) is None
    assert package_that_offers(kind, "what-nobody-offers") is None


@pytest.mark.parametrize("name", ["MajajHong2015.IT-pls", "MajajHong2015.V4-pls", "Rajalingham2018-i2n"])
def test_data_that_are_private_are_named_as_such_with_what_there_is(name: str) -> None:
    with pytest.raises(UnknownIDError, match=r"are private: they lie on .* Published is \w+public .*public\.\S+\.$"):
        Catalogue.discover().find("benchmark", name)
    with pytest.raises(UnknownIDError, match="No installed package offers the model"):
        Catalogue.discover().find("model", name)


def test_an_unknown_id_tells_what_could_not_be_read() -> None:
    broken = (Broken("iso-broken", "0.1", "isocortex.toml is not valid TOML"),)
    with pytest.raises(UnknownIDError, match=r"Not readable: iso-broken 0.1: isocortex.toml is not valid TOML"):
        made(("model", "a", "p"), broken=broken).find("model", "b")


def test_patterns() -> None:
    assert [is_pattern(name) for name in ("a*", "a?", "[ab]", "a.b/c-d::e@f")] == [True, True, True, False]


def test_a_package_installed_twice_is_read_once(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An editable installation beside its build folder shows the same distribution twice."""
    import shutil

    install("iso-twice", HEADER + model("m"))
    shutil.copytree(tmp_path / "site", tmp_path / "other")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "other")])
    importlib.invalidate_caches()
    assert Catalogue.discover().find("model", "m").package == "iso-twice"


def test_the_module_stands_on_the_standard_library_alone() -> None:
    source = Path(module.__file__).read_text()
    heads = {line.split()[1].partition(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))}
    assert heads - set(sys.stdlib_module_names) == {"isocortex"}


def test_an_alias_names_the_row_of_an_id(install: Install) -> None:
    install("spoken", HEADER + model("lab/parrot-2", more='aliases = ["parrot", "parrot-2"]') + model("lab/jay"))
    catalogue = Catalogue.discover()
    assert {catalogue.find("model", name).id for name in ("lab/parrot-2", "parrot", "spoken::parrot-2")} == {
        "lab/parrot-2"
    }
    assert [row.id for row in catalogue.match("model", "parr*")] == ["lab/parrot-2"], "once, by its ID"
    with pytest.raises(UnknownIDError, match=r"Did you mean parrot"):
        catalogue.find("model", "parott")


def test_an_alias_that_another_package_offers_is_a_conflict(install: Install) -> None:
    install("one", HEADER + model("bird", more='aliases = ["parrot"]'))
    install("two", HEADER + model("parrot"))
    catalogue = Catalogue.discover()
    assert [row.package for row in catalogue.conflicts()["model", "parrot"]] == ["one", "two"]
    with pytest.raises(AmbiguousIDError, match=r"one::bird or two::parrot"):
        catalogue.find("model", "parrot")
    assert catalogue.find("model", "one::parrot").id == "bird"
    assert catalogue.find("model", "bird").id == "bird"


@pytest.mark.parametrize("aliases", ['"parrot"', "[1, [2], {}]", "{ a = 1 }", "[]"])
def test_aliases_that_are_no_list_of_texts_leave_the_row_to_its_id(install: Install, aliases: str) -> None:
    install("odd", HEADER + model("bird", more=f"aliases = {aliases}"))
    catalogue = Catalogue.discover()
    assert [row.names for row in of(catalogue, "odd")] == [("bird",)]
    assert ("model", "bird") not in catalogue.conflicts()


def test_a_name_twice_in_one_package_is_recorded_aliases_included(install: Install) -> None:
    install("twice", HEADER + model("bird", more='aliases = ["parrot"]') + model("parrot"))
    catalogue = Catalogue.discover()
    assert [row.id for row in of(catalogue, "twice")] == ["bird"]
    assert reasons(catalogue, "twice") == ["model parrot is there twice; the first row counts"]
