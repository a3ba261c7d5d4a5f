"""One gRPC stream to one pod. What answers must prove, by its certificate, that it is this
agent's.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

import grpc

from callfleet.v1 import fleet_pb2, fleet_pb2_grpc
from callfleet_operator.ports.pods import PodTarget

CONTROL_PORT = 7443
_OPTIONS = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 64 * 1024),
)


class DialError(Exception):
    """The stream ended or could not be opened. `refused`: the pod does not want this leader."""

    def __init__(self, code: str, *, refused: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.refused = refused


class Dialer(Protocol):
    def stream(
        self, target: PodTarget, intents: AsyncIterator[fleet_pb2.PodIntent]
    ) -> AsyncIterator[fleet_pb2.PodReport]:
        """Reports until the stream ends. Raises DialError; returns when the pod ends it in
        order.
        """
        ...


@dataclass(frozen=True)
class Identity:
    """Who we are, and whom we believe: PEM."""

    certificate: bytes
    key: bytes
    trust: bytes


@dataclass
class GrpcDialer:
    """`host_of(namespace, agent)` is the DNS SAN that the certificate of an agent's pods
    carries.
    """

    identity: Callable[[], Identity]
    host_of: Callable[[str, str], str]
    port: int = CONTROL_PORT

    async def stream(
        self, target: PodTarget, intents: AsyncIterator[fleet_pb2.PodIntent]
    ) -> AsyncIterator[fleet_pb2.PodReport]:
        identity = self.identity()
        credentials = grpc.ssl_channel_credentials(
            identity.trust, identity.key, identity.certificate
        )
        # gRPC checks the certificate's names against this one, and the chain against our CA.
        name = ("grpc.ssl_target_name_override", self.host_of(target.namespace, target.agent))
        address = f"[{target.address}]" if ":" in target.address else target.address
        channel = grpc.aio.secure_channel(
            f"{address}:{self.port}", credentials, options=(*_OPTIONS, name)
        )
        try:
            stub = fleet_pb2_grpc.AgentPodServiceStub(channel)  # type: ignore[no-untyped-call]
            call = stub.Control(intents)
            async for report in call:
                yield report
        except grpc.aio.AioRpcError as error:
            refused = error.code() is grpc.StatusCode.FAILED_PRECONDITION
            raise DialError(error.code().name, refused=refused) from error
        finally:
            await channel.close(None)
