"""Workers that take keys from a queue and give them to a reconciler."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from callfleet_operator.ports.errors import ConflictError, KubeError, NotLeaderError, PortError
from callfleet_operator.reconcile.correlation import correlation_id
from callfleet_operator.reconcile.queue import Backoff, KeyQueue, QueueClosed

_log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

# What is due "in no time" was computed from a clock that stood a tick short of it.
LEAST_PAUSE_S = 0.01


@dataclass
class WorkerCounters:
    rounds: int = 0
    failures: int = 0
    conflicts: int = 0


@dataclass
class Workers(Generic[K]):
    """`work` answers the seconds after which the key is to be looked at again, or None.

    An error of one key never ends a worker: the key comes back with a growing delay. NotLeaderError
    is no failure of the key: the term is over, and whoever started the workers ends them.
    """

    queue: KeyQueue[K]
    work: Callable[[K], Awaitable[float | None]]
    backoff: Backoff
    count: int = 8
    time_limit_s: float = 60.0
    deposed: Callable[[], None] = lambda: None
    counters: WorkerCounters = field(default_factory=WorkerCounters)

    async def run(self) -> None:
        """Until the queue is closed and every key that was taken is finished."""
        async with asyncio.TaskGroup() as group:
            for number in range(self.count):
                group.create_task(self._worker(), name=f"worker-{number}")

    async def _worker(self) -> None:
        while True:
            try:
                key = await self.queue.get()
            except QueueClosed:
                return
            try:
                await self._round(key)
            finally:
                self.queue.done(key)

    async def _round(self, key: K) -> None:
        self.counters.rounds += 1
        correlation_id.set(str(uuid.uuid4()))
        try:
            async with asyncio.timeout(self.time_limit_s):
                again = await self.work(key)
        except NotLeaderError:
            _log.info("a round ended because leadership did", extra={"key": str(key)})
            self.deposed()
        except ConflictError:
            # Somebody was faster and our cache is about to hear of it: no fault, but no busy loop.
            self.counters.conflicts += 1
            self.queue.add_after(key, self.backoff.fail(key))
        except (PortError, TimeoutError) as error:
            self._failed(key, error, trace=False)
        except Exception as error:
            self._failed(key, error, trace=True)
        else:
            self.backoff.forget(key)
            if again is not None:
                self.queue.add_after(key, max(again, LEAST_PAUSE_S))

    def _failed(self, key: K, error: Exception, *, trace: bool) -> None:
        self.counters.failures += 1
        delay = self.backoff.fail(key)
        status = error.status if isinstance(error, KubeError) else 0
        if isinstance(error, KubeError):
            delay = max(delay, error.retry_after_s)
        _log.log(
            logging.ERROR if trace else logging.WARNING,
            "a round failed; it is tried again",
            exc_info=error if trace else None,
            extra={
                "key": str(key),
                "error": type(error).__name__,
                "status": status,
                "delay_s": round(delay, 3),
            },
        )
        self.queue.add_after(key, delay)
