"""Processes are told apart by pid and start time, and end with whoever holds them."""

import os
import signal
import subprocess
import sys

from callfleet_hack import supervise
from callfleet_hack.node.process import Record, end_process, start_ticks

SUPERVISE = [sys.executable, "-I", "-S", supervise.__file__]


def test_this_process_is_alive_under_its_pid_and_start_time() -> None:
    ticks = start_ticks(os.getpid())

    assert ticks is not None
    assert Record(os.getpid(), ticks, []).alive


def test_a_pid_that_someone_else_has_by_now_is_not_ours() -> None:
    ticks = start_ticks(os.getpid())

    assert ticks is not None
    assert not Record(os.getpid(), ticks - 1, []).alive


def test_a_process_that_ended_and_was_not_waited_for_is_not_alive() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        ticks = start_ticks(process.pid)
        end_process(process.pid)

        assert ticks is not None
        assert not Record(process.pid, ticks, []).alive


def test_the_supervised_program_ends_when_its_holder_lets_go() -> None:
    with subprocess.Popen([*SUPERVISE, "sleep", "60"], stdin=subprocess.PIPE) as supervisor:
        supervisor.communicate(timeout=60)

    assert supervisor.returncode == signal.SIGKILL


def test_the_supervised_program_dies_with_its_supervisor() -> None:
    program = ["sh", "-c", "echo started; exec sleep 60"]
    with subprocess.Popen(
        [*SUPERVISE, *program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"started\n"

        supervisor.kill()

        # Its end of the pipe is closed when it is gone, and not before.
        assert supervisor.stdout.read() == b""


def test_the_status_of_a_program_that_ends_by_itself_is_passed_on() -> None:
    with subprocess.Popen([*SUPERVISE, "false"], stdin=subprocess.PIPE) as supervisor:
        assert supervisor.wait(timeout=60) == 1
