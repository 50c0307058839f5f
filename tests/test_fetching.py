"""``isocortex fetch`` with packages of other people: weights by name, glob and variant, and what cannot be had."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from isocortex import api
from isocortex.cli import score as running
from isocortex.cli.info import describe
from isocortex.errors import FilesError, PluginError, UsageError
from isocortex.loading.resolver import Resolver, resolver
from isocortex.run.fetch import fetch_all
from isocortex.run.plan import RunConfig
from tests.folders import image_folder, sound_folder
from tests.third_party.install import environment, write_package

CODE = '''
"""Models whose weights come in every way that there is."""

from pathlib import Path

from isocortex.errors import FilesError, UsageError
from isocortex.interfaces import DatasetPlugin, LoadedModel, ModelPlugin
from isocortex.activations.output import LayerOutput
from isocortex.files.disk import data_folder


class Loaded(LoadedModel):
    layers = ["mean"]

    def run(self, batch, layers, emit):
        import numpy as np

        emit("mean", LayerOutput(np.array([[item.array.mean()] for item in batch], dtype=np.float32), ("unit",)))


class Seen(ModelPlugin):
    """Writes down whether it may use the network; its weights are one file in the data folder."""

    def load(self, variant, *, device):
        with Path("seen.log").open("a") as log:
            log.write(f"load {self.offline}\\n")
        self.fetch(variant)
        return Loaded()

    def fetch(self, variant, source=None):
        if variant.kind == "random":
            return ()
        with Path("seen.log").open("a") as log:
            log.write(f"fetch {self.offline}\\n")
        here = data_folder() / "iso-weights" / f"{self.card.id}.bin"
        if source is not None:
            from isocortex.files.file_store import copy_file

            copy_file(source / here.name, here)
        if not here.is_file():
            raise FilesError(f"The weights of {self.card.id} are not here.\\nLooked for {here}")
        return [here]


class Plain(ModelPlugin):
    """Says nothing of its weights."""

    def load(self, variant, *, device):
        return Loaded()


class Raises(Plain):
    def fetch(self, variant, source=None):
        raise ZeroDivisionError("the hub is closed")


class Needs(Plain):
    def fetch(self, variant, source=None):
        raise UsageError("It needs the hub: pip install hub.")


class Lies(Plain):
    def fetch(self, variant, source=None):
        return [Path("/nowhere/at/all.bin")]


class Nothing(Plain):
    def fetch(self, variant, source=None):
        return None


class Data(DatasetPlugin):
    def load(self, files, stimuli):
        raise AssertionError("fetching loads no data")

    def fetch(self, source=None):
        if source is None:
            raise FilesError("The recordings are not here. Ask the laboratory.")
        return [source / "recordings.bin"]
'''
WEIGHTS = b"listed weights"
LISTING = f"name,url,sha256,bytes\nlisted.bin,http://127.0.0.1:9/never,{hashlib.sha256(WEIGHTS).hexdigest()},14\n"


def row(name: str, kind: str, variants: str = '["pretrained", "random", "file"]', more: str = "") -> str:
    """A ``[[model]]``."""
    return (
        f'[[model]]\nid = "{name}"\nobject = "iso_weights:{kind}"\nmodality = "any"\nlayers = ["mean"]\n'
        f"variants = {variants}\n{more}\n"
    )


MANIFEST = "[plugin]\napi = 1\n" + "".join(
    [
        row("net-seen", "Seen"),
        row("net-other", "Seen"),
        row("silent", "Plain"),
        row("listed", "Plain", more='files = "weights.csv"'),
        row("odd-raises", "Raises"),
        row("odd-needs", "Needs"),
        row("odd-lies", "Lies"),
        row("odd-nothing", "Nothing"),
        row("odd-absent", "Absent"),
        row("fixed", "Plain", '["fixed"]'),
        '[[stimuli]]\nid = "lab-sounds"\nmodality = "audio"\nobject = "iso_weights:Data"\n',
        '[[dataset]]\nid = "Lab"\nstimuli = "lab-sounds"\nobject = "iso_weights:Data"\n',
        '[[benchmark]]\nid = "Lab.ridge"\ndataset = "Lab"\nmetric = "ridge"\nbaselines = ["net-seen@random:1"]\n',
    ]
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The package, installed in a folder of its own."""
    files = {"__init__.py": CODE, "isocortex.toml": MANIFEST, "weights.csv": LISTING}
    write_package(tmp_path / "site", "iso-weights", files)
    return tmp_path / "site"


