"""``python -m isocortex``."""

from isocortex.cli import main

if __name__ == "__main__":
    main()
