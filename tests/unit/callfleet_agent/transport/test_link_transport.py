"""Both ends of a link on a real Unix socket, in virtual time."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import UUID

import pytest

from callfleet_agent.audio import FrameKind, Pcm8k
from callfleet_agent.audio.g711 import Law
from callfleet_agent.link import (
    Audio,
    Context,
    Dtmf,
    EndOfSpeech,
    Event,
    Hangup,
    Hello,
    Interrupt,
    Interrupted,
    LinkError,
    LinkLost,
    LocalProtocolError,
    Message,
    Ready,
    RemoteProtocolError,
    Tick,
)
from callfleet_agent.rtp import Format, MediaSession, MediaSettings
from callfleet_agent.transport import link_client, link_server
from callfleet_agent.transport.link_client import LinkClient, tick_message
from callfleet_agent.transport.link_server import LinkServer, WorkerLink
from fakes.virtual_time import in_virtual_time

CALL = UUID("00000000-0000-4000-8000-000000000001")
HELLO = Hello(call_number=1, dialed="1")
FRAME = Pcm8k.silence(160)
Handler = Callable[[WorkerLink], Awaitable[None]]


def tick(number: int, *, epoch: int = 0, played: int = 0) -> Tick:
    return Tick(
        epoch=epoch,
        position=number * 160,
        kind=FrameKind.REAL,
        played_epoch=epoch,
        played_position=played,
        credit_position=played + 1600,
        inbound=FRAME,
        reference=FRAME,
    )


class Connector:
    """A connector's side, and what came of it."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.lost: list[LinkError] = []
        self.link: LinkClient

    async def open(
        self, path: str, hello: Hello = HELLO, context: bytes | None = None
    ) -> LinkClient:
        self.link = await LinkClient.open(
            path, call=CALL, hello=hello, context=context,
            on_message=self.messages.append, on_lost=self.lost.append,
        )  # fmt: skip
        return self.link

    async def wait_for(self, kind: type[Message]) -> Message:
        while True:
            for message in self.messages:
                if isinstance(message, kind):
                    return message
            await asyncio.sleep(0.01)


@asynccontextmanager
async def worker(path: str, handler: Handler):  # type: ignore[no-untyped-def]
    server = LinkServer(path, handler)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def exists(path: str) -> bool:
    return Path(path).exists()


async def gone(connector: Connector) -> LinkError:
    await connector.link.closed()
    await asyncio.sleep(0.01)
    (error,) = connector.lost
    return error


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "s")


def virtual(test: Callable[[str], Awaitable[None]]) -> Callable[[str], None]:
    """A test that gets a socket's path and runs in virtual time."""

    def run(path: str) -> None:
        in_virtual_time(test)(path)  # type: ignore[arg-type]

    run.__name__ = test.__name__
    return run


@virtual
async def test_a_call_from_hello_to_its_end(path: str) -> None:
    heard: list[Message] = []

    async def handler(link: WorkerLink) -> None:
        assert (link.call, link.hello, link.context) == (CALL, HELLO, None)
        link.accept()
        assert await link.speak(Pcm8k.silence(320))
        assert link.end_of_speech() == (0, 320)
        link.hand_over(b"context")
        link.event("turn", asr_ms=12)
        async for message in link:
            heard.append(message)
            if isinstance(message, Dtmf):
                link.hangup("done")

    async with worker(path, handler) as server:
        connector = Connector()
        link = await connector.open(path)
        await connector.wait_for(Event)
        assert server.calls == 1
        link.send(tick(0))
        link.send(Dtmf(digit="1", duration_ms=80))
        await connector.wait_for(Hangup)
        link.hangup("completed")
        link.hangup("completed")
        link.send(tick(1))
        await link.closed()
        assert heard == [tick(0), Dtmf(digit="1", duration_ms=80), Hangup(reason="completed")]
        assert connector.messages == [
            Ready(),
            Audio(samples=Pcm8k.silence(320)),
            EndOfSpeech(position=320),
            Context(position=320, data=b"context"),
            Event(position=320, name="turn", fields={"asr_ms": 12}),
            Hangup(position=320, reason="done"),
        ]
        assert connector.lost == []
    assert not exists(path)


@virtual
async def test_a_resumed_call_has_its_context(path: str) -> None:
    contexts: list[bytes | None] = []

    async def handler(link: WorkerLink) -> None:
        contexts.append(link.context)
        assert (link.epoch, link.played_epoch) == (4, 4)
        link.accept()

    async with worker(path, handler):
        for context in (b"memory", None):
            connector = Connector()
            hello = Hello(call_number=1, dialed="1", resumed=True, epoch=4)
            await connector.open(path, hello, context)
            await connector.link.closed()
    assert contexts == [b"memory", b""]


