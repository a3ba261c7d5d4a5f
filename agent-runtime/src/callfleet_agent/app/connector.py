"""The connector: one process that holds every call of a pod.

It joins the SIP user agent, the media ticker, the workers' supervisor, the operator's control
stream and the health endpoint, and owns admission and the pod's way out.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar
from uuid import UUID

from callfleet.v1 import fleet_pb2
from callfleet_agent.app.address import advertised_address, outgoing_address
from callfleet_agent.app.call_book import CallBook, NoBook, call_book
from callfleet_agent.app.call_desk import CallDesk
from callfleet_agent.app.call_parts import CallParts, CallsShare
from callfleet_agent.app.metrics import AgentMetrics
from callfleet_agent.app.pod_doors import open_control, open_health, open_sip, user_agent
from callfleet_agent.app.pod_report import Changes, pod_report
from callfleet_agent.app.settings import AgentSettings
from callfleet_agent.app.supervisor import StartWorker, Supervisor
from callfleet_agent.app.worker_process import worker_arguments, worker_starter
from callfleet_agent.session import Admission, Drain, PodIntent, WorkerState, admit
from callfleet_agent.session.admission import Refused
from callfleet_agent.sip import events
from callfleet_agent.sip.user_agent import UserAgent
from callfleet_agent.time_limit import at_most
from callfleet_agent.transport.rtp_port import PortRange
from callfleet_agent.transport.sip_endpoint import SipEndpoint
from callfleet_agent.transport.ticker import Ticker

T = TypeVar("T")

POLL_S: Final = 0.2
FAST_LINGER_S: Final = 1.0
LINGER_S: Final = 32.0
DELIVER_S: Final = 10.0
_log = logging.getLogger(__name__)


class Connector:
    """One connector. `run` returns when the process may exit."""

    def __init__(
        self,
        settings: AgentSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        start_worker: StartWorker | None = None,
    ) -> None:
        self.settings = settings
        self.metrics = AgentMetrics(settings.capacity)
        self.address = advertised_address(
            advertise=settings.listen.advertise,
            pod_ip=settings.pod.ip,
            bind=settings.listen.bind,
            outgoing=outgoing_address,
        )
        self._clock = clock
        self._rng = rng or random.SystemRandom()
        self._start_worker = start_worker
        self._drain = Drain()
        self._desk: CallDesk | None = None
        self._changes = Changes()
        self._stop = asyncio.Event()
        self._fast = False
        self._started = False
        self._sip: SipEndpoint | None = None
        self._user_agent: UserAgent | None = None
        self.supervisor: Supervisor | None = None
        self.book: CallBook | NoBook = NoBook()
        self.http_port: int | None = None
        self.control_port: int | None = None

    # the process

    async def run(self, started: Callable[["Connector"], None] = lambda _: None) -> None:
        """Open everything, take calls until told to stop, and leave without losing one.

        Raises:
            AddressInUseError: a port is another's.
            ServicesError: health or control cannot be served.
        """
        async with AsyncExitStack() as stack:
            tasks = await stack.enter_async_context(_task_group())
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="callfleet-")))
            await self._open(stack, tasks, folder)
            supervising = tasks.create_task(self._supervisor().run())
            stack.push_async_callback(_cancelled, supervising)
            ready = tasks.create_task(self._supervisor().until_ready(self.settings.workers))
            stop = tasks.create_task(self._stop.wait())
            await asyncio.wait({ready, stop}, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                self._started = True
                self.tell()
                _log.info("the agent takes calls", extra={"capacity": self.settings.capacity})
                started(self)
            ready.cancel()
            await stop
            await self._leave()

    async def _open(self, stack: AsyncExitStack, tasks: asyncio.TaskGroup, folder: Path) -> None:
        listen = self.settings.listen
        start_worker = self._start_worker or worker_starter(folder, worker_arguments(self.settings))
        self.supervisor = Supervisor(
            start_worker,
            self.settings.workers,
            on_lost=self._worker_lost,
            on_change=self._workers_changed,
        )
        ticker = Ticker(clock=self._clock)
        ticker.start()
        stack.push_async_callback(ticker.stop)
        self._user_agent = user_agent(self.settings, self.address, self._rng)
        self.metrics.malformed.set_function(lambda: self._agent().malformed)
        book = call_book(self.settings, self.metrics, self._holds)
        self.book = await stack.enter_async_context(book)
        self._sip = await open_sip(stack, self.settings, self._user_agent, self._on_event)
        parts = CallParts(
            sip=self._endpoint(),
            ports=PortRange(listen.rtp_first, listen.rtp_last),
            ticker=ticker,
            supervisor=self.supervisor,
            metrics=self.metrics,
            clock=self._clock,
            rng=self._rng,
            bind=listen.bind,
            address=self.address,
            codecs=tuple(str(codec) for codec in self.settings.agent.spec.sip.codecs),
            media_timeout_s=self.settings.media_timeout_s,
            about=CallsShare.of(self.settings),
            book=self.book,
        )
        self._desk = desk = CallDesk(parts, tasks, self._refused, self._calls_changed)
        self.metrics.stages.waiting.set_function(lambda: desk.waiting)
        self.http_port = await open_health(stack, listen, self.metrics, self.not_ready)
        self.control_port = await open_control(stack, listen, self)

    async def _leave(self) -> None:
        """Wait for calls and transactions, as far as the way of stopping allows."""
        while not self._fast and not self._drain.may_exit(
            now=self._clock(), calls=self.calls, idle=self._agent().idle
        ):
            self._show_phase()
            with contextlib.suppress(TimeoutError):
                async with at_most(POLL_S):
                    await self._changes.since(self._changes.version)
        self._drain = self._drain.on_exit()
        self._show_phase()
        if self._desk is not None:
            self._desk.hang_up("stopped")  # nobody, unless told to stop at once
        linger_s = FAST_LINGER_S if self._fast else LINGER_S
        await asyncio.gather(
            self._endpoint().close(linger_s=linger_s),
            self.book.delivered(FAST_LINGER_S if self._fast else DELIVER_S),
        )
        if self._desk is not None:
            self._desk.give_up()
            await self._desk.empty(FAST_LINGER_S)
        await self.book.delivered(FAST_LINGER_S)
        _log.info("the agent leaves", extra={"calls": self.calls})

    def terminate(self) -> None:
        """SIGTERM: leave once nothing needs this pod."""
        self._drain = self._drain.on_terminate(at=self._clock())
        self._stop.set()
        self.tell()

    def stop_now(self) -> None:
        """Ctrl-C: say good-bye to every call and leave."""
        self._fast = True
        self.terminate()

    # calls

    def _on_event(self, event: events.Event) -> None:
        if self._desk is None:
            raise RuntimeError("a call came before the connector was open")
        self._desk.on_event(event)

    def _refused(self) -> Refused | None:
        return admit(
            Admission(
                started=self._started,
                draining=not self._drain.takes_calls(now=self._clock()),
                calls=self.calls,
                capacity=self.settings.capacity,
                ready_workers=self._supervisor().ready_workers,
            )
        )

    def _calls_changed(self, ended: bool) -> None:
        if ended:
            self._drain = self._drain.on_call_ended(at=self._clock())
        self.tell()

    def _holds(self, session_id: UUID) -> bool:
        return self._desk is not None and self._desk.holds(session_id)

    def _workers_changed(self, states: dict[WorkerState, int]) -> None:
        self.metrics.workers_are(states)
        self.metrics.breakers.forget(frozenset(self._supervisor().pids.values()))

    def _worker_lost(self) -> None:
        self.metrics.worker_lost()
        self.tell()

    # what others see

    @property
    def calls(self) -> int:
        """Calls in progress."""
        return 0 if self._desk is None else len(self._desk)

    @property
    def sip_port(self) -> int:
        """The bound SIP port."""
        return self._endpoint().port

    def not_ready(self) -> str | None:
        """Why the pod is not ready; it stays ready while it is full or drains."""
        if not self._started:
            return "the workers are not warm yet"
        if self._supervisor().ready_workers == 0:
            return "no worker is ready"
        return None

    @property
    def uid(self) -> str:
        """metadata.uid of the pod."""
        return self.settings.pod.uid

    def want(self, epoch: int, intent: PodIntent, *, row_confirmed_inactive: bool) -> None:
        """Take in what the operator wants. Raises StaleEpochError."""
        before = self._drain
        self._drain = before.on_intent(epoch, intent, row_confirmed_inactive=row_confirmed_inactive)
        if self._drain != before:
            _log.info(
                "the operator's word on this pod changed",
                extra={"epoch": epoch, "intent": intent.value, "row_gone": row_confirmed_inactive},
            )
            self._show_phase()
            self.tell()

    def report(self) -> fleet_pb2.PodReport:
        """What the pod is now."""
        return pod_report(
            self.settings,
            self._drain,
            self.metrics.slo,
            calls=self.calls,
            now=self._clock(),
        )

    @property
    def version(self) -> int:
        """Grows with every change of what `report` says."""
        return self._changes.version

    async def changed_since(self, version: int) -> None:
        """Return once `version` is no longer this one."""
        await self._changes.since(version)

    def tell(self) -> None:
        """Something that `report` says has changed."""
        self.metrics.active.set(self.calls)
        self._changes.tell()

    # inside

    def _show_phase(self) -> None:
        """Let SIP's OPTIONS and the metrics tell what the pod does."""
        draining = not self._drain.takes_calls(now=self._clock())
        agent = self._agent()
        status = 503 if draining else 200
        if agent.options_status != status:
            agent.options_status = status
            self.tell()
        self.metrics.draining.set(draining)

    def _agent(self) -> UserAgent:
        return _there(self._user_agent)

    def _endpoint(self) -> SipEndpoint:
        return _there(self._sip)

    def _supervisor(self) -> Supervisor:
        return _there(self.supervisor)


def _there(value: T | None) -> T:
    if value is None:
        raise RuntimeError("the connector is not open")
    return value


@asynccontextmanager
async def _task_group() -> AsyncIterator[asyncio.TaskGroup]:
    async with asyncio.TaskGroup() as group:
        yield group


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
