"""Conversations over streams with worker processes that die, are full, or do not answer."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

import callfleet_agent.app.stream_workers as stream_workers_module
from callfleet_agent.app.call_story import NoStory, Story
from callfleet_agent.app.errors import WorkerDiedError
from callfleet_agent.app.platform_metrics import PlatformMetrics
from callfleet_agent.app.stream_calls import StreamCallBook
from callfleet_agent.app.stream_media import MOST_INBOUND, MOST_OUTBOUND
from callfleet_agent.app.stream_records import Beginning
from callfleet_agent.app.stream_workers import StreamWorkers, WorkersWanted, stream_workers
from callfleet_agent.app.supervisor import StartWorker
from callfleet_agent.app.worker_process import OsWorker
from callfleet_agent.audio import Pcm8k
from callfleet_agent.banking import Bank
from callfleet_agent.dialog import DialogSettings
from callfleet_agent.services.errors import NoWorkerError, StreamTakenOverError
from callfleet_agent.services.inputs.speech import CallStart
from callfleet_agent.session.record import CallSession, SessionStatus
from fakes.worker import GREETING_HZ, RESUMED_HZ, tone

TESTS = Path(__file__).parents[1]
OWNER = "spiffe://callfleet.io/ns/kiosks/client/kiosk"


class NoRecords:
    """Nothing is kept."""

    def story(self, session_id: UUID, owner: str) -> Story:
        return NoStory()

    async def begun(self, session: CallSession) -> Beginning:
        return Beginning(session)

    async def settled(self) -> None:
        pass


@contextmanager
def no_bank(session: UUID) -> Iterator[Bank]:
    yield from {UUID(int=0): []}[session]


def starting(*program: str) -> Callable[[Path, list[str]], StartWorker]:
    """Starts this program of the tests instead of workers."""

    def of(folder: Path, arguments: list[str]) -> StartWorker:
        assert arguments[-2:] == ["--bank-socket", str(folder / "bank.sock")]

        async def start(number: int) -> OsWorker:
            socket = folder / f"worker-{number}.sock"
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *program, "--socket", str(socket),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(TESTS)},
            )  # fmt: skip
            return OsWorker(process, socket)

        return start

    return of


@dataclass
class Site:
    """A book whose workers are FakeWorkers in processes of their own, and its one session."""

    book: StreamCallBook
    workers: StreamWorkers
    metrics: PlatformMetrics
    session: UUID

    def stream(self) -> AsyncGenerator[tuple[Pcm8k, bool], None]:
        return self.book.hold(self.session, quiet())

    def status(self) -> SessionStatus:
        return self.book.status(self.session, OWNER).status

    def talker(self) -> int:
        """The process that holds the conversation."""
        workers = self.workers.supervisor._workers.values()
        return next(one.process.pid for one in workers if one.calls)

    def count(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(name)


@asynccontextmanager
async def site(*program: str, workers: int = 1) -> AsyncIterator[Site]:
    metrics = PlatformMetrics()
    wanted = WorkersWanted(
        workers=workers,
        calls=4,
        dialog=DialogSettings(bank_name="Bank"),
        identity=Path("/tls"),
        providers={},
    )
    start = starting(*(program or ("fakes.worker",)))
    async with stream_workers(
        wanted, no_bank, metrics.stages(), metrics.workers(), start
    ) as running:
        book = StreamCallBook(
            running, NoRecords(), most=4, now=lambda: datetime.now(UTC), new_id=uuid4
        )
        given = CallStart.model_construct(
            format="pcm_s16le", sample_rate=8000, session_id=None,
            caller_phone="", dialed_number="", sip_call_id="",
        )  # fmt: skip
        found = Site(book, running, metrics, (await book.start(given, OWNER)).session_id)
        try:
            yield found
        finally:
            await book.close()


async def quiet() -> AsyncIterator[Pcm8k]:
    yield Pcm8k.silence(160)
    await asyncio.Event().wait()


async def heard(stream: AsyncGenerator[tuple[Pcm8k, bool], None], utterances: int = 1) -> bytes:
    """The agent's sound, up to the end of so many utterances."""
    sound = b""
    async with asyncio.timeout(120):
        async for piece, ends in stream:
            sound += piece.data
            utterances -= ends
            if not utterances:
                break
    return sound


async def test_a_worker_that_is_killed_hands_the_conversation_to_another() -> None:
    async with site() as here:
        stream = here.stream()
        greeting = await heard(stream)
        killed = here.talker()
        os.kill(killed, signal.SIGKILL)
        resumed = await heard(stream)
        status = here.book.status(here.session, OWNER)
        await stream.aclose()

        assert greeting == tone(GREETING_HZ).data
        assert resumed == tone(RESUMED_HZ).data
        assert (status.status, status.epoch) == (SessionStatus.ACTIVE, 1)
        assert here.count("callfleet_calls_moved_total") == 1
        async with asyncio.timeout(120):
            while killed in here.workers.supervisor.pids.values():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            await here.workers.supervisor.until_ready(2)  # and the dead one is replaced
        assert here.count("callfleet_workers_lost_total") == 1
        assert killed not in here.workers.supervisor.pids.values()


async def test_a_worker_that_hangs_is_ended_and_the_conversation_goes_on() -> None:
    async with site() as here:
        stream = here.stream()
        await heard(stream)
        hung = here.talker()
        os.kill(hung, signal.SIGSTOP)
        assert await heard(stream) == tone(RESUMED_HZ).data
        assert here.talker() != hung
        await stream.aclose()


async def test_a_new_stream_takes_the_conversation_over_from_its_worker() -> None:
    async with site() as here:
        older = here.stream()
        await heard(older)

        newer = here.stream()
        assert await heard(newer) == tone(RESUMED_HZ).data

        with pytest.raises(StreamTakenOverError):
            await anext(older)
        assert here.status() is SessionStatus.ACTIVE
        await newer.aclose()


async def test_when_no_worker_takes_it_the_stream_ends_in_time_and_the_session_is_kept() -> None:
    async with site("fakes.worker", "--calls=0") as here:
        with pytest.raises(NoWorkerError):
            await heard(here.stream())
        assert here.status() is SessionStatus.ACTIVE


async def test_workers_that_do_not_start_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_workers_module, "STARTUP_S", 1.0)
    with pytest.raises(WorkerDiedError):
        async with site("json.tool"):
            raise AssertionError("they are not ready")


async def test_a_client_that_does_not_read_and_one_that_floods_cost_a_bounded_memory() -> None:
    async with site() as here:

        async def flood() -> AsyncIterator[Pcm8k]:
            while True:
                yield Pcm8k.silence(8000)
                await asyncio.sleep(0)

        stream = here.book.hold(here.session, flood())
        await anext(stream)  # and is not read any more
        await asyncio.sleep(1.5)
        held = here.book._calls[here.session].stream
        assert held is not None
        assert len(held.media._inbound) // 2 <= MOST_INBOUND + 8000
        assert len(held.media._outbox) <= MOST_OUTBOUND
        await stream.aclose()
