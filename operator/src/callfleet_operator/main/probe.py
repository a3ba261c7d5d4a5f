"""Asks engines: external ones for their models or their health, which costs nothing, our pods for
figures.
"""

import ssl
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import grpc
import grpc.aio

from callfleet_operator.model import Engine, ProviderPool
from callfleet_operator.model.engines import OURS
from callfleet_operator.ports.probe import Figures, ProbeOutcome, Progress

_LIMIT_S = 5.0
_POD_LIMIT_S = 2.0
_LARGEST = 64 * 1024
_NO_CA = "the Secret of spec.external.caSecretName holds no CA in ca.crt; put one in, as PEM"
_NOT_VERIFIED = (
    "the engine's certificate is not of a known CA; name its CA in spec.external.caSecretName"
)
_PATHS = {Engine.ELEVENLABS: "/v1/models"}
# grpc.health.v1: an empty HealthCheckRequest; HealthCheckResponse with status 1.
_HEALTH, _SERVING = "/grpc.health.v1.Health/Check", b"\x08\x01"


class HttpProbe:
    """One session for all probes. Redirects are not followed: the key goes to one place only.
    `limit_s` is an engine's time to answer, `pod_limit_s` that of a pod of ours."""

    def __init__(self, *, limit_s: float = _LIMIT_S, pod_limit_s: float = _POD_LIMIT_S) -> None:
        self._limit_s = limit_s
        self._pod_limit = aiohttp.ClientTimeout(total=pod_limit_s)
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=limit_s))

    async def close(self) -> None:
        await self._session.close()

    async def probe(
        self, pool: ProviderPool, key: str | None, ca: str | None = None
    ) -> ProbeOutcome:
        external, engine = pool.spec.external, pool.spec.engine
        if external is None:
            return ProbeOutcome(ok=True, message="")
        try:
            context = _verified(ca) if external.base_url.startswith("https:") else None
        except ssl.SSLError:
            return ProbeOutcome(ok=False, message=_NO_CA)
        if engine in OURS:
            return await _health(external.base_url, ca, self._limit_s)
        url = external.base_url.rstrip("/") + _PATHS.get(engine, "/models")
        return await self._asked(url, _headers(engine, key), context)

    async def _asked(
        self, url: str, headers: dict[str, str], context: ssl.SSLContext | None
    ) -> ProbeOutcome:
        try:
            async with self._session.get(
                url, headers=headers, allow_redirects=False, ssl=context or True
            ) as response:
                return _outcome(response.status)
        except TimeoutError:
            message = f"the engine did not answer within {self._limit_s:g} s"
        except aiohttp.ClientConnectorCertificateError:
            message = _NOT_VERIFIED
        except (aiohttp.ClientError, ValueError) as error:
            message = f"the engine could not be reached ({type(error).__name__})"
        return ProbeOutcome(ok=False, message=message)

    async def figures(self, address: str, port: int) -> Figures | None:
        """What a pod says is checked: it may run anybody's image."""
        told = await self._json(address, port, "figures")
        if told is None:
            return None
        first, factor = _number(told.get("firstResultMs")), _number(told.get("realTimeFactor"))
        return Figures(
            engine_version=str(told.get("engineVersion") or "")[:64],
            first_result_ms=round(first) if first is not None else None,
            real_time_factor=round(factor, 3) if factor is not None else None,
        )

    async def progress(self, address: str, port: int) -> Progress | None:
        told = await self._json(address, port, "progress")
        done, total = _number((told or {}).get("bytes")), _number((told or {}).get("totalBytes"))
        if done is None or total is None:
            return None
        return Progress(int(done), int(total))

    async def _json(self, address: str, port: int, path: str) -> dict[str, Any] | None:
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{port}/{path}"
        try:
            async with self._session.get(
                url, timeout=self._pod_limit, allow_redirects=False
            ) as response:
                if response.status != 200 or (response.content_length or 0) > _LARGEST:
                    return None
                told = await response.json(content_type=None)
        except (TimeoutError, aiohttp.ClientError, ValueError):
            return None
        return told if isinstance(told, dict) else None


def _verified(ca: str | None) -> ssl.SSLContext:
    """As agents do it: TLS 1.3, and this CA in the place of the system's. Raises SSLError."""
    context = ssl.create_default_context(cadata=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


async def _health(base_url: str, ca: str | None, limit_s: float) -> ProbeOutcome:
    """Of a server that speaks our gRPC. One without the health service is one that answers."""
    address = urlsplit(base_url)
    secure = address.scheme == "https"
    port = address.port or (443 if secure else 80)
    host = f"[{address.hostname}]" if ":" in (address.hostname or "") else address.hostname
    target = f"{host}:{port}"
    channel = (
        grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(ca.encode() if ca else None))
        if secure
        else grpc.aio.insecure_channel(target)
    )
    async with channel:
        try:
            told = await channel.unary_unary(_HEALTH, bytes, bytes)(b"", timeout=limit_s)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return ProbeOutcome(ok=True, message="")
            return ProbeOutcome(
                ok=False, message=f"the engine could not be reached ({error.code().name})"
            )
    if told != _SERVING:
        return ProbeOutcome(ok=False, message="the engine says that it is not serving")
    return ProbeOutcome(ok=True, message="")


def _number(value: Any) -> float | None:
    """What is a sensible amount; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e15 else None


def _headers(engine: Engine, key: str | None) -> dict[str, str]:
    if key is None:
        return {}
    return (
        {"xi-api-key": key} if engine is Engine.ELEVENLABS else {"Authorization": f"Bearer {key}"}
    )


def _outcome(status: int) -> ProbeOutcome:
    if status in (401, 403):
        return ProbeOutcome(ok=False, message=f"the engine refuses the key (HTTP {status})")
    if status >= 500:
        return ProbeOutcome(ok=False, message=f"the engine answers HTTP {status}")
    # A server without a list of models (404) is a server that answers.
    return ProbeOutcome(ok=True, message="")
