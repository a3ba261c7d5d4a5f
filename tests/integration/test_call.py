"""Whole conversations: a real agent with its workers, a demo bank, and the phone that listens."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from callfleet_agent.app.phone.phone import Phone, PhoneSettings
from callfleet_agent.app.phone.report import CallReport
from callfleet_agent.app.phone.turns import Turn
from callfleet_agent.app.recognise import recognise_status
from fakes.bank import FakeBank, Fault
from ports import free_port
from private import leaks

LOOPBACK = "127.0.0.1"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.spoken(minutes=2.5),
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]

QUESTION = Turn(say="where is my credit card")
NUMBER, CARD = Turn(keys="200417"), Turn(keys="4271")
MANIFEST = """
apiVersion: callfleet.io/v1alpha1
kind: VoiceAgent
metadata: {name: card-line}
spec:
  dialog: {bankName: Example Bank}
"""


class Agent:
    """`callfleet run` as a process."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port
        self.workers: dict[int, int] = {}
        self.log: list[dict[str, Any]] = []
        self._up = asyncio.Event()

    async def follow(self) -> None:
        """Read its log: which worker has which process."""
        output = self.process.stderr
        while output is not None and (line := await output.readline()):
            if not line.startswith(b"{"):
                continue
            entry = json.loads(line)
            self.log.append(entry)
            if entry["message"] == "a worker is ready":
                self.workers[entry["worker"]] = entry["pid"]
            if entry["message"] == "a worker died":
                self.workers.pop(entry["worker"], None)
                self._up.clear()
            if len(self.workers) == 2:
                self._up.set()

    async def up(self) -> None:
        """Wait for both workers, and forget what was logged before."""
        async with asyncio.timeout(150):
            await self._up.wait()
        self.log.clear()

    async def call(self, *turns: Turn, **options: Any) -> CallReport:
        return await self.phone(*turns, **options).run()

    def phone(self, *turns: Turn, **options: Any) -> Phone:
        uri = f"sip:agent@{LOOPBACK}:{self.port}"
        return Phone(PhoneSettings(uri=uri, bind=LOOPBACK, turns=turns, **options))

    async def logged(self, message: str) -> dict[str, Any]:
        """The first log line with this message, when it is there."""
        async with asyncio.timeout(60):
            while True:
                for entry in self.log:
                    if entry["message"] == message:
                        return entry
                await asyncio.sleep(0.05)

    def said(self) -> str:
        return "\n".join(json.dumps(entry) for entry in self.log)


@asynccontextmanager
async def started(folder: Path, text: str, *options: str) -> AsyncIterator[Agent]:
    """`callfleet run` with this manifest, until it is left."""
    manifest = folder / "agent.yaml"
    manifest.write_text(text, encoding="utf-8")
    port = free_port(LOOPBACK)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "callfleet_agent.main", "run", str(manifest), "--port", str(port),
        "--json-logs", *options,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )  # fmt: skip
    agent = Agent(process, port)
    following = asyncio.create_task(agent.follow())
    try:
        yield agent
    finally:
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            await process.wait()
        await following


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Agent]:
    """An agent with a demo bank whose cards are out for delivery."""
    folder = tmp_path_factory.mktemp("agent")
    options = ("--rtp-ports", "56000-57999", "--card-status", "out_for_delivery")
    async with started(folder, MANIFEST, *options) as agent:
        yield agent


@pytest_asyncio.fixture(loop_scope="module")
async def agent(running: Agent) -> AsyncIterator[Agent]:
    """The agent with both of its workers; a test makes one call, whose record is waited for."""
    await running.up()
    yield running
    await running.logged("call detail record")


def heard(report: CallReport) -> str:
    return " / ".join(text for turn in report.turns for text in turn.heard)


async def test_a_caller_asks_for_the_card_and_hears_where_it_is(
    agent: Agent, tmp_path: Path
) -> None:
    recording = tmp_path / "call.wav"
    report = await agent.call(QUESTION, NUMBER, CARD, record=recording)
    assert report.outcome == "ok"
    assert "welcome to example bank" in report.greeting[0]
    assert "customer number" in " ".join(report.turns[0].heard)
    assert "last four digits" in " ".join(report.turns[1].heard)
    assert "your card is out for delivery" in " ".join(report.turns[2].heard)
    assert await asyncio.to_thread(recognise_status, recording) == "out_for_delivery"
    assert all(turn.answer_ms is not None for turn in report.turns)
    await agent.logged("call detail record")
    secrets = ("200417", "4271", "credit card", "out_for_delivery")
    assert leaks(agent.said(), {secret: secret for secret in secrets}) == []


