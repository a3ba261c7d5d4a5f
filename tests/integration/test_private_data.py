"""Marked secrets go into calls; afterwards nothing that is watched may hold one.

Logs (at DEBUG, of the connector and its worker processes), metrics, traces, answers and the report
to the operator are searched, with the secrets in every form in which they could be written. The
services' are in test_private_services, those of a recorded call in recorded/.
"""

import asyncio
import io
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from callfleet_agent.app.connector import Connector
from callfleet_agent.app.phone.phone import Phone, PhoneSettings
from callfleet_agent.app.phone.turns import Turn
from fakes.bank import FakeBank, Fault
from fakes.connector import LOOPBACK, settings
from fakes.sip_by_hand import Sip, in_dialog, offer, until
from marked import (
    CALLER,
    CARD,
    CODE,
    CUSTOMER,
    DISPLAY,
    HEADER,
    NUMBER,
    SAID,
    SECRETS,
    SPOKEN,
    SPOKEN_BIRTH,
    SPOKEN_CODE,
    everything_logged,
    spans_kept,
    traced,
)
from private import forms, leaks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.spoken(minutes=1, again=False),
    pytest.mark.timeout(300),
]

MOST_CALLS: Final = 3  # what is recognised varies; a conversation must get to its end once
WHOLE: Final = {"authentications", "card-delivery"}


@pytest.mark.parametrize("secret", SECRETS.values())
@pytest.mark.parametrize(
    "around", ["{}", '{{"caller": "{}"}}', 'phone="{}"', "key:{}:x", "(“{}”)", "x={}\n"]
)
def test_the_search_finds_what_it_looks_for(secret: str, around: str) -> None:
    for form in forms(secret):
        assert leaks(around.format(form), {"it": secret})


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-26 14:20:41.8306+00", "at=1764167.739518", "\\\\x8306ab", "ab8306", "83061",
        "9b1deb4d-3b7d-8306-9bad-8306ab8306ab", "(9B1DEB4D-3B7D-8306-9BAD-2B0D7B3DCB6D,1)",
    ],
)  # fmt: skip
def test_the_search_takes_no_id_and_no_moment_for_digits(text: str) -> None:
    assert leaks(text, {"card": CARD, "customer": NUMBER}) == []
    assert leaks(f"{text} {CARD}", {"card": CARD})


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    with everything_logged() as stream:
        yield stream


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    with spans_kept() as exporter:
        yield exporter


MANIFEST = """
apiVersion: callfleet.io/v1alpha1
kind: VoiceAgent
metadata: {{name: card-line}}
spec:
  dialog: {{authentication: {proof}}}
  banking: {{url: "{url}"}}
  capacity: {{workers: 1}}
"""


@dataclass(frozen=True)
class Way:
    """A way of proving who calls: in the manifest, keyed and spoken."""

    proof: str
    keyed: str
    spoken: str


WAYS: Final = {
    "card": Way("{method: card-last-four}", CARD, SPOKEN),
    "birth": Way("{method: date-of-birth}", "02291980", SPOKEN_BIRTH),
    "code": Way("{method: one-time-code, digits: 6}", CODE, SPOKEN_CODE),
}


@pytest.fixture(
    params=[
        pytest.param(way, id=name, marks=[pytest.mark.drill] if name != "card" else [])
        for name, way in WAYS.items()
    ]
)
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.param
    return found


@pytest.fixture
async def bank() -> AsyncIterator[FakeBank]:
    async with FakeBank([CUSTOMER]) as bank:
        bank.state.codes.draw = lambda: CODE
        yield bank


@pytest.fixture
async def connector(
    tmp_path: Path, bank: FakeBank, way: Way, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Connector]:
    """A connector with real workers, that believes its callers' proxy."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed here")
    monkeypatch.setenv("CALLFLEET_LOG_LEVEL", "DEBUG")
    manifest = tmp_path / "agent.yaml"
    manifest.write_text(MANIFEST.format(url=bank.url, proof=way.proof))
    given = settings(banking={"url": bank.url}, capacity={"workers": 1})
    listen = replace(given.listen, trusted=("127.0.0.0/8",))
    connector = Connector(replace(given, listen=listen, worker_file=manifest))
    up = asyncio.Event()
    process = asyncio.create_task(connector.run(lambda _: up.set()))
    async with asyncio.timeout(150):
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


async def keyed_call(connector: Connector, name: str, credential: str) -> None:
    """A call by hand, with keys in INFO, and a message that cannot be read."""
    sip = Sip(connector)
    try:
        await _keyed_call(sip, name, credential)
    finally:
        sip.close()


async def _keyed_call(sip: Sip, name: str, credential: str) -> None:
    def mine(request: str) -> str:
        return request.replace("call-INVITE-1", name).replace("tag=f1", f"tag={name}")

    answer = await sip.ask(mine(asserted(sip)))
    assert answer.startswith("SIP/2.0 200")
    assert leaks(_without_echoes(answer), SECRETS) == []
    await sip.send(mine(in_dialog(sip, answer, "ACK", 1)).encode())
    await asyncio.sleep(1.0)
    for number, digit in enumerate(NUMBER + credential, start=2):
        if number == len(NUMBER) + 2:
            await asyncio.sleep(1.0)  # a code is on its way
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


async def spoken_call(connector: Connector, way: Way) -> None:
    turns = (
        Turn(say="where is my credit card"), Turn(keys=NUMBER), Turn(say=way.spoken),
        Turn(say="yes"), Turn(keys=way.keyed), Turn(say=SAID),
    )  # fmt: skip
    phone = Phone(
        PhoneSettings(
            uri=f"sip:+15550100@{LOOPBACK}:{connector.sip_port}",
            bind=LOOPBACK,
            turns=turns,
            from_uri=f"sip:{CALLER}@{LOOPBACK}",
            recognise=False,
            turn_timeout_s=40.0,
        )
    )
    await phone.run()


def asked(bank: FakeBank) -> set[str]:
    return {request.rpartition("/")[2] for request in bank.requests}


async def test_a_call_leaves_nothing_private_behind(
    connector: Connector,
    bank: FakeBank,
    way: Way,
    log: io.StringIO,
    spans: InMemorySpanExporter,
    capfd: pytest.CaptureFixture[str],
) -> None:
    await keyed_call(connector, "first", way.keyed)
    await until(lambda: connector.calls == 0, 40)
    for _ in range(MOST_CALLS):
        await spoken_call(connector, way)
        await until(lambda: connector.calls == 0, 40)
        if asked(bank) == WHOLE:
            break
    assert asked(bank) == WHOLE
    bank.fault = Fault.status(500)
    await keyed_call(connector, "second", way.keyed)
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
