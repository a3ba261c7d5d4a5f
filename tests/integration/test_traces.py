"""A trace goes through SIP, the link and gRPC."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from callfleet.v1 import session_pb2 as session_pb
from callfleet_agent.app.phone.turns import Turn
from callfleet_agent.tracing import use_tracer
from callfleet_agent.tracing.otel import OtelTracer
from fakes.connector import LOOPBACK, call, running, settings
from fakes.sip_by_hand import Sip, offer, until
from identities import AGENT
from platform_rig import rigged
from stores import Server, migrated

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing = OtelTracer("test", SimpleSpanProcessor(exporter))
    before = use_tracer(tracing)
    yield exporter
    use_tracer(before)
    tracing.close()


def traces(spans: InMemorySpanExporter, name: str) -> list[str]:
    found = [span for span in spans.get_finished_spans() if span.name == name]
    return [f"{span.context.trace_id:032x}" for span in found if span.context]


def trusting(network: str) -> Any:
    given = settings()
    return replace(given, listen=replace(given.listen, trusted=(network,)))


@pytest.mark.parametrize(
    ("network", "is_continued"), [("127.0.0.0/8", True), ("10.9.9.0/24", False)]
)
async def test_a_call_continues_the_trace_of_who_is_believed_and_says_its_own(
    spans: InMemorySpanExporter, network: str, is_continued: bool
) -> None:
    async with running(trusting(network)) as connector:
        sip = Sip(connector)
        invite = sip.request("INVITE", offer())
        answer = await sip.ask(invite.replace("CSeq:", f"Traceparent: {PARENT}\r\nCSeq:"))
        sip.close()
    said = re.search(r"(?m)^Traceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-0[0-9a-f]\r$", answer)
    assert said is not None
    assert (said[1] == TRACE) is is_continued
    assert traces(spans, "call") == [said[1]]


async def test_a_caller_without_a_trace_has_one_with_each_turn(
    spans: InMemorySpanExporter,
) -> None:
    async with running() as connector:
        await call(connector, Turn(keys="1"), Turn(keys="2"))
        await until(lambda: connector.calls == 0)
    assert len(traces(spans, "call")) == 1
    assert len(traces(spans, "turn")) == 2
    assert set(traces(spans, "turn")) == set(traces(spans, "call"))


async def test_nobody_traces_and_no_header_tells_of_it() -> None:
    async with running() as connector:
        sip = Sip(connector)
        answer = await sip.ask(sip.request("INVITE", offer()))
        sip.close()
    assert answer.startswith("SIP/2.0 200")
    assert "traceparent" not in answer.lower()


async def test_a_request_continues_the_trace_of_its_metadata(
    spans: InMemorySpanExporter, tmp_path: Path, postgres: Server, redis_server: Server
) -> None:
    await asyncio.to_thread(migrated, postgres.url)
    async with rigged(tmp_path, postgres.url, redis_server.url) as rig:
        metadata = (*rig.tokens.metadata(AGENT), ("traceparent", PARENT))
        made = session_pb.CallSession(sip_call_id=f"x@{LOOPBACK}", caller_phone="+15550123987")
        await rig.ask(rig.sessions.CreateSession, made, metadata=metadata)
        unknown = session_pb.GetSessionRequest(session_id="0" * 8)
        await rig.refused(rig.sessions.GetSession, unknown, metadata=metadata)
    found = {span.name: span for span in spans.get_finished_spans()}
    assert set(found) >= {"SessionManagerService/CreateSession", "SessionManagerService/GetSession"}
    assert traces(spans, "SessionManagerService/CreateSession") == [TRACE]
    assert dict(found["SessionManagerService/CreateSession"].attributes or {}) == {
        "rpc.method": "SessionManagerService/CreateSession", "rpc.status": "OK", "actor": AGENT,
    }  # fmt: skip
    refused = dict(found["SessionManagerService/GetSession"].attributes or {})
    assert refused["error.code"] == "INVALID_ARGUMENT"
