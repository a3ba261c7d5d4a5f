"""A call of two media sessions over real UDP sockets on loopback, through a bad network."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from callfleet_agent.audio import FrameKind, Pcm8k
from callfleet_agent.audio.g711 import Law
from callfleet_agent.audio.level import last_above
from callfleet_agent.rtp import Address, Digit, Format, MediaSession, MediaSettings, MediaTick
from callfleet_agent.transport.rtp_call import RtpCall
from callfleet_agent.transport.rtp_port import PortRange, RtpEndpoint
from callfleet_agent.transport.ticker import Ticker
from fakes.patient_clock import PatientClock

TICKS = 210  # of 20 ms
SPEECH = Pcm8k.from_samples(6000 * np.sin(2 * np.pi * 300 * np.arange(16000) / 8000))


class BadEndpoint(RtpEndpoint):
    """An endpoint whose RTP is lost, repeated, delayed and reordered, decided by a seed."""

    def bad(self, seed: int, *, loss: float, jitter_s: float) -> None:
        self.rng = random.Random(seed)
        self.loss, self.jitter_s = loss, jitter_s
        self.lost = self.sent = 0

    def send_rtp(self, data: bytes, destination: Address | None) -> None:
        self.sent += 1
        if self.rng.random() < self.loss:
            self.lost += 1
            return
        delay = self.rng.random() * self.jitter_s
        asyncio.get_running_loop().call_later(delay, super().send_rtp, data, destination)


@dataclass
class Party:
    call: RtpCall
    endpoint: BadEndpoint
    ticks: list[MediaTick] = field(default_factory=list)

    @property
    def digits(self) -> list[Digit]:
        return [digit for tick in self.ticks for digit in tick.digits]


def free_ports() -> PortRange:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        start = min(int(probe.getsockname()[1]), 65000)
    return PortRange(start, start + 40)


@dataclass
class Meeting:
    """Whom a call's parties share. Its clock passes over stalls: a party that is not heard for a
    second may come back from another address, and a stranger would be taken for it."""

    ports: PortRange
    clock: PatientClock = field(default_factory=PatientClock)
    ticker: Ticker = field(init=False)

    def __post_init__(self) -> None:
        self.ticker = Ticker(clock=self.clock)


async def party(meeting: Meeting, remote: Address | None, seed: int, loss: float) -> Party:
    endpoint = await BadEndpoint.open("127.0.0.1", meeting.ports)
    endpoint.bad(seed, loss=loss, jitter_s=0.03)
    settings = MediaSettings(
        formats=(Format(0, Law.PCMU), Format(8, Law.PCMA)),
        telephone_event=101,
        remote=remote,
        rtcp_interval_s=1.0,
    )
    clock = meeting.clock
    session = MediaSession(settings, rng=random.Random(seed), now=clock())
    ticks: list[MediaTick] = []
    call = RtpCall(endpoint, session, meeting.ticker, on_tick=ticks.append, clock=clock)
    return Party(call, endpoint, ticks)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110 - datagrams and ticks tell nobody
            await asyncio.sleep(0.01)


async def test_speech_and_keys_survive_a_bad_network() -> None:
    meeting = Meeting(free_ports())
    meeting.ticker.start()
    # The agent knows no address of the caller: it answers to where the packets come from.
    agent = await party(meeting, None, seed=1, loss=0.03)
    caller = await party(meeting, ("127.0.0.1", agent.endpoint.port), seed=2, loss=0.03)
    stranger = await party(meeting, ("127.0.0.1", agent.endpoint.port), seed=3, loss=0.0)
    agent.call.session.push(0, 0, SPEECH)
    agent.call.session.end_of_speech(0, len(SPEECH))
    caller.call.session.send_digits("4271#")
    agent.call.start()
    caller.call.start()
    theirs = ("127.0.0.1", caller.endpoint.port)
    await until(lambda: agent.call.session.rtp_destination == theirs)
    stranger.call.start()
    await until(lambda: min(len(each.ticks) for each in (agent, caller, stranger)) >= TICKS)
    stranger.call.stop()
    # Its reports came from the caller's host: after them one of the agent's may have gone to it.
    await until(lambda: agent.call.session.stats(meeting.clock()).rtt_ms is not None)
    now = meeting.clock()
    stats = {"agent": agent.call.session.stats(now), "caller": caller.call.session.stats(now)}
    destination = agent.call.session.rtp_destination
    for each in (agent, caller, stranger):
        each.call.stop()
    await meeting.ticker.stop()

    assert destination == theirs
    assert [digit.digit for digit in agent.digits] == list("4271#")
    assert stats["agent"].strangers > 100
    assert stats["agent"].malformed == stats["caller"].malformed == 0
    heard = Pcm8k(b"".join(tick.inbound.data for tick in caller.ticks))
    loud = last_above(heard)
    assert loud is not None
    assert np.std(heard.samples[8000:14000].astype(float)) > 3000
    assert len(heard) - loud > 1600  # the speech ended
    assert [mark for tick in agent.ticks for mark in tick.finished] == [(0, 16000)]
    real = sum(tick.kind is FrameKind.REAL for tick in caller.ticks)
    assert real > 0.75 * len(caller.ticks)
    assert 0 < stats["caller"].lost <= agent.endpoint.lost + 5
    assert stats["agent"].rtt_ms is not None
    assert stats["agent"].rtt_ms < 1000
    assert stats["caller"].jitter_ms > 1
    assert meeting.ports.free < 20
