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

from callfleet.v1 import fleet_pb2
from callfleet_agent.app.address import advertised_address, outgoing_address
from callfleet_agent.app.agent_call import AgentCall, CallParts
from callfleet_agent.app.control_server import serve_control
from callfleet_agent.app.errors import AddressInUseError
from callfleet_agent.app.metrics import ANSWER_LIMITS_MS, AgentMetrics
from callfleet_agent.app.settings import AgentSettings
from callfleet_agent.app.supervisor import StartWorker, Supervisor
from callfleet_agent.app.worker_process import worker_starter
from callfleet_agent.services.http import health_app, serve_http
from callfleet_agent.session import (
    Admission,
    Drain,
    PodIntent,
    PodPhase,
    Refusal,
    WorkerState,
    admit,
)
from callfleet_agent.sip import events
from callfleet_agent.sip.call import Call as SipCall
from callfleet_agent.sip.settings import AdvertisedAddress, UserAgentSettings
from callfleet_agent.sip.user_agent import UserAgent
from callfleet_agent.transport.rtp_port import PortRange
from callfleet_agent.transport.sip_endpoint import SipEndpoint, SipEndpointSettings
from callfleet_agent.transport.ticker import Ticker

T = TypeVar("T")

USER_AGENT: Final = "callfleet/0.1"
POLL_S: Final = 0.2
FAST_LINGER_S: Final = 1.0
LINGER_S: Final = 32.0
_log = logging.getLogger(__name__)

