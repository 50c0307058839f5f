"""A campaign of corruptions: files of every kind below cache, results and data are damaged, and scoring runs again.

    python tests/faults/corruption.py --n 300 --seed 0

Each trial damages one file (a flipped bit, a cut, a zeroed page, appended bytes, two files swapped, a file of other
activations or of another result, one of an older version without checksum), and does what reads it. What comes out is
compared with an undisturbed twin, bit for bit. A trial counts where the file was opened after it was damaged. It is

    recomputed   the values of the twin, and the damaged file was replaced or is named
    refused      no value, and a message that names the file or its folder
    unnoticed    all else: a wrong value, the damaged file left there without a word, or a message that names nothing
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import io
import json
import os
import random
import shutil
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[2]))

import xarray as xr

from isocortex.activations.folder import ActivationFolder
from isocortex.api import run
from isocortex.catalogue.cards import Variant
from isocortex.catalogue.rows import Catalogue
from isocortex.errors import IsocortexError, UsageError
from isocortex.extraction.cached import Extraction, copy_layers
from isocortex.files.digests import digest_file
from isocortex.files.file_store import FileStore
from isocortex.files.sealed import SEAL
from isocortex.loading.resolver import Resolver
from isocortex.progress import Reporter, Stopwatch
from isocortex.results.paired import compare_results
from isocortex.results.result import Result, read_results
from isocortex.run.plan import RunConfig
from tests.folders import image_folder
from tests.lab import CODE, MANIFEST, write_lab

#: responses are scaled by what lies in files: one with a published checksum, one without, and members of an archive
FILED = """

class Filed(DatasetPlugin):
    def load(self, files, stimuli):
        content = b"".join(path.read_bytes() for _, path in sorted(files.items()) if not path.name.endswith(".zip"))
        scale = np.frombuffer(content, np.uint8).astype(np.float64).reshape(-1, 4).sum(axis=0)
        stream = np.random.default_rng(2)
        values = IMAGES.mean(axis=(1, 2, 3))[:, None] * scale + stream.normal(0, 1, (len(stimuli), 4)) * 10
        responses = make_responses(values, stimuli.ids, neuroid={"region": list("AABB")})
        return Dataset(self.card.id, stimuli, responses=responses)
"""
FILED_ROWS = """
[[dataset]]
id = "LabFiled"
object = "iso_lab:Filed"
files = "filed.csv"

