"""What a client knows of its sockets."""

import socket

from callfleet_operator.kube.sockets import Sockets

ADDRESS = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 1))


async def test_none_is_open_before_one_is_made() -> None:
    assert await Sockets().closed(within_s=1.0)


async def test_one_that_stays_open_is_not_waited_for_for_ever() -> None:
    sockets = Sockets()
    with sockets(ADDRESS):
        assert sockets.open == 1
        assert not await sockets.closed(within_s=0.03)


async def test_one_that_was_closed_is_not_open() -> None:
    sockets = Sockets()
    made = sockets(ADDRESS)
    made.close()
    assert sockets.open == 0
    assert await sockets.closed(within_s=1.0)
