"""Calls in which callers prove who they are: a real connector and worker, a bank that listens, and
a phone that keys and speaks."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from callfleet_agent.app.connector import Connector
from callfleet_agent.app.phone.phone import Phone, PhoneSettings
from callfleet_agent.app.phone.report import CallReport
from callfleet_agent.app.phone.turns import Turn
from fakes.bank import FakeBank
from fakes.connector import LOOPBACK, settings
from fakes.sip_by_hand import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.spoken(minutes=2.3),
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed here"),
]
QUESTION, NUMBER, YES = Turn(say="where is my card"), Turn(keys="200417"), Turn(say="yes")
CODE = "918273"
MANIFEST = """
apiVersion: callfleet.io/v1alpha1
kind: VoiceAgent
metadata: {{name: card-line}}
spec:
  dialog:
    language: en-GB
    authentication: {proof}
  banking: {{url: "{url}"}}
  capacity: {{workers: 1}}
"""
# What is recognised varies with the machine's load; a conversation gets to its end in one of them.
MOST_CALLS = 3


class Line:
    """An agent with this way of proving, and calls to it."""

    def __init__(self, connector: Connector, bank: FakeBank) -> None:
        self.connector = connector
        self.bank = bank

    async def call(self, *turns: Turn) -> CallReport:
        phone = Phone(
            PhoneSettings(
                uri=f"sip:+15550100@{LOOPBACK}:{self.connector.sip_port}",
                bind=LOOPBACK, turns=turns, voice="en-us", turn_timeout_s=40.0,
            )
        )  # fmt: skip
        report = await phone.run()
        await until(lambda: self.connector.calls == 0, 40)
        return report

    async def until_told(self, *turns: Turn) -> str:
        """What was heard in the first call that got to where the card is, as the bank knows."""
        for _ in range(MOST_CALLS):
            text = heard(await self.call(*turns))
            if any(asked.endswith("/card-delivery") for asked in self.bank.requests):
                return text
        pytest.fail(f"no call got to its end; the last one heard: {text}")


@asynccontextmanager
async def line(folder: Path, proof: str) -> AsyncIterator[Line]:
    async with FakeBank() as bank:
        bank.state.codes.draw = lambda: CODE
        manifest = folder / "agent.yaml"
        manifest.write_text(MANIFEST.format(url=bank.url, proof=proof))
        given = settings(banking={"url": bank.url}, capacity={"workers": 1})
        connector = Connector(replace(given, worker_file=manifest))
        up = asyncio.Event()
        process = asyncio.create_task(connector.run(lambda _: up.set()))
        try:
            async with asyncio.timeout(150):
                await up.wait()
            yield Line(connector, bank)
        finally:
            connector.stop_now()
            await process


@pytest.fixture
async def births(tmp_path: Path) -> AsyncIterator[Line]:
    async with line(tmp_path, "{method: date-of-birth}") as found:
        yield found


@pytest.fixture
async def codes(tmp_path: Path) -> AsyncIterator[Line]:
    async with line(tmp_path, "{method: one-time-code, digits: 6}") as found:
        yield found


def heard(report: CallReport) -> str:
    return " / ".join(text for turn in report.turns for text in turn.heard)


@pytest.mark.drill
async def test_a_date_of_birth_is_keyed(births: Line) -> None:
    await births.until_told(QUESTION, NUMBER, Turn(keys="12031984"))
    assert births.bank.state.failures == {}


async def test_a_date_of_birth_is_spoken_and_confirmed(births: Line) -> None:
    spoken = Turn(say="one two zero three one nine eight four")
    await births.until_told(QUESTION, NUMBER, spoken, YES)
    assert births.bank.state.failures == {}


@pytest.mark.drill
async def test_a_wrong_date_of_birth_is_asked_for_again(births: Line) -> None:
    await births.until_told(QUESTION, NUMBER, Turn(keys="13031984"), Turn(keys="12031984"))
    judged = [asked for asked in births.bank.requests if asked.endswith("/authentications")]
    assert len(judged) >= 2


async def test_a_code_comes_during_the_call_and_is_keyed(codes: Line) -> None:
    await codes.until_told(QUESTION, NUMBER, Turn(keys=CODE))
    assert set(codes.bank.state.outbox) == {("+15550123", CODE)}


@pytest.mark.drill
async def test_a_code_is_sent_again_by_a_key_and_spoken(codes: Line) -> None:
    spoken = Turn(say="nine one eight two seven three")
    await codes.until_told(QUESTION, NUMBER, Turn(keys="1#"), spoken, YES)
    assert len(codes.bank.state.outbox) >= 2
