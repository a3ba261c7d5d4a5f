"""The endpoint on loopback sockets."""

import asyncio
import logging
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import uvloop

from callfleet_agent.sip import events
from callfleet_agent.sip.sdp import make_answer
from callfleet_agent.sip.settings import AdvertisedAddress, Peer, UserAgentSettings
from callfleet_agent.sip.user_agent import UserAgent
from callfleet_agent.transport.sip_endpoint import SipEndpoint, SipEndpointSettings
from fakes.sip_line import media, offer

HOST = "127.0.0.1"
LOOPBACK = SipEndpointSettings(host=HOST, port=0)
OPTIONS = (
    "OPTIONS sip:agent@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK{}\r\n"
    "From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: {}\r\nCSeq: 1 OPTIONS\r\n"
    "Content-Length: 0\r\n\r\n"
)


def user_agent(port: int = 0, **settings: object) -> UserAgent:
    advertised = AdvertisedAddress(HOST, port)
    made = UserAgentSettings(advertised=advertised, **settings)  # type: ignore[arg-type]
    return UserAgent(made, random.SystemRandom())


def nobody(_: events.Event) -> None:
    """Events do not matter here."""


class Inbox:
    """Collects events and lets a test wait for one."""

    def __init__(self, react: Callable[[events.Event], None] = nobody) -> None:
        self._queue: asyncio.Queue[events.Event] = asyncio.Queue()
        self._react = react

    def __call__(self, event: events.Event) -> None:
        self._queue.put_nowait(event)
        self._react(event)

    async def next(self) -> events.Event:
        async with asyncio.timeout(60):
            return await self._queue.get()


def answering(endpoints: list[SipEndpoint]) -> Callable[[events.Event], None]:
    """Answer each call from inside the handler."""

    def react(event: events.Event) -> None:
        if isinstance(event, events.IncomingCall):
            assert event.offer is not None
            answer = make_answer(event.offer, media(HOST), event.call.origin(HOST))
            with endpoints[0].commands() as now:
                event.call.answer(answer.description, now=now)

    return react


@contextmanager
def taken(kind: socket.SocketKind) -> Iterator[int]:
    """A port that somebody else has."""
    with socket.socket(type=kind) as other:
        other.bind((HOST, 0))
        if kind is socket.SOCK_STREAM:
            other.listen()
        yield int(other.getsockname()[1])


async def closed(reader: asyncio.StreamReader) -> bool:
    """Does the other end close the stream?"""
    async with asyncio.timeout(60):
        try:
            return await reader.read() == b""
        except ConnectionResetError:
            return True


def test_a_call_in_the_loop_that_pods_use() -> None:
    async def calls() -> None:
        unhandled: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: unhandled.append(what))
        await call_over_loopback("udp")
        await call_over_loopback("tcp")
        assert unhandled == []

    uvloop.run(calls())


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_over_loopback(transport: str) -> None:
    await call_over_loopback(transport)


async def call_over_loopback(transport: str) -> None:
    endpoints: list[SipEndpoint] = []
    called, calling = Inbox(answering(endpoints)), Inbox()
    async with (
        SipEndpoint.open(user_agent(), called, LOOPBACK) as bob,
        SipEndpoint.open(user_agent(), calling, LOOPBACK) as alice,
    ):
        endpoints.append(bob)
        assert bob.user_agent.settings.advertised.port == bob.port
        target = f"sip:100@localhost:{bob.port};transport={transport}"
        with alice.commands() as now:
            call = alice.user_agent.invite(target, offer(HOST), now=now)
        assert isinstance(await calling.next(), events.Answered)
        assert isinstance(await called.next(), events.IncomingCall)
        assert isinstance(await called.next(), events.Established)
        with alice.commands() as now:
            call.hang_up(now=now)
        assert await calling.next() == events.CallEnded(call, events.EndCause.LOCAL, 200)
        ended = await called.next()
        assert isinstance(ended, events.CallEnded)
        assert ended.cause is events.EndCause.REMOTE


