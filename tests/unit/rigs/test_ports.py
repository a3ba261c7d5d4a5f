"""Ports that tests choose: nobody else gets them before they are bound."""

import socket
import subprocess
import sys
from pathlib import Path

from ports import free_port

TESTS = Path(__file__).parents[2]


def test_none_comes_twice() -> None:
    assert len({free_port() for _ in range(50)}) == 50


def test_none_is_one_that_the_kernel_gives_to_who_asks_for_any() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        assert free_port() < probe.getsockname()[1]


def test_one_that_is_taken_is_passed_over() -> None:
    first = free_port()
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", first + 1))
        assert free_port() != first + 1


def test_another_process_has_others() -> None:
    program = "from ports import free_port; print(*(free_port() for _ in range(20)))"
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, cwd=TESTS, capture_output=True, text=True, check=True)
    assert not {free_port() for _ in range(20)} & set(map(int, done.stdout.split()))
