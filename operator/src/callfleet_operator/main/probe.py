"""Asks engines: external ones for their models, which costs nothing, our pods for figures."""

from typing import Any

import aiohttp

from callfleet_operator.model import Engine, ProviderPool
from callfleet_operator.ports.probe import Figures, ProbeOutcome, Progress

_TIMEOUT = aiohttp.ClientTimeout(total=5)
_POD_TIMEOUT = aiohttp.ClientTimeout(total=2)
_LARGEST = 64 * 1024
_PATHS = {Engine.ELEVENLABS: "/v1/models", Engine.PIPER: "/"}


class HttpProbe:
    """One session for all probes. Redirects are not followed: the key goes to one place only."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)

    async def close(self) -> None:
        await self._session.close()

    async def probe(self, pool: ProviderPool, key: str | None) -> ProbeOutcome:
        external = pool.spec.external
        if external is None:
            return ProbeOutcome(ok=True, message="")
        url = external.base_url.rstrip("/") + _PATHS.get(pool.spec.engine, "/models")
        try:
            async with self._session.get(
                url, headers=_headers(pool.spec.engine, key), allow_redirects=False
            ) as response:
                return _outcome(response.status)
        except TimeoutError:
            return ProbeOutcome(ok=False, message="the engine did not answer within 5 s")
        except (aiohttp.ClientError, ValueError) as error:
            return ProbeOutcome(
                ok=False, message=f"the engine could not be reached ({type(error).__name__})"
            )

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
                url, timeout=_POD_TIMEOUT, allow_redirects=False
            ) as response:
                if response.status != 200 or (response.content_length or 0) > _LARGEST:
                    return None
                told = await response.json(content_type=None)
        except (TimeoutError, aiohttp.ClientError, ValueError):
            return None
        return told if isinstance(told, dict) else None


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
