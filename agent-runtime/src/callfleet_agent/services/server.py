"""A gRPC server of one or several services: TLS 1.3, the edge, health, reflection, and bounds."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from callfleet_agent.services.edge import MAX_MESSAGE_BYTES, Edge, Reader
from callfleet_agent.services.errors import ServicesError

# What is longer than a message may be is still read, or gRPC would refuse it without a reason.
READ_BYTES: Final = MAX_MESSAGE_BYTES + (1 << 20)
MAX_REQUESTS: Final = 1000
DRAIN_S: Final = 10.0
MAX_CONNECTION_AGE_MS: Final = 600_000


@dataclass(frozen=True, slots=True)
class Part:
    """One service: its full name, how it is added to a server, and how its requests are read."""

    name: str
    add: Callable[[Any, grpc.aio.Server], None]
    servicer: Any
    readers: Mapping[str, Reader] = field(default_factory=dict)


class ServiceServer:
    """Serves until closed; not ready before `start`, and not any more from `close` on. Without
    credentials it serves nobody but in the clear."""

    def __init__(
        self, parts: Iterable[Part], edge: Edge, credentials: grpc.ServerCredentials | None
    ) -> None:
        self._parts = tuple(parts)
        self._credentials = credentials
        self._server = grpc.aio.server(
            interceptors=[edge],
            maximum_concurrent_rpcs=MAX_REQUESTS,
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", READ_BYTES),
                ("grpc.max_metadata_size", 16 * 1024),
                ("grpc.keepalive_time_ms", 30_000),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
                ("grpc.max_concurrent_streams", 256),
                # Clients come back to another replica from time to time, so that a new one gets
                # its share; what is going on has all the time that it needs.
                ("grpc.max_connection_age_ms", MAX_CONNECTION_AGE_MS),
            ],
        )
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]

    async def start(self, host: str, port: int, *, plain: tuple[str, int] | None = None) -> int:
        """Listen, also in the clear where that is wanted; the port.

        Raises:
            ServicesError: the address cannot be used.
        """
        for part in self._parts:
            part.add(part.servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = [part.name for part in self._parts]
        reflection.enable_server_reflection(
            [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server
        )
        bound = self._listen(host, port, self._credentials)
        if plain is not None:
            self._listen(*plain, None)
        await self._server.start()
        await self.serving(ready=True)
        return bound

    def _listen(self, host: str, port: int, credentials: grpc.ServerCredentials | None) -> int:
        address = f"{host}:{port}"
        try:
            if credentials is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise ServicesError(f"cannot listen for gRPC on {address}") from error

    async def serving(self, *, ready: bool) -> None:
        """What the health service says of every service."""
        status = (
            health_pb2.HealthCheckResponse.SERVING
            if ready
            else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in ("", *(part.name for part in self._parts)):
            await self._health.set(name, status)

    async def close(self, grace_s: float = DRAIN_S) -> None:
        """Take no new request, let those in progress end, then stop."""
        await self._health.enter_graceful_shutdown()
        await asyncio.shield(self._server.stop(grace_s))
