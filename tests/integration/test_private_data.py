"""Marked secrets go into calls and requests; afterwards nothing that is watched may hold one.

Logs (at DEBUG, of the connector, its worker processes and the services), metrics, traces, events,
errors and Redis' key names are searched, with the secrets in every form in which they could be
written.
"""

import asyncio
import base64
import io
import logging
import re
import shutil
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import aiohttp
import grpc
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest
from redis.asyncio import Redis

from callfleet.v1 import banking_pb2 as bank_pb
from callfleet.v1 import context_pb2 as context_pb
from callfleet.v1 import session_pb2 as session_pb
from callfleet_agent.app import logs
from callfleet_agent.app.connector import Connector
from callfleet_agent.app.phone.phone import Phone, PhoneSettings
from callfleet_agent.app.phone.turns import Turn
from callfleet_agent.banking.demo_bank import DemoCard, DemoCustomer
from callfleet_agent.banking.port import CardStatus
from callfleet_agent.tracing import use_tracer
from callfleet_agent.tracing.otel import OtelTracer
from fakes.bank import FakeBank, Fault
from fakes.connector import LOOPBACK, settings
from fakes.sip_by_hand import Sip, in_dialog, offer, until
from identities import AGENT
from platform_rig import proof, rigged
from stores import Server, database, migrated

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CALLER: Final = "+4915199887766"
DISPLAY: Final = "Zebulon Quarkheim"
HEADER: Final = "tk_live_hG7rQ2mZx9"
NUMBER: Final = "739518"  # the customer's
CARD: Final = "8306"
SPOKEN: Final = "eight three zero six"
BIRTH: Final = "1980-02-29"
REFERENCE: Final = "c-zebulon-1"
SAID: Final = "my mother's name is Wilhelmina"
SECRETS: Final = {
    "caller id": CALLER.removeprefix("+"),
    "display name": DISPLAY,
    "SIP header": HEADER,
    "customer number": NUMBER,
    "card digits": CARD,
    "spoken digits": SPOKEN,
    "date of birth": BIRTH,
    "the bank's reference": REFERENCE,
    "what was said": SAID,
}
MOST_CALLS: Final = 3  # what is recognised varies; a conversation must get to its end once
WHOLE: Final = {"authentications", "card-delivery"}
CUSTOMER = DemoCustomer(REFERENCE, NUMBER, CARD, CARD, CALLER, DemoCard(CardStatus.SHIPPED))


def forms(secret: str) -> set[str]:
    """The secret as it could be written somewhere."""
    raw = secret.encode()
    return {
        secret, secret.replace(" ", ""), " ".join(secret), urllib.parse.quote(secret),
        base64.b64encode(raw).decode().rstrip("="), raw.hex(), secret[::-1],
        secret.replace("-", ""),
    }  # fmt: skip


def leaks(text: str, secrets: dict[str, str]) -> list[str]:
    """Which secrets are in the text, and around what. Digits are no secret inside a longer run of
    letters and digits: ids and moments hold any four of them."""
    found = []
    for name, secret in secrets.items():
        for form in forms(secret):
            bound = r"[0-9A-Za-z.]" if form.isdigit() and len(form) < 8 else r"(?!)"
            pattern = rf"(?<!{bound}){re.escape(form)}(?!{bound})"
            if bound == r"(?!)":
                pattern = re.escape(form)
            found += [
                f"{name}: …{text[max(0, hit.start() - 60) : hit.end() + 20]}…"
                for hit in re.finditer(pattern, text, re.IGNORECASE)
            ]
    return found


@pytest.mark.parametrize("secret", SECRETS.values())
@pytest.mark.parametrize(
    "around", ["{}", '{{"caller": "{}"}}', 'phone="{}"', "key:{}:x", "(“{}”)", "x={}\n"]
)
def test_the_search_finds_what_it_looks_for(secret: str, around: str) -> None:
    for form in forms(secret):
        assert leaks(around.format(form), {"it": secret})


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that this process logs."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    logs.configure("test", "DEBUG", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing = OtelTracer("test", SimpleSpanProcessor(exporter))
    before = use_tracer(tracing)
    yield exporter
    use_tracer(before)
    tracing.close()


def traced(spans: InMemorySpanExporter) -> str:
    found = spans.get_finished_spans()
    assert found
    return "\n".join(span.to_json() for span in found)


MANIFEST = """
apiVersion: callfleet.io/v1alpha1
kind: VoiceAgent
metadata: {{name: card-line}}
spec:
  banking: {{url: "{url}"}}
  capacity: {{workers: 1}}
"""


@pytest.fixture
async def bank() -> AsyncIterator[FakeBank]:
    async with FakeBank([CUSTOMER]) as bank:
        yield bank


