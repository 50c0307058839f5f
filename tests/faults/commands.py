"""Random command lines and mutated manifests: whatever is typed or installed, a command ends with a message.

    python tests/faults/commands.py --commands 3000 --manifests 1000 --seed 0 [--json FILE]

Command lines are made from the options that every command declares, with values that fit and values that do not; they
run in this process, as a process would. Manifests are real ones, mutated; ``list``, ``info`` and ``check`` have to go
on, and to show the healthy packages. Counted are tracebacks, exit codes other than 0, 1, 2 and 130, and what takes
longer than a minute. Exit code 1 where anything is counted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import click  # noqa: E402

from tests.command_line import run_in_process  # noqa: E402
from tests.folders import image_folder  # noqa: E402
from tests.third_party.install import SOURCES, write_package  # noqa: E402

LIMIT_S = 60
CODES = (0, 1, 2, 130)

IDS = (
    "pixels", "noise", "noise/2", "noise/*", "spectrotemporal", "category", "pixel", "NH2015comp.ridge", "NH2015comp",
    "ridge", "rsa", "natsound165", "Kriegeskorte2008.human-IT.rsa", "isocortex-baselines", "isocortex-metrics::ridge",
    "no-such-thing", "suite:hearing-core", "suite:", "*", "[", "??", "noise@random:0..3", "noise@random:3..1",
    "noise@random:99999999999999999999", "pixels@pretrained", "pixels@file:/nowhere.bin", "noise@", "@", "::", "a::b",
)  # fmt: skip
ODD = (
    "", " ", "-", "--", "0", "-1", "1e999", "nan", "99999999999999999999", "1/0", "0/0", "2/3", "3/2", "é", "é",
    "名前", "\u202eabc", "a\nb", "\x1b[31m", "\udcff", "x" * 5000, "'", '"', "=", "a=b", "modality=audio", "%s", "{}",
    "$(true)", "..", "../..", ".", "/", "/dev/null", "/dev/zero", "~", "~/results", "~nobody-here/x", "con", "NUL",
    "folder:", "folder::", "folder:/nowhere:ridge", "folder:.", "folder:.:ridge", "activations:", "activations:.",
    "activations:/dev/null", "cuda:99", "mps", "auto", "cpu", "time-mean", "flatten", "no-mean", "projection-0",
    "projection-99999999999", "alpha", "models", "plugins", "--json", "--help",
)  # fmt: skip
#: name of a parameter → values that fit it
FITTING = {
    "models": ("pixels", "noise/2", "noise@random:0..1", "p*", "category", "activations:features/pixels@fixed"),
    "benchmarks": ("folder:images:ridge", "folder:images:rsa", "folder:images:cka", "folder:./images:ridge"),
    "stimuli": ("images", "folder:images", "natsound165"),
    "reduction": ("flatten", "spatial-mean", "projection-16", "time-mean"),
    "layers": ("*", "pixels", "layer*"), "device": ("cpu", "auto"), "shard": ("1/2", "2/2"), "executor": ("local",),
    "keep": ("alpha", "prediction", "training_r2"), "out": ("results", "features", "new"), "results": ("results",),
    "source": ("images", "empty", "results"), "identity": (*IDS, "folder:images", "folder:images:ridge"),
    "where": ("modality=image", "package=isocortex-baselines", "variants=random", "no=such"), "file": ("broken.json",),
    "against": ("pixels", "category"), "regions": ("all",), "folder": ("results", "images", "empty"),
}  # fmt: skip
#: commands that work for long when nothing is wrong with them
LONG = ("demo", "recover", "check")


# --- command lines ----------------------------------------------------------------------------------------------------


def commands(base: Path) -> dict[tuple[str, ...], click.Command]:
    """Every command by its words, those that packages add included."""
    from isocortex.catalogue.cards import read_card
    from isocortex.catalogue.rows import Catalogue
    from isocortex.cli.commands import cli
    from isocortex.loading.resolver import load_object

    found: dict[tuple[str, ...], click.Command] = {(name,): one for name, one in cli.commands.items()}
    for row in Catalogue.discover().of_kind("command"):
        found[tuple(row.id.split())] = load_object(read_card(row))
    return found


def value_for(draw: random.Random, param: click.Parameter, places: Sequence[str]) -> str:
    """A value that may fit a parameter, or not."""
    kinds = [FITTING.get(str(param.name), IDS)] * 6 + [IDS, ODD, places]
    if isinstance(param.type, click.Choice):
        kinds = [param.type.choices] * 4 + [ODD]
    if isinstance(param.type, (click.types.IntParamType, click.types.FloatParamType)):
        kinds = [("0", "1", "2", "3")] * 4 + [ODD]
    text = str(draw.choice(list(draw.choice(kinds))))
    return mutated(draw, text) if draw.random() < 0.08 else text


def mutated(draw: random.Random, text: str) -> str:
    """A text with one letter more, less, or another one."""
    place = draw.randrange(len(text) + 1)
    letter = draw.choice("aZ0:@/*[]=.,- éß\t漢\u200b")
    return text[:place] + draw.choice(("", letter)) + text[place + draw.randrange(2) :]


def command_line(
    draw: random.Random, known: dict[tuple[str, ...], click.Command], places: Sequence[str]
) -> tuple[str, ...]:
    """A command with some of its options, in any order."""
    words = draw.choice(list(known))
    parts: list[list[str]] = []
    for param in known[words].params:
        if getattr(param, "hidden", False):  # between processes of isocortex alone
            continue
        if isinstance(param, click.Argument):
            n = draw.choice((1, 1, 1, 1, 1, 1, 0, 2)) if param.required else draw.choice((0, 1))
            parts += [[value_for(draw, param, places)] for _ in range(n)]
        elif draw.random() < (0.97 if param.required else 0.2):
            name = draw.choice(param.opts)
            one = [name] if getattr(param, "is_flag", False) else [name, value_for(draw, param, places)]
            parts += [one] * (2 if param.multiple and draw.random() < 0.3 else 1)
    if draw.random() < 0.05:
        parts.append([draw.choice(ODD)])
    draw.shuffle(parts)
    line = [*words, *(text for part in parts for text in part)]
    if draw.random() < 0.03:
        line[0] = mutated(draw, line[0])
    if words[0] in LONG and "--no-such-option" not in line:
        line.append("--no-such-option")
    return tuple(text.replace("\0", "") for text in line)


@contextlib.contextmanager
def without_network() -> Iterator[None]:
    """No address is known here, and nobody tries twice."""
    from isocortex.files import retrieval

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    before = socket.getaddrinfo, time.sleep
    attempts = getattr(retrieval, "N_ATTEMPTS", None)
    socket.getaddrinfo = unknown  # type: ignore[assignment]
    if attempts is not None:
        retrieval.N_ATTEMPTS = 1
    try:
        yield
    finally:
        socket.getaddrinfo, time.sleep = before
        if attempts is not None:
            retrieval.N_ATTEMPTS = attempts


class Slow(BaseException):
    """A command takes too long."""


def _too_slow(*_: object) -> None:
    raise Slow


def run_line(line: tuple[str, ...], base: Path, env: dict[str, str]) -> tuple[int, str]:
    """Exit code and what is wrong, or ""."""
    signal.signal(signal.SIGALRM, _too_slow)
    signal.alarm(LIMIT_S)
    try:
        done = run_in_process(line, base / "work", env)
    except Slow:
        return -1, f"more than {LIMIT_S} s"
    finally:
        signal.alarm(0)
    if "Traceback" in done.stderr or "Traceback" in done.stdout:
        return done.returncode, done.stderr[-1500:]
    return done.returncode, "" if done.returncode in CODES else f"exit code {done.returncode}"


def places_of(base: Path) -> tuple[str, ...]:
    """Paths and names that are there: a data set, activations, results, files of no kind."""
    image_folder(base / "work" / "images", n_images=20)
    (base / "work" / "empty").mkdir()
    (base / "work" / "text.txt").write_text("no data\n")
    (base / "work" / "broken.json").write_text("{")
    (base / "work" / "bytes.npy").write_bytes(bytes(range(256)))
    env = environment(base)
    for line in (
        ("extract", "-m", "pixels", "--stimuli", "images", "--out", "features"),
        ("score", "-m", "pixels", "-m", "category", "-b", "folder:images:ridge", "--out", "results"),
    ):
        done = run_in_process(line, base / "work", env)
        assert done.returncode == 0, done.stderr
    return (
        "images", "empty", "text.txt", "broken.json", "bytes.npy", "features", "features/pixels@fixed", "results",
        "folder:images", "folder:images:ridge", "folder:images:rsa", "folder:empty:ridge", "folder:text.txt:ridge",
        "activations:features/pixels@fixed", "activations:empty", "activations:images", "results/new", "text.txt/x",
    )  # fmt: skip


def environment(base: Path) -> dict[str, str]:
    """Folders of this campaign alone."""
    return {
        "ISOCORTEX_CACHE": str(base / "cache"), "ISOCORTEX_DATA": str(base / "data"), "HOME": str(base / "home"),
        "PYTHONPATH": str(base / "site"), "COLUMNS": "100", "HF_HUB_OFFLINE": "1",
    }  # fmt: skip


def try_commands(base: Path, n: int, seed: int) -> tuple[Counter[int], list[str]]:
    """Random command lines: how often each exit code came, and what is wrong."""
    draw = random.Random(seed)
    (base / "work").mkdir(parents=True)
    (base / "home").mkdir()
    places = places_of(base)
    known = commands(base)
    codes: Counter[int] = Counter()
    wrong: list[str] = []
    for _ in range(n):
        line = command_line(draw, known, places)
        code, why = run_line(line, base, environment(base))
        codes[code] += 1
        if why:
            wrong.append(f"isocortex {' '.join(map(repr, line))}\n{why}")
    return codes, wrong


# --- manifests --------------------------------------------------------------------------------------------------------

_PIECES = (
    "1979-05-27", "1979-05-27T07:32:00Z", "nan", "-inf", "[[[[[[]]]]]]", "{ a = { b = { c = 1 } } }", '"\\u0000"',
    "true", "9" * 400, '"../../x"', "[]", "{}", '""', "'''\n'''", "[1, \"a\"]", '"é\\u200b"', "[[model]]",
    "[defaults.model]", "[plugin]", "[[benchmark]]", "[[command]]\nname = \"list\"\nobject = \"os:getcwd\"", "[model]",
    'id = "pixels"', 'aliases = ["a", "a"]', 'aliases = 3', 'files = "../../etc/passwd"', 'published = "absent.csv"',
    'published = "/etc/passwd"', 'hooks = "no.such.module"', 'requires = ["no-such-distribution>=1"]', "\\", "\x00",
    "\ufeff", "# " + "x" * 3000, "a." * 40 + "a = 1", "[" * 300, "layers = []", "tags = { a = { b = 1 } }", "api = 2",
)  # fmt: skip


def mutated_manifest(draw: random.Random, text: str) -> bytes:
    """A manifest with one to three changes: of lines, of values, of bytes."""
    for _ in range(draw.choice((1, 1, 2, 3))):
        lines = text.splitlines(keepends=True) or [""]
        place = draw.randrange(len(lines))
        how = draw.randrange(8)
        if how == 0:
            del lines[place]
        elif how == 1:
            lines.insert(place, lines[draw.randrange(len(lines))])
        elif how == 2:
            lines.insert(place, draw.choice(_PIECES) + "\n")
        elif how in (3, 4, 5):
            key, sign, _ = lines[place].partition("=")
            lines[place] = f"{key}{sign} {draw.choice(_PIECES)}\n" if sign else draw.choice(_PIECES) + "\n"
        elif how == 6:
            lines[place] = mutated(draw, lines[place].rstrip("\n")) + "\n"
        else:
            lines = lines[: place + 1]
        text = "".join(lines)
    content = bytearray(text.encode(errors="surrogatepass"))
    if content and draw.random() < 0.15:
        content[draw.randrange(len(content))] = draw.randrange(256)
    return bytes(content)


def real_manifests() -> list[str]:
    """Manifests of this repository, their IDs under names of their own."""
    paths = [*(ROOT / "plugins").glob("*/src/*/isocortex.toml"), *SOURCES.glob("*/src/*/isocortex.toml")]
    texts = [path.read_text(encoding="utf-8") for path in sorted(paths)]
    texts = [text for text in texts if text.count("[[") > 0]
    return [re.sub(r'^((?:id|name) = ")', r"\1mutant-", text, flags=re.MULTILINE) for text in texts]


def try_manifests(base: Path, n: int, seed: int, check_every: int) -> tuple[Counter[str], list[str]]:
    """Mutated manifests: how many were listed, broken or partly so, and what is wrong."""
    draw = random.Random(seed)
    (base / "work").mkdir(parents=True, exist_ok=True)
    texts = real_manifests()
    path = write_package(base / "site", "iso-mutant", {"isocortex.toml": ""}) / "isocortex.toml"
    env = environment(base)
    states: Counter[str] = Counter()
    wrong: list[str] = []
    for number in range(n):
        content = mutated_manifest(draw, draw.choice(texts))
        path.write_bytes(content)
        found = list(_wrong_with(base, env, states, draw, check=number % check_every == check_every - 1))
        wrong += [f"{why}\nof the manifest\n{content.decode(errors='replace')[:3000]}" for why in found]
    shutil.rmtree(base / "site")
    return states, wrong


def _wrong_with(
    base: Path, env: dict[str, str], states: Counter[str], draw: random.Random, *, check: bool
) -> Iterator[str]:
    code, why = run_line(("list", "--json"), base, env)
    done = run_in_process(("list", "--json"), base / "work", env)
    if why or code != 0:
        yield f"list: exit {code}: {why}"
        return
    listed: dict[str, Any] = json.loads(done.stdout)
    if not any(row["id"] == "pixels" for row in listed["models"]):
        yield "list: the healthy packages are not shown"
    of_mutant = [row for rows in listed.values() for row in rows if row.get("package") == "iso-mutant"]
    broken = [row for row in listed["broken"] if row["package"] == "iso-mutant"]
    states["broken" if broken and len(of_mutant) == len(broken) else "partly broken" if broken else "listed"] += 1
    ids = [row["id"] for row in of_mutant if "id" in row]
    lines = [("info", "pixels"), ("list",), ("info", f"iso-mutant::{draw.choice(ids)}" if ids else "mutant")]
    if ids and draw.random() < 0.3:
        lines.append(("score", "-m", draw.choice(ids), "-b", draw.choice(ids), "--dry-run"))
    if check:
        lines.append(("check", f"iso-mutant::{draw.choice(ids)}" if ids else "iso-mutant"))
    for line in lines:
        code, why = run_line(line, base, env)
        if why or (line[:2] == ("info", "pixels") and code != 0):
            yield f"{' '.join(line)}: exit {code}: {why}"


def main() -> int:
    """Run the campaign and print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--commands", type=int, default=3000)
    parser.add_argument("--manifests", type=int, default=1000)
    parser.add_argument("--check-every", type=int, default=25, help="the kit takes seconds; run it on every n-th")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="isocortex-commands-"))
    try:
        with without_network():
            codes, wrong = try_commands(base, chosen.commands, chosen.seed)
            states, wrong_manifests = try_manifests(base, chosen.manifests, chosen.seed, chosen.check_every)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    print(f"{sum(codes.values())} command lines, exit codes {dict(sorted(codes.items()))}: {len(wrong)} wrong")
    print(f"{sum(states.values())} manifests, {dict(states)}: {len(wrong_manifests)} wrong")
    print("\n\n".join([*wrong[:40], *wrong_manifests[:40]]))
    if chosen.json:
        content = {"commands": codes, "wrong": len(wrong), "manifests": states, "wrong manifests": len(wrong_manifests)}
        chosen.json.write_text(json.dumps(content, indent=1))
    return 1 if wrong or wrong_manifests else 0


if __name__ == "__main__":
    sys.exit(main())
