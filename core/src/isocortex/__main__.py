"""``isocortex`` and ``python -m isocortex``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; listing does not pay for the library that parses the other commands."""
    if sys.argv[1:2] == ["list"]:
        from isocortex.cli.list import main as run_list

        sys.exit(run_list(sys.argv[2:]))
    from isocortex.cli.commands import main as run

    run()


if __name__ == "__main__":
    main()
