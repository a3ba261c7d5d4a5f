"""Programs that do not outlive who started them, not even after kill -9.

On Linux a process may ask for a signal at its parent's death (prctl(2), PR_SET_PDEATHSIG), and what
it runs then by exec keeps that. A program does not ask by itself, and between fork and exec of a
process with threads no Python may run; so a small Python asks, and becomes the program.

The kernel counts as the parent the thread that started it: start it in one that lives on.
"""

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from typing import Final

from callfleet_agent.services.speech.ports import EngineMissingError

NOT_RUN: Final = 127
"""The status where the program cannot be run, as a shell has it."""

_PR_SET_PDEATHSIG: Final = 1
_BECOME: Final = f"""
import ctypes, os, sys
ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG}, {signal.SIGKILL.value}, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):  # it died before it was asked for
    os._exit(0)
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError:
    os._exit({NOT_RUN})
"""


def tied(command: Sequence[str]) -> list[str]:
    """The command by which a program runs for as long as this process lives; elsewhere than on
    Linux it is the same one.

    Raises:
        EngineMissingError: there is no such program.
    """
    program = shutil.which(command[0])
    if program is None:
        raise EngineMissingError(f"{command[0]} cannot be run: no such program")
    if sys.platform != "linux":
        return [program, *command[1:]]
    return [sys.executable, "-I", "-S", "-c", _BECOME, str(os.getpid()), program, *command[1:]]
