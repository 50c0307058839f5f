"""``python -m isocortex.testing TASK ARGUMENTS ANSWER``: a task of a check in a fresh interpreter."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from isocortex.testing.probe import main

if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3]))
