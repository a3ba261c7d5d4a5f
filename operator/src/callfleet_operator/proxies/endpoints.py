"""Where a proxy's instances are: a fixed list, or the addresses behind a headless Service."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

from .errors import RpcError

Endpoints = Callable[[], Awaitable[Sequence[str]]]
"""Gives the URL of every instance. Raises RpcError when they cannot be known now."""


def fixed(urls: Sequence[str]) -> Endpoints:
    """The same list always."""
    found = tuple(urls)

    async def endpoints() -> Sequence[str]:
        return found

    return endpoints


def headless(host: str, port: int, path: str, limit_s: float = 2.0) -> Endpoints:
    """Every address of a name, looked up anew each time. No address is an error, not an empty list:
    with nothing to look at, nothing would ever be confirmed wrongly, but silently."""

    async def endpoints() -> Sequence[str]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(limit_s):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError):
            raise RpcError("the service has no address") from None
        return sorted({_url(str(address[4][0]), port, path) for address in found})

    return endpoints


def _url(address: str, port: int, path: str) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{port}{path}"
