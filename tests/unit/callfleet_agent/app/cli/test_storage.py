"""`callfleet storage migrate --stay`: beside a database, until it is told to end."""

import subprocess
import sys

# Whoever sees the file ends the process in the same moment.
ENDED_AT_ONCE = """
import os, signal
from callfleet_agent.app.cli.storage import _stay
class Done:
    def touch(self):
        os.kill(os.getpid(), signal.SIGTERM)
_stay(Done())
"""


def test_who_is_ended_as_soon_as_it_is_done_ends_in_order() -> None:
    done = subprocess.run([sys.executable, "-c", ENDED_AT_ONCE], check=False, timeout=120)
    assert done.returncode == 0
