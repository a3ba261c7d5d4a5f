"""A real worker, called over its link by a caller who speaks: the whole conversation in sound."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callfleet_agent.banking import HttpBankSettings
from callfleet_agent.dialog import CardFound, Delivery
from callfleet_agent.dialog.prompts import delivery
from callfleet_agent.link import Caller
from callfleet_agent.pipeline import WorkerSettings, worker_main
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from callfleet_agent.pipeline.worker import Starter
from callfleet_agent.transport.link_server import LinkServer
from fakes.bank import FakeBank, Fault
from fakes.line import FakeLine
from private import leaks

pytestmark = [pytest.mark.slow, pytest.mark.spoken(minutes=1.9), pytest.mark.timeout(300)]
KNOWN = Caller("+15550123", trusted=True)
PROGRAM = """
import asyncio, sys
from pathlib import Path
from callfleet_agent.banking import HttpBankSettings
from callfleet_agent.pipeline import WorkerSettings, worker_main
from callfleet_agent.transport.link_server import LinkServer
settings = WorkerSettings(
    bank=HttpBankSettings(url=sys.argv[2]), decoder_processes=1, decoders_in_each=1
)
ready = lambda: print("ready", flush=True)
asyncio.run(worker_main(Path(sys.argv[1]), settings, LinkServer, ready=ready))
"""


@pytest.fixture
async def bank() -> AsyncIterator[FakeBank]:
    async with FakeBank() as bank:
        yield bank


@pytest.fixture
async def socket(bank: FakeBank, tmp_path: Path) -> AsyncIterator[Path]:
    """A worker in this process, with room for two calls."""
    path = tmp_path / "worker.sock"
    settings = WorkerSettings(
        bank=HttpBankSettings(url=bank.url), decoder_processes=1, decoders_in_each=1, calls=2
    )
    ready = asyncio.Event()
    task = asyncio.create_task(worker_main(path, settings, LinkServer, ready=ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    yield path
    task.cancel()
    await asyncio.gather(task, waiting, return_exceptions=True)


async def test_one_whose_connector_died_while_it_started_ends(tmp_path: Path) -> None:
    settings = WorkerSettings(
        bank=HttpBankSettings(url="http://127.0.0.1:1"), decoder_processes=1, decoders_in_each=1
    )
    steps: list[str] = []
    async with asyncio.timeout(120):
        await worker_main(
            tmp_path / "worker.sock",
            settings,
            LinkServer,
            ready=lambda: steps.append("ready"),
            starter=Starter(os.getppid() + 1, steps.append),
        )
    assert steps == [
        "the voice activity model is loaded", "the engines are started", "the socket is opened",
        "ready",
    ]  # fmt: skip


async def sound_of(found: CardFound) -> object:
    voice = EspeakSynthesiser("en-us", WorkerSettings().words_per_minute, limit_s=60.0)
    return await voice.speech(delivery(found), private=True)


async def test_where_is_my_credit_card_asked_and_answered_in_speech(
    socket: Path, bank: FakeBank
) -> None:
    async with FakeLine(socket) as line:
        await line.heard_out()
        await line.say("where is my credit card")
        await line.reached("identify")
        await line.heard_out()
        await line.press("200417")
        await line.reached("authenticate")
        await line.heard_out()
        await line.say("four two seven one")
        await line.reached("confirm_credential")
        await line.heard_out()
        await line.say("yes")
        await line.reached("more")
        await line.heard_out()
        await line.say("no thank you")
        await line.until(lambda: line.hangup_reason is not None)
    shipped = CardFound(Delivery.SHIPPED, "2026-11-20", "2026-11-25", "Royal Mail")
    assert line.hangup_reason == "completed"
    assert line.has_heard(await sound_of(shipped))
    assert not line.has_heard(await sound_of(CardFound(Delivery.LOST, carrier="Royal Mail")))
    assert bank.state.authentications == 1
    assert line.context is not None
    assert leaks(line.context.decode("latin-1"), {"keyed": "4271", "said": "four two"}) == []


async def test_by_keys_alone_with_another_status(socket: Path, bank: FakeBank) -> None:
    bank.set_status("lost")
    async with FakeLine(socket, caller=KNOWN) as line:
        await line.heard_out()
        await line.press("1")
        await line.reached("authenticate")
        await line.press("4271")
        await line.reached("more")
        await line.heard_out()
        await line.press("2")
        await line.until(lambda: line.hangup_reason is not None)
    assert line.has_heard(await sound_of(CardFound(Delivery.LOST, carrier="Royal Mail")))
    assert line.interrupts >= 1


async def test_a_key_that_comes_before_the_first_prompt_is_not_lost(socket: Path) -> None:
    async with FakeLine(socket, caller=KNOWN) as line:
        await line.accepted()
        await line.press("1")
        await line.reached("authenticate")


async def test_speech_stops_the_prompt_and_the_context_has_what_was_heard(
    socket: Path,
) -> None:
    async with FakeLine(socket) as line:
        await line.until(lambda: len(line.recording) > 16000)
        await line.say("where is my credit card")
        await line.reached("identify")
    assert line.interrupts == 1
    assert line.context is not None
    assert "Welcome to…" in line.context.decode() or "Welcome to Example…" in line.context.decode()


async def test_a_call_that_is_over_makes_room_for_the_next(socket: Path) -> None:
    for _ in range(2):
        async with FakeLine(socket) as line:  # hangs up in the middle of the welcome
            await line.until(lambda: len(line.recording) > 4000)
        async with FakeLine(socket) as line:  # and while the agent listens
            await line.heard_out()
    async with FakeLine(socket) as first, FakeLine(socket) as second:
        await first.until(lambda: len(first.recording) > 4000)
        await second.until(lambda: len(second.recording) > 4000)
    assert (first.hangup_reason, second.hangup_reason) == (None, None)


@pytest.mark.parametrize("echo", [(60, 0.9), (200, 0.3)])
async def test_its_own_echo_does_not_interrupt_it(socket: Path, echo: tuple[int, float]) -> None:
    async with FakeLine(socket, echo=echo) as line:
        await line.heard_out()
    assert line.interrupts == 0


async def test_foreign_speech_is_not_understood(socket: Path) -> None:
    async with FakeLine(socket, voice="pl") as line:
        await line.heard_out()
        await line.say("dzień dobry, nie rozumiem po angielsku")
        await line.until(lambda: bool(line.states))
    turn = next(event for event in line.events if event.name == "turn")
    assert turn.fields["result"] == "nomatch"


async def test_a_bank_that_is_away_is_told_and_tried_again(socket: Path, bank: FakeBank) -> None:
    async with FakeLine(socket, caller=KNOWN) as line:
        await line.heard_out()
        await line.press("1")
        await line.reached("authenticate")
        bank.fault = Fault.status(503)
        await line.press("4271")
        await line.reached("try_again")
        bank.fault = None
        await line.press("1")
        await line.reached("more")


@contextlib.asynccontextmanager
async def own_process(path: Path, bank: FakeBank) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(path), bank.url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    yield process
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
    await process.wait()


def children_of(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()]


async def test_a_killed_worker_loses_no_conversation(bank: FakeBank, tmp_path: Path) -> None:
    first, second = tmp_path / "1.sock", tmp_path / "2.sock"
    async with own_process(first, bank) as process, FakeLine(first) as line:
        await line.heard_out()
        await line.press("1")
        await line.reached("identify")
        await line.press("200417")
        await line.reached("authenticate")
        children = children_of(process.pid)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await line.until_lost()
    async with (
        own_process(second, bank),
        FakeLine(second, call=line.call, context=line.context) as again,
    ):
        await again.heard_out()
        await again.press("4271")
        await again.reached("more")
    assert children
    async with asyncio.timeout(60):
        while any(os.path.exists(f"/proc/{child}/fd") for child in children):  # noqa: ASYNC110, ASYNC240, PTH110
            await asyncio.sleep(0.05)
