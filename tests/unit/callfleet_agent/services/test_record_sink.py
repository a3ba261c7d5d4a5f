"""Which refusals are the record's fault, and which are not."""

from typing import Any
from uuid import UUID

import grpc
import pytest

from callfleet_agent.journal import DeliverLaterError, Entry, RefusedError, Weight
from callfleet_agent.services.record_sink import GrpcSink, RecordKind

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
        trailers = (("grpc-status-details-bin", b"x"),) if details else ()
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
            sink = GrpcSink(on, on, lambda _: "t")
            if outcome is None:
                await sink.deliver(ENTRY)
            else:
                with pytest.raises(outcome):
                    await sink.deliver(ENTRY)
    finally:
        await server.stop(None)
