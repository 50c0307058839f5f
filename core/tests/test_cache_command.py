"""``isocortex cache``: what lies where, and removing it by age and by size, but never what is used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from isocortex.cli.cache import parse_size
from isocortex.errors import UsageError
from isocortex.extraction import in_use
from isocortex.extraction.inventory import Kept, choose, inventory
from isocortex.files.disk import cache_folder, data_folder
from tests.lab import Lab, Typed

DAY = 86_400.0


@pytest.fixture
def scored(lab: Lab) -> Lab:
    """Activations of two models, of which nobody uses any."""
    lab.score(["lab-net", "lab-second"], ["lab.fit", "lab.mean"])
    unused()
    return lab


def unused() -> None:
    """Take away the marks of this process, as its end does."""
    in_use._forget()
    in_use._MARKS.clear()


def age(model: str, days: float) -> None:
    """Let activations be used last so long ago."""
    for kept in inventory():
        if kept.model == model:
            os.utime(kept.folder, (time.time() - days * DAY,) * 2)


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_where_and_how_large_by_package_and_model(scored: Lab, typed: Typed) -> None:
    (data_folder() / "iso-lab").mkdir(parents=True)
    (data_folder() / "iso-lab" / "a.bin").write_bytes(bytes(1234))
    told = json.loads(typed("cache", "--json").out)
    assert told["cache"]["folder"] == str(cache_folder())
    assert told["data"]["packages"] == {"iso-lab": 1234}
    sizes = told["cache"]["activations"]["iso-lab"]
    assert set(sizes) == {"lab-net@fixed", "lab-second@fixed"}
    assert sum(sizes.values()) == bytes_of(cache_folder() / "activations")
    shown = typed("cache").out
    assert str(cache_folder()) in shown
    assert "ISOCORTEX_DATA" in shown
    assert "lab-second@fixed" in shown


def test_the_list_names_what_is_kept_and_what_was_used_last_is_first(scored: Lab, typed: Typed) -> None:
    age("lab-net@fixed", 3)
    listed = json.loads(typed("cache", "list", "--json").out)
    assert [one["model"] for one in listed] == ["lab-second@fixed"] * 2 + ["lab-net@fixed"] * 2
    assert {(one["package"], one["stimuli"], one["n_layers"]) for one in listed} == {("iso-lab", "lab-images", 2)}
    assert {one["reduction"] for one in listed} == {"flatten", "spatial-mean"}
    assert len(typed("cache", "list").out.splitlines()) == 4
    scored.score("lab-net", "lab.fit", out=Path("again"))
    assert inventory()[0].model == "lab-net@fixed", "scoring uses it"


def test_pruning_says_first_and_removes_with_yes(scored: Lab, typed: Typed) -> None:
    age("lab-net@fixed", 3)
    for command in (("--older-than", "2"), ("--older-than", "2", "--down-to", "1GB")):
        said = typed("cache", "prune", *command).out
        assert said.count("would go") == 3, "a line each, and the sum"
        assert "Nothing was removed" in said
    assert len(inventory()) == 4
    done = typed("cache", "prune", "--older-than", "2", "--yes")
    assert done.code == 0
    assert [kept.model for kept in inventory()] == ["lab-second@fixed"] * 2
    assert not [path for path in (cache_folder() / "activations").iterdir() if path.name.startswith(".")]
    scored.seen()
    scored.score("lab-net", "lab.fit", out=Path("again"))
    assert len(scored.seen("load")) == 1, "they are computed again when they are needed"


def test_pruning_to_a_size_removes_what_was_used_longest_ago(scored: Lab, typed: Typed) -> None:
    age("lab-second@fixed", 1)
    left = sum(kept.n_bytes for kept in inventory() if kept.model == "lab-net@fixed")
    typed("cache", "prune", "--down-to", f"{left}B", "--yes")
    assert {kept.model for kept in inventory()} == {"lab-net@fixed"}
    typed("cache", "prune", "--down-to", "0", "-m", "lab-sec*", "--yes")
    assert len(inventory()) == 2
    typed("cache", "prune", "--down-to", "0", "-m", "lab-net", "--yes")
    assert inventory() == []


def test_what_is_chosen_by_age_and_size() -> None:
    kept = [Kept(Path(str(day)), "p", f"m{day}@fixed", "s", "r", 1, 10, day * DAY) for day in range(6)]

    def chosen(**how: object) -> list[str]:
        return [one.folder.name for one in choose(kept, now=10 * DAY, **how)]  # type: ignore[arg-type]

    assert chosen() == []
    assert chosen(older_than_days=8) == ["0", "1"]
    assert chosen(down_to_bytes=35) == ["0", "1", "2"]
    assert chosen(older_than_days=9, down_to_bytes=35) == ["0", "1", "2"]
    assert chosen(down_to_bytes=0, models=("m3", "m[45]@*")) == ["3", "4", "5"]


@pytest.mark.parametrize("arguments", [(), ("-m", "lab-net"), ("--down-to", "much"), ("--down-to", "-3"), ("--yes",)])
def test_nothing_goes_without_a_reason(scored: Lab, typed: Typed, arguments: tuple[str, ...]) -> None:
    assert typed("cache", "prune", *arguments).code == 2
    assert len(inventory()) == 4


USING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from isocortex.api import extract
found = extract("lab-net", "lab-images", quiet=True)
print("used", flush=True)
sys.stdin.read()
print(float(found["net.mean"].array().sum()))
"""


