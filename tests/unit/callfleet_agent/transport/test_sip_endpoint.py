"""The endpoint on loopback sockets."""

import asyncio
import random
from collections.abc import Callable

import pytest

from callfleet_agent.sip import events
from callfleet_agent.sip.call import Call
from callfleet_agent.sip.sdp import make_answer
from callfleet_agent.sip.settings import AdvertisedAddress, UserAgentSettings
from callfleet_agent.sip.user_agent import UserAgent
from callfleet_agent.transport.sip_endpoint import SipEndpoint, SipEndpointSettings
from fakes.sip_line import media, offer

LOOPBACK = SipEndpointSettings(host="127.0.0.1", port=0)


def user_agent(**settings: object) -> UserAgent:
    advertised = AdvertisedAddress("127.0.0.1", 0)
    made = UserAgentSettings(advertised=advertised, **settings)  # type: ignore[arg-type]
    return UserAgent(made, random.SystemRandom())


class Inbox:
    """Collects events and lets a test wait for one."""

    def __init__(self, react: Callable[[events.Event], None] | None = None) -> None:
        self._queue: asyncio.Queue[events.Event] = asyncio.Queue()
        self._react = react

    def __call__(self, event: events.Event) -> None:
        if self._react is not None:
            self._react(event)
        self._queue.put_nowait(event)

    async def next(self) -> events.Event:
        async with asyncio.timeout(10):
            return await self._queue.get()


def answering(endpoints: list[SipEndpoint]) -> Callable[[events.Event], None]:
    """Answer each call from inside the handler."""

    def react(event: events.Event) -> None:
        if isinstance(event, events.IncomingCall):
            assert event.offer is not None
            answer = make_answer(event.offer, media("127.0.0.1"), event.call.origin("127.0.0.1"))
            with endpoints[0].commands() as now:
                event.call.answer(answer.description, now=now)

    return react


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_over_loopback(transport: str) -> None:
    endpoints: list[SipEndpoint] = []
    called, calling = Inbox(answering(endpoints)), Inbox()
    async with (
        SipEndpoint.open(user_agent(), called, LOOPBACK) as bob,
        SipEndpoint.open(user_agent(), calling, LOOPBACK) as alice,
    ):
        endpoints.append(bob)
        target = f"sip:100@localhost:{bob.port};transport={transport}"
        with alice.commands() as now:
            call = alice.user_agent.invite(target, offer("127.0.0.1"), now=now)
        assert isinstance(await calling.next(), events.Answered)
        assert isinstance(await called.next(), events.IncomingCall)
        assert isinstance(await called.next(), events.Established)
        with alice.commands() as now:
            call.hang_up(now=now)
        assert await calling.next() == events.CallEnded(call, events.EndCause.LOCAL, 200)
        ended = await called.next()
        assert isinstance(ended, events.CallEnded)
        assert ended.cause is events.EndCause.REMOTE
        assert isinstance(ended.call, Call)
