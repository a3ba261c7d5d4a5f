"""The HTTP adapter of the banking port."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
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
from callfleet_agent.banking.tokens import FileToken, OAuthSettings, OAuthTokens, Tokens
from callfleet_agent.chain import CircuitBreaker
from callfleet_agent.identity.client_tls import ClientTls
from callfleet_agent.identity.errors import AuthorityFileError, TlsFilesError
from callfleet_agent.time_limit import at_most


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpBankSettings:
    """Where the bank is, and how we prove ourselves to it: with a token, from a file or by OAuth,
    with a client certificate, or with both. Files are followed: Secrets rotate."""

    url: str
    timeout_s: float = 5.0
    token_file: Path | None = None
    oauth: OAuthSettings | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
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
        self._tls = ClientTls(settings.ca_file, settings.certificate_file, settings.key_file)
        self._tokens: Tokens = (
            FileToken(settings.token_file)
            if settings.oauth is None
            else OAuthTokens(settings.oauth, self._posted, self._timing.clock)
        )
        self._session: aiohttp.ClientSession | None = None

    async def authenticate_customer(self, request: AuthenticationRequest) -> Authentication:
        """POST /v1/authentications, sent once."""
        body = wire.authentication_body(request)
        answer = await self._limited(
            lambda: self._once("POST", "/v1/authentications", body, request.idempotency_key)
        )
        return wire.read_authentication(answer, of_a_wish=request.credential is None)

    async def query_card_delivery(self, request: CardDeliveryRequest) -> CardDelivery:
        """GET /v1/customers/{id}/card-delivery, tried again on trouble."""
        path = f"/v1/customers/{quote(request.customer_id, safe='')}/card-delivery"
        if request.card_id:
            path += f"?cardId={quote(request.card_id, safe='')}"
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
            async with at_most(self._settings.timeout_s):
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
        """A token that is refused may have been withdrawn: once more with another. The bank has
        done nothing then, so that a try is not counted twice."""
        token = await self._tokens.bearer()
        status, answer = await self._asked(method, path, body, key, token)
        if status == HTTPStatus.UNAUTHORIZED and self._tokens.refused(token):
            token = await self._tokens.bearer()
            status, answer = await self._asked(method, path, body, key, token)
        if (error := wire.error_of(status)) is not None:
            raise error
        return _parsed(answer)

    async def _asked(
        self, method: str, path: str, body: dict[str, Any] | None, key: UUID | None, token: str
    ) -> tuple[int, bytes]:
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if key is not None:
            headers["Idempotency-Key"] = str(key)
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else orjson.dumps(body)
        return await self._sent(method, self._settings.url.rstrip("/") + path, data, headers)

    async def _posted(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        data = urlencode(form).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        return await self._sent("POST", url, data, {**kind, **headers})

    async def _sent(
        self, method: str, url: str, data: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        try:
            context = self._tls.context()
        except TlsFilesError as error:
            what = "ca" if isinstance(error, AuthorityFileError) else "certificate"
            raise RequestRefusedError(f"bad_{what}_file", str(error)) from None
        try:
            async with self._connected().request(
                method, url, data=data, headers=headers, allow_redirects=False, ssl=context
            ) as response:
                return response.status, await _bounded(response) if response.ok else b""
        except aiohttp.ClientError as error:
            # The error's text may hold the address with a customer's reference: its type is enough.
            raise BankUnavailableError(
                "bank_unreachable", f"the bank cannot be reached: {type(error).__name__}"
            ) from None

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=32),
                timeout=aiohttp.ClientTimeout(total=None),
                trust_env=False,
            )
            # aiohttp repeats a GET whose connection was cut, by itself; retries are counted here.
            self._session._retry_connection = False  # noqa: SLF001
        return self._session


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
