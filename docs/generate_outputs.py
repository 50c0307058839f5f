"""Runs the commands whose output the documentation shows, and writes what they print, or checks it.

python docs/generate_outputs.py [PAGE …]            rewrite every output that can be made here
python docs/generate_outputs.py --check [PAGE …]    exit 1 where a page shows something else
python docs/generate_outputs.py --light …           only what needs nothing and takes seconds

A page says in comments what is run. The commands of a page run in one folder, in their order:

    <!-- run: isocortex fetch -b NH2015comp.ridge --from $ISOCORTEX_REALDATA/nh2015
         needs: real data -->
    <!-- output: isocortex show
         needs: real data
         only: NH2015comp -->
    (a block of text, which is written)
    ... reaches <!-- value: spectrotemporal NH2015comp.ridge all -->.76<!-- end --> ...

``needs`` names what is not everywhere, with commas: ``real data`` (the folder ISOCORTEX_REALDATA), ``torch``; and ``a
minute``. ``from`` and ``to`` are patterns of the first line that is shown and of the first that is not any more,
``only`` of the lines that are kept;
``exit`` is the code that a command ends with where it is meant to fail (its message is shown); ``columns`` the width of
the terminal; ``data: none`` where nothing is to have been fetched. A value is read out of the results that lie in the
folder by then, with as many digits as stand there.

What is shown and what is printed may differ by one unit of a number's last digit, since machines do, and by digests.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
STEP = re.compile(
    r"<!-- (?P<kind>run|output): (?P<command>[^\n]+?)(?P<options>(?:\n +[a-z]+: [^\n]+?)*) -->"
    r"(?:\n```text\n(?P<shown>.*?)^```$)?",
    re.DOTALL | re.MULTILINE,
)
OPTION = re.compile(r"^ +(?P<name>[a-z]+): (?P<value>.+)$", re.MULTILINE)
VALUE = re.compile(
    r"(?P<head><!-- value: (?P<model>\S+) (?P<benchmark>\S+) (?P<region>\S+)(?: (?P<column>\S+))? -->)"
    r"(?P<shown>-?\d*\.\d+)(?=<!-- end -->)"
)
OPTIONS = frozenset({"needs", "from", "to", "only", "exit", "columns", "data"})
CALL = "import sys; sys.argv[0] = 'isocortex'; from isocortex.cli.commands import main; main()"
NUMBER = re.compile(r"(?<![\w.])-?\d*\.\d+(?![\w.])")
DIGEST = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,64}\b")
COLUMNS = "100"


@dataclass(frozen=True)
class Folders:
    """Where commands work: a folder of the page, and data and activations that all pages share."""

    work: Path
    shared: Path


def pages() -> list[Path]:
    """Every page that may show an output."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def options_of(step: re.Match[str]) -> dict[str, str]:
    """Options of a step; one that is not known is an error that names it."""
    found = {option["name"]: option["value"] for option in OPTION.finditer(step["options"])}
    if set(found) - OPTIONS:
        sys.exit(f"{step['command']}: unknown options {sorted(set(found) - OPTIONS)}. Known: {sorted(OPTIONS)}.")
    return found


def is_here(needs: str) -> bool:
    """Whether there is all that a step needs."""
    there = {
        "real data": bool(os.environ.get("ISOCORTEX_REALDATA")),
        "torch": find_spec("torch") is not None,
        "a minute": True,
    }
    return all(there[need] for need in needs.split(", "))


