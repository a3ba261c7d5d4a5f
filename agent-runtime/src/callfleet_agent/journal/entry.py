"""One record and its bytes: length, CRC-32, then sequence, weight, kind, ids and sealed payload."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final
from uuid import UUID

_FRAME: Final = struct.Struct(">II")
_HEAD: Final = struct.Struct(">QBB16s16s")
MAX_BODY: Final = 1 << 20


class Weight(IntEnum):
    """What is given up first when the journal is full."""

    DETAIL = 0  # what was said in a turn: the next turn brings most of it again
    ESSENTIAL = 1  # that there was a call, and what was done with money


@dataclass(frozen=True, slots=True)
class Entry:
    """A record. `kind` is the writer's; `id` makes its delivery idempotent."""

    sequence: int
    weight: Weight
    kind: int
    call: UUID
    id: UUID
    payload: bytes = field(repr=False)


def framed(entry: Entry) -> bytes:
    """The entry as it is written; its payload is sealed already."""
    head = _HEAD.pack(entry.sequence, entry.weight, entry.kind, entry.call.bytes, entry.id.bytes)
    body = head + entry.payload
    return _FRAME.pack(len(body), zlib.crc32(body)) + body


def entries_in(data: bytes) -> Iterator[tuple[Entry, int]]:
    """Each whole entry with the position after it; what a crash cut short ends the walk."""
    at = 0
    while at + _FRAME.size <= len(data):
        length, checksum = _FRAME.unpack_from(data, at)
        body = data[at + _FRAME.size : at + _FRAME.size + length]
        if not _HEAD.size <= length <= MAX_BODY or len(body) < length:
            return
        if zlib.crc32(body) != checksum:
            return
        at += _FRAME.size + length
        sequence, weight, kind, call, identity = _HEAD.unpack_from(body)
        if weight > Weight.ESSENTIAL:
            return
        payload = body[_HEAD.size :]
        yield (
            Entry(sequence, Weight(weight), kind, UUID(bytes=call), UUID(bytes=identity), payload),
            at,
        )
