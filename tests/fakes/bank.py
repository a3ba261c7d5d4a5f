"""A bank that really listens: the demonstration bank with faults that a test can set."""

import asyncio
import base64
import itertools
import secrets
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import unquote_plus

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


@dataclass(slots=True)
class FakeTokens:
    """An authorization server (RFC 6749, 4.4): one client, and tokens that can be withdrawn. With
    no secret the client is known by its certificate (RFC 8705). `answer` in place of a token."""

    client: str = "card-line"
    secret: str | None = "s3cret/+:"
    life: object = 300
    scope: str = ""
    good: set[str] = field(default_factory=set)
    given: int = 0
    delay_s: float = 0.0
    answer: tuple[int, object] | None = None

    async def token(self, request: web.Request) -> web.Response:
        """POST /oauth2/token."""
        await asyncio.sleep(self.delay_s)
        form = await request.post()
        if self.answer is not None:
            return web.json_response(self.answer[1], status=self.answer[0])
        if form.get("grant_type") != "client_credentials" or form.get("scope", "") != self.scope:
            return web.json_response({"error": "invalid_request"}, status=400)
        if self._client_of(request, form) != (self.client, self.secret):
            return web.json_response({"error": "invalid_client"}, status=401)
        text = secrets.token_urlsafe(24)
        self.good.add(text)
        self.given += 1
        told = {"access_token": text, "token_type": "Bearer", "expires_in": self.life}
        return web.json_response({name: said for name, said in told.items() if said is not None})

    def _client_of(self, request: web.Request, form: Any) -> tuple[str, str | None]:
        if self.secret is None:
            assert request.transport is not None
            shown = request.transport.get_extra_info("peercert")
            return (str(form.get("client_id")) if shown else "", None)
        kind, _, text = request.headers.get("Authorization", "").partition(" ")
        shown_text = base64.b64decode(text).decode() if kind == "Basic" else ""
        name, _, secret = shown_text.partition(":")
        return unquote_plus(name), unquote_plus(secret)

    def knows(self, request: web.Request) -> bool:
        """Whether the request carries a token that is good."""
        return request.headers.get("Authorization", "").removeprefix("Bearer ") in self.good


Look = Callable[[str, str, Any, bytes, int, bytes], None]
"""Method, path, headers and body of a request; status and body of its answer."""


class FakeBank:
    """`async with FakeBank() as bank:` then `bank.url`; set `bank.fault`, look at `bank.state`.

    With `tokens` it wants one of theirs, and gives them at `/oauth2/token`; with `tls` it is https;
    `looker` is shown what goes in and out. docs/reference/bank-openapi.yaml describes it.
    """

    def __init__(
        self,
        customers: Iterable[DemoCustomer] = DEMO_CUSTOMERS,
        *,
        token: str | None = None,
        tokens: FakeTokens | None = None,
        tls: ssl.SSLContext | None = None,
        looker: Look | None = None,
    ) -> None:
        self.state = DemoBank(list(customers), token, self._disturbed)
        self.fault: Fault | None = None
        self.requests: list[str] = []
        self.url = ""
        self._tokens = tokens
        self._tls = tls
        self._looker = looker
        self._runner: web.AppRunner | None = None
        self._disturbances = itertools.count(1)

    async def __aenter__(self) -> "FakeBank":
        application = self.state.application()
        if self._tokens is not None:
            application.router.add_post("/oauth2/token", self._tokens.token)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}" if self._tls is None else f"https://localhost:{port}"
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
        body = await request.read()
        answer = await self._answered(request, handler)
        if self._looker is not None and isinstance(answer, web.Response):
            told = answer.body if isinstance(answer.body, bytes) else b""
            self._looker(
                request.method, request.path_qs, request.headers, body, answer.status, told
            )
        return answer

    async def _answered(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        if self._tokens is not None:
            if request.path == "/oauth2/token":
                return await handler(request)
            if not self._tokens.knows(request):
                return web.json_response({"error": "unauthorized"}, status=401)
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
