"""Asks an external engine whether it answers: the list of models, which costs nothing."""

import aiohttp

from callfleet_operator.model import Engine, ProviderPool
from callfleet_operator.ports.probe import ProbeOutcome

_TIMEOUT = aiohttp.ClientTimeout(total=5)
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
