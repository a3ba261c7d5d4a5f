"""Keeps kopf's thread alive: starts it again when it exits, and stops it in time."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.kube import Ref

_log = logging.getLogger(__name__)

_FIRST_DELAY_S = 1.0
_LAST_DELAY_S = 60.0
_HEALTHY_S = 120.0
_STOP_S = 5.0

# Runs kopf until the event is set or it exits by itself; the hint may be called in any thread.
Run = Callable[[Callable[[Ref], None], threading.Event], None]


@dataclass
class KopfSource:
    """`hint` is called in the loop that `run` runs in."""

    start: Run
    hint: Callable[[Ref], None]
    clock: Clock
    random: Callable[[], float]
    restarts: int = 0
    running: bool = field(default=False)

    async def run(self) -> None:
        """Until cancelled. What kopf raises is logged, and never leaves."""
        failures = 0
        while True:
            began = self.clock.monotonic()
            error = await self._once()
            failures = 0 if self.clock.monotonic() - began > _HEALTHY_S else failures + 1
            ceiling = min(_LAST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(max(failures - 1, 0), 10))
            delay = ceiling * (0.5 + 0.5 * self.random())
            self.restarts += 1
            _log.warning(
                "kopf exited; it is started again",
                extra={"error": error, "delay_s": round(delay, 3)},
            )
            await self.clock.sleep(delay)

    async def _once(self) -> str:
        """One life of kopf's thread: the name of the error that ended it."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[str] = loop.create_future()
        stop = threading.Event()

        def tell(ref: Ref) -> None:
            loop.call_soon_threadsafe(self.hint, ref)

        def live() -> None:
            error = ""
            try:
                self.start(tell, stop)
            except BaseException as fault:
                error = type(fault).__name__
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, ended, error)

        thread = threading.Thread(target=live, name="kopf", daemon=True)
        thread.start()
        self.running = True
        try:
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([ended], timeout=_STOP_S)
            raise
        finally:
            self.running = False


def _resolve(future: "asyncio.Future[str]", value: str) -> None:
    if not future.done():
        future.set_result(value)
