"""The journal's files: segments that are only appended to, and the mark of what was delivered."""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from callfleet_agent.journal.entry import Entry, entries_in, framed
from callfleet_agent.journal.errors import JournalError

_MARK: Final = struct.Struct(">QI")
_SUFFIX: Final = ".segment"


@dataclass(slots=True)
class Segment:
    """One file; `live` counts its entries that are still owed."""

    path: Path
    size: int = 0
    live: set[int] = field(default_factory=set)


class Segments:
    """The files of a folder."""

    def __init__(self, folder: Path, segment_bytes: int) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._segments: list[Segment] = []
        self._of: dict[int, Segment] = {}
        self._number = 0
        self._file = -1
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._mark = os.open(folder / "delivered", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise JournalError(f"the journal's folder cannot be used: {error.strerror}") from error

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return sum(segment.size for segment in self._segments)

    def read(self) -> Iterator[Entry]:
        """What a former process left, in the order of sequence, without what was delivered."""
        delivered = self._read_mark()
        found: dict[int, Entry] = {}
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            segment = Segment(path)
            data, whole = path.read_bytes(), 0
            for entry, after in entries_in(data):
                whole = after
                if entry.sequence > delivered and entry.sequence not in found:
                    found[entry.sequence] = entry
                    segment.live.add(entry.sequence)
                    self._of[entry.sequence] = segment
            segment.size = whole
            self._number = int(path.stem)
            if segment.live:
                self._segments.append(segment)
            else:
                path.unlink()
        yield from (found[sequence] for sequence in sorted(found))

    @property
    def last_delivered(self) -> int:
        """The mark."""
        return self._read_mark()

    def append(self, entry: Entry) -> None:
        """Write it. Raises OSError when the disk does not take it."""
        data = framed(entry)
        if self._file < 0 or self._segments[-1].size + len(data) > self._segment_bytes:
            self._begin()
        current = self._segments[-1]
        written = os.write(self._file, data)
        if written < len(data):  # a full disk: the tail is cut when it is read
            os.ftruncate(self._file, current.size)
            raise OSError("the journal's disk is full")
        current.size += len(data)
        current.live.add(entry.sequence)
        self._of[entry.sequence] = current

    def drop(self, sequence: int) -> None:
        """It is owed no more; a file of which nothing is owed is deleted."""
        segment = self._of.pop(sequence)
        segment.live.discard(sequence)
        if not segment.live and segment is not self._segments[-1]:
            self._segments.remove(segment)
            segment.path.unlink(missing_ok=True)

    def oldest(self) -> frozenset[int]:
        """What is owed of the oldest file; empty when it is the one that is written to."""
        return frozenset(self._segments[0].live) if len(self._segments) > 1 else frozenset()

    def mark(self, sequence: int) -> None:
        """All up to this one was delivered."""
        data = sequence.to_bytes(8, "big")
        os.pwrite(self._mark, _MARK.pack(sequence, zlib.crc32(data)), 0)

    def sync(self) -> None:
        """Wait until the disk has what was written; called in a thread."""
        if self._file >= 0:
            os.fdatasync(self._file)

    def close(self) -> None:
        """Close the files."""
        for file in (self._file, self._mark):
            if file >= 0:
                os.close(file)
        self._file = self._mark = -1

    def _begin(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        for former in [segment for segment in self._segments if not segment.live]:
            self._segments.remove(former)
            former.path.unlink(missing_ok=True)
        self._number += 1
        path = self._folder / f"{self._number:012}{_SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._segments.append(Segment(path))

    def _read_mark(self) -> int:
        data = os.pread(self._mark, _MARK.size, 0)
        if len(data) < _MARK.size:
            return 0
        sequence, checksum = _MARK.unpack(data)
        return int(sequence) if zlib.crc32(data[:8]) == checksum else 0