async def test_one_transport_alone_and_an_address_of_its_own() -> None:
    for settings in (replace(LOOPBACK, tcp=False), replace(LOOPBACK, udp=False)):
        async with SipEndpoint.open(user_agent(port=5062), nobody, settings) as endpoint:
            assert endpoint.port != 0
            assert endpoint.user_agent.settings.advertised.port == 5062


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
async def test_a_port_that_is_taken(kind: socket.SocketKind) -> None:
    with taken(kind) as port, pytest.raises(OSError, match="in use"):
        async with SipEndpoint.open(user_agent(), nobody, replace(LOOPBACK, port=port)):
            pass


# What goes wrong


async def test_nobody_listens() -> None:
    inbox = Inbox()
    with taken(socket.SOCK_DGRAM) as port:  # for datagrams only
        async with SipEndpoint.open(user_agent(), inbox, LOOPBACK) as endpoint:
            with endpoint.commands() as now:
                target = f"sip:a@{HOST}:{port};transport=tcp"
                call = endpoint.user_agent.invite(target, offer(HOST), now=now)
            assert await inbox.next() == events.Failed(
                call, 503, "Service Unavailable", answered=False
            )


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch, transport: str) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # the system's resolver, not ours
    inbox = Inbox()
    async with SipEndpoint.open(user_agent(), inbox, LOOPBACK) as endpoint:
        with endpoint.commands() as now:
            target = f"sip:a@nowhere.invalid;transport={transport}"
            call = endpoint.user_agent.invite(target, offer(HOST), now=now)
        assert await inbox.next() == events.Failed(call, 503, "Service Unavailable", answered=False)


async def test_a_handler_that_fails_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(event: events.Event) -> None:
        raise ValueError(type(event).__name__)

    called, calling = Inbox(fail), Inbox()
    async with (
        SipEndpoint.open(user_agent(), called, LOOPBACK) as bob,
        SipEndpoint.open(user_agent(), calling, LOOPBACK) as alice,
    ):
        with alice.commands() as now:
            call = alice.user_agent.invite(f"sip:a@{HOST}:{bob.port}", offer(HOST), now=now)
        incoming = await called.next()
        with bob.commands() as now:
            incoming.call.reject(486, now=now)
        assert await calling.next() == events.Failed(call, 486, "Busy Here")
    assert [record.getMessage() for record in caplog.records] == ["SIP event handler failed"]


async def test_a_broken_stream_is_closed() -> None:
    async with SipEndpoint.open(user_agent(), nobody, LOOPBACK) as endpoint:
        reader, writer = await asyncio.open_connection(HOST, endpoint.port)
        writer.write(b"OPTIONS sip:a SIP/2.0\r\n\r\n")
        assert await closed(reader)
        writer.close()


async def test_responses_come_on_the_stream_of_their_requests() -> None:
    async with SipEndpoint.open(user_agent(), nobody, LOOPBACK) as endpoint:
        reader, writer = await asyncio.open_connection(HOST, endpoint.port)
        for number in range(3):
            writer.write(OPTIONS.format(number, number).encode())
            async with asyncio.timeout(60):
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"SIP/2.0 200 OK\r\n")
        writer.close()


async def test_too_many_streams(caplog: pytest.LogCaptureFixture) -> None:
    settings = replace(LOOPBACK, most_connections=1)
    async with SipEndpoint.open(user_agent(), nobody, settings) as endpoint:
        first, kept = await asyncio.open_connection(HOST, endpoint.port)
        kept.write(OPTIONS.format(1, 1).encode())
        assert await first.readuntil(b"\r\n\r\n")
        second, writer = await asyncio.open_connection(HOST, endpoint.port)
        assert await closed(second)
        writer.close()
        kept.close()
    assert "Too many SIP connections" in caplog.text


