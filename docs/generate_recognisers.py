"""Writes the table of recognisers into how-to/speech-recognisers.md out of the rows, or checks that it is theirs.

python docs/generate_recognisers.py            rewrite the table
python docs/generate_recognisers.py --check    exit 1 where it is out of date
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "how-to" / "speech-recognisers.md"
MANIFEST = ROOT / "plugins" / "nemo" / "src" / "isocortex_nemo" / "isocortex.toml"
BLOCK = re.compile(r"(?<=<!-- table: isocortex-nemo -->\n).*?(?=<!-- end -->)", re.DOTALL)
HEAD = "| name | family | layers | parameters | weights | NeMo |\n|---|---|---|---|---|---|\n"


def table() -> str:
    """The 41 names of the catalogue, then what came later."""
    content = tomllib.loads(MANIFEST.read_text(encoding="utf-8"))
    defaults = content["defaults"]["model"]
    rows = [{**defaults, **row} for row in content["model"] if row["id"] != "nemo:*"]
    first = [row for row in rows if "catalogue" not in row["tags"]]
    later = [row for row in rows if "catalogue" in row["tags"]]
    return f"{HEAD}{_lines(first)}\nLater releases of the same classes, and other look-aheads:\n\n{HEAD}{_lines(later)}"


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(
        f"| `{row['id'].removeprefix('nvidia/')}` | {row['tags']['family']} | {row['tags']['depth']} "
        f"| {_count(row['parameters'])} | {row['licence'].rpartition('weights: ')[2]} | {row['tags']['nemo']} |\n"
        for row in rows
    )


def _count(parameters: int) -> str:
    """Parameters in millions."""
    return f"{parameters / 1e6:.0f} M" if parameters >= 1e6 else f"{parameters / 1e6:.2f} M"


def main() -> int:
    """Rewrite the page, or compare it; the exit code says whether it was up to date."""
    page = PAGE.read_text(encoding="utf-8")
    current = BLOCK.sub(lambda _: table(), page)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(current, encoding="utf-8")
        return 0
    if current != page:
        print(f"{PAGE} is out of date. Run: python docs/generate_recognisers.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
