"""The HTTP adapter of the banking port."""

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import aiohttp
import orjson

from callfleet_agent.banking import wire
from callfleet_agent.banking.errors import (
    BankingError,
    BankProtocolError,
    BankUnavailableError,
    RequestRefusedError,
)
from callfleet_agent.banking.port import (
    Authentication,
    AuthenticationRequest,
    CardDelivery,
    CardDeliveryRequest,
    TransactionReceipt,
    TransactionRequest,
)
from callfleet_agent.chain import CircuitBreaker


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpBankSettings:
    """Where the bank is. The token's file is read again for each request: Secrets rotate."""

    url: str
    timeout_s: float = 5.0
    token_file: Path | None = None
    ca_file: Path | None = None
    retries: int = 3
    backoff_s: float = 0.1
    backoff_max_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Timing:
    """The adapter's clock, sleep and randomness (0 to 1)."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random


class HttpBank:
    """A bank over HTTP. `timeout_s` is the limit of a whole operation, its retries included.

    Only reads are tried again by themselves. An authentication is never sent twice blindly: it may
    have been counted although its answer was lost; asking again with the same key is the caller's
    decision.
    """

    def __init__(self, settings: HttpBankSettings, timing: Timing | None = None) -> None:
        self._settings = settings
        self._timing = timing or Timing()
        self._breaker = CircuitBreaker()
        self._session: aiohttp.ClientSession | None = None

    async def authenticate_customer(self, request: AuthenticationRequest) -> Authentication:
        """POST /v1/authentications, sent once."""
        body = wire.authentication_body(request)
        answer = await self._limited(
            lambda: self._once("POST", "/v1/authentications", body, request.idempotency_key)
        )
        return wire.read_authentication(answer)

    async def query_card_delivery(self, request: CardDeliveryRequest) -> CardDelivery:
        """GET /v1/customers/{id}/card-delivery, tried again on trouble."""
        path = f"/v1/customers/{quote(request.customer_id, safe='')}/card-delivery"
        return wire.read_card_delivery(await self._limited(lambda: self._retried("GET", path)))

    async def process_transaction(self, request: TransactionRequest) -> TransactionReceipt:
        """POST /v1/customers/{id}/transactions, sent once."""
        path = f"/v1/customers/{quote(request.customer_id, safe='')}/transactions"
        body = wire.transaction_body(request)
        answer = await self._limited(
            lambda: self._once("POST", path, body, request.idempotency_key)
        )
        return wire.read_receipt(answer)

    @property
    def circuit(self) -> str:
        """The breaker's state now."""
        return self._breaker.state(self._timing.clock()).value

    async def close(self) -> None:
        """Closes the connections; the next request would open new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _limited(self, ask: Callable[[], Awaitable[object]]) -> object:
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                return await ask()
        except TimeoutError:
            self._breaker.failed(self._timing.clock())
            raise BankUnavailableError("bank_slow", "the bank did not answer in time") from None

    async def _retried(self, method: str, path: str) -> object:
        wait_s = self._settings.backoff_s
        for _ in range(self._settings.retries):
            try:
                return await self._once(method, path)
            except BankUnavailableError as error:
                if error.code == "circuit_open":
                    raise
            await self._timing.sleep(wait_s * (0.5 + self._timing.random() / 2))
            wait_s = min(wait_s * 2, self._settings.backoff_max_s)
        return await self._once(method, path)

    async def _once(
        self, method: str, path: str, body: dict[str, Any] | None = None, key: UUID | None = None
    ) -> object:
        if not self._breaker.admits(self._timing.clock()):
            raise BankUnavailableError("circuit_open", "the bank failed too often: not asked now")
        try:
            answer = await self._exchange(method, path, body, key)
        except BankUnavailableError:
            self._breaker.failed(self._timing.clock())
            raise
        except BankingError:
            self._breaker.succeeded()
            raise
        except asyncio.CancelledError:
            self._breaker.abandoned()
            raise
        self._breaker.succeeded()
        return answer

    async def _exchange(
        self, method: str, path: str, body: dict[str, Any] | None, key: UUID | None
    ) -> object:
        session = self._connected()
        headers = {"Accept": "application/json", **self._authorization()}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = orjson.dumps(body)
        if key is not None:
            headers["Idempotency-Key"] = str(key)
        url = self._settings.url.rstrip("/") + path
        try:
            async with session.request(
                method, url, data=data, headers=headers, allow_redirects=False
            ) as response:
                if (error := wire.error_of(response.status)) is not None:
                    raise error
                return _parsed(await _bounded(response))
        except aiohttp.ClientError as error:
            # The error's text may hold the address with a customer's reference: its type is enough.
            raise BankUnavailableError(
                "bank_unreachable", f"the bank cannot be reached: {type(error).__name__}"
            ) from None

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=32, ssl=self._tls())
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=aiohttp.ClientTimeout(total=None), trust_env=False
            )
            # aiohttp repeats a GET whose connection was cut, by itself; retries are counted here.
            self._session._retry_connection = False  # noqa: SLF001
        return self._session

    def _tls(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self._settings.ca_file)
        except (OSError, ssl.SSLError):
            raise RequestRefusedError(
                "bad_ca_file", "the file of the bank's certificate authority cannot be read"
            ) from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def _authorization(self) -> dict[str, str]:
        if self._settings.token_file is None:
            return {}
        try:
            token = self._settings.token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeError):
            raise RequestRefusedError(
                "bad_token_file", "the file of the bank's token cannot be read"
            ) from None
        return {"Authorization": f"Bearer {token}"}


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(8192):
        body += chunk
        if len(body) > wire.MAX_ANSWER_BYTES:
            raise BankProtocolError("answer_too_long", "the bank's answer is too long")
    return bytes(body)


def _parsed(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BankProtocolError("malformed_answer", "the bank's answer cannot be read") from None