async def test_what_cannot_be_read_leaves_one_line_without_its_content(
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = b"+15550123"
    async with SipEndpoint.open(user_agent(), nobody, LOOPBACK) as endpoint:
        reader, writer = await asyncio.open_connection(HOST, endpoint.port)
        for _ in range(3):
            unreadable = b"INVITE sip:" + secret + b"\r\nContent-Length: 0\r\n\r\n"
            writer.write(unreadable)
        writer.write(OPTIONS.format(1, 1).encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"SIP/2.0 200 OK\r\n")
        writer.close()
        assert endpoint.user_agent.unanswered == 3
    [record] = caplog.records
    assert record.getMessage() == "SIP that cannot be read was dropped without an answer"
    assert (vars(record)["messages"], vars(record)["transport"]) == (1, "TCP")
    assert secret.decode() not in str(vars(record))
    assert HOST not in str(vars(record))


async def test_an_idle_stream_is_closed_and_a_used_one_is_kept() -> None:
    settings = replace(LOOPBACK, idle_connection_s=3.0)  # no machine stands still for so long
    async with SipEndpoint.open(user_agent(), nobody, settings) as endpoint:
        reader, writer = await asyncio.open_connection(HOST, endpoint.port)
        busy, used = await asyncio.open_connection(HOST, endpoint.port)
        closing = asyncio.create_task(closed(reader))
        number = 0
        while not closing.done():
            number += 1
            used.write(OPTIONS.format(number, number).encode())
            assert await busy.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0.02)
        assert await closing
        writer.close()
        used.close()


async def test_a_peer_that_does_not_read_is_given_up() -> None:
    settings = replace(LOOPBACK, most_unsent_bytes=-1)  # one byte waiting is too many
    async with SipEndpoint.open(user_agent(), nobody, settings) as endpoint:
        reader, writer = await asyncio.open_connection(HOST, endpoint.port)
        writer.write(OPTIONS.format(1, 1).encode())
        assert await closed(reader)
        writer.close()


async def test_many_messages_wait_for_one_connection_but_not_too_many() -> None:
    settings = replace(LOOPBACK, most_waiting_messages=2)
    inbox = Inbox()
    with taken(socket.SOCK_DGRAM) as port:
        async with SipEndpoint.open(user_agent(), inbox, settings) as endpoint:
            target = f"sip:a@{HOST}:{port};transport=tcp"
            with endpoint.commands() as now:
                for _ in range(3):
                    endpoint.user_agent.invite(target, offer(HOST), now=now)
            failures = [await inbox.next() for _ in range(3)]
        assert {type(event) for event in failures} == {events.Failed}


# The end


async def test_closing_waits_for_the_last_transaction() -> None:
    endpoints: list[SipEndpoint] = []
    quick = user_agent(t1_s=0.05, t4_s=0.05)  # an answer has 3 s to come
    calling = Inbox()
    async with (
        SipEndpoint.open(user_agent(), Inbox(answering(endpoints)), LOOPBACK) as bob,
        SipEndpoint.open(quick, calling, LOOPBACK) as alice,
    ):
        endpoints.append(bob)
        with alice.commands() as now:
            call = quick.invite(f"sip:a@{HOST}:{bob.port}", offer(HOST), now=now)
        await calling.next()
        with alice.commands() as now:
            call.hang_up(now=now)
        await alice.close(linger_s=60)
        assert quick.idle
        await bob.close(linger_s=0.05)  # its last response lingers for 32 s
        assert not bob.user_agent.idle
        with bob.commands():
            bob.user_agent.receive(b"", Peer("UDP", HOST, 5060), now=0.0)


async def test_what_is_under_way_is_dropped_at_the_end() -> None:
    with taken(socket.SOCK_STREAM) as port:
        async with SipEndpoint.open(user_agent(), nobody, LOOPBACK) as endpoint:
            with endpoint.commands() as now:
                for host in ("localhost", HOST):
                    target = f"sip:a@{host}:{port};transport=tcp"
                    endpoint.user_agent.invite(target, offer(HOST), now=now)
        assert not endpoint.user_agent.idle


async def test_a_refused_datagram_is_only_noted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with SipEndpoint.open(user_agent(), nobody, LOOPBACK) as endpoint:
        with endpoint.commands() as now:
            target = f"sip:{'a' * 1400}@255.255.255.255"  # no broadcast without permission
            endpoint.user_agent.invite(target, offer(HOST), now=now)
            endpoint.user_agent.take_datagrams()
        with endpoint.commands() as now:
            endpoint.user_agent.invite("sip:a@255.255.255.255", offer(HOST), now=now)
    assert "SIP datagram refused" in caplog.text
