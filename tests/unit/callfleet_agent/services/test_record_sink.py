"""Which refusals are the record's fault, and which are not."""

from typing import Any
from uuid import UUID

import grpc
import pytest

from callfleet_agent.journal import DeliverLaterError, Entry, RefusedError, Weight
from callfleet_agent.services.client import NotReadyError
from callfleet_agent.services.record_sink import GrpcSink, RecordKind
from callfleet_agent.services.refusals import DETAILS, refusal_of
from callfleet_agent.session.errors import SessionEndedError
from identities import OnChannel

SAID = dict(refusal_of(SessionEndedError()).metadata("c"))[DETAILS]
ENTRY = Entry(1, Weight.DETAIL, RecordKind.TURN_ENDED, UUID(int=1), UUID(int=2), b"")


@pytest.mark.parametrize(
    ("code", "details", "outcome"),
    [
        (grpc.StatusCode.UNAVAILABLE, True, DeliverLaterError),
        (grpc.StatusCode.UNAUTHENTICATED, True, DeliverLaterError),
        (grpc.StatusCode.PERMISSION_DENIED, True, DeliverLaterError),
        (grpc.StatusCode.INTERNAL, False, DeliverLaterError),
        (grpc.StatusCode.INTERNAL, True, RefusedError),
        (grpc.StatusCode.INVALID_ARGUMENT, True, RefusedError),
        (grpc.StatusCode.NOT_FOUND, True, RefusedError),
        (grpc.StatusCode.FAILED_PRECONDITION, True, RefusedError),
        (grpc.StatusCode.ALREADY_EXISTS, True, None),
    ],
)
async def test_what_is_tried_again(
    code: grpc.StatusCode, details: bool, outcome: type[Exception] | None
) -> None:
    async def refuse(_: bytes, context: Any) -> bytes:
        trailers = (("grpc-status-details-bin", SAID),) if details else ()
        await context.abort(code, "no", trailers)
        return b""

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(refuse)
    service = "callfleet.v1.ContextStoreService"
    handlers = grpc.method_handlers_generic_handler(service, {"UpdateContext": handler})
    server.add_generic_rpc_handlers((handlers,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as on:
            sink = GrpcSink(OnChannel(on), OnChannel(on))
            if outcome is None:
                await sink.deliver(ENTRY)
            else:
                with pytest.raises(outcome):
                    await sink.deliver(ENTRY)
    finally:
        await server.stop(None)


async def test_a_pod_without_a_token_waits() -> None:
    def none_yet() -> str:
        raise NotReadyError("there is no token yet")

    async with grpc.aio.insecure_channel("127.0.0.1:1") as nowhere:
        peer = OnChannel(nowhere, none_yet)
        with pytest.raises(DeliverLaterError):
            await GrpcSink(peer, peer).deliver(ENTRY)


async def test_a_turn_without_a_context_store_is_refused() -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as nowhere:
        with pytest.raises(RefusedError, match="NO_STORE"):
            await GrpcSink(OnChannel(nowhere), None).deliver(ENTRY)
