"""What all adapters over HTTP share: one session, the key, endpoints in turn, faults by name."""

import asyncio
import contextlib
import itertools
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any

import aiohttp
import orjson

from callfleet_agent.chain import Fault
from callfleet_agent.identity.client_tls import ClientTls
from callfleet_agent.identity.errors import TlsFilesError
from callfleet_agent.providers.errors import ProviderError
from callfleet_agent.providers.ports import Connected
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.time_limit import at_most

MAX_JSON_BYTES = 1 << 20
KEPT_OPEN_S = 60
# What is left of an answer that was heard to its end: nothing but the end of the body, as a rule.
REST_LIMIT_S = 1.0
REST_LIMIT_BYTES = 1 << 16
WARM_LIMIT_S = 5.0


class HttpClient:
    """Requests to one provider. An endpoint that refuses connections is passed over."""

    def __init__(self, settings: EngineSettings, *, key_header: str = "Authorization") -> None:
        self._settings = settings
        self._key_header = key_header
        self._numbers = itertools.count()
        self._tls = ClientTls(settings.ca_file)
        self._session: aiohttp.ClientSession | None = None
        self._rests: dict[asyncio.Task[None], aiohttp.ClientResponse] = {}

    async def close(self) -> None:
        """Closes the connections."""
        session, self._session = self._session, None
        rests = dict(self._rests)
        for rest, response in rests.items():
            rest.cancel()
            response.close()
        await asyncio.gather(*rests, return_exceptions=True)
        if session is not None:
            await session.close()

    @asynccontextmanager
    async def post(
        self, path: str, connected: Connected, **body: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A request whose answer has begun well. Raises ProviderError, also from inside.

        Who leaves it in peace has heard all that matters: the rest is read behind their back, so
        that the connection serves the next request. Who is cancelled, or raises, closes it.
        """
        headers = {**body.pop("headers", {}), **self._key()}
        if (data := body.pop("json_body", None)) is not None:
            body["data"] = orjson.dumps(data)
            headers["Content-Type"] = "application/json"
        try:
            response = await self._sent(path, connected, {**body, "headers": headers})
            error, is_left_in_peace = _error_of(response), False
            try:
                if error is None:
                    yield response
                is_left_in_peace = True
            finally:
                if is_left_in_peace:
                    self._let_go(response)
                else:
                    response.close()
            if error is not None:
                raise error
        except aiohttp.ClientConnectorError:
            raise ProviderError(Fault.REFUSED) from None
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientOSError):
            raise ProviderError(Fault.TRUNCATED) from None
        except aiohttp.ClientError:
            raise ProviderError(Fault.MALFORMED) from None

    def _let_go(self, response: aiohttp.ClientResponse) -> None:
        if response.content.at_eof():
            response.release()
            return
        rest = asyncio.get_running_loop().create_task(_read_rest(response))
        self._rests[rest] = response
        rest.add_done_callback(self._rests.pop)

    async def warm(self) -> None:
        """Leaves an open connection at each endpoint, so that a request waits for no name, TCP or
        TLS. It asks for the list of models, which costs nothing and which all of them have; what
        comes of it, an error too, says nothing of their health."""
        await asyncio.gather(*(self._warmed(base) for base in self._settings.endpoints))

    async def _warmed(self, base: str) -> None:
        with contextlib.suppress(aiohttp.ClientError, ProviderError, TimeoutError, OSError):
            async with (
                at_most(WARM_LIMIT_S),
                self._connected().get(
                    base.rstrip("/") + "/models",
                    headers=self._key(),
                    allow_redirects=False,
                    ssl=self._secure(),
                    trace_request_ctx=_nobody,
                ) as response,
            ):
                size = 0  # a connection is kept when its answer has been read
                async for chunk in response.content.iter_any():
                    size += len(chunk)
                    if size > MAX_JSON_BYTES:
                        break

    async def _sent(
        self, path: str, connected: Connected, request: Mapping[str, Any]
    ) -> aiohttp.ClientResponse:
        endpoints = self._settings.endpoints
        first = next(self._numbers) % len(endpoints)
        for number in range(len(endpoints)):
            base = endpoints[(first + number) % len(endpoints)].rstrip("/")
            try:
                return await self._asked(base + path, connected, request)
            except aiohttp.ClientConnectorError:
                if number == len(endpoints) - 1:
                    raise
        raise ProviderError(Fault.NO_PROVIDER)

    async def _asked(
        self, url: str, connected: Connected, request: Mapping[str, Any]
    ) -> aiohttp.ClientResponse:
        """A kept connection that its server has closed meanwhile says nothing of the provider: it
        is asked again on another, until that is a new one. llama-server closes each behind a
        stream, uvicorn after five seconds."""
        while True:
            asking = _Asking(connected)
            try:
                return await self._connected().request(
                    "POST",
                    url,
                    allow_redirects=False,
                    ssl=self._secure(),
                    trace_request_ctx=asking,
                    **request,
                )
            except aiohttp.ClientConnectorError:
                raise
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if not asking.on_kept:
                    raise

    def _key(self) -> dict[str, str]:
        path = self._settings.key_file
        if path is None:
            return {}
        try:
            key = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeError):
            raise ProviderError(Fault.UNAUTHORISED) from None
        return {self._key_header: f"Bearer {key}" if self._key_header == "Authorization" else key}

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, ttl_dns_cache=10, keepalive_timeout=KEPT_OPEN_S
                ),
                # Time limits are the chain's, and there alone.
                timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None),
                trust_env=False,
                trace_configs=[_tell_of_connections()],
            )
            # aiohttp repeats by itself what was cut, and does not say so; we do, see _asked.
            self._session._retry_connection = False  # noqa: SLF001
        return self._session

    def _secure(self) -> ssl.SSLContext | bool:
        if not any(endpoint.startswith("https:") for endpoint in self._settings.endpoints):
            return True
        try:
            return self._tls.context()
        except TlsFilesError:
            raise ProviderError(Fault.UNAUTHORISED) from None


class _Asking:
    """One request on its way: who waits for its connection, and whether that had been kept."""

    def __init__(self, connected: Connected) -> None:
        self._connected = connected
        self.on_kept = False

    def __call__(self) -> None:
        self._connected()


def _nobody() -> None:
    """Who waits for a connection that is made ahead of being needed."""


def _tell_of_connections() -> aiohttp.TraceConfig:
    async def made(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx()

    async def kept(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        if isinstance(context.trace_request_ctx, _Asking):
            context.trace_request_ctx.on_kept = True
        context.trace_request_ctx()

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(made)
    trace.on_connection_reuseconn.append(kept)
    return trace


def _error_of(response: aiohttp.ClientResponse) -> ProviderError | None:
    status = response.status
    if status == 200:
        return None
    if status == 429:
        return ProviderError(Fault.RATE_LIMITED, retry_after(response.headers, time.time()))
    if status in {401, 403}:
        return ProviderError(Fault.UNAUTHORISED)
    if 400 <= status < 500:
        return ProviderError(Fault.BAD_REQUEST)
    return ProviderError(Fault.SERVER_ERROR if status >= 500 else Fault.MALFORMED)


async def _read_rest(response: aiohttp.ClientResponse) -> None:
    """An answer that ends soon leaves its connection to the next one; any other is cut off."""
    size = 0
    try:
        async with at_most(REST_LIMIT_S):
            async for chunk in response.content.iter_any():
                size += len(chunk)
                if size > REST_LIMIT_BYTES:
                    break
    except (aiohttp.ClientError, TimeoutError):
        pass
    finally:
        response.close()


def retry_after(headers: Mapping[str, str], wall: float) -> float | None:
    """The seconds of Retry-After (RFC 9110, 10.2.3), a number or a date; None: nothing readable."""
    value = headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - wall)
    except (TypeError, ValueError):
        return None


def expect(response: aiohttp.ClientResponse, *kinds: str) -> None:
    """Raises ProviderError unless the content is of one of these kinds."""
    if not response.content_type.startswith(kinds):
        raise ProviderError(Fault.MALFORMED)


async def bounded_json(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The answer as a JSON object. Raises ProviderError."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(8192):
        body += chunk
        if len(body) > MAX_JSON_BYTES:
            raise ProviderError(Fault.MALFORMED)
    try:
        value = orjson.loads(bytes(body))
    except orjson.JSONDecodeError:
        raise ProviderError(Fault.MALFORMED) from None
    if not isinstance(value, dict):
        raise ProviderError(Fault.MALFORMED)
    return value
