"""Whether anybody listens where a call goes to."""

import socket

from callfleet_agent.app.phone.reach import nobody_listens
from callfleet_agent.sip.settings import Peer
from ports import free_port

LOOPBACK = "127.0.0.1"


async def test_a_port_that_nobody_has() -> None:
    assert await nobody_listens(Peer("UDP", LOOPBACK, free_port()))


async def test_a_port_that_somebody_has_is_sent_nothing_that_must_be_answered() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind((LOOPBACK, 0))
        listener.setblocking(False)
        assert not await nobody_listens(Peer("UDP", *listener.getsockname()))
        assert listener.recv(100) == b"\r\n\r\n"


async def test_tcp_and_what_has_no_address_are_left_to_the_call() -> None:
    assert not await nobody_listens(Peer("TCP", LOOPBACK, free_port()))
    assert not await nobody_listens(Peer("UDP", "agent.invalid", 5060))