@virtual
async def test_a_refusal_is_not_a_loss_of_the_worker(path: str) -> None:
    async def handler(link: WorkerLink) -> None:
        link.refuse("full")

    async with worker(path, handler):
        connector = Connector()
        await connector.open(path)
        assert await connector.wait_for(Hangup) == Hangup(reason="full")
        await connector.link.closed()
        await asyncio.sleep(5)
        assert connector.lost == []


@virtual
async def test_speech_waits_for_credit(path: str) -> None:
    spoken: list[bool] = []

    async def handler(link: WorkerLink) -> None:
        link.accept()
        speaking = asyncio.ensure_future(link.speak(Pcm8k.silence(2000)))
        async for message in link:
            if isinstance(message, Tick) and message.position == 160 * 2:
                assert (link.played_epoch, link.played_position) == (0, 400)
                spoken.append(await speaking)

    async with worker(path, handler):
        connector = Connector()
        link = await connector.open(path)
        await connector.wait_for(Audio)
        await asyncio.sleep(1)
        assert sum(len(m.samples) for m in connector.messages if isinstance(m, Audio)) == 1600
        for number, played in enumerate((0, 160, 400)):
            link.send(tick(number, played=played))
            await asyncio.sleep(0.02)
        link.hangup("caller-hung-up")
        await link.closed()
    audio = [message for message in connector.messages if isinstance(message, Audio)]
    assert [(message.position, len(message.samples)) for message in audio] == [
        (0, 1600), (1600, 160), (1760, 240),
    ]  # fmt: skip
    assert spoken == [True]


@virtual
async def test_an_interruption_ends_speech_and_begins_an_epoch(path: str) -> None:
    results: list[object] = []

    async def handler(link: WorkerLink) -> None:
        link.accept()
        speaking = asyncio.ensure_future(link.speak(Pcm8k.silence(8000)))
        await asyncio.sleep(0.1)
        results.append(link.interrupt())
        results.append(await speaking)
        results.append(await link.speak(FRAME))
        results.append((link.sent_position, link.writable_samples()))
        results.extend([message async for message in link])

    async with worker(path, handler):
        connector = Connector()
        link = await connector.open(path)
        await connector.wait_for(Interrupt)
        link.send(Interrupted(epoch=0, position=480))
        await asyncio.sleep(0.1)
        link.hangup("caller-hung-up")
        await link.closed()
    assert results == [
        1, False, True, (160, 1440), Interrupted(epoch=0, position=480),
        Hangup(reason="caller-hung-up"),
    ]  # fmt: skip


@virtual
async def test_speech_ends_with_the_call(path: str) -> None:
    results: list[bool] = []

    async def handler(link: WorkerLink) -> None:
        link.accept()
        results.append(await link.speak(Pcm8k.silence(8000)))

    async with worker(path, handler):
        connector = Connector()
        link = await connector.open(path)
        await connector.wait_for(Audio)
        link.hangup("caller-hung-up")
        await link.closed()
    assert results == [False]


@virtual
async def test_speech_of_a_lost_call_is_an_error(path: str) -> None:
    errors: list[LinkError] = []

    async def handler(link: WorkerLink) -> None:
        link.accept()
        with pytest.raises(LinkError) as caught:
            await link.speak(Pcm8k.silence(8000))
        errors.append(caught.value)
        with pytest.raises(LinkError):
            link.event("late")

    async with worker(path, handler):
        connector = Connector()
        link = await connector.open(path)
        await connector.wait_for(Audio)
        link.abort()
        await link.closed()
        await asyncio.sleep(0.1)
    assert len(errors) == 1
    assert connector.lost == []


@virtual
async def test_who_waits_for_messages_of_a_lost_call_gets_the_error(path: str) -> None:
    errors: list[LinkError] = []

    async def handler(link: WorkerLink) -> None:
        link.accept()
        try:
            async for _ in link:
                pass
        except LinkError as error:
            errors.append(error)
            raise

    async with worker(path, handler):
        connector = Connector()
        link = await connector.open(path)
        await connector.wait_for(Ready)
        link.abort()
        await asyncio.sleep(0.1)
    assert len(errors) == 1


