"""Channels to our own servers (proto/callfleet/v1), and their faults by name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import grpc.aio

from callfleet_agent.chain import Fault
from callfleet_agent.providers.errors import ProviderError
from callfleet_agent.providers.ports import Connected
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.tracing import trace_metadata

_FAULTS = {
    grpc.StatusCode.UNAVAILABLE: Fault.REFUSED,
    grpc.StatusCode.UNAUTHENTICATED: Fault.UNAUTHORISED,
    grpc.StatusCode.PERMISSION_DENIED: Fault.UNAUTHORISED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Fault.RATE_LIMITED,
    grpc.StatusCode.INVALID_ARGUMENT: Fault.BAD_REQUEST,
    grpc.StatusCode.UNIMPLEMENTED: Fault.BAD_REQUEST,
    grpc.StatusCode.CANCELLED: Fault.TRUNCATED,
    grpc.StatusCode.ABORTED: Fault.TRUNCATED,
}
_OPTIONS = (
    ("grpc.lb_policy_name", "round_robin"),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # A provider that came back is found in the time in which a circuit is open.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_retries", 0),
)


class GrpcChannel:
    """One pool's channel: all addresses of its name, in turn."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._channel: grpc.aio.Channel | None = None

    def open(self) -> grpc.aio.Channel:
        """The channel, made when it is first needed. Raises ProviderError for a bad CA file."""
        if self._channel is None:
            url = urlsplit(self._settings.endpoints[0])
            target = f"dns:///{url.netloc}"
            if url.scheme == "grpcs":
                roots = _read(self._settings.ca_file)
                self._channel = grpc.aio.secure_channel(
                    target, grpc.ssl_channel_credentials(roots), options=_OPTIONS
                )
            else:
                self._channel = grpc.aio.insecure_channel(target, options=_OPTIONS)
        return self._channel

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The key, where there is one, and the trace that the request belongs to. Raises
        ProviderError when the key's file cannot be read."""
        key = _read(self._settings.key_file)
        mine = () if key is None else (("authorization", f"Bearer {key.decode().strip()}"),)
        return (*mine, *trace_metadata())

    async def connect(self, connected: Connected) -> grpc.aio.Channel:
        """Until a connection stands. Raises ProviderError when it is refused."""
        channel = self.open()
        state = channel.get_state(try_to_connect=True)
        while state is not grpc.ChannelConnectivity.READY:
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:  # it goes on by itself
                raise ProviderError(Fault.REFUSED)
            await channel.wait_for_state_change(state)
            state = channel.get_state(try_to_connect=True)
        connected()
        return channel

    async def close(self) -> None:
        """Ends what is going on."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close(None)


@asynccontextmanager
async def faults() -> AsyncIterator[None]:
    """Errors of gRPC as ProviderError."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise ProviderError(_FAULTS.get(error.code(), Fault.SERVER_ERROR)) from None


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError:
        raise ProviderError(Fault.UNAUTHORISED) from None
