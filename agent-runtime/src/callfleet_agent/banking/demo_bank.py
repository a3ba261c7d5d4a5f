"""A bank for demonstrations and tests: the API of `wire`, customers in memory, real HTTP.

It counts tries as a bank would (locked after `MAX_FAILURES`), and answers an idempotency key with
what it answered before.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Middleware

from callfleet_agent.banking.port import AuthenticationStatus, CardStatus

MAX_FAILURES = 5
_MAX_KEYS = 10_000
_log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class DemoCard:
    """A card; `status` None: none is on its way."""

    status: CardStatus | None
    date: str | None = None
    expected: str | None = None
    carrier: str | None = None
    tracking_number: str | None = None


@dataclass(frozen=True, slots=True)
class DemoCustomer:
    """A customer of the demonstration: invented, so it may be in a repository."""

    id: str
    number: str
    last_four: str
    pin: str
    phone: str
    card: DemoCard


_CARDS = {
    CardStatus.ORDERED: DemoCard(CardStatus.ORDERED, "2026-11-18"),
    CardStatus.PRINTED: DemoCard(CardStatus.PRINTED, "2026-11-19"),
    CardStatus.SHIPPED: DemoCard(
        CardStatus.SHIPPED, "2026-11-20", "2026-11-25", "Royal Mail", "12345"
    ),
    CardStatus.OUT_FOR_DELIVERY: DemoCard(
        CardStatus.OUT_FOR_DELIVERY, "2026-11-23", "2026-11-23", "Royal Mail", "12345"
    ),
    CardStatus.DELIVERED: DemoCard(CardStatus.DELIVERED, "2026-11-21", None, "Royal Mail", "12345"),
    CardStatus.RETURNED: DemoCard(CardStatus.RETURNED, "2026-11-22", None, "Royal Mail", "12345"),
    CardStatus.LOST: DemoCard(CardStatus.LOST, "2026-11-22", None, "Royal Mail", "12345"),
    CardStatus.BLOCKED: DemoCard(CardStatus.BLOCKED, "2026-11-22"),
}


def demo_customers(status: str = "shipped") -> tuple[DemoCustomer, ...]:
    """Two customers; the first one's card has this status, the second has no card on its way.

    Raises ValueError for a status that there is not.
    """
    return (
        DemoCustomer("c-1001", "200417", "4271", "4271", "+15550123", _CARDS[CardStatus(status)]),
        DemoCustomer("c-1002", "318265", "9083", "9083", "+15550124", DemoCard(None)),
    )


DEMO_CUSTOMERS = demo_customers()


@dataclass(slots=True)
class DemoBank:
    """The bank's state and its web application. `token`: required as a bearer token when set."""

    customers: list[DemoCustomer]
    token: str | None = None
    middleware: Middleware | None = None
    failures: dict[str, int] = field(default_factory=dict)
    authentications: int = 0
    queries: int = 0
    _answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def application(self) -> web.Application:
        """The HTTP API; GET /healthz answers without a token."""
        disturbed = [self.middleware] if self.middleware else []
        application = web.Application(middlewares=[*disturbed, self._authorized])
        application.router.add_get("/healthz", _healthy)
        application.router.add_post("/v1/authentications", self._authenticate)
        application.router.add_get("/v1/customers/{id}/card-delivery", self._card_delivery)
        application.router.add_post("/v1/customers/{id}/transactions", self._transaction)
        return application

    def set_status(self, status: str, *, customer: str = "c-1001") -> None:
        """From now on the customer's card has this status."""
        card = _CARDS[CardStatus(status)]
        self.customers[:] = [
            replace(one, card=card) if one.id == customer else one for one in self.customers
        ]

    @web.middleware
    async def _authorized(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self.token is not None and request.path != "/healthz":
            given = request.headers.get("Authorization", "")
            if not secrets.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
                return _json(401, {"error": "unauthorized"})
        return await handler(request)

    async def _authenticate(self, request: web.Request) -> web.Response:
        return await self._once(request, self._judge)

    async def _transaction(self, request: web.Request) -> web.Response:
        return await self._once(request, self._transact)

    async def _once(
        self,
        request: web.Request,
        act: Callable[[web.Request, dict[str, Any]], tuple[int, dict[str, Any]]],
    ) -> web.Response:
        key = request.headers.get("Idempotency-Key")
        if not key or len(key) > 64:
            return _json(400, {"error": "an Idempotency-Key is needed"})
        known = self._answers.get(key)
        if known is None:
            try:
                body = orjson.loads(await request.read())
            except orjson.JSONDecodeError:
                body = None
            if not isinstance(body, dict):
                return _json(400, {"error": "a JSON object is needed"})
            status, answer = act(request, body)
            known = (status, orjson.dumps(answer))
            self._answers[key] = known
            if len(self._answers) > _MAX_KEYS:
                del self._answers[next(iter(self._answers))]
        return web.Response(status=known[0], body=known[1], content_type="application/json")

    def _judge(self, _: web.Request, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.authentications += 1
        number, caller = body.get("customerNumber"), body.get("callerId")
        customer = self._find(
            lambda one: one.number == number if number is not None else one.phone == caller
        )
        if customer is None:
            # An unknown number is refused like a wrong credential: numbers cannot be tried out.
            unknown = AuthenticationStatus.UNKNOWN_CALLER
            return 200, {"status": unknown if number is None else AuthenticationStatus.REFUSED}
        failures = self.failures.get(customer.id, 0)
        if failures >= MAX_FAILURES:
            return 200, {"status": AuthenticationStatus.LOCKED}
        wanted = customer.pin if body.get("method") == "pin" else customer.last_four
        if not secrets.compare_digest(str(body.get("credential", "")).encode(), wanted.encode()):
            self.failures[customer.id] = failures + 1
            return 200, {"status": AuthenticationStatus.REFUSED}
        self.failures.pop(customer.id, None)
        return 200, {"status": AuthenticationStatus.VERIFIED, "customerId": customer.id}

    async def _card_delivery(self, request: web.Request) -> web.Response:
        self.queries += 1
        customer = self._find(lambda one: one.id == request.match_info["id"])
        if customer is None:
            return _json(400, {"error": "no such customer"})
        card = customer.card
        return _json(
            200,
            {
                "status": card.status,
                "date": card.date,
                "expected": card.expected,
                "carrier": card.carrier,
                "trackingNumber": card.tracking_number,
            },
        )

    def _transact(self, request: web.Request, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        customer = self._find(lambda one: one.id == request.match_info["id"])
        if customer is None:
            return 400, {"error": "no such customer"}
        if body.get("type") != "CARD_INQUIRY":
            return 404, {"error": "no such transaction"}
        receipt = {"transactionId": secrets.token_hex(8), "type": "CARD_INQUIRY"}
        return 200, {**receipt, "result": {"status": customer.card.status or "none"}}

    def _find(self, matches: Callable[[DemoCustomer], bool]) -> DemoCustomer | None:
        return next(filter(matches, self.customers), None)


async def serve_demo_bank(
    host: str,
    port: int,
    customers: Iterable[DemoCustomer] = DEMO_CUSTOMERS,
    *,
    token: str | None = None,
    started: Callable[[Sequence[Any]], None] | None = None,
) -> None:
    """Serves until cancelled; `started` is called with the addresses once it listens."""
    bank = DemoBank(list(customers), token)
    runner = web.AppRunner(bank.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        _log.info("the demonstration bank listens", extra={"port": port})
        if started is not None:
            started(runner.addresses)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


async def _healthy(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


def _json(status: int, answer: dict[str, Any]) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(answer), content_type="application/json")