def test_a_tick_of_the_media_is_told_as_it_is() -> None:
    settings = MediaSettings(formats=(Format(0, Law.PCMU),))
    session = MediaSession(settings, rng=random.Random(1), now=0.0)
    session.interrupt(3)
    session.push(3, 0, FRAME)
    media = session.tick(0.02)
    assert tick_message(media) == Tick(
        epoch=3,
        position=0,
        kind=FrameKind.NOISE,
        played_epoch=3,
        played_position=160,
        credit_position=1760,
        inbound=media.inbound,
        reference=FRAME,
    )


# workers that fail


@virtual
async def test_nobody_listens(path: str) -> None:
    with pytest.raises(LinkLost, match="listens"):
        await Connector().open(path)


@virtual
async def test_a_worker_that_fails_is_lost_once_and_its_error_is_not_logged(path: str) -> None:
    async def handler(link: WorkerLink) -> None:
        link.accept()
        raise RuntimeError("card 4271 of the caller")

    records: list[logging.LogRecord] = []
    logger = logging.getLogger(link_server.__name__)

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handling = Keeping()
    logger.addHandler(handling)
    async with worker(path, handler):
        connector = Connector()
        await connector.open(path)
        assert isinstance(await gone(connector), LinkError)
    logger.removeHandler(handling)
    (record,) = records
    assert record.getMessage() == "a call's handler failed"
    assert record.__dict__["error"] == "RuntimeError"
    assert "4271" not in str(record.__dict__)


@virtual
async def test_a_worker_that_stops_is_lost(path: str) -> None:
    async def handler(link: WorkerLink) -> None:
        link.accept()
        await asyncio.sleep(3600)

    async with worker(path, handler):
        connector = Connector()
        await connector.open(path)
        await connector.wait_for(Ready)
    assert isinstance(await gone(connector), RemoteProtocolError | LinkLost)


@virtual
async def test_a_worker_that_answers_pings_is_kept(path: str) -> None:
    async def handler(link: WorkerLink) -> None:
        link.accept()
        async for _ in link:
            pass

    async with worker(path, handler):
        connector = Connector()
        link = await connector.open(path)
        await asyncio.sleep(60)
        assert connector.lost == []
        assert link.connection.unanswered_pings <= 1
        link.hangup("completed")
        await link.closed()


class Silent(asyncio.Protocol):
    """A worker that says what it was told to, and nothing else."""

    def __init__(self, *says: bytes, reads: bool = True) -> None:
        self.says, self.reads = says, reads
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if not self.reads:
            transport.pause_reading()
        for data in self.says:
            transport.write(data)


def raw(number: int, payload: bytes = b"") -> bytes:
    head = struct.pack("!BBH16sIQ", 1, number, 0, CALL.bytes, 0, 0)
    return struct.pack("!I", len(head) + len(payload)) + head + payload


@asynccontextmanager
async def silent(path: str, *says: bytes, reads: bool = True):  # type: ignore[no-untyped-def]
    loop = asyncio.get_running_loop()
    workers: list[Silent] = []

    def accept() -> Silent:
        workers.append(Silent(*says, reads=reads))
        return workers[-1]

    server = await loop.create_unix_server(accept, path)
    try:
        yield
    finally:
        for each in workers:
            each.transport.abort()
        server.close()
        await asyncio.sleep(0.01)


@virtual
async def test_five_unanswered_pings_are_the_end(path: str) -> None:
    async with silent(path):
        connector = Connector()
        await connector.open(path)
        loop = asyncio.get_running_loop()
        began = loop.time()
        error = await gone(connector)
        assert isinstance(error, LinkLost)
        assert loop.time() - began == pytest.approx(6.0, abs=0.1)


@virtual
async def test_a_worker_that_breaks_the_protocol_is_lost(path: str) -> None:
    async with silent(path, raw(0x85, b"no JSON")):
        connector = Connector()
        await connector.open(path)
        assert isinstance(await gone(connector), RemoteProtocolError)


@virtual
async def test_a_worker_that_does_not_close_is_closed_after_5_s(path: str) -> None:
    async with silent(path, raw(Ready.TYPE)):
        connector = Connector()
        link = await connector.open(path)
        await connector.wait_for(Ready)
        loop = asyncio.get_running_loop()
        began = loop.time()
        link.hangup("completed")
        await link.closed()
        assert loop.time() - began == pytest.approx(link_client.CLOSE_TIMEOUT_S, abs=0.1)
        assert connector.lost == []
        link.abort()
        link.send(tick(0))


def shrink(link: LinkClient) -> None:
    """Buffers so small that a worker that does not read is felt at once."""
    transport = link._transport
    assert transport is not None
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    transport.set_write_buffer_limits(high=1024)


