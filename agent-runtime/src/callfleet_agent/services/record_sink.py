"""Records of calls, delivered to the session manager and the context store over gRPC.

A record is the request that delivers it, so that what is kept in the journal is what is sent. Each
carries a UUID by which the store knows it when it comes again.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError, Message

from callfleet.v1 import context_pb2, context_pb2_grpc, session_pb2, session_pb2_grpc
from callfleet_agent.journal import DeliverLaterError, Entry, RefusedError
from callfleet_agent.services.refusals import DETAILS
from callfleet_agent.tracing import trace_metadata

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
    """Delivers over one channel to each of the two services; `token` gives one for an audience."""

    def __init__(
        self,
        sessions: grpc.aio.Channel,
        contexts: grpc.aio.Channel,
        token: Callable[[str], str],
    ) -> None:
        session_stub: Any = session_pb2_grpc.SessionManagerServiceStub(sessions)  # type: ignore[no-untyped-call]
        context_stub: Any = context_pb2_grpc.ContextStoreServiceStub(contexts)  # type: ignore[no-untyped-call]
        self._token = token
        self._rpcs: dict[RecordKind, tuple[Any, str]] = {
            RecordKind.CALL_STARTED: (session_stub.CreateSession, "session-manager"),
            RecordKind.TURN_ENDED: (context_stub.UpdateContext, "context-store"),
            RecordKind.CALL_ENDED: (session_stub.EndSession, "session-manager"),
        }

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
        rpc, audience = self._rpcs[kind]
        metadata = (
            ("authorization", f"Bearer {self._token(audience)}"),
            ("x-correlation-id", str(entry.id)),
            *trace_metadata(),
        )
        try:
            await rpc(request, metadata=metadata, timeout=LIMIT_S)
        except grpc.aio.AioRpcError as error:
            code = error.code()
            if code in _THERE:
                return
            if code in _LATER or (code in _DEPENDS and not _has_details(error)):
                raise DeliverLaterError(code.name) from None
            raise RefusedError(code.name) from None


def _has_details(error: grpc.aio.AioRpcError) -> bool:
    trailers: Any = error.trailing_metadata() or ()
    return any(name == DETAILS for name, _ in trailers)