@pytest.fixture
async def connector(
    tmp_path: Path, bank: FakeBank, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Connector]:
    """A connector with real workers, that believes its callers' proxy."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed here")
    monkeypatch.setenv("CALLFLEET_LOG_LEVEL", "DEBUG")
    manifest = tmp_path / "agent.yaml"
    manifest.write_text(MANIFEST.format(url=bank.url))
    given = settings(banking={"url": bank.url}, capacity={"workers": 1})
    listen = replace(given.listen, trusted=("127.0.0.0/8",))
    connector = Connector(replace(given, listen=listen, worker_file=manifest))
    up = asyncio.Event()
    process = asyncio.create_task(connector.run(lambda _: up.set()))
    async with asyncio.timeout(90):
        await up.wait()
    yield connector
    connector.stop_now()
    await process


def asserted(sip: Sip) -> str:
    """An INVITE with a secret wherever there is room for one."""
    return (
        sip.request("INVITE", offer())
        .replace(
            "From: <sip:a@127.0.0.1>", f'From: "{DISPLAY}" <sip:{CALLER}@127.0.0.1;x={HEADER}>'
        )
        .replace(
            "CSeq:",
            f'P-Asserted-Identity: "{DISPLAY}" <sip:{CALLER}@127.0.0.1>\r\n'
            f"X-Customer: {HEADER}\r\nSubject: {SAID}\r\nUser-Agent: {HEADER}\r\n"
            f"Authorization: Bearer {HEADER}\r\nTraceparent: {HEADER}\r\nCSeq:",
        )
    )


async def keyed_call(connector: Connector, name: str) -> None:
    """A call by hand, with keys in INFO, and a message that cannot be read."""
    sip = Sip(connector)
    try:
        await _keyed_call(sip, name)
    finally:
        sip.close()


async def _keyed_call(sip: Sip, name: str) -> None:
    def mine(request: str) -> str:
        return request.replace("call-INVITE-1", name).replace("tag=f1", f"tag={name}")

    answer = await sip.ask(mine(asserted(sip)))
    assert answer.startswith("SIP/2.0 200")
    assert leaks(_without_echoes(answer), SECRETS) == []
    await sip.send(mine(in_dialog(sip, answer, "ACK", 1)).encode())
    await asyncio.sleep(1.0)
    for number, digit in enumerate(NUMBER + CARD, start=2):
        info = in_dialog(sip, answer, "INFO", number, f"Signal={digit}\r\nDuration=100\r\n")
        await sip.ask(mine(info.replace("application/sdp", "application/dtmf-relay")))
    await sip.send(f"INVITE {CALLER} {DISPLAY}\r\nX: {HEADER}\r\n\r\n".encode())
    await asyncio.sleep(1.0)
    await sip.ask(mine(in_dialog(sip, answer, "BYE", 40)))


def _without_echoes(answer: str) -> str:
    """Without what a response must repeat of its request."""
    return "\n".join(
        line for line in answer.splitlines() if not line.startswith(("From:", "To:", "Via:"))
    )


async def spoken_call(connector: Connector) -> None:
    turns = (
        Turn(say="where is my credit card"), Turn(keys=NUMBER), Turn(say=SPOKEN), Turn(say="yes"),
        Turn(keys=CARD), Turn(say=SAID),
    )  # fmt: skip
    phone = Phone(
        PhoneSettings(
            uri=f"sip:+15550100@{LOOPBACK}:{connector.sip_port}",
            bind=LOOPBACK,
            turns=turns,
            from_uri=f"sip:{CALLER}@{LOOPBACK}",
            recognise=False,
            turn_timeout_s=8.0,
        )
    )
    await phone.run()


def asked(bank: FakeBank) -> set[str]:
    return {request.rpartition("/")[2] for request in bank.requests}


async def test_a_call_leaves_nothing_private_behind(
    connector: Connector,
    bank: FakeBank,
    log: io.StringIO,
    spans: InMemorySpanExporter,
    capfd: pytest.CaptureFixture[str],
) -> None:
    await keyed_call(connector, "first")
    await until(lambda: connector.calls == 0, 40)
    for _ in range(MOST_CALLS):
        await spoken_call(connector)
        await until(lambda: connector.calls == 0, 40)
        if asked(bank) == WHOLE:
            break
    assert asked(bank) == WHOLE
    bank.fault = Fault.status(500)
    await keyed_call(connector, "second")
    await until(lambda: connector.calls == 0, 40)
    async with aiohttp.ClientSession() as client:
        url = f"http://{LOOPBACK}:{connector.http_port}/metrics"
        async with client.get(url) as answer:
            metrics = await answer.text()
    captured = capfd.readouterr()
    watched = {
        "log": log.getvalue(),
        "workers' log": captured.err,
        "output": captured.out,
        "metrics": metrics,
        "traces": traced(spans),
        "report": str(connector.report()),
    }

    assert "call detail record" in watched["log"]
    assert "callfleet_voice_to_voice_seconds_count" in metrics
    assert '"turn"' in watched["traces"]
    found = {name: leaks(text, SECRETS) for name, text in watched.items()}
    assert {name: hits for name, hits in found.items() if hits} == {}


async def test_requests_to_the_services_leave_nothing_private_behind(
    tmp_path: Path,
    postgres: Server,
    redis_server: Server,
    log: io.StringIO,
    spans: InMemorySpanExporter,
    capfd: pytest.CaptureFixture[str],
) -> None:
    await asyncio.to_thread(migrated, postgres.url)
    errors: list[str] = []
    async with rigged(tmp_path, postgres.url, redis_server.url, burst=500.0) as rig:
        rig.bank.state.customers.append(CUSTOMER)
        token = rig.tokens.metadata(AGENT)
        secrets = {**SECRETS, "token": token[0][1].removeprefix("Bearer ")}

        async def ask(rpc: Any, request: Any, metadata: Any = token) -> None:
            try:
                await rpc(request, metadata=metadata, timeout=10)
            except grpc.aio.AioRpcError as error:
                errors.append(f"{error.details()} {error.trailing_metadata()}")

        session = await rig.session(caller_phone=CALLER)
        born = bank_pb.AUTHENTICATION_METHOD_DATE_OF_BIRTH
        history = context_pb.ConversationMessage(role=context_pb.ROLE_CALLER, content=SAID)
        update = context_pb.ContextUpdateRequest(
            session_id=session, append=[history], request_id=str(uuid4())
        )
        update.customer_data.update({"phone": CALLER, "name": DISPLAY, "pin": CARD})
        await ask(rig.contexts.UpdateContext, update)
        for fault in (None, Fault.status(500, times=9), Fault.malformed(times=9)):
            rig.bank.fault = fault
            await ask(rig.banking.AuthenticateCustomer, proof(session, CARD, customer_id=NUMBER))
            await ask(
                rig.banking.AuthenticateCustomer,
                proof(session, BIRTH, customer_id=NUMBER, method=born),
            )
            card = bank_pb.CardDeliveryRequest(session_id=session, customer_id=NUMBER)
            await ask(rig.banking.QueryCardDelivery, card)
        for field in ("session_id", "customer_id", "credential", "request_id"):
            for value in (SAID, DISPLAY * 100, CALLER, HEADER, BIRTH):
                wrong = proof(session, **({} if field == "credential" else {field: value}))
                if field == "credential":
                    wrong.credential = value
                await ask(rig.banking.AuthenticateCustomer, wrong)
        made = session_pb.CallSession(sip_call_id=HEADER * 40, caller_phone=f"{CALLER} {DISPLAY}")
        await ask(rig.sessions.CreateSession, made)
        await ask(rig.sessions.GetSession, session_pb.GetSessionRequest(session_id=CALLER))
        for bad in (f"Bearer {HEADER}", HEADER, f"Bearer {token[0][1][7:-4]}AAAA"):
            given = (("authorization", bad), ("x-correlation-id", DISPLAY.encode().hex()))
            await ask(rig.sessions.CreateSession, made, given)
        metrics = generate_latest(rig.platform.metrics.registry).decode()
        async with database(postgres.url) as connected, connected.transaction() as connection:
            await connection.exec_driver_sql("ALTER TABLE banking_transactions RENAME TO gone")
            await connection.exec_driver_sql("ALTER TABLE conversation_contexts RENAME TO gone2")
        await ask(rig.banking.AuthenticateCustomer, proof(session, CARD, customer_id=NUMBER))
        update.request_id = str(uuid4())
        await ask(rig.contexts.UpdateContext, update)

    async with Redis.from_url(redis_server.url) as redis:
        keys = [key.decode() for key in await redis.keys("*")]
    captured = capfd.readouterr()
    watched = {
        "log": log.getvalue(),
        "output": captured.out + captured.err,
        "errors": "\n".join(errors),
        "metrics": metrics,
        "traces": traced(spans),
        "keys": "\n".join(keys),
    }
    assert len(errors) > 20
    assert keys
    assert "ProgrammingError" in watched["log"]  # the database's own words were logged, and cleaned
    found = {name: leaks(text, secrets) for name, text in watched.items()}
    assert {name: hits for name, hits in found.items() if hits} == {}
