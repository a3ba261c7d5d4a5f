"""Keeps the worker processes alive: as many as were asked for, and one warm spare.

Each slot is one task: start, wait until ready, wait for the end, back off, start again. Which
worker takes a call is decided by `session.choose_worker`. A worker that hangs is condemned by who
noticed it; its calls then lose their connections and ask for another worker, as if it had died.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from callfleet_agent.app.errors import WorkerDiedError
from callfleet_agent.at_work import Pace, at_work
from callfleet_agent.session import Backoff, WorkerState, WorkerView, choose_worker
from callfleet_agent.time_limit import at_most

START: Final = Pace(look_s=60.0, most_s=600.0)
_log = logging.getLogger(__name__)


class WorkerProcess(Protocol):
    """A started worker."""

    @property
    def pid(self) -> int:
        """Its process id."""

    @property
    def socket(self) -> Path:
        """Where it listens for calls."""

    @property
    def step(self) -> str:
        """What it does before it is ready, as a constant word."""

    def work(self) -> int | None:
        """A number that grows while it does something; None: that cannot be seen."""

    async def ready(self) -> None:
        """Return when it takes calls. Raises WorkerDiedError when it never will."""

    async def wait(self) -> int:
        """Its exit status, when it has ended."""

    def kill(self) -> None:
        """End it at once; fine if it is gone."""

    async def stop(self) -> None:
        """Ask it to end, and see that it does."""


StartWorker = Callable[[int], Awaitable[WorkerProcess]]


@dataclass(slots=True, eq=False)
class Worker:
    """A worker that may hold calls."""

    number: int
    process: WorkerProcess
    state: WorkerState = WorkerState.STARTING
    calls: int = 0

    def view(self) -> WorkerView:
        """The worker as the choice sees it."""
        return WorkerView(self.number, self.state, self.calls)


class Supervisor:
    """Owner of all worker processes of a connector."""

    def __init__(
        self,
        start: StartWorker,
        wanted: int,
        *,
        on_lost: Callable[[], None] = lambda: None,
        on_change: Callable[[dict[WorkerState, int]], None] = lambda _: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._start = start
        self._wanted = wanted
        self._on_lost = on_lost
        self._on_change = on_change
        self._sleep = sleep
        self._workers: dict[int, Worker] = {}
        self._numbers = 0
        self._changed = asyncio.Condition()
        self._closing = False
        self._ready_at: dict[int, float] = {}  # by slot
        self.last_error: str | None = None

    @property
    def ready_workers(self) -> int:
        """How many workers can take a call."""
        return sum(worker.state is WorkerState.READY for worker in self._workers.values())

    @property
    def pids(self) -> dict[int, int]:
        """Process ids by worker number, of those that are up and ready."""
        return {
            worker.number: worker.process.pid
            for worker in self._workers.values()
            if worker.state is WorkerState.READY
        }

    async def run(self) -> None:
        """Keep the workers alive until cancelled, and then end them."""
        try:
            async with asyncio.TaskGroup() as slots:
                for slot in range(self._wanted + 1):
                    slots.create_task(self._slot(slot))
        finally:
            self._closing = True
            await asyncio.gather(
                *(worker.process.stop() for worker in self._workers.values()),
                return_exceptions=True,
            )

    async def until_ready(self, workers: int) -> None:
        """Return when so many workers can take calls."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.ready_workers >= workers)

    def take(self, avoid: frozenset[int] = frozenset()) -> Worker | None:
        """A worker for one more call, counted in; None while nobody is ready."""
        views = [worker.view() for worker in self._workers.values()]
        number = choose_worker(views, self._wanted, avoid)
        if number is None:
            return None
        worker = self._workers[number]
        worker.calls += 1
        return worker

    async def taken(self, limit_s: float, avoid: frozenset[int] = frozenset()) -> Worker | None:
        """As `take`, but waits up to `limit_s` for somebody to become ready."""
        if limit_s <= 0:
            return None
        try:
            async with at_most(limit_s), self._changed:
                await self._changed.wait_for(lambda: self.ready_workers > 0)
                return self.take(avoid)
        except TimeoutError:
            return None

    def give_back(self, worker: Worker) -> None:
        """A call of this worker is over."""
        worker.calls -= 1

    def condemn(self, worker: Worker) -> None:
        """This worker does not answer: end it, its slot starts another."""
        if worker.state is not WorkerState.DEAD:
            _log.warning("a worker does not answer and is ended", extra={"worker": worker.number})
            worker.state = WorkerState.DEAD
            worker.process.kill()

    async def _slot(self, slot: int) -> None:
        backoff = Backoff()
        loop = asyncio.get_running_loop()
        while True:
            self._ready_at.pop(slot, None)
            try:
                await self._live(slot)
            except (WorkerDiedError, OSError) as error:
                self.last_error = str(error)
                _log.warning("a worker did not become ready", extra={"reason": str(error)})
            except Exception:
                # Out of here it would cancel the connector, and with it every call.
                self.last_error = "a worker could not be started or watched"
                _log.exception("a worker could not be started or watched")
            now = loop.time()
            backoff = backoff.after_death(lived_s=now - self._ready_at.get(slot, now))
            await self._sleep(backoff.delay_s)

    async def _live(self, slot: int) -> None:
        """One worker from its start to its end."""
        self._numbers += 1
        number = self._numbers
        process = await self._start(number)
        worker = self._workers[number] = Worker(number, process)
        try:
            await self._note()
            await self._started(worker)
            self._ready_at[slot] = asyncio.get_running_loop().time()
            if worker.state is WorkerState.STARTING:
                worker.state = WorkerState.READY
            self.last_error = None
            _log.info("a worker is ready", extra={"worker": number, "pid": process.pid})
            await self._note()
            status = await process.wait()
            self._on_lost()
            _log.error(
                "a worker died",
                extra={"worker": number, "pid": process.pid, "status": status},
            )
        finally:
            if not self._closing:
                worker.state = WorkerState.DEAD
                process.kill()
                await asyncio.shield(process.stop())
                del self._workers[number]
                await self._note()

    async def _started(self, worker: Worker) -> None:
        """Raises WorkerDiedError when it will never be ready."""
        loop, process = asyncio.get_running_loop(), worker.process
        began = loop.time()

        def slow(seconds: float) -> None:
            about = {"worker": worker.number, "seconds": round(seconds), "step": process.step}
            _log.warning("a worker is slow to start, and at work", extra=about)

        try:
            await at_work(process.ready(), process.work, START, slow)
        except TimeoutError:
            after_s, step = loop.time() - began, process.step
            raise WorkerDiedError(f"not ready after {after_s:.0f} s: {step}") from None

    async def _note(self) -> None:
        async with self._changed:
            self._changed.notify_all()
        self._on_change(Counter(worker.state for worker in self._workers.values()))
