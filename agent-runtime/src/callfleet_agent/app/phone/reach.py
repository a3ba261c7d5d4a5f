"""Whether anybody listens where a call is sent to: a mistyped port is told at once, not in 20 s."""

import asyncio
from contextlib import suppress

from callfleet_agent.sip.settings import Peer
from callfleet_agent.time_limit import at_most

_WAIT_S = 0.5
_KEEP_ALIVE = b"\r\n\r\n"  # RFC 5626 section 3.5.1: every user agent and proxy passes over it


class _Refusals(asyncio.DatagramProtocol):
    def __init__(self, refused: "asyncio.Future[None]") -> None:
        self._refused = refused

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, ConnectionRefusedError) and not self._refused.done():
            self._refused.set_result(None)


async def nobody_listens(peer: Peer) -> bool:
    """True when `peer`'s machine says that nobody has its UDP port; what is not said is False."""
    if peer.transport != "UDP":
        return False  # TCP says so by itself
    loop = asyncio.get_running_loop()
    refused: asyncio.Future[None] = loop.create_future()
    try:
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Refusals(refused), remote_addr=(peer.host, peer.port)
        )
    except OSError:
        return False  # the call itself will tell
    try:
        transport.sendto(_KEEP_ALIVE)
        with suppress(TimeoutError):
            async with at_most(_WAIT_S):
                await asyncio.shield(refused)
        return refused.done()
    finally:
        transport.close()
        refused.cancel()
