"""Who is believed to be the other party."""

from __future__ import annotations

from callfleet_agent.rtp.latch import SourceLatch

SIGNALLED = ("192.0.2.1", 4000)
CALLER = ("198.51.100.7", 31000)
STRANGER = ("203.0.113.9", 9)
MOVED = ("198.51.100.7", 31002)


def latched(signalled: tuple[str, int] | None = SIGNALLED) -> SourceLatch:
    latch = SourceLatch(signalled)
    assert latch.accepts(CALLER, 1, 0.0)
    return latch


def test_the_first_valid_packet_decides() -> None:
    latch = latched()
    assert latch.source == CALLER
    assert not latch.accepts(STRANGER, 1, 0.1)
    assert latch.accepts(CALLER, 1, 0.2)


def test_the_signalled_address_is_believed_a_little_longer() -> None:
    latch = latched()
    assert latch.accepts(SIGNALLED, 5, 2.9)
    assert latch.source == SIGNALLED
    late = latched()
    late.accepts(CALLER, 1, 3.0)
    assert not late.accepts(SIGNALLED, 5, 3.1)


def test_after_silence_the_same_host_or_stream_may_go_on() -> None:
    assert not latched().accepts(MOVED, 2, 0.9)
    assert latched().accepts(MOVED, 2, 1.0)
    assert latched().accepts(STRANGER, 1, 1.0)
    assert not latched().accepts(STRANGER, 2, 100.0)


def test_after_a_re_offer_the_first_packet_decides_again() -> None:
    latch = latched()
    latch.reoffer(None, 10.0)
    assert latch.accepts(STRANGER, 2, 10.1)
    assert not latch.accepts(CALLER, 1, 10.2)


def test_a_re_offer_does_not_open_the_door_for_ever() -> None:
    latch = latched()
    latch.reoffer(None, 10.0)
    assert not latch.accepts(STRANGER, 2, 15.1)


def test_a_source_that_stays_after_a_re_offer_closes_the_door() -> None:
    latch = latched()
    latch.reoffer(None, 10.0)
    assert latch.accepts(CALLER, 1, 10.1)
    assert not latch.accepts(STRANGER, 2, 10.2)
