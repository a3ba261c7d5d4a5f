"""Clients that follow their files: a channel whose certificate and CA, and a token that, are taken
anew when they change, without a restart and without a lost call.

gRPC reads a client's certificate once for each channel. A new channel is made when the files have
changed; the former one is closed when the calls on it must be over.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import grpc.aio

from callfleet_agent.identity.errors import TlsFilesError
from callfleet_agent.identity.trust import Source

LINGER_S: Final = 60.0
_LOOK_AGAIN_S: Final = 1.0
_OPTIONS: Final = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # A service that came back is found within the time of a client's next try.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A channel with another certificate never takes over a connection of the former one.
    ("grpc.use_local_subchannel_pool", 1),
)
_log = logging.getLogger(__name__)


class FollowingChannel:
    """A channel to HOST:PORT; ask `channel()` for each call. Used from one loop."""

    def __init__(
        self,
        address: str,
        files: Source,
        *,
        options: Sequence[tuple[str, Any]] = (),
        linger_s: float = LINGER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._files = files
        self._options = (*_OPTIONS, *options)
        self._linger_s = linger_s
        self._clock = clock
        self._stamp: tuple[int, ...] = ()
        self._looked_at = 0.0
        self._channel: grpc.aio.Channel | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def channel(self) -> grpc.aio.Channel:
        """The channel with what the files hold now; looked at once a second at most.

        Raises:
            TlsFilesError: there is no channel yet, and the files cannot be used.
        """
        if self._channel is None:
            self._stamp = self._files.stamp()
            self._channel = self._open()
            self._looked_at = self._clock()
        elif self._clock() >= self._looked_at + _LOOK_AGAIN_S:
            self._looked_at = self._clock()
            self._follow()
        return self._channel

    async def close(self) -> None:
        """Ends what is going on."""
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close(None)

    def _follow(self) -> None:
        try:
            seen = self._files.stamp()  # before they are read: what changes meanwhile is read again
            if seen == self._stamp:
                return
            fresh = self._open()
        except TlsFilesError:  # a Secret being swapped: the next look sees it
            _log.warning("the client identity cannot be read again, the former one stays")
            return
        former, self._channel, self._stamp = self._channel, fresh, seen
        _log.info("the client identity was rotated")
        if former is not None:
            task = asyncio.create_task(self._close_later(former))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _open(self) -> grpc.aio.Channel:
        credentials = self._files.credentials()
        return grpc.aio.secure_channel(self._address, credentials, options=self._options)

    async def _close_later(self, channel: grpc.aio.Channel) -> None:
        try:
            await asyncio.sleep(self._linger_s)
        finally:
            await channel.close(None)


class TokenFile:
    """A token in a file that somebody renews."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._text = ""

    def text(self) -> str:
        """The token as it is now; what it was while the file cannot be read, and "" before."""
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_ino)
            if stamp != self._stamp:
                self._text = self._path.read_text(encoding="ascii").strip()
                self._stamp = stamp
        except (OSError, UnicodeDecodeError):
            pass  # being swapped, or not there yet
        return self._text