[[benchmark]]
id = "lab.filed"
dataset = "LabFiled"
"""
PACKAGE = "iso-lab"
#: data sets of images, each with one image under two IDs
FOLDERS = ("pictures", "other pictures")
Outcome = dict[str, Any]


def main() -> int:
    """Run the campaign, print the table, and say with the exit code whether anything went unnoticed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--n", type=int, default=300, help="trials that count")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    counts, problems = campaign(asked.n, asked.seed)
    print(table(counts))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def campaign(n_trials: int, seed: int) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Damage files until so many trials counted: (kind, verdict) → number, and a line for whatever went unnoticed."""
    stream = random.Random(seed)
    counts: Counter[tuple[str, str]] = Counter()
    problems: list[str] = []
    kinds = stream.sample(KINDS, len(KINDS))
    with workspace() as space:
        while sum(n for (_, verdict), n in counts.items() if verdict != "not read") < n_trials:
            kind = kinds[sum(counts.values()) % len(kinds)]
            verdict, what = trial(space, kind, stream)
            counts[kind.name, verdict] += 1
            if verdict == "unnoticed":
                problems.append(f"{kind.name}: {what}")
    return counts, problems


def table(counts: Counter[tuple[str, str]]) -> str:
    """Kind → tried → recomputed, refused, unnoticed."""
    verdicts = ("recomputed", "refused", "unnoticed", "not read")
    lines = [f"{'kind':34} {'tried':>6} " + " ".join(f"{verdict:>11}" for verdict in verdicts)]
    for name in [*(kind.name for kind in KINDS), "all"]:
        found = [
            sum(n for (kind, v), n in counts.items() if name in ("all", kind) and v == verdict) for verdict in verdicts
        ]
        lines.append(f"{name:34} {sum(found[:3]):6} " + " ".join(f"{n:11}" for n in found))
    return "\n".join(lines)


# --- where it happens -------------------------------------------------------------------------------------------------


@dataclass
class Space:
    """A folder with a package, data, a cache and results, as they were when nothing was damaged."""

    base: Path
    whole: dict[Path, bytes] = field(default_factory=dict)
    twins: dict[str, Outcome] = field(default_factory=dict)
    #: files that the present trial damaged beside the one that it is about
    also: list[Path] = field(default_factory=list)

    def files(self, pattern: str) -> list[Path]:
        """Files that match, as they were."""
        names = {path.relative_to(self.base).as_posix(): path for path in self.whole}
        return [names[name] for name in sorted(fnmatch.filter(names, pattern))]

    def take(self) -> None:
        """Remember everything as it is."""
        found = (path for path in self.base.rglob("*") if path.is_file() and "site" not in path.parts)
        self.whole = {path: path.read_bytes() for path in found if path.suffix not in (".lock", ".holder")}

    def restore(self) -> None:
        """Make everything again as it was; what did not change is not touched."""
        for path in [path for path in self.base.rglob("*") if path.is_file() and "site" not in path.parts]:
            if path not in self.whole and path.suffix not in (".lock", ".holder") and ".used-" not in path.name:
                path.unlink()
        for path, content in self.whole.items():
            if not path.exists() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                fresh = path.with_name(f"{path.name}.fresh")
                fresh.write_bytes(content)
                fresh.replace(path)


@contextlib.contextmanager
def workspace() -> Iterator[Space]:
    """Everything that a campaign damages, made once by true runs."""
    base = Path(tempfile.mkdtemp(prefix="corruption-")).resolve()
    folders = {"ISOCORTEX_CACHE": str(base / "cache"), "ISOCORTEX_DATA": str(base / "data")}
    before, path_before = Path.cwd(), list(sys.path)
    try:
        package = write_lab(base / "site", PACKAGE, MANIFEST + FILED_ROWS)
        (package / "__init__.py").write_text(CODE + FILED)
        sys.path.insert(0, str(base / "site"))
        os.chdir(base)
        settled = mock.patch("isocortex.files.digests._SETTLED_NS", 0)  # so that digests are remembered at once
        with mock.patch.dict(os.environ, folders), settled:
            yield _made(base, package)
    finally:
        os.chdir(before)
        sys.path[:] = path_before
        for name in [name for name in sys.modules if name.partition(".")[0] == "iso_lab"]:
            del sys.modules[name]
        shutil.rmtree(base, ignore_errors=True)


def _made(base: Path, package: Path) -> Space:
    _write_data(base / "data" / PACKAGE, package)
    for seed, name in enumerate(FOLDERS):
        stimuli = image_folder(base / name, seed=seed) / "stimuli"
        shutil.copy(stimuli / "image01.png", stimuli / "image20.png")
    space = Space(base)
    _score("lab-net", "lab.filed", out="results", keep=("alpha", "prediction"))
    _score("lab-second", "lab.filed", out="results")
    _score("lab-net", "lab.regions", out="results")
    _score("fault-run", "lab.fit", out="results")
    ActivationFolder.at(_extraction("lab-net").folder or base).warn("a layer is odd")
    made = _extraction("lab-net")
    assert made.folder is not None
    copy_layers(made.folder, ["net.mean", "net.pixels"], base / "export")
    copy_layers(_extraction("lab-second").folder or base, ["net.mean", "net.pixels"], base / "other export")
    _score("activations:export", "lab.filed", out="results")
    _score("lab-net", "lab.filed", out="scored first")  # remembers digests of everything that is read
    for name in FOLDERS:
        _score("lab-net", f"folder:{name}:ridge", out="scored first")
    space.take()
    for kind in KINDS:
        if kind.read.__name__ not in space.twins:
            space.twins[kind.read.__name__] = kind.read(space)
            space.restore()
    return space


def _write_data(data: Path, package: Path) -> None:
    stream = random.Random(7)
    data.mkdir(parents=True)
    (data / "listed.bin").write_bytes(stream.randbytes(6000))
    (data / "unlisted.bin").write_bytes(stream.randbytes(6000))
    with zipfile.ZipFile(data / "archive.zip", "w") as archive:
        for name in ("first.bin", "deep/second.bin"):
            archive.writestr(name, stream.randbytes(4800))
    rows = ["name,url,sha256,bytes,unpack"]
    for name, listed, unpack in (("listed.bin", True, ""), ("unlisted.bin", False, ""), ("archive.zip", True, "yes")):
        rows.append(f"{name},http://127.0.0.1:9/never,{digest_file(data / name) if listed else ''},,{unpack}")
    (package / "filed.csv").write_text("\n".join(rows) + "\n")


# --- what reads the files ---------------------------------------------------------------------------------------------


def _score(model: str, benchmark: str, *, out: str, keep: tuple[str, ...] = ()) -> Result:
    (result,), _ = run(model, benchmark, RunConfig(out=Path(out), keep=keep, offline=True, device="cpu"), Reporter())
    return result


def _extraction(model: str) -> Extraction:
    resolver = Resolver(Catalogue.discover(), FileStore(offline=True))
    stimuli = resolver.stimuli("lab-images")
    return Extraction(
        resolver.model(model), Variant.parse("fixed"), stimuli, "flatten", "cpu", Reporter(quiet=True), Stopwatch()
    )


def _values(results: list[Result]) -> Outcome:
    """Values of results, and why others have none."""
    found: Outcome = {}
    for result in results:
        name = f"{result.model} {result.benchmark}"
        failure = result.failure.message if result.failure else None
        found[name] = failure if result.summary is None else result.model_dump(include={"summary", "regions"})
        found[f"{name} said"] = [text for text in result.warnings if "older version" in text]
    return found


def scoring_again(space: Space) -> Outcome:
    """Score from the cache where nothing was scored before."""
    del space
    return _values([_score("lab-net", "lab.filed", out="anew"), _score("lab-second", "lab.filed", out="anew")])


def grouping(space: Space) -> Outcome:
    """Score where stimuli of equal content are kept together in every split."""
    del space
    return _values([_score("lab-net", f"folder:{name}:ridge", out="anew") for name in FOLDERS])


def resuming(space: Space) -> Outcome:
    """Score where a chunk is still to be made."""
    (space.files("cache/activations/*/net.pixels/00001.npy")[0]).unlink(missing_ok=True)
    (space.files("cache/activations/*/net.pixels/00001.npy")[1]).unlink(missing_ok=True)
    return scoring_again(space)


def scoring_and_showing(space: Space) -> Outcome:
    """Show results and compare them; then score again into the same folder, and show what is there."""
    del space
    found = {"shown first": _values(read_results(Path("results")))}
    found["compared"] = _compared(Path("results"))
    models = ("lab-net", "lab-second")
    found["scored"] = _values([_score(model, "lab.filed", out="results") for model in models])
    found["shown last"] = _values(read_results(Path("results")))
    return found


def _compared(folder: Path) -> Outcome:
    """Differences and p of every pair, and why there are none; q depends on how many pairs there are."""
    try:
        rows = compare_results(folder).to_dict("records")
    except UsageError as error:
        return {"none": str(error)}
    found: Outcome = {}
    for row in rows:
        pair = " ".join(str(row[name]) for name in ("benchmark", "region", "model_a", "model_b"))
        numbers = [row[name] for name in ("difference", "interval_low", "interval_high", "p")]
        found[pair] = row["reason"] if isinstance(row["reason"], str) else numbers
    return found


def keeping(space: Space) -> Outcome:
    """Ask again for arrays that are kept."""
    result = _score("lab-net", "lab.filed", out="results", keep=("alpha", "prediction"))
    kept = [path for path in space.files("results/lab.filed/*/*/kept/*.nc") if path.exists()]
    return {**_values([result]), **{path.name: xr.load_dataset(path).to_dict() for path in kept}}


def scoring_the_export(space: Space) -> Outcome:
    """Score a folder of activations."""
    del space
    return _values([_score("activations:export", "lab.filed", out="anew")])


def showing(space: Space) -> Outcome:
    """Show results and failures."""
    del space
    return _values(read_results(Path("results")))


# --- what is damaged, and how -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A kind of file: where such lie, and what reads them."""

    name: str
    pattern: str
    read: Callable[[Space], Outcome]


