"""The deliverer: the oldest record first, one at a time, until the store has it or refuses it."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from callfleet_agent.journal.entry import Entry
from callfleet_agent.journal.errors import DeliverLaterError, RefusedError
from callfleet_agent.journal.journal import Journal

MOST_FAILURES: Final = 5
_log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where records go. It must take one that comes again as if it came once."""

    async def deliver(self, entry: Entry) -> None:
        """Hand a record on; its payload is opened.

        Raises:
            DeliverLaterError: the store is away.
            RefusedError: the store will never take it.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """How long to wait after a failure, and how often the disk is waited for."""

    first_wait_s: float = 0.2
    longest_wait_s: float = 10.0
    sync_s: float = 0.5
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random


class Deliverer:
    """Delivers until it is cancelled; what is owed then is delivered by the next process."""

    def __init__(
        self, journal: Journal, sink: Sink, settings: DeliverySettings | None = None
    ) -> None:
        self._journal = journal
        self._sink = sink
        self._settings = settings or DeliverySettings()
        self._more = asyncio.Event()
        self._empty = asyncio.Event()
        journal.on_append = self._more.set

    async def run(self) -> None:
        """Deliver for ever."""
        syncing = asyncio.create_task(self._sync())
        try:
            while True:
                self._more.clear()
                entry = self._journal.head()
                if entry is None:
                    self._empty.set()
                    await self._more.wait()
                else:
                    self._empty.clear()
                    await self._deliver(entry)
        finally:
            syncing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await syncing

    async def drained(self) -> None:
        """Return once nothing is owed: a pod that stops waits for this, within its grace."""
        while len(self._journal):
            self._empty.clear()
            await self._empty.wait()

    async def _deliver(self, entry: Entry) -> None:
        wait_s, failures = self._settings.first_wait_s, 0
        while True:
            try:
                await self._sink.deliver(entry)
            except DeliverLaterError:
                pass
            except RefusedError as error:
                self._refuse(entry, error.code)
                return
            except Exception as error:
                # Our own fault: it must not stop what comes after it. The text may hold anything.
                failures += 1
                _log.error("a record cannot be handed on", extra={"error": type(error).__name__})
                if failures >= MOST_FAILURES:
                    self._refuse(entry, "FAILED")
                    return
            else:
                self._journal.delivered(entry)
                return
            await self._settings.sleep(wait_s * (0.5 + self._settings.random() / 2))
            wait_s = min(wait_s * 2, self._settings.longest_wait_s)
            head = self._journal.head()
            if head is None or head.sequence != entry.sequence:
                return  # it was given up meanwhile

    def _refuse(self, entry: Entry, code: str) -> None:
        _log.error("a record was refused", extra={"code": code, "kind": entry.kind})
        self._journal.refused(entry)

    async def _sync(self) -> None:
        while True:
            await asyncio.sleep(self._settings.sync_s)
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._journal.sync)
