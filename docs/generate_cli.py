"""Writes the help texts of the command line into reference/cli.md, or checks that they are those of the code.

python docs/generate_cli.py            rewrite the blocks
python docs/generate_cli.py --check    exit 1 where a block is out of date
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parent / "reference" / "cli.md"
BLOCK = re.compile(r"(?<=<!-- help: )(?P<command>[a-z -]*)(?P<rest> *-->\n```text\n).*?(?=```\n)", re.DOTALL)
WIDTH = 100
CALL = "import sys; sys.argv[0] = 'isocortex'; from isocortex.cli.commands import main; main()"


def help_text(command: str) -> str:
    """Help of a command ("" is that of isocortex itself), as a terminal of ``WIDTH`` columns shows it."""
    done = subprocess.run(  # noqa: S603 - this interpreter, and commands that the page names
        [sys.executable, "-c", CALL, *command.split(), "--help"],
        env={**os.environ, "COLUMNS": str(WIDTH + 2), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    if done.returncode:
        sys.exit(f"isocortex {command} --help failed: {done.stderr.strip()} Install every package of this repository.")
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()).strip() + "\n"


def rewritten(page: str) -> str:
    """The page with every block replaced by what the code says now."""
    return BLOCK.sub(lambda found: f"{found['command']}{found['rest']}{help_text(found['command'])}", page)


def main() -> int:
    """Rewrite the page, or compare it; the exit code says whether it was up to date."""
    page = PAGE.read_text(encoding="utf-8")
    current = rewritten(page)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(current, encoding="utf-8")
        return 0
    if current != page:
        print(f"{PAGE} is out of date. Run: python docs/generate_cli.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