_KEY = "cache/activations/*"
KINDS = (
    Kind("cache: chunk", f"{_KEY}/net.*/0*.npy", scoring_again),
    Kind("cache: checksum of a chunk", f"{_KEY}/net.*/0*.json", scoring_again),
    Kind("cache: layer.json", f"{_KEY}/net.*/layer.json", scoring_again),
    Kind("cache: activations.json", f"{_KEY}/activations.json", scoring_again),
    Kind("cache: batching.json", f"{_KEY}/batching.json", resuming),
    Kind("cache: steadiness.json", f"{_KEY}/steadiness.json", resuming),
    Kind("cache: warnings.json", f"{_KEY}/warnings.json", scoring_again),
    Kind("cache: selection", f"{_KEY}/selections/*.json", scoring_again),
    Kind("cache: remembered digests", "cache/digests/*.json", scoring_again),
    Kind("cache: contents of stimuli", "cache/contents/*.json", grouping),
    Kind("results: result.json", "results/lab.*/lab-*/*/result.json", scoring_and_showing),
    Kind("results: scores.nc", "results/lab.*/lab-*/*/scores.nc", scoring_and_showing),
    Kind("results: kept array", "results/lab.*/lab-*/*/kept/*.nc", keeping),
    Kind("results: checksum of a kept array", "results/lab.*/lab-*/*/kept/*.json", keeping),
    Kind("results: failure", "results/lab.*/fault-*/failures/*.json", showing),
    Kind("data: published checksum", f"data/{PACKAGE}/listed.bin", scoring_again),
    Kind("data: no published checksum", f"data/{PACKAGE}/unlisted.bin", scoring_again),
    Kind("data: recorded.json", f"data/{PACKAGE}/recorded.json", scoring_again),
    Kind("data: archive", f"data/{PACKAGE}/archive.zip", scoring_again),
    Kind("data: member of an archive", f"data/{PACKAGE}/archive.zip.*.bin", scoring_again),
    Kind("data: checksums of members", f"data/{PACKAGE}/archive.zip.*.json", scoring_again),
    Kind("export: chunk", "export/net.*/0*.npy", scoring_the_export),
    Kind("export: checksum of a chunk", "export/net.*/0*.json", scoring_the_export),
    Kind("export: layer.json", "export/net.*/layer.json", scoring_the_export),
    Kind("export: activations.json", "export/activations.json", scoring_the_export),
)


