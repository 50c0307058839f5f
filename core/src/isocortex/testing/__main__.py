"""``python -m isocortex.testing TASK ARGUMENTS ANSWER``: a task of a check in a fresh interpreter.

Without arguments: an interpreter that forks a child for every task it is asked for on stdin.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from isocortex.testing import forking, probe

if __name__ == "__main__":
    if len(sys.argv) > 1:
        probe.main(sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3]))
    else:
        forking.main()
