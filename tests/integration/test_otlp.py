"""Traces as a collector gets them: OTLP over gRPC, from a whole call and from the services."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from callfleet.v1 import connector_pb2, connector_pb2_grpc
from callfleet.v1 import session_pb2 as session_pb
from callfleet_agent.app.connector import Connector
from callfleet_agent.app.phone.phone import Phone, PhoneSettings
from callfleet_agent.app.phone.turns import Turn
from callfleet_agent.app.trace_setup import traced
from callfleet_agent.tracing import continued, trace_metadata
from fakes.bank import FakeBank
from fakes.collector import Collected, FakeCollector
from fakes.connector import LOOPBACK, call, running, settings
from fakes.sip_by_hand import Sip, in_dialog, offer, until
from identities import AGENT, CLIENT, ISSUER, SERVICE, Authority, Tokens, channel
from platform_rig import PHONE, rigged, session_manager, stub
from ports import free_port
from spoken_streams import PCMU, tokens, until_said
from stores import Server, migrated

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
STAGES = {"endpointing", "recognition", "dialog", "bank", "speech"}


@pytest.fixture
async def collector() -> AsyncIterator[FakeCollector]:
    async with FakeCollector() as collector:
        yield collector


@asynccontextmanager
async def telling(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, limit_s: int = 60
) -> AsyncIterator[None]:
    """This process traces, as its environment says. What is left is sent at the end while the loop
    runs on, in which the collector takes it."""
    for name, value in environment(endpoint, limit_s).items():
        monkeypatch.setenv(name, value)
    with ExitStack() as tracing:
        tracing.enter_context(traced("callfleet-agent", os.environ))
        try:
            yield
        finally:
            await asyncio.to_thread(tracing.close)


def environment(endpoint: str, limit_s: int = 60) -> dict[str, str]:
    """`limit_s`: how long a collector is tried."""
    return {
        "CALLFLEET_TRACING": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_TIMEOUT": str(limit_s),
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }


def named(spans: list[Collected], name: str) -> list[Collected]:
    return [span for span in spans if span.name == name]


MANIFEST = """
apiVersion: callfleet.io/v1alpha1
kind: VoiceAgent
metadata: {{name: card-line}}
spec:
  banking: {{url: "{url}"}}
  capacity: {{workers: 1}}
"""


@pytest.fixture
async def connector(tmp_path: Path) -> AsyncIterator[Connector]:
    """A connector with a real worker and a bank."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed here")
    async with FakeBank() as bank:
        manifest = tmp_path / "agent.yaml"
        manifest.write_text(MANIFEST.format(url=bank.url))
        given = settings(banking={"url": bank.url}, capacity={"workers": 1})
        connector = Connector(replace(given, worker_file=manifest))
        up = asyncio.Event()
        process = asyncio.create_task(connector.run(lambda _: up.set()))
        async with asyncio.timeout(150):
            await up.wait()
        yield connector
        connector.stop_now()
        await process


async def conversation(connector: Connector) -> None:
    turns = (Turn(say="where is my credit card"), Turn(keys="200417"), Turn(keys="4271"))
    options: dict[str, Any] = {"recognise": False, "turn_timeout_s": 40.0}
    uri = f"sip:+15550100@{LOOPBACK}:{connector.sip_port}"
    await Phone(PhoneSettings(uri=uri, bind=LOOPBACK, turns=turns, **options)).run()


