"""Datagrams as other implementations send them, played to a media session on their own time."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from callfleet_agent.audio import FrameKind
from callfleet_agent.audio.g711 import Law
from callfleet_agent.rtp import Format, MediaSession, MediaSettings, MediaStats, MediaTick

VECTORS = Path(__file__).parents[1] / "vectors" / "rtp"
SOURCE = ("192.0.2.1", 4000)
SETTINGS = MediaSettings(formats=(Format(0, Law.PCMU), Format(8, Law.PCMA)), telephone_event=101)


def played(name: str, *, ticks: int = 40) -> tuple[list[MediaTick], MediaStats]:
    """What the session makes of a file, tick by tick."""
    session = MediaSession(SETTINGS, rng=random.Random(1), now=0.0)
    lines = [
        line.split(" ")
        for line in (VECTORS / f"{name}.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    out: list[MediaTick] = []
    for number in range(ticks):
        now = number * 0.02
        while lines and int(lines[0][0]) / 1000 <= now:
            at, port, data = lines.pop(0)
            receive = session.receive_rtp if port == "rtp" else session.receive_rtcp
            receive(bytes.fromhex(data), SOURCE, int(at) / 1000)
        out.append(session.tick(now))
    assert not lines
    return out, session.stats(ticks * 0.02)


def real_frames(ticks: list[MediaTick]) -> int:
    return sum(tick.kind is FrameKind.REAL for tick in ticks)


def test_a_desk_phone() -> None:
    ticks, stats = played("desk_phone_10ms")
    assert [digit.digit for tick in ticks for digit in tick.digits] == ["5"]
    assert [digit.duration_ms for tick in ticks for digit in tick.digits] == [40]
    assert real_frames(ticks) == 15
    assert stats.packets_received == 36
    assert (stats.lost, stats.late, stats.duplicates, stats.malformed) == (0, 0, 0, 0)
    # The loudest code of A-law: it was not decoded as mu-law.
    assert abs(int(ticks[5].inbound.samples[100])) == 32256


def test_a_gateway() -> None:
    ticks, stats = played("gateway_30ms")
    assert stats.packets_received == 13
    assert (stats.duplicates, stats.malformed, stats.late) == (1, 0, 0)
    assert real_frames(ticks) in (16, 17, 18)  # of 360 ms; frames at a pause's edges are mixed
    silent = [tick.kind for tick in ticks if tick.kind is FrameKind.NOISE]
    assert len(silent) >= 6


def test_rubbish_changes_nothing() -> None:
    ticks, stats = played("hostile")
    assert real_frames(ticks) == 10
    assert stats.packets_received == 10
    assert (stats.malformed, stats.unexpected, stats.strangers) == (11, 1, 0)
    assert stats.lost == 0


@pytest.mark.parametrize("name", ["desk_phone_10ms", "gateway_30ms", "hostile"])
def test_every_cut_and_flipped_datagram_is_survived(name: str) -> None:
    rng = random.Random(name)
    session = MediaSession(SETTINGS, rng=random.Random(1), now=0.0)
    for line in (VECTORS / f"{name}.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        _, port, text = line.split(" ")
        data = bytearray.fromhex(text)
        receive = session.receive_rtp if port == "rtp" else session.receive_rtcp
        for cut in range(min(len(data), 40)):
            receive(bytes(data[:cut]), SOURCE, 0.0)
        for _ in range(20):
            if data:
                data[rng.randrange(min(len(data), 24))] ^= 1 << rng.randrange(8)
            receive(bytes(data), SOURCE, 0.0)
        tick = session.tick(0.0)
        assert len(tick.inbound) == 160