@virtual
async def test_a_worker_that_does_not_read_costs_ticks_and_no_memory(path: str) -> None:
    async with silent(path, raw(Ready.TYPE), reads=False):
        connector = Connector()
        link = await connector.open(path)
        await connector.wait_for(Ready)
        shrink(link)
        for number in range(1000):
            link.send(tick(number))
        assert link.dropped_ticks > 800
        assert len(link._waiting) == link_client.MAX_WAITING_TICKS
        link.abort()


@virtual
async def test_a_worker_that_reads_again_gets_the_latest(path: str) -> None:
    heard: list[Message] = []

    async def handler(link: WorkerLink) -> None:
        link.accept()
        transport = link._transport
        assert transport is not None
        transport.pause_reading()
        await asyncio.sleep(0.5)
        link.interrupt()
        await asyncio.sleep(0.1)
        transport.resume_reading()
        heard.extend([message async for message in link])

    async with worker(path, handler):
        connector = Connector()
        link = await connector.open(path)
        await connector.wait_for(Ready)
        shrink(link)
        for number in range(200):
            link.send(tick(number))
        await connector.wait_for(Interrupt)
        link.send(Interrupted(epoch=0, position=0))
        link.send(tick(200, epoch=1))
        await asyncio.sleep(0.2)
        link.hangup("completed")
        await link.closed()
    assert heard[-3:] == [
        Interrupted(epoch=0, position=0), tick(200, epoch=1), Hangup(reason="completed"),
    ]  # fmt: skip
    assert len(heard) < 150


@virtual
async def test_a_worker_that_reads_nothing_at_all_is_lost(path: str) -> None:
    async with silent(path, raw(Ready.TYPE), reads=False):
        connector = Connector()
        link = await connector.open(path)
        await connector.wait_for(Ready)
        shrink(link)
        for number in range(300):
            link.send(tick(number))
        for _ in range(1000):
            link.send(Dtmf(digit="1", duration_ms=1))
        error = await gone(connector)
        assert isinstance(error, LinkLost)
        assert len(link._waiting) <= link_client.MAX_WAITING + 1


# connectors that fail


@virtual
async def test_a_slow_handler_loses_the_oldest_ticks(path: str) -> None:
    heard: list[Message] = []

    async def handler(link: WorkerLink) -> None:
        link.accept()
        await asyncio.sleep(5)
        assert link.dropped_ticks == 100 - link_server.MAX_WAITING_TICKS
        heard.extend([message async for message in link])

    async with worker(path, handler):
        connector = Connector()
        link = await connector.open(path)
        await connector.wait_for(Ready)
        for number in range(100):
            link.send(tick(number))
            await asyncio.sleep(0.02)
        link.send(Dtmf(digit="1", duration_ms=1))
        link.hangup("completed")
        await link.closed()
    assert heard[0] == tick(50)
    assert len(heard) == link_server.MAX_WAITING_TICKS + 2


@virtual
async def test_a_handler_that_reads_nothing_breaks_its_link(path: str) -> None:
    async def handler(link: WorkerLink) -> None:
        link.accept()
        await asyncio.sleep(3600)

    async with worker(path, handler):
        connector = Connector()
        link = await connector.open(path)
        await connector.wait_for(Ready)
        for _ in range(link_server.MAX_WAITING + 1):
            link.send(Dtmf(digit="1", duration_ms=1))
            await asyncio.sleep(0.001)
        await link.closed()


@virtual
async def test_a_connection_that_says_nothing_is_closed(path: str) -> None:
    async def handler(link: WorkerLink) -> None:
        raise AssertionError

    async with worker(path, handler):
        reader, writer = await asyncio.open_unix_connection(path)
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await reader.read() == b""
        assert loop.time() - began == pytest.approx(link_server.HELLO_TIMEOUT_S, abs=0.1)
        writer.close()


@virtual
async def test_a_connector_that_breaks_the_protocol_is_closed(path: str) -> None:
    async def handler(link: WorkerLink) -> None:
        raise AssertionError

    async with worker(path, handler):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(raw(0x70))
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        assert reader.at_eof() or reader.exception() is not None
        writer.close()


@virtual
async def test_what_may_not_be_sent_is_refused_on_both_sides(path: str) -> None:
    refused: list[LocalProtocolError] = []

    async def handler(link: WorkerLink) -> None:
        try:
            link.event("before", secret=object())  # type: ignore[arg-type]
        except LocalProtocolError as error:
            refused.append(error)
        link.accept()

    async with worker(path, handler):
        connector = Connector()
        link = await connector.open(path)
        with pytest.raises(LocalProtocolError):
            link.send(tick(0))
        await connector.wait_for(Ready)
        link.abort()
    assert len(refused) == 1
