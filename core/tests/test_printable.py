"""What comes from files and servers is printed without controls, marks of direction and credentials."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import pytest

from isocortex.errors import DataError, IsocortexError, printable, without_credentials
from isocortex.progress import Reporter
from isocortex.results.result import Result
from isocortex.results.tables import print_csv, print_json, print_table


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[2J\x1b[H", "\x1b]0;title\x07", "\x1b]8;;http://evil\x1b\\", "\x9b31m", "\x08\x08\x08", "\rError: none",
        "\x00", "\u202egpj.exe", "\u2066\u2069", "\u200bzero", "\u2028line", "\ufeffmark", "\ud800", "\U000e0041tag",
        "\x0b\x0c", "\x85", "\x7f",
    ],
)  # fmt: skip
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = printable(f"a{text}b")
    assert all(letter.isprintable() for letter in shown), shown
    assert shown != f"a{text}b"
    assert printable(shown) == shown
    assert str(DataError(f"a{text}b")) == shown
    assert text not in repr(DataError(f"a{text}b"))


def test_words_of_every_language_are_left_as_they_are() -> None:
    for text in (
        "Gehör – 聴覚 – слух – ακοή – שמע – سمع",
        "tab\tand\nline",
        "naïve µ ¶ 𝛂 😀",
        "a@b.org",
        "50 % of 3:4@5",
    ):
        assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:secret@h.org/a", "https://…@h.org/a"),
        ("(https://secret@h.org/a)", "(https://…@h.org/a)"),
        ("https://me:se/cr@et@h.org/a", "https://…@h.org/a"),
        ("https://me:s%40@h.org:8080/a?key=secret&b=c#d end", "https://…@h.org:8080/a?…#d end"),
        ("'https://h.org/a?X-Amz-Signature=secret'", "'https://h.org/a?…'"),
        ("ftp://me:secret@h/ and s3://key:secret@bucket/a", "ftp://…@h/ and s3://…@bucket/a"),
        ("https://h.org:8080/npm/a@1.0", "https://h.org:8080/npm/a@1.0"),
        ("hf:nvidia/parakeet@main", "hf:nvidia/parakeet@main"),
    ],
)
def test_credentials_in_addresses_are_left_out(text: str, shown: str) -> None:
    assert without_credentials(text) == shown == str(IsocortexError(text))


def test_errors_keep_their_kind_and_what_they_hold() -> None:
    error = pickle.loads(pickle.dumps(DataError("a\x1bb", 3)))
    assert type(error) is DataError
    assert error.args == ("a\\x1bb", 3)


def result(**changes: object) -> Result:
    about = {
        "status": "failed",
        "digest": "",
        "model": "m",
        "variant": "fixed",
        "benchmark": "b",
        "benchmark_version": 1,
    }
    more = {"dataset": "d", "stimuli": "s", "metric": "ridge", "seed": 0}
    return Result.model_validate({**about, **more, **changes})


def test_tables_and_lines_are_clean(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "x\x1b[31m\u202ehttps://me:secret@h/a"
    failed = result(model=hostile, failure={"kind": "E", "message": hostile}, warnings=[hostile])
    print_table([failed])
    print_csv([failed])
    print_json([failed])
    Reporter().line(hostile)
    Reporter().warn([hostile])
    Reporter().step(hostile, 1, 1)
    shown = "".join(capsys.readouterr())
    assert "secret" not in shown
    assert not {"\x1b", "\u202e"} & set(shown)
    assert "x\\x1b[31m\\u202ehttps://…@h/a" in shown


def test_a_failure_is_recorded_clean(isocortex, tmp_path: Path) -> None:
    """A column of a file, in the message of a score that fails, on the screen and in the record."""
    folder = tmp_path / "d"
    (folder / "stimuli").mkdir(parents=True)
    (folder / "stimuli" / "a.wav").write_bytes(b"RIFF\x1b[2J")
    (folder / "responses.csv").write_text("stimulus_id,v\x1b[2J\na,word\n")
    done = isocortex("score", "-m", "noise", "-b", f"folder:{folder}:ridge", "--out", str(tmp_path / "out"))
    assert done.returncode in (1, 2)
    assert "v\\x1b[2J" in done.stderr + done.stdout
    assert "\x1b" not in done.stderr + done.stdout
    for record in (tmp_path / "out").rglob("*.json"):
        assert "\x1b" not in str(json.loads(record.read_text()))


@pytest.mark.skipif(sys.platform == "win32", reason="such names do not exist there")
def test_a_name_of_a_file_is_printed_clean(isocortex, tmp_path: Path) -> None:
    done = isocortex("extract", "-m", "noise", "--stimuli", f"folder:{tmp_path}/\x1b[2Jnowhere")
    assert done.returncode != 0
    assert "\x1b" not in done.stderr + done.stdout
    assert "\\x1b[2Jnowhere" in done.stderr + done.stdout
