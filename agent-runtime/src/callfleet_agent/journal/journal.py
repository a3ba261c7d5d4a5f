"""The journal: what is owed, in memory and in files, within bounds."""

import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from callfleet_agent.journal.entry import MAX_BODY, Entry, Weight
from callfleet_agent.journal.segments import Segments

_NONCE: Final = 12
_OVERHEAD: Final = 128  # of an entry in memory and on the disk, about
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSettings:
    """Where it lies and how large it may be. On the disk it takes twice `most_bytes` at most,
    and one segment."""

    folder: Path
    key: bytes
    most_bytes: int = 16 << 20
    segment_bytes: int = 1 << 20


@dataclass(slots=True)
class JournalCounts:
    """What happened since the start."""

    appended: int = 0
    delivered: int = 0
    refused: int = 0
    details_given_up: int = 0
    essentials_given_up: int = 0
    disk_failures: int = 0


class Journal:
    """What is owed to the stores. Used from one thread."""

    def __init__(self, settings: JournalSettings) -> None:
        """Raises JournalError when the folder cannot be used."""
        self._settings = settings
        self._cipher = AESGCM(settings.key)
        self._segments = Segments(settings.folder, settings.segment_bytes)
        self._owed: dict[Weight, OrderedDict[int, Entry]] = {
            weight: OrderedDict() for weight in Weight
        }
        self._on_disk: set[int] = set()
        self._kept_at: dict[int, float] = {}
        self.bytes_owed = 0
        self.counts = JournalCounts()
        self.on_append: Callable[[], None] = lambda: None
        self._sequence = self._segments.last_delivered
        for entry in self._segments.read():
            self._keep(entry)
            self._on_disk.add(entry.sequence)
            self._sequence = max(self._sequence, entry.sequence)

    def __len__(self) -> int:
        return sum(map(len, self._owed.values()))

    @property
    def oldest_s(self) -> float:
        """How long the oldest record is owed, in seconds; of what was there at the start, since
        the start."""
        oldest = self._oldest()
        return 0.0 if oldest is None else time.monotonic() - self._kept_at[oldest.sequence]

    def append(self, weight: Weight, kind: int, call: UUID, identity: UUID, data: bytes) -> None:
        """Take a record in: it is sealed, in memory and in a file when this returns.

        Never raises: a disk that fails costs the record's safety from a crash, and is counted; a
        record that is too large is given up.
        """
        sealed = self._seal(data, identity)
        if len(sealed) > MAX_BODY - _OVERHEAD:
            self._count_given_up(weight)
            return
        self._sequence += 1
        entry = Entry(self._sequence, weight, kind, call, identity, sealed)
        self._keep(entry)
        self.counts.appended += 1
        try:
            self._segments.append(entry)
            self._on_disk.add(entry.sequence)
        except OSError as error:
            self.counts.disk_failures += 1
            if self.counts.disk_failures == 1:
                _log.error("the journal's disk fails", extra={"reason": error.strerror or "full"})
        self._shrink()
        self.on_append()

    def head(self) -> Entry | None:
        """The oldest record that is owed, its payload opened."""
        while (entry := self._oldest()) is not None:
            try:
                return Entry(
                    entry.sequence, entry.weight, entry.kind, entry.call, entry.id,
                    self._open(entry),
                )  # fmt: skip
            except InvalidTag:
                _log.error("a record of the journal cannot be opened")
                self.refused(entry)
        return None

    def delivered(self, entry: Entry) -> None:
        """The store has it."""
        self.counts.delivered += 1
        self._settle(entry)

    def refused(self, entry: Entry) -> None:
        """The store will never take it."""
        self.counts.refused += 1
        self._settle(entry)

    def sync(self) -> None:
        """Wait until the disk has what was written; called in a thread."""
        self._segments.sync()

    def close(self) -> None:
        """Close the files; what is owed stays in them."""
        self._segments.close()

    def _oldest(self) -> Entry | None:
        heads = [next(iter(owed.values())) for owed in self._owed.values() if owed]
        return min(heads, key=lambda entry: entry.sequence, default=None)

    def _keep(self, entry: Entry) -> None:
        self._owed[entry.weight][entry.sequence] = entry
        self._kept_at[entry.sequence] = time.monotonic()
        self.bytes_owed += len(entry.payload) + _OVERHEAD

    def _drop(self, entry: Entry) -> None:
        if self._owed[entry.weight].pop(entry.sequence, None) is None:
            return
        del self._kept_at[entry.sequence]
        self.bytes_owed -= len(entry.payload) + _OVERHEAD
        if entry.sequence in self._on_disk:
            self._on_disk.discard(entry.sequence)
            self._segments.drop(entry.sequence)

    def _settle(self, entry: Entry) -> None:
        kept = self._owed[entry.weight].get(entry.sequence)
        if kept is not None:
            self._drop(kept)
        try:
            self._segments.mark(entry.sequence)
        except OSError:  # it is delivered again after a crash, and known by its id
            self.counts.disk_failures += 1

    def _shrink(self) -> None:
        """Give up the oldest detail first, then the oldest at all."""
        while self.bytes_owed > self._settings.most_bytes:
            details = self._owed[Weight.DETAIL] or self._owed[Weight.ESSENTIAL]
            entry = next(iter(details.values()))
            self._count_given_up(entry.weight)
            self._drop(entry)
        while self._segments.size > 2 * self._settings.most_bytes and self._gather():
            pass

    def _gather(self) -> bool:
        """Write what is owed of the oldest file again, so that the file can go."""
        moved = sorted(self._segments.oldest())
        for sequence in moved:
            entry = next(owed[sequence] for owed in self._owed.values() if sequence in owed)
            self._segments.drop(sequence)
            self._on_disk.discard(sequence)
            try:
                self._segments.append(entry)
            except OSError:
                self.counts.disk_failures += 1
                return False
            self._on_disk.add(sequence)
        return bool(moved)

    def _count_given_up(self, weight: Weight) -> None:
        if weight is Weight.DETAIL:
            self.counts.details_given_up += 1
        else:
            self.counts.essentials_given_up += 1

    def _seal(self, data: bytes, identity: UUID) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, data, identity.bytes)

    def _open(self, entry: Entry) -> bytes:
        nonce, sealed = entry.payload[:_NONCE], entry.payload[_NONCE:]
        return self._cipher.decrypt(nonce, sealed, entry.id.bytes)