def flip(space: Space, path: Path, stream: random.Random) -> bytes:
    """One bit is another one."""
    changed = bytearray(space.whole[path])
    changed[stream.randrange(len(changed))] ^= 1 << stream.randrange(8)
    return bytes(changed)


def cut(space: Space, path: Path, stream: random.Random) -> bytes:
    """The end is missing."""
    return space.whole[path][: stream.randrange(len(space.whole[path]))]


def append(space: Space, path: Path, stream: random.Random) -> bytes:
    """There is more."""
    return space.whole[path] + stream.choice((b"\n", b" ", b"\0" * 512, stream.randbytes(40)))


def zero(space: Space, path: Path, stream: random.Random) -> bytes:
    """A page is zeros."""
    content, start = space.whole[path], 0
    if len(content) > 4096:
        start = 4096 * stream.randrange(len(content) // 4096)
    return content[:start] + bytes(min(4096, len(content) - start)) + content[start + 4096 :]


def swap(space: Space, path: Path, stream: random.Random) -> bytes:
    """It holds what another one of the same kind does, and the other way round."""
    kind = next(kind for kind in KINDS if path in space.files(kind.pattern))
    others = [other for other in space.files(kind.pattern) if space.whole[other] != space.whole[path]]
    if not others:
        return foreign(space, path, stream)
    other = stream.choice(others)
    space.also.append(other)
    other.write_bytes(space.whole[path])
    return space.whole[other]


def foreign(space: Space, path: Path, stream: random.Random) -> bytes:
    """It holds what a file of the same name elsewhere does, or another whole file of the same form."""
    alike = [other for other in space.whole if other.suffix == path.suffix and space.whole[other] != space.whole[path]]
    named = [other for other in alike if other.name == path.name]
    return space.whole[stream.choice(named or alike)] if alike else stream.randbytes(100)


def older(space: Space, path: Path, stream: random.Random) -> bytes:
    """It is what a version without checksums wrote; of arrays, values of before."""
    if path.suffix == ".json":
        record = json.loads(space.whole[path])
        record.pop(SEAL, None)
        if "format" in record:
            record["format"] = 1
        return json.dumps(record, indent=1).encode()
    return bytes(byte ^ (stream.random() < 0.01) for byte in space.whole[path])


WAYS = (flip, flip, flip, cut, zero, append, swap, foreign, older)


def trial(space: Space, kind: Kind, stream: random.Random) -> tuple[str, str]:
    """Damage one file of a kind and read it: the verdict, and what happened."""
    space.also.clear()
    path, way = stream.choice(space.files(kind.pattern)), stream.choice(WAYS)
    changed = way(space, path, stream)
    if changed == space.whole[path]:
        changed = flip(space, path, stream)
    with path.open("r+b") as file:  # in place, so that it is the same file to the file system
        file.write(changed)
        file.truncate()
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said), opened_files() as opened:
            outcome = kind.read(space)
    except IsocortexError as error:
        outcome = {"error": str(error)}
    replaced = not path.exists() or path.read_bytes() != changed
    verdict = _verdict(space, kind, path, outcome, said.getvalue(), replaced=replaced)
    space.restore()
    shutil.rmtree(space.base / "anew", ignore_errors=True)
    what = f"{way.__name__} of {path.relative_to(space.base)}: {str(outcome)[:400]}"
    return (verdict, what) if path in opened else ("not read", what)


