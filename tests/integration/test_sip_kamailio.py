"""Calls through a real proxy that record-routes: what is said inside a dialog goes through it."""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from callfleet_agent.sip import events, sdp
from callfleet_agent.sip.settings import AdvertisedAddress, Peer, UserAgentSettings
from callfleet_agent.sip.user_agent import UserAgent
from callfleet_agent.transport.sip_endpoint import SipEndpoint, SipEndpointSettings
from ports import free_port

pytestmark = pytest.mark.skipif(
    shutil.which("kamailio") is None, reason="kamailio is not installed"
)

CONFIGURATION = Path(__file__).parents[1] / "vectors" / "sip" / "kamailio.cfg"
HOST = "127.0.0.1"


class WatchedUserAgent(UserAgent):
    """Remembers from which ports it heard."""

    heard_from: set[int]

    def receive(self, data: bytes, source: Peer, *, now: float) -> None:
        self.heard_from = getattr(self, "heard_from", set()) | {source.port}
        super().receive(data, source, now=now)


def user_agent() -> WatchedUserAgent:
    advertised = AdvertisedAddress(HOST, 0)
    return WatchedUserAgent(UserAgentSettings(advertised), random.SystemRandom())


class Inbox:
    def __init__(self) -> None:
        self._queue: asyncio.Queue[events.Event] = asyncio.Queue()

    def __call__(self, event: events.Event) -> None:
        self._queue.put_nowait(event)

    async def next(self) -> events.Event:
        async with asyncio.timeout(60):
            return await self._queue.get()


@asynccontextmanager
async def kamailio(tmp_path: Path, phone: int, transport: str) -> AsyncIterator[int]:
    """A proxy between everybody and ``phone``; its port."""
    port = free_port()
    text = CONFIGURATION.read_text("utf-8")
    for name, value in (("PROXY", str(port)), ("PHONE", str(phone)), ("TRANSPORT", transport)):
        text = text.replace(f"@{name}@", value)
    (tmp_path / "kamailio.cfg").write_text(text, "utf-8")
    process = await asyncio.create_subprocess_exec(
        "kamailio", "-DD", "-E", "-m", "32", "-M", "8", "-Y", str(tmp_path),
        "-f", str(tmp_path / "kamailio.cfg"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await listening(port, process)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def listening(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(60):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                await writer.wait_closed()
                return
    raise AssertionError("kamailio ended")


def description(port: int, origin: sdp.Origin) -> sdp.SessionDescription:
    return sdp.make_offer(sdp.LocalMedia(HOST, port), origin)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_stays_on_its_route(tmp_path: Path, transport: str) -> None:
    called, calling = Inbox(), Inbox()
    local = SipEndpointSettings(host=HOST, port=0)
    async with (
        SipEndpoint.open(user_agent(), called, local) as bob,
        SipEndpoint.open(user_agent(), calling, local) as alice,
        kamailio(tmp_path, bob.port, transport) as proxy,
    ):
        with alice.commands() as now:
            target = f"sip:+15550100@{HOST}:{proxy};transport={transport}"
            offer = description(20000, sdp.Origin(HOST, 1, 0))
            call = alice.user_agent.invite(target, offer, now=now)
        incoming = await called.next()
        assert isinstance(incoming, events.IncomingCall)
        assert incoming.call.info.number == "+15550100"
        with bob.commands() as now:
            incoming.call.answer(description(20002, incoming.call.origin(HOST)), now=now)
        assert isinstance(await calling.next(), events.Answered)
        assert isinstance(await called.next(), events.Established)
        dialog = incoming.call.dialog
        assert dialog is not None
        assert len(dialog.route_set) >= 1

        # In both directions requests inside the dialog go the same way.
        with bob.commands() as now:
            incoming.call.reoffer(description(20004, incoming.call.origin(HOST)), now=now)
        reoffered = await calling.next()
        assert isinstance(reoffered, events.Reoffered)
        with alice.commands() as now:
            call.answer(description(20000, call.origin(HOST)), now=now)
        assert isinstance(await called.next(), events.Reanswered)
        assert isinstance(await calling.next(), events.Established)
        with alice.commands() as now:
            call.send_dtmf_info("#", 100, now=now)
        assert await called.next() == events.DtmfInfo(incoming.call, "#", 100)
        with bob.commands() as now:
            incoming.call.hang_up(now=now, reason="Good-bye")
        ended = await calling.next()
        assert isinstance(ended, events.CallEnded)
        assert (ended.cause, ended.reason) == (events.EndCause.REMOTE, "Good-bye")
        assert isinstance(await called.next(), events.CallEnded)

        for agent, stranger in ((bob, alice.port), (alice, bob.port)):
            watched = agent.user_agent
            assert isinstance(watched, WatchedUserAgent)
            assert stranger not in watched.heard_from
            assert transport == "tcp" or watched.heard_from == {proxy}


async def test_a_cancel_through_the_proxy(tmp_path: Path) -> None:
    called, calling = Inbox(), Inbox()
    local = SipEndpointSettings(host=HOST, port=0)
    async with (
        SipEndpoint.open(user_agent(), called, local) as bob,
        SipEndpoint.open(user_agent(), calling, local) as alice,
        kamailio(tmp_path, bob.port, "udp") as proxy,
    ):
        with alice.commands() as now:
            target = f"sip:100@{HOST}:{proxy}"
            offer = description(20000, sdp.Origin(HOST, 1, 0))
            call = alice.user_agent.invite(target, offer, now=now)
        incoming = await called.next()
        with bob.commands() as now:
            incoming.call.ring(now=now)
        assert isinstance(await calling.next(), events.Ringing)
        with alice.commands() as now:
            call.cancel(now=now)
        assert await called.next() == events.CallCancelled(incoming.call)
        failed = await calling.next()
        assert isinstance(failed, events.Failed)
        assert failed.status == 487
