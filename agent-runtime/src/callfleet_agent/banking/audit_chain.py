"""The chain of the audit log: pure arithmetic on rows.

Rows of a stream are numbered from 1. A row's hash is SHA-256 over its content in one canonical form
and the hash of the row before it; its seal is an HMAC of that hash: who may write to the database
and has no key cannot write a chain that holds. A chain cannot show that its end was cut off, or
that a whole stream is gone: that is what anchors are for, the ends of an earlier look, kept
elsewhere.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import orjson

FORMAT: Final = "callfleet-audit-1"
_KEY_USE: Final = b"callfleet audit log, format 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One row as it is stored."""

    stream: str
    sequence: int
    at: datetime
    phase: str
    operation: str
    outcome: str
    request_id: UUID | None
    session_id: UUID | None
    actor: str
    correlation_id: str
    customer: str
    previous: bytes = field(repr=False)
    digest: bytes = field(default=b"", repr=False)
    seal: bytes = field(default=b"", repr=False)

    def canonical(self) -> bytes:
        """What is hashed, the same for the same content whatever stored it in between."""
        return orjson.dumps(
            [
                FORMAT,
                self.stream,
                self.sequence,
                self.at.astimezone(UTC).isoformat(timespec="microseconds"),
                self.phase,
                self.operation,
                self.outcome,
                None if self.request_id is None else str(self.request_id),
                None if self.session_id is None else str(self.session_id),
                self.actor,
                self.correlation_id,
                self.customer,
                self.previous.hex(),
            ]
        )


def key_of(secret: bytes) -> bytes:
    """The key of the seals, derived from a secret that has other uses too."""
    return hmac.new(secret, _KEY_USE, hashlib.sha256).digest()


def genesis(stream: str) -> bytes:
    """What the first row of a stream names as the row before it."""
    return hashlib.sha256(orjson.dumps([FORMAT, stream])).digest()


def digest_of(row: AuditRow) -> bytes:
    """The row's hash."""
    return hashlib.sha256(row.canonical()).digest()


def seal_of(digest: bytes, key: bytes) -> bytes:
    """The row's seal."""
    return hmac.new(key, digest, hashlib.sha256).digest()


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a stream: its last row's number and hash."""

    sequence: int
    digest: bytes


class Fault(StrEnum):
    """How a row breaks its chain."""

    MISSING = "a row before it is missing, or it is out of its order"
    UNLINKED = "it does not continue the row before it"
    CHANGED = "its content was changed"
    FORGED = "its seal was not made with the key"
    REWRITTEN = "it is not the row that it was when it was last looked at"
    CUT = "rows that were there when it was last looked at are missing after it"


@dataclass(frozen=True, slots=True)
class Broken:
    """The first broken row of a stream; 0 where the stream has no row left."""

    stream: str
    sequence: int
    fault: Fault


class StreamCheck:
    """Follows the rows of one stream, in the order of their numbers."""

    def __init__(self, stream: str, key: bytes, anchor: Head | None = None) -> None:
        self._stream = stream
        self._key = key
        self._anchor = anchor
        self.head = Head(0, genesis(stream))

    def follow(self, row: AuditRow) -> Broken | None:
        """The next row; what is broken about it."""
        fault = self._fault(row)
        if fault is not None:
            return Broken(self._stream, row.sequence, fault)
        self.head = Head(row.sequence, row.digest)
        return None

    def end(self) -> Broken | None:
        """There are no more rows."""
        if self._anchor is not None and self.head.sequence < self._anchor.sequence:
            return Broken(self._stream, self.head.sequence, Fault.CUT)
        return None

    def _fault(self, row: AuditRow) -> Fault | None:
        if row.sequence != self.head.sequence + 1:
            return Fault.MISSING
        if row.previous != self.head.digest:
            return Fault.UNLINKED
        if row.digest != digest_of(row):
            return Fault.CHANGED
        if not hmac.compare_digest(row.seal, seal_of(row.digest, self._key)):
            return Fault.FORGED
        anchor = self._anchor
        if anchor is not None and row.sequence == anchor.sequence and row.digest != anchor.digest:
            return Fault.REWRITTEN
        return None


def check_stream(
    stream: str, rows: Iterable[AuditRow], key: bytes, anchor: Head | None = None
) -> tuple[Head, Broken | None]:
    """A whole stream: its end as far as it holds, and its first broken row."""
    check = StreamCheck(stream, key, anchor)
    for row in rows:
        if (broken := check.follow(row)) is not None:
            return check.head, broken
    return check.head, check.end()


def anchors_text(heads: Mapping[str, Head]) -> bytes:
    """Anchors as a file: JSON, {stream: [number, hash]}."""
    plain = {name: [head.sequence, head.digest.hex()] for name, head in sorted(heads.items())}
    return orjson.dumps(plain, option=orjson.OPT_INDENT_2)


def read_anchors(text: bytes) -> dict[str, Head]:
    """Anchors of a file. Raises ValueError when it is none."""
    found = orjson.loads(text)
    if not hasattr(found, "items"):
        raise ValueError("anchors are a JSON object")
    return {name: _anchor(head) for name, head in found.items()}


def _anchor(found: object) -> Head:
    match found:
        case [int(sequence), str(digest)]:
            return Head(sequence, bytes.fromhex(digest))
    raise ValueError("an anchor is a number and a hash")
