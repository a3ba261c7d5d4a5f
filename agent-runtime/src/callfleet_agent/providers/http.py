"""What all adapters over HTTP share: one session, the key, endpoints in turn, faults by name."""

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
from callfleet_agent.providers.errors import ProviderError
from callfleet_agent.providers.ports import Connected
from callfleet_agent.providers.settings import EngineSettings

MAX_JSON_BYTES = 1 << 20


class HttpClient:
    """Requests to one provider. An endpoint that refuses connections is passed over."""

    def __init__(self, settings: EngineSettings, *, key_header: str = "Authorization") -> None:
        self._settings = settings
        self._key_header = key_header
        self._numbers = itertools.count()
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Closes the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @asynccontextmanager
    async def post(
        self, path: str, connected: Connected, **body: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A request whose answer has begun well. Raises ProviderError, also from inside."""
        headers = {**body.pop("headers", {}), **self._key()}
        if (data := body.pop("json_body", None)) is not None:
            body["data"] = orjson.dumps(data)
            headers["Content-Type"] = "application/json"
        try:
            response = await self._sent(path, connected, {**body, "headers": headers})
            async with response:
                _check(response)
                yield response
        except aiohttp.ClientConnectorError:
            raise ProviderError(Fault.REFUSED) from None
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientOSError):
            raise ProviderError(Fault.TRUNCATED) from None
        except aiohttp.ClientError:
            raise ProviderError(Fault.MALFORMED) from None

    async def _sent(
        self, path: str, connected: Connected, request: Mapping[str, Any]
    ) -> aiohttp.ClientResponse:
        endpoints = self._settings.endpoints
        first = next(self._numbers) % len(endpoints)
        for number in range(len(endpoints)):
            base = endpoints[(first + number) % len(endpoints)].rstrip("/")
            try:
                return await self._connected().request(
                    "POST", base + path, allow_redirects=False, trace_request_ctx=connected,
                    **request,
                )  # fmt: skip
            except aiohttp.ClientConnectorError:
                if number == len(endpoints) - 1:
                    raise
        raise ProviderError(Fault.NO_PROVIDER)

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
                    limit=0, ssl=self._tls(), ttl_dns_cache=10, keepalive_timeout=60
                ),
                # Time limits are the chain's, and there alone.
                timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None),
                trust_env=False,
                trace_configs=[_tell_of_connections()],
            )
            # aiohttp repeats by itself what was cut on a kept connection; the chain counts tries.
            self._session._retry_connection = False  # noqa: SLF001
        return self._session

    def _tls(self) -> ssl.SSLContext | bool:
        if not any(endpoint.startswith("https:") for endpoint in self._settings.endpoints):
            return True
        try:
            context = ssl.create_default_context(cafile=self._settings.ca_file)
        except (OSError, ssl.SSLError):
            raise ProviderError(Fault.UNAUTHORISED) from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def _tell_of_connections() -> aiohttp.TraceConfig:
    async def tell(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx()

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(tell)
    trace.on_connection_reuseconn.append(tell)
    return trace


def _check(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status == 200:
        return
    if status == 429:
        raise ProviderError(Fault.RATE_LIMITED, retry_after(response.headers, time.time()))
    if status in {401, 403}:
        raise ProviderError(Fault.UNAUTHORISED)
    if 400 <= status < 500:
        raise ProviderError(Fault.BAD_REQUEST)
    raise ProviderError(Fault.SERVER_ERROR if status >= 500 else Fault.MALFORMED)


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
