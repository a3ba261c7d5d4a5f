"""JSON-RPC 2.0 over HTTP with a time limit on everything."""

import os
from itertools import count
from typing import Any

import aiohttp
import orjson

from .errors import RpcError


class JsonRpc:
    """Calls one endpoint. A proxy that hangs never answers, so `limit_s` bounds each call."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: str, limit_s: float) -> None:
        self._session = session
        self._endpoint = endpoint
        self._limit = aiohttp.ClientTimeout(total=limit_s)
        self._ids = count(1)

    async def call(self, method: str, params: object = None) -> object:
        """The result. Raises RpcError, whose text has the method and the proxy's word."""
        request: dict[str, object] = {"jsonrpc": "2.0", "method": method, "id": next(self._ids)}
        if params is not None:
            request["params"] = params
        try:
            answer = await self._post(orjson.dumps(request))
        except TimeoutError:
            raise RpcError(f"{method}: no answer in {self._limit.total:g} s") from None
        except aiohttp.ClientError as error:
            raise RpcError(f"{method}: {_reason(error)}") from error
        except orjson.JSONDecodeError:
            raise RpcError(f"{method}: the answer is no JSON") from None
        return _result(method, answer)

    async def _post(self, body: bytes) -> Any:
        headers = {"Content-Type": "application/json"}  # without it OpenSIPS never answers
        async with self._session.post(
            self._endpoint, data=body, headers=headers, timeout=self._limit
        ) as response:
            return orjson.loads(await response.read())


def _reason(error: aiohttp.ClientError) -> str:
    # The error's own text quotes the address.
    errno = error.errno if isinstance(error, aiohttp.ClientOSError) else None
    return os.strerror(errno) if errno else type(error).__name__


def _result(method: str, answer: Any) -> object:
    if not isinstance(answer, dict):
        raise RpcError(f"{method}: the answer is no object")
    error = answer.get("error")
    if error:
        known = isinstance(error, dict)
        code = error.get("code", "") if known else ""
        message = error.get("message", "") if known else ""
        raise RpcError(f"{method}: {code} {message}".strip(), refused=True)
    return answer.get("result")
