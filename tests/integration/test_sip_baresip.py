"""A real telephone: baresip is called by our user agent, held, and calls it."""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from callfleet_agent.sip import events, sdp
from callfleet_agent.sip.settings import AdvertisedAddress, UserAgentSettings
from callfleet_agent.sip.user_agent import UserAgent
from callfleet_agent.transport.sip_endpoint import SipEndpoint, SipEndpointSettings
from ports import free_port

MODULES = Path("/usr/lib/baresip/modules")
pytestmark = pytest.mark.skipif(
    shutil.which("baresip") is None or not MODULES.is_dir(), reason="baresip is not installed"
)

HOST = "127.0.0.1"
LOOPBACK = SipEndpointSettings(host=HOST, port=0)
CONFIGURATION = f"""
module_path {MODULES}
module g711.so
module aubridge.so
module_app account.so
module_app menu.so
audio_source aubridge,nowhere
audio_player aubridge,nowhere
audio_alert aubridge,nowhere
sip_listen {HOST}:@PORT@
"""


def port_of_a_phone() -> int:
    """A free port, as is the next one: the phone binds that for TLS."""
    while (port := free_port()) + 1 != free_port():
        pass
    return port


class Inbox:
    def __init__(self) -> None:
        self._queue: asyncio.Queue[events.Event] = asyncio.Queue()

    def __call__(self, event: events.Event) -> None:
        self._queue.put_nowait(event)

    async def next(self) -> events.Event:
        async with asyncio.timeout(60):
            return await self._queue.get()

    async def next_but_ringing(self) -> events.Event:
        while isinstance(event := await self.next(), events.Ringing):
            pass
        return event


@asynccontextmanager
async def baresip(folder: Path, *arguments: str) -> AsyncIterator[int]:
    """A phone that answers by itself; its port."""
    port = port_of_a_phone()
    (folder / "config").write_text(CONFIGURATION.replace("@PORT@", str(port)), "utf-8")
    account = f"<sip:phone@{HOST}:{port}>;regint=0;answermode=auto\n"
    (folder / "accounts").write_text(account, "utf-8")
    process = await asyncio.create_subprocess_exec(
        "baresip", "-f", str(folder), "-t", "170", *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            said = b""
            while b"baresip is ready" not in said:
                line = await process.stdout.readline()
                assert line, f"baresip ended with {await process.wait()}: {said.decode()}"
                said += line
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


def user_agent() -> UserAgent:
    return UserAgent(UserAgentSettings(AdvertisedAddress(HOST, 0)), random.SystemRandom())


def local(direction: str = "sendrecv") -> sdp.LocalMedia:
    return sdp.LocalMedia(HOST, free_port(), direction=direction)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_baresip_is_called_held_and_hung_up_on(tmp_path: Path, transport: str) -> None:
    inbox, agent = Inbox(), user_agent()
    async with (
        baresip(tmp_path) as port,
        SipEndpoint.open(agent, inbox, LOOPBACK) as endpoint,
    ):
        offer = sdp.make_offer(local(), sdp.Origin(HOST, 1, 0))
        with endpoint.commands() as now:
            call = agent.invite(f"sip:phone@{HOST}:{port};transport={transport}", offer, now=now)
        answered = await inbox.next_but_ringing()
        assert isinstance(answered, events.Answered)
        media = sdp.accept_answer(offer, answered.answer)
        assert (media.codec, media.sending, media.receiving) == ("PCMU", True, True)

        hold = sdp.make_offer(local("sendonly"), call.origin(HOST))
        with endpoint.commands() as now:
            call.reoffer(hold, now=now)
        reanswered = await inbox.next()
        assert isinstance(reanswered, events.Reanswered)
        assert reanswered.answer is not None
        assert not sdp.accept_answer(hold, reanswered.answer).receiving

        with endpoint.commands() as now:
            call.hang_up(now=now)
        assert await inbox.next() == events.CallEnded(call, events.EndCause.LOCAL, 200)


async def test_baresip_calls(tmp_path: Path) -> None:
    inbox, agent = Inbox(), user_agent()
    async with SipEndpoint.open(agent, inbox, LOOPBACK) as endpoint:
        dial = f"/dial sip:+15550100@{HOST}:{endpoint.port}"
        async with baresip(tmp_path, "-e", dial):
            incoming = await inbox.next()
            assert isinstance(incoming, events.IncomingCall)
            assert incoming.offer is not None
            assert incoming.call.info.number == "+15550100"
            origin = incoming.call.origin(HOST)
            negotiated = sdp.make_answer(incoming.offer, local(), origin)
            with endpoint.commands() as now:
                incoming.call.answer(negotiated.description, now=now)
            assert await inbox.next() == events.Established(incoming.call, None, initial=True)
        ended = await inbox.next()  # baresip hangs up when it ends
        assert isinstance(ended, events.CallEnded)
        assert ended.cause is events.EndCause.REMOTE