_STATES: Final = {
    PodPhase.SERVING: fleet_pb2.POD_STATE_SERVING,
    PodPhase.LEAVING: fleet_pb2.POD_STATE_SERVING,
    PodPhase.DRAINING: fleet_pb2.POD_STATE_DRAINING,
}


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
        self._calls: dict[SipCall, AgentCall] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._numbers = 0
        self._version = 0
        self._waiters: set[asyncio.Future[None]] = set()
        self._stop = asyncio.Event()
        self._fast = False
        self._started = False
        self._sip: SipEndpoint | None = None
        self._user_agent: UserAgent | None = None
        self._parts: CallParts | None = None
        self.supervisor: Supervisor | None = None
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
            self._tasks = tasks
            await self._open(stack, folder)
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

    async def _open(self, stack: AsyncExitStack, folder: Path) -> None:
        listen = self.settings.listen
        start_worker = self._start_worker or worker_starter(
            folder, ["--settings", str(self.settings.worker_file)]
        )
        self.supervisor = Supervisor(
            start_worker,
            self.settings.workers,
            on_lost=self._worker_lost,
            on_change=self._workers_changed,
        )
        self.metrics.stages.waiting.set_function(
            lambda: sum(call.waits for call in self._calls.values())
        )
        ticker = Ticker(clock=self._clock)
        ticker.start()
        stack.push_async_callback(ticker.stop)
        await self._open_sip(stack)
        self._parts = CallParts(
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
        )
        if listen.http_port is not None:
            runner = await serve_http(
                health_app(self.metrics.registry, lambda: None, self.not_ready),
                listen.http_bind,
                listen.http_port,
            )
            stack.push_async_callback(runner.cleanup)
            self.http_port = int(runner.addresses[0][1])
        if listen.control_port is not None:
            server, self.control_port = await serve_control(
                self, listen.http_bind, listen.control_port, listen.tls_folder
            )
            stack.push_async_callback(server.stop, 1.0)

    async def _open_sip(self, stack: AsyncExitStack) -> None:
        listen, spec = self.settings.listen, self.settings.agent.spec
        transports = tuple(str(transport) for transport in spec.sip.transports)
        self._user_agent = UserAgent(
            UserAgentSettings(
                advertised=AdvertisedAddress(self.address, listen.sip_port),
                transports=transports,
                user="agent",
                trusted=listen.trusted,
                user_agent=USER_AGENT,
            ),
            random=self._rng,
        )
        self.metrics.malformed.set_function(lambda: self._agent().malformed)
        endpoint = SipEndpoint.open(
            self._user_agent,
            self._on_event,
            SipEndpointSettings(
                host=listen.bind,
                port=listen.sip_port,
                udp="UDP" in transports,
                tcp="TCP" in transports,
            ),
        )
        try:
            self._sip = await stack.enter_async_context(endpoint)
        except OSError as error:
            raise AddressInUseError(
                f"cannot listen for SIP on {listen.bind}:{listen.sip_port}: {error.strerror};"
                " another process has the port, or the address is not this machine's"
            ) from error

    async def _leave(self) -> None:
        """Wait for calls and transactions, as far as the way of stopping allows."""
        while not self._fast and not self._drain.may_exit(
            now=self._clock(), calls=len(self._calls), idle=self._agent().idle
        ):
            self._show_phase()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self.changed_since(self._version)
        self._drain = self._drain.on_exit()
        self._show_phase()
        for call in tuple(self._calls.values()):  # none, unless told to stop at once
            call.hang_up("stopped")
        await self._endpoint().close(linger_s=FAST_LINGER_S if self._fast else LINGER_S)
        for call in tuple(self._calls.values()):
            call.give_up()
        _log.info("the agent leaves", extra={"calls": len(self._calls)})

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
        if isinstance(event, events.IncomingCall):
            self._offered(event)
            return
        call = self._calls.get(event.call)
        if call is not None:
            call.on_event(event)

    def _offered(self, event: events.IncomingCall) -> None:
        self.metrics.call_offered()
        refused = admit(
            Admission(
                started=self._started,
                draining=not self._drain.takes_calls(now=self._clock()),
                calls=len(self._calls),
                capacity=self.settings.capacity,
                ready_workers=self._supervisor().ready_workers,
            )
        )
        if refused is not None:
            self.metrics.call_refused(refused.reason)
            _log.info("a call was refused", extra={"reason": refused.reason.value})
            with self._endpoint().commands() as now:
                event.call.reject(
                    refused.status,
                    _PHRASES.get(refused.reason),
                    retry_after=refused.retry_after_s,
                    now=now,
                )
            return
        if self._tasks is None or self._parts is None:
            raise RuntimeError("a call came before the connector was open")
        self._numbers += 1
        call = AgentCall(self._parts, event, self._numbers)
        self._calls[event.call] = call
        self.tell()
        self._tasks.create_task(self._run(event.call, call))

    async def _run(self, key: SipCall, call: AgentCall) -> None:
        try:
            await call.run()
        except Exception:
            # Out of here it would cancel the connector, and with it every other call.
            _log.exception("a call's end failed")
        finally:
            del self._calls[key]
            self._drain = self._drain.on_call_ended(at=self._clock())
            self.tell()

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
        return len(self._calls)

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
        slo, drain = self.metrics.slo, self._drain
        return fleet_pb2.PodReport(
            pod_uid=self.uid,
            accepted_epoch=drain.epoch,
            state=_STATES[drain.phase(now=self._clock())],
            calls=len(self._calls),
            capacity=self.settings.capacity,
            terminating=drain.terminated_at is not None,
            revision=self.settings.pod.revision,
            slo=fleet_pb2.Slo(
                calls_offered=slo.offered,
                calls_answered=slo.answered,
                calls_refused=slo.refused,
                calls_failed=slo.failed,
                provider_errors=slo.provider_errors,
                turns=slo.turns,
                response_counts=slo.answers,
                response_limits_ms=ANSWER_LIMITS_MS,
                workers_lost=slo.workers_lost,
                started_unix_ms=slo.started_unix_ms,
            ),
        )

    @property
    def version(self) -> int:
        """Grows with every change of what `report` says."""
        return self._version

    async def changed_since(self, version: int) -> None:
        """Return once `version` is no longer this one."""
        while self._version == version:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def tell(self) -> None:
        """Something that `report` says has changed."""
        self._version += 1
        self.metrics.active.set(len(self._calls))
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

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


_PHRASES: Final = {
    Refusal.NOT_READY: "Not Ready",
    Refusal.DRAINING: "Draining",
    Refusal.FULL: "All Lines Busy",
    Refusal.NO_WORKER: "No Worker",
}


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
