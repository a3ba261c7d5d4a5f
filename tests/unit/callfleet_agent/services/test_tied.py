"""What is started for an engine ends with who started it, whatever ends that."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from callfleet_agent.services.speech.ports import EngineMissingError
from callfleet_agent.services.speech.tied import NOT_RUN, tied

LIMIT_S = 30.0
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties processes")
# Starts a child and says which, then waits for its end.
PARENT = """
import subprocess, sys, time
from callfleet_agent.services.speech.tied import tied
command = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(600)"]
child = subprocess.Popen(tied(command) if {tied} else command, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""


@contextmanager
def parent_and_child(*, is_tied: bool) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The child as a descriptor that can be read once it has ended."""
    with ExitStack() as stack:
        parent = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", PARENT.format(tied=is_tied)],
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(parent.kill)
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        stack.callback(os.close, child)
        yield parent, child


def ended(child: int, limit_s: float) -> bool:
    return bool(select.select([child], [], [], limit_s)[0])


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent(number: signal.Signals) -> None:
    with parent_and_child(is_tied=True) as (parent, child):
        assert not ended(child, 0.1)
        parent.send_signal(number)
        assert ended(child, LIMIT_S)


@linux
def test_what_is_not_tied_does_not() -> None:
    """So the test above would find it out."""
    with parent_and_child(is_tied=False) as (parent, child):
        parent.kill()
        parent.wait(LIMIT_S)
        lives_on = not ended(child, 0.5)
        signal.pidfd_send_signal(child, signal.SIGKILL)
    assert lives_on


@linux
def test_it_does_not_begin_when_its_parent_is_gone(tmp_path: Path) -> None:
    command = tied([sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')"])
    command[command.index(str(os.getpid()))] = "1"  # who started it has died meanwhile
    assert subprocess.run(command, check=False, timeout=LIMIT_S).returncode == 0
    assert not (tmp_path / "ran").exists()


def test_it_is_the_program_with_its_arguments_and_its_status() -> None:
    code = "import sys; print(*sys.argv[1:]); sys.exit(7)"
    done = subprocess.run(
        tied([sys.executable, "-c", code, "a b", "--c"]),
        capture_output=True, text=True, check=False, timeout=LIMIT_S,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (7, "a b --c\n")


@linux
def test_it_is_one_process() -> None:
    """So that its parent's signals reach it, and its id is its own."""
    with subprocess.Popen(
        tied([sys.executable, "-c", "import os; print(os.getpid())"]),
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.read() == f"{process.pid}\n"


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineMissingError, match="/nowhere/python cannot be run"):
        tied(["/nowhere/python"])


@linux
def test_one_that_cannot_be_run_has_the_status_of_a_shell(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF and nothing more")
    program.chmod(0o755)
    assert subprocess.run(tied([str(program)]), check=False, timeout=LIMIT_S).returncode == NOT_RUN


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL])
def test_decoders_end_with_their_worker(number: signal.Signals) -> None:
    """They are not tied: their input ends."""
    code = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-m", "callfleet_agent.pipeline.sphinx_process"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print(child.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        time.sleep(0.1)
        parent.send_signal(number)
        assert ended(child, LIMIT_S)
        os.close(child)