def test_what_a_living_process_uses_stays(scored: Lab, typed: Typed) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", USING, str(scored.site)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "used\n"
    said = typed("cache", "prune", "--down-to", "0").out
    assert said.count("in use, stays") == 1
    typed("cache", "prune", "--down-to", "0", "--yes")
    (left,) = inventory()
    assert (left.model, left.reduction) == ("lab-net@fixed", "flatten")
    process.kill()
    process.communicate()
    typed("cache", "prune", "--down-to", "0", "--yes")
    assert inventory() == [], "a process that was killed uses nothing"


def test_what_is_being_extracted_stays(scored: Lab, typed: Typed) -> None:
    from filelock import FileLock

    first = inventory()[0]
    with FileLock(cache_folder() / "locks" / f"{first.folder.name}.lock"):
        assert "in use, stays" in typed("cache", "prune", "--down-to", "0", "--yes").out
    assert [kept.folder for kept in inventory()] == [first.folder]


def test_verifying_reads_every_byte_and_removes_nothing(scored: Lab, typed: Typed) -> None:
    done = typed("cache", "verify")
    assert (done.code, done.out.splitlines()[-1].endswith(" 0 damaged or without checksum")) == (0, True)
    chunk = next(cache_folder().glob("activations/*/net.pixels/00001.npy"))
    memory = next(cache_folder().glob("digests/*.json"), None)
    for path in filter(None, (chunk, memory)):
        content = bytearray(path.read_bytes())
        content[-5] ^= 4
        times = path.stat()
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    before = sorted(path for path in cache_folder().rglob("*") if path.is_file())
    done = typed("cache", "verify")
    assert done.code == 1
    assert f"damaged: {chunk}" in done.out
    assert memory is None or f"damaged: {memory}" in done.out
    assert sorted(path for path in cache_folder().rglob("*") if path.is_file()) == before
    scored.score(["lab-net", "lab-second"], ["lab.fit", "lab.mean"], out=Path("again"))
    assert f"damaged: {chunk}" not in typed("cache", "verify").out


def test_an_empty_cache_is_told(lab: Lab, typed: Typed) -> None:
    assert typed("cache", "list").out == "No activations are kept.\n"
    assert typed("cache", "verify").code == 0
    assert typed("cache", "prune", "--down-to", "0", "--yes").out.startswith("0 removed")
    with pytest.raises(UsageError, match="'20 GiB' is no size"):
        parse_size("20 GiB")
