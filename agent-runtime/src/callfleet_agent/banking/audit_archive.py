"""A month of the audit log outside of the database: a file of lines, and a sealed note that stays.

A stream begins and ends with its month, so that a month can leave the database without a gap in a
chain. What stays is a note for each stream: how many rows it had, the last one's hash, the file's
hash; sealed with the key, so that a month cannot be taken away and said to be archived.
"""

import gzip
import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import orjson

from callfleet_agent.banking.audit_chain import (
    FORMAT,
    AuditRow,
    Broken,
    Fault,
    Head,
    StreamCheck,
)

_BINARY: Final = ("previous", "digest", "seal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What is left in the database of a stream."""

    stream: str
    rows: int
    digest: bytes = field(repr=False)
    file: str
    sha256: bytes = field(repr=False)
    seal: bytes = field(default=b"", repr=False)

    @property
    def head(self) -> Head:
        """The stream's end."""
        return Head(self.rows, self.digest)

    def sealed(self, key: bytes) -> "Note":
        """The note with its seal."""
        return replace(self, seal=self._seal(key))

    def fault(self, key: bytes, anchor: Head | None) -> Broken | None:
        """What is wrong with it; `anchor`: the stream's end at an earlier look."""
        if not hmac.compare_digest(self.seal, self._seal(key)):
            return Broken(self.stream, self.rows, Fault.FORGED)
        if anchor is not None and anchor.sequence > self.rows:
            return Broken(self.stream, self.rows, Fault.CUT)
        if anchor is not None and anchor.sequence == self.rows and anchor.digest != self.digest:
            return Broken(self.stream, self.rows, Fault.REWRITTEN)
        return None

    def _seal(self, key: bytes) -> bytes:
        said = [FORMAT, "archived", self.stream, self.rows, self.digest.hex(), self.sha256.hex()]
        return hmac.new(key, orjson.dumps(said), hashlib.sha256).digest()


def line_of(row: AuditRow) -> bytes:
    """A row as a line of JSON."""
    return (
        orjson.dumps(
            {
                "stream": row.stream,
                "sequence": row.sequence,
                "at": row.at.astimezone(UTC).isoformat(timespec="microseconds"),
                "phase": row.phase,
                "operation": row.operation,
                "outcome": row.outcome,
                "request_id": None if row.request_id is None else str(row.request_id),
                "session_id": None if row.session_id is None else str(row.session_id),
                "actor": row.actor,
                "correlation_id": row.correlation_id,
                "customer": row.customer,
                **{name: getattr(row, name).hex() for name in _BINARY},
            }
        )
        + b"\n"
    )


def row_of(line: bytes) -> AuditRow:
    """The row of a line.

    Raises:
        ValueError: it is none.
    """
    try:
        given = orjson.loads(line)
        ids = {name: given[name] and UUID(given[name]) for name in ("request_id", "session_id")}
        binary = {name: bytes.fromhex(given[name]) for name in _BINARY}
        at = datetime.fromisoformat(given["at"])
        return AuditRow(**(given | ids | binary | {"at": at}))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError("a line that is no row of an audit log") from error


def packed(rows: Iterable[AuditRow]) -> bytes:
    """A file; the same rows make the same file."""
    return gzip.compress(b"".join(map(line_of, rows)), mtime=0)


def unpacked(data: bytes) -> Iterator[AuditRow]:
    """The rows of a file.

    Raises:
        ValueError: it is none.
    """
    try:
        lines = gzip.decompress(data).splitlines()
    except (OSError, EOFError) as error:
        raise ValueError("no compressed file") from error
    return map(row_of, lines)


def check_file(
    data: bytes, key: bytes, anchors: Mapping[str, Head]
) -> tuple[dict[str, Head], tuple[Broken, ...]]:
    """Follow every stream of a file: their ends, and the first broken row of each."""
    checks: dict[str, StreamCheck] = {}
    broken: dict[str, Broken] = {}
    for row in unpacked(data):
        check = checks.setdefault(row.stream, StreamCheck(row.stream, key, anchors.get(row.stream)))
        if row.stream not in broken and (found := check.follow(row)) is not None:
            broken[row.stream] = found
    for stream, check in checks.items():
        if stream not in broken and (found := check.end()) is not None:
            broken[stream] = found
    return {stream: check.head for stream, check in checks.items()}, tuple(broken.values())
