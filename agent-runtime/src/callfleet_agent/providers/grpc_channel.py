"""Channels to our own servers (proto/callfleet/v1), and their faults by name."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import grpc
import grpc.aio

from callfleet_agent.chain import Fault
from callfleet_agent.identity import FollowingChannel, Source, TlsFiles, TlsFilesError, Trust
from callfleet_agent.providers.errors import ProviderError
from callfleet_agent.providers.ports import Connected
from callfleet_agent.providers.settings import EngineSettings
from callfleet_agent.tracing import trace_metadata

_FAULTS: Final = {
    grpc.StatusCode.UNAVAILABLE: Fault.REFUSED,
    grpc.StatusCode.UNAUTHENTICATED: Fault.UNAUTHORISED,
    grpc.StatusCode.PERMISSION_DENIED: Fault.UNAUTHORISED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Fault.RATE_LIMITED,
    grpc.StatusCode.INVALID_ARGUMENT: Fault.BAD_REQUEST,
    grpc.StatusCode.UNIMPLEMENTED: Fault.BAD_REQUEST,
    grpc.StatusCode.CANCELLED: Fault.TRUNCATED,
    grpc.StatusCode.ABORTED: Fault.TRUNCATED,
}
_DETAILS: Final = "grpc-status-details-bin"
_BALANCED: Final = (("grpc.lb_policy_name", "round_robin"), ("grpc.enable_retries", 0))
_PLAIN: Final = (
    *_BALANCED,
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # A provider that came back is found in the time in which a circuit is open.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


class GrpcChannel:
    """One pool's channel: all addresses of its name, in turn. With TLS it follows the files of the
    identity that is shown, or of the CA."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._plain: grpc.aio.Channel | None = None
        self._secure: FollowingChannel | None = None

    def open(self) -> grpc.aio.Channel:
        """The channel, made when it is first needed. Raises ProviderError for files that cannot
        be used."""
        url = urlsplit(preferred(self._settings.endpoints))
        target = f"dns:///{url.netloc}"
        if url.scheme != "grpcs":
            if self._plain is None:
                self._plain = grpc.aio.insecure_channel(target, options=_PLAIN)
            return self._plain
        if self._secure is None:
            self._secure = FollowingChannel(target, self._source(), options=_BALANCED)
        try:
            return self._secure.channel()
        except TlsFilesError:
            raise ProviderError(Fault.UNAUTHORISED) from None

    def _source(self) -> Source:
        """Pools of the operator's are asked as who we are; others see no certificate of ours."""
        identity = self._settings.identity
        return Trust(self._settings.ca_file) if identity is None else TlsFiles.in_folder(identity)

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

    async def warm(self) -> None:
        """Connects where it is not connected; nobody waits for it."""
        with contextlib.suppress(ProviderError):
            self.open().get_state(try_to_connect=True)

    async def close(self) -> None:
        """Ends what is going on."""
        plain, self._plain = self._plain, None
        secure, self._secure = self._secure, None
        if plain is not None:
            await plain.close(None)
        if secure is not None:
            await secure.close()


@asynccontextmanager
async def faults() -> AsyncIterator[None]:
    """Errors of gRPC as ProviderError."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise _fault(error) from None


def status_was_lost(error: grpc.aio.AioRpcError) -> bool:
    """Whether the server ended the RPC while a message was written: gRPC's asyncio client then
    gives an error of its own, whatever the server said (grpc/grpc#24758)."""
    told = error.debug_error_string() or ""
    return error.code() is grpc.StatusCode.INTERNAL and "SendMessageOperation" in told


def preferred(endpoints: Sequence[str]) -> str:
    """The endpoint to be asked: one with TLS, where there is one. One in the clear beside it is
    for agents that cannot do that yet."""
    return next((url for url in endpoints if url.startswith("grpcs:")), endpoints[0])


def _fault(error: grpc.aio.AioRpcError) -> ProviderError:
    code = error.code()
    metadata: Any = error.trailing_metadata() or ()
    told: dict[str, str | bytes] = dict(metadata)
    if code is grpc.StatusCode.UNAVAILABLE and _DETAILS in told:
        return ProviderError(Fault.SERVER_ERROR)  # the server's own word: it was reached
    after = str(told.get("retry-after", ""))
    retry_s = float(after) if after.isdigit() else None
    return ProviderError(_FAULTS.get(code, Fault.SERVER_ERROR), retry_s)


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError:
        raise ProviderError(Fault.UNAUTHORISED) from None
