"""The home folder is found where no shell has put it in; messages name the true cause."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

import isocortex
from isocortex.files.disk import cache_folder, data_folder, home_expanded
from isocortex.files.network_words import in_plain_words
from tests.folders import image_folder
from tests.lab import Lab, Typed


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with a data set in it, and another working folder."""
    folder, work = tmp_path / "home", tmp_path / "work"
    work.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("ISOCORTEX_CACHE", "~/cache")
    monkeypatch.setenv("ISOCORTEX_DATA", "~/data")
    monkeypatch.chdir(work)
    image_folder(folder / "mine")
    return folder


def test_a_tilde_is_the_home_folder_wherever_it_stands(home: Path, typed: Typed) -> None:
    assert (cache_folder(), data_folder()) == (home / "cache", home / "data")
    for line in (
        ("extract", "-m", "pixels", "--stimuli", "~/mine", "--out", "~/features"),
        ("score", "-m", "pixels", "-b", "folder:~/mine:ridge", "--out=~/results"),
        ("score", "-m", "activations:~/features/pixels@fixed", "-b", "folder:~/mine:ridge", "--out", "~/results"),
        ("info", "folder:~/mine"),
        ("info", "folder:~/mine:ridge"),
        ("show", "~/results"),
        ("compare", "~/results"),
    ):
        done = typed(*line)
        assert done.code == 0, done.err
    assert isocortex.load_dataset("folder:~/mine").id == "mine"
    assert len(isocortex.results("~/results")) == 2
    assert isocortex.score("pixels", "folder:~/mine:ridge", out="~/results", quiet=True)[0].cached
    assert list((home.parent / "work").iterdir()) == []


def test_a_tilde_of_nobody_is_a_name() -> None:
    assert home_expanded(Path("~nobody-of-that-name/x")) == Path("~nobody-of-that-name/x")
    assert home_expanded(Path("a~b")) == Path("a~b")


def test_a_dry_run_blames_itself(lab: Lab, typed: Typed) -> None:
    manifest = lab.site / "iso_lab" / "isocortex.toml"
    manifest.write_text(manifest.read_text().replace('id = "lab-images"', 'id = "lab-images"\nfiles = "away.csv"'))
    done = typed("score", "-m", "lab-net", "-b", "lab.fit", "--dry-run")
    assert done.code == 0
    assert "and a dry run downloads nothing" in done.out
    assert "--offline" not in done.out
    offline = typed("score", "-m", "lab-net", "-b", "fault.away", "--offline")
    assert "--offline forbids downloading" in offline.err
    verified = typed("fetch", "-b", "fault.away", "--verify")
    assert "--verify downloads nothing" in verified.err
    assert "--offline" not in verified.err


def test_where_without_a_match_says_what_there_is(lab: Lab, typed: Typed) -> None:
    done = typed("list", "models", "--where", "modality=smell")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("Nothing that is installed fits modality=smell. modality is any, audio, image.")
    unknown = typed("list", "--where", "modalty=audio", "--json")
    assert unknown.code == 0
    assert "No row has the field 'modalty'. Did you mean modality?" in unknown.err
    assert "Nothing is installed" not in done.out + done.err + unknown.out + unknown.err
    both = typed("list", "models", "--where", "modality=audio", "--where", "id=lab-net")
    assert both.err == "Nothing that is installed fits modality=audio and id=lab-net.\n"
    assert typed("list", "plugins", "--where", "package=iso-lab").out == "plugins (1)\n  iso-lab  0.1.0\n"


def test_the_defaults_of_rows_are_those_of_their_cards() -> None:
    from isocortex.catalogue.cards import CARDS, Card
    from isocortex.catalogue.rows import DEFAULTS

    for kind, card in CARDS.items():
        own = {name: field.default for name, field in card.model_fields.items() if name not in Card.model_fields}
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in own.items()}
        shown = {name: value for name, value in plain.items() if isinstance(value, (str, int, list)) and value != ""}
        assert DEFAULTS.get(kind, {}) == {name: value for name, value in shown.items() if value != []}


@pytest.mark.parametrize("published", ["no.csv", "../published.csv", "/etc/hostname", "folder.csv", "bytes.csv"])
def test_a_published_file_that_cannot_be_read_is_named_and_the_card_is_shown(
    lab: Lab, typed: Typed, published: str
) -> None:
    manifest = lab.site / "iso_lab" / "isocortex.toml"
    manifest.write_text(manifest.read_text().replace('published = "published.csv"', f'published = "{published}"'))
    (manifest.parent / "folder.csv").mkdir()
    (manifest.parent / "bytes.csv").write_bytes(b"model,value\n\xff\xfe,1\n")
    done = typed("info", "lab.fit")
    assert done.code == 0
    assert f"published scores: {published} of iso-lab cannot be read" in done.out
    assert "ceiling" in done.out


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionError("HTTPSConnectionPool(…)", socket.gaierror(-2, "Name or service not known")), "no network"),
        (ConnectionError("(…)", ConnectionRefusedError(111, "Connection refused")), "refused the connection"),
        (TimeoutError("timed out"), "did not answer in time"),
        (OSError("(…)", ssl.SSLCertVerificationError("self-signed")), "certificate"),
        (ConnectionResetError(104, "reset"), "broke off"),
        (ValueError("two\nlines"), "two lines"),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ],
)
def test_network_errors_are_one_line_of_plain_words(error: Exception, words: str) -> None:
    said = in_plain_words(error)
    assert words in said
    assert "\n" not in said


def test_an_answer_is_told_by_its_code() -> None:
    class RefusedError(Exception):
        response = type("Answer", (), {"status_code": 404, "reason": "Not Found"})()

    assert in_plain_words(RefusedError("long")) == "its server answered 404 Not Found"


def test_a_download_without_network_is_one_message(lab: Lab, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    from isocortex.files import retrieval

    monkeypatch.setattr(retrieval, "N_ATTEMPTS", 1)
    done = typed("fetch", "-b", "fault.away")
    assert done.code == 1
    assert [line.partition(":")[0] for line in done.err.splitlines()] == ["stimuli lab-images", "Error"]
    assert (
        "http://127.0.0.1:9/never could not be downloaded in 1 attempt: its server refused the connection" in done.err
    )


def test_whatever_a_plugin_raises_in_an_extraction_is_one_message(lab: Lab, typed: Typed) -> None:
    for model, words in (
        ("fault-run", "ZeroDivisionError: the tape is torn"),
        ("fault-exit", "SystemExit: no licence"),
    ):
        done = typed("extract", "-m", model, "--stimuli", "lab-images")
        assert (done.code, done.err.count("\n")) == (1, 1)
        assert f"{model}@fixed on lab-images cannot be extracted: {words}" in done.err
