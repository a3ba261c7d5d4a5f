"""The sockets of an HTTP client, so that closing the client can wait for them.

aiohttp forgets a connection that it gives up in the middle of an answer (a watch that is left, a
request that is cancelled), while TLS still says good-bye on it: such a one is neither closed nor
waited for by `ClientSession.close`.
"""

import asyncio
import socket
from weakref import WeakSet

from aiohttp.connector import AddrInfoType

_LOOK_S = 0.01


class Sockets:
    """Makes sockets for `aiohttp.TCPConnector(socket_factory=…)` and knows which are open."""

    def __init__(self) -> None:
        self._made: WeakSet[socket.socket] = WeakSet()

    def __call__(self, address: AddrInfoType) -> socket.socket:
        """A socket for one of getaddrinfo's answers."""
        family, kind, protocol, *_ = address
        made = socket.socket(family=family, type=kind, proto=protocol)
        self._made.add(made)
        return made

    @property
    def open(self) -> int:
        """How many are not closed."""
        return sum(each.fileno() != -1 for each in self._made)

    async def closed(self, *, within_s: float) -> bool:
        """Return once none is open; False when that took too long."""
        for _ in range(int(within_s / _LOOK_S)):
            if not self.open:
                return True
            await asyncio.sleep(_LOOK_S)
        return not self.open
