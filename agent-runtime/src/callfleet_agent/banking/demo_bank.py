"""A bank for demonstrations and tests: the API of `wire`, customers in memory, real HTTP.

It counts tries as a bank would (locked after `MAX_FAILURES`), and answers an idempotency key with
what it answered before. One-time codes go to its outbox, `GET /v1/outbox`, where a bank would send
a message.
"""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Middleware

from callfleet_agent.banking.demo_codes import GOOD_FOR_S, Judged, OneTimeCodes
from callfleet_agent.banking.port import AuthenticationStatus, CardStatus

MAX_FAILURES = 5
_MAX_KEYS = 10_000
_MOST_MESSAGES = 100
_log = logging.getLogger(__name__)
_METHODS = {
    "card-last-four": "last_four", "pin": "pin", "date-of-birth": "birth", "one-time-code": "",
}  # fmt: skip
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class DemoCard:
    """A card; `status` None: none is on its way."""

    status: CardStatus | None
    date: str | None = None
    expected: str | None = None
    carrier: str | None = None
    tracking_number: str | None = None
    id: str = "card-2"


@dataclass(frozen=True, slots=True)
class DemoCustomer:
    """A customer of the demonstration: invented, so it may be in a repository. `card` is the newest
    one."""

    id: str
    number: str
    last_four: str
    pin: str
    phone: str
    card: DemoCard
    birth: str = ""
    earlier_cards: tuple[DemoCard, ...] = ()

    def card_of(self, card_id: str | None) -> DemoCard:
        """The card of this name, the newest without one; none is on its way for another name."""
        if not card_id:
            return self.card
        cards = (self.card, *self.earlier_cards)
        return next((card for card in cards if card.id == card_id), DemoCard(None))


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
        DemoCustomer(
            "c-1001", "200417", "4271", "4271", "+15550123", _CARDS[CardStatus(status)],
            birth="1984-03-12",
            earlier_cards=(DemoCard(CardStatus.DELIVERED, "2024-05-02", id="card-1"),),
        ),
        DemoCustomer(
            "c-1002", "318265", "9083", "9083", "+15550124", DemoCard(None), birth="1990-11-05"
        ),
    )  # fmt: skip


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
    blocked: int = 0
    codes: OneTimeCodes = field(default_factory=OneTimeCodes)
    outbox: deque[tuple[str, str]] = field(
        default_factory=lambda: deque(maxlen=_MOST_MESSAGES), repr=False
    )
    _answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def application(self) -> web.Application:
        """The HTTP API; GET /healthz answers without a token."""
        disturbed = [self.middleware] if self.middleware else []
        application = web.Application(middlewares=[*disturbed, self._authorized])
        application.router.add_get("/healthz", _healthy)
        application.router.add_get("/v1/outbox", self._messages)
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
        if customer is None and number is None:
            return 200, {"status": AuthenticationStatus.UNKNOWN_CALLER}
        if customer is not None and self.failures.get(customer.id, 0) >= MAX_FAILURES:
            return 200, {"status": AuthenticationStatus.LOCKED}
        method, credential = body.get("method"), body.get("credential")
        is_wish = method == "one-time-code" and credential is None
        if method not in _METHODS or not (is_wish or isinstance(credential, str)):
            return 400, {"error": "no such method, or no such credential"}
        # An unknown number is answered like a known one: numbers cannot be tried out.
        whose = customer.id if customer is not None else f"number {number}"
        if is_wish:
            return 200, self._send(customer, whose)
        return 200, self._verdict(customer, self._judged(customer, whose, method, str(credential)))

    def _verdict(self, customer: DemoCustomer | None, judged: Judged) -> dict[str, Any]:
        if judged is Judged.EXPIRED:
            return {"status": AuthenticationStatus.EXPIRED}
        if customer is None:
            return {"status": AuthenticationStatus.REFUSED}
        if judged is Judged.WRONG:
            self.failures[customer.id] = self.failures.get(customer.id, 0) + 1
            return {"status": AuthenticationStatus.REFUSED}
        self.failures.pop(customer.id, None)
        return {"status": AuthenticationStatus.VERIFIED, "customerId": customer.id}

    def _send(self, customer: DemoCustomer | None, whose: str) -> dict[str, Any]:
        code = self.codes.make(whose)
        if code is None:
            return {"status": AuthenticationStatus.NOT_SENT}
        if customer is not None:
            self.outbox.append((customer.phone, code))
        return {"status": AuthenticationStatus.PENDING, "expiresInSeconds": GOOD_FOR_S}

    def _judged(
        self, customer: DemoCustomer | None, whose: str, method: str, credential: str
    ) -> Judged:
        if method == "one-time-code":
            return self.codes.judge(whose, credential)
        wanted = "" if customer is None else getattr(customer, _METHODS[method])
        right = secrets.compare_digest(credential.encode(), wanted.encode())
        return Judged.RIGHT if right and wanted else Judged.WRONG

    async def _messages(self, _: web.Request) -> web.Response:
        return _json(200, {"messages": [{"to": to, "code": code} for to, code in self.outbox]})

    async def _card_delivery(self, request: web.Request) -> web.Response:
        self.queries += 1
        customer = self._find(lambda one: one.id == request.match_info["id"])
        if customer is None:
            return _json(400, {"error": "no such customer"})
        card = customer.card_of(request.query.get("cardId"))
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
        kind, status = body.get("type"), customer.card.status
        receipt = {"transactionId": secrets.token_hex(8), "type": kind}
        if kind == "CARD_INQUIRY":
            return 200, {**receipt, "result": {"status": status or "none"}}
        if kind != "CARD_BLOCK":
            return 404, {"error": "no such transaction"}
        if status is None or status is CardStatus.BLOCKED:
            reason = "no_card" if status is None else "blocked_already"
            return 200, {**receipt, "status": "declined", "reason": reason}
        self.blocked += 1
        self.set_status(CardStatus.BLOCKED, customer=customer.id)
        return 200, {**receipt, "status": "completed", "result": {"status": CardStatus.BLOCKED}}

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