def _verdict(space: Space, kind: Kind, path: Path, outcome: Outcome, said: str, *, replaced: bool) -> str:
    twin = space.twins[kind.read.__name__]
    names = [name for one in (path, *space.also) for name in (one.name, one.parent.name)]
    if outcome == twin:
        return "recomputed" if replaced or path.name in said else "unnoticed"
    differences = list(_differences(outcome, twin))
    if any(not _is_message(one) for one in differences):
        return "unnoticed"
    return "refused" if any(name in str(one) for one in differences for name in names) else "unnoticed"


def _differences(found: Any, twin: Any) -> Iterator[Any]:
    """What stands where the twin has something else; arrays that are kept no more do not count as values."""
    if isinstance(found, dict) and isinstance(twin, dict) and "summary" not in found:
        for key in found.keys() | twin.keys():
            if found.get(key) != twin.get(key):
                yield from _differences(found.get(key), twin.get(key))
    else:
        yield found


def _is_message(found: Any) -> bool:
    """A reason, or nothing at all, in the place of a value."""
    if isinstance(found, list):
        return all(isinstance(one, str) or one is None for one in found)
    return found is None or isinstance(found, str)


_OPENED: list[set[Path]] = []


@contextlib.contextmanager
def opened_files() -> Iterator[set[Path]]:
    """Files that are opened inside, by Python or by a library that asks Python."""
    if not _HOOKED:
        sys.addaudithook(_note)
        _HOOKED.append(True)
    opened: set[Path] = set()
    _OPENED.append(opened)
    try:
        yield opened
    finally:
        _OPENED.pop()


_HOOKED: list[bool] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _OPENED and isinstance(arguments[0], str) and "r" in str(arguments[1] or "r"):
        _OPENED[-1].add(Path(os.path.abspath(arguments[0])))  # noqa: PTH100 - links stay as they are


if __name__ == "__main__":
    sys.exit(main())
