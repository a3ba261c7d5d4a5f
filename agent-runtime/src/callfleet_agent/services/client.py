"""A client of one of the platform's services: the pod's identity and its token for that service.

Both are files that are replaced while the process runs; each request uses the newest.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import grpc.aio

from callfleet_agent.identity import FollowingChannel, TlsFiles, TlsFilesError, TokenFile
from callfleet_agent.services.errors import ServicesError
from callfleet_agent.tracing import trace_metadata

SESSION_MANAGER: Final = "session-manager"
CONTEXT_STORE: Final = "context-store"
BANKING: Final = "banking"
# All replicas of a service in turn; retries are counted by who asks.
_OPTIONS: Final = (("grpc.lb_policy_name", "round_robin"), ("grpc.enable_retries", 0))


_log = logging.getLogger(__name__)


class Service(Protocol):
    """A service as those who ask it see it."""

    def stub(self, kind: Callable[[grpc.aio.Channel], Any]) -> Any:
        """A stub of this kind. Raises NotReadyError."""
        ...

    def metadata(self, correlation_id: str) -> tuple[tuple[str, str], ...]:
        """What a request carries. Raises NotReadyError."""
        ...


class OpenService(Service, Protocol):
    """One that is closed by who asks it."""

    async def close(self) -> None:
        """End what is going on."""
        ...


class NotReadyError(ServicesError):
    """The pod has no usable identity or token for the service at this moment: trying again later
    can help, and the installation is at fault if it does not."""


class ServiceClient:
    """One service at `address` (HOST:PORT), with the identity and tokens of `folder`."""

    def __init__(self, address: str, audience: str, folder: Path) -> None:
        files = TlsFiles.in_folder(folder)
        self._channel = FollowingChannel(f"dns:///{address}", files, options=_OPTIONS)
        self._token = TokenFile(folder / f"token.{audience}")

    def connect(self) -> None:
        """Begin to connect, so that the first request finds a connection."""
        try:
            self._channel.channel().get_state(try_to_connect=True)
        except TlsFilesError as error:
            _log.warning("a service cannot be reached yet", extra={"reason": str(error)})

    def stub(self, kind: Callable[[grpc.aio.Channel], Any]) -> Any:
        """A stub on the channel of the newest identity. Raises NotReadyError."""
        try:
            return kind(self._channel.channel())
        except TlsFilesError as error:
            raise NotReadyError("the pod's identity cannot be read") from error

    def metadata(self, correlation_id: str) -> tuple[tuple[str, str], ...]:
        """What a request carries. Raises NotReadyError."""
        token = self._token.text()
        if not token:
            raise NotReadyError("there is no token yet")
        return (
            ("authorization", f"Bearer {token}"),
            ("x-correlation-id", correlation_id),
            *trace_metadata(),
        )

    async def close(self) -> None:
        """End what is going on."""
        await self._channel.close()
