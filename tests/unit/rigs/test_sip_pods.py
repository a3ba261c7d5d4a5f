"""Pods and phones of the proxies' tests: what comes twice since somebody was slow counts once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from fakes.sip_pods import FakeCaller, FakePod, Message

AT = ("127.0.0.1", 0)


class Line(asyncio.DatagramProtocol):
    """Where a proxy would be: sends what it is given, and keeps what comes."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[tuple[Message, tuple[str, int]]] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport | None = None

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.came.put_nowait((Message.parse(data), addr))

    async def open(self) -> tuple[str, int]:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=AT)
        host, port = self.transport.get_extra_info("sockname")
        return str(host), int(port)

    def send(self, message: Message, to: tuple[str, int]) -> None:
        assert self.transport is not None
        self.transport.sendto(message.encode(), to)


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    made = Line()
    yield made
    if made.transport is not None:
        made.transport.close()


@pytest.fixture
async def pod() -> AsyncIterator[FakePod]:
    made = FakePod(AT)
    await made.start()
    yield made
    made.stop()


def bye(branch: str) -> Message:
    headers = (("via", f"SIP/2.0/UDP 127.0.0.1:1;branch={branch};rport"), ("cseq", "1 BYE"))
    return Message("BYE sip:pod SIP/2.0", headers)


def answer(request: Message, status: int) -> Message:
    copied = tuple(item for item in request.headers if item[0] in ("via", "call-id", "cseq"))
    return Message(f"SIP/2.0 {status} Whatever", copied)


def place_of(pod: FakePod) -> tuple[str, int]:
    assert pod._transport is not None
    host, port = pod._transport.get_extra_info("sockname")
    return str(host), int(port)


async def test_a_request_that_is_sent_again_is_answered_again_and_counted_once(
    line: Line, pod: FakePod
) -> None:
    await line.open()
    for branch in ("z9hG4bK1", "z9hG4bK1", "z9hG4bK2"):
        line.send(bye(branch), place_of(pod))
        told, _ = await line.came.get()
        assert (told.status, told.branch) == (200, branch)
    assert pod.byes == 2


async def test_a_late_copy_of_an_answer_is_none_to_the_next_request(line: Line) -> None:
    """Both requests are of one call, and have the same number."""
    caller = FakeCaller(await line.open())
    await caller.start()
    same = [("call-id", "one"), ("cseq", "1 BYE")]
    first = asyncio.create_task(caller.ask("BYE", "sip:pod", same))
    request, phone = await line.came.get()
    line.send(answer(request, 481), phone)
    assert (await first).status == 481

    second = asyncio.create_task(caller.ask("BYE", "sip:pod", same))
    line.send(answer(request, 481), phone)
    while (request_2 := (await line.came.get())[0]).branch == request.branch:
        pass
    line.send(answer(request_2, 200), phone)

    assert (await second).status == 200
    caller.stop()


async def test_a_call_to_a_dead_pod_is_noticed(line: Line, pod: FakePod) -> None:
    await line.open()
    pod.dead = True
    headers = (("via", "SIP/2.0/UDP 127.0.0.1:1;branch=z9hG4bK1"), ("call-id", "one"))
    for _ in range(2):
        line.send(Message("INVITE sip:pod SIP/2.0", headers), place_of(pod))
    await pod.missed(1)
    assert (pod.unanswered, pod.invites) == ({"one"}, [])