async def test_digits_can_be_spoken_and_are_confirmed(agent: Agent) -> None:
    report = await agent.call(
        QUESTION,
        Turn(say="two zero zero four one seven"),
        Turn(say="yes"),
        Turn(say="four two seven one"),
        Turn(say="yes"),
    )
    assert report.outcome == "ok"
    assert heard(report).count("is that right") == 2
    assert "your card is out for delivery" in heard(report)


@pytest.mark.parametrize("voice", ["en-gb", pytest.param("en-us", marks=pytest.mark.drill)])
async def test_a_caller_who_is_done_says_no(agent: Agent, voice: str) -> None:
    report = await agent.call(
        Turn(say="where is my credit card"),
        Turn(keys="200417", barge_in_s=0.3),
        Turn(keys="4271", barge_in_s=0.3),
        Turn(say="no"),
        voice=voice,
        hang_up=False,
    )
    assert (report.outcome, report.ended_by) == ("ok", "agent")
    assert "thank you for calling" in " ".join(report.turns[-1].heard)


async def test_the_welcome_stops_under_the_callers_words_and_its_question_is_answered(
    agent: Agent,
) -> None:
    interruption = Turn(say="where is my credit card", barge_in_s=0.7)
    report = await agent.call(interruption, NUMBER, Turn(keys="4271", barge_in_s=0.5))
    asked, number, card = report.turns
    assert report.outcome == "ok"
    assert any(entry.get("turn_event") == "barge-in" for entry in agent.log)
    # The words take 1.4 s and the welcome 2.9 s: it stopped long before either was over.
    assert asked.interrupted_ms is not None
    assert asked.interrupted_ms < 800
    assert "how can i help you" not in " ".join([*report.greeting, heard(report)])
    # What was asked during the welcome is what the conversation goes on with.
    assert "customer number" in " ".join(asked.heard)
    assert number.interrupted_ms is None
    assert card.interrupted_ms is not None
    assert card.interrupted_ms < 300
    assert "your card is out for delivery" in heard(report)


async def test_a_worker_killed_in_the_middle_of_a_call_loses_nothing(agent: Agent) -> None:
    first = dict(agent.workers)
    phone = agent.phone(QUESTION, NUMBER, CARD)
    calling = asyncio.create_task(phone.run())
    async with asyncio.timeout(60):
        # Another process is watched: there is nothing to wait on.
        while not any(  # noqa: ASYNC110
            entry.get("turn_state") == "authenticate" for entry in agent.log
        ):
            await asyncio.sleep(0.05)
    os.kill(first[min(first)], signal.SIGKILL)
    report = await calling
    assert report.outcome == "ok"
    assert "your card is out for delivery" in heard(report)
    assert any(entry["message"] == "the call goes on with another worker" for entry in agent.log)
    record = await agent.logged("call detail record")
    assert record["workers_lost"] == 1
    assert re.fullmatch(r"[0-9a-f-]{36}", record["correlation_id"])


@pytest.mark.drill
async def test_what_is_said_while_the_bank_thinks_is_no_answer(tmp_path: Path) -> None:
    async with FakeBank() as bank:
        manifest = MANIFEST + f'  banking: {{url: "{bank.url}"}}\n'
        async with started(tmp_path, manifest, "--rtp-ports", "55000-55999") as agent:
            await agent.up()
            bank.fault = Fault.delay(1.5)
            report = await agent.call(QUESTION, NUMBER, CARD)
            await agent.logged("call detail record")
    card = report.turns[-1]
    told = " ".join(card.heard)
    assert report.outcome == "ok"
    filler, _, answer = told.partition("one moment please")
    assert filler == ""
    assert "your card was shipped" in answer
    # The bank takes so long, and its answer is what counts; before that there was the filler.
    assert card.answer_ms is not None
    assert card.answer_ms > 1500
