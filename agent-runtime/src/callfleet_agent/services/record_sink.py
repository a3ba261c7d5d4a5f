"""Records of calls, delivered to the session manager and the context store over gRPC.

A record is the request that delivers it, so that what is kept in the journal is what is sent. Each
carries a UUID by which the store knows it when it comes again.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from callfleet.v1 import context_pb2, context_pb2_grpc, session_pb2, session_pb2_grpc
from callfleet_agent.journal import DeliverLaterError, Entry, RefusedError
from callfleet_agent.services.client import NotReadyError, Service
from callfleet_agent.services.refused import refused

LIMIT_S: Final = 5.0
# The store is away, or the installation does not let us in: neither is the record's fault.
_LATER: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.CANCELLED,
    }
)
# The store's own word (it has details) means that the record breaks it; gRPC's means nothing.
_DEPENDS: Final = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN})
_THERE: Final = frozenset({grpc.StatusCode.ALREADY_EXISTS})


class RecordKind(IntEnum):
    """What a record is."""

    CALL_STARTED = 1
    TURN_ENDED = 2
    CALL_ENDED = 3


REQUESTS: Final[dict[RecordKind, type[Message]]] = {
    RecordKind.CALL_STARTED: session_pb2.CallSession,
    RecordKind.TURN_ENDED: context_pb2.ContextUpdateRequest,
    RecordKind.CALL_ENDED: session_pb2.EndSessionRequest,
}


class GrpcSink:
    """Delivers to the two services. Without a context store nobody takes a turn."""

    def __init__(self, sessions: Service, contexts: Service | None) -> None:
        session_stub: Any = session_pb2_grpc.SessionManagerServiceStub
        context_stub: Any = context_pb2_grpc.ContextStoreServiceStub
        self._rpcs: dict[RecordKind, tuple[Service, Callable[[Any], Any], str]] = {
            RecordKind.CALL_STARTED: (sessions, session_stub, "CreateSession"),
            RecordKind.CALL_ENDED: (sessions, session_stub, "EndSession"),
        }
        if contexts is not None:
            self._rpcs[RecordKind.TURN_ENDED] = (contexts, context_stub, "UpdateContext")

    async def deliver(self, entry: Entry) -> None:
        """Send a record.

        Raises:
            DeliverLaterError: the store is away, or does not let us in at this moment.
            RefusedError: it will never take the record.
        """
        try:
            kind = RecordKind(entry.kind)
            request = REQUESTS[kind].FromString(entry.payload)
        except (ValueError, DecodeError):
            raise RefusedError("UNREADABLE") from None
        if kind not in self._rpcs:  # a former process had another environment
            raise RefusedError("NO_STORE")
        client, stub, name = self._rpcs[kind]
        try:
            rpc = getattr(client.stub(stub), name)
            await rpc(request, metadata=client.metadata(str(entry.id)), timeout=LIMIT_S)
        except NotReadyError:
            raise DeliverLaterError("NOT_READY") from None
        except grpc.aio.AioRpcError as error:
            _judge(error)


def _judge(error: grpc.aio.AioRpcError) -> None:
    said = refused(error)
    if said.status in _THERE:
        return
    if said.status in _LATER or (said.status in _DEPENDS and not said.is_the_services):
        raise DeliverLaterError(said.status.name) from None
    raise RefusedError(said.code or said.status.name) from None