@pytest.mark.slow
@pytest.mark.spoken(minutes=1.9)
async def test_a_call_is_one_trace_with_a_span_for_each_turn_and_stage(
    connector: Connector, collector: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with telling(collector.endpoint, monkeypatch):
        await conversation(connector)
        await until(lambda: connector.calls == 0, 40)
        spans = await collector.until("call", *STAGES)

    (whole,) = named(spans, "call")
    turns = named(spans, "turn")
    assert {span.trace for span in spans} == {whole.trace}
    assert {span.service for span in spans} == {"callfleet-agent"}
    assert whole.parent == ""
    assert len(turns) >= 3
    assert {turn.parent for turn in turns} == {whole.span}
    assert [turn.attributes["turn.number"] for turn in turns] == sorted(
        turn.attributes["turn.number"]  # type: ignore[type-var]
        for turn in turns
    )
    for stage in STAGES:
        of = named(spans, stage)
        assert {one.parent for one in of} <= {turn.span for turn in turns}, stage
        assert all(one.began_ns <= one.ended_ns for one in of)
    for turn in turns:
        assert any(one.parent == turn.span for one in spans), "a turn without a stage"


@pytest.mark.slow
@pytest.mark.spoken(minutes=1.9)
@pytest.mark.timeout(420)
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed here")
async def test_a_conversation_over_streams_is_one_trace_with_a_span_for_each_turn_and_stage(
    tmp_path: Path,
    postgres: Server,
    redis_server: Server,
    collector: FakeCollector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await asyncio.to_thread(migrated, postgres.url)
    stages = STAGES - {"bank"}
    async with telling(collector.endpoint, monkeypatch):
        roles = {"roles": ("ai-voice-connector",)}
        async with rigged(tmp_path, postgres.url, redis_server.url, **roles) as rig:
            files = rig.authority.issue(tmp_path / "client", CLIENT)
            async with channel(rig.platform.port, files) as on:
                avc = stub(connector_pb2_grpc.AIVoiceConnectorServiceStub, on)
                made = await avc.CreateSession(
                    connector_pb2.CreateSessionRequest(format=PCMU, sample_rate=8000),
                    metadata=(*tokens(rig), ("traceparent", PARENT)),
                )
                session = made.session_id
                for words in ("where is my credit card", "help"):  # over two streams
                    await until_said(avc, tokens(rig), session, 2, words, within_s=120)
                assert named(collector.spans, "call") == []
                await avc.EndSession(
                    session_pb.EndSessionRequest(session_id=session), metadata=tokens(rig)
                )
            spans = await collector.until("call", *stages)

    (whole,) = named(spans, "call")
    (request,) = named(spans, "AIVoiceConnectorService/CreateSession")
    turns = named(spans, "turn")
    assert (request.trace, whole.trace, whole.parent) == (TRACE, TRACE, request.span)
    assert whole.attributes["call.id"] == session
    assert whole.attributes["call.cause"] == "completed"
    assert not whole.failed
    assert len(turns) >= 2
    assert {turn.parent for turn in turns} == {whole.span}
    for stage in stages:
        of = named(spans, stage)
        assert {one.parent for one in of} <= {turn.span for turn in turns}, stage
    assert "credit" not in str(spans)


async def test_a_sip_header_carries_the_trace_in_and_out(
    collector: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = settings()
    trusting = replace(given, listen=replace(given.listen, trusted=("127.0.0.0/8",)))
    async with telling(collector.endpoint, monkeypatch):
        async with running(trusting) as connector:
            sip = Sip(connector)
            invite = sip.request("INVITE", offer())
            answer = await sip.ask(invite.replace("CSeq:", f"Traceparent: {PARENT}\r\nCSeq:"))
            await sip.send(in_dialog(sip, answer, "ACK", 1).encode())
            await sip.ask(in_dialog(sip, answer, "BYE", 2))
            await until(lambda: connector.calls == 0)
            sip.close()
        spans = await collector.until("call")
    (found,) = named(spans, "call")
    assert (found.trace, found.parent) == (TRACE, PARENT.split("-")[2])
    assert f"Traceparent: 00-{TRACE}-{found.span}-01" in answer


async def test_the_services_continue_a_trace_that_comes_over_grpc(
    tmp_path: Path,
    postgres: Server,
    redis_server: Server,
    collector: FakeCollector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await asyncio.to_thread(migrated, postgres.url)
    async with (
        telling(collector.endpoint, monkeypatch),
        rigged(tmp_path, postgres.url, redis_server.url) as rig,
    ):
        with continued(PARENT):
            metadata = (*rig.tokens.metadata(AGENT), *trace_metadata())
            made = session_pb.CallSession(sip_call_id="a@b", caller_phone=PHONE)
            await rig.ask(rig.sessions.CreateSession, made, metadata=metadata)
            bad = session_pb.GetSessionRequest(session_id="x")
            await rig.refused(rig.sessions.GetSession, bad, metadata=metadata)
    spans = await collector.until(
        "SessionManagerService/CreateSession", "SessionManagerService/GetSession"
    )
    assert {(span.trace, span.parent) for span in spans} == {(TRACE, PARENT.split("-")[2])}
    (refused,) = named(spans, "SessionManagerService/GetSession")
    assert refused.failed
    assert refused.attributes["error.code"] == "INVALID_ARGUMENT"
    assert PHONE not in str(spans)


async def test_a_served_process_tells_its_spans_also_those_of_its_last_moment(
    tmp_path: Path, postgres: Server, redis_server: Server, collector: FakeCollector
) -> None:
    await asyncio.to_thread(migrated, postgres.url)
    authority, tokens, port = Authority(), Tokens(tmp_path / "jwks.json"), free_port()
    server = authority.issue(tmp_path / "server", SERVICE)
    agent = authority.issue(tmp_path / "agent", AGENT)
    main = [sys.executable, "-m", "callfleet_agent.main"]
    sealing = str(tmp_path / "sealing")
    made = await asyncio.create_subprocess_exec(
        *main, "storage", "new-key", "k1", "--sealing-keys", sealing
    )
    assert await made.wait() == 0
    process = await asyncio.create_subprocess_exec(
        *main, "serve", "session-manager", "--bind", LOOPBACK, "--port", str(port),
        "--http-port", str(free_port()), "--tls", str(server.certificate.parent),
        "--token-keys", str(tokens.path), "--token-issuer", ISSUER, "--sealing-keys", sealing,
        "--database-url", postgres.url, "--redis-url", redis_server.url,
        env={**os.environ, **environment(collector.endpoint), "OTEL_BSP_SCHEDULE_DELAY": "60000"},
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with channel(port, agent) as on:
            metadata = (*tokens.metadata(AGENT), ("traceparent", PARENT))
            request = session_pb.CallSession(sip_call_id="a@b")
            await session_manager(on).CreateSession(
                request, metadata=metadata, timeout=150, wait_for_ready=True
            )
        assert collector.spans == []  # they wait for a minute, or for the process's end
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 120) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    (span,) = await collector.until("SessionManagerService/CreateSession")
    assert (span.trace, span.service) == (TRACE, "callfleet-session-manager")


async def test_a_collector_that_is_away_for_a_moment_gets_the_spans_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with FakeCollector(refusals=1) as collector, telling(collector.endpoint, monkeypatch):
        async with running() as connector:
            await call(connector, Turn(keys="1"))
            await until(lambda: connector.calls == 0)
        spans = await collector.until("call", "turn")
    assert collector.exports >= 2
    assert len({span.trace for span in spans}) == 1


async def test_a_call_goes_on_when_there_is_no_collector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nowhere = f"http://{LOOPBACK}:{free_port()}"
    async with telling(nowhere, monkeypatch, limit_s=2), running() as connector:
        report = await call(connector, Turn(keys="1"), Turn(keys="#"))
        await until(lambda: connector.calls == 0)
    assert report.turns
