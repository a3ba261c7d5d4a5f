"""Which calls are up, as marks on the disk: what a killed process left is ended by the next one.

A mark is a file with the session's id as its name; its time is the last sign of life. It holds the
identity whose the session is, where that is not the process's own.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

_log = logging.getLogger(__name__)


class LiveCalls:
    """The marks of one folder. A disk that fails costs a mark, and is logged once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._failed = False
        with self._tolerant():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def left(self) -> Iterator[tuple[UUID, datetime, str]]:
        """The calls that a former process had, when it was last heard of them, and whose they
        are."""
        with self._tolerant():
            for path in sorted(self._folder.iterdir()):
                try:
                    session_id = UUID(path.name)
                except ValueError:
                    continue
                at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                yield session_id, at, path.read_text(encoding="utf-8")

    def is_up(self, session_id: UUID, owner: str = "") -> None:
        """A call begins."""
        with self._tolerant():
            file = os.open(self._folder / str(session_id), os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.write(file, owner.encode())
            finally:
                os.close(file)

    def goes_on(self, session_id: UUID) -> None:
        """It was heard of it."""
        with self._tolerant():
            os.utime(self._folder / str(session_id))

    def is_over(self, session_id: UUID) -> None:
        """Its end is in the journal."""
        with self._tolerant():
            (self._folder / str(session_id)).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _tolerant(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not self._failed:
                _log.error("calls cannot be marked", extra={"reason": error.strerror})
            self._failed = True
