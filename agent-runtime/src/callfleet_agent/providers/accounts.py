"""What the workers of a pod spend of an account together: a file of a few bytes for each.

A lock of the file makes reading and writing one step. It is never waited for: a worker that was
stopped while it held the lock must not stop the others, so whoever does not get it counts on what
it saw last and writes its part later. The lock ends with the process that holds it.
"""

import fcntl
import logging
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from callfleet_agent.chain import Spent

TRIES: Final = 50
_PAGE: Final = struct.Struct("<4sqqqqd")
_MAGIC: Final = b"CFA1"
_log = logging.getLogger(__name__)


class SharedLedger:
    """The account of a pool, in `path`. A file that cannot be used is told once, and each process
    counts for itself."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._seen = Spent()
        self._owed_requests = 0
        self._owed_units = 0.0
        self._told = False

    @contextmanager
    def open(self) -> Iterator[Spent]:
        """The page of all."""
        file = self._locked()
        if file is None:
            before = replace(self._seen)
            yield self._seen
            self._owe(before)
            return
        try:
            spent = _read(file)
            before = replace(spent)
            self._pay(spent)
            yield spent
            if spent != before:
                self._write(file, spent)
            self._seen = replace(spent)
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Lets go of the file, which stays."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _locked(self) -> int | None:
        try:
            if self._file is None:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            for _ in range(TRIES):
                try:
                    fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.sched_yield()
                else:
                    return self._file
        except OSError as error:
            self._complain(error)
        return None

    def _write(self, file: int, spent: Spent) -> None:
        page = (spent.minute, spent.day, spent.in_minute, spent.in_day, spent.units)
        try:
            os.pwrite(file, _PAGE.pack(_MAGIC, *page), 0)
        except OSError as error:
            self._complain(error)

    def _owe(self, before: Spent) -> None:
        """What was spent without the file. Of a page that was turned only what is on it is owed."""
        seen = self._seen
        same_day = seen.day == before.day
        self._owed_requests += seen.in_day - (before.in_day if same_day else 0)
        self._owed_units += seen.units - (before.units if same_day else 0.0)

    def _pay(self, spent: Spent) -> None:
        spent.in_minute += self._owed_requests
        spent.in_day += self._owed_requests
        spent.units += self._owed_units
        self._owed_requests, self._owed_units = 0, 0.0

    def _complain(self, error: OSError) -> None:
        if not self._told:
            _log.error("an account is counted by each worker", extra={"error": error.strerror})
        self._told = True


def _read(file: int) -> Spent:
    data = os.pread(file, _PAGE.size, 0)
    if len(data) != _PAGE.size:
        return Spent()
    magic, *page = _PAGE.unpack(data)
    return Spent(*page) if magic == _MAGIC else Spent()