def printed(command: str, options: dict[str, str], folders: Folders, *, shown: bool = True) -> str:
    """What a command prints; where it is meant to fail, its message.

    Raises
    ------
    SystemExit
        It ends with another code than it should.
    """
    arguments = shlex.split(os.path.expandvars(command))
    if arguments[0] != "isocortex":
        sys.exit(f"{command!r} is no command of isocortex, and nothing else is run here.")
    home = folders.shared / "empty" if options.get("data") == "none" else folders.shared
    done = subprocess.run(  # noqa: S603 - this interpreter, and commands that the pages name
        [sys.executable, "-c", CALL, *arguments[1:]],
        cwd=folders.work,
        env={
            **os.environ,
            "COLUMNS": options.get("columns", COLUMNS),
            "NO_COLOR": "1",
            "ISOCORTEX_DATA": str(home / "data"),
            "ISOCORTEX_CACHE": str(folders.shared / "cache"),
        },
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    wanted = int(options.get("exit", "0"))
    if done.returncode != wanted:
        sys.exit(f"{command} ended with {done.returncode} instead of {wanted}: {done.stderr.strip()}")
    if not shown:
        return ""
    text = done.stderr + done.stdout if wanted else done.stdout
    lines = cut(text.replace(str(home), "~").replace(str(folders.work), ".").splitlines(), options)
    if wanted:
        lines = [part for line in lines for part in _folded(line)]
    return "\n".join(line.rstrip() for line in lines).strip("\n") + "\n"


def _folded(line: str) -> list[str]:
    """A message in lines that a page can show."""
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(line, 110, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) or [""]


def cut(lines: Sequence[str], options: dict[str, str]) -> list[str]:
    """The lines that are shown."""
    first = next((n for n, line in enumerate(lines) if re.search(options.get("from", ""), line)), len(lines))
    kept = list(lines[first:])
    if "to" in options:
        kept = kept[: next((n for n, line in enumerate(kept) if re.search(options["to"], line)), len(kept))]
    found = [line for line in kept if re.search(options.get("only", ""), line)]
    if not found:
        sys.exit(f"None of {len(lines)} lines is left by {options}.")
    return found


def same(shown: str, found: str) -> bool:
    """Whether two outputs say the same: spaces, digests and one unit of the last digit aside."""
    first, second = NUMBER.findall(shown), NUMBER.findall(found)
    if _words(shown) != _words(found) or len(first) != len(second):
        return False
    return all(_close(one, other) for one, other in zip(first, second, strict=True))


def _words(text: str) -> list[str]:
    return DIGEST.sub("#", NUMBER.sub("#", re.sub(r"[─━┄]+", "─", text))).split()


def _close(one: str, other: str) -> bool:
    digits = len(one.partition(".")[2])
    return digits == len(other.partition(".")[2]) and abs(float(one) - float(other)) < 1.5 * 10.0**-digits


def value_of(found: re.Match[str], folders: Folders) -> str | None:
    """A value of the results in the folder, as it is written there; None where its cell is not among them."""
    from isocortex.results import read_results, rows_frame

    folder = folders.work / "results"
    frame = rows_frame(read_results(folder)) if folder.is_dir() else None
    if frame is None or frame.empty:
        return None
    names = frame.model + "@" + frame.variant
    of_model = (frame.model == found["model"]) | (names == found["model"])
    rows = frame[of_model & (frame.benchmark == found["benchmark"]) & (frame.region == found["region"])]
    if len(rows) != 1:
        return None
    shown = found["shown"]
    text = f"{float(rows.iloc[0][found['column'] or 'value']):.{len(shown.partition('.')[2])}f}"
    return text if shown.lstrip("-").startswith("0") else text.replace("0.", ".", 1)


def rewritten(text: str, folders: Folders, *, light: bool) -> tuple[str, list[str]]:
    """The page with what its commands print now, and the commands that were left as they are."""
    left: list[str] = []
    out, end = "", 0
    for step in STEP.finditer(text):
        out, end, options = out + text[end : step.start()], step.end(), options_of(step)
        if "needs" in options and (light or not is_here(options["needs"])):
            left.append(step["command"])
            out += step.group()
            continue
        found = printed(step["command"], options, folders, shown=step["kind"] == "output")
        if step["kind"] == "output" and step["shown"] is None:
            sys.exit(f"Below the comment on {step['command']!r} there is no block ```text to write into.")
        keep = step["kind"] == "run" or same(step["shown"], found)
        out += step.group() if keep else step.group().replace(f"```text\n{step['shown']}", f"```text\n{found}")
    out += text[end:]

    def write(found: re.Match[str]) -> str:
        value = None if light else value_of(found, folders)
        if value is None:
            left.append(found["head"])
        return found.group() if value is None or _close(found["shown"], value) else found["head"] + value

    return VALUE.sub(write, out), left


def main() -> int:
    """Rewrite pages, or compare them; the exit code says whether they were up to date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--light", action="store_true")
    asked = parser.parse_args()
    old: list[Path] = []
    with tempfile.TemporaryDirectory() as shared:
        for page in asked.pages or pages():
            text = page.read_text(encoding="utf-8")
            if not STEP.search(text):
                continue
            with tempfile.TemporaryDirectory() as work:
                found, left = rewritten(text, Folders(Path(work), Path(shared)), light=asked.light)
            if left:
                print(f"{page.name}: {len(left)} not made here: {'; '.join(left)}", file=sys.stderr)
            if found != text and not asked.check:
                page.write_text(found, encoding="utf-8")
            old += [page] if found != text else []
    if asked.check and old:
        names = " ".join(str(page) for page in old)
        print(f"{names}: shows what is not printed any more. Run: python docs/generate_outputs.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
