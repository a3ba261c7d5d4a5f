"""Pairs of UDP ports."""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket

import pytest

from callfleet_agent.transport.rtp_port import NoPortsFree, PortRange, RtpEndpoint


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_pairs_are_even_and_inside_the_range() -> None:
    ports = PortRange(20001, 20006)
    assert {ports.acquire(), ports.acquire()} == {20002, 20004}
    with pytest.raises(NoPortsFree):
        ports.acquire()


def test_the_first_pair_is_left_to_chance_and_the_others_follow() -> None:
    ports = PortRange(20000, 20007, begin=lambda pairs: pairs - 2)
    assert [ports.acquire() for _ in range(4)] == [20004, 20006, 20000, 20002]
    assert len({PortRange(20000, 29999).acquire() for _ in range(20)}) > 10


@pytest.mark.parametrize(
    ("first", "last"), [(20000, 20000), (20001, 20002), (5, 4), (0, 9), (65530, 65540)]
)
def test_a_range_without_a_pair_is_refused(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="no pair"):
        PortRange(first, last)


def test_a_released_pair_rests_before_it_is_used_again() -> None:
    clock = Clock()
    ports = PortRange(20000, 20003, quarantine_s=2.0, clock=clock)
    first = ports.acquire()
    ports.release(first)
    assert ports.free == 1
    assert ports.acquire() != first
    clock.now = 1.9
    with pytest.raises(NoPortsFree):
        ports.acquire()
    clock.now = 2.0
    assert ports.acquire() == first


def free_range(pairs: int) -> tuple[int, int]:
    """Ports that nobody uses now, and that the system gives to nobody who did not name them."""
    while True:
        first = 2 * (8192 + secrets.randbelow(1500))
        ports = range(first, first + 2 * pairs)
        try:
            for port in ports:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return ports[0], ports[-1]


async def test_an_endpoint_sends_and_receives_on_both_ports() -> None:
    ports = PortRange(*free_range(20))
    here, there = (
        await RtpEndpoint.open("127.0.0.1", ports),
        await RtpEndpoint.open("127.0.0.1", ports),
    )
    arrived: asyncio.Queue[tuple[str, bytes, int]] = asyncio.Queue()
    here.send_rtp(b"too early", ("127.0.0.1", there.port))
    await asyncio.sleep(0)
    here.send_rtp(b"nowhere", None)
    there.listen(
        lambda data, source: arrived.put_nowait(("rtp", data, source[1])),
        lambda data, source: arrived.put_nowait(("rtcp", data, source[1])),
    )
    here.send_rtp(b"a", ("127.0.0.1", there.port))
    here.send_rtcp(b"b", ("127.0.0.1", there.port + 1))
    seen = [await asyncio.wait_for(arrived.get(), 60) for _ in range(2)]
    assert {each for each in seen if each[1] != b"too early"} <= {
        ("rtp", b"a", here.port), ("rtcp", b"b", here.port + 1),
    }  # fmt: skip
    here.close()
    here.close()
    there.close()
    here.send_rtp(b"closed", ("127.0.0.1", there.port))
    assert ports.free == 18


async def test_a_pair_that_somebody_holds_is_passed_over() -> None:
    first, last = free_range(6)
    ports = PortRange(first, last, begin=lambda _: 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", first + 1))
        endpoint = await RtpEndpoint.open("127.0.0.1", ports)
        assert endpoint.port > first
        endpoint.close()


async def test_without_a_pair_there_is_no_endpoint() -> None:
    ports = PortRange(*free_range(1))
    ports.acquire()
    with pytest.raises(NoPortsFree):
        await RtpEndpoint.open("127.0.0.1", ports)


async def test_a_destination_where_nobody_listens_is_counted() -> None:
    ports = PortRange(*free_range(20))
    here = await RtpEndpoint.open("127.0.0.1", ports)
    here._rtp.error_received(ConnectionRefusedError())
    assert here.errors == 1
    here.close()


async def test_an_address_of_another_machine_is_not_tried_with_every_port() -> None:
    ports = PortRange(30000, 34999)
    with pytest.raises(NoPortsFree) as caught:
        await RtpEndpoint.open("192.0.2.7", ports)
    cause = caught.value.__cause__
    assert isinstance(cause, OSError)
    assert cause.errno == errno.EADDRNOTAVAIL
    assert ports.free == 2500 - 1
