"""A bank that really listens: the demonstration bank with faults that a test can set."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import TracebackType

from aiohttp import web

from callfleet_agent.banking import DEMO_CUSTOMERS, DemoBank, DemoCustomer


@dataclass(frozen=True, slots=True)
class Fault:
    """What a request meets instead of the bank; `times` None: from now on."""

    kind: str
    value: float = 0
    times: int | None = None

    @classmethod
    def delay(cls, seconds: float, *, times: int | None = None) -> "Fault":
        """The bank answers, but late."""
        return cls("delay", seconds, times)

    @classmethod
    def status(cls, status: int, *, times: int | None = None) -> "Fault":
        """An HTTP error."""
        return cls("status", status, times)

    @classmethod
    def refuse(cls, *, times: int | None = None) -> "Fault":
        """The connection is cut without an answer."""
        return cls("refuse", 0, times)

    @classmethod
    def lost_answer(cls, *, times: int | None = None) -> "Fault":
        """The bank acts, and its answer is lost."""
        return cls("lost_answer", 0, times)

    @classmethod
    def malformed(cls, *, times: int | None = None) -> "Fault":
        """The answer is no JSON."""
        return cls("malformed", 0, times)


class FakeBank:
    """`async with FakeBank() as bank:` then `bank.url`; set `bank.fault`, look at `bank.state`."""

    def __init__(
        self, customers: Iterable[DemoCustomer] = DEMO_CUSTOMERS, *, token: str | None = None
    ) -> None:
        self.state = DemoBank(list(customers), token, self._disturbed)
        self.fault: Fault | None = None
        self.requests: list[str] = []
        self.url = ""
        self._runner: web.AppRunner | None = None
        self._disturbances = itertools.count(1)

    async def __aenter__(self) -> "FakeBank":
        self._runner = web.AppRunner(
            self.state.application(), access_log=None, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        assert self._runner is not None
        await self._runner.cleanup()

    def set_status(self, status: str) -> None:
        """The first customer's card has this status from now on."""
        self.state.set_status(status)

    @web.middleware
    async def _disturbed(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        fault = self.fault
        if fault is None:
            return await handler(request)
        if fault.times is not None:
            left = fault.times - 1
            self.fault = Fault(fault.kind, fault.value, left) if left else None
        return await self._with(fault, request, handler)

    async def _with(
        self,
        fault: Fault,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        if fault.kind == "delay":
            await asyncio.sleep(fault.value)
            return await handler(request)
        if fault.kind == "status":
            return web.Response(status=int(fault.value), text="{}")
        if fault.kind == "malformed":
            return web.Response(text='{"status": ', content_type="application/json")
        if fault.kind == "lost_answer":
            await handler(request)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()
