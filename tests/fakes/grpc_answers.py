"""A gRPC server whose RPCs answer as a test says: for clients of the platform's services."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message

from callfleet_agent.services.refusals import refusal_of
from identities import OnChannel

Answer = Callable[[Any], Awaitable[Message]]


@asynccontextmanager
async def answering(service: str, **rpcs: tuple[type[Message], Answer]) -> AsyncIterator[OnChannel]:
    """The service on a channel; an answer that raises is refused as the real one does it, with
    details, and a BareError without."""
    server = grpc.aio.server()
    handlers = {name: _handler(kind, answer) for name, (kind, answer) in rpcs.items()}
    generic = grpc.method_handlers_generic_handler(f"callfleet.v1.{service}", handlers)
    server.add_generic_rpc_handlers((generic,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield OnChannel(channel)
    finally:
        await server.stop(None)


class BareError(Exception):
    """A status without the service's word."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(code.name)
        self.code = code


def _handler(kind: type[Message], answer: Answer) -> Any:
    async def handle(request: Any, context: Any) -> Any:
        try:
            return await answer(request)
        except BareError as error:
            await context.abort(error.code, "no")
        except Exception as error:
            said = refusal_of(error)
            await context.abort(said.status, said.message, said.metadata("c-1"))

    return grpc.unary_unary_rpc_method_handler(
        handle,
        request_deserializer=kind.FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )
