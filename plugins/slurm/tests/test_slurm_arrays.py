"""Submitting leaves alone what belongs to the process that does it."""

from __future__ import annotations

import subprocess
import sys

PROBE = """
import logging, os
from isocortex_slurm import arrays

class Handler(logging.NullHandler):
    closed = False
    def close(self):
        type(self).closed = True

own = Handler()
with arrays._own_logging():
    import submitit
print(Handler.closed, "SUBMITIT_LOG_LEVEL" in os.environ)
"""


def test_the_log_handlers_of_the_process_stay_open() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
