"""A call's media on an endpoint and the ticker."""

from __future__ import annotations

import random

from callfleet_agent.audio.g711 import Law
from callfleet_agent.rtp import Address, Format, MediaSession, MediaSettings, MediaTick, RtpPacket
from callfleet_agent.rtp.rtcp import Bye, parse_compound
from callfleet_agent.transport.rtp_call import RtpCall
from callfleet_agent.transport.rtp_port import OnDatagram, RtpEndpoint
from callfleet_agent.transport.ticker import Ticker

REMOTE = ("192.0.2.1", 4000)


class FakeEndpoint(RtpEndpoint):
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.rtp: list[tuple[bytes, Address | None]] = []
        self.rtcp: list[tuple[bytes, Address | None]] = []
        self.closed = 0

    def listen(self, on_rtp: OnDatagram, on_rtcp: OnDatagram) -> None:
        self.on_rtp, self.on_rtcp = on_rtp, on_rtcp

    def send_rtp(self, data: bytes, destination: Address | None) -> None:
        self.rtp.append((data, destination))

    def send_rtcp(self, data: bytes, destination: Address | None) -> None:
        self.rtcp.append((data, destination))

    def close(self) -> None:
        self.closed += 1


class Setting:
    def __init__(self) -> None:
        self.now = 0.0
        settings = MediaSettings(formats=(Format(0, Law.PCMU),), remote=REMOTE)
        self.session = MediaSession(settings, rng=random.Random(1), now=0.0)
        self.endpoint = FakeEndpoint()
        self.ticker = Ticker(clock=lambda: self.now)
        self.ticks: list[MediaTick] = []
        self.call = RtpCall(
            self.endpoint, self.session, self.ticker,
            on_tick=self.ticks.append, clock=lambda: self.now,
        )  # fmt: skip

    def tick(self, skipped: int = 0) -> None:
        self.now += 0.02
        for group in self.ticker._groups:
            for member in group.members:
                member.on_tick(skipped)


def test_each_tick_sends_a_packet_and_then_tells_of_it() -> None:
    setting = Setting()
    setting.call.start()
    setting.tick()
    setting.tick(skipped=3)
    assert [destination for _, destination in setting.endpoint.rtp] == [REMOTE, REMOTE]
    first, second = (RtpPacket.parse(data) for data, _ in setting.endpoint.rtp)
    assert (second.timestamp - first.timestamp) % 2**32 == 4 * 160
    assert [tick.inbound_position for tick in setting.ticks] == [0, 640]


def test_what_arrives_reaches_the_session() -> None:
    setting = Setting()
    setting.call.start()
    setting.endpoint.on_rtp(b"rubbish", REMOTE)
    setting.endpoint.on_rtcp(b"rubbish", REMOTE)
    assert setting.session.stats(0.0).malformed == 2


def test_reports_are_sent_when_they_are_due() -> None:
    setting = Setting()
    setting.call.start()
    setting.now = 10.0
    setting.tick()
    assert setting.endpoint.rtcp[0][1] == ("192.0.2.1", 4001)


async def test_the_end_says_bye_once_and_releases_the_ports() -> None:
    setting = Setting()
    setting.call.start()
    setting.call.stop()
    await setting.call.close()
    assert len(setting.endpoint.rtcp) == 1
    assert isinstance(parse_compound(setting.endpoint.rtcp[0][0])[-1], Bye)
    assert setting.endpoint.closed == 2
    assert setting.ticker.members == 0


def test_a_call_that_never_began_releases_the_ports() -> None:
    setting = Setting()
    setting.call.stop()
    assert (setting.endpoint.rtcp, setting.endpoint.closed) == ([], 1)
