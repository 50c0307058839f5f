"""isocortex-slurm.toml: what it may hold, and what is said where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from isocortex.errors import FilesError, SettingsError
from isocortex_slurm.settings import Settings, minutes, read_settings


def written(folder: Path, text: str) -> Settings:
    """Settings as they are read from a file of this text."""
    path = folder / "mine.toml"
    path.write_text(text)
    return read_settings({"ISOCORTEX_SLURM": str(path)})[0]


def test_keys_above_the_sections_hold_for_both_and_a_section_goes_before(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        'account = "lab"\ntime = 90\noptions = { qos = "long" }\nrequeues = 0\n'
        '[extract]\ngpus = 1\nmemory = "32G"\ntime = "1-12"\n[score]\nparallel = 7\noptions = { exclusive = true }\n',
    )
    assert (found.extract.account, found.score.account, found.requeues) == ("lab", "lab", 0)
    assert (found.extract.minutes, found.score.minutes) == (36 * 60, 90)
    assert (found.extract.gpus, found.score.gpus, found.extract.memory, found.score.memory) == (1, 0, "32G", None)
    assert (found.extract.parallel, found.score.parallel) == (100, 7)
    assert (found.extract.options, found.score.options) == ({"qos": "long"}, {"exclusive": True})


def test_without_a_file_the_defaults_hold_and_a_file_that_is_named_must_be_there(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_settings({}) == (Settings(), None)
    (tmp_path / "isocortex-slurm.toml").write_text("poll_s = 2\n")
    assert read_settings({})[0].poll_s == 2
    with pytest.raises(FilesError, match=r"ISOCORTEX_SLURM names gone\.toml, which cannot be read"):
        read_settings({"ISOCORTEX_SLURM": "gone.toml"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("partitoin = 'x'", r"mine\.toml has no key 'partitoin'\. Did you mean partition"),
        ("[scores]\ncpus = 2", r"no key 'scores'\. Did you mean score"),
        ("[score]\nmem = '3G'", r"no key 'mem'"),
        ("score = 3", r"expected a section \[score\], found 3"),
        ("cpus = 0", r"mine\.toml is not valid: extract\.cpus: Input should be greater"),
        ("cpus = '4'", r"extract\.cpus: Input should be a valid integer"),
        ("[score]\nmemory = '32'", r'score\.memory: .*a number with its unit, as "32G".* found \'32\''),
        ("[score]\ntime = '4h'", r"score\.time: .*expected a time as"),
        ("time = 0", r"expected a time as"),
        ("options = { mem = '3G' }", r"mem has a key of its own: memory"),
        ("options = { array = '1-3' }", r"array is set by isocortex itself"),
        ("options = { '--qos' = 'a' }", r"leave out the --"),
        ("options = { exclusive = false }", r"says nothing to sbatch"),
        ("cpus = ", r"mine\.toml is no TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        written(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), (90, 90), ("90:30", 91), ("4:00:00", 240), ("0:00:20", 1), ("2-0", 2880), ("1-1:30", 1530)],
)
def test_times_are_those_of_sbatch(text: str | int, expected: int) -> None:
    assert minutes(text) == expected
