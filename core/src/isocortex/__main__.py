"""``isocortex`` and ``python -m isocortex``."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from isocortex.cli.commands import main as run

    run()


if __name__ == "__main__":
    main()
