"""Keeps a cache equal to what the API server has: LIST, then WATCH, and LIST again from time to
time.

- An error is never an empty list: a list counts only when its last page came.
- The watch goes on from the last version seen (bookmarks move it while nothing happens). A
  connection that breaks is opened again from there; a version that is too old (410) leads to a new
  list.
- Every `resync_s` a list is taken although nothing seems wrong, and heals what a watch missed.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Protocol

from callfleet_operator.kube.cache import ObjectCache
from callfleet_operator.kube.client import Page, Selection, WatchEvent
from callfleet_operator.kube.projection import Projection
from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.errors import GoneError, KubeError

_log = logging.getLogger(__name__)

_FIRST_DELAY_S = 0.5
_LAST_DELAY_S = 30.0
_WATCH_S = 280.0
_FAILURES_BEFORE_LIST = 3
_PAGE = 500


class Source(Protocol):
    """Where lists and watches come from."""

    async def list_page(
        self, selection: Selection, *, limit: int = 500, continue_token: str = ""
    ) -> Page: ...

    def watch(
        self, selection: Selection, resource_version: str, *, timeout_s: float
    ) -> AsyncIterator[WatchEvent]: ...


@dataclass
class ReflectorCounters:
    lists: int = 0
    watches: int = 0
    events: int = 0
    errors: int = 0


@dataclass
class Reflector:
    """Runs until cancelled. `random` answers a number in [0, 1) for jitter."""

    source: Source
    selection: Selection
    cache: ObjectCache
    projection: Projection
    clock: Clock
    random: Callable[[], float]
    resync_s: float = 600.0
    counters: ReflectorCounters = field(default_factory=ReflectorCounters)
    last_error: KubeError | None = None

    async def run(self) -> None:
        failures = 0
        while True:
            try:
                version = await self._list()
                failures = 0
                await self._follow(version)
            except KubeError as error:
                failures += 1
                await self._back_off(failures, error)

    async def _list(self) -> str:
        items = []
        token = ""
        while True:
            page = await self.source.list_page(self.selection, limit=_PAGE, continue_token=token)
            items += [self.projection(item) for item in page.items]
            token = page.continue_token
            if not token:
                break
        self.counters.lists += 1
        self.cache.replace(items, self.selection.namespace)
        self.last_error = None
        return page.resource_version

    async def _follow(self, version: str) -> None:
        """Watches until a list is due, or until the version is too old (GoneError)."""
        list_at = self.clock.monotonic() + self.resync_s * (0.8 + 0.4 * self.random())
        failures = 0
        while self.clock.monotonic() < list_at and failures < _FAILURES_BEFORE_LIST:
            started = self.clock.monotonic()
            wait = min(_WATCH_S * (0.9 + 0.2 * self.random()), max(1.0, list_at - started))
            try:
                self.counters.watches += 1
                async for event in self.source.watch(self.selection, version, timeout_s=wait):
                    version = self._take(event, version)
                    failures = 0
                    self.last_error = None
                if self.clock.monotonic() - started < 1.0:
                    # A server that ends every watch at once must not be asked in a busy loop.
                    await self.clock.sleep(self._delay(1))
            except GoneError:
                raise
            except KubeError as error:
                failures += 1
                await self._back_off(failures, error)

    def _take(self, event: WatchEvent, version: str) -> str:
        metadata = event.object["metadata"]
        if event.type != "BOOKMARK":
            self.counters.events += 1
            if event.type == "DELETED":
                self.cache.remove(metadata.get("namespace", ""), metadata["name"])
            else:
                self.cache.put(self.projection(event.object))
        return str(metadata.get("resourceVersion") or version)

    async def _back_off(self, failures: int, error: KubeError) -> None:
        self.counters.errors += 1
        self.last_error = error
        delay = max(self._delay(failures), error.retry_after_s)
        expected = isinstance(error, GoneError)
        _log.log(
            logging.INFO if expected else logging.WARNING,
            "the cluster could not be followed; trying again",
            extra={
                "kind": self.selection.kind.kind,
                "status": error.status,
                "reason": error.reason,
                "delay_s": round(delay, 3),
            },
        )
        await self.clock.sleep(delay)

    def _delay(self, failures: int) -> float:
        ceiling = min(_LAST_DELAY_S, _FIRST_DELAY_S * 2.0 ** (failures - 1))
        return ceiling * (0.5 + 0.5 * self.random())


async def run_all(reflectors: list[Reflector]) -> None:
    """All reflectors together, until cancelled."""
    async with asyncio.TaskGroup() as group:
        for reflector in reflectors:
            group.create_task(reflector.run(), name=f"reflector-{reflector.selection.kind.kind}")
