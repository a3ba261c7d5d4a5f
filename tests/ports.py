"""Ports of loopback for servers that a test starts later, ends, and starts again on the same port.

They lie below those that the kernel gives to whoever asks for any, and each process of the tests
has a block of its own: nobody takes a port between its choice and its use, or while its server is
down.
"""

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import cycle
from pathlib import Path

_FIRST, _BLOCK, _BLOCKS = 10_000, 250, 40
_HOST = "127.0.0.1"


def free_port(host: str = _HOST) -> int:
    """A port that is free for UDP and TCP, and that nobody else is given. It comes again only after
    the whole block."""
    ports = _own()
    for _ in range(_BLOCK):
        if _is_free(host, port := next(ports)):
            return port
    raise RuntimeError("every port of this process is taken")


@cache
def _own() -> Iterator[int]:
    """The block of this process: the lock ends with it, however it ends."""
    folder = Path(tempfile.gettempdir()) / f"callfleet-ports-{os.geteuid()}"
    folder.mkdir(exist_ok=True)
    for number in range(_BLOCKS):
        lock = os.open(folder / str(number), os.O_RDWR | os.O_CREAT, 0o600)
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            first = _FIRST + number * _BLOCK
            return cycle(range(first, first + _BLOCK))
        os.close(lock)
    raise RuntimeError(f"all ports from {_FIRST} on are other tests' own: see {folder}")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        try:
            tcp.bind((host, port))
            udp.bind((host, port))
        except OSError:
            return False
        return True
