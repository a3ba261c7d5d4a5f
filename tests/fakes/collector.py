"""FakeCollector: an OTLP receiver that really listens, over gRPC, and keeps the spans that come."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import (
    trace_service_pb2,
    trace_service_pb2_grpc,
)
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass(frozen=True)
class Collected:
    """A span as it came over the wire; ids in hex, an absent parent is empty."""

    name: str
    trace: str
    span: str
    parent: str
    service: str
    attributes: Mapping[str, object]
    failed: bool
    began_ns: int
    ended_ns: int


class FakeCollector(trace_service_pb2_grpc.TraceServiceServicer):
    """`async with FakeCollector() as collector:` then `collector.endpoint`. `refusals`: how many
    exports are refused before one is taken."""

    def __init__(self, refusals: int = 0) -> None:
        self.spans: list[Collected] = []
        self.exports = 0
        self.endpoint = ""
        self._refusals = refusals
        self._server: grpc.aio.Server | None = None
        self._came = asyncio.Condition()

    async def __aenter__(self) -> "FakeCollector":
        self._server = server = grpc.aio.server()
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call]
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self.endpoint = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        assert self._server is not None
        await self._server.stop(None)

    async def Export(  # noqa: N802, the name is the protocol's
        self,
        request: trace_service_pb2.ExportTraceServiceRequest,
        context: Any,
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        """Take spans."""
        self.exports += 1
        if self.exports <= self._refusals:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        async with self._came:
            for of in request.resource_spans:
                service = _plain(of.resource.attributes).get("service.name")
                for scope in of.scope_spans:
                    self.spans += [_collected(span, str(service)) for span in scope.spans]
            self._came.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    async def until(self, *names: str, within_s: float = 60) -> list[Collected]:
        """The spans, once there is one of each name."""
        async with asyncio.timeout(within_s), self._came:
            await self._came.wait_for(lambda: set(names) <= {span.name for span in self.spans})
        return list(self.spans)


def _collected(span: trace_pb2.Span, service: str) -> Collected:
    return Collected(
        name=span.name,
        trace=span.trace_id.hex(),
        span=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        service=service,
        attributes=_plain(span.attributes),
        failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        began_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
    )


def _plain(attributes: Any) -> dict[str, object]:
    return {one.key: _value(one.value) for one in attributes}


def _value(value: common_pb2.AnyValue) -> object:
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)
