"""What a fetch brings: needs of models, benchmarks and baselines; what fails is told at the end, once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from isocortex.catalogue.cards import Variant
from isocortex.errors import FilesError, PluginError, UnknownIDError, UsageError
from isocortex.run.fetch import Need, fetch_all, fetch_model
from tests.lab import MANIFEST, Lab, Typed, write_lab

WEIGHTS = bytes(1500)


def fetch(*models: str, benchmarks: tuple[str, ...] = (), source: Path | None = None, verify: bool = False) -> None:
    """Fetch in this process."""
    fetch_all(models, benchmarks, source, verify_only=verify)


@pytest.fixture
def source(lab: Lab) -> Path:
    """A folder with the weights."""
    folder = lab.folder / "source"
    folder.mkdir()
    (folder / "lab-weighty.bin").write_bytes(WEIGHTS)
    return folder


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines on stderr."""
    return capsys.readouterr().err.splitlines()


# --- needs ------------------------------------------------------------------------------------------------------------


def test_what_a_model_needs_is_said_with_its_variant(lab: Lab, source: Path, capsys) -> None:
    fetch("lab-weighty", "lab-weighty@random:2", "lab-net", source=source)
    assert said(capsys) == [
        f"lab-weighty@pretrained: 1 file, 0.0 MB, verified in {source}",
        "lab-weighty@random:2: needs no weights",
        "lab-net@fixed: needs no weights",
    ]


def test_a_benchmark_needs_its_data_its_stimuli_and_its_baselines(lab: Lab, source: Path, capsys) -> None:
    fetch(benchmarks=("lab.heavy", "lab.added", "lab.fit"), source=source)
    assert said(capsys) == [
        "data set Lab: needs no files",
        "stimuli lab-images: needs no files",
        f"lab-weighty@pretrained: 1 file, 0.0 MB, verified in {source}",
        "lab-second@fixed: needs no weights",
        "lab-net@random:3: needs no weights",
    ], "each need once"
    assert lab.seen("fetch") == [("fetch", "lab-weighty@pretrained", source)]


def test_listed_files_are_taken_from_a_folder_by_their_checksum(lab: Lab, own_folders: Path, capsys) -> None:
    content = b"listed away"
    listing = lab.site / "iso_lab" / "away.csv"
    digest = hashlib.sha256(content).hexdigest()
    listing.write_text(f"name,url,sha256,bytes\nlab-away.bin,http://127.0.0.1:9/never,{digest},{len(content)}\n")
    (lab.folder / "disk" / "deep").mkdir(parents=True)
    file = lab.folder / "disk" / "deep" / "lab-away.bin"
    file.write_bytes(content[::-1])
    with pytest.raises(FilesError, match=r"lacks 1 of the 1 files of LabAway, or holds others of that name"):
        fetch(benchmarks=("fault.away",), source=lab.folder / "disk")
    file.write_bytes(content)
    capsys.readouterr()
    fetch(benchmarks=("fault.away",), source=lab.folder / "disk")
    where = own_folders / "data" / "iso-lab"
    assert said(capsys)[0] == f"data set LabAway: 1 file, 0.0 MB, verified in {where}"
    assert (where / "lab-away.bin").read_bytes() == content
    fetch(benchmarks=("fault.away",), verify=True)


def test_weights_that_a_variant_names_are_where_they_are(lab: Lab, source: Path) -> None:
    path = source / "lab-weighty.bin"
    assert fetch_model(lab.resolver(), "lab-net", Variant.parse(f"file:{path}")) == [path]
    with pytest.raises(FilesError, match="There are no weights at /nowhere/x, which lab-net@file:x names"):
        fetch_model(lab.resolver(), "lab-net", Variant.parse("file:/nowhere/x"))


def test_a_trained_variant_of_a_package_that_says_nothing_is_not_called_complete(lab: Lab, capsys) -> None:
    manifest = lab.site / "iso_lab" / "isocortex.toml"
    text = manifest.read_text()
    manifest.write_text(text.replace('id = "lab-second"\n', 'id = "lab-second"\nvariants = ["pretrained"]\n'))
    fetch("lab-second")
    assert said(capsys) == [
        "lab-second@pretrained: its package neither lists nor fetches weights, so whether they are here is not known"
    ]


def test_what_is_named_twice_is_fetched_once(lab: Lab, source: Path) -> None:
    fetch("lab-weighty", "lab-weight*", "lab-weighty@pretrained", benchmarks=("lab.heavy",), source=source)
    assert len(lab.seen("fetch")) == 1


def test_a_folder_is_where_it_is_and_its_baselines_are_fetched(lab: Lab, source: Path, capsys) -> None:
    mine = lab.folder / "mine"
    (mine / "stimuli").mkdir(parents=True)
    (mine / "stimuli" / "a.png").touch()
    (mine / "dataset.toml").write_text('[benchmark]\nbaselines = ["lab-weighty"]\n')
    fetch(benchmarks=("folder:mine:lab-fit",), source=source)
    assert said(capsys) == [
        "folder:mine:lab-fit: a folder is where it is",
        f"lab-weighty@pretrained: 1 file, 0.0 MB, verified in {source}",
    ]
    with pytest.raises(UsageError, match="nowhere is not a folder"):
        fetch(benchmarks=("folder:nowhere:lab-fit",))


def test_of_two_packages_with_one_id_each_is_named_in_full(lab: Lab, capsys) -> None:
    twin = MANIFEST.replace("iso_lab:", "iso_twin:")
    write_lab(lab.site, "iso-twin", twin)
    fetch("iso-twin::lab-net", "iso-lab::lab-net")
    assert said(capsys) == ["iso-twin::lab-net@fixed: needs no weights", "iso-lab::lab-net@fixed: needs no weights"]
    fetch(benchmarks=("iso-twin::lab.fit",))
    assert said(capsys) == ["data set iso-twin::Lab: needs no files", "stimuli iso-twin::lab-images: needs no files"]


def test_a_need_is_called_by_what_it_is() -> None:
    names = [str(Need("model", "m")), str(Need("dataset", "d")), str(Need("stimuli", "s"))]
    assert names == ["m", "data set d", "stimuli s"]


# --- failures ---------------------------------------------------------------------------------------------------------


def test_one_alone_says_everything(lab: Lab) -> None:
    with pytest.raises(FilesError, match=r"^The weights of lab-weighty are not here\.\nLooked for .*lab-weighty\.bin$"):
        fetch("lab-weighty")


def test_failures_are_collected_and_the_rest_is_fetched(lab: Lab, source: Path, capsys) -> None:
    (source / "lab-weighty.bin").unlink()
    with pytest.raises(FilesError) as raised:
        fetch("lab-weighty", "fault-absent", "lab-net", benchmarks=("fault.away", "lab.fit"), source=source)
    assert said(capsys) == [
        "lab-net@fixed: needs no weights",
        "stimuli lab-images: needs no files",
        "data set Lab: needs no files",
    ]
    lines = str(raised.value).splitlines()
    assert lines[0] == "3 of 6 could not be fetched; fetched alone, each says more:"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "lab-weighty@pretrained",
        "fault-absent@fixed",
        "data set LabAway",
    ]
    with pytest.raises(FilesError, match=r"^1 of 2 could not be fetched, lab-weighty@pretrained: .*\nLooked for"):
        fetch("lab-net", "lab-weighty")


@pytest.mark.parametrize(
    ("raised", "error", "words"),
    [
        ("ZeroDivisionError('closed')", PluginError, "cannot be fetched: ZeroDivisionError: closed"),
        ("SystemExit('no licence')", PluginError, "cannot be fetched: SystemExit: no licence"),
    ],
)
def test_whatever_a_plugin_raises_is_a_failure_of_its_own(lab: Lab, raised, error, words, capsys) -> None:
    code = lab.site / "iso_lab" / "__init__.py"
    code.write_text(code.read_text().replace('SEEN.append(("fetch"', f'raise {raised}\n        SEEN.append(("fetch"'))
    with pytest.raises(error, match=words):
        fetch("lab-weighty")
    with pytest.raises(FilesError, match="1 of 2 could not be fetched"):
        fetch("lab-weighty", "lab-net")
    assert "lab-net@fixed: needs no weights" in said(capsys)


def test_a_plugin_that_returns_no_paths_or_absent_ones_is_named(lab: Lab, source: Path) -> None:
    resolver = lab.resolver()
    resolver.model("lab-weighty")
    import iso_lab  # type: ignore[import-not-found]

    for returned, words in ((None, "must return paths; found None"), ([source / "absent"], "returned what is not")):
        iso_lab.Weighty.fetch = lambda *_, returned=returned: returned
        with pytest.raises(PluginError, match=words):
            fetch_model(resolver, "lab-weighty", Variant.parse("pretrained"))


# --- usage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("models", "benchmarks", "error", "words"),
    [
        (("lab-weighty", "lab-nett"), (), UnknownIDError, "Did you mean lab-net"),
        (("lab-weighty", "lab-net@permuted"), (), UsageError, "it offers fixed, random"),
        (("lab-weighty", "lab-s*@random:1"), (), UsageError, "No model that matches 'lab-s\\*' offers the variant"),
        (("lab-weighty", "activations:x"), (), UsageError, "there is nothing to fetch"),
        (("lab-weighty",), ("lab.fitt",), UnknownIDError, "Did you mean lab.fit"),
        (("lab-weighty",), ("folder:mine",), UsageError, "lacks a part"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_fetched(lab: Lab, source, models, benchmarks, error, words) -> None:
    with pytest.raises(error, match=words):
        fetch(*models, benchmarks=benchmarks, source=source)
    assert lab.seen("fetch") == []


def test_verify_only_looks_and_cannot_bring(lab: Lab, source: Path) -> None:
    with pytest.raises(UsageError, match="--verify only looks at what is there, --from brings something"):
        fetch("lab-weighty", source=source, verify=True)
    with pytest.raises(FilesError, match="--from takes a folder"):
        fetch("lab-weighty", source=lab.folder / "absent")
    assert lab.seen("fetch") == []


def test_verify_and_from_never_use_the_network(lab: Lab, source: Path, monkeypatch) -> None:
    from isocortex.files.file_store import FileStore

    asked: list[bool] = []
    monkeypatch.setattr(FileStore, "_download_one", lambda *_: asked.append(True))
    for options in ({"verify": True}, {"source": source}):
        with pytest.raises(FilesError):
            fetch(benchmarks=("fault.away",), **options)
    assert asked == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("-m", "lab-net"), 0, "lab-net@fixed: needs no weights"),
        (("-b", "lab.fit", "--verify"), 0, "data set Lab: needs no files"),
        (("-m", "lab-weighty"), 1, "Error: The weights of lab-weighty are not here."),
        (("-m", "lab-weighty", "--verify", "--from", "source"), 2, "Error: --verify only looks"),
        ((), 2, "Name what to fetch with -m or -b."),
    ],
)
def test_the_command_ends_with_its_code(lab: Lab, source: Path, typed: Typed, arguments, code, words) -> None:
    done = typed("fetch", *arguments)
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert "Traceback" not in done.err