@pytest.fixture
def here(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process sees the package and works in an empty folder; returns a folder that holds all weights."""
    import sys

    monkeypatch.syspath_prepend(site)
    monkeypatch.setitem(sys.modules, "iso_weights", None)  # forget the package of another test
    monkeypatch.delitem(sys.modules, "iso_weights")
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "source"
    source.mkdir()
    for name in ("net-seen", "net-other"):
        (source / f"{name}.bin").write_bytes(bytes(2_000_000))
    (source / "listed.bin").write_bytes(WEIGHTS)
    return source


def fetch(*models: str, benchmarks: tuple[str, ...] = (), source: Path | None = None, verify: bool = False) -> None:
    """Fetch in this process."""
    fetch_all(models, benchmarks, source, verify_only=verify)


def seen(folder: Path) -> list[str]:
    """What the models wrote down; the log is emptied."""
    log = folder / "seen.log"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


# --- one model --------------------------------------------------------------------------------------------------------


def test_weights_are_brought_from_a_folder_and_verified_later(here, own_folders, tmp_path, capsys) -> None:
    with pytest.raises(FilesError, match=r"^The weights of net-seen are not here\.\nLooked for"):
        fetch("net-seen")
    assert seen(tmp_path) == ["fetch False"]
    fetch("net-seen", source=here)
    where = own_folders / "data" / "iso-weights"
    assert capsys.readouterr().err == f"net-seen@pretrained: 1 file, 2.0 MB, verified in {where}\n"
    fetch("net-seen@pretrained", verify=True)
    assert f"1 file, 2.0 MB, verified in {where}" in capsys.readouterr().err
    assert seen(tmp_path) == ["fetch True", "fetch True"], "neither --from nor --verify uses the network"


def test_listed_weights_are_brought_by_their_checksum(here, own_folders, capsys) -> None:
    fetch("listed", source=here)
    assert capsys.readouterr().err == f"listed@pretrained: 1 file, 0.0 MB, verified in {own_folders}/data/iso-weights\n"
    (own_folders / "data" / "iso-weights" / "listed.bin").write_bytes(WEIGHTS[::-1])
    with pytest.raises(FilesError, match="another checksum than expected and were removed"):
        fetch("listed", verify=True)
    (here / "listed.bin").write_bytes(WEIGHTS[::-1])
    with pytest.raises(FilesError, match=r"lacks 1 of the 1 files of listed, or holds others.*Without --from"):
        fetch("listed", source=here)


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ("net-seen@random:3", "net-seen@random:3: needs no weights"),
        ("fixed", "fixed@fixed: needs no weights"),
        ("pixels", "pixels@fixed: needs no weights"),
        ("noise/7", "noise/7@random:0: needs no weights"),
        ("silent", "silent@pretrained: its package neither lists nor fetches weights"),
    ],
)
def test_a_variant_without_weights_says_so(here, model, line, capsys) -> None:
    fetch(model, verify=True)
    assert capsys.readouterr().err.startswith(line)


def test_weights_of_a_file_are_where_the_user_has_them(here, capsys) -> None:
    fetch(f"silent@file:{here}/net-seen.bin=mine")
    assert capsys.readouterr().err == f"silent@file:mine: 1 file, 2.0 MB, in {here}\n"
    with pytest.raises(FilesError, match=r"There are no weights at /nowhere/x\.bin"):
        fetch("silent@file:/nowhere/x.bin")


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ("activations:/tmp", UsageError, "folder of activations: it needs no weights"),
        ("net-sen", UsageError, "Did you mean net-seen"),
        ("net-seen@permuted", UsageError, "has no variant 'permuted'; it offers pretrained, random, file"),
        ("net-seen@random:x", UsageError, "is no variant"),
        ("net-seen@", UsageError, "'' is no variant"),
        ("net*@random:x", UsageError, "is no variant"),
        ("net*@fixed", UsageError, r"No model that matches 'net\*' offers the variant 'fixed'"),
        ("none*", UsageError, r"No installed package offers the model 'none\*'"),
        ("odd-raises", PluginError, "odd-raises@pretrained cannot be fetched: ZeroDivisionError: the hub is closed"),
        ("odd-needs", UsageError, "It needs the hub"),
        ("odd-lies", PluginError, r"odd-lies of iso-weights 0\.1\.0 returned what is not there: /nowhere"),
        ("odd-nothing", PluginError, "odd-nothing of iso-weights .* must return paths; found None"),
        ("odd-absent", PluginError, "iso_weights has no 'Absent'"),
    ],
)
def test_what_cannot_be_fetched_is_one_message(here, model, error, message) -> None:
    with pytest.raises(error, match=message):
        fetch(model)


def test_a_source_that_is_none_is_told_before_anything_else(here, tmp_path) -> None:
    for name in ("absent", "net-seen.bin"):
        with pytest.raises(FilesError, match=r"--from takes a folder"):
            fetch("net-seen", source=here / name)
    assert seen(tmp_path) == []
    with pytest.raises(UsageError, match="--verify only looks at what is there"):
        fetch("net-seen", source=here, verify=True)


# --- several ----------------------------------------------------------------------------------------------------------


def test_a_glob_fetches_what_it_can_and_lists_the_rest(here, own_folders, capsys) -> None:
    (here / "net-other.bin").unlink()
    with pytest.raises(FilesError) as raised:
        fetch("net-*", "odd-*", "listed", source=here)
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in said] == ["net-seen@pretrained", "listed@pretrained"]
    lines = str(raised.value).splitlines()
    assert lines[0] == "6 of 8 could not be fetched:"
    assert [line.partition(":")[0].strip() for line in lines[1:]] == [
        f"{name}@pretrained"
        for name in ("net-other", "odd-absent", "odd-lies", "odd-needs", "odd-nothing", "odd-raises")
    ]
    assert not (own_folders / "data" / "iso-weights" / "net-other.bin").exists()


def test_of_several_the_one_that_fails_is_named_with_all_that_it_says(here) -> None:
    with pytest.raises(
        FilesError, match=r"1 of 2 could not be fetched, net-seen@pretrained: The weights.*\nLooked for"
    ):
        fetch("fixed", "net-seen")
    with pytest.raises(FilesError, match=r"2 of 2 could not be fetched; fetched alone, each says more:\n  net-other"):
        fetch("net-*")


def test_a_glob_takes_a_variant_where_it_is_offered(here, capsys) -> None:
    fetch("*e*@fixed")
    assert "fixed@fixed: needs no weights" in capsys.readouterr().err
    fetch("net-*@random:2", "net-seen@random:2")
    assert capsys.readouterr().err.splitlines() == [
        f"net-{name}@random:2: needs no weights" for name in ("other", "seen")
    ]


def test_a_benchmark_brings_data_that_its_package_fetches_and_its_baselines(here, capsys) -> None:
    with pytest.raises(FilesError, match="1 of 3 could not be fetched, data set Lab: The recordings are not here"):
        fetch(benchmarks=("Lab.*",))
    (here / "recordings.bin").write_bytes(bytes(1000))
    capsys.readouterr()
    fetch(benchmarks=("Lab.ridge",), source=here)
    assert capsys.readouterr().err.splitlines() == [
        f"data set Lab: 1 file, 0.0 MB, verified in {here}",
        "stimuli lab-sounds: needs no files",
        "net-seen@random:1: needs no weights",
    ]


def test_exit_codes(isocortex, site, tmp_path) -> None:
    """0 all is here, 1 something is not, 2 bad usage; never a traceback."""
    env = environment(site)
    for code, arguments in (
        (0, ("-m", "fixed")),
        (1, ("-m", "odd-*", "-m", "fixed")),
        (2, ("-m", "net-seen", "--verify", "--from", ".")),
        (2, ()),
    ):
        done = isocortex("fetch", *arguments, env=env)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr


# --- info and dry run -------------------------------------------------------------------------------------------------


def test_info_says_whether_weights_are_here(here, own_folders, tmp_path) -> None:
    text = describe("net-seen")
    assert "weights of pretrained: not here; 'isocortex fetch -m net-seen' brings them" in text
    assert "    The weights of net-seen are not here." in text
    assert "Looked for" not in text
    fetch("net-seen", source=here)
    where = own_folders / "data" / "iso-weights"
    assert f"weights of pretrained: 1 file, 2.0 MB, verified in {where}" in describe("net-seen")
    assert set(seen(tmp_path)) == {"fetch True"}, "info never uses the network"
    assert "weights of" not in describe("fixed")
    assert "weights of" not in describe("silent")
    for name in ("odd-raises", "odd-absent", "odd-nothing"):
        assert "weights of pretrained: whether they are here is not known: " in describe(name)


def test_dry_run_names_weights_that_are_absent(isocortex, site, tmp_path) -> None:
    folder = image_folder(tmp_path / "mine")
    command = ("score", "-m", "net-*", "-m", "fixed", "-b", f"folder:{folder}:ridge", "--dry-run", "--json")
    done = isocortex(*command, env=environment(site))
    assert done.returncode == 0, done.stderr
    needs = {need["model"]: need for need in json.loads(done.stdout)["extractions"]}
    absent = needs["net-seen@pretrained"]
    assert absent["disk_bytes"] is None
    assert absent["unknown_because"] == "not known before the weights are here (The weights of net-seen are not here.)"
    assert needs["fixed@fixed"]["disk_bytes"] > 0
    assert set(seen(tmp_path)) == {"fetch True"}


# --- offline reaches the plugins --------------------------------------------------------------------------------------


def test_offline_reaches_models_in_score_and_extract(here, tmp_path, monkeypatch) -> None:
    folder = image_folder(tmp_path / "mine")
    fetch("net-*", source=here)
    seen(tmp_path)
    config = RunConfig(offline=True, out=tmp_path / "results")
    ways = {
        "score": lambda: running.score_here(["net-*"], [f"folder:{folder}:ridge"], config, as_json=True),
        "extract": lambda: running.extract_only(["net-*"], str(folder), "flatten", None, config),
    }
    for way, run in ways.items():
        monkeypatch.setenv("ISOCORTEX_CACHE", str(tmp_path / way))
        assert not run()
        found = seen(tmp_path)
        assert found.count("load True") == 2, way
        assert set(found) == {"load True", "fetch True"}, way


def test_offline_reaches_models_in_processes_and_shards(isocortex_process, site, here, tmp_path) -> None:
    folder = image_folder(tmp_path / "mine")
    fetch("net-*", source=here)
    seen(tmp_path)
    command = ("score", "-m", "net-*", "-b", f"folder:{folder}:ridge", "--offline", "--jobs", "2")
    done = isocortex_process(*command, env=environment(site))
    assert done.returncode == 0, done.stderr
    found = seen(tmp_path)
    assert found.count("load True") == 2
    assert set(found) == {"load True", "fetch True"}


def test_offline_reaches_models_that_are_passed_as_objects(here, tmp_path, monkeypatch) -> None:
    folder = image_folder(tmp_path / "mine")
    fetch("net-seen", source=here)
    seen(tmp_path)
    model = resolver().model("net-seen")
    for offline in (True, False):
        monkeypatch.setenv("ISOCORTEX_CACHE", str(tmp_path / f"cache{offline}"))
        config = RunConfig(offline=offline, out=tmp_path / str(offline))
        (result,) = api.score(model, f"folder:{folder}:ridge", config=config, quiet=True)
        assert result.status == "scored", result.failure
        assert set(seen(tmp_path)) == {f"load {offline}", f"fetch {offline}"}
    assert model.offline is False, "the object of the user is left as it was"
    model.offline = True
    found = resolver()
    assert Resolver(found.catalogue, found.files, {"net-seen": model}).model("net-seen").offline is True


def test_check_never_uses_the_network(here) -> None:
    from isocortex.testing.rows import RowUnderTest

    assert RowUnderTest(resolver().catalogue.find("model", "net-seen")).plugin.offline is True


# --- a score without weights ------------------------------------------------------------------------------------------


def test_a_cell_without_weights_fails_alone(tmp_path, capsys) -> None:
    pytest.importorskip("torch")
    benchmark = f"folder:{sound_folder(tmp_path / 'mine')}:ridge"
    models = ["cochcnn9-word", "cochcnn9-word@permuted:1", "noise"]
    config = RunConfig(out=tmp_path / "results")
    assert running.score_here(models, [benchmark], config, as_json=True) == 1
    said = capsys.readouterr()
    assert "3 cells: 1 computed, 0 cached, 2 failed" in said.err
    cells = {f"{cell['model']}@{cell['variant']}": cell for cell in json.loads(said.out)}
    assert cells["noise@random:0"]["status"] == "scored"
    for name in ("cochcnn9-word@pretrained", "cochcnn9-word@permuted:1"):
        assert cells[name]["status"] == "failed"
        assert cells[name]["failure"].startswith("The trained weights of cochcnn9-word are not here")
        assert "isocortex fetch -m cochcnn9-word --from FOLDER" in cells[name]["failure"]
    (record,) = (tmp_path / "results").rglob("cochcnn9-word@pretrained/failures/*.json")
    assert json.loads(record.read_text())["failure"]["traceback"] is None, "what is expected has no traceback"
    running.dry_run(models, [benchmark], config, as_json=False)
    reason = "not known before the weights are here (The trained weights of cochcnn9-word are not here"
    assert capsys.readouterr().out.count(reason) == 2
