"""SIP requests to a connector, written by hand, and waiting for what nobody tells."""

import asyncio
import re
import socket
from collections.abc import Callable

from callfleet_agent.app.connector import Connector
from fakes.connector import LOOPBACK


async def until(condition: Callable[[], bool], limit_s: float = 60.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110, processes and sockets tell nobody
            await asyncio.sleep(0.02)


class Sip:
    """A UDP socket that sends requests by hand."""

    def __init__(self, connector: Connector) -> None:
        self._target = (LOOPBACK, connector.sip_port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]

    def close(self) -> None:
        self._socket.close()

    async def ask(self, request: str) -> str:
        """The first final response to it: one to an earlier request comes again as long as its ACK
        is on the way, and the other side may ask something, too."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendto(self._socket, request.encode(), self._target)
        async with asyncio.timeout(60):
            while True:
                answer = (await loop.sock_recv(self._socket, 65535)).decode()
                if re.match(r"SIP/2\.0 [2-6]", answer) and _branch(answer) == _branch(request):
                    return answer

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendto(self._socket, data, self._target)

    def request(self, method: str, body: str = "", *, number: int = 1) -> str:
        to = "sip:+15550100@127.0.0.1"
        content = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"{method} {to} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {LOOPBACK}:{self.port};branch=z9hG4bK{method}{number}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:a@127.0.0.1>;tag=f{number}\r\nTo: <{to}>\r\n"
            f"Call-ID: call-{method}-{number}\r\nCSeq: 1 {method}\r\n"
            f"Contact: <sip:a@{LOOPBACK}:{self.port}>\r\n{content}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )


def _branch(message: str) -> str:
    """What a response has in common with its request alone."""
    found = re.search(r";branch=([^;\s]+)", message)
    assert found is not None
    return found[1]


def offer(formats: str = "0") -> str:
    return (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio 40000 RTP/AVP {formats}\r\na=rtpmap:18 G729/8000\r\n"
    )


def in_dialog(sip: Sip, answer: str, method: str, number: int, body: str = "") -> str:
    """A request inside the dialog that `answer`, a 200 to our INVITE, made."""
    to = next(line for line in answer.splitlines() if line.startswith("To:"))
    given = sip.request("INVITE", body).splitlines(keepends=True)
    changed = []
    for line in given:
        if line.startswith("To:"):
            changed.append(to + "\r\n")
        elif line.startswith("CSeq:"):
            changed.append(f"CSeq: {number} {method}\r\n")
        elif line.startswith("Via:"):
            changed.append(line.replace("z9hG4bKINVITE1", f"z9hG4bK{method}{number}"))
        elif line.startswith("INVITE "):
            changed.append(line.replace("INVITE", method))
        else:
            changed.append(line)
    return "".join(changed)
