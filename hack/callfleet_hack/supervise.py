"""Run one program for as long as whoever holds the other end of standard input lives.

Run as a script: `python supervise.py PROGRAM ARGUMENT…`. The program is killed when standard input
reaches its end, which the kernel brings about however the holder of the pipe dies, and it dies
with this process if this one is killed. SIGKILL is right: what it runs is thrown away.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def supervise(arguments: list[str]) -> int:
    """The program's exit status, negative for a signal."""
    with subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has one thread
    ) as program:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: program.kill())
        exited = os.pidfd_open(program.pid)
        select.select([sys.stdin, exited], [], [])
        if program.poll() is None:
            program.kill()
        return program.wait()


if __name__ == "__main__":
    sys.exit(abs(supervise(sys.argv[1:])))
